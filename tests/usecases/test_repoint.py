"""One resource on its way: crashes, replays, waits, and every way that it can end."""

from datetime import timedelta
from itertools import pairwise

import msgspec
import pytest

from sandbox.estate import Account
from sandbox.faults import Fault, server_error_html, throttled
from shared.domain.proofs import Level
from shared.domain.rows import Lease
from shared.domain.steps import Repoint, Supervise, Verify
from shared.domain.verdicts import Outcome, Verdict
from shared.domain.work import Stage
from shared.usecases.overdue import LEASE
from shared.usecases.repoint import MOST_WRITES
from shared.usecases.run_step import MOST_ATTEMPTS
from tests.usecases.bench import Bench, at
from tests.usecases.memory import in_memory
from tests.usecases.runner import Runner


def verdict(bench: Bench, rotation: str) -> Verdict | None:
    (consumer,) = bench.work(rotation).consumers
    return consumer.verdict


def test_the_plain_way_ends_verified_with_one_write(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    old, new = bench.in_use(account), bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    accepted = bench.work(rotation)
    assert accepted.intent
    assert accepted.accepted_at
    assert (accepted.stage, accepted.next) == (Stage.OPEN, "verify")

    ended = bench.finish(rotation)

    (consumer,) = bench.work(rotation).consumers
    assert (consumer.verdict, consumer.level) == (Verdict.VERIFIED, Level.REPORTED)
    assert (consumer.before, consumer.in_use_before) == (old, old)
    assert consumer.in_use == new == bench.in_use(account)
    assert bench.writes(account) == 1
    assert (ended.outcome, ended.counts) == (Outcome.COMPLETED, {Verdict.VERIFIED: 1})
    assert bench.active(key) == ""


def test_the_write_carries_the_saved_request_id_and_the_row_keeps_azures(bench: Bench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    (write,) = bench.calls("PATCH")
    work = bench.work(rotation)
    assert work.intent
    assert write.request_headers["x-ms-client-request-id"] == work.intent.request_id
    assert write.response_headers["x-ms-correlation-request-id"] == work.correlation_id != ""


def test_dying_between_intent_and_write_the_message_writes_once_when_it_comes_back(
    bench: Bench,
) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    old, new = bench.in_use(account), bench.new_version(key)
    rotation, step = bench.opened(key)
    with bench.dying(before=at("write")):
        bench.run_and_die(step)
    assert bench.work(rotation).intent
    assert bench.writes(account) == 0

    bench.pass_time(minutes=10)
    bench.run(step)
    bench.finish(rotation)

    (consumer,) = bench.work(rotation).consumers
    assert (consumer.verdict, consumer.before) == (Verdict.VERIFIED, old)
    assert bench.writes(account) == 1
    assert bench.in_use(account) == new


def test_dying_between_write_and_row_no_second_write_is_made_and_it_counts_as_moved(
    bench: Bench,
) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    old, new = bench.in_use(account), bench.new_version(key)
    rotation, step = bench.opened(key)
    with bench.dying(after=at("write")):
        bench.run_and_die(step)
    assert bench.writes(account) == 1

    bench.pass_time(minutes=10)
    bench.run(step)
    bench.finish(rotation)

    (consumer,) = bench.work(rotation).consumers
    assert (consumer.verdict, consumer.before) == (Verdict.VERIFIED, old)
    assert consumer.in_use == new
    assert bench.writes(account) == 1


def test_a_write_whose_answer_was_lost_is_found_and_not_repeated(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.azure.faults.add(Fault(method="PATCH", lose_answer=True))
    bench.run(step)
    assert bench.work(rotation).accepted_at is None
    (again,) = bench.sent(Repoint)[1:]

    bench.pass_time(minutes=10)
    bench.run(again)
    bench.finish(rotation)

    assert verdict(bench, rotation) is Verdict.VERIFIED
    assert bench.writes(account) == 1


def test_a_look_that_was_never_queued_is_nudged_by_the_supervisor(bench: Bench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    with bench.dying(before=at("send", Verify)):
        bench.run_and_die(step)
    bench.run(step)
    assert bench.sent(Verify) == []
    assert len(bench.calls("PATCH")) == 1

    bench.pass_time(minutes=14)
    bench.supervise(rotation)
    assert bench.sent(Verify) == []
    bench.pass_time(minutes=2)
    bench.supervise(rotation)
    bench.supervise(rotation)

    assert len(bench.sent(Verify)) == 1
    bench.finish(rotation)
    assert verdict(bench, rotation) is Verdict.VERIFIED


def test_work_that_was_never_begun_is_nudged_too(bench: Bench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.forget_sent()
    # After 15 minutes of silence, and after twice as much.
    for minutes, nudges in [(14, 0), (2, 1), (14, 1), (14, 1), (2, 2)]:
        bench.pass_time(minutes=minutes)
        bench.supervise(rotation)
        assert len(bench.sent(Repoint)) == nudges
    assert bench.sent(Repoint) == [step, step]


def test_work_that_is_put_back_again_and_again_is_not_nudged(bench: Bench) -> None:
    """Or each nudge would start one more chain of messages that put themselves back."""
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.azure.faults.add(
        Fault(method="GET", path="*/stone", times=None, answer=server_error_html())
    )
    bench.forget_sent()
    for _ in range(8):
        bench.run(step)
        step = bench.sent(Repoint)[-1]
        bench.pass_until(bench.due(Repoint))
        bench.supervise(rotation)
    bench.pass_time(minutes=6)
    bench.supervise(rotation)
    assert len(bench.sent(Repoint)) == 8


def test_a_stale_message_does_nothing(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    before, seen = bench.work(rotation), len(bench.azure.front_door.traffic())
    bench.pass_time(minutes=10)
    bench.forget_sent()

    bench.run(step)
    bench.run(Verify(rotation=rotation, resource=step.resource, seq=before.seq + 1))
    bench.run(Verify(rotation=rotation, resource="0" * 32, seq=0))
    bench.run(Repoint(rotation="nowhere", resource=step.resource, seq=0))

    assert bench.work(rotation) == before
    assert len(bench.azure.front_door.traffic()) == seen
    assert bench.writes(account) == 1
    assert bench.life.sent == []


def test_closed_work_is_never_taken_up_again(bench: Bench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    bench.finish(rotation)
    closed, seen = bench.work(rotation), len(bench.azure.front_door.traffic())
    for seq in range(closed.seq):
        bench.run(Repoint(rotation=rotation, resource=step.resource, seq=seq))
        bench.run(Verify(rotation=rotation, resource=step.resource, seq=seq))
    assert bench.work(rotation) == closed
    assert len(bench.azure.front_door.traffic()) == seen


def test_a_second_message_waits_while_a_write_may_be_under_way(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    with bench.dying(before=at("write")):
        bench.run_and_die(step)
    intent = bench.work(rotation).intent
    assert intent
    # The lease alone would let it wait as long: here nobody holds it.
    lease = bench.rows.load(Lease, *Lease(resource=account.id, until=bench.clock.now()).address)
    assert lease
    assert lease.row.holder == rotation
    bench.rows.replace(lease, msgspec.structs.replace(lease.row, holder=""))

    bench.forget_sent()
    bench.run(step)

    (again,) = bench.sent(Repoint)
    assert again.attempt == step.attempt + 1
    due = bench.due(Repoint)
    assert due
    assert abs(due - intent.at - LEASE) < timedelta(seconds=1)
    assert bench.writes(account) == 0
    assert bench.work(rotation).intent == intent


def test_writes_that_get_no_answer_are_waited_for_twice_as_long_each_time_and_given_up_in_the_end(
    bench: Bench,
) -> None:
    swift = in_memory(bench)
    rotation, account = unanswered(swift)
    runner, intents = Runner(swift), []
    runner.put(Supervise(rotation=rotation))
    while swift.rotation(rotation).outcome is None:
        assert runner.deliver()
        intent = swift.work(rotation).intent
        if intent and intent not in intents:
            intents.append(intent)

    assert len(intents) == len(swift.calls("PATCH")) == MOST_WRITES
    waits = [later.at - earlier.at for earlier, later in pairwise(intents)]
    minutes = [wait // timedelta(minutes=1) for wait in waits]
    assert minutes == [5, 10, 20, 40, 60, 60, 60]
    (consumer,) = swift.work(rotation).consumers
    assert consumer.verdict is Verdict.FAILED
    assert consumer.reason.startswith(f"8 writes to {account.id} got no answer")
    assert consumer.reason.endswith(f"as request {intents[-1].request_id}")
    assert "activity log" in consumer.advice


def unanswered(bench: Bench) -> tuple[str, Account]:
    """Open a rotation of an account whose writes are all lost on their way."""
    key = bench.key()
    account = bench.account("stone", key)
    bench.later_version(key)
    bench.azure.faults.add(Fault(method="PATCH", times=None, lose_request=True))
    rotation = bench.open(key)
    bench.search(rotation)
    return rotation, account


@pytest.mark.parametrize("in_text", [False, True])
def test_a_throttled_write_was_surely_not_taken_and_comes_back_at_the_stated_time(
    bench: Bench,
    in_text: bool,  # noqa: FBT001 - a table
) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    wait = timedelta(seconds=37)
    bench.azure.faults.add(Fault(method="PATCH", answer=throttled(wait, in_text=in_text)))
    bench.forget_sent()
    bench.run(step)
    assert bench.work(rotation).intent is None
    due = bench.due(Repoint)
    assert due
    assert abs(due - bench.clock.now() - wait) < timedelta(seconds=2)
    (again,) = bench.sent(Repoint)

    bench.pass_until(due)
    bench.run(again)
    bench.finish(rotation)
    assert verdict(bench, rotation) is Verdict.VERIFIED
    assert bench.writes(account) == 1


def test_an_error_that_stays_transient_is_raised_in_the_end_and_noted(bench: Bench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.azure.faults.add(
        Fault(method="GET", path="*/stone", times=None, answer=server_error_html())
    )
    last = Repoint(rotation=rotation, resource=step.resource, seq=0, attempt=MOST_ATTEMPTS)
    with pytest.raises(Exception, match="answered 503"):
        bench.run(last)
    bench.burial.run(last)
    (consumer,) = bench.work(rotation).consumers
    assert consumer.verdict is Verdict.FAILED
    assert "503" in consumer.reason


@pytest.mark.parametrize("kind", [Repoint, Verify])
def test_a_step_that_always_breaks_is_buried_with_what_it_raised(
    bench: Bench, kind: type[Repoint | Verify]
) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    expected = Verdict.FAILED
    queued: Repoint | Verify = step
    if kind is Verify:
        bench.run(step)
        (queued,) = bench.sent(Verify)
        expected = Verdict.UNKNOWN
    with bench.dying(before=_break_at_read):
        for _ in range(5):
            with pytest.raises(ZeroDivisionError):
                bench.run(queued)
    assert bench.work(rotation).stage is Stage.OPEN

    bench.burial.run(queued)

    (consumer,) = bench.work(rotation).consumers
    assert consumer.verdict is expected
    assert "ZeroDivisionError: a bug" in consumer.reason
    assert bench.finish(rotation).outcome is Outcome.FAILED


def _break_at_read(method: str, _: tuple[object, ...]) -> bool:
    if method == "read":
        raise ZeroDivisionError("a bug")
    return False


def test_a_buried_message_that_is_stale_changes_nothing(bench: Bench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    before = bench.work(rotation)
    bench.burial.run(step)
    assert bench.work(rotation) == before


def test_a_newer_version_supersedes_open_work_before_its_write(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.new_version(key)
    newer, again = bench.opened(key)
    assert newer != rotation

    bench.run(step)
    assert verdict(bench, rotation) is Verdict.SUPERSEDED
    assert bench.writes(account) == 0
    bench.run(Supervise(rotation=rotation))
    assert bench.rotation(rotation).outcome is Outcome.SUPERSEDED
    assert bench.active(key) == newer

    bench.run(again)
    bench.finish(newer)
    assert verdict(bench, newer) is Verdict.VERIFIED


def test_a_superseded_rotation_closes_its_open_work_and_speaks_no_more(bench: Bench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    (look,) = bench.sent(Verify)
    bench.new_version(key)
    bench.open(key)

    bench.run(look)
    assert verdict(bench, rotation) is Verdict.SUPERSEDED
    bench.forget_sent()
    bench.run(Supervise(rotation=rotation))
    assert bench.sent(Supervise) == []
    told = [e["type"] for e in bench.azure.topics.published(bench.azure.topic.name)]
    assert told == ["Keyturn.RotationStarted"] * 2


def test_the_supervisor_of_a_superseded_rotation_closes_what_no_message_reaches(
    bench: Bench,
) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation, _ = bench.opened(key)
    bench.new_version(key)
    bench.open(key)
    bench.run(Supervise(rotation=rotation))
    assert verdict(bench, rotation) is Verdict.SUPERSEDED
    assert bench.rotation(rotation).counts == {Verdict.SUPERSEDED: 1}
