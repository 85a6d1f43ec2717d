"""Give work its place in its lane, so that a rotation of thousands does not live on 429s."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from shared.catalog import find_kind
from shared.domain import pacing
from shared.domain.errors import BusyError, RowConflictError
from shared.domain.kinds import Kind
from shared.domain.pacing import Budget, Cost
from shared.domain.rows import Lane
from shared.domain.work import Outstanding, Wave, Work
from shared.ports import Clock, Kept, Rows

logger = logging.getLogger(__name__)

HORIZON = timedelta(minutes=10)
"""How far ahead lanes are planned: what a superseded rotation had planned is lost."""

_REMEMBERED = timedelta(seconds=10)
_TRIES = 20
_UNSAID = timedelta(seconds=30)
"""How long a lane rests when a service says 429, but not for how long."""

_LONGEST = timedelta(hours=1)
"""However long a service says: a lane serves many, and budgets refill within the hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Plans the requests of a lane: one subscription, region and provider, see ``Work.lane``.

    Slots are taken for many resources at once, by the supervisor; a step then needs to see only
    that its lane is not blocked. Lanes are remembered for a few seconds for that.
    """

    rows: Rows
    clock: Clock
    _seen: dict[str, tuple[datetime, Lane]] = field(default_factory=dict)

    def plan(self, entries: Sequence[Outstanding]) -> list[datetime | None]:
        """Return when each entry's step may run; ``None``: not within the horizon."""
        slots: list[datetime | None] = [None] * len(entries)
        for lane in sorted({entry.lane for entry in entries}):
            mine = [n for n, entry in enumerate(entries) if entry.lane == lane]
            for n, slot in zip(mine, self._plan(lane, [entries[n] for n in mine]), strict=True):
                slots[n] = slot
        return slots

    def preview(self) -> Callable[[Outstanding], bool]:
        """Return a test: does one more entry fit into its lane, besides those that passed it?

        So that what waits for a full lane does not stand in the way of other lanes' work.
        """
        lanes: dict[str, Lane] = {}

        def fits(entry: Outstanding) -> bool:
            if entry.lane not in lanes:
                lanes[entry.lane] = self._kept(entry.lane).row
            found = self._reserved(lanes[entry.lane], entry)
            if found:
                lanes[entry.lane] = found[1]
            return found is not None

        return fits

    def await_turn(self, work: Work) -> None:
        """See that the lane of ``work`` does not rest.

        Raises:
            BusyError: It does: the service asked for it. ``retry_after`` is a new slot behind that.
        """
        now = self.clock.now()
        seen_at, lane = self._seen.get(work.lane, (now - _REMEMBERED, None))
        if lane is None or now - seen_at >= _REMEMBERED:
            kept = self.rows.load(Lane, *Lane(lane=work.lane).address)
            lane = kept.row if kept else Lane(lane=work.lane)
            self._seen[work.lane] = (now, lane)
        if lane.blocked_until and lane.blocked_until > now:
            (slot,) = self.plan([Outstanding.of(work)])
            when = slot or lane.blocked_until
            raise BusyError(f"{work.lane} rests until {lane.blocked_until}", retry_after=when - now)

    def look_for(self, lane: str, kind: Kind, count: int) -> None:
        """Take so many reads of a search out of a lane: what is planned next goes behind them.

        A search goes at a pace of its own, below every budget; so it waits for no slot.

        Raises:
            BusyError: The lane rests: the service asked for it.
        """
        now = self.clock.now()
        blocked_until = self._change(
            lane, lambda row: (row.blocked_until, _looked_for(row, kind, count, now))
        )
        if blocked_until and blocked_until > now:
            raise BusyError(f"{lane} rests until {blocked_until}", retry_after=blocked_until - now)

    def throttled(self, lane: str, wait: timedelta | None) -> datetime:
        """Let a lane rest as long as the service asks; return when it goes on."""
        until = self.clock.now() + min(wait or _UNSAID, _LONGEST)
        self._change(lane, lambda row: (until, pacing.blocked(row, until)))
        logger.warning("%s rests until %s: throttled", lane, until)
        return until

    def _plan(self, lane: str, entries: Sequence[Outstanding]) -> list[datetime | None]:
        def planned(lane: Lane) -> tuple[list[datetime | None], Lane]:
            slots: list[datetime | None] = []
            for entry in entries:
                slot, lane = self._reserved(lane, entry) or (None, lane)
                slots.append(slot)
            return slots, lane

        return self._change(lane, planned)

    def _reserved(self, lane: Lane, entry: Outstanding) -> tuple[datetime, Lane] | None:
        now = self.clock.now()
        # Behind a long rest, too, nobody goes before its slot.
        until = max(now, lane.blocked_until or now) + HORIZON
        return pacing.reserve(lane, _budget(find_kind(entry.kind)), _cost(entry), now, until=until)

    def _change[T](self, name: str, change: Callable[[Lane], tuple[T, Lane]]) -> T:
        """Apply ``change`` to a lane as it is now, however many others change it too.

        Raises:
            RowConflictError: It was changed over and over.
        """
        for _ in range(_TRIES):
            kept = self._kept(name)
            result, lane = change(kept.row)
            try:
                self.rows.replace(kept, lane)
            except RowConflictError:
                continue
            self._seen[name] = (self.clock.now(), lane)
            return result
        raise RowConflictError(f"the lane {name} is changed by too many others")

    def _kept(self, name: str) -> Kept[Lane]:
        fresh = Lane(lane=name)
        while (kept := self.rows.load(Lane, *fresh.address)) is None:
            self.rows.insert(fresh)
        return kept


def _looked_for(lane: Lane, kind: Kind, count: int, now: datetime) -> Lane:
    """Return the lane with so many reads taken, if it does not rest."""
    if lane.blocked_until and lane.blocked_until > now:
        return lane
    cost = Cost(reads=pacing.LOOK.reads * count, writes=0)
    found = pacing.reserve(lane, _budget(kind), cost, now, until=datetime.max.replace(tzinfo=UTC))
    return found[1] if found else lane


def _budget(kind: Kind | None) -> Budget:
    return pacing.ARM.plus(kind.budget) if kind else pacing.ARM


def _cost(entry: Outstanding) -> Cost:
    if entry.next == "confirm":
        return pacing.LOOK
    is_move = entry.next == "repoint" and entry.wave is not Wave.NO_WRITE
    if is_move and entry.twice:
        return pacing.MOVE_TWICE
    return pacing.MOVE if is_move or entry.next == "pay" else pacing.WATCH
