"""Lost messages, timers that stand still, steps that always fail, writes that come late."""

import base64
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import batched, groupby
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ResourceExistsError
from azure.data.tables import TableServiceClient
from azure.storage.queue import QueueClient

from sandbox.azure import LocalAzure
from sandbox.estate import Account
from sandbox.faults import Answer, Fault
from sandbox.held_requests import HeldRequest
from shared.adapters.storage.bodies import Bodies
from shared.adapters.storage.tables import TableRows
from shared.domain.rows import Beat, Cause, KeyHead, Lane, Phase, Rotation, Scope
from shared.domain.steps import Step, Supervise, encode
from shared.domain.work import Outstanding, Work
from shared.ports import Insert, Put
from tests.e2e.stage import (
    VAULT,
    Stage,
    app_with_queues,
    consumer,
    deployed,
    verdicts,
)

QUEUE = "keyturn-steps"
POISON = "keyturn-steps-poison"


def _put(stage: Stage, queue: str, step: Step) -> None:
    """Put a step into a queue as the app does."""
    with QueueClient.from_connection_string(_storage(stage), queue) as client:
        with suppress(ResourceExistsError):
            client.create_queue()
        client.send_message(base64.b64encode(encode(step).encode()).decode(), time_to_live=-1)


def _storage(stage: Stage) -> str:
    return stage.azure.environment()["AzureWebJobsStorage"]


def _sweeps(stage: Stage) -> int:
    return stage.log().count("invocation sweeps")


# -- messages that are lost ------------------------------------------------------------------------


@pytest.fixture
def hurried(local_azure: Callable[[float], LocalAzure]) -> Iterator[Stage]:
    """A stage whose hours last half a minute."""
    with local_azure(120) as azure:
        yield Stage(azure)


def _lose_all_messages(stage: Stage, *, when: str) -> tuple[str, list[Account]]:
    """Begin a rotation and lose its messages while the app is down; return target and accounts."""
    key = stage.key()
    accounts = [stage.account(name, key) for name in ("stfirst", "stsecond")]
    place = {"searching": "*/Microsoft.ResourceGraph/*", "moving": accounts[0].id}[when]
    refusing = Fault(path=place, times=None, answer=Answer(503, b"", {"Retry-After": "600"}))
    stage.azure.faults.add(refusing)
    stage.start()
    target = stage.rotate(key)
    stage.until(lambda: stage.azure.faults.taken, 30, f"a rotation that is {when}")
    stage.azure.stop_app()
    stage.azure.empty_queue(QUEUE)
    stage.azure.faults.clear()
    return target, accounts


def test_if_every_message_is_lost_the_timer_alone_brings_the_rotation_to_its_end(
    hurried: Stage,
) -> None:
    target, accounts = _lose_all_messages(hurried, when="moving")
    settings = {"KEYTURN_VAULTS": VAULT, "KEYTURN_SWEEP_SCHEDULE": "0 */5 * * * *"}
    assert _sweeps(hurried) == 0

    hurried.azure.start_app(deployed(), settings, freeze_timers=False)
    report = hurried.ended(target, within=90)

    assert verdicts(report) == {"stfirst": "verified", "stsecond": "verified"}
    assert [hurried.writes(account) for account in accounts] == [1, 1]
    assert [hurried.in_use(account) for account in accounts] == [target] * 2
    assert _sweeps(hurried) > 0


def test_a_supervisors_message_among_the_poison_comes_back_and_finds_the_rest_lost(
    hurried: Stage,
) -> None:
    target, accounts = _lose_all_messages(hurried, when="searching")
    _put(hurried, POISON, Supervise(rotation=hurried.rotation_to(target)))

    hurried.azure.start_app(deployed(), {"KEYTURN_VAULTS": VAULT})
    report = hurried.ended(target, within=90)

    assert verdicts(report) == {"stfirst": "verified", "stsecond": "verified"}
    assert [hurried.writes(account) for account in accounts] == [1, 1]
    assert _sweeps(hurried) == 0


