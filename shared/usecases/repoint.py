"""Make one resource refer to the target."""

import logging
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.catalog import kind_named
from shared.domain import work as rows_of_work
from shared.domain.errors import (
    BusyError,
    ChangedError,
    GoneError,
    PermanentError,
    RefusedWriteError,
    RejectedError,
    ThrottledError,
    UnansweredError,
    UnavailableError,
    UnreadableError,
)
from shared.domain.json_paths import Json
from shared.domain.keys import KeyVersion
from shared.domain.kinds import Completion, Kind
from shared.domain.permit import why_held, why_left
from shared.domain.plans import (
    Allowed,
    Manual,
    Needed,
    Outrun,
    Repoint,
    Skip,
    VerifyOnly,
    needed_first,
    plan,
    references_to,
)
from shared.domain.resources import Reference
from shared.domain.rows import Debt, KeyHead, Rotation
from shared.domain.steps import Repoint as RepointStep
from shared.domain.steps import Verify
from shared.domain.verdicts import Verdict
from shared.domain.work import Intent, Wave, Work
from shared.ports import Accepted, Clock, Kept, Policies, Reading, Resources, Rows, Vaults
from shared.usecases.active import head_if_active, under_policy, why_not_active
from shared.usecases.ages import ages_of, target_of
from shared.usecases.guards import owner_of, why_not_written
from shared.usecases.leases import Hold, Leases
from shared.usecases.ledger import Ledger
from shared.usecases.overdue import LEASE
from shared.usecases.pace import Pace
from shared.usecases.verify import VerifyResource

logger = logging.getLogger(__name__)


MOST_WRITES = 8
"""Without an answer, one after the other: some four hours."""

LONGEST_PATIENCE = timedelta(hours=1)

PREPARATION = timedelta(seconds=15)
"""Between two looks at what must be there before a write (recorded: SQL server keys, seconds)."""
_UNANSWERED_ADVICE = (
    "find that client request id in the subscription's activity log: whether Azure Resource Manager"
    " got the request, and what became of it; then retry, or rotate again"
)

_DOUBT = (
    "it shows the new version, and so it may after a write that has failed: the operation of an"
    " earlier write of ours did, or was not seen to end"
)
_DOUBT_ADVICE = (
    "see in the subscription's activity log whether a write of this version has succeeded since;"
    " then settle it by hand, or have another version made"
)


class HeldBackError(Exception):
    """A step whose last try raised may not run again yet. For the host, which delivers it again."""


@dataclass(frozen=True, slots=True)
class _Right:
    """What lets a step write: the resource's lease, and the key's head as it was then."""

    hold: Hold
    head: KeyHead


@dataclass(frozen=True, slots=True)
class _Sending:
    """A write that was planned: what is sent, guarded by what, under which lease."""

    kind: Kind
    planned: Repoint
    reading: Reading
    hold: Hold


