"""What a resource is owed comes to it, however late, lost or ill answered a write of ours is."""

import copy
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from sandbox.arm.resource_ids import ResourceId
from sandbox.azure import LocalAzure
from sandbox.container_estate import ContainerGroup
from sandbox.faults import Answer, Fault, throttled
from shared.catalog.container_instances import CONTAINER_GROUP
from shared.domain.callers import NOBODY
from shared.domain.json_paths import put
from shared.domain.keys import KeyVersion
from shared.domain.rows import Debt, debt_address, rotation_id
from shared.domain.steps import Pay, Repoint, Step
from shared.domain.verdicts import Outcome, Verdict
from shared.domain.work import Consumer, Stage
from shared.usecases.overdue import LEASE
from shared.usecases.settle import AFTER_REFUSAL, LONGEST_DELETION
from shared.usecases.verify import MOST_ROUNDS
from tests.usecases.bench import VAULT, Bench
from tests.usecases.memory import in_memory
from tests.usecases.rotations import announced, head, point
from tests.usecases.runner import Runner
from tests.usecases.test_nudge import reference
from tests.usecases.test_recreation import (
    body_of,
    deletes,
    go_on,
    group,
    is_there,
    version,
)

LONG = timedelta(days=30)
REFUSED = Answer(400, {"error": {"code": "QuotaExceeded", "message": "no cores left"}})
LOCKED = Answer(409, {"error": {"code": "ScopeLocked", "message": "locked"}})
NO_GROUP = Answer(404, {"error": {"code": "ResourceGroupNotFound", "message": "no such group"}})


@pytest.fixture(name="start")
def _start(
    local_azure: Callable[[float], LocalAzure], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[dict[str, object]], Bench]]:
    with local_azure(1) as azure:
        for name, value in azure.environment().items():
            monkeypatch.setenv(name, value)
        yield lambda policy: in_memory(Bench(azure, policy=policy))


@pytest.fixture(name="bench")
def _bench(start: Callable[[dict[str, object]], Bench]) -> Bench:
    """A bench that makes container groups again; its rows are in memory."""
    return start({"recreate_container_groups": True})


@pytest.fixture(name="nudging")
def _nudging(start: Callable[[dict[str, object]], Bench]) -> Bench:
    """A bench that nudges what follows the vault; its rows are in memory."""
    return start({"versionless": "nudge"})


def remove(bench: Bench, it: ContainerGroup) -> None:
    """Take a group away, behind everyone's back."""
    resources = bench.azure.estate.arm.resources
    resources.remove(resources.get(ResourceId.parse(it.id)))


def begun(bench: Bench) -> tuple[ContainerGroup, str, Repoint, str]:
    """Return a group, and a rotation whose next step deletes it, with that step and its target."""
    key = bench.key()
    it = group(bench, key)
    new = bench.later_version(key)
    return it, *bench.opened(key), new


def debt_on(bench: Bench, resource: str) -> Debt | None:
    kept = bench.rows.load(Debt, *debt_address(resource))
    return kept.row if kept else None


def the_consumer(bench: Bench, rotation: str) -> Consumer:
    (consumer,) = bench.work(rotation).consumers
    return consumer


def run_of(target: str) -> str:
    return rotation_id(KeyVersion.parse(target), 1)


def last(target: str) -> str:
    return target.rpartition("/")[2]


def creations(bench: Bench) -> int:
    return len(bench.calls("PUT", "containerGroups"))


def go_on_until(bench: Bench, met: Callable[[], object]) -> None:
    for _ in range(100):
        if met():
            return
        go_on(bench)
    raise AssertionError("it does not come to that")


def is_put_back(rotation: str) -> Callable[[Step], bool]:
    """Tell the steps of a rotation that could not write yet."""
    return lambda step: isinstance(step, Repoint) and step.rotation == rotation and step.attempt > 0


# -- one debt at a time ----------------------------------------------------------------------------


def test_a_newer_version_waits_for_a_group_whose_deletion_does_not_show_yet(bench: Bench) -> None:
    key = bench.key()
    it = group(bench, key)
    it.pace.deletion = LONG
    first = run_of(bench.later_version(key))
    runner = Runner(bench)
    runner.event(key)
    runner.run(until=lambda: deletes(bench))
    newest = bench.later_version(key)
    second = run_of(newest)
    runner.event(key, "e2")
    runner.run(until=lambda: runner.queued(is_put_back(second)))
    debt = debt_on(bench, it.id)
    assert debt
    assert debt.rotation == first
    assert deletes(bench) == 1
    it.pace.deletion = timedelta(0)
    runner.run()
    assert bench.rotation(first).outcome is Outcome.SUPERSEDED
    assert bench.rotation(second).outcome is Outcome.COMPLETED
    assert the_consumer(bench, second).verdict is Verdict.VERIFIED
    assert version(bench, it) == last(newest)


