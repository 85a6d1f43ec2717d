"""Arguments that several commands take, and what they mean."""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Annotated

import typer

from cli.command import Session
from shared.domain.clouds import Cloud
from shared.domain.errors import KeyturnError, NotAllowedError
from shared.domain.file_sources import FileSource
from shared.domain.keys import Key, KeyVersion, parse_key_url
from shared.usecases.search import EveryKey
from shared.wiring.laptop import Laptop

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_VERSION = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)

KeyArgument = Annotated[
    str, typer.Argument(metavar="KEY", help="As VAULT/KEY, or by its URL.", show_default=False)
]
RotationArgument = Annotated[
    str,
    typer.Argument(
        metavar="ROTATION", help="Id of a rotation, or of the request for one.", show_default=False
    ),
]
ReasonOption = Annotated[
    str,
    typer.Option("--reason", help="Why, for whoever reads the record later.", show_default=False),
]
SubscriptionOption = Annotated[
    list[str] | None,
    typer.Option(
        "--subscription",
        help="Name or id of a subscription to search; can be repeated. All that you may read, if"
        " neither this nor --management-group is given.",
        show_default=False,
    ),
]
GroupOption = Annotated[
    str,
    typer.Option(
        "--management-group",
        help="Id of a management group: every subscription below it is searched.",
        show_default=False,
    ),
]
SourceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--config-source",
        envvar="KEYTURN_CONFIG_SOURCES",
        help="Where deployment configs lie: https://ACCOUNT.blob.core.windows.net/CONTAINER, with"
        " /PREFIX or ?tag=NAME=VALUE; can be repeated.",
        show_default=False,
    ),
]


def key_of(text: str, cloud: Cloud) -> Key:
    """Return the key that somebody means.

    Raises:
        typer.BadParameter: It is none.
    """
    try:
        if "://" in text:
            named = parse_key_url(text)
            key = named.key if isinstance(named, KeyVersion) else named
            cloud.vault_host(key.vault)  # or no token goes there
            return key
        vault, _, name = text.partition("/")
        return Key.parse(f"https://{cloud.vault_host(vault)}/keys/{name}")
    except KeyturnError:
        raise typer.BadParameter(
            f"{text!r:.100} is no key: name it VAULT/KEY, or by its URL", param_hint="'KEY'"
        ) from None


def vault_of(text: str, cloud: Cloud) -> str:
    """Return the host of the vault that somebody means.

    Raises:
        typer.BadParameter: It is none.
    """
    try:
        return cloud.vault_host(text)
    except NotAllowedError as error:
        raise typer.BadParameter(str(error), param_hint="'--vault'") from None


def keys_of(key: str, vault: str, cloud: Cloud) -> Key | EveryKey:
    """Return which keys are meant by ``--key`` and ``--vault``: one, those of a vault, or all.

    Raises:
        typer.BadParameter: They mean none.
    """
    if key and ("/" in key or not vault):
        found = key_of(key, cloud)
        if vault and found.vault != vault_of(vault, cloud):
            raise typer.BadParameter(
                f"{key!r:.200} lies in another vault: leave one of the two out",
                param_hint="'--vault'",
            )
        return found
    if key:
        return key_of(f"{vault}/{key}", cloud)
    return EveryKey(vault_of(vault, cloud) if vault else "")


def version_of(text: str) -> str:
    """Return the version that somebody means by its id, or by its URL as inventories have it.

    Empty: none is meant.

    Raises:
        typer.BadParameter: It is none.
    """
    found = text.strip().rstrip("/").lower()
    if not found or _VERSION.fullmatch(found):
        return found
    try:
        return str(KeyVersion.parse(found))
    except KeyturnError:
        raise typer.BadParameter(
            f"{text!r:.100} is no version", param_hint="'--if-disabled'"
        ) from None


def sources_of(texts: list[str] | None, cloud: Cloud) -> tuple[str, ...]:
    """Return the sources of deployment configs.

    Raises:
        typer.BadParameter: One is none.
    """
    found = tuple(each.strip() for text in texts or () for each in text.split(",") if each.strip())
    for each in found:
        try:
            FileSource.parse(each, cloud)
        except NotAllowedError as error:
            raise typer.BadParameter(str(error), param_hint="'--config-source'") from None
    return found


def subscriptions_of(
    session: Session, laptop: Laptop, subscriptions: list[str] | None, management_group: str
) -> tuple[str, ...]:
    """Return the ids of the subscriptions that are meant; none: all that are visible.

    Raises:
        typer.BadParameter: One is named that is not visible, two have the name, or the group has
            none.
        KeyturnError: They cannot be listed.
    """
    wanted = [each.strip() for text in subscriptions or () for each in text.split(",")]
    if wanted and management_group:
        raise typer.BadParameter("give --subscription or --management-group, not both")
    around = laptop.adapters.surroundings
    if management_group:
        session.terminal.progress.tell(f"Looking what lies below {management_group} …")
        found = tuple(around.under(management_group))
        if not found:
            raise typer.BadParameter(
                f"no subscription lies below {management_group!r:.100}, or you may see none",
                param_hint="'--management-group'",
            )
        return found
    if all(_GUID.fullmatch(each) for each in wanted):
        return tuple(each.lower() for each in wanted)
    by_name = defaultdict[str, list[str]](list)
    for each, name in around.subscriptions():
        by_name[name.lower()].append(each)
    return tuple(_named(each, by_name) for each in wanted)


def _named(text: str, by_name: Mapping[str, list[str]]) -> str:
    if _GUID.fullmatch(text):
        return text.lower()
    if text.lower() not in by_name:
        raise typer.BadParameter(
            f"you see no subscription of the name {text!r:.100}: az account list -o table",
            param_hint="'--subscription'",
        )
    first, *others = by_name[text.lower()]
    if others:
        ids = ", ".join(sorted([first, *others]))
        raise typer.BadParameter(
            f"{len(others) + 1} subscriptions have the name {text!r:.100}, say which: {ids}",
            param_hint="'--subscription'",
        )
    return first
