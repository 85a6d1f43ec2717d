"""See how a rotation stands, and conclude it when nothing is open."""

import logging
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

from msgspec.structs import replace

from shared.domain.rows import Beat, Rotation, Scope, Work
from shared.domain.steps import Repoint, Supervise, Verify
from shared.domain.verdicts import Outcome, Verdict, conclude
from shared.domain.work import close
from shared.ports import Clock, Kept, Queue, Rows
from shared.usecases.active import is_active
from shared.usecases.announce import Announce
from shared.usecases.open_rotation import head_of
from shared.usecases.overdue import OVERDUE_AFTER

logger = logging.getLogger(__name__)

OPEN = "open eq true"

BEAT = timedelta(seconds=30)
"""How often a rotation is looked at: each look costs five reads, a write and a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuperviseRotation:
    """One self-renewing message per rotation.

    Concludes when discovery has seen every page and no work is open; sends again the message of
    work that is long overdue. A rotation that a newer one has superseded closes its open work.
    """

    rows: Rows
    queue: Queue
    clock: Clock
    announce: Announce

    def run(self, step: Supervise) -> None:
        """See the class."""
        kept = self.rows.load(Rotation, step.rotation, "rotation")
        if kept is None:
            return
        if kept.row.outcome is not None:
            self._release(kept.row)
        elif not is_active(self.rows, kept.row):
            self._close_open_work(step.rotation)
            self._conclude(kept, Outcome.SUPERSEDED)
        elif self._is_under_way(kept.row):
            self._beat(step.rotation)
        else:
            self._conclude(kept, Outcome.FAILED if kept.row.problem else None)

    def _beat(self, rotation: str) -> None:
        """Nudge, come again, and leave a sign of life. Of two supervisors the later one ends."""
        now = self.clock.now()
        last = self.rows.load(Beat, rotation, "beat")
        if last and now - last.row.at < BEAT / 2:
            return
        self._nudge(rotation)
        self.queue.send(Supervise(rotation=rotation), at=now + BEAT)
        beat = Beat(rotation=rotation, at=now)
        if last:
            self.rows.replace(last, beat)
        else:
            self.rows.insert(beat)

    def _is_under_way(self, rotation: Rotation) -> bool:
        if rotation.scope is None and not rotation.problem:
            return True
        return next(self.rows.scan(Work, rotation.id, where=OPEN), None) is not None

    def _nudge(self, rotation: str) -> None:
        now = self.clock.now()
        limit = f"datetime'{now - OVERDUE_AFTER:%Y-%m-%dT%H:%M:%SZ}'"
        for kept in self.rows.scan(Work, rotation, where=f"{OPEN} and due_at lt {limit}"):
            if kept.row.nudged_at and now - kept.row.nudged_at < OVERDUE_AFTER:
                continue
            logger.warning("overdue since %s: %s", kept.row.due_at, kept.row.resource)
            self.rows.replace(kept, replace(kept.row, nudged_at=now))
            due = Repoint if kept.row.next == "repoint" else Verify
            _, resource = kept.row.address
            self.queue.send(due(rotation=rotation, resource=resource, seq=kept.row.seq))

    def _close_open_work(self, rotation: str) -> None:
        reason = "a newer version of the key took over"
        for kept in self.rows.scan(Work, rotation, where=OPEN):
            now = self.clock.now()
            self.rows.replace(kept, close(kept.row, Verdict.SUPERSEDED, now, reason=reason))

    def _conclude(self, kept: Kept[Rotation], outcome: Outcome | None) -> None:
        counts = Counter[Verdict](
            c.verdict
            for work in self.rows.scan(Work, kept.row.id)
            for c in work.row.consumers
            if c.verdict
        )
        scope = kept.row.scope or Scope()
        ended = replace(
            kept.row,
            counts=dict(counts),
            outcome=outcome
            or conclude(counts, readable=scope.readable, unreadable=scope.unreadable),
            ended_at=self.clock.now(),
        )
        self.rows.replace(kept, ended)
        logger.info("rotation %s ended: %s %s", ended.id, ended.outcome, dict(counts))
        self._release(ended)

    def _release(self, rotation: Rotation) -> None:
        """Say how it ended, and let the key go: both once, or both again after a crash between."""
        head = head_of(self.rows, rotation.key)
        if head.row.active == rotation.id:
            self.announce.ended(rotation)
            self.rows.replace(head, replace(head.row, active=None))
