"""A rotation is opened once, whatever comes twice, late or dies half way."""

from contextlib import suppress
from datetime import timedelta
from typing import Literal

import pytest

from shared.domain.callers import NOBODY
from shared.domain.keys import Key, KeyVersion
from shared.domain.records import Request
from shared.domain.rows import Cause, KeyHead, Rotation, rotation_id
from shared.domain.steps import Discover, Open, Step, Supervise
from shared.domain.verdicts import Outcome, Verdict
from shared.usecases.ages import target_of
from tests.usecases.bench import VAULT, Bench, Died, at, open_step
from tests.usecases.memory import in_memory
from tests.usecases.rotations import carry_out, ends
from tests.usecases.runner import Runner

OPERATOR = Cause(trigger="operator", id="req-1", reason="test")


def run_through(bench: Bench, step: Step) -> None:
    """Run a step, and whatever it is put back as, each at its time."""
    while True:
        seen = len(bench.sent(type(step)))
        bench.run(step)
        again = bench.sent(type(step))[seen:]
        if not again:
            return
        bench.pass_until(bench.due(type(step)))
        (step,) = again


def asked(bench: Bench, key: str, *, new_version: bool = False) -> str:
    """Keep an operator's request; return its id."""
    request = Request(
        id="req-1", key=key, reason="test", new_version=new_version, asked_at=bench.clock.now()
    )
    bench.rows.insert(request)
    return request.id


def runs(bench: Bench, version: str) -> list[Rotation]:
    """Return the rotations to a version."""
    ids = (rotation_id(KeyVersion.parse(version), run) for run in range(1, 9))
    found = (bench.rows.load(Rotation, each, "rotation") for each in ids)
    return [kept.row for kept in found if kept]


def test_a_rotation_goes_to_the_vaults_newest_version_whatever_the_event_was_about(
    bench: Bench,
) -> None:
    key = bench.key()
    target = bench.new_version(key)
    rotation = bench.rotation(bench.open(key))
    assert (rotation.target, rotation.key, rotation.run) == (target, key, 1)
    assert (rotation.key_type, rotation.bits) == ("RSA", 2048)
    assert rotation.cause == Cause(trigger="event", id="e1")
    assert rotation.current_problem == ""
    assert len(bench.sent(Discover)) == len(bench.sent(Supervise)) == 1


@pytest.mark.parametrize("effects", range(1, 8))
def test_wherever_it_dies_the_message_that_comes_back_ends_in_one_supervised_rotation(
    bench: Bench, effects: int
) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    target = bench.new_version(key)
    request = asked(bench, key)
    step = open_step(key, OPERATOR, request=request)
    with bench.dying(effects=effects), suppress(Died):
        bench.run(step)
    done = [type(each) for each, _ in bench.life.sent]
    if Discover in done:  # what was queued goes on before the message comes back
        bench.search(bench.active(key))
    bench.pass_time(minutes=10)

    run_through(bench, step)

    (rotation,) = runs(bench, target)
    assert bench.active(key) == rotation.id
    assert Supervise in done or bench.sent(Supervise)
    assert Discover in done or bench.sent(Discover)
    assert bench.row(Request, request, "request").rotation == rotation.id
    ended = carry_out(bench, rotation.id)
    assert ended.outcome is Outcome.COMPLETED
    assert bench.writes(account) == 1


@pytest.mark.parametrize("effects", range(8))
def test_wherever_it_dies_a_rotation_names_the_one_that_it_has_taken_over_from(
    bench: Bench, effects: int
) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    first = bench.open(key)
    target = bench.new_version(key)
    step = open_step(key)
    with bench.dying(effects=effects), suppress(Died):
        bench.run(step)
    bench.pass_time(minutes=10)

    run_through(bench, step)

    (rotation,) = runs(bench, target)
    assert rotation.overtaken == first
    assert Supervise(rotation=first) in bench.sent(Supervise), "it is concluded"


