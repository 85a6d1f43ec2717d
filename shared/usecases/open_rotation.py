"""Open a rotation: the vault decides to which version, never the event."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.domain.errors import BusyError, PermanentError
from shared.domain.keys import Key, KeyVersion, VersionState
from shared.domain.policy import Policy
from shared.domain.records import Act, Gap, Opened, Request
from shared.domain.rows import BEATS, Beat, KeyHead, Rotation, rotation_id
from shared.domain.steps import Discover, Open, Preflight, RotateKey, Supervise
from shared.domain.targets import choose_target
from shared.ports import Clock, Kept, Policies, Queue, Rows, Vaults
from shared.usecases.announce import Announce
from shared.usecases.overdue import OVERDUE_AFTER
from shared.usecases.refuse import let_go
from shared.usecases.usage import has_consumers

logger = logging.getLogger(__name__)

FIRST_BEAT_WITHIN = timedelta(minutes=5)
"""How soon the supervisor of a new rotation looks for the first time."""

FURTHEST_DELAY = timedelta(hours=24)
"""A version that becomes valid later than this is left to the sweep."""

EVENT_WITHIN = timedelta(minutes=10)
"""A version older than this that no event has told of has been missed; events take seconds."""

SETTLES_WITHIN = timedelta(minutes=10)
"""How long a change of what a vault allows is given to hold everywhere. Source: SQL Database's page
on customer-managed keys, which says so of permissions; for other services it is assumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRotation:
    """Look at a key and, if its newest usable version is not handled yet, open a rotation to it.

    Events come late, twice, in any order, for first versions and for disabled ones, so an event
    says no more than "look at this key". Running it again is safe at every point: the rotation's
    id follows from the target, and what a crash left undone is done by the message's return.
    """

    vaults: Vaults
    rows: Rows
    queue: Queue
    clock: Clock
    announce: Announce
    policies: Policies

    def run(self, step: Open) -> None:
        """See the class. A key that cannot be read is noted on its head and on the request."""
        try:
            self._run(step)
        except PermanentError as error:
            note_problem(self.rows, step, str(error))

    def _run(self, step: Open) -> None:
        key, now = Key.parse(step.key), self.clock.now()
        policy = self.policies.current()
        if not self._is_wished(step):
            logger.error("nothing opened for %s: request %s is another's", step.key, step.request)
            return
        if not policy.manages(key):
            answer_request(self.rows, step, problem=let_go(self.rows, step, now))
            return
        head = head_of(self.rows, step.key)
        if self._served(step, head.row) or (step.recheck and not self._may_recheck(head.row, now)):
            return
        current = self.vaults.current(key)
        self._free(head.row)
        under_way = self._is_under_way(head.row) and not head.row.cancelled
        if not (under_way or _wanted(head.row, current, step, now)):
            self._leave(step, head.row, current)
            return
        choice = choose_target(self.vaults.versions(key), current, now)
        is_told = step.cause.trigger == "event" and not step.recheck
        if is_told and (choice.target is None or choice.target.id != current.id):
            head = self._note_told(head, current)
        if choice.again_at and choice.again_at - now <= FURTHEST_DELAY:
            self._look_again(step, choice.again_at)
        if choice.target is None:
            note_problem(self.rows, step, f"nothing to move to: {choice.problem}")
        elif not (under_way or _wanted(head.row, choice.target, step, now)):
            self._leave(step, head.row, choice.target)
        else:
            target = self.vaults.version(choice.target.id)
            self._note_gap(head.row, target, current, step, now)
            self._start(head, self._rotation(head.row, target, choice.problem, step, policy), step)

    def _leave(self, step: Open, head: KeyHead, version: VersionState) -> None:
        """Leave a key to the rotation that has handled its version, and say so on the request."""
        logger.info("nothing to do: %s is handled", version.id)
        answer_request(self.rows, step, rotation=rotation_id(version.id, head.run))

    def _may_recheck(self, head: KeyHead, now: datetime) -> bool:
        """Return whether a handled key is looked at again, since the vault allows other things.

        Such changes come in bursts, and each is looked at when it has had its time to hold: a look
        that has begun within that time serves it too.
        """
        if head.handled is None or not has_consumers(self.rows, head.key):
            return False
        last = rotation_id(KeyVersion.parse(head.handled), head.run)
        kept = self.rows.load(Rotation, last, "rotation")
        return head.active is None and not (kept and now - kept.row.opened_at < SETTLES_WITHIN)

    def _note_told(self, head: Kept[KeyHead], current: VersionState) -> Kept[KeyHead]:
        """Note that an event has told of a version that cannot be moved to yet."""
        if head.row.told == str(current.id):
            return head
        return self.rows.replace(head, replace(head.row, told=str(current.id)))

    def _note_gap(
        self, head: KeyHead, target: VersionState, current: VersionState, step: Open, now: datetime
    ) -> None:
        """Tell of a version that no event has told of, once; a managed HSM sends no events.

        Of a key that was never handled nobody can say: it may be older than the subscription.
        """
        new = head.handled is not None and str(target.id) not in (head.handled, head.told)
        late = target.id == current.id and now - target.created > EVENT_WITHIN
        is_missed = step.cause.trigger == "sweep" and new and late
        if not is_missed or target.id.key.is_managed_hsm:
            return
        gap = Gap(key=step.key, version=str(target.id), created=target.created, at=now)
        if self.rows.load(Rotation, rotation_id(target.id, 1), "rotation"):
            return  # handled once, and left for another since
        if self.rows.load(Gap, *gap.address):
            return
        logger.error("no event has told of %s, made at %s", target.id, target.created)
        self.announce.event_gap(target.id, target.created)
        self.rows.insert(gap)

    def _free(self, head: KeyHead) -> None:
        """Have a rotation that has ended let the key go, should it have died before it did."""
        active = self.rows.load(Rotation, head.active, "rotation") if head.active else None
        if active and active.row.outcome is not None:
            self.queue.send(Supervise(rotation=active.row.id))

    def _look_again(self, step: Open, when: datetime) -> None:
        """Come back when a version becomes valid; a sweep need not, since the next one will."""
        if step.cause.trigger != "sweep":
            self.queue.send(step, at=when)

    def _rotation(
        self,
        head: KeyHead,
        target: VersionState,
        current_problem: str | None,
        step: Open,
        policy: Policy,
    ) -> Rotation:
        run = self._run_number(head, target)
        id_ = rotation_id(target.id, run)
        is_again = head.handled == str(target.id) and head.active is None
        return Rotation(
            id=id_,
            key=str(target.id.key),
            target=str(target.id),
            target_created=target.created,
            key_type=target.key_type or "",
            bits=target.bits,
            expires=target.expires,
            operations=target.operations,
            run=run,
            cause=step.cause,
            opened_at=self.clock.now(),
            policy=policy.digest,
            rules=policy.rules_for(target.id.key),
            request=step.request,
            overtaken=self._overtaken(head, id_),
            recheck=is_again and (step.recheck or step.cause.trigger == "sweep"),
            current_problem=current_problem or "",
        )

    def _overtaken(self, head: KeyHead, by: str) -> str:
        """Return what a rotation takes over from, also where whoever opened it died half-way."""
        if head.active == by:
            return head.overtaken
        return (head.active or "") if self._is_under_way(head) else ""

    def _start(self, head: Kept[KeyHead], rotation: Rotation, step: Open) -> None:
        is_ours, approved = (
            head.row.active == rotation.id,
            self._approved_until(step, rotation.target),
        )
        if is_ours and approved and approved > (head.row.approved_until or rotation.opened_at):
            head = self.rows.replace(head, replace(head.row, approved_until=approved))
        if not is_ours:  # under the head's ETag, so that one message alone opens a run
            paused = self._still_paused(head.row, rotation)
            active = KeyHead(
                key=head.row.key,
                active=rotation.id,
                handled=rotation.target,
                told=head.row.told,
                run=rotation.run,
                overtaken=rotation.overtaken,
                paused=paused,
                approved_until=approved,
            )
            head = self.rows.replace(head, active)
        opened_at = rotation.opened_at
        self.rows.insert(Opened(rotation=rotation.id, key=rotation.key, at=opened_at))
        # From the first moment, so that the sweep finds it should all its messages be lost.
        self.rows.insert(Beat(rotation=rotation.id, at=opened_at, since=opened_at))
        self.rows.insert(rotation)
        answer_request(self.rows, step, rotation=rotation.id)
        if is_ours and not self._is_stalled(rotation):
            logger.info("nothing to do: rotation %s is under way", rotation.id)
            return
        if rotation.current_problem:
            logger.error(
                "%s: %s; versionless consumers break", rotation.key, rotation.current_problem
            )
        logger.info("rotation %s: consumers of %s move to it", rotation.id, rotation.target)
        self.announce.started(rotation)
        if head.row.overtaken:  # whatever became of its own supervisor, it is concluded
            self.queue.send(Supervise(rotation=head.row.overtaken))
        # Our supervisor last: that it has looked tells that discovery was queued.
        self.queue.send(Preflight(rotation=rotation.id))
        self.queue.send(Discover(rotation=rotation.id))
        self.queue.send(Supervise(rotation=rotation.id))

    def _still_paused(self, head: KeyHead, rotation: Rotation) -> str:
        """Return why a rotation begins paused: a person has paused the one that it takes over from.

        Whoever holds a key's consumers still means the key, and knows of no newer version. Who did
        it stands on the new rotation's record too. Keyturn's own pause was for failures, which are
        counted anew.
        """
        if not rotation.overtaken or not head.paused or head.paused_itself or head.cancelled:
            return ""
        for kept in self.rows.scan(Act, rotation.overtaken):
            if kept.row.action in ("pause", "resume"):
                self.rows.insert(replace(kept.row, rotation=rotation.id))
        return head.paused

    def _approved_until(self, step: Open, target: str) -> datetime | None:
        """Return until when writes are approved: with a new version, its rotation is.

        That of any other version, one that somebody made meanwhile, nobody has approved.
        """
        request = self.rows.load(Request, step.request, "request") if step.request else None
        return request.row.approved_until if request and request.row.made == target else None

    def _run_number(self, head: KeyHead, target: VersionState) -> int:
        """Return the run under way, or the first unused one.

        An ended, cancelled or superseded run is never taken up again: its work is closed.
        """
        run = head.run if head.handled == str(target.id) and head.run else 1
        while kept := self.rows.load(Rotation, rotation_id(target.id, run), "rotation"):
            if head.active == kept.row.id and kept.row.outcome is None and not head.cancelled:
                break
            run += 1
        return run

    def _is_stalled(self, rotation: Rotation) -> bool:
        """Whether whoever opened the rotation died, or its messages were lost.

        Raises:
            BusyError: It was opened just now: look again when its supervisor must have looked.
        """
        kept = self.rows.load(Rotation, *rotation.address)
        if kept is None or kept.row.outcome is not None:
            return False
        now, beat = self.clock.now(), self.rows.load(Beat, BEATS, rotation.id)
        if beat and beat.row.at > kept.row.opened_at:
            return now - beat.row.at > OVERDUE_AFTER
        left = kept.row.opened_at + FIRST_BEAT_WITHIN - now
        if left > timedelta():
            raise BusyError(f"rotation {rotation.id} is being opened", retry_after=left)
        return True

    def _is_under_way(self, head: KeyHead) -> bool:
        """Whether the head names a rotation that has not ended, or died before it was kept."""
        if head.active is None:
            return False
        active = self.rows.load(Rotation, head.active, "rotation")
        return active is None or active.row.outcome is None

    def _is_wished(self, step: Open) -> bool:
        """Whether the request that a step names, if it does, asks for it: one serves no other."""
        request = self.rows.load(Request, step.request, "request") if step.request else None
        return request is None or request.row.asks_for(step)

    def _served(self, step: Open, head: KeyHead) -> bool:
        """Whether the operator's request has had its rotation, ended or overtaken since."""
        request = self.rows.load(Request, step.request, "request") if step.request else None
        if request is None or not request.row.rotation:
            return False
        rotation = self.rows.load(Rotation, request.row.rotation, "rotation")
        return bool(rotation and (rotation.row.outcome or head.active != rotation.row.id))


