"""Estates of recorded bodies, with their vaults and keys."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.testing import Rig, rig


@pytest.fixture(name="served")
def _served() -> Iterator[Rig]:
    with rig() as served:
        yield served


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
