"""What a person may do to a rotation: approve it, pause it, let it go on, stop it, try again."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.domain.callers import Caller
from shared.domain.errors import NotActiveError, NotPermittedError, RowConflictError
from shared.domain.keys import Key
from shared.domain.records import EXPIRING, Act, Action, Request
from shared.domain.resources import digest
from shared.domain.rows import Cause, KeyHead, Rotation
from shared.domain.steps import RotateKey, Supervise
from shared.domain.work import Stage, reopen
from shared.ports import Clock, Kept, Policies, Queue, Rows
from shared.usecases.active import head_if_active
from shared.usecases.acts import keep_act, rotation_asked
from shared.usecases.ask import AskForRotation, rules_to_act
from shared.usecases.ledger import Ledger


@dataclass(frozen=True, slots=True)
class _Wish:
    """Who wants what, and why."""

    action: Action
    by: Caller
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SteerRotation:
    """Change what a rotation may do, on the head of its key: every write looks there first.

    Nothing is rolled back: what has moved stays, and what has a verdict keeps it. Each method
    keeps who did it and why, and returns the id under which to see what becomes of it.

    Raises (all of them):
        NotFoundError: There is no such rotation.
        NotActiveError: It has ended, was cancelled, or a newer version has taken over.
    """

    rows: Rows
    queue: Queue
    clock: Clock
    ledger: Ledger
    ask: AskForRotation
    policies: Policies

    def pause(self, asked: str, reason: str, by: Caller) -> str:
        """Let nothing more be written; what was written is still proven."""
        wish = _Wish("pause", by, reason)
        return self._change(
            asked, wish, lambda head, _: replace(head, paused=reason, paused_itself=False)
        )

    def resume(self, asked: str, reason: str, by: Caller) -> str:
        """Let it go on, whatever has failed so far; an approval it still needs."""

        def go_on(head: KeyHead, rotation: Rotation) -> KeyHead:
            failed = sum(
                kept.row.failed
                for stage in (Stage.UNSETTLED, Stage.OPEN)  # what owes something stays open
                for kept in self.ledger.outstanding(rotation.id, stage)
            )
            return replace(head, paused="", paused_itself=False, tolerated=failed)

        return self._change(asked, _Wish("resume", by, reason), go_on)

    def cancel(self, asked: str, reason: str, by: Caller) -> str:
        """Stop it for good: what is open is closed as ``cancelled``.

        A request for a new version is taken back, as long as the vault was not asked for it.

        Raises:
            NotPermittedError: The policy wants the version, and nobody asked for it.
        """
        wish = _Wish("cancel", by, reason)
        request = self.rows.load(Request, asked, "request")
        if request and not request.row.rotation:
            return self._take_back(request, wish)
        return self._change(asked, wish, lambda head, _: replace(head, cancelled=reason))

    def approve(self, asked: str, reason: str, by: Caller) -> str:
        """Let it begin writes for as long as its rules say; or have the vault make a version.

        Raises:
            NotPermittedError: Nobody is named, or it is who asked for the rotation; or the policy
                lets Keyturn only observe the key by now.
            NotAllowedError: The policy does not let Keyturn manage the key by now.
            PolicyError: The policy cannot be used.
        """
        if not by.id:
            raise NotPermittedError("an approval needs a name, and a function key names nobody")
        wish = _Wish("approve", by, reason)
        request = self.rows.load(Request, asked, "request")
        if request and request.row.cancelled:
            raise NotActiveError(f"request {asked} was taken back: {request.row.cancelled}")
        if request and request.row.needs_approval:
            return self._approve_request(request, wish)
        rotation = rotation_asked(self.rows, asked)
        self._head(rotation)
        if by.id in self._askers(rotation):
            raise NotPermittedError(f"{by.name} asked for rotation {rotation.id}: another approves")
        until = self.clock.now() + timedelta(hours=rotation.rules.approval_hours)
        return self._change(
            rotation.id,
            wish,
            lambda head, _: replace(head, approved_until=until, approval_asked_at=None),
            until=until,
        )

    def retry(self, asked: str, reason: str, by: Caller) -> str:
        """Take up again what ended unsettled: in the rotation, or in a new run if it has ended.

        What has paused for its failures goes on: they are tried again first. A person's pause
        stays.
        """
        rotation = rotation_asked(self.rows, asked)
        if rotation.outcome is None:
            self._head(rotation)
            if self._is_reopened(rotation.id):
                # Also where it is not paused: a look that is about to pause it looks again.
                wish = _Wish("retry", by, reason)
                return self._change(rotation.id, wish, lambda head, _: _unpaused(head))
        key = Key.parse(rotation.key)
        return self.ask.run(key, reason=reason, new_version=False, by=by).id

    def _is_reopened(self, rotation: str) -> bool:
        """Take the unsettled work of a rotation up again; return whether the rotation goes on.

        It may be ending at the same time: then the work gets its verdicts back.
        """
        taken = []
        for entry in self.ledger.outstanding(rotation, Stage.UNSETTLED):
            work = self.ledger.load(rotation, entry.row.resource)
            if work and work.row.stage is Stage.UNSETTLED:
                self.ledger.change(work, reopen(work.row))
                taken.append(work.row)
        if self._goes_on(rotation):
            return True
        for before in taken:
            work = self.ledger.load(rotation, digest(before.resource))
            if work and work.row.stage is Stage.OPEN:
                self.ledger.change(work, replace(before, seq=work.row.seq + 1))
        return False

    def _goes_on(self, rotation: str) -> bool:
        """Return whether a rotation has not ended; a step that is about to end it looks again."""
        while kept := self.rows.load(Rotation, rotation, "rotation"):
            if kept.row.outcome is not None:
                break
            with suppress(RowConflictError):
                self.rows.replace(kept, kept.row)
                return True
        return False

    def _change(
        self,
        asked: str,
        wish: _Wish,
        change: Callable[[KeyHead, Rotation], KeyHead],
        until: datetime | None = None,
    ) -> str:
        rotation = rotation_asked(self.rows, asked)
        head = self._head(rotation)
        self.rows.replace(head, change(head.row, rotation))
        return self._go_on(rotation, wish, until)

    def _take_back(self, kept: Kept[Request], wish: _Wish) -> str:
        """Take a request back. Under its ETag, so that whoever is about to serve it looks again."""
        request = kept.row
        if request.cancelled:
            return request.id
        if request.id.startswith(EXPIRING):
            raise NotPermittedError(
                f"request {request.id} is the policy's, which would make it again: have the policy"
                f" alarm or ignore for {request.key} what it asks for now (nearExpiry, expired,"
                " overage)"
            )
        if request.problem and not request.needs_approval:
            raise NotActiveError(f"request {request.id} has failed: {request.problem}")
        if not request.new_version or request.vault_asked_at or request.unexpire:
            raise NotActiveError(
                f"request {request.id} is being served: see how it stands, and cancel its rotation"
            )
        self.rows.replace(kept, replace(request, cancelled=wish.reason))
        self._keep(request.id, wish, None)
        return request.id

    def _approve_request(self, kept: Kept[Request], wish: _Wish) -> str:
        request = kept.row
        if request.by and request.by.id == wish.by.id:
            raise NotPermittedError(f"{wish.by.name} made request {request.id}: another approves")
        key = Key.parse(request.key)
        rules = rules_to_act(self.policies.current(), key, new_version=True)
        until = self.clock.now() + timedelta(hours=rules.approval_hours)
        cause = Cause(trigger="operator", id=request.id, reason=request.reason, by=request.by)
        # Queued first: without the row's word the step waits, and the approval is asked again.
        self.queue.send(RotateKey(key=request.key, cause=cause, request=request.id))
        agreed = replace(request, needs_approval=False, approved_until=until, problem="")
        self.rows.replace(kept, agreed)
        self._keep(request.id, wish, until)
        return request.id

    def _go_on(self, rotation: Rotation, wish: _Wish, until: datetime | None = None) -> str:
        self._keep(rotation.id, wish, until)
        self.queue.send(Supervise(rotation=rotation.id))
        return rotation.id

    def _keep(self, about: str, wish: _Wish, until: datetime | None) -> None:
        keep_act(
            self.rows,
            self.clock,
            about,
            wish.action,
            by=wish.by,
            reason=wish.reason,
            until=until,
        )

    def _askers(self, rotation: Rotation) -> Iterator[str]:
        """Yield the ids of those who wanted the rotation, or wanted it to try again."""
        if rotation.cause.by:
            yield rotation.cause.by.id
        for kept in self.rows.scan(Act, rotation.id):
            if kept.row.action in ("ask", "retry"):
                yield kept.row.by.id

    def _head(self, rotation: Rotation) -> Kept[KeyHead]:
        """Return the head of the rotation's key.

        Raises:
            NotActiveError: It has ended, was cancelled, or a newer version has taken over.
        """
        head = head_if_active(self.rows, rotation)
        if head is None:
            raise NotActiveError(
                f"rotation {rotation.id} moves nothing any more: it is"
                f" {rotation.outcome or 'superseded or cancelled'}"
            )
        return head


def _unpaused(head: KeyHead) -> KeyHead:
    paused = "" if head.paused_itself else head.paused
    return replace(head, paused=paused, paused_itself=False)