def _wanted(head: KeyHead, version: VersionState, step: Open, now: datetime) -> bool:
    """Whether ``version`` still needs a rotation, or a person or the calendar asks for another."""
    if head.handled != str(version.id) or step.cause.trigger == "operator" or step.recheck:
        return True
    return step.cause.trigger == "sweep" and head.recheck_at is not None and head.recheck_at <= now


def head_of(rows: Rows, key: str) -> Kept[KeyHead]:
    """Return the head of a key, made now if the key is new to us."""
    fresh = KeyHead(key=key)
    while (kept := rows.load(KeyHead, *fresh.address)) is None:
        rows.insert(fresh)
    return kept


def note_problem(rows: Rows, step: Open | RotateKey, problem: str) -> None:
    """Note on the key's head, and on the request if there is one, why nothing can be opened."""
    logger.error("cannot rotate the consumers of %s: %s", step.key, problem)
    head = head_of(rows, step.key)
    rows.replace(head, replace(head.row, problem=problem, trouble=""))
    answer_request(rows, step, problem=problem)


def answer_request(
    rows: Rows,
    step: Open | RotateKey,
    *,
    rotation: str = "",
    problem: str = "",
    waits_for: str = "",
) -> None:
    """Let the operator who asked, if one did, find what became of it."""
    request = rows.load(Request, step.request, "request") if step.request else None
    if request is None or (
        request.row.rotation and not rotation
    ):  # what it led to stays to be found
        return
    wish = request.row
    if rotation and wish.by:  # who asked may not approve
        act = Act(
            rotation=rotation,
            id=wish.id,
            at=wish.asked_at,
            action="ask",
            by=wish.by,
            reason=wish.reason,
        )
        rows.insert(act)
    if rotation:  # the rotation's own record has who approved, also where nobody asked
        for kept in rows.scan(Act, wish.id):
            if kept.row.action == "approve":
                rows.insert(replace(kept.row, rotation=rotation))
    answered = replace(request.row, rotation=rotation, problem=problem, waits_for=waits_for)
    rows.replace(request, answered)