def test_a_rotation_ends_although_the_timers_stand_still(stage: Stage) -> None:
    key = stage.key()
    account = stage.account("stqueued", key)
    stage.start()

    target = stage.rotate(key)
    report = stage.ended(target)

    assert verdicts(report) == {"stqueued": "verified"}
    assert stage.in_use(account) == target
    assert _sweeps(stage) == 0


# -- a backlog -------------------------------------------------------------------------------------

OVERDUE = 2000


def test_two_thousand_resources_overdue_for_days_get_one_message_more_each(
    local_azure: Callable[[float], LocalAzure], tmp_path: Path
) -> None:
    # A look at so much takes seconds, and half a minute lasts six here: one after the other.
    app = app_with_queues(tmp_path, batchSize=1, newBatchThreshold=0)
    with local_azure(5) as azure:
        stage = Stage(azure)
        rotation = _keep_overdue(stage)
        _put(stage, QUEUE, Supervise(rotation=rotation))

        stage.start(app=app)
        entries = stage.until(lambda: _nudged(stage), 150, "every nudge", every=1)
        looks = _steps_run(stage)
        stage.until(lambda: _steps_run(stage) > looks, 200, "one more look", every=1)
        stage.azure.stop_app()

        sent = [
            operation
            for operation in azure.azurite.operations(azure.account)
            if (operation.method, operation.path) == ("POST", f"/{QUEUE}/messages")
        ]
        assert {row["nudges"] for row in entries} == {1}
        # By now some have run, and wait for another look, not sent again at all.
        assert max(row["nudges"] for row in _entries(stage)) == 1
        assert OVERDUE < len(sent) <= OVERDUE + 1 + _steps_run(stage), "each look asks for the next"


def _keep_overdue(stage: Stage) -> str:
    """Keep a rotation in the midst of which every message was lost, days ago; return its id.

    What is sent again is to wait in the queue, and not to run: the lanes rest for nine minutes.
    """
    now, target = stage.azure.clock.now(), stage.vault.create_key("cmk")
    long_ago, key = now - timedelta(days=2), target.rpartition("/")[0]
    rotation = Rotation(
        id="overdue-1",
        key=key,
        target=target,
        target_created=long_ago,
        key_type="RSA",
        run=1,
        cause=Cause(trigger="operator", id="a test"),
        opened_at=long_ago,
        phase=Phase.MOVING,
        discovered_at=long_ago,
        scope=Scope(readable=1),
    )
    group = f"/subscriptions/{stage.subscription}/resourceGroups/rg"
    works = [
        Work(
            rotation=rotation.id,
            key=key,
            resource=f"{group}/providers/Microsoft.Storage/storageAccounts/st{number}",
            kind="storage_account",
            location=f"region{number % 20}",
            found_at=long_ago,
            seq=1,
            next="verify",
            due_at=long_ago,
        )
        for number in range(OVERDUE)
    ]
    with TableServiceClient.from_connection_string(_storage(stage)) as service:
        rows = TableRows(service, Bodies(_no_bodies))
        rows.insert(rotation)
        rows.insert(KeyHead(key=key, active=rotation.id, handled=target))
        rows.insert(Beat(rotation=rotation.id, at=now - timedelta(minutes=1), since=long_ago))
        for lane in {work.lane for work in works}:
            rows.insert(Lane(lane=lane, blocked_until=now + timedelta(minutes=9)))
        works.sort(key=lambda work: work.address)
        for _, shard in groupby(works, key=lambda work: work.address[0]):
            # A transaction changes a hundred rows at most.
            for some in batched(shard, 50, strict=False):
                entries = [Put(Outstanding.of(work)) for work in some]
                rows.commit(*map(Insert, some), *entries)
    return rotation.id


def _no_bodies() -> Any:  # noqa: ANN401 - never returns
    raise AssertionError("none of these rows is too large for a table")


def _entries(stage: Stage) -> list[dict[str, Any]]:
    return [row for row in stage.rows("keyturnwork") if row["RowKey"].startswith("todo-")]


def _nudged(stage: Stage) -> list[dict[str, Any]]:
    """Return the index of what is not done, once all of it was sent again."""
    entries = _entries(stage)
    return entries if all(row["nudges"] for row in entries) else []


def _steps_run(stage: Stage) -> int:
    return stage.log().count("invocation rotation_steps")


