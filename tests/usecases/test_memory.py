"""The rows that need no server answer as the real tables do."""

from random import Random

import pytest
from msgspec.structs import replace

from shared.domain.errors import RowConflictError
from shared.domain.rows import Row
from shared.domain.work import Outstanding, Stage, Wave, Work, outstanding_prefix
from shared.ports import Drop, Insert, Kept, Put, Replace, Rows
from tests.usecases.bench import Bench
from tests.usecases.memory import MemoryRows


def _work(bench: Bench, name: str) -> Work:
    return Work(
        rotation="r-1",
        key="https://kv-bench.vault.azure.net/keys/cmk",
        resource=f"/subscriptions/s/resourceGroups/g/providers/P.Q/t/{name}",
        kind="storage_account",
        location="westeurope",
        found_at=bench.clock.now(),
    )


class Session:
    """One of the two, with what was last read of each row."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.read: dict[tuple[str, str], Kept[Work]] = {}

    def answer(self, act: str, row: Work) -> object:
        """Return what an operation comes to, in words that do not depend on ETags."""
        try:
            return self._answer(act, row)
        except RowConflictError:
            return "conflict"

    def _answer(self, act: str, row: Work) -> object:
        kept = self.read.get(row.address)
        match act:
            case "load":
                return self._load(row)
            case "scan":
                return self._scan(row)
            case "insert":
                return (made := self.rows.insert(row)) and made.row
            case "put":
                self.rows.commit(Put(row))
            case "drop":
                self.rows.commit(Drop(row))
            case "add":
                self.rows.commit(Insert(row), Put(Outstanding.of(row)))
            case "replace" if kept:
                self.read[row.address] = self.rows.replace(kept, row)
            case "change" if kept:
                self.rows.commit(Replace(kept, row), Put(Outstanding.of(row)))
        return "done"

    def _load(self, row: Work) -> Work | None:
        found = self.rows.load(Work, *row.address)
        if found:
            self.read[row.address] = found
        return found.row if found else None

    def _scan(self, row: Work) -> list[Row]:
        partition, key = row.address
        some = f"RowKey ge '{outstanding_prefix(Stage.OPEN)}'"
        return [
            *(kept.row for kept in self.rows.scan(Work, partition)),
            *(kept.row for kept in self.rows.scan(Work, partition, where=f"RowKey gt '{key}'")),
            *(kept.row for kept in self.rows.scan(Outstanding, partition, where=some)),
        ]


@pytest.mark.parametrize("seed", range(4))
def test_rows_in_memory_answer_as_the_tables_do(stored_bench: Bench, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - to be the same again, not to be secret
    real, memory = Session(stored_bench.rows), Session(MemoryRows())
    works = [_work(stored_bench, f"r{number}") for number in range(2)]
    acts = ["load", "insert", "replace", "put", "drop", "change", "add", "scan"]
    said: set[str] = set()
    for _ in range(60):
        act, work = random.choice(acts), random.choice(works)
        row = replace(work, wave=random.choice([*Wave]), seq=random.randrange(9))
        one, other = real.answer(act, row), memory.answer(act, row)
        assert one == other, act
        said.add(f"{act}: {one if isinstance(one, str) else bool(one)}")
    assert len(said) >= len(acts) + 3  # the same acts, with other answers