def test_twenty_events_of_a_version_open_one_rotation(bench: Bench) -> None:
    key = bench.key()
    target = bench.new_version(key)
    for number in range(20):
        bench.run(open_step(key, Cause(trigger="event", id=f"e{number}")))
    assert len(runs(bench, target)) == 1
    assert len(bench.sent(Discover)) == len(bench.sent(Supervise)) == 1


def test_an_event_after_the_end_opens_nothing(bench: Bench) -> None:
    key = bench.key()
    target = bench.new_version(key)
    carry_out(bench, bench.open(key))
    bench.forget_sent()
    bench.run(open_step(key, Cause(trigger="event", id="late")))
    bench.run(open_step(key, Cause(trigger="sweep", id="s1")))
    assert len(runs(bench, target)) == 1
    assert bench.life.sent == []


def test_an_operator_can_have_a_second_run(bench: Bench) -> None:
    key = bench.key()
    account, target = bench.account("stone", key), bench.new_version(key)
    first = bench.open(key)
    carry_out(bench, first)
    request = asked(bench, key)

    second = bench.open(key, OPERATOR, request=request)

    assert [r.run for r in runs(bench, target)] == [1, 2]
    assert second != first
    assert carry_out(bench, second).counts == {Verdict.ALREADY: 1}
    assert bench.writes(account) == 1
    bench.forget_sent()
    bench.run(open_step(key, OPERATOR, request=request))
    assert len(runs(bench, target)) == 2, "the same request, come back, is served already"


def test_a_version_that_was_left_for_an_older_one_can_be_moved_to_again(bench: Bench) -> None:
    key = bench.key()
    first = bench.azure.estate.vaults.newest(VAULT, "cmk")
    second = bench.new_version(key)
    carry_out(bench, bench.open(key))
    bench.enable(second, enabled=False)
    back = bench.open(key, OPERATOR)
    assert bench.rotation(back).target == first
    carry_out(bench, back)
    bench.enable(second, enabled=True)

    again = bench.open(key, Cause(trigger="sweep", id="s2"))

    assert bench.rotation(again).target == second
    assert bench.rotation(again).outcome is None
    assert [r.run for r in runs(bench, second)] == [1, 2]
    assert carry_out(bench, again).outcome is not None
    assert bench.active(key) == ""


def test_a_newer_version_takes_over_from_an_unfinished_rotation(bench: Bench) -> None:
    key = bench.key()
    bench.new_version(key)
    first = bench.open(key)
    newer = bench.new_version(key)
    second = bench.open(key)
    assert (bench.active(key), bench.rotation(second).target) == (second, newer)
    assert second != first


def test_an_unusable_current_version_is_a_finding_and_the_newest_usable_is_the_target(
    bench: Bench,
) -> None:
    key = bench.key()
    usable = bench.azure.estate.vaults.newest(VAULT, "cmk")
    current = bench.new_version(key)
    bench.enable(current, enabled=False)
    rotation = bench.rotation(bench.open(key))
    assert rotation.target == usable
    assert "disabled" in rotation.current_problem
    assert current.rpartition("/")[2] in rotation.current_problem


def test_a_version_that_becomes_valid_within_a_day_is_looked_at_again_then(bench: Bench) -> None:
    key = bench.key()
    bench.new_version(key)
    starts = int((bench.clock.now() + timedelta(hours=5)).timestamp())
    bench.azure.estate.vaults.vault(VAULT).update("cmk", None, {"attributes": {"nbf": starts}})
    step = open_step(key)
    bench.run(step)
    due = bench.due(Open)
    assert bench.sent(Open) == [step]
    assert due
    assert due.timestamp() == starts


def test_sweeps_leave_no_looks_behind_for_a_version_that_is_not_valid_yet(bench: Bench) -> None:
    """The next sweep looks anyway: a day of them would queue a hundred."""
    key = bench.key()
    bench.new_version(key)
    starts = int((bench.clock.now() + timedelta(hours=5)).timestamp())
    bench.azure.estate.vaults.vault(VAULT).update("cmk", None, {"attributes": {"nbf": starts}})
    bench.run(open_step(key, Cause(trigger="sweep", id="s1")))
    assert bench.sent(Open) == []


