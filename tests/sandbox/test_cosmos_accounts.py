"""Cosmos DB accounts: writes that go on, the version in use, and what happens without the key."""

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from azure.identity import ManagedIdentityCredential
from azure.mgmt.cosmosdb import CosmosDBManagementClient
from azure.mgmt.cosmosdb.models import DatabaseAccountUpdateParameters

from sandbox.arm.cosmos_accounts import COSMOS_PRINCIPAL
from sandbox.estate import Account
from sandbox.key_vault import Vault
from sandbox.key_vault.network import Network
from sandbox.testing import ARM, Answer, Rig, rig

MINUTE = timedelta(minutes=1)
CURRENT = "2025-10-15"
NO_KEY = "http://mykeyvault.vault1.azure2.net3/keys4/mykey"
LOCKED = (
    "There is already an operation in progress which requires exclusive lock on this service "
    "cosmos1. Please retry the operation after sometime."
)
CONFIRMED = "Access to the configured customer managed key confirmed."


@pytest.fixture(scope="module", name="served")
def _served() -> Iterator[Rig]:
    with rig(rate=60) as served:
        yield served


@pytest.fixture(name="vault")
def _vault(served: Rig, request: pytest.FixtureRequest) -> Vault:
    name = sha256(request.node.name.encode()).hexdigest()[:16]
    return served.estate.vaults.create(f"kv-{name}")


@pytest.fixture(name="subscription")
def _subscription(served: Rig, request: pytest.FixtureRequest) -> str:
    subscription = served.estate.subscription(request.node.name)
    served.allow_all(subscription)
    return subscription


@pytest.fixture(name="account")
def _account(served: Rig, subscription: str, vault: Vault) -> Account:
    key = vault.create_key("cmk").rpartition("/")[0]
    return served.estate.cosmos_account("cosmos1", subscription=subscription, key=key)


def send(served: Rig, method: str, path: str, body: object = None) -> Answer:
    return served.send(method, path.removeprefix(ARM).partition("?")[0], body, version=CURRENT)


def shown(served: Rig, account: Account) -> dict[str, Any]:
    properties: dict[str, Any] = send(served, "GET", account.id).body["properties"]
    return properties


def refusal(answer: Answer) -> tuple[int, str, str]:
    """Return status, code and first line of a refusal, which has no envelope."""
    return answer.status, answer.body["code"], answer.body["message"].partition("\r\n")[0]


def pass_time(served: Rig, duration: timedelta) -> None:
    time.sleep(served.clock.real_seconds(duration))


def look(served: Rig, account: Account) -> dict[str, Any]:
    """Let the service look at the vault now; return what the account shows then."""
    account.pace.next_poll_at = served.clock.now()
    return shown(served, account)


# -- as recorded ------------------------------------------------------------------------------


def test_the_recorded_creation_is_answered_alike(
    served: Rig, subscription: str, recordings: Path
) -> None:
    """Named differences: ids, names and times; ``EnabledApiTypes`` and all keys are the same."""
    recording = json.loads(
        (recordings / "cosmosdb-accounts/cosmosdb_key_vault_key_uri_2021.json").read_text()
    )
    put, dequeued, succeeded, read = (
        each for each in recording["exchanges"] if "vault.azure.net" not in each["request"]["url"]
    )
    made = served.estate.vaults.create("cli000002")
    made.create_key("cli000003")
    made.grant(COSMOS_PRINCIPAL, {"get", "wrapKey", "unwrapKey"})
    served.estate.group(subscription, "rg-recorded")
    path = (
        f"/subscriptions/{subscription}/resourceGroups/rg-recorded"
        "/providers/Microsoft.DocumentDB/databaseAccounts/cli000004"
    )

    answer = served.send("PUT", path, put["request"]["body"], version="2020-04-01")
    status = answer.headers["azure-asyncoperation"]
    first = served.send("GET", status.removeprefix(ARM).partition("?")[0], version="2020-04-01")
    pass_time(served, MINUTE)
    second = served.send("GET", status.removeprefix(ARM).partition("?")[0], version="2020-04-01")
    after = served.send("GET", path, version="2020-04-01")

    assert answer.status == put["response"]["status"]
    for header in ("azure-asyncoperation", "location"):
        assert pattern(answer.headers[header]) == pattern(put["response"]["headers"][header])
    assert first.body == dequeued["response"]["body"]
    assert second.body == succeeded["response"]["body"]
    assert shape(answer.body) == shape(put["response"]["body"])
    assert shape(after.body) == shape(read["response"]["body"])


