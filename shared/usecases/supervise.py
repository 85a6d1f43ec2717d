"""See how a rotation stands: release work, nudge what is overdue, close and conclude."""

import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.domain.errors import RowConflictError
from shared.domain.permit import why_held, why_unapproved
from shared.domain.rows import BEATS, Beat, Foresight, KeyHead, Phase, Rotation, Search
from shared.domain.steps import Discover, Preflight, Supervise
from shared.domain.verdicts import Outcome, Verdict
from shared.domain.work import Outstanding, Stage, Wave, close, confirm, promote
from shared.ports import Clock, Kept, Policies, Queue, Rows
from shared.usecases.active import head_if_active, under_policy, why_not_active
from shared.usecases.announce import Announce
from shared.usecases.conclude import ConcludeRotation
from shared.usecases.ledger import Ledger
from shared.usecases.overdue import INVENTORY_LAG, OVERDUE_AFTER
from shared.usecases.pace import Pace
from shared.usecases.stock import MOST_AT_ONCE, Standing, Stock, is_overdue

logger = logging.getLogger(__name__)

BEAT = timedelta(seconds=30)
"""How often a rotation is looked at: each look costs a dozen reads, a write and a message."""

CALM = timedelta(minutes=5)
"""The longest time between two looks at a rotation that only waits."""

