"""Rows and messages without a server, for tests that live a rotation a hundred times over.

``test_memory.py`` shows that the rows answer as the real tables do.
"""

import itertools
import operator
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from shared.adapters.storage.tables import TABLES, decode, encode
from shared.domain.errors import RowConflictError
from shared.domain.rows import Row
from shared.domain.steps import Step
from shared.domain.work import Outstanding, Work
from shared.ports import Drop, Insert, Kept, Put, QueueState, Replace
from tests.usecases.bench import Bench

_CONDITION = re.compile(r"RowKey (?P<how>ge|gt|lt) '(?P<key>[^']*)'")
_HOW: dict[str, Callable[[str, str], bool]] = {
    "ge": operator.ge,
    "gt": operator.gt,
    "lt": operator.lt,
}
_RANGES: dict[type[Row], Callable[[str], bool]] = {
    Work: lambda key: not key.startswith("todo-"),
    Outstanding: lambda key: key.startswith("todo-"),
}

type _Partition = tuple[str, str]
"""Table and partition key."""


class MemoryQueue:
    """Keeps nothing: ``Life.sent`` does."""

    def send(self, step: Step, *, at: datetime | None = None) -> None:
        """See ``Queue.send``."""

    def state(self) -> QueueState:
        """See ``Queue.state``."""
        return QueueState(waiting=0, poisoned=0)

    def has_due(self) -> bool:
        """See ``Queue.has_due``."""
        return False


class MemoryRows:
    """Rows in the form in which the tables hold them, under ETags."""

    def __init__(self) -> None:
        self._partitions: defaultdict[_Partition, dict[str, tuple[dict[str, Any], str]]] = (
            defaultdict(dict)
        )
        self._etags = map(str, itertools.count(1))

    def tables(self) -> set[str]:
        """Return the names of the tables that have rows."""
        return {table for (table, _), rows in self._partitions.items() if rows}

    def load[T: Row](self, row_type: type[T], partition: str, key: str) -> Kept[T] | None:
        """See ``Rows.load``."""
        found = self._partitions[TABLES[row_type], partition].get(key)
        return Kept(decode(row_type, found[0]), found[1]) if found else None

    def insert[T: Row](self, row: T) -> Kept[T] | None:
        """See ``Rows.insert``."""
        return self._keep(row) if self._found(row) is None else None

    def replace[T: Row](self, kept: Kept[T], row: T) -> Kept[T]:
        """See ``Rows.replace``."""
        self._check(Replace(kept, row))
        return self._keep(row)

    def commit(self, *changes: Insert | Replace[Any] | Put | Drop) -> None:
        """See ``Rows.commit``."""
        for change in changes:
            self._check(change)
        for change in changes:
            if isinstance(change, Drop):
                del self._siblings(change.row)[change.row.address[1]]
            else:
                self._keep(change.row)

    def scan[T: Row](
        self, row_type: type[T], partition: str, *, where: str = ""
    ) -> Iterator[Kept[T]]:
        """See ``Rows.scan``."""
        conditions = [(_HOW[c["how"]], c["key"]) for c in _CONDITION.finditer(where)]
        is_its = _RANGES.get(row_type)
        rows = self._partitions[TABLES[row_type], partition]
        for key in sorted(rows):
            found = rows.get(key)  # none: whoever scans may have dropped it meanwhile
            if found is None or not (is_its is None or is_its(key)):
                continue
            if all(how(key, at) for how, at in conditions):
                yield Kept(decode(row_type, found[0]), found[1])

    def _siblings(self, row: Row) -> dict[str, tuple[dict[str, Any], str]]:
        return self._partitions[TABLES[type(row)], row.address[0]]

    def _found(self, row: Row) -> tuple[dict[str, Any], str] | None:
        return self._siblings(row).get(row.address[1])

    def _keep[T: Row](self, row: T) -> Kept[T]:
        etag = next(self._etags)
        self._siblings(row)[row.address[1]] = encode(row), etag
        return Kept(row, etag)

    def _check(self, change: Insert | Replace[Any] | Put | Drop) -> None:
        """Refuse a change that the tables would refuse.

        Raises:
            RowConflictError: See ``Rows.commit``.
        """
        found = self._found(change.row)
        is_refused = {
            Insert: found is not None,
            Drop: found is None,
            Put: False,
            Replace: isinstance(change, Replace)
            and (found is None or found[1] != change.kept.etag),
        }
        if is_refused[type(change)]:
            raise RowConflictError(f"{'/'.join(change.row.address)} was changed by another step")


def in_memory(
    bench: Bench,
    settings: Mapping[str, str] | None = None,
    policy: Mapping[str, object] | None = None,
) -> Bench:
    """Return a bench at the same Azure whose rows and messages need no server.

    Args:
        bench: Whose Azure it is.
        settings: Its settings; ``None``: those of ``bench``.
        policy: Its policy; ``None``: that of ``bench``.
    """
    return Bench(
        bench.azure,
        bench.settings if settings is None else settings,
        bench.policy if policy is None else policy,
        {"rows": MemoryRows(), "queue": MemoryQueue()},
    )
