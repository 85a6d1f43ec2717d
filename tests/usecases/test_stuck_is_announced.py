"""That a resource is stuck is told once, and only when it is on record."""

from typing import Any

from msgspec.structs import replace

from sandbox.event_grid.schemas import Event
from sandbox.faults import Answer, Fault
from shared.domain.callers import NOBODY
from shared.domain.resources import digest
from shared.domain.steps import Verify
from shared.domain.verdicts import Verdict
from shared.domain.work import Work
from tests.usecases.bench import Bench
from tests.usecases.rotations import finish


def told(bench: Bench) -> list[Event]:
    published = bench.azure.topics.published(bench.azure.topic.name)
    return [event for event in published if event["type"] == "Keyturn.ConsumerStuck"]


def last_look(bench: Bench) -> tuple[str, Verify]:
    """Carry a rotation to the look after the window of the one account, which never moves."""
    key = bench.key()
    account = bench.account("stone", key)
    account.pace.stuck()
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    for _ in range(20):
        look = bench.sent(Verify)[-1]
        bench.pass_until(bench.due(Verify))
        work = bench.work(rotation)
        if work.accepted_at and (bench.clock.now() - work.accepted_at).total_seconds() >= 3600:
            return rotation, look
        bench.run(look)
    raise AssertionError("the window does not close")


def test_it_is_told_once_with_its_resource_and_what_was_seen(bench: Bench) -> None:
    rotation, look = last_look(bench)
    assert told(bench) == []

    bench.run(look)
    bench.run(look)
    finish(bench, rotation)

    (event,) = told(bench)
    work = bench.work(rotation)
    assert event["id"] == f"{rotation}/Keyturn.ConsumerStuck/{digest(work.resource)}"
    assert event["data"]["resource"] == work.resource
    assert event["data"]["rotation"] == rotation
    assert event["data"]["target"] == bench.rotation(rotation).target
    assert event["data"]["problem"] == work.consumers[0].reason


def test_found_stuck_again_after_a_retry_it_is_told_under_the_same_id(bench: Bench) -> None:
    rotation, look = last_look(bench)
    bench.run(look)
    bench.steer.retry(rotation, "once more", NOBODY)
    bench.settle(rotation)
    assert bench.work(rotation).consumers[0].verdict is Verdict.STUCK
    assert len({event["id"] for event in told(bench)}) == 1


def test_what_another_step_has_changed_meanwhile_is_not_told(bench: Bench) -> None:
    rotation, look = last_look(bench)
    ledger = bench.steps.ledger

    def meanwhile(method: str, arguments: tuple[Any, ...]) -> bool:
        """Change the work right before the verdict is kept, as another step would."""
        if method == "commit" and isinstance(arguments[0].row, Work):
            (kept,) = ledger.all(rotation)
            if not kept.row.note:
                bench.rows.replace(kept, replace(kept.row, note="changed"))
        return False

    with bench.dying(before=meanwhile):
        bench.run(look)  # put back: the row was changed

    assert bench.work(rotation).consumers[0].verdict is None
    assert told(bench) == []

    bench.run(look)
    assert bench.work(rotation).consumers[0].verdict is Verdict.STUCK
    assert len(told(bench)) == 1


def test_a_topic_that_refuses_leaves_the_verdict_as_it_is(bench: Bench) -> None:
    rotation, look = last_look(bench)
    bench.azure.faults.add(Fault(host="*.eventgrid.azure.net", times=None, answer=Answer(500)))
    bench.run(look)
    assert bench.work(rotation).consumers[0].verdict is Verdict.STUCK
    assert told(bench) == []
