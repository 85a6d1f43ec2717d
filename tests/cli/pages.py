"""What the docs show is what the command prints: ``python -m tests.cli.pages`` writes it anew.

A block that begins with ``$ keyturn`` is run, on a terminal of 110 columns or, if it ends with
``| cat``, in a pipe. What differs each time (ids of versions, times) is not compared.
"""

import re
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.azure import LocalAzure
from sandbox.azurite import Azurite
from sandbox.clock import SandboxClock
from sandbox.identity import APP_PRINCIPAL
from tests.cli.desk import CHECKOUT, KEYS, ME, Desk, plain
from tests.cli.estates import VAULT, Small, small
from tests.rights import TO_READ_AND_WRITE

PAGES = (CHECKOUT / "README.md", CHECKOUT / "docs" / "cli.md")
_BLOCK = re.compile(r"(^```console\n\$ (keyturn[^\n]*)\n)(.*?)(^```$)", re.MULTILINE | re.DOTALL)
_CHANGES = (
    (re.compile(r"\b[0-9a-f]{32}\b"), "VERSION"),
    (re.compile(r"\breq-[0-9a-f-]{36}\b"), "REQUEST"),
    (re.compile(r"\b[0-9a-f]{20}-\d\b"), "ROTATION"),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8}\b(?!-)"), "SHORT"),
    (re.compile(r"\b[0-9a-f]+…"), "SHORT…"),
    (re.compile(r"\b[0-9a-f]{12}\b(?=\.)"), "DIGEST"),
    (re.compile(r"\d{4}-\d\d-\d\d( \d\d:\d\d)?"), "TIME"),
    (re.compile(r"^(requested|discovering|moving|closing|confirming)\n", re.MULTILINE), ""),
)


@contextmanager
def shown_desk(azure: LocalAzure, folder: Path) -> Iterator[tuple[Desk, Small]]:
    """Set up the desk that the docs are written at; the app runs, with a key of its own."""
    desk, found = Desk(azure, folder), small(azure)
    estate = azure.estate
    vault = estate.vault(VAULT)
    vault.grant(APP_PRINCIPAL, {*KEYS, "rotate"})
    for each in (found.payments, found.research):
        estate.arm.rbac.allow(APP_PRINCIPAL, TO_READ_AND_WRITE, f"/subscriptions/{each}")
    archive = vault.create_key("cmk-archive")
    estate.storage_account("starchive", subscription=found.research, key=archive)
    vault.grant(ME, KEYS)
    azure.start_app(CHECKOUT, {"KEYTURN_VAULTS": VAULT})
    assert azure.host is not None
    desk.env["KEYTURN_APP"] = azure.host.url
    desk.env["KEYTURN_FUNCTION_KEY"] = azure.host.keys["function"]
    (folder / "keyturn.yaml").write_text("version: 2\ndefaults: {mode: careful}\n")
    yield desk, found


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Yield each command that a page shows, with its output."""
    for found in _BLOCK.finditer(page.read_text()):
        yield found[2], found[3]


def named(there: Small, command: str) -> str:
    """Return a command with the old version that there is, for the one that it names."""
    return re.sub(r"\b[0-9a-f]{32}\b", there.old.rpartition("/")[2], command)


def output(desk: Desk, there: Small, command: str) -> str:
    """Return what a command prints."""
    command = named(there, command)
    line, pipe, _ = command.partition(" | cat")
    _, *args = shlex.split(line)
    if pipe:
        ran = desk.run_apart(*args)
        return ran.out + ran.err
    shown = plain(desk.on_terminal(*args, columns=110, env={"NO_COLOR": "1"}).out)
    return "".join(
        f"{line.rpartition('\r')[2].rstrip()}\n" for line in shown.removesuffix("\n").split("\n")
    )


def masked(text: str) -> str:
    """Return a text without what differs each time."""
    for pattern, instead in _CHANGES:
        text = pattern.sub(instead, text)
    return text


def main() -> None:
    """Write the outputs anew."""
    with (
        Azurite.start(["keyturn"]) as azurite,
        LocalAzure(SandboxClock.start(60), azurite, "keyturn") as azure,
        tempfile.TemporaryDirectory() as folder,
        shown_desk(azure, Path(folder)) as (desk, there),
    ):
        for page in PAGES:
            outputs = [(output(desk, there, command), text) for command, text in blocks(page)]
            if any(masked(now) != masked(text) for now, text in outputs):
                left = iter(outputs)
                page.write_text(
                    _BLOCK.sub(
                        lambda found, left=left: (  # type: ignore[misc] # bound here
                            f"{named(there, found[1])}{next(left)[0]}{found[4]}"
                        ),
                        page.read_text(),
                    )
                )


if __name__ == "__main__":
    main()
