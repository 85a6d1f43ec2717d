"""Encryption scopes: children of an account, with a key of their own and its identity."""

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from azure.identity import ManagedIdentityCredential
from azure.mgmt.storage import StorageManagementClient
from azure.mgmt.storage.models import (
    EncryptionScope,
    EncryptionScopeKeyVaultProperties,
    EncryptionScopeProperties,
)

from sandbox.estate import Account, Form
from sandbox.key_vault import Vault
from sandbox.testing import ARM, Answer, Rig, rig

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


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
def _account(served: Rig, subscription: str) -> Account:
    return served.estate.storage_account("stone", subscription=subscription, key=None)


def scope_of(served: Rig, account: Account, vault: Vault, form: Form = "pinned") -> Account:
    key = vault.create_key("cmk").rpartition("/")[0]
    return served.estate.encryption_scope(account, "s1", key=key, version=form)


def repoint(served: Rig, scope: Account, kid: str) -> Answer:
    key = {"source": "Microsoft.KeyVault", "keyVaultProperties": {"keyUri": kid}}
    return served.send("PATCH", scope.id, {"properties": key})


def shown(served: Rig, scope: Account) -> dict[str, Any]:
    key: dict[str, Any] = served.send("GET", scope.id).body["properties"]["keyVaultProperties"]
    return key


def pass_time(served: Rig, duration: timedelta) -> None:
    time.sleep(served.clock.real_seconds(duration))


# -- as recorded ------------------------------------------------------------------------------


def test_recorded_exchanges_are_answered_alike(
    served: Rig, account: Account, recordings: Path
) -> None:
    """Named differences: ids, times, and the api-version 2021-02-01, which is not served."""
    files = ("py_storage_encryption_scopes", "storage_account_encryption_scope_list")
    for name in files:
        recording = json.loads((recordings / "storage-accounts" / f"{name}.json").read_text())
        for exchange in recording["exchanges"]:
            request, real = exchange["request"], exchange["response"]
            scope = request["url"].partition("?")[0].rpartition("/")[2]
            path = f"{account.id}/encryptionScopes/{scope}"

            answer = served.send(request["method"], path, request["body"])

            assert answer.status == real["status"]
            assert list(answer.body) == list(real["body"])
            ours, theirs = answer.body["properties"], real["body"]["properties"]
            times = {"creationTime", "lastModifiedTime"}
            assert {n: v for n, v in ours.items() if n not in times} == {
                n: v for n, v in theirs.items() if n not in times
            }
            assert {n: len(ours[n]) for n in times} == {n: len(theirs[n]) for n in times}
            assert ours["lastModifiedTime"] == ours["creationTime"], "as recorded: nothing changed"
            assert answer.body["type"] == real["body"]["type"]
            assert answer.body["name"] == scope


def test_a_change_of_key_looks_like_the_published_example(
    served: Rig, vault: Vault, account: Account
) -> None:
    scope = scope_of(served, account, vault)
    new = vault.rotate("cmk")

    answer = repoint(served, scope, new)

    assert answer.status == 200
    properties = answer.body["properties"]
    assert {"source", "state", "keyVaultProperties", "creationTime", "lastModifiedTime"} == set(
        properties
    )
    assert properties["source"] == "Microsoft.KeyVault"
    key = properties["keyVaultProperties"]
    assert set(key) == {"keyUri", "currentVersionedKeyIdentifier", "lastKeyRotationTimestamp"}
    assert key["keyUri"] == key["currentVersionedKeyIdentifier"] == new
    assert properties["lastModifiedTime"] > properties["creationTime"]
    assert served.send("GET", scope.id).body == answer.body


# -- what protects it -------------------------------------------------------------------------


def test_a_scope_and_its_account_have_a_data_key_each(
    served: Rig, subscription: str, vault: Vault
) -> None:
    key = vault.create_key("cmk").rpartition("/")[0]
    account = served.estate.storage_account("sttwo", subscription=subscription, key=key)
    scope = served.estate.encryption_scope(account, "s1", key=key)
    old, new = vault.find("cmk").kid, vault.rotate("cmk")

    repoint(served, scope, new)

    truth = served.estate.truth
    assert truth.version_in_use(account.id) == old
    assert truth.version_in_use(scope.id) == new
    assert [kid for _, kid in truth.history(scope.id)] == [old, new]
    assert (truth.writes(account.id), truth.writes(scope.id)) == (0, 1)
    assert truth.users_of(new) == [scope.id.lower()]