# -- steps that always fail ------------------------------------------------------------------------


def test_a_step_that_always_throws_ends_failed_with_one_poison_message_and_can_be_retried(
    stage: Stage, tmp_path: Path
) -> None:
    key = stage.key()
    well, odd = stage.account("stawell", key), stage.account("stodd", key)
    before = stage.in_use(odd)
    # JSON, but nested deeper than Python reads: none of the errors that the app knows of.
    deep = Answer(200, b'{"a":' * 200_000 + b"1" + b"}" * 200_000)
    stage.azure.faults.add(Fault(method="GET", path=odd.id, times=None, answer=deep))
    stage.start(app=app_with_queues(tmp_path, visibilityTimeout="00:00:00"))

    target = stage.rotate(key)
    report = stage.ended(target, within=90)

    told = consumer(report, "stodd")
    assert report["state"] == "failed"
    assert verdicts(report) == {"stawell": "verified", "stodd": "failed"}
    assert "failed five times: RecursionError" in told["reason"]
    assert told["advice"]
    assert stage.log().count(f"was moved to {POISON}") == 1
    assert len(stage.reads(odd)) <= 5
    assert (stage.in_use(well), stage.in_use(odd), stage.writes(odd)) == (target, before, 0)

    stage.azure.faults.clear()
    status, _, _ = stage.steer(report["id"], "retry")
    stage.until(lambda: stage.rotation_to(target) != report["id"], 20, "another run")
    again = stage.ended(target, within=90)

    assert status == 202
    assert verdicts(again) == {"stawell": "already", "stodd": "verified"}
    assert (stage.in_use(odd), stage.writes(well), stage.writes(odd)) == (target, 1, 1)


# -- writes that come late -------------------------------------------------------------------------


@pytest.fixture
def hastier(local_azure: Callable[[float], LocalAzure]) -> Iterator[Stage]:
    """A stage whose hours last a quarter of a minute: one of them must pass."""
    with local_azure(240) as azure:
        yield Stage(azure)


def _held_write(stage: Stage, key: str, account: Account) -> HeldRequest:
    """Rotate, and hold the write that follows from it; then rotate again."""
    held = stage.azure.faults.hold(method="PATCH", path=account.id)
    stage.rotate(key)
    assert held.arrived.wait(30)
    return held


def test_an_older_versions_late_write_is_undone_before_the_rotation_ends(stage: Stage) -> None:
    key = stage.key()
    account, slow = stage.account("stlate", key), stage.account("stslow", key)
    slow.pace.slow(timedelta(minutes=10))  # keeps the rotation from its end
    stage.start()
    held = _held_write(stage, key, account)

    target = stage.rotate(key)
    stage.shown(
        stage.opened(target), lambda report: verdicts(report).get("stlate") == "verified", 60
    )
    assert held.release().status == 200
    assert stage.in_use(account) not in (None, target)
    report = stage.ended(target, within=90)

    assert report["state"] == "completed"
    assert verdicts(report) == {"stlate": "verified", "stslow": "verified"}
    assert stage.in_use(account) == target
    assert stage.writes(account) == 3, "the late one, the one it undid, and that one again"


def test_an_older_versions_write_that_comes_after_the_end_is_undone_by_a_later_sweep(
    hastier: Stage,
) -> None:
    key = hastier.key()
    account = hastier.account("stlater", key)
    hastier.start(policy={"recheckHours": 1})
    held = _held_write(hastier, key, account)
    target = hastier.rotate(key)
    report = hastier.ended(target, within=90)

    assert held.release().status == 200
    assert hastier.in_use(account) not in (None, target)
    ended_at = datetime.fromisoformat(report["endedAt"])
    clock = hastier.azure.clock
    hastier.until(lambda: clock.now() > ended_at + timedelta(hours=1.1), 30, "the hour")
    hastier.sweep()
    hastier.until(lambda: hastier.rotation_to(target) != report["id"], 30, "another run")
    again = hastier.ended(target, within=90)

    assert verdicts(again) == {"stlater": "verified"}
    assert hastier.in_use(account) == target
    assert hastier.writes(account) == 3
