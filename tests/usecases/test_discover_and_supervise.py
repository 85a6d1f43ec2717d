"""What is looked for, what is found, and when a rotation may end."""

from typing import Any

import pytest

from sandbox.faults import Answer, Fault
from shared.catalog.beside import BESIDE
from shared.catalog.role import SUBSCRIPTIONS_READ
from shared.domain.records import Refusal
from shared.domain.rows import Phase, Scope
from shared.domain.steps import Discover, Open, Refuse, Supervise, SweepVault
from shared.domain.verdicts import Outcome, Verdict
from shared.usecases.search import BATCH
from tests.usecases.bench import VAULT, Bench
from tests.usecases.memory import in_memory
from tests.usecases.rotations import announced, carry_out, found
from tests.usecases.runner import Runner


def test_exactly_the_resources_that_refer_to_the_key_become_work(bench: Bench) -> None:
    key, other = bench.key("cmk"), bench.key("cmk2")
    bench.account("stpinned", key)
    bench.account("stabsent", key, "absent")
    bench.account("stempty", key, "empty")
    bench.account("stother", other)
    bench.azure.estate.storage_account("stplat", subscription=bench.subscription, key=None)
    bench.new_version(key)
    rotation = bench.open(key)
    steps = bench.discover(rotation)
    assert found(bench, rotation) == {"stpinned", "stabsent", "stempty"}
    assert {step.resource for step in steps} == {
        kept.row.address[1] for kept in bench.steps.ledger.all(rotation)
    }
    assert bench.rotation(rotation).scope == Scope(readable=1)


def test_every_subscription_is_searched_in_batches(bench: Bench) -> None:
    key, names = bench.key(), set[str]()
    for number in range(2 * BATCH):
        subscription = bench.readable_subscription(f"More {number}")
        if number % 40 == 0:
            names.add(f"st{number}")
            bench.azure.estate.storage_account(f"st{number}", subscription=subscription, key=key)
    bench.new_version(key)
    rotation = bench.open(key)
    bench.discover(rotation)
    assert found(bench, rotation) == names
    assert bench.rotation(rotation).scope == Scope(readable=2 * BATCH + 1)
    counts = 2 * len({(each.resource_type, each.mark) for each in BESIDE})
    # For consumers, and as many for accounts; and what lies beside them is counted.
    assert len(bench.calls("POST", "ResourceGraph")) == 3 * (2 + counts)


