"""Give a resource what it is owed: its versionless form back, or its very existence."""

import logging
import uuid
from dataclasses import dataclass
from datetime import timedelta

from msgspec.structs import replace

from shared.catalog import kind_named
from shared.domain import work as rows_of_work
from shared.domain.errors import (
    GoneError,
    PermanentError,
    RejectedError,
    UnansweredError,
    UnavailableError,
)
from shared.domain.json_paths import Json
from shared.domain.keys import KeyVersion
from shared.domain.kinds import Kind
from shared.domain.plans import at_rest, references_to, restored
from shared.domain.rows import Debt, Rotation
from shared.domain.steps import Pay
from shared.domain.verdicts import Verdict
from shared.domain.work import Intent, Work
from shared.ports import Clock, Kept, Reading, Resources, Rows
from shared.usecases.leases import Hold, Leases
from shared.usecases.ledger import Ledger
from shared.usecases.overdue import LEASE
from shared.usecases.pace import Pace
from shared.usecases.verify import GONE_ADVICE, MOST_ROUNDS

logger = logging.getLogger(__name__)

FIRST_WAIT = timedelta(seconds=10)
AFTER_REFUSAL = timedelta(minutes=5)
LONGEST_WAIT = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleDebt:
    """Pay what a resource is owed, whatever has become of its rotation.

    Superseded, cancelled, paused, refused: none of it ends this. The debt was kept before the
    write that made it necessary; it ends when a fresh read shows that it is paid, or that it is
    void since somebody else has deleted, replaced or re-pointed the resource. A verdict that was
    given meanwhile stands from then on; without one, the resource is still to be proven.
    """

    resources: Resources
    rows: Rows
    clock: Clock
    ledger: Ledger
    leases: Leases
    pace: Pace

    def run(self, step: Pay) -> None:
        """See the class. What is refused is ``failed``, and tried again all the same."""
        kept = self.ledger.load(step.rotation, step.resource)
        if kept is None or kept.row.seq != step.seq or not kept.row.owes:
            return
        rotation = self.rows.load(Rotation, step.rotation, "rotation")
        if rotation is None:
            return
        self.pace.await_turn(kept.row)
        kind, target = kind_named(kept.row.kind), KeyVersion.parse(rotation.row.target)
        with self.leases.held(kept.row.resource, rotation.row) as hold:
            try:
                self._pay(kept, kind, target, hold)
            except PermanentError as error:
                self._refused(kept, kind, error)

    def _pay(self, kept: Kept[Work], kind: Kind, target: KeyVersion, hold: Hold) -> None:
        debt, reading = self.ledger.debt_of(kept.row), self._read(kind, kept.row)
        if debt is None:
            raise RejectedError(f"what {kept.row.resource} was is not on record any more")
        if debt.owes == "recreate":
            self._recreate(kept, kind, target, debt, reading, hold)
        else:
            self._restore(kept, kind, target, debt, reading, hold)

    def _may_be_written(self, work: Work, body: Json) -> bool:
        """Whether the write that made the debt, or another, is under way."""
        is_unanswered = work.intent is not None and work.accepted_at is None
        is_new = work.intent is not None and self.clock.now() < work.intent.at + LEASE
        return (is_unanswered and is_new) or not at_rest(body)

    def _restore(  # noqa: PLR0913, PLR0917 - the parts of a step
        self,
        kept: Kept[Work],
        kind: Kind,
        target: KeyVersion,
        debt: Debt,
        reading: Reading | None,
        hold: Hold,
    ) -> None:
        if reading is None:
            self._void(kept, Verdict.GONE, f"there is no {kept.row.resource} any more", GONE_ADVICE)
        elif self._may_be_written(kept.row, reading.body):
            self._again(kept, FIRST_WAIT)
        elif not references_to(kind, reading.body, target.key):
            self._void(kept, Verdict.SKIPPED, f"it refers to {target.key} no longer")
        elif request := restored(kind, reading.body, debt.body, target):
            self._write(kept, kind, request, reading.etag, hold)
        else:
            logger.info("versionless again: %s", kept.row.resource)
            self._paid(kept)

    def _recreate(  # noqa: PLR0913, PLR0917 - the parts of a step
        self,
        kept: Kept[Work],
        kind: Kind,
        target: KeyVersion,
        debt: Debt,
        reading: Reading | None,
        hold: Hold,
    ) -> None:
        if reading is None:
            self._write(kept, kind, debt.body, "", hold)
            return
        references = references_to(kind, reading.body, target.key)
        if references and all(r.pinned == target for r in references):
            logger.info("there again: %s", kept.row.resource)
            self._paid(kept)
        elif self.clock.now() < debt.since + LEASE or not at_rest(reading.body):
            self._again(kept, FIRST_WAIT)  # the delete takes its time, and does not show yet
        elif kept.row.rounds < MOST_ROUNDS:
            # It did not come about, or somebody made it anew: what it is now is planned on.
            logger.warning("there after all, not as we would make it: %s", kept.row.resource)
            again = rows_of_work.reopen(rows_of_work.paid(kept.row))
            self._end(kept, replace(again, rounds=again.rounds + 1))
        else:
            reason = "Azure accepts its deletion time after time, and it is still there as it was"
            self._void(kept, Verdict.STUCK, reason, "see its events; delete it and make it by hand")

    def _read(self, kind: Kind, work: Work) -> Reading | None:
        try:
            return self.resources.read(kind, work.resource)
        except GoneError:
            return None

    def _write(self, kept: Kept[Work], kind: Kind, request: Json, etag: str, hold: Hold) -> None:
        """Pay by a write. The next step sees whether it has come about."""
        work, now = kept.row, self.clock.now()
        intent = Intent(request_id=str(uuid.uuid4()), at=now)
        hold.begin(now)
        try:
            accepted = self.resources.write(
                kind, work.resource, request, request_id=intent.request_id, etag=etag
            )
        except UnavailableError as error:
            raise UnansweredError(str(error), retry_after=error.retry_after) from error
        logger.info("accepted: %s is asked to %s", work.resource, work.owes)
        if work.owes == "recreate":  # it is this write that names the target
            work = replace(
                work,
                intent=intent,
                accepted_at=now,
                correlation_id=accepted.correlation_id,
                operation=accepted.operation,
            )
        self._again(Kept(work, kept.etag), FIRST_WAIT)

    def _again(self, kept: Kept[Work], wait: timedelta) -> None:
        tries = kept.row.payments
        due_at = self.clock.now() + min(wait * (1 << min(tries, 10)), LONGEST_WAIT)
        again = rows_of_work.pay_at(kept.row, due_at)
        self.ledger.change(kept, replace(again, payments=tries + 1))

    def _refused(self, kept: Kept[Work], kind: Kind, error: PermanentError) -> None:
        """Say so, and try again later: nobody but us knows what the resource was."""
        logger.error("cannot %s %s: %s", kept.row.owes, kept.row.resource, error)
        failed = rows_of_work.close_with_error(
            kept.row, kind, Verdict.FAILED, self.clock.now(), error
        )
        self._again(Kept(failed, kept.etag), AFTER_REFUSAL)

    def _paid(self, kept: Kept[Work]) -> None:
        """End the debt; what was ``failed``, or has no verdict, is still to be proven."""
        work, now = rows_of_work.paid(kept.row), self.clock.now()
        if {c.verdict for c in work.consumers} & {None, Verdict.FAILED}:
            work = rows_of_work.look_at(rows_of_work.reopen(work), now)
        self._end(kept, work)

    def _void(self, kept: Kept[Work], verdict: Verdict, reason: str, advice: str = "") -> None:
        work, now = rows_of_work.paid(kept.row), self.clock.now()
        self._end(kept, rows_of_work.close(work, verdict, now, reason=reason, advice=advice))

    def _end(self, kept: Kept[Work], work: Work) -> None:
        self.ledger.change(kept, work)
        self.ledger.forget_debt(work)
