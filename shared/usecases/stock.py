"""Take stock of a rotation: what is open, what may be sent now, what must go ahead."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.rows import KeyHead, Phase, Rotation
from shared.domain.work import Outstanding, Stage, Wave
from shared.ports import Clock, Kept
from shared.usecases.ledger import Ledger
from shared.usecases.overdue import OVERDUE_AFTER
from shared.usecases.pace import Pace

MOST_AT_ONCE = 1000
"""Entries released, or closed, in one look: it ends well before the next one begins."""

LONGEST_SILENCE = timedelta(hours=8)
"""Between two nudges of the same work."""


@dataclass(slots=True)
class Standing:
    """What one look at the outstanding work of a rotation has shown.

    Attributes:
        open: How much is to be moved or proven yet.
        waiting: How much of the last wave is not moved yet.
        wanting: How much may be sent by and by: its lane is full, or a canary is ahead of it.
        held: How much would be sent if the rotation might begin a write.
        next_due: When the first of what has been sent is due.
        ready: What may be sent now: the first of it that fits into its lane.
        promoted: What must go ahead first: no canary of its kind has been moved.
        owing: What has failed, and stays open since it owes something.
    """

    open: int = 0
    waiting: int = 0
    wanting: int = 0
    held: int = 0
    next_due: datetime | None = None
    ready: list[Kept[Outstanding]] = field(default_factory=list)
    promoted: list[Kept[Outstanding]] = field(default_factory=list)
    owing: list[Outstanding] = field(default_factory=list)

    def note(self, entry: Outstanding, *, is_held: bool) -> None:
        """Note when something happens to an entry by itself."""
        if entry.failed:
            self.owing.append(entry)
        if entry.due_at is None:
            self.wanting += not is_held
            self.held += is_held
        else:
            self.next_due = min(self.next_due or entry.due_at, entry.due_at)


@dataclass(slots=True)
class Vanguard:
    """Who goes ahead of a kind's other resources, once no canary is open.

    A canary that was gone, skipped or left to a person has shown nothing: others take its place,
    one more than there were.

    Attributes:
        is_waived: Somebody let the rotation go on although a canary failed.
        proven: Kinds of which a resource was moved, and then proven.
        leaders: How many canaries of a kind have ended without that.
    """

    is_waived: bool
    proven: set[str] = field(default_factory=set)
    leaders: Counter[str] = field(default_factory=Counter)
    _left: dict[str, int] = field(default_factory=dict)

    def may_follow(self, entry: Outstanding) -> bool:
        """Return whether an entry need not wait for a canary."""
        return self.is_waived or entry.kind in self.proven

    def may_lead(self, entry: Outstanding) -> bool:
        """Return whether an entry is to be a canary itself; so many a look, and no more."""
        at_most = min(self.leaders[entry.kind] + 1, MOST_AT_ONCE)
        left = self._left.setdefault(entry.kind, at_most)
        self._left[entry.kind] = max(left - 1, 0)
        return left > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """Reads the index of what is not done."""

    clock: Clock
    ledger: Ledger
    pace: Pace

    def take(
        self, rotation: Rotation, head: KeyHead, since: datetime, *, is_held: bool
    ) -> Standing:
        """Read the index once, keeping no more of it than is sent.

        The canaries first: nothing that shares their lane may keep them waiting.

        Args:
            rotation: Whose work it is.
            head: Of its key.
            since: Since when its supervisor has looked without a long gap.
            is_held: Whether it may begin no write at this moment.
        """
        standing, now, fits = Standing(), self.clock.now(), self.pace.preview()

        def consider(kept: Kept[Outstanding]) -> None:
            entry = kept.row
            waits = is_held and entry.due_at is None and entry.next == "repoint"
            is_due = entry.due_at is None or is_overdue(entry, since, now)
            standing.note(entry, is_held=waits)
            is_room = len(standing.ready) < MOST_AT_ONCE
            if is_due and not waits and is_room and fits(entry):
                standing.ready.append(kept)

        canaries = 0
        for wave in (Wave.CANARY, Wave.NO_WRITE):
            for kept in self.ledger.outstanding(rotation.id, Stage.OPEN, wave):
                standing.open += 1
                canaries += wave is Wave.CANARY and not kept.row.failed
                consider(kept)
        if rotation.phase in (Phase.CLOSING, Phase.CONFIRMING):
            for kept in self.ledger.outstanding(rotation.id, Stage.CONFIRM):
                consider(kept)
        all_known = rotation.phase is not Phase.DISCOVERING or rotation.problem
        vanguard = self._vanguard(rotation, head) if all_known and not canaries else None
        for kept in self.ledger.outstanding(rotation.id, Stage.OPEN, Wave.REST):
            standing.open += 1
            standing.waiting += kept.row.next == "repoint"
            if kept.row.due_at is not None or (vanguard and vanguard.may_follow(kept.row)):
                consider(kept)
                continue
            standing.note(kept.row, is_held=is_held)
            if vanguard and vanguard.may_lead(kept.row):
                standing.promoted.append(kept)
        return standing

    def _vanguard(self, rotation: Rotation, head: KeyHead) -> "Vanguard":
        """See which kinds have a canary that was moved, when none is open."""
        vanguard = Vanguard(is_waived=head.tolerated > 0)
        for stage in (Stage.CONFIRM, Stage.UNSETTLED):
            for kept in self.ledger.outstanding(rotation.id, stage, Wave.CANARY):
                if kept.row.moved:
                    vanguard.proven.add(kept.row.kind)
                else:
                    vanguard.leaders[kept.row.kind] += 1
        return vanguard


def is_overdue(entry: Outstanding, since: datetime, now: datetime) -> bool:
    """Whether the entry's message must be lost; each nudge waits twice as long as the last."""
    if entry.due_at is None:
        return False
    silence = min(OVERDUE_AFTER * (1 << min(entry.nudges, 10)), LONGEST_SILENCE)
    return max(entry.due_at, since) + silence < now