def test_a_declared_subscription_that_cannot_be_read_fails_the_rotation(bench: Bench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    hidden = bench.azure.estate.subscription("Hidden")
    bench.policies.set_defaults(subscriptions=(bench.subscription, hidden))
    rotation, _ = bench.opened(key)
    assert bench.rotation(rotation).scope == Scope(
        readable=1, unreadable=1, named=(hidden,), lacking=(SUBSCRIPTIONS_READ,)
    )
    ended = bench.finish(rotation)
    assert ended.counts == {Verdict.VERIFIED: 1}
    assert ended.outcome is Outcome.FAILED


def test_a_subscription_that_is_not_declared_is_not_searched(bench: Bench) -> None:
    key = bench.key()
    bench.account("stone", key)
    other = bench.readable_subscription("Other")
    bench.azure.estate.storage_account("stother", subscription=other, key=key)
    bench.new_version(key)
    bench.policies.set_defaults(subscriptions=(bench.subscription,))
    rotation = bench.open(key)
    bench.discover(rotation)
    assert found(bench, rotation) == {"stone"}


def test_finding_nothing_is_said_as_such(bench: Bench) -> None:
    key = bench.key()
    bench.new_version(key)
    rotation = bench.open(key)
    assert carry_out(bench, rotation).outcome is Outcome.NOTHING_FOUND


def test_having_searched_nothing_is_a_failure(bench: Bench) -> None:
    key = bench.key()
    bench.new_version(key)
    rotation = bench.open(key)
    none = Answer(200, {"value": [], "count": {"type": "Total", "value": 0}})
    bench.azure.faults.add(Fault(path="/subscriptions", times=None, answer=none))
    bench.discover(rotation)
    assert bench.rotation(rotation).scope == Scope(lacking=(SUBSCRIPTIONS_READ,))
    assert bench.finish(rotation).outcome is Outcome.FAILED


def test_an_inventory_that_refuses_fails_the_rotation_with_the_cause(bench: Bench) -> None:
    key = bench.key()
    bench.new_version(key)
    rotation = bench.open(key)
    no = Answer(400, {"error": {"code": "BadRequest", "message": "ParserFailure"}})
    bench.azure.faults.add(Fault(method="POST", path="*/resources", answer=no))
    bench.search(rotation)
    assert "ParserFailure" in bench.rotation(rotation).problem
    bench.run(Supervise(rotation=rotation))
    assert bench.rotation(rotation).outcome is Outcome.FAILED
    assert bench.active(key) == ""


def test_discovery_that_was_buried_fails_the_rotation(bench: Bench) -> None:
    key = bench.key()
    bench.new_version(key)
    rotation = bench.open(key)
    bench.burial.run(Discover(rotation=rotation))
    bench.run(Supervise(rotation=rotation))
    assert bench.rotation(rotation).outcome is Outcome.FAILED


def test_a_superseded_rotation_looks_for_nothing_more(bench: Bench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation = bench.open(key)
    bench.new_version(key)
    bench.open(key)
    bench.forget_sent()
    bench.run(Discover(rotation=rotation))
    assert found(bench, rotation) == set()
    assert bench.life.sent == []


def test_a_rotation_does_not_end_before_every_page_was_seen(bench: Bench) -> None:
    key = bench.key()
    bench.new_version(key)
    rotation = bench.open(key)
    bench.forget_sent()
    bench.run(Supervise(rotation=rotation))
    assert bench.rotation(rotation).outcome is None
    assert len(bench.sent(Supervise)) == 1


def test_a_rotation_does_not_end_while_work_is_open(bench: Bench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation, _ = bench.opened(key)
    bench.run(Supervise(rotation=rotation))
    assert bench.rotation(rotation).outcome is None
    assert bench.active(key) == rotation


@pytest.mark.parametrize("method", ["announce", "keep", "replace"])
def test_of_two_that_end_a_rotation_at_once_one_announces_it(bench: Bench, method: str) -> None:
    """The second comes while the first is about to keep the end, its evidence, or to tell of it."""
    swift = in_memory(bench)
    key = swift.key()
    swift.account("stone", key)
    swift.later_version(key)
    runner = Runner(swift)
    runner.event(key)
    runner.run(until=lambda: swift.active(key))
    rotation = swift.active(key)
    overlapped: list[str] = []

    def overlap(called: str, _arguments: tuple[Any, ...]) -> bool:
        ended = swift.rotation(rotation).outcome
        if called == method and ended and len(overlapped) < 3:
            overlapped.append(called)
            swift.run(Supervise(rotation=rotation))
        return False

    with swift.dying(before=overlap):
        runner.run()

    assert overlapped
    assert swift.rotation(rotation).outcome is Outcome.COMPLETED
    assert announced(swift, rotation) == ["RotationStarted", "RotationCompleted"]
    assert swift.active(key) == ""


@pytest.mark.parametrize("effects", range(1, 7))
def test_an_end_that_dies_half_way_is_finished_by_the_messages_that_are_left(
    bench: Bench, effects: int
) -> None:
    key = bench.key()
    bench.new_version(key)
    rotation = bench.open(key)
    bench.discover(rotation)
    bench.pass_time(minutes=2)
    bench.supervise(rotation)
    bench.search(rotation, closing=True)
    assert bench.rotation(rotation).phase is Phase.CONFIRMING
    bench.pass_time(seconds=30)
    bench.forget_sent()
    with bench.dying(effects=effects):
        bench.run_and_die(Supervise(rotation=rotation))
    (following,) = bench.sent(Supervise)

    for step in (Supervise(rotation=rotation), following):
        bench.run(step)
        bench.pass_time(seconds=30)
    if bench.active(key):  # it died over the end: after this long another may take that over
        bench.pass_until(bench.due(Supervise))
        bench.run(bench.sent(Supervise)[-1])

    assert bench.rotation(rotation).outcome is Outcome.NOTHING_FOUND
    assert bench.active(key) == ""
    told = bench.azure.topics.published(bench.azure.topic.name)
    ends = {e["id"] for e in told if e["type"] == "Keyturn.RotationCompleted"}
    assert ends == {f"{rotation}/Keyturn.RotationCompleted"}


def test_of_two_supervisors_one_goes_on(bench: Bench) -> None:
    """A crash, or a conflict on its row, may leave two messages."""
    key = bench.key()
    bench.new_version(key)
    rotation = bench.open(key)
    step = look(bench, rotation)
    for _ in range(3):
        bench.pass_time(seconds=30)
        bench.forget_sent()
        bench.run(step)
        bench.run(step)
        (step,) = bench.sent(Supervise)


def test_a_look_out_of_turn_takes_the_place_of_the_one_to_come(bench: Bench) -> None:
    key = bench.key()
    bench.new_version(key)
    rotation = bench.open(key)
    to_come = look(bench, rotation)
    bench.pass_time(seconds=1)
    instead = look(bench, rotation)
    bench.pass_time(minutes=5)
    bench.forget_sent()
    bench.run(to_come)
    assert bench.sent(Supervise) == []
    bench.run(instead)
    assert len(bench.sent(Supervise)) == 1


def look(bench: Bench, rotation: str) -> Supervise:
    """Look out of turn; return the message of the next look."""
    bench.run(Supervise(rotation=rotation))
    step: Supervise = bench.sent(Supervise)[-1]
    return step


@pytest.mark.parametrize("effects", [1, 2])
def test_a_supervisor_that_dies_half_way_leaves_one(bench: Bench, effects: int) -> None:
    key = bench.key()
    bench.new_version(key)
    step = look(bench, bench.open(key))
    bench.pass_time(seconds=30)
    bench.forget_sent()
    with bench.dying(effects=effects):
        bench.run_and_die(step)
    left = bench.sent(Supervise)
    bench.pass_time(minutes=10)
    bench.forget_sent()
    for each in [*left, step]:
        bench.run(each)
    assert len(bench.sent(Supervise)) == 1


def test_a_supervisor_that_was_buried_is_sent_again_later(bench: Bench) -> None:
    bench.burial.run(Supervise(rotation="r1"))
    assert bench.sent(Supervise) == [Supervise(rotation="r1")]
    assert bench.due(Supervise)


def test_a_topic_that_fails_does_not_hold_up_a_rotation(bench: Bench) -> None:
    key = bench.key()
    bench.new_version(key)
    no = Answer(401, {"error": {"code": "Unauthorized", "message": "no"}})
    bench.azure.faults.add(Fault(host="*.eventgrid.azure.net", times=None, answer=no))
    rotation = bench.open(key)
    assert carry_out(bench, rotation).outcome is Outcome.NOTHING_FOUND


def test_a_sweep_looks_at_every_key_of_the_vault(bench: Bench) -> None:
    keys = {bench.key(f"k{number:02}") for number in range(27)}  # more than one page
    bench.run(SweepVault(vault=f"{VAULT}.vault.azure.net", sweep="s1"))
    opens = bench.sent(Open)
    assert {step.key for step in opens} == keys
    assert len(opens) == 27
    assert {(step.cause.trigger, step.cause.id) for step in opens} == {("sweep", "s1")}


def test_a_refused_event_is_remembered_once(bench: Bench) -> None:
    step = Refuse(event_id="e1", problem="no key", at=bench.clock.now())
    bench.run(step)
    bench.run(step)
    (kept,) = bench.rows.scan(Refusal, f"{step.at:%Y-%m}")
    assert (kept.row.event_id, kept.row.problem) == ("e1", "no key")


def test_a_message_of_a_stranger_is_kept(bench: Bench) -> None:
    bench.burial.run_unreadable(b"\xff hello", "not a step")
    (kept,) = bench.rows.scan(Refusal, f"{bench.clock.now():%Y-%m}")
    assert "hello" in kept.row.problem


def test_a_step_for_a_rotation_that_is_unknown_does_nothing(bench: Bench) -> None:
    bench.run(Discover(rotation="nowhere"))
    bench.run(Supervise(rotation="nowhere"))
    assert bench.life.sent == []
    assert bench.azure.front_door.traffic() == []