def test_a_newer_version_waits_for_an_account_whose_nudge_was_lost(nudging: Bench) -> None:
    key = nudging.key()
    account = nudging.account("stone", key, "absent")
    before = reference(nudging, account)
    first = run_of(nudging.later_version(key))
    nudging.azure.faults.add(Fault(method="PATCH", lose_request=True))
    runner = Runner(nudging)
    runner.event(key)
    runner.run(until=lambda: nudging.azure.faults.taken)
    newest = nudging.later_version(key)
    second = run_of(newest)
    runner.event(key, "e2")
    runner.run()
    assert nudging.rotation(first).outcome is Outcome.SUPERSEDED
    assert the_consumer(nudging, first).verdict is Verdict.SUPERSEDED
    assert nudging.rotation(second).outcome is Outcome.COMPLETED
    assert nudging.in_use(account) == newest
    assert reference(nudging, account) == before


# -- deletions that are late -----------------------------------------------------------------------


@pytest.mark.parametrize("action", ["", "pause", "cancel"])
def test_a_deletion_that_comes_about_late_loses_no_group(bench: Bench, action: str) -> None:
    it, rotation, step, new = begun(bench)
    it.pace.deletion = LONG
    bench.run(step)
    if action:
        getattr(bench.steer, action)(rotation, "not now", NOBODY)
        bench.supervise(rotation)
    deleted_at = bench.clock.now()
    go_on_until(bench, lambda: bench.clock.now() > deleted_at + 2 * LEASE)
    assert is_there(bench, it)
    assert bench.work(rotation).owes == "recreate"
    # What is stopped takes nothing away any more; what goes on asks again.
    assert (deletes(bench) == 1) is bool(action)
    it.pace.deletion = timedelta(0)
    if action == "pause":
        bench.steer.resume(rotation, "go on", NOBODY)
    bench.finish(rotation)
    assert version(bench, it) == last(new)


def undeleted(bench: Bench) -> tuple[ContainerGroup, str, str]:
    """Have Azure accept the deletion of a group as often as it is asked for, and do nothing."""
    it, rotation, step, new = begun(bench)
    bench.azure.faults.add(Fault(method="DELETE", times=None, answer=Answer(202, {})))
    bench.run(step)
    go_on_until(bench, lambda: the_consumer(bench, rotation).verdict)
    return it, rotation, new


def test_a_deletion_that_never_shows_is_asked_for_a_few_times_and_is_stuck(bench: Bench) -> None:
    it, rotation, _ = undeleted(bench)
    before = version(bench, it)
    assert deletes(bench) == 1 + MOST_ROUNDS
    assert the_consumer(bench, rotation).verdict is Verdict.STUCK
    work = bench.work(rotation)
    assert (work.stage, work.owes) == (Stage.OPEN, "recreate")
    said_at = bench.clock.now()
    go_on_until(bench, lambda: not bench.work(rotation).owes)
    assert bench.clock.now() - said_at > LONGEST_DELETION - 2 * LEASE
    assert bench.finish(rotation).outcome is Outcome.FAILED
    assert the_consumer(bench, rotation).verdict is Verdict.STUCK
    assert (deletes(bench), creations(bench)) == (1 + MOST_ROUNDS, 0)
    assert version(bench, it) == before
    assert announced(bench, rotation).count("ConsumerStuck") == 1


def test_a_group_that_goes_after_its_deletion_was_stuck_is_made_again(bench: Bench) -> None:
    it, rotation, new = undeleted(bench)
    bench.supervise(rotation)
    remove(bench, it)
    assert bench.finish(rotation).outcome is Outcome.COMPLETED
    assert the_consumer(bench, rotation).verdict is Verdict.VERIFIED
    assert version(bench, it) == last(new)


def test_a_group_that_a_late_deletion_takes_after_all_is_said_to_be_missing(bench: Bench) -> None:
    key = bench.key()
    it = group(bench, key)
    rotation = run_of(bench.later_version(key))
    runner = Runner(bench)
    runner.event(key)
    held = bench.azure.faults.hold(method="DELETE", path="*/web")
    runner.run(until=held.arrived.is_set)
    runner.run(until=lambda: bench.work(rotation).stage is Stage.CONFIRM)
    held.release()
    assert not is_there(bench, it)
    runner.run()
    consumer = the_consumer(bench, rotation)
    assert consumer.verdict is Verdict.FAILED
    assert "made again by us" in consumer.reason
    assert consumer.advice
    assert bench.rotation(rotation).outcome is Outcome.FAILED


# -- answers that say nothing, and what others do meanwhile ----------------------------------------