def test_a_version_that_becomes_valid_later_is_left_to_the_sweep(bench: Bench) -> None:
    key = bench.key()
    bench.new_version(key)
    starts = int((bench.clock.now() + timedelta(hours=25)).timestamp())
    bench.azure.estate.vaults.vault(VAULT).update("cmk", None, {"attributes": {"nbf": starts}})
    bench.run(open_step(key))
    assert bench.sent(Open) == []


def test_without_a_usable_version_nothing_is_opened_and_the_request_says_why(
    bench: Bench,
) -> None:
    key = bench.key()
    only = bench.azure.estate.vaults.newest(VAULT, "cmk")
    bench.enable(only, enabled=False)
    request = asked(bench, key)
    bench.run(open_step(key, OPERATOR, request=request))
    assert bench.active(key) == ""
    assert "nothing to move to" in bench.row(Request, request, "request").problem
    assert "disabled" in bench.row(KeyHead, *KeyHead(key=key).address).problem
    assert bench.life.sent == []


@pytest.mark.parametrize(
    ("key", "says"),
    [
        pytest.param("https://kv-bench.vault.azure.net/keys/none", "404", id="no such key"),
        pytest.param("https://kv-other.vault.azure.net/keys/cmk", "allow-list", id="off the list"),
    ],
)
def test_a_key_that_cannot_be_read_is_noted(bench: Bench, key: str, says: str) -> None:
    request = asked(bench, key)
    bench.run(open_step(key, OPERATOR, request=request))
    assert says in bench.row(Request, request, "request").problem
    assert bench.life.sent == []
    assert not [c for c in bench.azure.front_door.traffic() if c.host.startswith("kv-other")]


def test_a_rotation_whose_messages_were_all_lost_is_taken_up_by_a_sweep(bench: Bench) -> None:
    key = bench.key()
    bench.new_version(key)
    with bench.dying(before=at("send", Discover)):
        bench.run_and_die(open_step(key))
    rotation = bench.active(key)
    bench.forget_sent()
    bench.pass_time(minutes=20)
    run_through(bench, open_step(key, Cause(trigger="sweep", id="s9")))
    assert bench.active(key) == rotation
    assert len(bench.sent(Discover)) == len(bench.sent(Supervise)) == 1


def test_a_rotation_with_a_living_supervisor_is_left_alone_by_sweeps(bench: Bench) -> None:
    key = bench.key()
    bench.new_version(key)
    rotation = bench.open(key)
    bench.run(Supervise(rotation=rotation))
    bench.forget_sent()
    bench.pass_time(minutes=1)
    bench.run(open_step(key, Cause(trigger="sweep", id="s1")))
    assert bench.life.sent == []


def test_an_open_that_was_buried_is_noted_on_the_request(bench: Bench) -> None:
    key = bench.key()
    request = asked(bench, key)
    bench.burial.run(open_step(key, OPERATOR, request=request))
    assert "failed five times" in bench.row(Request, request, "request").problem


def test_a_late_event_opens_no_second_run_while_an_ended_one_is_not_yet_released(
    bench: Bench,
) -> None:
    key = bench.key()
    target = bench.new_version(key)
    rotation = bench.open(key)
    with bench.dying(after=ends), pytest.raises(Died):
        carry_out(bench, rotation)
    assert bench.rotation(rotation).outcome is Outcome.NOTHING_FOUND
    assert bench.active(key) == rotation

    bench.run(open_step(key, Cause(trigger="event", id="late")))

    assert len(runs(bench, target)) == 1


def test_an_operator_who_asks_while_a_rotation_is_under_way_is_answered_with_it(
    bench: Bench,
) -> None:
    key = bench.key()
    target = bench.new_version(key)
    rotation = bench.open(key)
    bench.run(Supervise(rotation=rotation))
    request = asked(bench, key)
    bench.run(open_step(key, OPERATOR, request=request))
    assert bench.row(Request, request, "request").rotation == rotation
    assert len(runs(bench, target)) == 1


