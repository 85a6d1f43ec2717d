"""The command ``keyturn``: what there is, in the order in which people meet it."""

import io
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from cli import doctor, estate, keys, policies, replaying, rotations, waiting
from cli.command import command
from cli.exits import MEANINGS
from cli.root import Root
from shared.domain.tool import VERSION

_LAPTOP = "Without a deployment: reads only, as whoever `az login` signed in"
_APP = "Against a deployed app: --app URL, or KEYTURN_APP"
_EXITS = "\n\n".join(f"- **{code.value}** {meaning}" for code, meaning in MEANINGS.items())

app = typer.Typer(
    name="keyturn",
    cls=Root,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"Exit codes:\n\n{_EXITS}",
)
policy = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


@app.callback(invoke_without_command=False)
def _root(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and stop.", callback=lambda on: _version(on=on)
        ),
    ] = False,
) -> None:
    """Move every Azure resource that is encrypted with a Key Vault key to the key's new version.

    Begin with `keyturn inventory`: it needs `az login` and nothing else, writes nothing, and says
    which resource uses which version of which key. `keyturn doctor` says what is missing before a
    rotation can be trusted. What the app does, and how it is deployed: the README.

    A rotation re-wraps the keys that encrypt data; the data itself is not re-encrypted.
    """
    del version


def _version(*, on: bool) -> None:
    if on:
        typer.echo(f"keyturn {VERSION}")
        raise typer.Exit


_READING: dict[str, Callable[..., None]] = {
    "inventory": estate.inventory,
    "versions": keys.versions,
    "plan": keys.plan,
    "verify": keys.verify,
    "doctor": doctor.doctor,
}
for _name, _run in _READING.items():
    command(app, _name, rich_help_panel=_LAPTOP)(_run)

app.add_typer(policy, name="policy", help="Check a policy, or begin one.", rich_help_panel=_LAPTOP)
command(policy, "check")(policies.check)
command(policy, "init")(policies.init)

_STEERING: dict[str, Callable[..., None]] = {
    "rotate": rotations.rotate,
    "requests": waiting.requests,
    "status": rotations.status,
    "watch": rotations.watch,
    **{action.name: action.command() for action in rotations.ACTIONS},
    "settle": rotations.settle,
    "replay": replaying.replay,
    "report": rotations.report,
}
for _name, _run in _STEERING.items():
    command(app, _name, rich_help_panel=_APP)(_run)


def run() -> None:
    """Run the command that was typed."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names have characters that not every terminal's encoding has.
        sys.stdout.reconfigure(errors="replace")
    app(prog_name="keyturn")
