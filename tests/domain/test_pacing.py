"""When requests may go: never more than a budget grants, and never before their time."""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.catalog.storage import STORAGE_ACCOUNT
from shared.domain.pacing import ARM, LOOK, MOVE, WATCH, Budget, Cost, Limit, blocked, reserve
from shared.domain.rows import Lane
from tests.domain.values import NOW, moments

LANE = Lane(lane="s/westeurope/microsoft.storage")
EVER = timedelta(days=3650)
SECOND = timedelta(seconds=1)
ROUNDING = 0.01
"""Of a request: moments are kept to the microsecond."""

limits = st.builds(
    Limit,
    burst=st.integers(3, 20),  # no cost is larger
    per_second=st.floats(0.2, 20),
)
several = st.lists(limits, min_size=1, max_size=2).map(tuple)
budgets = st.builds(Budget, reads=several, writes=several)
costs = st.builds(Cost, reads=st.integers(0, 3), writes=st.integers(0, 1))
asked = st.lists(
    st.tuples(costs, st.timedeltas(timedelta(), timedelta(seconds=4))), min_size=1, max_size=25
)


def slot_of(
    lane: Lane, budget: Budget, cost: Cost, now: datetime = NOW, *, until: timedelta = EVER
) -> tuple[datetime, Lane]:
    found = reserve(lane, budget, cost, now, until=now + until)
    assert found is not None
    return found


def most_in(span: timedelta, requests: Sequence[tuple[datetime, int]]) -> int:
    """Return the largest number of requests in any span of that length, its ends included."""
    requests = sorted(requests)
    times = [when for when, _ in requests]
    sums = [0, *accumulate(count for _, count in requests)]
    return max(sums[bisect_right(times, when + span)] - sums[n] for n, when in enumerate(times))


def is_within(limit: Limit, requests: Sequence[tuple[datetime, int]]) -> bool:
    """Whether no span at all holds more than the burst, and what came in meanwhile."""
    return all(
        sum(count for when, count in requests if start <= when <= end)
        <= limit.burst + limit.per_second * (end - start).total_seconds() + ROUNDING
        for start, _ in requests
        for end, _ in requests
        if start <= end
    )


@given(budgets, asked)
def test_no_span_of_time_holds_more_than_any_limit_grants_of_reads_and_of_writes(
    budget: Budget, asked: list[tuple[Cost, timedelta]]
) -> None:
    lane, now = LANE, NOW
    slots: list[tuple[datetime, Cost]] = []
    for cost, passed in asked:
        now += passed
        slot, lane = slot_of(lane, budget, cost, now)
        slots.append((slot, cost))
    for limit in budget.reads:
        assert is_within(limit, [(slot, cost.reads) for slot, cost in slots])
    for limit in budget.writes:
        assert is_within(limit, [(slot, cost.writes) for slot, cost in slots])


@given(budgets, asked)
def test_a_slot_is_no_later_than_a_limit_makes_it(
    budget: Budget, asked: list[tuple[Cost, timedelta]]
) -> None:
    """A lane that gives nothing away would be safe, and never done."""
    lane, slots = LANE, list[tuple[datetime, Cost]]()
    for cost, _ in asked:
        slot, lane = slot_of(lane, budget, cost)
        slots.append((slot, cost))
    last = max(slot for slot, _ in slots)
    needed = [
        (sum(cost.reads for _, cost in slots) - limit.burst) / limit.per_second
        for limit in budget.reads
    ] + [
        (sum(cost.writes for _, cost in slots) - limit.burst) / limit.per_second
        for limit in budget.writes
    ]
    # Each slot waits for the slowest limit; together they wait no longer than the limits added.
    longest = sum(max(seconds, 0) for seconds in needed)
    slack = sum(3 / limit.per_second for limit in budget.reads + budget.writes)
    assert last - NOW <= timedelta(seconds=longest + slack)


@given(budgets, asked, st.none() | st.timedeltas(-timedelta(hours=1), timedelta(hours=1)))
def test_a_slot_is_never_before_now_nor_before_the_service_wants_to_be_asked_again(
    budget: Budget, asked: list[tuple[Cost, timedelta]], rests: timedelta | None
) -> None:
    lane = LANE if rests is None else blocked(LANE, NOW + rests)
    now = NOW
    for cost, passed in asked:
        now += passed
        slot, lane = slot_of(lane, budget, cost, now)
        assert slot >= now
        assert rests is None or slot >= NOW + rests


@given(budgets, costs)
def test_the_first_request_of_a_lane_goes_at_once(budget: Budget, cost: Cost) -> None:
    slot, _ = slot_of(LANE, budget, cost)
    assert slot == NOW


def test_a_burst_goes_at_once_and_the_next_one_waits_for_its_token() -> None:
    budget = Budget(reads=(Limit(4, 0.5),), writes=(Limit(100, 100),))
    lane, slots = LANE, list[float]()
    for _ in range(6):
        slot, lane = slot_of(lane, budget, LOOK)
        slots.append((slot - NOW).total_seconds())
    assert slots == [0, 0, 0, 0, 2, 4]


def test_a_bucket_fills_again_while_nothing_is_asked_but_no_fuller_than_it_is() -> None:
    budget = Budget(reads=(Limit(4, 0.5),), writes=(Limit(100, 100),))
    lane = LANE
    for now in [NOW] * 4 + [NOW + timedelta(days=1)] * 4:
        slot, lane = slot_of(lane, budget, LOOK, now)
        assert slot == now
    slot, _ = slot_of(lane, budget, LOOK, NOW + timedelta(days=1))
    assert slot == NOW + timedelta(days=1, seconds=2)


