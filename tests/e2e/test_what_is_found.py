"""Which resources are the key's consumers, and how far the search reached."""

import pytest

from sandbox.identity import APP_PRINCIPAL
from tests.e2e.stage import VAULT, Stage, verdicts

HIDDEN = "7d1f9a52-0000-4c5e-9a43-1f0f7b1c2d3e"


def test_a_key_without_consumers_ends_as_nothing_found_and_says_where_it_looked(
    stage: Stage,
) -> None:
    key = stage.key()
    stage.account("stplatform", None)
    stage.start()

    report = stage.ended(stage.rotate(key))

    assert report["state"] == "nothing_found"
    assert report["summary"] == "nothing found in 1 readable subscription"


def test_to_have_searched_nothing_is_a_failure(stage: Stage) -> None:
    key = stage.key()
    account = stage.account("sthidden", key)
    stage.azure.estate.arm.rbac.revoke(APP_PRINCIPAL, f"/subscriptions/{stage.subscription}")
    stage.start()

    report = stage.ended(stage.rotate(key))

    assert report["state"] == "failed"
    assert report["summary"] == (
        "nothing found in 0 readable subscriptions; lacking Microsoft.Resources/subscriptions/read"
    )
    assert stage.writes(account) == 0


def test_a_declared_subscription_that_cannot_be_read_fails_the_rotation_by_name(
    stage: Stage,
) -> None:
    key = stage.key()
    account = stage.account("stseen", key)
    stage.start(policy={"subscriptions": [stage.subscription, HIDDEN]})

    target = stage.rotate(key)
    report = stage.ended(target)

    assert report["state"] == "failed"
    assert report["unreadableSubscriptions"] == [HIDDEN]
    assert report["scope"] == (
        "1 readable subscription; 1 not readable; lacking Microsoft.Resources/subscriptions/read"
    )
    assert verdicts(report) == {"stseen": "verified"}
    assert stage.in_use(account) == target


def test_a_subscription_that_is_not_declared_is_left_alone(stage: Stage) -> None:
    key = stage.key()
    undeclared = stage.readable_subscription("Somebody else's")
    account = stage.account("sttheirs", key, subscription=undeclared)
    stage.start(policy={"subscriptions": [stage.subscription]})

    report = stage.ended(stage.rotate(key))

    assert report["state"] == "nothing_found"
    assert stage.writes(account) == 0


@pytest.mark.parametrize("vaults", [VAULT, f"{VAULT},my-{VAULT}"], ids=["foreign", "managed too"])
def test_a_copy_of_the_key_in_another_vault_is_another_key(stage: Stage, vaults: str) -> None:
    """A restored key has the same name and the same version ids; even the hosts end alike."""
    key = stage.key("cmk")
    other = stage.managed_vault(f"my-{VAULT}")
    restored = other.restore(stage.vault.backup("cmk"))
    ours, theirs = stage.account("stours", key), stage.account("sttheirs", restored.kid)
    assert (stage.in_use(ours) or "").rpartition("/")[2] == restored.version
    stage.start({"KEYTURN_VAULTS": vaults})

    target = stage.rotate(key)
    report = stage.ended(target)

    assert verdicts(report) == {"stours": "verified"}
    assert stage.in_use(ours) == target
    assert (stage.in_use(theirs), stage.writes(theirs)) == (restored.kid, 0)
    hosts = {call.host for call in stage.azure.front_door.traffic()}
    assert f"my-{VAULT}.vault.azure.net" not in hosts
