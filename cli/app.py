"""Which deployed app is meant, and how it lets us in."""

import sys
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlsplit

import typer

from cli.api import AppClient, check_url
from cli.command import Session
from shared.domain.clouds import CLOUDS

_PANEL = "The app"
_AZURE = {
    # docs: Microsoft Graph, "National cloud deployments"; Azure AD Graph before it
    "graph.microsoft.com",
    "graph.microsoft.us",
    "microsoftgraph.chinacloudapi.cn",
    "graph.windows.net",
    "storage.azure.com",
    *(cloud.arm for cloud in CLOUDS.values()),
    *(cloud.storage for cloud in CLOUDS.values()),
    *(suffix for cloud in CLOUDS.values() for suffix in cloud.vault_suffixes),
}
"""Hosts whose tokens open more than an app, and those below them."""

AppOption = Annotated[
    str,
    typer.Option(
        "--app",
        envvar="KEYTURN_APP",
        metavar="URL",
        help="Of the deployed app: https://NAME.azurewebsites.net.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
AudienceOption = Annotated[
    str,
    typer.Option(
        "--audience",
        envvar="KEYTURN_AUDIENCE",
        help="Sign in with Entra ID: the app registration's id or URI, such as api://CLIENT_ID.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
KeyStdinOption = Annotated[
    bool,
    typer.Option(
        "--function-key-stdin",
        help="Read a function key from stdin. Else it may be in KEYTURN_FUNCTION_KEY; it never"
        " stands on the command line.",
        rich_help_panel=_PANEL,
    ),
]


def client_of(session: Session, app: str, audience: str, *, key_stdin: bool) -> AppClient:
    """Return a client of the app.

    Raises:
        typer.BadParameter: None is named, or nothing that it would let us in with.
    """
    if not app:
        raise typer.BadParameter(
            "name the deployed app: --app URL, or KEYTURN_APP", param_hint="'--app'"
        )
    try:
        url = check_url(app)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="'--app'") from None
    key = _function_key(session, stdin=key_stdin)
    if key:
        return AppClient(url, lambda: {"x-functions-key": key})
    if not audience:
        raise typer.BadParameter(
            "say how the app lets you in: --audience for Entra ID, or a function key in"
            " KEYTURN_FUNCTION_KEY",
            param_hint="'--audience'",
        )
    _check_audience(audience)
    laptop, scope = session.laptop(), f"{audience.rstrip('/')}/.default"

    def sign_in() -> Mapping[str, str]:
        return {"Authorization": f"Bearer {laptop.token(scope)}"}

    return AppClient(url, sign_in)


def _check_audience(audience: str) -> None:
    """Raise if a token for the app would be one for Azure itself.

    Raises:
        typer.BadParameter: It would, or nothing is named.
    """
    try:
        host = urlsplit(audience if "://" in audience else f"https://{audience}").hostname or ""
    except ValueError:
        raise typer.BadParameter(
            "it is no app registration: name its id or URI, such as api://CLIENT_ID",
            param_hint="'--audience'",
        ) from None
    if any(f".{host.rstrip('.')}".endswith(f".{own}") for own in _AZURE):
        raise typer.BadParameter(
            f"{host} is a service of Azure, whose tokens go to no app: name the app's registration,"
            " such as api://CLIENT_ID",
            param_hint="'--audience'",
        )


def _function_key(session: Session, *, stdin: bool) -> str:
    """Return the function key that was given; empty: none.

    Raises:
        typer.BadParameter: None came where one was to be read, or it cannot stand in a header. It
            is not repeated.
    """
    found = sys.stdin.readline() if stdin else session.env.get("KEYTURN_FUNCTION_KEY", "")
    key = found.strip()
    if stdin and not key:
        raise typer.BadParameter(
            "nothing came on stdin: pipe the function key in", param_hint="'--function-key-stdin'"
        )
    if not (key.isascii() and key.isprintable()):
        raise typer.BadParameter(
            "the function key has characters that none has: copy it once more",
            param_hint="'--function-key-stdin'" if stdin else "'KEYTURN_FUNCTION_KEY'",
        )
    return key
