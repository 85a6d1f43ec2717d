"""Fifty thousand consumers pass through, and are not held."""

import json
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from cli.console import Format, Terminal
from cli.output import Column, builtins, write_rows
from shared.adapters.planes import NoConfigFiles
from shared.domain.json_paths import Json
from shared.domain.keys import Key, KeyVersion, VersionState
from shared.domain.tallies import Tally
from shared.ports import ANY_VAULT, Page
from shared.usecases.pace import Pace
from shared.usecases.search import EveryKey, SearchEstate
from shared.usecases.take_inventory import TakeInventory
from shared.wiring.laptop import NoRows

ROWS = 500
KEY = Key("kv1.vault.azure.net", "cmk")
VERSION = KeyVersion(KEY, "a" * 32)
WHEN = datetime(2026, 11, 1, tzinfo=UTC)


class Clock:
    """Stands still."""

    def now(self) -> datetime:
        return WHEN


class Estate:
    """As many storage accounts as the test wants, made when their page is asked for."""

    def __init__(self, pages: int, sink: "Sink") -> None:
        self._pages = pages
        self._sink = sink
        self.written: list[int] = []
        """How many lines had been written when each page was asked for."""

    def page(self, *, vault: str, subscriptions: Sequence[str], token: str) -> Page:
        assert vault == ANY_VAULT
        assert len(subscriptions) == 1
        number = int(token or 0)
        self.written.append(self._sink.lines)
        rows = [_account(number * ROWS + each) for each in range(ROWS)]
        return Page(rows, str(number + 1) if number + 1 < self._pages else "")

    def parents(self, **_: object) -> Page:
        return Page((), "")

    def tally(self, *_: object) -> Tally:
        return Tally()

    def subscriptions(self) -> Sequence[str]:
        return ["00000000-0000-0000-0000-000000000001"]

    def lacking(self, *_: object) -> Sequence[str]:
        return ()


class Vaults:
    """One key, and how often it was asked for."""

    asked = 0

    def current(self, _: Key) -> VersionState:
        self.asked += 1
        return VersionState(id=VERSION, created=WHEN, enabled=True)

    def versions(self, key: Key) -> Sequence[VersionState]:
        return [self.current(key)]


def _account(number: int) -> Json:
    path = "/subscriptions/0/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts"
    return {
        "id": f"{path}/st{number:06}",
        "type": "microsoft.storage/storageaccounts",
        "location": "westeurope",
        "properties": {
            "encryption": {
                "keySource": "Microsoft.Keyvault",
                "keyvaultproperties": {
                    "keyvaulturi": f"https://{KEY.vault}",
                    "keyname": KEY.name,
                    "keyversion": VERSION.version,
                    "currentVersionedKeyIdentifier": str(VERSION),
                },
            },
            "filler": "x" * 500,
        },
    }


@dataclass
class Sink:
    """A stdout that only counts."""

    lines: int = 0

    def write(self, text: str) -> int:
        self.lines += text.count("\n")
        return len(text)

    def isatty(self) -> bool:
        return False

    def flush(self) -> None:
        pass


def written(
    form: Format, monkeypatch: pytest.MonkeyPatch, *, pages: int
) -> tuple[int, Sink, Estate, Vaults]:
    """Take the inventory of an estate of so many pages; return how many lines were written."""
    sink = Sink()
    estate: Any = Estate(pages, sink)
    vaults: Any = Vaults()
    search = SearchEstate(
        inventory=estate,
        resources=estate,
        files=NoConfigFiles(),
        rows=NoRows(),
        pace=Pace(rows=NoRows(), clock=Clock()),
        sources=(),
    )
    inventory = TakeInventory(estate=search, resources=estate, vaults=vaults, clock=Clock())
    monkeypatch.setattr("sys.stdout", sink)
    lines = inventory.run(EveryKey(), (), fresh=False, disabled="", progress=lambda _: None)
    columns = (Column("name", lambda row: row["name"]),)
    number = write_rows(Terminal(form, quiet=True), (builtins(line) for line in lines), columns)
    return number, sink, estate, vaults


@pytest.mark.parametrize("form", list(Format))
def test_each_page_is_written_before_the_next_but_one_is_asked_for(
    form: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, sink, estate, vaults = written(form, monkeypatch, pages=10)
    assert number == 10 * ROWS
    assert sink.lines >= number
    for page, lines in enumerate(estate.written):
        assert lines >= (page - 1) * ROWS
    assert vaults.asked == 2, "what a vault says of a key is asked for once"


def test_fifty_thousand_consumers_are_one_array(monkeypatch: pytest.MonkeyPatch) -> None:
    number, sink, estate, _ = written(Format.JSON, monkeypatch, pages=100)
    assert number == 50_000
    assert sink.lines == number + 2
    assert len(estate.written) == 100


def test_memory_does_not_grow_with_the_estate(monkeypatch: pytest.MonkeyPatch) -> None:
    def peak(pages: int) -> int:
        tracemalloc.start()
        try:
            written(Format.JSON, monkeypatch, pages=pages)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1)  # what is made once is made by now
    assert peak(8) < 1.25 * peak(2)


def test_the_first_lines_come_before_the_last_page_is_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[int] = []

    def rows() -> Iterator[dict[str, Any]]:
        for number in range(3):
            asked.append(len(capsys.readouterr().out))
            yield {"n": number}

    write_rows(Terminal(Format.JSON, quiet=True), rows(), ())
    assert asked[1] > 0
    assert json.loads("[" + capsys.readouterr().out.lstrip(",")) == [{"n": 2}]