def pattern(url: str) -> list[str]:
    """Return a URL's words without those that differ between two operations."""
    return [
        word
        for word in url.partition("?")[0].split("/")
        if "-" not in word and not word.startswith("cli_")
    ] + [url.partition("?")[2]]


def shape(body: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return a body with each text that is an id or a time as its type alone."""
    match body:
        case dict():
            return {
                name: "…" if name in {"id", "instanceId", "createdAt"} else shape(each)
                for name, each in body.items()
            }
        case list():
            return [shape(each) for each in body]
        case _:
            return body


@pytest.mark.parametrize(
    ("version", "there"),
    [
        ("2020-04-01", set()),
        ("2021-03-15", {"defaultIdentity"}),
        ("2024-05-15", {"defaultIdentity", "customerManagedKeyStatus"}),
        (CURRENT, {"defaultIdentity", "customerManagedKeyStatus", "keyVaultKeyUriVersion"}),
    ],
)
def test_each_property_is_there_from_its_api_version_on(
    served: Rig, account: Account, version: str, there: set[str]
) -> None:
    properties = served.send("GET", account.id, version=version).body["properties"]

    late = {"defaultIdentity", "customerManagedKeyStatus", "keyVaultKeyUriVersion"}
    assert properties.keys() & late == there


# -- the version in use -----------------------------------------------------------------------


def test_an_account_follows_the_current_version_at_its_own_hourly_look(
    served: Rig, vault: Vault, account: Account
) -> None:
    old = vault.find("cmk").kid
    wait = account.pace.next_poll_at - served.clock.now()
    new = vault.rotate("cmk")

    before, in_use = shown(served, account), served.estate.truth.version_in_use(account.id)
    after = look(served, account)

    assert timedelta(minutes=58) < wait < timedelta(minutes=61)
    assert before["keyVaultKeyUri"] == after["keyVaultKeyUri"] == old.rpartition("/")[0]
    assert before["keyVaultKeyUriVersion"] == old.rpartition("/")[2]
    assert in_use == old
    assert after["keyVaultKeyUriVersion"] == new.rpartition("/")[2]
    assert after["customerManagedKeyStatus"] == CONFIRMED
    assert served.estate.truth.version_in_use(account.id) == new
    assert served.estate.truth.writes(account.id) == 0


def test_a_stuck_account_never_looks(served: Rig, vault: Vault, account: Account) -> None:
    old = vault.find("cmk").kid
    vault.rotate("cmk")
    account.pace.stuck()

    assert look(served, account)["keyVaultKeyUriVersion"] == old.rpartition("/")[2]
    assert served.estate.truth.version_in_use(account.id) == old


def test_the_version_may_be_shown_as_a_url(served: Rig, vault: Vault, account: Account) -> None:
    new = vault.rotate("cmk")
    served.estate.cosmos.fields.version_as_url = True
    try:
        assert look(served, account)["keyVaultKeyUriVersion"] == new
    finally:
        served.estate.cosmos.fields.version_as_url = False


def test_writing_the_same_url_again_hastens_nothing(
    served: Rig, vault: Vault, account: Account
) -> None:
    old, uri = vault.find("cmk").kid, vault.find("cmk").kid.rpartition("/")[0]

    send(served, "PATCH", account.id, {"properties": {"keyVaultKeyUri": uri}})
    pass_time(served, MINUTE)

    assert served.estate.truth.version_in_use(account.id) == old


# -- writes -----------------------------------------------------------------------------------


def test_a_write_is_answered_200_and_goes_on(served: Rig, vault: Vault, account: Account) -> None:
    old, other = vault.find("cmk").kid, vault.create_key("other")

    accepted = send(
        served,
        "PATCH",
        account.id,
        {"properties": {"keyVaultKeyUri": other.rpartition("/")[0]}},
    )
    running = send(served, "GET", accepted.headers["azure-asyncoperation"])
    result = send(served, "GET", accepted.headers["location"])
    during, in_use = shown(served, account), served.estate.truth.version_in_use(account.id)
    second = send(served, "PATCH", account.id, {"tags": {"a": "b"}})
    pass_time(served, MINUTE)
    done = send(served, "GET", accepted.headers["azure-asyncoperation"])

    assert accepted.status == 200
    assert accepted.body["properties"]["provisioningState"] == "Updating"
    assert "retry-after" not in accepted.headers
    assert (running.status, running.body) == (200, {"status": "Dequeued"})
    assert (result.status, result.body) == (202, None)
    assert during["provisioningState"] == "Updating"
    assert during["keyVaultKeyUri"] == other.rpartition("/")[0]
    assert during["keyVaultKeyUriVersion"] == old.rpartition("/")[2]
    assert in_use == old
    assert refusal(second) == (
        412,
        "PreconditionFailed",
        LOCKED,
    )
    assert done.body == {"status": "Succeeded"}
    assert shown(served, account)["keyVaultKeyUriVersion"] == other.rpartition("/")[2]
    assert send(served, "GET", accepted.headers["location"]).body["id"] == account.id
    assert served.estate.truth.version_in_use(account.id) == other
    assert served.estate.truth.writes(account.id) == 1


def test_a_write_that_fails_is_polled_as_200(served: Rig, vault: Vault, account: Account) -> None:
    old, other = vault.find("cmk").kid, vault.create_key("other")
    account.pace.long_running(MINUTE / 2, fails=True)

    accepted = send(
        served, "PATCH", account.id, {"properties": {"keyVaultKeyUri": other.rpartition("/")[0]}}
    )
    pass_time(served, MINUTE)
    polled = send(served, "GET", accepted.headers["azure-asyncoperation"])

    assert (polled.status, polled.body["status"]) == (200, "Failed")
    assert polled.body["error"]["code"] == "ServiceUnavailable"
    assert shown(served, account)["provisioningState"] == "Failed"
    assert served.estate.truth.version_in_use(account.id) == old


@pytest.mark.parametrize("manner", ["slow", "lying"])
def test_the_operation_may_be_over_before_the_key_has_moved(
    served: Rig, vault: Vault, account: Account, manner: str
) -> None:
    old, other = vault.find("cmk").kid, vault.create_key("other")
    if manner == "slow":
        account.pace.slow(MINUTE)
    else:
        account.pace.lying()

    accepted = send(
        served, "PATCH", account.id, {"properties": {"keyVaultKeyUri": other.rpartition("/")[0]}}
    )
    polled = send(served, "GET", accepted.headers["azure-asyncoperation"])
    at_first = shown(served, account)
    pass_time(served, 1.5 * MINUTE)

    answered = accepted.body["properties"]["keyVaultKeyUriVersion"]
    slow = manner == "slow"
    assert polled.body == {"status": "Succeeded"}
    assert answered == (old if slow else other).rpartition("/")[2]
    assert at_first["provisioningState"] == "Succeeded"
    assert at_first["keyVaultKeyUriVersion"] == old.rpartition("/")[2]
    assert served.estate.truth.version_in_use(account.id) == (other if slow else old)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        (
            NO_KEY,
            (
                400,
                "BadRequest",
                f"Provided KeyVaultKeyUri {NO_KEY} is Invalid.",
            ),
        ),
        (
            "https://kv-nowhere.vault.azure.net/keys/cmk",
            (
                503,
                "ServiceUnavailable",
                "Error contacting the Azure Key Vault resource. Please try again.",
            ),
        ),
        (None, (400, "BadRequest", "Updating KeyVaultKeyUri is not supported")),
    ],
)
def test_a_key_url_that_leads_nowhere_is_refused_as_documented(
    served: Rig, account: Account, uri: str | None, expected: tuple[int, str, str]
) -> None:
    before = shown(served, account)

    answer = send(served, "PATCH", account.id, {"properties": {"keyVaultKeyUri": uri}})

    assert refusal(answer) == expected
    assert shown(served, account) == before
    assert served.estate.truth.writes(account.id) == 0


@pytest.mark.parametrize("cause", ["no rights", "disabled", "purgeable"])
def test_a_key_that_cannot_be_used_is_refused(
    served: Rig, vault: Vault, account: Account, cause: str
) -> None:
    other = vault.create_key("other")
    match cause:
        case "no rights":
            vault.revoke(COSMOS_PRINCIPAL)
        case "disabled":
            vault.set_enabled(other, enabled=False)
        case _:
            purgeable = served.estate.vaults.create(f"{vault.name[:20]}-p", purge_protection=False)
            other = purgeable.create_key("other")

    answer = send(
        served, "PATCH", account.id, {"properties": {"keyVaultKeyUri": other.rpartition("/")[0]}}
    )

    assert answer.status == (400 if cause == "purgeable" else 403)


def test_a_new_account_cannot_act_by_an_identity_that_it_is_only_about_to_get(
    served: Rig, account: Account
) -> None:
    properties = {
        "defaultIdentity": "SystemAssignedIdentity",
        "keyVaultKeyUri": shown(served, account)["keyVaultKeyUri"],
    }

    answer = send(
        served,
        "PUT",
        account.id.replace("cosmos1", "cosmos2"),
        {"location": "westeurope", "properties": properties},
    )

    status, code, message = refusal(answer)
    assert (status, code) == (400, "BadRequest")
    assert message.startswith("Database account creation failed. Operation Id: ")
    assert message.endswith(
        "Updating default identity not allowed. Cannot set SystemAssignedIdentity as the default "
        "identity during provision."
    )
    listed = send(served, "GET", account.id.rpartition("/")[0]).body["value"]
    assert [each["name"] for each in listed] == ["cosmos1"]


# -- revoked ----------------------------------------------------------------------------------


CAUSES = {
    "disabled": "the correspondent key is either disabled or expired",
    "expired": "the correspondent key is either disabled or expired",
    "no rights": "the current default identity no longer has permission to the associated Key "
    "Vault key",
    "no vault": "the correspondent Azure Key Vault was not found",
    "no key": "the correspondent key is not found on the specified Key Vault",
    "firewall": "the access rules are blocking outbound requests to the Azure Key Vault service",
}


@pytest.mark.parametrize("cause", list(CAUSES))
def test_an_account_that_loses_its_key_says_why_and_is_unreadable(
    served: Rig, vault: Vault, account: Account, cause: str
) -> None:
    break_key(served, vault, cause)

    status = look(served, account)["customerManagedKeyStatus"]

    assert status.startswith(f"Access to your account is currently revoked because {CAUSES[cause]}")
    assert "learn.microsoft.com/en-us/azure/cosmos-db/cmk-troubleshooting-guide" in status
    assert not served.estate.truth.can_read(account.id)


def break_key(served: Rig, vault: Vault, cause: str) -> None:
    match cause:
        case "disabled":
            vault.set_enabled(vault.find("cmk").kid, enabled=False)
        case "expired":
            vault.update("cmk", None, {"attributes": {"exp": 1}})
        case "no rights":
            vault.revoke(COSMOS_PRINCIPAL)
        case "no vault":
            served.estate.vaults.delete(vault.name)
        case "no key":
            vault.delete("cmk")
        case _:
            vault.network = Network(default="Deny", trusted_services=False)


def test_a_revoked_account_takes_no_new_version_until_the_old_one_is_back(
    served: Rig, vault: Vault, account: Account
) -> None:
    old = vault.find("cmk").kid
    vault.set_enabled(old, enabled=False)
    look(served, account)

    new = vault.rotate("cmk")
    still = look(served, account)
    refused = send(served, "PATCH", account.id, {"tags": {"a": "b"}})
    vault.set_enabled(old, enabled=True)
    unnoticed = shown(served, account)
    mended = look(served, account)

    assert still["keyVaultKeyUriVersion"] == old.rpartition("/")[2]
    assert still["customerManagedKeyStatus"] != CONFIRMED
    assert refusal(refused) == (
        400,
        "BadRequest",
        "No Update is allowed on Database Account with Customer Managed Key in Revoked Status",
    )
    assert unnoticed["customerManagedKeyStatus"] != CONFIRMED
    assert mended["customerManagedKeyStatus"] == CONFIRMED
    assert mended["keyVaultKeyUriVersion"] == new.rpartition("/")[2]
    assert served.estate.truth.can_read(account.id)
    assert served.estate.truth.version_in_use(account.id) == new


def test_a_revoked_account_takes_no_new_version_while_the_old_one_is_expired(
    served: Rig, vault: Vault, account: Account
) -> None:
    old = vault.find("cmk").kid
    vault.update("cmk", None, {"attributes": {"exp": 1}})
    look(served, account)

    new = vault.rotate("cmk")
    still = look(served, account)
    vault.set_expiry(old, served.clock.now() + timedelta(days=2))
    mended = look(served, account)

    assert still["keyVaultKeyUriVersion"] == old.rpartition("/")[2]
    assert "disabled or expired" in still["customerManagedKeyStatus"]
    assert mended["customerManagedKeyStatus"] == CONFIRMED
    assert served.estate.truth.version_in_use(account.id) == new


def test_a_current_version_that_is_disabled_revokes_though_the_one_in_use_is_not(
    served: Rig, vault: Vault, account: Account
) -> None:
    old = vault.find("cmk").kid
    vault.set_enabled(vault.rotate("cmk"), enabled=False)

    status = look(served, account)["customerManagedKeyStatus"]

    assert "disabled or expired" in status
    assert served.estate.truth.version_in_use(account.id) == old
    assert not served.estate.truth.can_read(account.id)


def test_another_identity_is_what_a_revoked_account_still_accepts(
    served: Rig, subscription: str, vault: Vault, account: Account
) -> None:
    identity = served.estate.user_assigned_identity(subscription, "rg-ids", "id-cosmos")
    assigned = {"type": "UserAssigned", "userAssignedIdentities": {identity: {}}}
    vault.revoke(COSMOS_PRINCIPAL)
    look(served, account)

    send(served, "PATCH", account.id, {"identity": assigned})
    pass_time(served, MINUTE)
    principal = served.estate.identities.principal(assigned, identity)
    assert principal is not None
    vault.grant(principal, {"get", "wrapKey", "unwrapKey"})
    default = f"UserAssignedIdentity={identity}"
    accepted = send(served, "PATCH", account.id, {"properties": {"defaultIdentity": default}})
    pass_time(served, MINUTE)

    assert accepted.status == 200
    after = shown(served, account)
    assert (after["defaultIdentity"], after["customerManagedKeyStatus"]) == (default, CONFIRMED)
    assert served.estate.truth.can_read(account.id)


def test_an_identity_that_was_deleted_revokes_the_account(
    served: Rig, subscription: str, vault: Vault
) -> None:
    identity = served.estate.user_assigned_identity(subscription, "rg-ids", "id-gone")
    key = vault.create_key("cmk").rpartition("/")[0]
    account = served.estate.cosmos_account(
        "cosmos3", subscription=subscription, key=key, user_assigned=identity
    )
    served.estate.identities.delete(identity)

    status = look(served, account)["customerManagedKeyStatus"]

    assert "unable to obtain the AAD authentication token" in status


# -- around it --------------------------------------------------------------------------------


def test_resource_graph_knows_accounts_and_platform_keys_have_no_status(
    served: Rig, subscription: str, account: Account
) -> None:
    plain = served.estate.cosmos_account("cosmos9", subscription=subscription, key=None)

    rows = served.query(
        "resources | where type =~ 'microsoft.documentdb/databaseaccounts' | project id",
        subscriptions=[subscription],
    ).body["data"]

    assert {row["id"] for row in rows} == {account.id, plain.id}
    assert not shown(served, plain).keys() & {"keyVaultKeyUri", "customerManagedKeyStatus"}
    assert served.estate.truth.version_in_use(plain.id) is None


def test_a_deleted_account_is_gone(served: Rig, account: Account) -> None:
    deleted = send(served, "DELETE", account.id)

    assert (deleted.status, deleted.body) == (204, None)
    assert send(served, "GET", account.id).status == 404
    assert served.estate.truth.version_in_use(account.id) is None


def test_the_unmodified_client_reads_lists_and_updates_accounts(
    served: Rig, subscription: str, vault: Vault, account: Account
) -> None:
    other = vault.create_key("other")
    parameters = DatabaseAccountUpdateParameters(
        {"properties": {"keyVaultKeyUri": other.rpartition("/")[0]}}
    )

    with (
        ManagedIdentityCredential() as credential,
        CosmosDBManagementClient(credential, subscription) as client,
    ):
        poller = client.database_accounts.begin_update(
            "rg-cosmos", "cosmos1", parameters, polling_interval=0.2
        )
        updated = poller.result()
        read = client.database_accounts.get("rg-cosmos", "cosmos1")
        listed = [each.name for each in client.database_accounts.list()]

    assert listed == ["cosmos1"]
    assert updated.properties is not None
    assert updated.properties.provisioning_state == "Succeeded"
    assert read.properties is not None
    assert read.properties.key_vault_key_uri_version == other.rpartition("/")[2]
    assert read.properties.customer_managed_key_status == CONFIRMED
    assert served.estate.truth.version_in_use(account.id) == other