def test_a_scope_uses_the_identity_that_its_account_uses(
    served: Rig, subscription: str, vault: Vault
) -> None:
    key = vault.create_key("cmk").rpartition("/")[0]
    identity = served.estate.user_assigned_identity(subscription, "rg-ids", "id-cmk")
    account = served.estate.storage_account(
        "stthree", subscription=subscription, key=key, user_assigned=identity
    )
    scope = served.estate.encryption_scope(account, "s1", key=key)
    new = vault.rotate("cmk")

    served.estate.vaults.vault(vault.name).revoke(account.principal)
    answer = repoint(served, scope, new)

    assert scope.principal == account.principal
    assert (answer.status, answer.code) == (400, "KeyVaultAuthenticationFailure")


def test_an_account_without_an_identity_has_no_scopes_with_customers_keys(
    served: Rig, vault: Vault, account: Account
) -> None:
    scope = served.estate.encryption_scope(account, "s1", key=None)
    served.send("PATCH", account.id, {"identity": {"type": "None"}})

    answer = repoint(served, scope, vault.create_key("cmk"))

    assert (answer.status, answer.code) == (400, "MissingMsiHeaders")


@pytest.mark.parametrize("cause", ["disabled", "expired", "unknown", "no vault", "old disabled"])
def test_a_key_that_cannot_be_used_is_refused_and_nothing_changes(
    served: Rig, vault: Vault, account: Account, cause: str
) -> None:
    scope = scope_of(served, account, vault)
    before, old = served.send("GET", scope.id).body, vault.find("cmk").kid
    new = vault.rotate("cmk")
    match cause:
        case "disabled":
            vault.set_enabled(new, enabled=False)
        case "expired":
            vault.update("cmk", None, {"attributes": {"exp": 1}})
        case "unknown":
            new = new[:-4] + "beef"
        case "no vault":
            new = new.replace(vault.name, "kv-nowhere")
        case _:
            vault.set_enabled(old, enabled=False)

    answer = repoint(served, scope, new)

    assert (answer.status, answer.code) == (400, "KeyVaultAuthenticationFailure")
    assert served.send("GET", scope.id).body == before
    assert served.estate.truth.version_in_use(scope.id) == old


def test_a_vault_without_purge_protection_is_refused(
    served: Rig, vault: Vault, account: Account
) -> None:
    scope = scope_of(served, account, vault)
    purgeable = served.estate.vaults.create(f"{vault.name[:20]}-p", purge_protection=False)

    answer = repoint(served, scope, purgeable.create_key("cmk"))

    assert (answer.status, answer.code) == (400, "KeyVaultPolicyError")


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({"source": "Microsoft.KeyVault"}, "MissingKeyvaultProperties"),
        ({"source": "Microsoft.Elsewhere"}, "InvalidRequestPropertyValue"),
        ({"state": "Sleepy"}, "InvalidRequestPropertyValue"),
        (
            {"keyVaultProperties": {"keyUri": "https://example.com/keys/k"}},
            "InvalidRequestPropertyValue",
        ),
    ],
)
def test_a_body_that_makes_no_sense_is_refused(
    served: Rig, vault: Vault, account: Account, properties: dict[str, Any], code: str
) -> None:
    scope = scope_of(served, account, vault)

    answer = served.send("PATCH", scope.id, {"properties": properties})

    assert (answer.status, answer.code) == (400, code)


def test_a_scope_goes_back_to_platform_keys_and_shows_none(
    served: Rig, vault: Vault, account: Account
) -> None:
    scope = scope_of(served, account, vault)

    answer = served.send("PATCH", scope.id, {"properties": {"source": "Microsoft.Storage"}})

    assert answer.body["properties"]["keyVaultProperties"] == {}
    assert "keyVaultProperties" not in served.send("GET", scope.id).body["properties"]
    assert served.estate.truth.version_in_use(scope.id) is None


def test_a_scope_can_be_disabled_and_not_deleted(
    served: Rig, vault: Vault, account: Account
) -> None:
    scope = scope_of(served, account, vault)

    disabled = served.send("PATCH", scope.id, {"properties": {"state": "disabled"}})
    deleted = served.send("DELETE", scope.id)

    assert disabled.body["properties"]["state"] == "Disabled"
    assert disabled.body["properties"]["keyVaultProperties"]["keyUri"] == vault.find("cmk").kid
    assert (deleted.status, deleted.code) == (405, "MethodNotAllowed")
    assert served.send("GET", scope.id).status == 200


# -- time -------------------------------------------------------------------------------------


