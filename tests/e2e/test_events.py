"""Events come twice, late, in any order, or not at all: the vault is what counts."""

import base64
import json
from datetime import timedelta

from azure.storage.queue import QueueClient

from tests.e2e.conftest import CLOUD_VAULT
from tests.e2e.stage import VAULT, Stage, verdicts


def _rotations_of(stage: Stage, key: str) -> list[str]:
    return sorted(r["target"] for r in stage.rotations() if r["key"] == key)


def _event_of(kid: str) -> dict[str, object]:
    return {
        "Id": kid,
        "VaultName": VAULT,
        "ObjectType": "Key",
        "ObjectName": kid.split("/")[-2],
        "Version": kid.rpartition("/")[2],
    }


def test_the_event_of_a_version_that_is_handled_writes_nothing_and_opens_nothing(
    running: Stage,
) -> None:
    key = running.key()
    account = running.account("sttwice", key)
    target = running.rotate(key)
    running.ended(target)
    calls = len(running.calls("GET", account.id))

    running.handled(running.publish(_event_of(target)))

    assert running.writes(account) == 1
    assert len(running.calls("GET", account.id)) == calls
    assert _rotations_of(running, key) == [target]


def test_twenty_copies_of_an_event_make_one_rotation_and_one_write_each(running: Stage) -> None:
    key = running.key()
    accounts = [running.account(f"sttwenty{number}", key) for number in range(3)]
    before = len(running.azure.event_grid.deliveries())
    running.azure.event_grid.duplicate_next(20)

    target = running.rotate(key)
    running.until(
        lambda: len(running.azure.event_grid.deliveries()) >= before + 20, 20, "20 deliveries"
    )
    report = running.ended(target)
    running.quiet()

    assert set(verdicts(report).values()) == {"verified"}
    assert [running.writes(account) for account in accounts] == [1, 1, 1]
    assert _rotations_of(running, key) == [target]


def test_twenty_copies_of_an_event_are_supervised_and_announced_as_one(running: Stage) -> None:
    key = running.key()
    running.account("stheard", key)
    running.azure.event_grid.duplicate_next(20)

    running.ended(running.rotate(key))
    running.quiet()

    heard = [
        event["type"]
        for kind in ("Keyturn.RotationStarted", "Keyturn.RotationCompleted")
        for event in running.announced(kind)
        if event["subject"] == key
    ]
    assert sorted(heard) == ["Keyturn.RotationCompleted", "Keyturn.RotationStarted"]


def test_the_late_event_of_an_older_version_lowers_nothing(running: Stage) -> None:
    key = running.key()
    account = running.account("stlate", key)
    first = running.in_use(account)
    assert first is not None
    target = running.rotate(key)
    running.ended(target)

    running.handled(running.publish(_event_of(first)))

    assert running.in_use(account) == target
    assert running.writes(account) == 1
    assert _rotations_of(running, key) == [target]


def test_events_in_the_wrong_order_end_on_the_newest_version(running: Stage) -> None:
    key = running.key()
    account = running.account("storder", key)
    before = len(running.azure.event_grid.deliveries())
    running.azure.event_grid.reorder_next()

    running.rotate(key)
    newest = running.rotate(key)
    running.until(
        lambda: len(running.azure.event_grid.deliveries()) >= before + 2, 15, "2 deliveries"
    )
    report = running.ended(newest)
    running.quiet()

    assert report["state"] == "completed"
    assert running.in_use(account) == newest
    assert running.writes(account) == 1
    assert _rotations_of(running, key) == [newest]


def test_an_event_that_waited_in_a_queue_opens_a_rotation_as_one_that_came(running: Stage) -> None:
    key = running.key()
    account = running.account("stqueuedevent", key)
    running.azure.event_grid.lose_next()
    target = running.rotate(key)
    kind = "Microsoft.KeyVault.KeyNewVersionCreated"
    event = {"id": "q1", "eventType": kind, "data": _event_of(target)}

    storage = running.azure.environment()["AzureWebJobsStorage"]
    with QueueClient.from_connection_string(storage, "keyturn-events") as queue:
        # As Event Grid writes it: azure-docs issue 102923.
        queue.send_message(base64.b64encode(json.dumps(event).encode()).decode())

    report = running.ended(target)
    assert (report["trigger"], report["triggerId"]) == ("event", "q1")
    assert verdicts(report) == {"stqueuedevent": "verified"}
    assert running.in_use(account) == target


def test_after_a_change_of_what_a_vault_allows_its_keys_consumers_are_proven_once_more(
    running: Stage,
) -> None:
    key = running.key(vault=CLOUD_VAULT)
    account = running.account("stallowed", key)
    target = running.rotate(key)
    first = running.ended(target)

    for rbac in (False, True):  # two events, and one look
        running.azure.estate.vault(CLOUD_VAULT).use_roles(rbac=rbac)
    second = running.until(
        lambda: run if (run := running.rotation_to(target)) != first["id"] else None,
        40,  # a quarter of it is the time that such a change is given to hold
        "a second look",
    )

    report = running.ended(target)
    assert (report["id"], report["state"]) == (second, "completed")
    assert verdicts(report) == {"stallowed": "already"}
    assert running.writes(account) == 1


def test_a_rotation_whose_event_was_lost_is_found_by_the_sweep(stage: Stage) -> None:
    key = stage.key()
    account = stage.account("stlost", key)
    stage.start()
    stage.azure.event_grid.lose_next()
    target = stage.rotate(key)

    stage.sweep()

    report = stage.ended(target)
    assert report["trigger"] == "sweep"
    assert stage.in_use(account) == target


def test_a_sweep_of_keys_that_are_handled_opens_nothing(stage: Stage) -> None:
    key = stage.key()
    account = stage.account("stswept", key)
    stage.start()
    target = stage.rotate(key)
    stage.ended(target)

    stage.sweep()

    assert _rotations_of(stage, key) == [target]
    assert stage.writes(account) == 1


def test_the_rotation_to_a_version_that_a_newer_one_overtakes_ends_superseded(
    running: Stage,
) -> None:
    key = running.key()
    account = running.account("stovertaken", key)
    account.pace.slow(timedelta(minutes=4))
    second = running.rotate(key)
    running.until(lambda: running.writes(account), 15, "the write of the first rotation")
    account.pace.prompt()

    third = running.rotate(key)

    assert running.ended(third)["state"] == "completed"
    assert running.ended(second)["state"] == "superseded"
    assert verdicts(running.ended(second)) == {"stovertaken": "superseded"}
    assert running.in_use(account) == third
    assert running.writes(account) == 2
