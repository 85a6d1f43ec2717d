"""When requests may be sent, so that budgets hold before a service has to say 429.

A budget is a token bucket, kept as one moment: when the bucket would be full again (the
"theoretical arrival time" of the generic cell rate algorithm, ITU-T I.371). A request may go once
that moment lies no further ahead than the bucket is large.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.domain.rows import Lane


@dataclass(frozen=True, slots=True)
class Limit:
    """So many requests at once, and ``per_second`` more ever after."""

    burst: int
    per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What one lane may ask of a service: every one of these limits holds."""

    reads: tuple[Limit, ...]
    writes: tuple[Limit, ...]

    def plus(self, other: "Budget") -> "Budget":
        """Return the budget that keeps within both."""
        return Budget(reads=self.reads + other.reads, writes=self.writes + other.writes)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a step, and what follows from it, asks of a service."""

    reads: int
    writes: int


ARM = Budget(reads=(Limit(125, 12.5),), writes=(Limit(100, 5),))
"""Half of what Azure Resource Manager grants a principal in a subscription (bursts of 250 and 200,
then 25 and 10 a second): the other half is for other lanes of the subscription.

Source: azure-docs, "Understand how Azure Resource Manager throttles requests".
"""

MOVE = Cost(reads=3, writes=1)
"""Moving a resource: a read to plan on, the write, and two looks."""

MOVE_TWICE = Cost(reads=5, writes=2)
"""Moving a resource that is owed something by that: a write, and a read, more for giving it back,
and another look. Of a container group, what we may do is asked besides, on it and on what it names:
not counted, since its provider's writes are what it waits for."""

WATCH = Cost(reads=2, writes=0)
"""A resource that follows by itself, or is on the target: two looks."""

LOOK = Cost(reads=1, writes=0)


def reserve(
    lane: Lane, budget: Budget, cost: Cost, now: datetime, *, until: datetime
) -> tuple[datetime, Lane] | None:
    """Return when a step may run, and the lane with that planned; ``None``: not by ``until``.

    A limit that is new to the lane begins with a full bucket.
    """
    earliest = max(now, lane.blocked_until or now)
    reads, writes = _filled(lane.reads, budget.reads), _filled(lane.writes, budget.writes)
    free = [earliest, *_free(reads, budget.reads, cost.reads)]
    slot = max([*free, *_free(writes, budget.writes, cost.writes)])
    if slot > until:
        return None
    return slot, replace(
        lane,
        reads=tuple(_taken(reads, budget.reads, cost.reads, slot)),
        writes=tuple(_taken(writes, budget.writes, cost.writes, slot)),
    )


def blocked(lane: Lane, until: datetime) -> Lane:
    """Return the lane after a service asked to wait: nothing more before ``until``."""
    return replace(lane, blocked_until=max(until, lane.blocked_until or until))


_LONG_AGO = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def _filled(full_at: tuple[datetime, ...], limits: tuple[Limit, ...]) -> tuple[datetime, ...]:
    return (full_at + (_LONG_AGO,) * len(limits))[: len(limits)]


def _free(
    full_at: tuple[datetime, ...], limits: tuple[Limit, ...], cost: int
) -> Iterator[datetime]:
    """Yield from when each bucket holds ``cost`` tokens."""
    if cost:
        for full, limit in zip(full_at, limits, strict=True):
            yield full - timedelta(seconds=(limit.burst - cost) / limit.per_second)


def _taken(
    full_at: tuple[datetime, ...], limits: tuple[Limit, ...], cost: int, slot: datetime
) -> Iterator[datetime]:
    """Yield when each bucket is full again after ``cost`` tokens are taken at ``slot``."""
    for full, limit in zip(full_at, limits, strict=True):
        yield (max(full, slot) + timedelta(seconds=cost / limit.per_second)) if cost else full
