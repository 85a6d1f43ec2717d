"""One writer per resource, across keys and rotations."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.domain.errors import BusyError, KeyturnError, RowConflictError, UnansweredError
from shared.domain.rows import Lease, Rotation
from shared.ports import Clock, Kept, Rows
from shared.usecases.overdue import LEASE, WRITE_TAKES

logger = logging.getLogger(__name__)

_STILL_LATE = timedelta(days=2)
"""Nothing holds a request back for longer; the second look at a key comes after a day."""


@dataclass(slots=True)
class Hold:
    """A lease that is held.

    Attributes:
        until: When it runs out.
        begun: Whether a write was begun under it.
    """

    until: datetime
    begun: bool = False

    def begin(self, now: datetime) -> None:
        """Note that a write is begun.

        Raises:
            BusyError: It might last longer than the lease.
        """
        if now > self.until - WRITE_TAKES:
            raise BusyError("it took too long to begin the write: its lease would run out")
        self.begun = True


@dataclass(frozen=True, slots=True)
class Leases:
    """Takes and gives back the right to write to a resource."""

    rows: Rows
    clock: Clock

    @contextmanager
    def held(self, resource: str, rotation: Rotation) -> Iterator["Hold"]:
        """Hold the lease of a resource for ``rotation`` inside.

        It is given back at the end, unless a write was begun and its fate is not known: then the
        lease runs out by itself, and the next holder learns of it.

        Raises:
            BusyError: Another step holds it, of this rotation or another.
        """
        kept = self._take(resource, rotation)
        hold = Hold(kept.row.until)
        try:
            yield hold
        except UnansweredError:
            raise
        except Exception as error:
            if isinstance(error, KeyturnError) or not hold.begun:
                self._give_back(kept)
            raise
        self._give_back(kept)

    def may_be_undone_by(self, resource: str) -> tuple[str, ...]:
        """Return the versions that a late write of ours may still make the resource name."""
        kept = self.rows.load(Lease, *Lease(resource=resource, until=self.clock.now()).address)
        return tuple(self._late(kept.row)) if kept else ()

    def _late(self, lease: Lease) -> dict[str, datetime]:
        oldest = self.clock.now() - _STILL_LATE
        return {version: at for version, at in lease.unanswered.items() if at > oldest}

    def _take(self, resource: str, rotation: Rotation) -> Kept[Lease]:
        now = self.clock.now()
        mine = Lease(
            resource=resource, holder=rotation.id, target=rotation.target, until=now + LEASE
        )
        kept = self.rows.load(Lease, *mine.address)
        if kept is None:
            if fresh := self.rows.insert(mine):
                return fresh
            raise RowConflictError(f"another step took the lease of {resource} first")
        held = kept.row
        if held.holder and held.until > now:
            raise BusyError(
                f"rotation {held.holder} is writing to {resource}", retry_after=held.until - now
            )
        unanswered = self._late(held)
        if held.holder:
            logger.warning("a write of %s to %s may still arrive", held.target, resource)
            unanswered[held.target] = now
        return self.rows.replace(kept, replace(mine, unanswered=unanswered))

    def _give_back(self, kept: Kept[Lease]) -> None:
        with suppress(RowConflictError):  # it ran out, and another took it
            self.rows.replace(kept, replace(kept.row, holder=""))
