"""Estates: the demo's, and recorded bodies with their vaults and keys."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from sandbox.demo_estate import VAULT, demo_estate
from sandbox.testing import Rig, rig


@pytest.fixture(name="served")
def _served() -> Iterator[Rig]:
    with rig() as served:
        yield served


def test_the_demo_estate_has_what_the_demo_tells_of(served: Rig) -> None:
    began = served.clock.now()

    demo = demo_estate(served.estate, served.clock)

    truth = served.estate.truth
    payments = served.estate.vaults.newest(VAULT, "cmk-payments")
    archive = served.estate.vaults.newest(VAULT, "cmk-archive")
    assert truth.users_of(payments) == sorted(each.id.lower() for each in demo.payments)
    assert truth.users_of(archive) == sorted(each.id.lower() for each in demo.archive)
    assert (len(demo.payments), len(demo.archive), len(demo.platform)) == (14, 6, 3)
    assert [truth.version_in_use(each.id) for each in demo.platform] == [None] * 3
    assert all(truth.writes(each.id) == 0 for each in demo.payments)
    assert demo.payments_key == payments.rpartition("/")[0]
    listed = served.send("GET", "/subscriptions", version="2022-12-01").body["value"]
    assert {each["subscriptionId"] for each in listed} == set(demo.subscriptions)
    written = [served.key_properties(each).get("keyversion", "absent") for each in demo.versionless]
    assert written == ["absent", ""]
    polls = {each.pace.next_poll_at - timedelta(minutes=20) for each in demo.versionless}
    assert all(began <= poll <= served.clock.now() for poll in polls)
    names = {each.id.rpartition("/")[2] for each in (*demo.payments, *demo.archive)}
    assert all(3 <= len(name) <= 24 and name.isalnum() and name.islower() for name in names)


def test_in_the_demo_each_account_moves_in_its_own_way(served: Rig) -> None:
    demo = demo_estate(served.estate, served.clock, slow_by=timedelta(seconds=60))
    old = served.estate.vaults.newest(demo.vault, "cmk-payments")
    archive = served.estate.vaults.newest(demo.vault, "cmk-archive")
    new = served.estate.vaults.vault(demo.vault).rotate("cmk-payments")
    rewritten = [each for each in demo.payments if each not in demo.versionless]

    for account in rewritten:
        encryption = {
            "keySource": "Microsoft.Keyvault",
            "keyvaultproperties": {
                "keyname": "cmk-payments",
                "keyversion": new.rpartition("/")[2],
                "keyvaulturi": f"https://{demo.vault}.vault.azure.net/",
            },
        }
        answer = served.send("PATCH", account.id, {"properties": {"encryption": encryption}})
        assert answer.status == 200
    truth = served.estate.truth
    late_at_first = (demo.slow, demo.stuck)
    at_once = {each.id: truth.version_in_use(each.id) for each in rewritten}
    for account in demo.versionless:
        account.pace.next_poll_at = served.clock.now() + timedelta(seconds=1)
    time.sleep(served.clock.real_seconds(timedelta(seconds=70)))

    assert {at_once[each.id] for each in rewritten if each not in late_at_first} == {new}
    assert [at_once[each.id] for each in late_at_first] == [old, old]
    assert truth.version_in_use(demo.slow.id) == new
    assert [truth.version_in_use(each.id) for each in demo.versionless] == [new, new]
    assert truth.users_of(old) == [demo.stuck.id.lower()]
    assert len(truth.users_of(archive)) == 6


def test_a_recorded_account_is_there_as_recorded_and_can_be_moved(
    served: Rig, recordings: Path
) -> None:
    path = recordings / "storage-accounts/customer_managed_key.json"

    (account,) = served.estate.load_recording(path)
    served.allow_all(account.id.split("/")[2])
    before = served.send("GET", account.id).body
    new = served.estate.vaults.vault("clitest000003").rotate("newkey")
    answer = served.repoint(account, new)

    assert before["kind"] == "Storage"
    assert before["properties"]["creationTime"] == "2025-07-14T02:31:47.6867861Z"
    assert before["properties"]["encryption"]["keyvaultproperties"]["keyname"] == "newkey"
    assert before["properties"]["encryption"]["keyvaultproperties"]["keyversion"] == ""
    assert answer.status == 200
    assert served.estate.truth.version_in_use(account.id) == new


def test_a_recording_of_resource_graph_gives_its_accounts(served: Rig, recordings: Path) -> None:
    path = recordings / "resource-graph/c7n_resource_graph_storage.json"

    (account,) = served.estate.load_recording(path)

    assert account.id.endswith("/cctstoragey6akyqpagdt3o")
    assert served.estate.truth.version_in_use(account.id) is None


def test_an_estate_gives_a_pinned_account_the_version_that_is_named(served: Rig) -> None:
    vault = served.estate.vault("kv-named")
    old, new = vault.create_key("cmk"), vault.rotate("cmk")
    subscription = served.estate.subscription("named")

    account = served.estate.storage_account("stold", subscription=subscription, key=old)

    assert served.estate.truth.version_in_use(account.id) == old
    assert served.estate.truth.users_of(new) == []