@pytest.mark.parametrize(
    ("reads", "writes", "slot"),
    [
        pytest.param(Limit(3, 0.1), Limit(99, 99), 30, id="reads are scarce"),
        pytest.param(Limit(99, 99), Limit(1, 0.05), 20, id="writes are scarce"),
        pytest.param(Limit(3, 0.1), Limit(1, 0.05), 30, id="both: the scarcer"),
    ],
)
def test_a_move_waits_for_its_reads_and_for_its_write(
    reads: Limit, writes: Limit, slot: float
) -> None:
    budget = Budget(reads=(reads,), writes=(writes,))
    _, lane = slot_of(LANE, budget, MOVE)
    found, _ = slot_of(lane, budget, MOVE)
    assert found == NOW + timedelta(seconds=slot)


def test_what_writes_nothing_is_not_held_up_by_writes() -> None:
    budget = Budget(reads=(Limit(100, 10),), writes=(Limit(1, 0.001),))
    _, lane = slot_of(LANE, budget, MOVE)
    for cost in (WATCH, LOOK):
        slot, after = slot_of(lane, budget, cost)
        assert slot == NOW
        assert after.writes == lane.writes


@given(budgets, asked, st.timedeltas(timedelta(), timedelta(seconds=20)))
def test_beyond_the_horizon_there_is_no_slot_and_within_it_every_one_is(
    budget: Budget, asked: list[tuple[Cost, timedelta]], horizon: timedelta
) -> None:
    lane = LANE
    for cost, _ in asked:
        slot, after = slot_of(lane, budget, cost)
        found = reserve(lane, budget, cost, NOW, until=NOW + horizon)
        assert found == ((slot, after) if slot <= NOW + horizon else None)
        lane = after


def test_a_lane_that_rests_beyond_the_horizon_gives_no_slot() -> None:
    lane = blocked(LANE, NOW + timedelta(minutes=11))
    assert reserve(lane, ARM, LOOK, NOW, until=NOW + timedelta(minutes=10)) is None
    slot, _ = slot_of(lane, ARM, LOOK)
    assert slot == NOW + timedelta(minutes=11)


@given(st.lists(moments, min_size=1, max_size=5))
def test_a_lane_rests_as_long_as_the_longest_wait_it_was_ever_told(
    waits: list[datetime],
) -> None:
    lane = LANE
    for until in waits:
        lane = blocked(lane, until)
    assert lane.blocked_until == max(waits)
    assert replace(lane, blocked_until=None) == LANE


def test_both_of_two_budgets_hold() -> None:
    narrow, wide = Limit(3, 1), Limit(50, 50)
    one, other = Budget(reads=(narrow,), writes=(wide,)), Budget(reads=(wide,), writes=(narrow,))
    assert one.plus(other) == Budget(reads=(narrow, wide), writes=(wide, narrow))


def test_a_limit_that_is_new_to_a_lane_begins_with_a_full_bucket() -> None:
    known = Limit(2, 0.1)
    _, lane = slot_of(LANE, Budget(reads=(known,), writes=(Limit(9, 9),)), Cost(2, 0))
    slot, lane = slot_of(
        lane, Budget(reads=(known, Limit(2, 0.01)), writes=(Limit(9, 9),)), Cost(1, 0)
    )
    assert slot == NOW + timedelta(seconds=10)  # the one that was there counts on
    assert len(lane.reads) == 2
    slot, lane = slot_of(lane, Budget(reads=(known,), writes=(Limit(9, 9),)), Cost(1, 0))
    assert slot == NOW + timedelta(seconds=20)
    assert len(lane.reads) == 1


@pytest.mark.parametrize(
    ("costs_of", "hours"),
    [
        # 4,500 writes at 1,100 an hour after the first hundred.
        pytest.param([MOVE] * 9 + [WATCH], 4.25, id="most are moved"),
        pytest.param([WATCH], 1.5, id="all follow by themselves"),
        pytest.param([LOOK], 0.75, id="all are confirmed"),
    ],
)
def test_five_thousand_accounts_keep_to_what_microsoft_grants_in_every_span(
    costs_of: list[Cost], hours: float
) -> None:
    """docs: azure-storage-limits-azure-resource-manager, request-limits-and-throttling."""
    budget, lane = ARM.plus(STORAGE_ACCOUNT.budget), LANE
    slots = []
    for number in range(5000):
        cost = costs_of[number % len(costs_of)]
        slot, lane = slot_of(lane, budget, cost)
        slots.append((slot, cost))
    reads = [(slot, cost.reads) for slot, cost in slots]
    writes = [(slot, cost.writes) for slot, cost in slots]
    microsecond = timedelta(microseconds=1)
    assert most_in(timedelta(minutes=5) - microsecond, reads) <= 800
    assert most_in(timedelta(hours=1) - microsecond, writes) <= 1200
    assert most_in(SECOND - microsecond, writes) <= 10
    assert most_in(timedelta(), reads) <= 250
    assert most_in(SECOND - microsecond, reads) <= 250 + 25
    # And not at the price of never being done.
    assert max(slot for slot, _ in slots) - NOW < timedelta(hours=hours)