def test_a_deletion_whose_answer_is_unreadable_loses_no_group(bench: Bench) -> None:
    it, rotation, step, new = begun(bench)
    bench.azure.faults.add(Fault(method="DELETE", answer=Answer(202, b"null")))
    bench.run(step)
    remove(bench, it)
    assert bench.finish(rotation).outcome is Outcome.COMPLETED
    assert version(bench, it) == last(new)


@pytest.mark.parametrize("is_done", [True, False])
def test_a_nudge_whose_answer_is_unreadable_leaves_no_account_pinned(
    nudging: Bench,
    is_done: bool,  # noqa: FBT001 - a table
) -> None:
    key = nudging.key()
    account = nudging.account("stone", key, "absent")
    before = reference(nudging, account)
    new = nudging.later_version(key)
    rotation, step = nudging.opened(key)
    said = Answer(200, b"<html>ok</html>", {"content-type": "text/html"})
    nudging.azure.faults.add(Fault(method="PATCH", answer=said))
    nudging.run(step)
    if is_done:
        point(nudging, account, new)
    assert nudging.work(rotation).owes == "restore"
    assert nudging.finish(rotation).outcome is Outcome.COMPLETED
    assert nudging.in_use(account) == new
    assert reference(nudging, account) == before


def test_a_group_that_somebody_else_deletes_just_before_us_stays_away(bench: Bench) -> None:
    it, rotation, step, _ = begun(bench)
    bench.azure.faults.on("DELETE", "*/web", lambda _: remove(bench, it))
    bench.run(step)
    assert [call.status for call in bench.calls("DELETE")] == [204]
    assert bench.finish(rotation).outcome is Outcome.COMPLETED
    assert the_consumer(bench, rotation).verdict is Verdict.GONE
    assert creations(bench) == 0
    assert debt_on(bench, it.id) is None


def make_anew(bench: Bench, it: ContainerGroup, old: str, image: str) -> None:
    """Make the group again as somebody else would: on the old version, and of another image."""
    debt = debt_on(bench, it.id)
    assert debt
    body = copy.deepcopy(debt.body)
    put(body, "properties.encryptionProperties.keyVersion", old)
    body["properties"]["containers"][0]["properties"]["image"] = image
    bench.steps.repoint.resources.write(CONTAINER_GROUP, it.id, body, request_id="theirs", etag="")


def test_a_group_that_somebody_else_makes_anew_meanwhile_is_moved_as_they_made_it(
    bench: Bench,
) -> None:
    it, rotation, step, new = begun(bench)
    old = version(bench, it)
    bench.run(step)
    assert not is_there(bench, it)
    make_anew(bench, it, old, "theirs:2")
    assert bench.finish(rotation).outcome is Outcome.COMPLETED
    assert the_consumer(bench, rotation).verdict is Verdict.VERIFIED
    assert (deletes(bench), creations(bench)) == (2, 2)
    body = body_of(bench, it)
    assert body["properties"]["containers"][0]["properties"]["image"] == "theirs:2"
    assert version(bench, it) == last(new)


def test_a_deleted_resource_group_ends_what_was_owed_in_it(bench: Bench) -> None:
    it, rotation, step, _ = begun(bench)
    bench.run(step)
    bench.azure.faults.add(Fault(path="*/rg-containers/*", times=None, answer=NO_GROUP))
    go_on_until(bench, lambda: not bench.work(rotation).owes)
    assert the_consumer(bench, rotation).verdict is Verdict.GONE
    assert debt_on(bench, it.id) is None
    assert bench.finish(rotation).outcome is Outcome.COMPLETED


def test_a_version_that_a_person_pins_meanwhile_is_not_undone(nudging: Bench) -> None:
    key = nudging.key()
    old = nudging.azure.estate.vaults.newest(VAULT, "cmk")
    account = nudging.account("stone", key, "absent")
    nudging.later_version(key)
    rotation, step = nudging.opened(key)
    nudging.run(step)
    point(nudging, account, old)
    assert nudging.finish(rotation).outcome is Outcome.FAILED
    assert the_consumer(nudging, rotation).verdict is Verdict.REVERTED
    assert reference(nudging, account)["keyversion"] == last(old)
    assert debt_on(nudging, account.id) is None


def test_an_account_that_a_late_nudge_pins_is_reverted_and_never_verified(nudging: Bench) -> None:
    key = nudging.key()
    account = nudging.account("stone", key, "absent")
    before = reference(nudging, account)
    rotation = run_of(nudging.later_version(key))
    runner = Runner(nudging)
    runner.event(key)
    held = nudging.azure.faults.hold(method="PATCH", path="*/stone")
    runner.run(until=held.arrived.is_set)
    runner.run(until=lambda: nudging.work(rotation).stage is Stage.CONFIRM)
    assert reference(nudging, account) == before
    assert held.release().status == 200
    runner.run()
    assert the_consumer(nudging, rotation).verdict is Verdict.REVERTED
    assert nudging.rotation(rotation).outcome is Outcome.FAILED


