"""Take somebody's wish to rotate a key."""

import uuid
from dataclasses import dataclass

from shared.domain.callers import NOBODY, Caller
from shared.domain.errors import AlreadyUsedError, NotPermittedError
from shared.domain.keys import Key
from shared.domain.policy import Mode, Policy, Rules
from shared.domain.records import Pending, Request
from shared.domain.rows import Cause
from shared.domain.steps import Open, RotateKey
from shared.ports import Clock, Policies, Queue, Rows
from shared.usecases.announce import Announce


@dataclass(frozen=True, slots=True, kw_only=True)
class AskForRotation:
    """Keep the wish, then queue it. Its id answers for the rotation that serves it."""

    rows: Rows
    queue: Queue
    clock: Clock
    policies: Policies
    announce: Announce

    def run(
        self, key: Key, *, reason: str, new_version: bool, by: Caller = NOBODY, once: str = ""
    ) -> Request:
        """Return the request that was kept.

        Args:
            key: Whose consumers are to be moved.
            reason: The caller's words; they stand in the rotation's record.
            new_version: Whether the vault is to make a new version first. Where the policy asks
                for approvals, somebody else has to agree before it does.
            by: Who asks.
            once: The caller's ``Idempotency-Key``: the same wish under it is one wish, however
                often it is sent. Empty: each is another.

        Raises:
            NotAllowedError: The policy does not let Keyturn manage the key.
            NotPermittedError: The policy lets it only observe the key.
            AlreadyUsedError: ``once`` was used for another wish.
            PolicyError: The policy cannot be used.
        """
        mode = rules_to_act(self.policies.current(), key, new_version=new_version).mode
        request = Request(
            id=f"req-{_id_of(by, once)}",
            key=str(key),
            reason=reason,
            new_version=new_version,
            asked_at=self.clock.now(),
            by=by,
            needs_approval=new_version and mode is Mode.APPROVE,
        )
        return self._queued(self._kept(request))

    def _kept(self, request: Request) -> Request:
        # Before anything is written: what is refused here must not be served.
        kept = self.rows.load(Request, *request.address)
        if kept and _wish_of(kept.row) != _wish_of(request):
            raise _already_used()
        # Ahead of the request: with it alone, a lost message would be lost for good.
        self._await(request)
        kept = kept or self.rows.insert(request) or self.rows.load(Request, *request.address)
        if kept is None or _wish_of(kept.row) != _wish_of(request):
            raise _already_used()
        return kept.row

    def _await(self, request: Request) -> None:
        """Have the sweep look after a request; the first wish under its id is the one that counts.

        Raises:
            AlreadyUsedError: It looks after another wish, whose request is about to be kept, or
                was to be by somebody who died.
        """
        step = _step(request)
        fresh = Pending(request=request.id, step=step, at=request.asked_at)
        while (pending := self.rows.load(Pending, *fresh.address)) is None:
            self.rows.insert(fresh)
        if _wish_in(pending.row.step) != _wish_in(step):
            raise _already_used()

    def _queued(self, request: Request) -> Request:
        """Queue what serves the request: again, too, if whoever kept it died before."""
        if request.cancelled:  # the same wish, sent again after it was taken back
            return request
        if request.needs_approval:
            self.announce.request_needs_approval(request)
            return request
        self.queue.send(_step(request))
        return request


def _wish_of(request: Request) -> tuple[str, str, bool]:
    return request.key, request.reason, request.new_version


def _wish_in(step: Open | RotateKey) -> tuple[str, str, bool]:
    return step.key, step.cause.reason, isinstance(step, RotateKey)


def _already_used() -> AlreadyUsedError:
    return AlreadyUsedError(
        "this Idempotency-Key was used for another request: use a new one for a new wish"
    )


def _step(request: Request) -> Open | RotateKey:
    cause = Cause(trigger="operator", id=request.id, reason=request.reason, by=request.by)
    step = RotateKey if request.new_version else Open
    return step(key=request.key, cause=cause, request=request.id)


def rules_to_act(policy: Policy, key: Key, *, new_version: bool) -> Rules:
    """Return what holds for a key of which somebody wants a rotation, or first a new version.

    Raises:
        NotAllowedError: The policy does not let Keyturn manage the key.
        NotPermittedError: The policy lets it only observe the key.
    """
    policy.check_manages(key)
    rules = policy.rules_for(key)
    if new_version and rules.mode is Mode.OBSERVE:
        raise NotPermittedError(
            f"the policy lets Keyturn only observe {key}: make the version in the vault"
        )
    return rules


def _id_of(by: Caller, once: str) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{by.id}\n{once}") if once else uuid.uuid4()
