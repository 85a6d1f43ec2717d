"""See that every rotation that lives has a living supervisor, whatever became of its message."""

import logging
from dataclasses import dataclass

from shared.domain.records import Pulse
from shared.domain.rows import BEATS, Beat
from shared.domain.steps import Revive, Supervise
from shared.ports import Clock, Put, Queue, Rows
from shared.usecases.overdue import OVERDUE_AFTER

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviveSupervisors:
    """Send for the supervisors that have been silent for too long. Asks no vault."""

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
