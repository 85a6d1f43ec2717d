"""Resource groups over ARM, and accounts that go away or elsewhere behind the app's back."""

import time
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256

import pytest

from sandbox.estate import Account
from sandbox.identity import APP_PRINCIPAL
from sandbox.testing import Answer, Rig, rig

GROUPS = "2021-04-01"
WORKSPACE = (
    "/subscriptions/s/resourceGroups/rg-analytics"
    "/providers/Microsoft.Databricks/workspaces/dbw-sales"
)


@pytest.fixture(scope="module", name="served")
def _served() -> Iterator[Rig]:
    with rig() as served:
        yield served


@pytest.fixture(name="subscription")
def _subscription(served: Rig, request: pytest.FixtureRequest) -> str:
    subscription = served.estate.subscription(request.node.name)
    served.allow_all(subscription)
    return subscription


@pytest.fixture(name="account")
def _account(served: Rig, subscription: str) -> Account:
    vault = f"kv-{sha256(subscription.encode()).hexdigest()[:16]}"
    key = served.estate.vault(vault).create_key("cmk").rpartition("/")[0]
    return served.estate.storage_account("stone", subscription=subscription, key=key)


def read(served: Rig, group: str) -> Answer:
    return served.send("GET", group, version=GROUPS)


def found(served: Rig, subscription: str) -> list[str]:
    answer = served.query("resources | project id", subscriptions=[subscription])
    return [row["id"] for row in answer.body["data"]]


def rotate(served: Rig, account: Account) -> str:
    """Make a new version of the key that an account uses."""
    in_use = str(served.estate.truth.version_in_use(account.id))
    vault = in_use.removeprefix("https://").partition(".")[0]
    return served.estate.vault(vault).rotate("cmk")


def test_an_ordinary_group_is_read_without_a_word_of_a_manager(
    served: Rig, subscription: str
) -> None:
    group = served.estate.group(subscription, "rg-Data", location="northeurope")

    answer = read(served, group.replace("rg-Data", "RG-DATA"))

    assert answer.status == 200
    assert answer.body == {
        "id": f"/subscriptions/{subscription}/resourceGroups/rg-Data",
        "name": "rg-Data",
        "type": "Microsoft.Resources/resourceGroups",
        "location": "northeurope",
        "properties": {"provisioningState": "Succeeded"},
    }
    assert answer.headers["x-ms-ratelimit-remaining-subscription-reads"] == "249"


def test_a_managed_group_names_the_resource_that_manages_it(served: Rig, subscription: str) -> None:
    group = served.estate.group(subscription, "databricks-rg", managed_by=WORKSPACE)
    inside = served.estate.storage_account(
        "dbstorage", subscription=subscription, key=None, group="databricks-rg"
    )

    assert read(served, group).body["managedBy"] == WORKSPACE
    assert inside.id.startswith(group)


def test_a_group_is_read_with_a_right_of_its_own(served: Rig, subscription: str) -> None:
    group = served.estate.group(subscription, "rg-data")
    rbac, scope = served.estate.arm.rbac, f"/subscriptions/{subscription}"
    rbac.revoke(APP_PRINCIPAL, scope)
    rbac.allow(APP_PRINCIPAL, {"Microsoft.Storage/storageAccounts/read"}, scope)

    refused = read(served, group)
    rbac.allow(APP_PRINCIPAL, {"Microsoft.Resources/subscriptions/resourceGroups/read"}, group)

    assert (refused.status, refused.code) == (403, "AuthorizationFailed")
    assert "'Microsoft.Resources/subscriptions/resourceGroups/read'" in refused.message
    assert read(served, group).status == 200


def test_what_is_not_there_or_not_served_is_refused(served: Rig, subscription: str) -> None:
    group = served.estate.group(subscription, "rg-data")

    assert read(served, group + "2").code == "ResourceGroupNotFound"
    assert read(served, "/subscriptions/nowhere/resourceGroups/rg").code == "SubscriptionNotFound"
    assert served.send("GET", group, version="2019-01-01").code == "InvalidApiVersionParameter"
    assert served.send("DELETE", group, version=GROUPS).status == 405


def test_an_account_deleted_behind_our_back_is_gone_and_resource_graph_learns_it_late(
    served: Rig, account: Account, subscription: str
) -> None:
    graph = served.estate.resource_graph
    graph.lag = timedelta(0)
    listed = found(served, subscription)
    account.pace.long_running(None)
    busy = served.repoint(account, rotate(served, account)).status
    graph.lag = timedelta(seconds=30)
    time.sleep(served.clock.real_seconds(graph.lag))

    served.estate.delete(account)
    gone = served.send("GET", account.id)
    at_once = found(served, subscription)
    time.sleep(served.clock.real_seconds(graph.lag))

    assert (listed, busy) == ([account.id], 202)
    assert (gone.status, gone.code) == (404, "ResourceNotFound")
    assert at_once == [account.id]
    assert found(served, subscription) == []
    assert served.estate.truth.version_in_use(account.id) is None
    graph.lag = timedelta(0)


@pytest.mark.parametrize("across", [False, True], ids=["group", "subscription"])
def test_a_moved_account_has_another_id_and_all_else_as_it_was(
    served: Rig, account: Account, subscription: str, *, across: bool
) -> None:
    truth = served.estate.truth
    target = served.estate.subscription(f"target {across}") if across else subscription
    served.allow_all(target)
    before = served.send("GET", account.id).body
    served.send("PATCH", account.id, {"tags": {}})
    in_use = truth.version_in_use(account.id)

    moved = served.estate.move(account, group="rg-new", subscription=target if across else "")
    after = served.send("GET", moved.id)

    assert moved.id == (
        f"/subscriptions/{target}/resourceGroups/rg-new"
        "/providers/Microsoft.Storage/storageAccounts/stone"
    )
    assert served.send("GET", account.id).code == "ResourceNotFound"
    assert after.body == {**before, "id": moved.id}
    assert found(served, target) == [moved.id]
    assert moved.id.lower() in truth.users_of(str(in_use))
    assert truth.version_in_use(moved.id) == in_use
    assert truth.version_in_use(account.id) is None
    assert (truth.writes(moved.id), truth.writes(account.id)) == (1, 0)


def test_a_moved_account_can_be_written_to_at_its_new_id_alone(
    served: Rig, account: Account
) -> None:
    new = rotate(served, account)
    account.pace.slow(timedelta(seconds=6))
    served.repoint(account, new)
    moved = served.estate.move(account, group="rg-elsewhere")

    time.sleep(served.clock.real_seconds(timedelta(seconds=7)))
    newer = rotate(served, moved)
    moved.pace.prompt()
    promised = served.estate.truth.version_in_use(moved.id)

    assert promised == new, "a move takes what was promised with it"
    assert served.repoint(account, newer).status == 404
    assert served.repoint(moved, newer).status == 200
    assert served.estate.truth.version_in_use(moved.id) == newer
