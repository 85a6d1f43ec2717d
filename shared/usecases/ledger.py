"""Keep a rotation's work: its rows, the index of what is not done, and what is known for good."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from shared.catalog import find_kind
from shared.domain.errors import BusyError, RowConflictError
from shared.domain.kinds import Completion
from shared.domain.resources import digest
from shared.domain.rows import Debt, Known, Row, debt_address
from shared.domain.steps import Pay, Repoint, Verify
from shared.domain.verdicts import PROVEN, Verdict
from shared.domain.work import (
    SHARDS,
    Next,
    Outstanding,
    Stage,
    Wave,
    Work,
    outstanding_prefix,
    work_address,
)
from shared.ports import Drop, Insert, Kept, Put, Queue, Replace, Rows

_STEPS: Mapping[Next, type[Repoint | Verify | Pay]] = {
    "repoint": Repoint,
    "verify": Verify,
    "confirm": Verify,
    "pay": Pay,
}


@dataclass(frozen=True, slots=True)
class Ledger:
    """The only writer of ``Work`` and of its index ``Outstanding``, which change together."""

    rows: Rows
    queue: Queue

    def load(self, rotation: str, resource: str) -> Kept[Work] | None:
        """Return the work of a rotation on a resource, given by its digest."""
        return self.rows.load(Work, *work_address(rotation, resource))

    def add(self, work: Work) -> bool:
        """Keep new work; return whether it was new."""
        try:
            self.rows.commit(Insert(work), *self._indexed(work))
        except RowConflictError:
            return False
        return True

    def change(self, kept: Kept[Work], work: Work) -> None:
        """Keep ``work`` in the place of what was read, and queue its next look if that has a time.

        Raises:
            RowConflictError: Somebody changed it since.
        """
        if work.stage is not Stage.OPEN:
            self._remember(work)
        entry, earlier = Outstanding.of(work), Outstanding.of(kept.row)
        leaves = [] if entry.address == earlier.address else [Drop(earlier)]
        self.rows.commit(Replace(kept, work), *leaves, *self._indexed(work))
        if work.due_at:
            self.send(entry)

    def send(self, entry: Outstanding) -> None:
        """Queue the step of an entry for when it is due."""
        step = _STEPS[entry.next]
        self.queue.send(
            step(rotation=entry.rotation, resource=entry.resource, seq=entry.seq), at=entry.due_at
        )

    def put_off(self, work: Work, until: datetime) -> None:
        """Note that the step which is due now will run then: it is not overdue before."""
        entry = Outstanding.of(work)
        kept = self.rows.load(Outstanding, *entry.address)
        if kept and kept.row.seq == work.seq:
            self.rows.replace(kept, replace(kept.row, due_at=until))

    def owe(self, work: Work, debt: Debt) -> None:
        """Keep a debt, ahead of the write that makes it necessary.

        While the resource is away no inventory shows it: what it is known to hold is kept, too.

        Raises:
            BusyError: Another rotation owes the resource something.
        """
        kept = self.rows.load(Debt, *debt.address)
        if kept and kept.row.rotation != work.rotation:
            other = self.load(kept.row.rotation, digest(work.resource))
            if other and other.row.owes:
                raise BusyError(f"{work.resource} is owed something by another rotation")
        self._remember(work)
        self.rows.commit(Put(debt))

    def debt_of(self, work: Work) -> Debt | None:
        """Return what ``work`` owes; ``None`` if nothing of that is on record."""
        kept = self.rows.load(Debt, *debt_address(work.resource))
        return kept.row if kept and kept.row.rotation == work.rotation else None

    def forget_debt(self, work: Work) -> None:
        """Remove what ``work`` owed, which is paid."""
        if debt := self.debt_of(work):
            self.rows.commit(Drop(debt))

    def is_missed(self, work: Work) -> bool:
        """Return whether another rotation has deleted the resource, and will make it again."""
        kept = self.rows.load(Debt, *debt_address(work.resource))
        if kept is None or kept.row.rotation == work.rotation:
            return False
        other = self.load(kept.row.rotation, digest(work.resource))
        return other is not None and other.row.owes == "recreate"

    def is_doubted(self, work: Work) -> bool:
        """Return whether what a resource shows proves nothing; see ``Known.doubted``."""
        fresh = Known(key=work.key, resource=work.resource, kind=work.kind, location=work.location)
        kept = self.rows.load(Known, *fresh.address)
        return kept is not None and kept.row.doubted

    def outstanding(
        self, rotation: str, stage: Stage, wave: Wave | None = None
    ) -> Iterator[Kept[Outstanding]]:
        """Yield what is not done and in this stage, and in this wave if one is given."""
        prefix = outstanding_prefix(stage, wave)
        where = f"RowKey ge '{prefix}' and RowKey lt '{prefix}~'"
        return self._shards(Outstanding, rotation, where)

    def all(self, rotation: str) -> Iterator[Kept[Work]]:
        """Yield all work of a rotation."""
        return self._shards(Work, rotation, "")

    def _shards[T: Row](self, row_type: type[T], rotation: str, where: str) -> Iterator[Kept[T]]:
        for shard in range(SHARDS):
            yield from self.rows.scan(row_type, f"{rotation}-{shard}", where=where)

    def _indexed(self, work: Work) -> list[Put]:
        return [] if work.stage is Stage.DONE else [Put(Outstanding.of(work))]

    def _remember(self, work: Work) -> None:
        """Note on which versions the consumers of a resource have been seen.

        What was never read is not known to hold anything. Done before the work itself is changed:
        a crash between the two repeats both.
        """
        fresh = Known(key=work.key, resource=work.resource, kind=work.kind, location=work.location)
        kept = self.rows.load(Known, *fresh.address)
        left = {Verdict.GONE, Verdict.SKIPPED}
        places = tuple(c.place for c in work.consumers if c.verdict not in left)
        if places and all(consumer.pinned is None for consumer in work.consumers):
            return
        known = kept.row if kept else fresh
        is_others = known.rotation not in ("", work.rotation)
        versions = dict(known.versions)
        for consumer in work.consumers:
            seen = versions.get(consumer.place, ())
            # Another rotation has read the resource since a broken-off one did.
            is_stale = is_others and consumer.verdict in (Verdict.SUPERSEDED, Verdict.CANCELLED)
            for version in consumer.seen_on:
                if not is_stale:
                    seen = (*(each for each in seen if each != version), version)
                elif version not in seen:
                    seen = (version, *seen)
            versions[consumer.place] = seen
        known = replace(
            known,
            versions=versions,
            places=places,
            holds=bool(places),
            rotation=work.rotation,
            doubted=_is_doubted(work, was=known.doubted),
        )
        if kept is None:
            self.rows.insert(known)
        elif known != kept.row:
            self.rows.replace(kept, known)


def _is_doubted(work: Work, *, was: bool) -> bool:
    """Whether a write to a resource was not seen to end well; see ``Known.doubted``."""
    if work.consumers and all(consumer.verdict in PROVEN for consumer in work.consumers):
        return False
    kind = find_kind(work.kind)
    is_told = kind is not None and kind.write.completion is Completion.OPERATION
    return was or (is_told and work.intent is not None)
