"""Storage accounts that take up a version in their own time, fail to, or lie about it."""

import time
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from azure.core.rest import HttpRequest

from sandbox.estate import Account
from sandbox.key_vault import Vault
from sandbox.testing import Answer, Rig, rig

MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module", name="served")
def _served() -> Iterator[Rig]:
    """A minute passes in a second."""
    with rig(rate=60) as served:
        yield served


@pytest.fixture(name="vault")
def _vault(served: Rig, request: pytest.FixtureRequest) -> Vault:
    name = sha256(request.node.name.encode()).hexdigest()[:16]
    return served.estate.vaults.create(f"kv-{name}")


@pytest.fixture(name="account")
def _account(served: Rig, vault: Vault, request: pytest.FixtureRequest) -> Account:
    subscription = served.estate.subscription(request.node.name)
    served.allow_all(subscription)
    key = vault.create_key("cmk").rpartition("/")[0]
    return served.estate.storage_account("stone", subscription=subscription, key=key)


def poll(served: Rig, accepted: Answer) -> Answer:
    """Follow an accepted write as far as it is by now."""
    answer = served.client.send_request(HttpRequest("GET", accepted.headers["location"]))
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Answer(answer.status_code, answer.json() if answer.content else None, headers)


def seen(body: dict[str, Any]) -> tuple[str, str, str]:
    """Return the state, the version written and the version said to be in use."""
    key = body["properties"]["encryption"]["keyvaultproperties"]
    state: str = body["properties"]["provisioningState"]
    return state, key["keyversion"], key["currentVersionedKeyIdentifier"].rpartition("/")[2]


def looked(served: Rig, account: Account) -> tuple[str, str, str]:
    return seen(served.send("GET", account.id).body)


def version(kid: str | None) -> str:
    return str(kid).rpartition("/")[2]


def pass_time(served: Rig, duration: timedelta) -> None:
    time.sleep(served.clock.real_seconds(duration))


def test_a_long_running_write_is_answered_202_and_comes_true_at_its_end(
    served: Rig, vault: Vault, account: Account
) -> None:
    truth = served.estate.truth
    old, new = truth.version_in_use(account.id), vault.rotate("cmk")
    account.pace.long_running(MINUTE / 2)

    accepted = served.repoint(account, new)
    running = poll(served, accepted)
    meanwhile, in_use = looked(served, account), truth.version_in_use(account.id)
    pass_time(served, MINUTE / 2)
    done = poll(served, accepted)

    assert (accepted.status, accepted.body) == (202, None)
    assert (
        "/providers/Microsoft.Storage/locations/westeurope/asyncoperations/"
        in (accepted.headers["location"])
    )
    assert accepted.headers["location"].endswith("?monitor=true&api-version=2024-01-01")
    assert "azure-asyncoperation" not in accepted.headers
    assert (running.status, running.body) == (202, None)
    assert running.headers["location"] == accepted.headers["location"]
    assert running.headers["retry-after"] == accepted.headers["retry-after"] == "17"
    assert meanwhile == ("ResolvingDNS", version(new), version(old))
    assert in_use == old
    assert done.status == 200
    assert seen(done.body) == ("Succeeded", version(new), version(new))
    assert done.body == served.send("GET", account.id).body
    assert truth.version_in_use(account.id) == new
    assert truth.writes(account.id) == 1


def test_a_write_during_another_is_refused_and_changes_nothing(
    served: Rig, vault: Vault, account: Account
) -> None:
    second, third = vault.rotate("cmk"), vault.rotate("cmk")
    account.pace.long_running(MINUTE / 2)
    served.repoint(account, second)

    refused = [
        served.repoint(account, third),
        served.send("PUT", account.id, {"tags": {"a": "b"}}),
        served.send("DELETE", account.id),
    ]
    pass_time(served, MINUTE / 2)
    account.pace.prompt()
    after = served.send("PATCH", account.id, {"tags": {"c": "d"}})

    assert {(each.status, each.code) for each in refused} == {
        (409, "StorageAccountOperationInProgress")
    }
    assert refused[0].message == (
        "An operation is currently performing on this storage account that requires exclusive "
        "access."
    )
    assert after.status == 200
    assert after.body["tags"] == {"c": "d"}
    assert served.estate.truth.version_in_use(account.id) == second
    assert served.estate.truth.writes(account.id) == 2


def test_a_long_running_write_can_fail_and_leaves_the_old_version_in_use(
    served: Rig, vault: Vault, account: Account
) -> None:
    truth = served.estate.truth
    old, new = truth.version_in_use(account.id), vault.rotate("cmk")
    account.pace.long_running(MINUTE / 4, fails=True)

    accepted = served.repoint(account, new)
    pass_time(served, MINUTE / 4)
    failed = poll(served, accepted)
    afterwards, in_use = looked(served, account), truth.version_in_use(account.id)
    account.pace.prompt()
    repeated = served.repoint(account, new)

    assert accepted.status == 202
    assert (failed.status, failed.code) == (400, "KeyVaultAuthenticationFailure")
    assert afterwards == ("Failed", version(new), version(old))
    assert in_use == old
    assert repeated.status == 200
    assert seen(repeated.body) == ("Succeeded", version(new), version(new))


