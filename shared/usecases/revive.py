"""See that no rotation and no request waits for ever, whatever became of its message."""

import logging
from dataclasses import dataclass

from msgspec.structs import replace

from shared.domain.records import PENDING, Pending, Pulse, Request
from shared.domain.rows import BEATS, Beat
from shared.domain.steps import Revive, Supervise
from shared.ports import Clock, Drop, Kept, Put, Queue, Rows
from shared.usecases.overdue import OVERDUE_AFTER

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviveSupervisors:
    """Send for the supervisors that have been silent for too long, and again what serves requests.

    Asks no vault.
    """

    rows: Rows
    queue: Queue
    clock: Clock

    def run(self, step: Revive) -> None:
        """See the class; that the timer runs is noted, for whoever asks after our health."""
        now = self.clock.now()
        if step.at:
            self.rows.commit(Put(Pulse(at=step.at, ran_at=now, next_at=step.next_at)))
        for kept in self.rows.scan(Beat, BEATS):
            if kept.row.at + OVERDUE_AFTER < now:
                logger.warning("rotation %s: silent since %s", kept.row.rotation, kept.row.at)
                self.queue.send(Supervise(rotation=kept.row.rotation))
        for pending in self.rows.scan(Pending, PENDING):
            if pending.row.at + OVERDUE_AFTER < now:
                self._ask_again(pending)

    def _ask_again(self, pending: Kept[Pending]) -> None:
        """Queue what serves a request once more, unless it has its answer or waits for a person."""
        kept = self.rows.load(Request, pending.row.request, "request")
        request = kept.row if kept else None  # none: it was never kept itself
        if request is None or request.rotation or request.problem or request.cancelled:
            self.rows.commit(Drop(pending.row))
        elif not request.needs_approval:
            logger.warning("request %s: silent since %s", request.id, pending.row.at)
            self.rows.replace(pending, replace(pending.row, at=self.clock.now()))
            self.queue.send(pending.row.step)