def test_a_scope_that_names_no_version_takes_up_the_newest_at_its_daily_look(
    served: Rig, vault: Vault, account: Account
) -> None:
    scope = scope_of(served, account, vault, "absent")
    old, new = vault.find("cmk").kid, vault.rotate("cmk")
    before = shown(served, scope)
    looks = scope.pace.next_poll_at

    scope.pace.next_poll_at = served.clock.now() + MINUTE / 4
    early = shown(served, scope)
    pass_time(served, MINUTE)

    assert looks - served.clock.now() > timedelta(hours=23)
    assert before["keyUri"] == old.rpartition("/")[0]
    assert early["currentVersionedKeyIdentifier"] == old
    assert shown(served, scope)["currentVersionedKeyIdentifier"] == new
    assert served.estate.truth.version_in_use(scope.id) == new


@pytest.mark.parametrize("manner", ["slow", "stuck", "lying"])
def test_a_scope_moves_late_never_or_only_in_its_answer(
    served: Rig, vault: Vault, account: Account, manner: str
) -> None:
    scope = scope_of(served, account, vault)
    old, new = vault.find("cmk").kid, vault.rotate("cmk")
    match manner:
        case "slow":
            scope.pace.slow(MINUTE / 2)
        case "stuck":
            scope.pace.stuck()
        case _:
            scope.pace.lying()

    answer = repoint(served, scope, new)
    at_first = shown(served, scope)
    pass_time(served, MINUTE)

    lying = manner == "lying"
    said = answer.body["properties"]["keyVaultProperties"]["currentVersionedKeyIdentifier"]
    assert answer.status == 200
    assert said == (new if lying else old)
    assert at_first["keyUri"] == (old if lying else new)
    assert at_first["currentVersionedKeyIdentifier"] == old
    expected = new if manner == "slow" else old
    assert shown(served, scope)["currentVersionedKeyIdentifier"] == expected
    assert served.estate.truth.version_in_use(scope.id) == expected


def test_a_write_that_runs_long_is_answered_202_and_shuts_out_others(
    served: Rig, vault: Vault, account: Account
) -> None:
    scope = scope_of(served, account, vault)
    new = vault.rotate("cmk")
    scope.pace.long_running(MINUTE / 2)

    accepted = repoint(served, scope, new)
    during = repoint(served, scope, new)
    pass_time(served, MINUTE / 2)

    location = accepted.headers["location"].removeprefix(ARM).partition("?")[0]
    assert (accepted.status, accepted.body, during.status) == (202, None, 409)
    assert served.send("GET", location).body == served.send("GET", scope.id).body
    assert shown(served, scope)["currentVersionedKeyIdentifier"] == new


# -- children ---------------------------------------------------------------------------------


def test_a_child_of_what_does_not_exist_is_refused_by_its_own_code(
    served: Rig, account: Account
) -> None:
    nowhere = account.id.replace("stone", "stnone")

    one = served.send("GET", f"{nowhere}/encryptionScopes/s1")
    made = served.send("PUT", f"{nowhere}/encryptionScopes/s1", {"properties": {}})
    absent = served.send("GET", f"{account.id}/encryptionScopes/s9")
    unknown = served.send("GET", f"{account.id}/tableScopes/s9")

    assert (one.status, one.code) == (made.status, made.code) == (404, "ParentResourceNotFound")
    assert "'stnone'" in one.message
    assert (absent.status, absent.code) == (404, "ResourceNotFound")
    assert (unknown.status, unknown.code) == (404, "InvalidResourceType")
    assert served.send("GET", f"{nowhere}/encryptionScopes").status == 404


def test_listing_and_reading_ask_for_the_scopes_own_rights(
    served: Rig, subscription: str, account: Account
) -> None:
    served.estate.encryption_scope(account, "s1", key=None)
    rbac, scope = served.estate.arm.rbac, f"/subscriptions/{subscription}"
    app = rbac._assignments[-1].principal  # noqa: SLF001 - whoever the rig's client is
    rbac.revoke(app, scope)
    rbac.allow(app, {"Microsoft.Storage/storageAccounts/read"}, scope)

    refused = served.send("GET", f"{account.id}/encryptionScopes")

    assert served.send("GET", account.id).status == 200
    assert refused.status == 403
    assert "Microsoft.Storage/storageAccounts/encryptionScopes/read" in refused.message