def test_an_operator_who_asks_while_an_ended_rotation_is_not_yet_released_gets_a_new_run(
    bench: Bench,
) -> None:
    key = bench.key()
    target = bench.new_version(key)
    rotation = bench.open(key)
    with bench.dying(after=ends), pytest.raises(Died):
        carry_out(bench, rotation)
    request = asked(bench, key)
    second = bench.open(key, OPERATOR, request=request)
    assert second != rotation
    assert bench.row(Request, request, "request").rotation == second
    assert [r.run for r in runs(bench, target)] == [1, 2]
    bench.run(Supervise(rotation=rotation))
    assert bench.active(key) == second, "the first one's end does not release the second"


def test_a_newer_version_that_is_disabled_changes_nothing_where_the_usable_one_is_handled(
    bench: Bench,
) -> None:
    key = bench.key()
    target = bench.later_version(key)
    carry_out(bench, bench.open(key))
    bench.enable(bench.new_version(key), enabled=False)
    bench.forget_sent()
    bench.run(open_step(key, Cause(trigger="event", id="e2")))
    assert len(runs(bench, target)) == 1
    assert bench.life.sent == []


def test_who_asks_right_after_a_cancellation_gets_a_run_of_their_own(bench: Bench) -> None:
    swift = in_memory(bench)
    key = swift.key()
    account = swift.account("stone", key)
    target = swift.later_version(key)
    runner = Runner(swift)
    runner.event(key)
    runner.run(until=lambda: swift.active(key))
    cancelled = swift.active(key)
    swift.steer.cancel(cancelled, "stop", NOBODY)

    request = swift.steer.ask.run(Key.parse(key), reason="go", new_version=False)
    runner.run(until=lambda: swift.active(key) != cancelled, which=lambda s: isinstance(s, Open))
    runner.run()

    served = swift.row(Request, request.id, "request").rotation
    assert (served != cancelled, swift.rotation(served).outcome) == (True, Outcome.COMPLETED)
    assert swift.in_use(account) == target
    assert swift.rotation(cancelled).outcome is Outcome.SUPERSEDED


@pytest.mark.parametrize("trigger", ["event", "sweep"])
def test_what_was_cancelled_is_not_begun_again_by_a_further_event_or_sweep(
    bench: Bench, trigger: Literal["event", "sweep"]
) -> None:
    key = bench.key()
    target = bench.new_version(key)
    rotation = bench.open(key)
    bench.steer.cancel(rotation, "stop", NOBODY)
    run_through(bench, open_step(key, Cause(trigger=trigger, id="later")))
    assert len(runs(bench, target)) == 1
    assert bench.active(key) == rotation


def test_a_key_whose_ended_rotation_was_never_let_go_is_let_go_by_a_sweep(bench: Bench) -> None:
    key = bench.key()
    bench.new_version(key)
    rotation = bench.open(key)
    bench.discover(rotation)
    with bench.dying(after=ends), suppress(Died):
        bench.finish(rotation)
    assert bench.rotation(rotation).outcome is Outcome.NOTHING_FOUND
    assert bench.active(key) == rotation
    bench.forget_sent()

    bench.run(open_step(key, Cause(trigger="sweep", id="s1")))
    for step in bench.sent(Supervise):
        bench.run(step)

    assert bench.active(key) == ""


def test_a_rotation_keeps_when_its_target_ends_and_what_it_may_be_used_for(bench: Bench) -> None:
    key = bench.key()
    target = bench.new_version(key)
    ends = bench.clock.now().replace(microsecond=0) + timedelta(days=90)
    vault = bench.azure.estate.vaults.vault(VAULT)
    vault.set_expiry(target, ends)
    vault.update("cmk", target.rpartition("/")[2], {"key_ops": ["wrapKey", "unwrapKey"]})
    state = target_of(bench.rotation(bench.open(key)))
    assert (state.expires, state.operations) == (ends, frozenset({"wrapkey", "unwrapkey"}))
