"""Rows of which the telemetry hears once they are kept: what is measured is what is on record."""

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from shared.adapters.telemetry.telemetry import Telemetry
from shared.domain.rows import Rotation, Row
from shared.domain.verdicts import Outcome
from shared.domain.work import Work
from shared.ports import Drop, Insert, Kept, Put, Replace, Rows


class MeasuredRows:
    """Keeps rows in others, and adds no read and no write to what is asked of it."""

    def __init__(self, rows: Rows, telemetry: Telemetry) -> None:
        self._rows = rows
        self._telemetry = telemetry

    def load[T: Row](self, row_type: type[T], partition: str, key: str) -> Kept[T] | None:
        """See ``Rows.load``."""
        return self._rows.load(row_type, partition, key)

    def insert[T: Row](self, row: T) -> Kept[T] | None:
        """See ``Rows.insert``. A new rotation keeps the trace context of the step that opens it."""
        if isinstance(row, Rotation):
            row = replace(row, traceparent=self._telemetry.traceparent())
        kept = self._rows.insert(row)
        if kept and isinstance(kept.row, Rotation):
            self._telemetry.opened(kept.row)
        return kept

    def replace[T: Row](self, kept: Kept[T], row: T) -> Kept[T]:
        """See ``Rows.replace``."""
        again = self._rows.replace(kept, row)
        if isinstance(row, Rotation) and row.outcome and not _outcome(kept.row):
            self._telemetry.ended(row)
        return again

    def commit(self, *changes: Insert | Replace[Any] | Put | Drop) -> None:
        """See ``Rows.commit``."""
        self._rows.commit(*changes)
        for change in changes:
            if isinstance(change, Replace) and isinstance(change.row, Work):
                self._telemetry.worked(change.kept.row, change.row)

    def scan[T: Row](
        self, row_type: type[T], partition: str, *, where: str = ""
    ) -> Iterator[Kept[T]]:
        """See ``Rows.scan``."""
        return self._rows.scan(row_type, partition, where=where)


def _outcome(row: Row) -> Outcome | None:
    return row.outcome if isinstance(row, Rotation) else None