# -- creations -------------------------------------------------------------------------------------


def test_a_creation_that_is_withdrawn_is_asked_for_again(bench: Bench) -> None:
    it, rotation, step, new = begun(bench)
    it.pace.creation = LONG
    bench.run(step)
    go_on_until(bench, lambda: creations(bench))
    go_on(bench)
    remove(bench, it)
    it.pace.creation = timedelta(0)
    assert bench.finish(rotation).outcome is Outcome.COMPLETED
    assert the_consumer(bench, rotation).verdict is Verdict.VERIFIED
    assert version(bench, it) == last(new)
    assert creations(bench) == 2


def test_a_creation_that_ends_failed_says_why_and_is_not_repeated(bench: Bench) -> None:
    it, rotation, step, _ = begun(bench)
    it.pace.failures = 1
    bench.run(step)
    assert bench.finish(rotation).outcome is Outcome.FAILED
    consumer = the_consumer(bench, rotation)
    assert consumer.verdict is Verdict.FAILED
    assert "ServiceUnavailable" in consumer.reason
    assert creations(bench) == 1


@pytest.mark.parametrize(
    ("takes", "verdict"),
    [
        (timedelta(minutes=5), Verdict.VERIFIED),
        (timedelta(minutes=70), Verdict.LATE),
        (LONG, Verdict.STUCK),
    ],
)
def test_a_group_that_is_made_again_has_its_hour_from_then_on(
    bench: Bench, takes: timedelta, verdict: Verdict
) -> None:
    it, rotation, step, _ = begun(bench)
    it.pace.creation = LONG
    bench.run(step)
    go_on_until(bench, lambda: creations(bench))
    made_at = bench.clock.now()
    go_on_until(
        bench,
        lambda: bench.clock.now() > made_at + takes or the_consumer(bench, rotation).verdict,
    )
    if takes < LONG:
        it.pace.creation = timedelta(0)
    bench.finish(rotation)
    assert the_consumer(bench, rotation).verdict is verdict
    closed_at = bench.work(rotation).closed_at
    assert closed_at
    assert closed_at - made_at < timedelta(hours=2)
    assert creations(bench) == 1


def test_the_first_try_after_a_refusal_comes_soon_however_long_the_deletion_took(
    bench: Bench,
) -> None:
    it, _, step, _ = begun(bench)
    it.pace.deletion = LONG
    bench.run(step)
    for _ in range(4):
        go_on(bench)
    it.pace.deletion = timedelta(0)
    bench.azure.faults.add(Fault(method="PUT", answer=REFUSED))
    go_on_until(bench, lambda: bench.azure.faults.taken)
    due = bench.due(Pay)
    assert due
    assert timedelta(0) < due - bench.clock.now() <= AFTER_REFUSAL


def test_a_rotation_goes_on_past_a_canary_that_failed_and_is_owed_something(bench: Bench) -> None:
    key = bench.key()
    its = [group(bench, key, name) for name in ("web1", "web2")]
    new = bench.later_version(key)
    rotation = bench.open(key)
    (canary,) = bench.discover(rotation)
    bench.run(canary)
    bench.azure.faults.add(Fault(method="PUT", times=None, answer=REFUSED))
    for _ in range(3):
        go_on(bench)
    bench.supervise(rotation)
    assert "canary" in head(bench, key).paused
    bench.steer.resume(rotation, "I have seen it", NOBODY)
    for _ in range(3):
        bench.supervise(rotation)
    assert head(bench, key).paused == ""
    assert {step.resource for step in bench.sent(Repoint)} - {canary.resource}
    bench.azure.faults.clear()
    assert bench.finish(rotation).outcome is Outcome.COMPLETED
    assert {version(bench, it) for it in its} == {last(new)}


# -- writes that were not made ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer", [LOCKED, throttled(timedelta(seconds=20))], ids=["refused", "throttled"]
)
def test_a_deletion_that_was_surely_not_made_leaves_no_definition_on_record(
    bench: Bench, answer: Answer
) -> None:
    it, _, step, _ = begun(bench)
    bench.azure.faults.add(Fault(method="DELETE", answer=answer))
    bench.run(step)
    assert deletes(bench) == 1
    assert debt_on(bench, it.id) is None


def test_a_pause_just_before_the_deletion_leaves_no_definition_on_record(bench: Bench) -> None:
    it, rotation, step, _ = begun(bench)
    bench.azure.faults.on(
        "GET", "*/web", lambda _: bench.steer.pause(rotation, "not now", NOBODY), when="after"
    )
    bench.run(step)
    assert (deletes(bench), bench.work(rotation).owes) == (0, "")
    assert debt_on(bench, it.id) is None