def test_a_long_running_write_fails_by_itself_if_the_vault_refuses_at_its_end(
    served: Rig, vault: Vault, account: Account
) -> None:
    old, new = served.estate.truth.version_in_use(account.id), vault.rotate("cmk")
    account.pace.long_running(MINUTE / 4)

    served.repoint(account, new)
    vault.set_enabled(new, enabled=False)
    pass_time(served, MINUTE / 4)

    assert looked(served, account) == ("Failed", version(new), version(old))
    assert served.estate.truth.version_in_use(account.id) == old


def test_a_long_running_write_may_never_end(served: Rig, vault: Vault, account: Account) -> None:
    old, new = served.estate.truth.version_in_use(account.id), vault.rotate("cmk")
    account.pace.long_running(None)

    accepted = served.repoint(account, new)
    pass_time(served, 2 * MINUTE)

    assert poll(served, accepted).status == 202
    assert looked(served, account) == ("ResolvingDNS", version(new), version(old))
    assert served.repoint(account, new).status == 409
    assert served.estate.truth.version_in_use(account.id) == old


def test_a_write_that_changes_no_key_does_not_run_long(
    served: Rig, vault: Vault, account: Account
) -> None:
    account.pace.long_running(MINUTE)

    tags = served.send("PATCH", account.id, {"tags": {"a": "b"}})
    same = served.repoint(account, vault.find("cmk").kid)

    assert (tags.status, same.status) == (200, 200)
    assert looked(served, account)[0] == "Succeeded"


def test_resource_graph_hears_of_the_end_of_a_long_running_write(
    served: Rig, vault: Vault, account: Account
) -> None:
    account.pace.long_running(MINUTE / 4)
    new = vault.rotate("cmk")
    query = f"resources | where id =~ '{account.id}' | project properties"

    served.repoint(account, new)
    running = served.query(query).body["data"][0]
    pass_time(served, MINUTE / 4)
    looked(served, account)
    done = served.query(query).body["data"][0]

    assert seen(running)[0] == "ResolvingDNS"
    assert seen(done) == ("Succeeded", version(new), version(new))


def test_polling_needs_the_right_to_read_and_an_operation_that_exists(
    served: Rig, vault: Vault, account: Account
) -> None:
    account.pace.long_running(MINUTE)
    accepted = served.repoint(account, vault.rotate("cmk"))
    location = accepted.headers["location"].partition("?")[0]
    unknown = location.rpartition("/")[0] + "/00000000-0000-0000-0000-000000000000"
    subscription = f"/subscriptions/{account.id.split('/')[2]}"

    missing = served.send("GET", unknown.removeprefix("https://management.azure.com"))
    written_to = served.send("DELETE", location.removeprefix("https://management.azure.com"))
    served.estate.arm.rbac.revoke(served_principal(served), subscription)

    assert (missing.status, missing.code) == (404, "OperationNotFound")
    assert written_to.status == 405
    assert poll(served, accepted).status == 403


def served_principal(served: Rig) -> str:
    """Return the object id of the identity that the rig's client has."""
    authorization = f"Bearer {served.tokens.issue('https://management.azure.com')}"
    return served.tokens.check(authorization, "https://management.azure.com").principal


def test_a_lying_account_answers_with_the_target_and_stays_as_it_was(
    served: Rig, vault: Vault, account: Account
) -> None:
    old, new = served.estate.truth.version_in_use(account.id), vault.rotate("cmk")
    account.pace.lying()
    before = served.send("GET", account.id).body

    answer = served.repoint(account, new)
    pass_time(served, MINUTE)

    assert answer.status == 200
    assert seen(answer.body) == ("Succeeded", version(new), version(new))
    assert served.send("GET", account.id).body == before
    assert looked(served, account) == ("Succeeded", version(old), version(old))
    assert served.estate.truth.version_in_use(account.id) == old
    assert served.estate.truth.writes(account.id) == 1


def test_a_lie_may_come_true_after_a_while(served: Rig, vault: Vault, account: Account) -> None:
    old, new = served.estate.truth.version_in_use(account.id), vault.rotate("cmk")
    account.pace.lying(until=MINUTE / 2)

    served.repoint(account, new)
    at_first = looked(served, account)
    pass_time(served, MINUTE / 2)

    assert at_first == ("Succeeded", version(old), version(old))
    assert looked(served, account) == ("Succeeded", version(new), version(new))
    assert served.estate.truth.version_in_use(account.id) == new


def test_a_lie_is_refused_like_any_write_if_the_key_cannot_be_used(
    served: Rig, vault: Vault, account: Account
) -> None:
    new = vault.rotate("cmk")
    vault.set_enabled(new, enabled=False)
    account.pace.lying()

    assert served.repoint(account, new).code == "KeyVaultAuthenticationFailure"
