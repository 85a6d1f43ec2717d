"""Give a resource what it is owed: its versionless form back, or its very existence."""

import logging
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.catalog import kind_named
from shared.domain import work as rows_of_work
from shared.domain.errors import (
    BusyError,
    GoneError,
    PermanentError,
    RejectedError,
    UnansweredError,
    UnavailableError,
    UnreadableError,
)
from shared.domain.json_paths import Json
from shared.domain.keys import KeyVersion
from shared.domain.kinds import Kind
from shared.domain.plans import at_rest, references_to, request_body, restored
from shared.domain.rows import Debt, Rotation, rotation_id
from shared.domain.steps import Pay
from shared.domain.verdicts import Verdict
from shared.domain.work import Intent, Work
from shared.ports import Clock, Kept, Reading, Resources, Rows
from shared.usecases.active import head_if_active
from shared.usecases.announce import Announce
from shared.usecases.leases import Hold, Leases
from shared.usecases.ledger import Ledger
from shared.usecases.overdue import LEASE
from shared.usecases.pace import Pace
from shared.usecases.verify import GONE_ADVICE, MOST_ROUNDS

logger = logging.getLogger(__name__)

FIRST_WAIT = timedelta(seconds=10)
AFTER_REFUSAL = timedelta(minutes=5)
LONGEST_DELETION = timedelta(days=1)
"""After the last of our deletions: one that comes about later is none of ours any more."""

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
    announce: Announce

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
            reason = "what it was before our write is not on record any more"
            self._void(kept, Verdict.FAILED, reason, "look at it, and put it right by hand")
        elif debt.owes == "recreate":
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
        again = kept.row.payments > 1  # once more as it was: a read may lag
        if reading is None:
            self._void(kept, Verdict.GONE, f"there is no {kept.row.resource} any more", GONE_ADVICE)
        elif self._may_be_written(kept.row, reading.body):
            self._wait(kept)
        elif not references_to(kind, reading.body, target.key):
            self._void(kept, Verdict.SKIPPED, f"it refers to {target.key} no longer")
        elif foreign := self._foreign(kind, reading.body, target):
            reason = f"it names {foreign}, which none of our rotations gave it"
            self._void(kept, Verdict.REVERTED, reason, "find out who changed it")
        elif request := restored(kind, reading.body, debt.body, target, again=again):
            kept = self._in_vain(kept, kind, "its versionless form, and shows a version")
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
            kept = self._in_vain(kept, kind, "its definition, and does not show it")
            self._write(kept, kind, debt.body, "", hold)
            return
        now = self.clock.now()
        references = references_to(kind, reading.body, target.key)
        is_ours = bool(references) and all(r.pinned == target for r in references)
        begun = kept.row.accepted_at or debt.since
        if is_ours and (at_rest(reading.body) or now > begun + kind.pinned.length):
            logger.info("there again: %s", kept.row.resource)
            self._paid(kept)
        elif is_ours or now < debt.since + LEASE or not at_rest(reading.body):
            self._wait(kept)  # it is coming, or going and does not show it
        elif not _is_as_it_was(kind, reading.body, debt, target):
            # Somebody has made it anew, or changed it: what it is now is planned on.
            logger.warning("there, and not as we knew it: %s", kept.row.resource)
            self._end(kept, rows_of_work.reopen(rows_of_work.paid(kept.row)))
        elif kept.row.rounds < MOST_ROUNDS and self._may_delete(kept.row):
            self._delete_again(kept, kind, debt, hold)
        else:
            said = self._undeleted(kept)
            if now < debt.since + LONGEST_DELETION:
                self._wait(said)
            else:
                self._end(kept, rows_of_work.paid(said.row))
            if said is not kept:
                self.announce.stuck(said.row, str(target), said.row.consumers[0].reason)

    def _undeleted(self, kept: Kept[Work]) -> Kept[Work]:
        """Say that the deletion does not come about, unless the work has its verdict already."""
        if any(consumer.verdict for consumer in kept.row.consumers):
            return kept
        reason = "Azure accepts its deletion time after time, and it is still there as it was"
        advice = "see its events; should it go after all within a day, it is made again"
        now = self.clock.now()
        stuck = rows_of_work.close(kept.row, Verdict.STUCK, now, reason=reason, advice=advice)
        return Kept(stuck, kept.etag)

    def _foreign(self, kind: Kind, body: Json, target: KeyVersion) -> KeyVersion | None:
        """Return a version that the resource names, and that no rotation of ours moves it to."""
        named = {r.pinned for r in references_to(kind, body, target.key) if r.pinned} - {target}
        return next((v for v in named if not self._is_ours(v)), None)

    def _is_ours(self, version: KeyVersion) -> bool:
        return self.rows.load(Rotation, rotation_id(version, 1), "rotation") is not None

    def _may_delete(self, work: Work) -> bool:
        """Whether the rotation goes on: nothing is taken away for one that was stopped."""
        rotation = self.rows.load(Rotation, work.rotation, "rotation")
        head = head_if_active(self.rows, rotation.row) if rotation else None
        return head is not None and not head.row.paused

    def _delete_again(self, kept: Kept[Work], kind: Kind, debt: Debt, hold: Hold) -> None:
        """Delete it once more, under the same debt: the first time does not show."""
        logger.warning("there after all: %s", kept.row.resource)
        now = self.clock.now()
        again = replace(kept.row, rounds=kept.row.rounds + 1, sent=kept.row.sent + 1)
        kept = Kept(again, kept.etag)
        hold.begin(now)
        try:
            self.resources.delete(kind, kept.row.resource, request_id=str(uuid.uuid4()))
        except UnavailableError as error:
            raise UnansweredError(str(error), retry_after=error.retry_after) from error
        except (BusyError, GoneError, UnreadableError) as error:
            logger.info("%s", error)  # the next look sees what is so
        except PermanentError as error:
            self._refused(kept, kind, error)
            return
        else:
            self.ledger.owe(kept.row, replace(debt, since=now))
        self.ledger.change(kept, rows_of_work.pay_at(kept.row, now + LEASE))

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
        except UnreadableError as error:  # it said yes, and nobody can read to what
            raise UnansweredError(str(error)) from error
        except GoneError as error:  # what it lay in was deleted
            never_made = Kept(replace(work, accepted_at=None), kept.etag)
            self._void(never_made, Verdict.GONE, str(error), GONE_ADVICE)
            return
        logger.info("accepted: %s is asked to %s", work.resource, work.owes)
        work = replace(work, sent=work.sent + 1)
        if work.owes == "recreate":  # it is this write that names the target
            work = replace(
                work,
                intent=intent,
                accepted_at=now,
                correlation_id=accepted.correlation_id,
                operation=accepted.operation,
            )
        self._see(Kept(work, kept.etag))

    def _wait(self, kept: Kept[Work], wait: timedelta = FIRST_WAIT) -> None:
        """Look again, later each time: nothing could be paid yet."""
        doubts = kept.row.doubts
        again = rows_of_work.pay_at(kept.row, self._in(wait, doubts))
        self.ledger.change(kept, replace(again, doubts=doubts + 1))

    def _see(self, kept: Kept[Work]) -> None:
        """Look again, later each time: a payment was accepted."""
        payments = kept.row.payments
        again = rows_of_work.pay_at(kept.row, self._in(FIRST_WAIT, payments))
        self.ledger.change(kept, replace(again, payments=payments + 1))

    def _in(self, wait: timedelta, tries: int) -> datetime:
        return self.clock.now() + min(wait * (1 << min(tries, 10)), LONGEST_WAIT)

    def _refused(self, kept: Kept[Work], kind: Kind, error: PermanentError) -> None:
        """Say so, and try again later: nobody but us knows what the resource was."""
        logger.error("cannot %s %s: %s", kept.row.owes, kept.row.resource, error)
        if not any(c.verdict is Verdict.FAILED for c in kept.row.consumers):
            kept = Kept(replace(kept.row, doubts=0), kept.etag)  # the waits so far do not count
        self._wait(Kept(self._failed(kept, kind, error), kept.etag), AFTER_REFUSAL)

    def _in_vain(self, kept: Kept[Work], kind: Kind, what: str) -> Kept[Work]:
        """Say so once enough payments have been accepted, and none has shown."""
        if kept.row.payments < MOST_ROUNDS:
            return kept
        return Kept(self._failed(kept, kind, RejectedError(f"Azure accepts {what}")), kept.etag)

    def _failed(self, kept: Kept[Work], kind: Kind, error: PermanentError) -> Work:
        now = self.clock.now()
        return rows_of_work.close_with_error(kept.row, kind, Verdict.FAILED, now, error)

    def _paid(self, kept: Kept[Work]) -> None:
        """End the debt; what was ``failed``, or has no verdict, is still to be proven."""
        work, now = rows_of_work.paid(kept.row), self.clock.now()
        if {c.verdict for c in work.consumers} & {None, Verdict.FAILED, Verdict.STUCK}:
            again = rows_of_work.look_at(rows_of_work.reopen(work), now)
            # What was made again has its time from the write that made it, not from this look on.
            is_made = kept.row.owes == "recreate"
            work = replace(again, read_at=work.read_at) if is_made else again
        self._end(kept, work)

    def _void(self, kept: Kept[Work], verdict: Verdict, reason: str, advice: str = "") -> None:
        work, now = rows_of_work.paid(kept.row), self.clock.now()
        self._end(kept, rows_of_work.close(work, verdict, now, reason=reason, advice=advice))

    def _end(self, kept: Kept[Work], work: Work) -> None:
        self.ledger.change(kept, work)
        self.ledger.forget_debt(work)


def _is_as_it_was(kind: Kind, body: Json, debt: Debt, target: KeyVersion) -> bool:
    """Whether the resource is still the one whose definition the debt holds."""
    moving = references_to(kind, body, target.key)
    return bool(moving) and request_body(kind, body, moving, target) == debt.body
