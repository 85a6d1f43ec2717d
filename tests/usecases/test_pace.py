"""Lanes: who waits for whom, and what a 429 does."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from sandbox.azurite import Azurite
from sandbox.faults import Fault, throttled
from shared.adapters.clock import RealClock
from shared.catalog.storage import STORAGE_ACCOUNT
from shared.domain.errors import BusyError
from shared.domain.pacing import ARM, Limit
from shared.domain.resources import digest
from shared.domain.rows import Lane
from shared.domain.steps import Discover, Repoint, Verify
from shared.domain.verdicts import Outcome, Verdict
from shared.domain.work import Outstanding, Stage, Wave, Work
from shared.ports import Rows
from shared.settings import Settings
from shared.usecases.discover import MOST_PATIENCE
from shared.usecases.pace import HORIZON, Pace
from shared.wiring import Wiring
from tests.domain.values import KEY, NOW
from tests.usecases.bench import Bench, Forward
from tests.usecases.memory import in_memory
from tests.usecases.runner import Runner, Standing

SUBSCRIPTION = "0b1f6471-1bf0-4dda-aec3-cb9272f09590"
BUDGET = ARM.plus(STORAGE_ACCOUNT.budget)


@pytest.fixture(name="clock")
def _clock() -> Forward:
    return Forward(RealClock())


@pytest.fixture(name="rows")
def _rows(azurite: Azurite) -> Rows:
    storage = azurite.connection_string(azurite.accounts[-4])
    settings = Settings.from_env({"KEYTURN_VAULTS": "kv1", "AzureWebJobsStorage": storage})
    return Wiring(settings).steer.rows


@pytest.fixture(name="pace")
def _pace(rows: Rows, clock: Forward) -> Pace:
    return Pace(rows=rows, clock=clock)


@pytest.fixture(name="region")
def _region(request: pytest.FixtureRequest) -> str:
    """A region of the test's own, so that no lane is another test's."""
    return digest(request.node.name)


def work(region: str, name: str = "st1", **fields: Any) -> Work:  # noqa: ANN401 - fields of a row
    subscription = fields.pop("subscription", SUBSCRIPTION)
    provider = fields.pop("provider", "Microsoft.Storage/storageAccounts")
    return Work(
        rotation="r1",
        key=str(KEY),
        resource=f"/subscriptions/{subscription}/resourceGroups/rg/providers/{provider}/{name}",
        kind="storage_account",
        found_at=NOW,
        **{"location": region, **fields},
    )


def entries(region: str, many: int, **fields: Any) -> list[Outstanding]:  # noqa: ANN401 - as above
    return [Outstanding.of(work(region, f"st{number}", **fields)) for number in range(many)]


def is_kept(limit: Limit, slots: Sequence[datetime], each: int) -> bool:
    """Whether no span between two slots holds more requests than a limit grants."""
    slots = sorted(slots)
    return all(
        each * (last - first + 1)
        <= limit.burst + limit.per_second * (slots[last] - slots[first]).total_seconds() + 0.01
        for first in range(len(slots))
        for last in range(first, len(slots))
    )


def test_what_a_lane_may_do_at_once_goes_at_once_and_the_rest_in_its_turn(
    pace: Pace, clock: Forward, region: str
) -> None:
    start = clock.now()
    planned = pace.plan(entries(region, 400))
    slots = [slot for slot in planned if slot]
    assert slots == sorted(slots)
    assert slots[0] - start < timedelta(seconds=1)
    assert all(start <= slot <= clock.now() + HORIZON for slot in slots)
    assert all(is_kept(limit, slots, 3) for limit in BUDGET.reads)
    assert all(is_kept(limit, slots, 1) for limit in BUDGET.writes)
    # A hundred, and the eleven hundred an hour of ten minutes: no more, and hardly less.
    assert 275 < len(slots) <= 284
    assert planned[len(slots) :] == [None] * (400 - len(slots))


def test_what_found_no_place_within_the_horizon_finds_one_later(
    pace: Pace, clock: Forward, region: str
) -> None:
    pace.plan(entries(region, 400))
    assert pace.plan(entries(region, 1)) == [None]
    clock.ahead += timedelta(minutes=1)
    (slot,) = pace.plan(entries(region, 1))
    assert slot


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"subscription": "1b1f6471-1bf0-4dda-aec3-cb9272f09590"}, id="subscription"),
        pytest.param({"location": "somewhere else"}, id="region"),
        pytest.param({"provider": "Microsoft.Elsewhere/things"}, id="provider"),
    ],
)
def test_another_subscription_region_or_provider_does_not_wait_for_a_full_lane(
    pace: Pace, clock: Forward, region: str, other: dict[str, Any]
) -> None:
    full, fresh = entries(region, 300), entries(region, 1, **other)
    planned = pace.plan([*full, *fresh])
    assert planned[-1]
    assert planned[-1] - clock.now() < timedelta(seconds=1)
    assert None in planned
    pace.throttled(work(region).lane, timedelta(minutes=5))
    pace.await_turn(work(region, **other))
    with pytest.raises(BusyError):
        pace.await_turn(work(region))


def test_slots_come_back_in_the_order_of_what_was_asked_however_lanes_are_mixed(
    pace: Pace, region: str
) -> None:
    one, other = entries(region, 150), entries(region, 150, location="somewhere else in order")
    mixed = [entry for pair in zip(one, other, strict=True) for entry in pair]
    slots = [slot for slot in pace.plan(mixed) if slot]
    assert len(slots) == 300
    assert slots[0::2] == sorted(slots[0::2])
    assert slots[1::2] == sorted(slots[1::2])


@pytest.mark.parametrize(
    ("fields", "at_once"),
    [
        pytest.param({"wave": Wave.NO_WRITE}, 62, id="two reads: what needs no write"),
        pytest.param({"next": "verify"}, 62, id="two reads: a look that is nudged"),
        pytest.param({"next": "confirm", "stage": Stage.CONFIRM}, 125, id="one read"),
    ],
)
def test_what_writes_nothing_takes_its_reads_alone(
    pace: Pace, region: str, fields: dict[str, Any], at_once: int
) -> None:
    slots = pace.plan(entries(region, at_once + 1, **fields))
    assert None not in slots
    first = slots[0]
    assert first
    assert slots.count(first) <= at_once
    assert sum(slot - first < timedelta(seconds=0.05) for slot in slots if slot) >= at_once


def test_two_that_plan_at_once_never_plan_more_than_the_budget(
    rows: Rows, clock: Forward, region: str
) -> None:
    planners = [Pace(rows=rows, clock=clock) for _ in range(3)]

    def plan(pace: Pace) -> list[datetime | None]:
        return [slot for _ in range(6) for slot in pace.plan(entries(region, 10))]

    with ThreadPoolExecutor(3) as pool:
        slots = [slot for found in pool.map(plan, planners) for slot in found if slot]
    assert len(slots) == 180
    assert all(is_kept(limit, slots, 3) for limit in BUDGET.reads)
    assert all(is_kept(limit, slots, 1) for limit in BUDGET.writes)


def test_a_preview_counts_what_passed_it_and_plans_nothing(
    pace: Pace, rows: Rows, region: str
) -> None:
    fits = pace.preview()
    passed = [entry for entry in entries(region, 400) if fits(entry)]
    assert 275 < len(passed) <= 284
    assert fits(*entries(region, 1, location="another place to preview"))
    kept = rows.load(Lane, *Lane(lane=work(region).lane).address)
    assert kept
    assert kept.row == Lane(lane=work(region).lane)
    assert None not in pace.plan(passed)


def test_a_lane_rests_as_long_as_it_was_told_and_then_goes_on_in_turn(
    pace: Pace, clock: Forward, region: str
) -> None:
    until = pace.throttled(work(region).lane, timedelta(minutes=3))
    for _ in range(2):
        with pytest.raises(BusyError, match="rests until") as busy:
            pace.await_turn(work(region))
        assert busy.value.retry_after
        assert clock.now() + busy.value.retry_after >= until - timedelta(seconds=1)
    (slot,) = pace.plan(entries(region, 1))
    assert slot
    assert slot >= until
    clock.ahead += timedelta(minutes=3)
    pace.await_turn(work(region))


@pytest.mark.parametrize(
    ("said", "rests"),
    [
        pytest.param(None, timedelta(seconds=30), id="nothing"),
        pytest.param(timedelta(), timedelta(seconds=30), id="no time at all"),
        pytest.param(timedelta(days=7), timedelta(hours=1), id="a week"),
        pytest.param(timedelta(minutes=5), timedelta(minutes=5), id="five minutes"),
    ],
)
def test_what_a_service_asks_for_is_taken_within_reason(
    pace: Pace, clock: Forward, region: str, said: timedelta | None, rests: timedelta
) -> None:
    until = pace.throttled(work(region).lane, said)
    assert abs(until - clock.now() - rests) < timedelta(seconds=2)


def test_a_second_shorter_wait_does_not_shorten_the_first(pace: Pace, region: str) -> None:
    until = pace.throttled(work(region).lane, timedelta(minutes=3))
    pace.throttled(work(region).lane, timedelta(seconds=3))
    (slot,) = pace.plan(entries(region, 1))
    assert slot
    assert slot >= until


def test_another_process_learns_of_it_within_ten_seconds(
    rows: Rows, clock: Forward, pace: Pace, region: str
) -> None:
    other = Pace(rows=rows, clock=clock)
    other.await_turn(work(region))
    pace.throttled(work(region).lane, timedelta(minutes=3))
    clock.ahead += timedelta(seconds=10)
    with pytest.raises(BusyError):
        other.await_turn(work(region))


@pytest.mark.parametrize("in_text", [False, True])
@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_after_a_429_the_steps_of_the_lane_are_put_off_without_asking_the_service(
    bench: Bench,
    method: str,
    in_text: bool,  # noqa: FBT001 - a table
) -> None:
    key = bench.key()
    accounts = [bench.account(name, key) for name in ("stone", "sttwo", "stthree")]
    bench.new_version(key)
    rotation = bench.open(key)
    (canary,) = bench.discover(rotation)
    bench.run(canary)
    bench.pass_until(bench.due(Verify))
    bench.run(bench.sent(Verify)[-1])
    bench.forget_sent()
    bench.supervise(rotation)
    steps = bench.sent(Repoint)
    assert len(steps) == 2
    bench.forget_sent()
    wait = timedelta(seconds=90)
    bench.azure.faults.add(
        Fault(method=method, path="*/storageAccounts/*", answer=throttled(wait, in_text=in_text))
    )
    until = bench.clock.now() + wait
    bench.run(steps[0])
    seen = len(bench.azure.front_door.traffic())
    bench.run(steps[1])
    bench.run(steps[1])

    assert len(bench.azure.front_door.traffic()) == seen
    assert all(at and at >= until - timedelta(seconds=1) for _, at in bench.life.sent)
    due = [kept.row.due_at for kept in bench.steps.ledger.outstanding(rotation, Stage.OPEN)]
    assert all(at and at >= until - timedelta(seconds=1) for at in due)
    ended = bench.finish(rotation)
    assert (ended.outcome, ended.counts) == (Outcome.COMPLETED, {Verdict.VERIFIED: 3})
    assert [bench.writes(account) for account in accounts] == [1, 1, 1]


def test_a_look_is_put_off_too_and_its_proof_is_still_in_time(bench: Bench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    (look,) = bench.sent(Verify)
    bench.pass_until(bench.due(Verify))
    answer = throttled(timedelta(minutes=10), in_text=True)
    bench.azure.faults.add(Fault(method="GET", path="*/stone", answer=answer))
    bench.run(look)
    assert bench.work(rotation).stage is Stage.OPEN
    (consumer,) = bench.work(rotation).consumers
    assert consumer.verdict is None
    bench.finish(rotation)
    (consumer,) = bench.work(rotation).consumers
    assert consumer.verdict is Verdict.VERIFIED


def test_what_is_written_to_twice_takes_both_writes(pace: Pace, region: str) -> None:
    slots = [slot for slot in pace.plan(entries(region, 400, twice=True)) if slot]
    assert len(slots) > 50
    assert all(is_kept(limit, slots, 5) for limit in BUDGET.reads)
    assert all(is_kept(limit, slots, 2) for limit in BUDGET.writes)


@pytest.fixture(name="still")
def _still(rows: Rows, clock: Forward) -> Pace:
    """A pace whose clock stands still."""
    return Pace(rows=rows, clock=Standing(clock.now()))


def test_behind_a_long_rest_steps_go_on_in_turn_and_not_all_at_once(
    still: Pace, region: str
) -> None:
    until = still.throttled(work(region).lane, timedelta(minutes=40))
    slots = []
    for number in range(150):
        with pytest.raises(BusyError) as busy:
            still.await_turn(work(region, f"st{number}"))
        assert busy.value.retry_after
        slots.append(still.clock.now() + busy.value.retry_after)
    assert min(slots) >= until
    assert all(is_kept(limit, slots, 1) for limit in STORAGE_ACCOUNT.budget.writes)


# -- what a search reads -----------------------------------------------------------------------


def test_the_reads_of_a_search_are_taken_from_the_lane(still: Pace, region: str) -> None:
    still.look_for(work(region).lane, STORAGE_ACCOUNT, 150)
    slots = [slot for slot in still.plan(entries(region, 100)) if slot]
    in_all = [still.clock.now()] * 50 + slots  # 150 reads are as many as 50 moves take
    assert all(is_kept(limit, in_all, 3) for limit in STORAGE_ACCOUNT.budget.reads)


def lane_of(bench: Bench, rotation: str) -> Lane:
    (work_,) = [k.row for k in bench.steps.ledger.all(rotation) if k.row.resource.endswith("/sta")]
    return bench.row(Lane, *Lane(lane=work_.lane).address)


def test_a_search_takes_a_read_for_each_list(bench: Bench) -> None:
    swift = in_memory(bench)
    Runner(swift)  # its clock stands still
    key = swift.key()
    for name in ("sta", "stb", "stc"):
        swift.account(name, key)
    swift.later_version(key)
    rotation = swift.open(key)
    swift.search(rotation)

    reads = [full - swift.clock.now() for full in lane_of(swift, rotation).reads]

    lists = len(swift.calls("GET", "/encryptionScopes"))
    assert lists == 3
    assert reads == [timedelta(seconds=lists / limit.per_second) for limit in BUDGET.reads]


def test_a_list_that_is_throttled_lets_the_moves_of_its_lane_rest(bench: Bench) -> None:
    swift = in_memory(bench)
    key = swift.key()
    swift.account("sta", key)
    swift.later_version(key)
    wait = timedelta(minutes=4)
    fault = Fault(method="GET", path="*/encryptionScopes", answer=throttled(wait))
    swift.azure.faults.add(fault)
    runner = Runner(swift)
    runner.event(key)
    runner.run(until=lambda: swift.azure.faults.taken)
    until = swift.clock.now() + wait

    runner.run(until=lambda: swift.calls("PATCH"))

    assert swift.clock.now() >= until - timedelta(seconds=1)
    assert len(swift.calls("GET", "/encryptionScopes")) == 2
    assert [call.path for call in swift.calls("GET", "/storageAccounts/sta")[:1]] == [
        swift.calls("GET", "/encryptionScopes")[0].path
    ]


def test_while_its_lane_rests_a_search_lists_nothing_unless_it_has_waited_for_long(
    bench: Bench,
) -> None:
    swift = in_memory(bench)
    key = swift.key()
    swift.account("sta", key)
    swift.later_version(key)
    rotation = swift.open(key)
    for page in (0, 1):
        swift.run(Discover(rotation=rotation, page=page))
    (kept,) = swift.steps.ledger.all(rotation)
    swift.steps.pace.throttled(kept.row.lane, timedelta(minutes=50))

    lists = Discover(rotation=rotation, page=2)
    swift.run(lists)
    assert swift.calls("GET", "/encryptionScopes") == []
    swift.run(replace(lists, attempt=MOST_PATIENCE))
    assert len(swift.calls("GET", "/encryptionScopes")) == 1