@dataclass(frozen=True, slots=True, kw_only=True)
class RepointResource:
    """Read a resource, plan on what was read, and write if the plan says so.

    (1) Load the work; a message with another ``seq`` is stale. (2) Take the resource's lease.
    (3) Read policy and head: superseded, cancelled or held? (4) Read the resource and plan.
    (5) Save the intent: what the references were, and under which request id we are about to
    write. (6) Read the head once more, and write. (7) Save that it was accepted, schedule the
    look, give the lease back. A message that returns after a crash finds the intent, reads again,
    and keeps the recorded *before*.
    """

    resources: Resources
    vaults: Vaults
    rows: Rows
    clock: Clock
    ledger: Ledger
    leases: Leases
    pace: Pace
    verify: VerifyResource
    policies: Policies

    def run(self, step: RepointStep) -> None:
        """See the class. What cannot be done closes the work with a verdict."""
        kept = self.ledger.load(step.rotation, step.resource)  # (1)
        if kept is None or kept.row.seq != step.seq:
            return
        opened = self.rows.load(Rotation, step.rotation, "rotation")
        if opened is None:
            return
        self.pace.await_turn(kept.row)
        kind = kind_named(kept.row.kind)
        if kept.row.through:  # it has no reference of its own: there is nothing to move
            self.verify.run(Verify(rotation=step.rotation, resource=step.resource, seq=step.seq))
            return
        if kept.row.owes == "recreate":  # it may be deleted by now: nothing else matters
            self.ledger.change(kept, rows_of_work.pay_at(kept.row, self.clock.now()))
            return
        if reason := _why_given_up(kept.row):
            self._close(kept, Verdict.FAILED, reason, _UNANSWERED_ADVICE)
            return
        self._await_intent(kept.row)
        with self.leases.held(kept.row.resource, opened.row) as hold:  # (2)
            rotation = under_policy(self.policies, opened.row)  # (3)
            head = self._head_to_write(kept, rotation)
            if head is None:
                return
            try:
                self._move(kept, rotation, kind, _Right(hold, head))
            except GoneError as error:
                self.verify.close_gone(kept, error)
            except PermanentError as error:
                refused = isinstance(error, RefusedWriteError)
                self._close_with_error(
                    kept, kind, Verdict.FAILED if refused else Verdict.UNKNOWN, error
                )

    def _head_to_write(self, kept: Kept[Work], rotation: Rotation) -> KeyHead | None:
        """Return the head if the rotation may write now; if not, close the work or set it aside."""
        head, now = head_if_active(self.rows, rotation), self.clock.now()
        if head is None:
            self._close(kept, *why_not_active(self.rows, rotation))
            return None
        why = why_held(head.row, rotation, now)
        if why and kept.row.owes:
            self.ledger.change(kept, rows_of_work.pay_at(kept.row, now))
        elif why:
            logger.info("set aside: %s: %s", kept.row.resource, why)
            self.ledger.change(kept, rows_of_work.set_aside(kept.row))
        return None if why else head.row

    def _move(self, kept: Kept[Work], rotation: Rotation, kind: Kind, right: "_Right") -> None:
        target = target_of(rotation)
        reading = self.resources.read(kind, kept.row.resource)  # (4)
        body = reading.body
        references, in_use = references_to(kind, body, target.id.key), kind.version_in_use(body)
        # What follows the vault on its own is nudged only where the vault leads it to the target.
        rules = rotation.rules
        wants_nudge = rules.versionless == "nudge" or kept.row.owes == "restore"
        may_nudge = wants_nudge and kind.may_nudge and not rotation.current_problem
        named = [*(r.pinned for r in references), in_use if may_nudge else None]
        ages = ages_of(self.vaults, named, target)
        seen = rows_of_work.observe(kept.row, references, in_use, self.clock.now())
        kept = Kept(seen, kept.etag)
        allowed = Allowed(nudge=may_nudge, recreate=rules.recreate_container_groups)
        match plan(kind, body, target, ages, allowed):
            case Skip():
                self._close(kept, Verdict.SKIPPED, f"it refers to {target.id.key} no longer")
            case Manual(_, reason, advice):
                self._close(kept, Verdict.MANUAL, reason, advice)
            case Outrun(references, reason):
                self._outrun(kept, references, reason)
            case VerifyOnly() if self._is_in_doubt(kept.row, kind):
                self._close(kept, Verdict.MANUAL, _DOUBT, _DOUBT_ADVICE)
            case VerifyOnly():
                self.verify.judge(kept, rotation, kind, body)
            case Repoint() if kept.row.wave is Wave.NO_WRITE:
                logger.info("the inventory was behind, it must be moved: %s", kept.row.resource)
                held = rows_of_work.hold(kept.row)
                self.ledger.change(kept, replace(held, wave=Wave.REST))
            case Repoint() as planned:
                sending = _Sending(kind, planned, reading, right.hold)
                if self._may_write(kept, rotation, sending, right.head) and self._is_prepared(
                    kept, kind, target.id
                ):
                    self._write(kept, rotation, sending)

    def _is_in_doubt(self, work: Work, kind: Kind) -> bool:
        return kind.write.completion is Completion.OPERATION and self.ledger.is_doubted(work)

    def _may_write(
        self, kept: Kept[Work], rotation: Rotation, sending: "_Sending", head: KeyHead
    ) -> bool:
        """Return whether the resource is ours to write to; if it is not, close the work.

        Raises:
            BusyError: Another change of it is under way.
        """
        work, body, why, advice = kept.row, sending.reading.body, "", ""
        if not work.decided:
            why, advice = why_left(head, rotation, body, self.clock.now())
        if not why and (owner := owner_of(self.resources, work.resource, body)):
            self.verify.await_owner(kept, rotation, sending.kind, owner)
            return False
        if not why:
            why, advice = why_not_written(
                self.resources, sending.kind, work.resource, body, sending.planned
            )
        if why:
            self._close(kept, Verdict.MANUAL, why, advice)
        return not why

    def _is_prepared(self, kept: Kept[Work], kind: Kind, target: KeyVersion) -> bool:
        """Return whether what must be there before the write is; if it cannot be, close the work.

        Raises:
            BusyError: It is being made.
        """
        needed = needed_first(kind, kept.row.resource, target)
        if needed is None or self._is_there(kind, needed):
            return True
        try:
            self._make(kept, kind, needed)
        except PermanentError as error:
            self._close_with_error(kept, kind, Verdict.FAILED, error)
            return False
        raise BusyError(f"its {needed.title} is being made", retry_after=PREPARATION)

    def _is_there(self, kind: Kind, needed: Needed) -> bool:
        try:
            self.resources.read(kind, needed.resource)
        except GoneError:
            return False
        return True

    def _make(self, kept: Kept[Work], kind: Kind, needed: Needed) -> None:
        """Have it made, or see that its making goes on.

        Raises:
            PermanentError: It was refused, has failed, or does not come.
        """
        work, now = kept.row, self.clock.now()
        if work.prepared_at is None:
            accepted = self.resources.write(
                kind, needed.resource, needed.body, request_id=str(uuid.uuid4()), etag=""
            )
            self.rows.replace(kept, replace(work, prepared_at=now, preparing=accepted.operation))
        elif work.preparing and (error := self.resources.progress(work.preparing).failure):
            raise error
        elif now - work.prepared_at > LONGEST_PATIENCE:
            raise RejectedError(f"{needed.resource} was accepted, and is not there an hour later")

    def _write(self, kept: Kept[Work], rotation: Rotation, sending: "_Sending") -> None:
        before, now, planned = kept.row, self.clock.now(), sending.planned
        intent = Intent(request_id=str(uuid.uuid4()), at=now, policy=rotation.policy)
        if planned.owes:
            self.ledger.owe(before, _debt(before, planned, sending.reading.body, now))
        about_to = replace(
            before,
            intent=intent,
            decided=True,
            accepted_at=None,
            writes=before.writes + 1,
            sent=before.sent + 1,
            doubts=0,
            owes=planned.owes or before.owes,
            note=planned.note,
            trouble="",
        )
        kept = self.rows.replace(kept, about_to)  # (5)
        unsent = Kept(before, kept.etag)
        if self._head_to_write(unsent, under_policy(self.policies, rotation)) is None:
            self._owe_nothing_new(before)
            return
        try:
            sending.hold.begin(self.clock.now())
            accepted = self._send(sending, before.resource, intent)  # (6)
        except (ThrottledError, BusyError, ChangedError):
            # This one was surely not taken; an earlier one may be.
            self.rows.replace(kept, before)
            self._owe_nothing_new(before)
            raise
        except UnavailableError as error:
            raise UnansweredError(str(error), retry_after=error.retry_after) from error
        except UnreadableError as error:  # it said yes, and nobody can read to what
            raise UnansweredError(str(error)) from error
        except GoneError as error:
            self._owe_nothing_new(before)
            owing = Kept(replace(kept.row, owes=before.owes), kept.etag)
            if planned.owes == "recreate":
                self.verify.close_gone(owing, error)
            else:  # the resource itself was read just now
                self._close_with_error(owing, sending.kind, Verdict.FAILED, error)
        except PermanentError as error:
            self._owe_nothing_new(before)
            refused = Kept(replace(kept.row, owes=before.owes), kept.etag)
            self._close_with_error(refused, sending.kind, Verdict.FAILED, error)
        else:
            self._accepted(kept, rotation, sending.kind, accepted)  # (7)

    def _owe_nothing_new(self, work: Work) -> None:
        """Forget the debt of a write that was surely not made."""
        if not work.owes:
            self.ledger.forget_debt(work)

    def _send(self, sending: "_Sending", resource: str, intent: Intent) -> Accepted:
        kind, request_id = sending.kind, intent.request_id
        if sending.planned.owes == "recreate":
            return self.resources.delete(kind, resource, request_id=request_id)
        return self.resources.write(
            kind,
            resource,
            sending.planned.body,
            request_id=request_id,
            etag=sending.reading.etag,
        )

    def _accepted(
        self, kept: Kept[Work], rotation: Rotation, kind: Kind, accepted: Accepted
    ) -> None:
        logger.info("accepted: %s is asked to use %s", kept.row.resource, rotation.target)
        moved = replace(
            kept.row,
            decided=False,
            accepted_at=self.clock.now(),
            writes=0,
            correlation_id=accepted.correlation_id,
            operation=accepted.operation,
        )
        if moved.owes == "recreate":
            self.ledger.change(kept, rows_of_work.pay_at(moved, self.clock.now()))
            return
        self.verify.look_later(Kept(moved, kept.etag), rotation, kind)

    def _await_intent(self, work: Work) -> None:
        """Give a write that may still be under way the time to end; more after each of them.

        Raises:
            BusyError: It may be; look again when it cannot be any more.
            HeldBackError: Likewise, and the last step raised what nobody foresaw: the message's
                deliveries must be used up, or it would never reach the poison queue.
        """
        if work.intent is None or work.accepted_at is not None:
            return
        patience = min(LEASE * (1 << max(work.writes - 1, 0)), LONGEST_PATIENCE)
        left = work.intent.at + patience - self.clock.now()
        if left <= timedelta():
            return
        if work.trouble:
            raise HeldBackError(f"held back for {left}: the last try raised {work.trouble}")
        raise BusyError(f"a write to {work.resource} may be under way", retry_after=left)

    def _outrun(self, kept: Kept[Work], references: tuple[Reference, ...], reason: str) -> None:
        pinned = [r.pinned for r in references if r.pinned]
        states = [self.vaults.version(version) for version in pinned]
        problems = [why for s in states if (why := s.why_unusable(self.clock.now()))]
        if problems:
            advice = "make that version usable again, or point the resource by hand"
            self._close(kept, Verdict.MANUAL, f"{reason}, which is {problems[0]}", advice)
        else:
            self._close(kept, Verdict.SUPERSEDED, reason)

    def _close_with_error(
        self, kept: Kept[Work], kind: Kind, verdict: Verdict, error: PermanentError
    ) -> None:
        now = self.clock.now()
        closed = rows_of_work.close_with_error(kept.row, kind, verdict, now, error)
        self.ledger.change(kept, closed)

    def _close(self, kept: Kept[Work], verdict: Verdict, reason: str, advice: str = "") -> None:
        now = self.clock.now()
        closed = rows_of_work.close(kept.row, verdict, now, reason=reason, advice=advice)
        self.ledger.change(kept, closed)


def _why_given_up(work: Work) -> str:
    """Return why no more is written: no write has got an answer; empty: it may be."""
    if work.intent is None or work.accepted_at is not None or work.writes < MOST_WRITES:
        return ""
    return (
        f"{work.writes} writes to {work.resource} got no answer, the last of them at"
        f" {work.intent.at:%Y-%m-%d %H:%M:%S} UTC as request {work.intent.request_id}"
    )


def _debt(work: Work, planned: Repoint, body: Json, now: datetime) -> Debt:
    return Debt(
        resource=work.resource,
        rotation=work.rotation,
        owes=planned.owes,
        body=planned.body if planned.owes == "recreate" else body,
        since=now,
    )
