"""Close what a poisoned message stood for: nothing waits for ever, and nothing ends unseen."""

import logging
from dataclasses import dataclass

from msgspec.structs import replace

from shared.domain.findings import Finding, Severity
from shared.domain.records import Refusal
from shared.domain.resources import digest
from shared.domain.rows import Foresight, Phase, Rotation, Search
from shared.domain.steps import (
    Discover,
    Open,
    Pay,
    Preflight,
    Refuse,
    Repoint,
    Revive,
    RotateKey,
    Step,
    Supervise,
    SweepVault,
    Verify,
    Watch,
)
from shared.domain.verdicts import Verdict
from shared.domain.work import close
from shared.ports import Clock, Queue, Rows
from shared.usecases.ledger import Ledger
from shared.usecases.open_rotation import note_problem
from shared.usecases.overdue import OVERDUE_AFTER
from shared.usecases.trouble import why_failed, work_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuryStep:
    """Handle a step that failed five times."""

    rows: Rows
    queue: Queue
    clock: Clock
    ledger: Ledger

    def run(self, step: Step) -> None:
        """See the class."""
        logger.error("given up after five failures: %s", step)
        match step:
            case Repoint():
                self._close(step, Verdict.FAILED)
            case Verify():
                self._close(step, Verdict.UNKNOWN)
            case Pay():
                self._close(step, Verdict.FAILED)
            case Discover():
                self._fail_discovery(step)
            case Preflight():
                self._note_unseen(step)
            case Open() | RotateKey():
                note_problem(self.rows, step, self._why(step))
            case Supervise():
                later = self.clock.now() + OVERDUE_AFTER
                self.queue.send(Supervise(rotation=step.rotation), at=later)
            case SweepVault() | Watch() | Revive() | Refuse():
                pass  # the next sweep comes by itself; a refusal was logged when it was made

    def run_unreadable(self, message: bytes, why: str) -> None:
        """Keep a message that is no step of ours: one of a later Keyturn, or a stranger's.

        Also an event that could not be made a step.
        """
        text = message.decode(errors="replace")
        logger.error("kept as refused: %s", why)
        now = self.clock.now()
        self.rows.insert(Refusal(event_id=digest(text), problem=f"{why}: {text}"[:5000], at=now))

    def _why(self, step: Step) -> str:
        return why_failed(self.rows, self.ledger, step)

    def _close(self, step: Repoint | Verify | Pay, verdict: Verdict) -> None:
        kept = work_of(self.ledger, step)
        if kept is None:
            return
        reason = self._why(step)
        advice = "report it; the resource itself may be on either version: read it, then retry"
        closed = close(kept.row, verdict, self.clock.now(), reason=reason, advice=advice)
        if closed.owes:  # it is tried on and on, but not at once
            closed = replace(closed, due_at=self.clock.now() + OVERDUE_AFTER)
        self.ledger.change(kept, closed)

    def _note_unseen(self, step: Preflight) -> None:
        text = f"not looked at: the vault and the version: {self._why(step)}"
        finding = Finding(severity=Severity.WARNING, code="not_looked_at", text=text)
        self.rows.insert(
            Foresight(rotation=step.rotation, at=self.clock.now(), findings=(finding,))
        )

    def _fail_discovery(self, step: Discover) -> None:
        kept = self.rows.load(Rotation, step.rotation, "rotation")
        fresh = Search(rotation=step.rotation, closing=step.closing, at=self.clock.now())
        search = self.rows.load(Search, *fresh.address)
        phase = Phase.CLOSING if step.closing else Phase.DISCOVERING
        is_current = search is None or search.row.page == step.page
        if kept and kept.row.outcome is None and kept.row.phase is phase and is_current:
            self.rows.replace(kept, replace(kept.row, problem=self._why(step)))