LARGE = 5000
"""So much open work takes some seconds to read: looks are rarer by as many beats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuperviseRotation:
    """One self-renewing message per rotation.

    Releases work, wave by wave and each lane at its pace; sends again what is overdue; pauses the
    rotation past the failure limit; when nothing is open, has everything looked at once more, and
    concludes. A rotation that is superseded or cancelled closes its open work.

    What it may do is told by the policy, which is read at every look.
    """

    rows: Rows
    queue: Queue
    clock: Clock
    ledger: Ledger
    pace: Pace
    stock: Stock
    announce: Announce
    policies: Policies
    conclude: ConcludeRotation

    def run(self, step: Supervise) -> None:
        """See the class."""
        kept = self.rows.load(Rotation, step.rotation, "rotation")
        if kept is None:
            return
        if kept.row.outcome is not None:
            self.conclude.release(kept, is_retry=step.attempt > 0)
            return
        head = head_if_active(self.rows, kept.row)
        if head is None:
            self._break_off(kept, step.after)
        else:
            self._supervise(kept, head, step.after)

    def _supervise(self, kept: Kept[Rotation], head: Kept[KeyHead], after: datetime | None) -> None:
        """Look, having made sure to come again: once, however many messages there are."""
        now, last = self.clock.now(), self.rows.load(Beat, BEATS, kept.row.id)
        if _is_followed(last, after):
            return
        since = last.row.since if last and now - last.row.at < OVERDUE_AFTER else now
        kept = self._renewed(kept)
        is_held = bool(why_held(head.row, kept.row, now))
        standing = self.stock.take(kept.row, head.row, since, is_held=is_held)
        beat = Beat(rotation=kept.row.id, at=now, since=since)
        self._come_again(beat, last, _interval(kept.row, standing, now))
        self._look(kept, head, standing, since)

    def _renewed(self, kept: Kept[Rotation]) -> Kept[Rotation]:
        """Keep what the policy of now lets the rotation do."""
        now = under_policy(self.policies, kept.row)
        if now.policy_problem:
            logger.error("rotation %s begins nothing: %s", now.id, now.policy_problem)
        return kept if now == kept.row else self.rows.replace(kept, now)

    def _come_again(self, beat: Beat, last: Kept[Beat] | None, interval: timedelta) -> None:
        self.queue.send(Supervise(rotation=beat.rotation, after=beat.at), at=beat.at + interval)
        if last:
            self.rows.replace(last, beat)
        else:
            self.rows.insert(beat)

    def _look(
        self, kept: Kept[Rotation], head: Kept[KeyHead], standing: Standing, since: datetime
    ) -> None:
        rotation = kept.row
        if standing.waiting and (why := self._why_pause(rotation, head.row, standing)):
            self._pause(rotation, head, why)
            return
        if standing.held and not head.row.paused:
            self._ask_approval(rotation, head)
        self._promote(standing.promoted)
        self._send(standing.ready)
        if _is_searching(rotation):
            self._nudge_search(rotation, since)
        if standing.open or _is_searching(rotation):
            return
        if rotation.problem:
            self.conclude.run(kept, Outcome.FAILED)
        elif rotation.phase is Phase.MOVING:
            self._begin_closing(kept)
        # Asked once more: what was to be confirmed may just have been taken up again.
        elif not (self._has(rotation.id, Stage.CONFIRM) or self._has(rotation.id, Stage.OPEN)):
            self.conclude.run(kept, None)

    def _has(self, rotation: str, stage: Stage) -> bool:
        return next(self.ledger.outstanding(rotation, stage), None) is not None

    # -- releasing and nudging -------------------------------------------------------------------

    def _promote(self, entries: Sequence[Kept[Outstanding]]) -> None:
        for entry in entries:
            work = self.ledger.load(entry.row.rotation, entry.row.resource)
            if work and work.row.seq == entry.row.seq:
                self.ledger.change(work, promote(work.row))

    def _send(self, entries: Sequence[Kept[Outstanding]]) -> None:
        """Send steps, each when its lane has room for it; what has none waits for the next look."""
        now, slots = self.clock.now(), self.pace.plan([kept.row for kept in entries])
        for kept, slot in zip(entries, slots, strict=True):
            if slot is None:
                continue
            entry = replace(kept.row, due_at=slot)
            is_nudge = kept.row.due_at is not None
            if is_nudge:
                entry = replace(entry, nudged_at=now, nudges=entry.nudges + 1)
            try:
                self.rows.replace(kept, entry)
            except RowConflictError:
                continue  # a step has moved it on meanwhile
            if is_nudge:
                logger.warning("overdue since %s: %s", kept.row.due_at, entry.resource)
            self.ledger.send(entry)

    def _nudge_search(self, rotation: Rotation, since: datetime) -> None:
        closing = rotation.phase is Phase.CLOSING
        start = rotation.discovered_at if closing else rotation.opened_at
        fresh = Search(rotation=rotation.id, closing=closing, at=start or rotation.opened_at)
        kept = self.rows.load(Search, *fresh.address)
        search, now = kept.row if kept else fresh, self.clock.now()
        if max(search.at, since) + OVERDUE_AFTER < now:
            logger.warning(
                "rotation %s: the search has been silent since %s", rotation.id, search.at
            )
            if kept:  # the next nudge is as far away
                self.rows.replace(kept, replace(search, at=now))
            else:
                self.rows.insert(replace(search, at=now))
            self.queue.send(Discover(rotation=rotation.id, closing=closing, page=search.page))

    # -- pausing ---------------------------------------------------------------------------------

    def _why_pause(self, rotation: Rotation, head: KeyHead, standing: Standing) -> str:
        """Return why no more may be moved before somebody has looked; empty: it may."""
        if head.paused:
            return ""
        if problem := self.conclude.target_problem(rotation):
            return problem
        unsettled = self.ledger.outstanding(rotation.id, Stage.UNSETTLED)
        failed = [kept.row for kept in unsettled if kept.row.failed] + standing.owing
        canary = next((e for e in failed if e.wave is Wave.CANARY and e.written), None)
        if canary and not head.tolerated:
            name = self._name_of(canary)
            return f"a canary failed, the first resource of its kind that was moved: {name}"
        if len(failed) - head.tolerated >= rotation.rules.failure_limit:
            return f"{len(failed)} resources failed; the limit is {rotation.rules.failure_limit}"
        return ""

    def _name_of(self, entry: Outstanding) -> str:
        work = self.ledger.load(entry.rotation, entry.resource)
        return work.row.resource if work else entry.resource

    def _pause(self, rotation: Rotation, head: Kept[KeyHead], why: str) -> None:
        # The head on which this was decided: a person may have let the rotation go on since.
        self.rows.replace(head, replace(head.row, paused=why, paused_itself=True))
        logger.error("rotation %s is paused until somebody lets it go on: %s", rotation.id, why)
        self.announce.paused(rotation, why)

    def _ask_approval(self, rotation: Rotation, head: Kept[KeyHead]) -> None:
        """Tell approvers that they are waited for; once, until they have approved."""
        now = self.clock.now()
        why = why_unapproved(head.row, rotation, now)
        approved_until, asked_at = head.row.approved_until, head.row.approval_asked_at
        if not why or (asked_at and (approved_until is None or asked_at >= approved_until)):
            return
        self.announce.needs_approval(rotation, why, approved_until)
        self.rows.replace(head, replace(head.row, approval_asked_at=now))

    # -- ending ----------------------------------------------------------------------------------

    def _begin_closing(self, kept: Kept[Rotation]) -> None:
        """Look at everything once more, when the inventory must know what there was."""
        discovered_at = kept.row.discovered_at or kept.row.opened_at
        if self.clock.now() < discovered_at + INVENTORY_LAG:
            return
        self.rows.replace(kept, replace(kept.row, phase=Phase.CLOSING))
        if not self.rows.load(Foresight, kept.row.id, "preflight"):  # it was lost on the way
            self.queue.send(Preflight(rotation=kept.row.id))
        self.queue.send(Discover(rotation=kept.row.id, closing=True))

    def _break_off(self, kept: Kept[Rotation], after: datetime | None) -> None:
        """Close the open work of a rotation that may not go on; what has a verdict keeps it.

        What owes something stays open until that is paid, and the rotation with it.
        """
        verdict, reason = why_not_active(self.rows, kept.row)
        entries = list(itertools.islice(self._unfinished(kept.row.id), MOST_AT_ONCE))
        owing = [entry for entry in entries if entry.row.next == "pay"]
        for entry in entries:
            work = self.ledger.load(entry.row.rotation, entry.row.resource)
            if entry in owing:
                continue
            if work and work.row.stage is Stage.OPEN:
                closed = close(work.row, verdict, self.clock.now(), reason=reason)
                self.ledger.change(work, closed)
            elif work and work.row.stage is Stage.CONFIRM:
                # Nobody looks at it again: a look that is under way now changes nothing any more.
                self.ledger.change(work, confirm(work.row))
        if kept.row.overtaken:  # should nobody have told it
            self.queue.send(Supervise(rotation=kept.row.overtaken))
        if len(entries) == MOST_AT_ONCE and len(owing) < MOST_AT_ONCE:
            self.queue.send(Supervise(rotation=kept.row.id))
            return
        if self._has(kept.row.id, Stage.OPEN):
            self._await_debts(kept.row, owing, after)
            return
        is_cancelled = verdict is Verdict.CANCELLED
        self.conclude.run(kept, Outcome.CANCELLED if is_cancelled else Outcome.SUPERSEDED)

    def _await_debts(
        self, rotation: Rotation, owing: Sequence[Kept[Outstanding]], after: datetime | None
    ) -> None:
        """Come again, and nudge what is overdue: once, however many messages there are."""
        now, last = self.clock.now(), self.rows.load(Beat, BEATS, rotation.id)
        if _is_followed(last, after):
            return
        since = last.row.since if last and now - last.row.at < OVERDUE_AFTER else now
        self._come_again(Beat(rotation=rotation.id, at=now, since=since), last, BEAT)
        self._send([entry for entry in owing if is_overdue(entry.row, since, now)])

    def _unfinished(self, rotation: str) -> Iterator[Kept[Outstanding]]:
        for stage in (Stage.OPEN, Stage.CONFIRM):
            yield from self.ledger.outstanding(rotation, stage)


def _is_followed(last: Kept[Beat] | None, after: datetime | None) -> bool:
    """Whether a later look than ``after`` has made sure of the next one."""
    return last is not None and after is not None and last.row.at > after


def _interval(rotation: Rotation, standing: Standing, now: datetime) -> timedelta:
    """Return how long until the next look.

    Where nothing can happen before a look that is due, the supervisor need not come before it; and
    reading the index takes its time, too.
    """
    busy = BEAT * min(1 + standing.open // LARGE, 20)
    if _is_searching(rotation) or standing.wanting or not standing.open:
        return busy
    next_due = (standing.next_due or now + CALM) + BEAT - now
    return min(max(next_due, busy), max(CALM, busy))


def _is_searching(rotation: Rotation) -> bool:
    return rotation.phase in (Phase.DISCOVERING, Phase.CLOSING) and not rotation.problem