def test_a_list_comes_in_pages_as_small_as_asked_for(served: Rig, account: Account) -> None:
    for number in range(5):
        served.estate.encryption_scope(account, f"s{number}", key=None)
    path = f"{account.id}/encryptionScopes"

    first = served.send("GET", f"{path}?$maxpagesize=2")
    names, pages, answer = [], 0, first
    while True:
        names += [each["name"] for each in answer.body["value"]]
        pages += 1
        if "nextLink" not in answer.body:
            break
        answer = served.send("GET", answer.body["nextLink"].removeprefix(ARM))

    assert (names, pages) == ([f"s{number}" for number in range(5)], 3)
    assert "nextLink" not in served.send("GET", path).body
    assert served.send("GET", f"{path}?$maxpagesize=none").status == 400
    assert served.send("GET", f"{path}?$filter=startswith(name,'s')").status == 400


def test_the_platform_may_page_where_nobody_asked(served: Rig, account: Account) -> None:
    for number in range(3):
        served.estate.encryption_scope(account, f"s{number}", key=None)
    served.estate.arm.page_size = 2
    try:
        answer = served.send("GET", f"{account.id}/encryptionScopes")
    finally:
        served.estate.arm.page_size = 1000

    assert len(answer.body["value"]) == 2
    assert answer.body["nextLink"].startswith(f"{ARM}{account.id}/encryptionScopes?api-version=")


def test_resource_graph_knows_no_scopes(served: Rig, vault: Vault, account: Account) -> None:
    scope_of(served, account, vault)

    found = served.query("resources | project id").body["data"]

    mine = [row["id"] for row in found if account.id.lower() in row["id"].lower()]
    assert mine == [account.id]


def test_a_deleted_account_takes_its_scopes_along(
    served: Rig, vault: Vault, account: Account
) -> None:
    scope = scope_of(served, account, vault)
    other = served.estate.storage_account(
        "stother", subscription=account.id.split("/")[2], key=None
    )
    kept = served.estate.encryption_scope(other, "s1", key=vault.find("cmk").kid)

    served.send("DELETE", account.id)

    assert served.send("GET", scope.id).code == "ParentResourceNotFound"
    assert served.estate.truth.version_in_use(scope.id) is None
    assert served.estate.truth.users_of(vault.find("cmk").kid) == [kept.id.lower()]


def test_a_moved_account_takes_its_scopes_along(
    served: Rig, vault: Vault, account: Account
) -> None:
    scope = scope_of(served, account, vault)
    new = vault.rotate("cmk")

    moved = served.estate.move(account, group="rg-elsewhere")

    there = scope.id.replace("rg-storage", "rg-elsewhere")
    assert served.send("GET", scope.id).code == "ParentResourceNotFound"
    assert served.send("GET", there).body["id"] == there == f"{moved.id}/encryptionScopes/s1"
    key = {"source": "Microsoft.KeyVault", "keyVaultProperties": {"keyUri": new}}
    assert served.send("PATCH", there, {"properties": key}).status == 200
    assert served.estate.truth.version_in_use(there) == new


# -- the real client --------------------------------------------------------------------------


def test_the_unmodified_client_makes_lists_reads_and_moves_scopes(
    served: Rig, subscription: str, vault: Vault, account: Account
) -> None:
    old = vault.create_key("cmk")
    vault.grant(account.principal, {"get", "wrapKey", "unwrapKey"})
    new = vault.rotate("cmk")

    def scope(kid: str) -> EncryptionScope:
        key = EncryptionScopeKeyVaultProperties(key_uri=kid)
        properties = EncryptionScopeProperties(
            source="Microsoft.KeyVault", key_vault_properties=key
        )
        return EncryptionScope(encryption_scope_properties=properties)

    names = ("rg-storage", "stone", "s1")
    with (
        ManagedIdentityCredential() as credential,
        StorageManagementClient(credential, subscription) as client,
    ):
        client.encryption_scopes.put(*names, scope(old))
        client.encryption_scopes.put("rg-storage", "stone", "s2", EncryptionScope())
        client.encryption_scopes.patch(*names, scope(new))
        read = client.encryption_scopes.get(*names).encryption_scope_properties
        listed = client.encryption_scopes.list("rg-storage", "stone", maxpagesize=1)
        found = [each.name for each in listed]

    assert found == ["s1", "s2"]
    assert served.estate.truth.version_in_use(f"{account.id}/encryptionScopes/s1") == new
    assert read is not None
    assert read.key_vault_properties is not None
    assert read.key_vault_properties.current_versioned_key_identifier == new
    assert read.key_vault_properties.last_key_rotation_timestamp is not None
