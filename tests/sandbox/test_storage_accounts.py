"""Storage accounts: what they accept, what they show, and the version that they really use."""

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from azure.identity import ManagedIdentityCredential
from azure.mgmt.storage import StorageManagementClient
from azure.mgmt.storage.models import (
    StorageAccountPropertiesUpdateParameters,
    StorageAccountUpdateParameters,
)

from sandbox.arm.storage_bodies import as_written
from sandbox.estate import Account, Form
from sandbox.key_vault import NewKey, Vault
from sandbox.testing import Answer, Rig, rig

SEVEN_DIGITS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z")


@pytest.fixture(scope="module", name="served")
def _served() -> Iterator[Rig]:
    with rig() as served:
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


def pinned(served: Rig, subscription: str, vault: Vault, form: Form = "pinned") -> Account:
    key = vault.create_key("cmk").rpartition("/")[0]
    return served.estate.storage_account("stone", subscription=subscription, key=key, version=form)


def test_a_write_moves_the_account_and_its_own_answer_says_so(
    served: Rig, vault: Vault, subscription: str
) -> None:
    account = pinned(served, subscription, vault)
    old = served.estate.truth.version_in_use(account.id)
    new = vault.rotate("cmk")

    answer = served.repoint(account, new)

    properties = answer.body["properties"]["encryption"]["keyvaultproperties"]
    assert answer.status == 200
    assert answer.body["properties"]["provisioningState"] == "Succeeded"
    assert properties["currentVersionedKeyIdentifier"] == new
    assert properties["keyversion"] == new.rpartition("/")[2]
    assert SEVEN_DIGITS.fullmatch(properties["lastKeyRotationTimestamp"])
    assert properties["currentVersionedKeyExpirationTimestamp"] == "1970-01-01T00:00:00.0000000Z"
    assert answer.body == served.send("GET", account.id).body
    assert served.estate.truth.version_in_use(account.id) == new
    assert [kid for _, kid in served.estate.truth.history(account.id)] == [old, new]
    assert served.estate.truth.writes(account.id) == 1


def test_the_version_in_use_is_the_one_that_unwraps_whatever_the_body_says(
    served: Rig, vault: Vault, subscription: str
) -> None:
    account = pinned(served, subscription, vault)
    old = served.estate.truth.version_in_use(account.id)
    new = vault.rotate("cmk")
    body = served.estate.arm.resources.below(account.id, served.estate.storage.type)[0].body

    body["properties"]["encryption"]["keyvaultproperties"]["currentVersionedKeyIdentifier"] = new

    assert served.estate.truth.version_in_use(account.id) == old
    assert served.estate.truth.users_of(str(old)) == [account.id.lower()]
    assert served.estate.truth.users_of(new) == []


def test_the_truth_does_not_believe_its_own_books(
    served: Rig, vault: Vault, subscription: str
) -> None:
    account = pinned(served, subscription, vault)
    truth = served.estate.truth
    old, new = vault.find("cmk").kid, vault.rotate("cmk")

    truth._seals[account.id.lower()].kid = new  # noqa: SLF001 - a lie in the books

    assert truth.version_in_use(account.id) == old


def test_the_expiry_of_the_version_is_shown(served: Rig, vault: Vault, subscription: str) -> None:
    account = pinned(served, subscription, vault)
    expires = int(datetime(2031, 5, 1, tzinfo=UTC).timestamp())
    new = vault.create_key("cmk", NewKey(exp=expires))

    served.repoint(account, new)

    assert served.key_properties(account)["currentVersionedKeyExpirationTimestamp"] == (
        "2031-05-01T00:00:00.0000000Z"
    )


@pytest.mark.parametrize("form", ["absent", "empty"])
def test_a_missing_and_an_empty_version_are_read_back_as_they_were_written(
    served: Rig, vault: Vault, subscription: str, form: Form
) -> None:
    account = pinned(served, subscription, vault, form)

    properties = served.key_properties(account)

    assert properties.get("keyversion", "absent") == ("absent" if form == "absent" else "")
    assert properties["currentVersionedKeyIdentifier"] == vault.find("cmk").kid
    assert properties["keyvaulturi"].endswith(".vault.azure.net/")


def test_a_vault_url_keeps_the_slash_that_it_was_written_with_or_without(
    served: Rig, vault: Vault, subscription: str
) -> None:
    account = pinned(served, subscription, vault)
    encryption = {
        "keySource": "Microsoft.Keyvault",
        "keyvaultproperties": {"keyname": "cmk", "keyvaulturi": vault.uri},
    }

    served.send("PATCH", account.id, {"properties": {"encryption": encryption}})

    assert served.key_properties(account)["keyvaulturi"] == vault.uri


def test_a_version_written_again_in_another_form_moves_the_timestamp_alone(
    served: Rig, vault: Vault, subscription: str
) -> None:
    """Recorded: the timestamp does not prove a rotation."""
    account = pinned(served, subscription, vault, "absent")
    before = served.key_properties(account)

    served.repoint(account, vault.find("cmk").kid)
    after = served.key_properties(account)

    assert after["currentVersionedKeyIdentifier"] == before["currentVersionedKeyIdentifier"]
    assert after["lastKeyRotationTimestamp"] > before["lastKeyRotationTimestamp"]


def test_tags_alone_do_not_touch_the_encryption(
    served: Rig, vault: Vault, subscription: str
) -> None:
    account = pinned(served, subscription, vault)
    before = served.key_properties(account)
    vault.rotate("cmk")

    served.send("PATCH", account.id, {"tags": {"stage": "live"}})
    answer = served.send("PATCH", account.id, {"tags": {"owner": "payments"}})

    assert answer.body["tags"] == {"owner": "payments"}
    assert served.key_properties(account) == before
    assert len(served.estate.truth.history(account.id)) == 1


def test_what_the_service_computes_or_does_not_know_is_ignored_when_sent(
    served: Rig, vault: Vault, subscription: str
) -> None:
    account = pinned(served, subscription, vault)
    body = served.send("GET", account.id).body
    lie = {
        **body["properties"]["encryption"],
        "services": {"blob": {"enabled": True, "lastEnabledTime": "1999-01-01T00:00:00.0Z"}},
        "colour": "blue",
    }
    lie["keyvaultproperties"]["currentVersionedKeyIdentifier"] = "https://elsewhere/keys/k/v"
    lie["keyvaultproperties"]["colour"] = "blue"

    properties = {"encryption": lie, "creationTime": "1999-01-01T00:00:00.0Z", "colour": "blue"}
    answer = served.send("PATCH", account.id, {"properties": properties})

    fresh = served.send("GET", account.id).body
    assert answer.status == 200
    assert "1999" not in json.dumps(fresh)
    assert "blue" not in json.dumps(fresh)
    assert "elsewhere" not in json.dumps(fresh)


def test_an_account_goes_back_to_platform_keys_in_one_write(
    served: Rig, vault: Vault, subscription: str
) -> None:
    account = pinned(served, subscription, vault)
    encryption = {"keySource": "Microsoft.Storage"}

    answer = served.send("PATCH", account.id, {"properties": {"encryption": encryption}})

    assert answer.body["properties"]["encryption"]["keySource"] == "Microsoft.Storage"
    assert "keyvaultproperties" not in answer.body["properties"]["encryption"]
    assert served.estate.truth.version_in_use(account.id) is None


def test_a_user_assigned_identity_uses_the_key_until_an_empty_one_is_sent(
    served: Rig, vault: Vault, subscription: str
) -> None:
    identity = served.estate.user_assigned_identity(subscription, "rg-ids", "id-cmk")
    key = vault.create_key("cmk").rpartition("/")[0]
    account = served.estate.storage_account(
        "stone", subscription=subscription, key=key, user_assigned=identity
    )
    new = vault.rotate("cmk")

    kept = served.repoint(account, new)
    removed = served.repoint(account, new, identity={"userAssignedIdentity": ""})

    assert kept.body["properties"]["encryption"]["identity"] == {
        "userAssignedIdentity": identity.replace("/resourceGroups/", "/resourcegroups/")
    }
    assert kept.body["identity"]["userAssignedIdentities"][identity]["principalId"]
    assert removed.code == "MissingMsiHeaders", "there is no system-assigned one to fall back on"
    assert served.estate.truth.version_in_use(account.id) == new


def test_the_application_that_reaches_another_tenants_vault_is_kept_and_shown(
    served: Rig, vault: Vault, subscription: str
) -> None:
    identity = served.estate.user_assigned_identity(subscription, "rg-ids", "id-cmk")
    key = vault.create_key("cmk").rpartition("/")[0]
    account = served.estate.storage_account(
        "stone", subscription=subscription, key=key, user_assigned=identity
    )
    client = "5c1f7c1e-0d43-4a6c-9c3a-2f0d8f2c6b11"
    new = vault.rotate("cmk")

    asked = {"userAssignedIdentity": identity, "federatedIdentityClientId": client}
    written = served.repoint(account, new, identity=asked)
    again = served.repoint(account, new)
    without = served.repoint(account, new, identity={"userAssignedIdentity": identity})

    shown = {
        "userAssignedIdentity": identity.replace("/resourceGroups/", "/resourcegroups/"),
        "federatedIdentityClientId": client,
    }
    assert written.body["properties"]["encryption"]["identity"] == shown
    assert again.body["properties"]["encryption"]["identity"] == shown
    assert "federatedIdentityClientId" not in without.body["properties"]["encryption"]["identity"]
    assert served.estate.truth.version_in_use(account.id) == new


@pytest.fixture(name="merging")
def _merging(served: Rig) -> Iterator[None]:
    served.estate.storage.merges_patches = True
    yield
    served.estate.storage.merges_patches = False


def left_out(served: Rig, vault: Vault, account: Account, **version: str) -> dict[str, Any]:
    """Write the reference without its version, or with ``version``; return what is then shown."""
    reference = {"keyname": "cmk", "keyvaulturi": f"{vault.uri}/", **version}
    encryption = {"keySource": "Microsoft.Keyvault", "keyvaultproperties": reference}
    answer = served.send("PATCH", account.id, {"properties": {"encryption": encryption}})
    assert answer.status == 200
    shown = served.key_properties(account)
    assert shown == answer.body["properties"]["encryption"]["keyvaultproperties"]
    return shown


def test_a_write_that_leaves_the_version_out_lets_go_of_it(
    served: Rig, vault: Vault, subscription: str
) -> None:
    account = pinned(served, subscription, vault)
    new = vault.rotate("cmk")

    shown = left_out(served, vault, account)

    assert "keyversion" not in shown
    assert shown["currentVersionedKeyIdentifier"] == new
    assert served.estate.truth.version_in_use(account.id) == new


@pytest.mark.usefixtures("merging")
def test_a_service_that_merges_keeps_a_version_that_is_left_out_and_lets_go_for_an_empty_one(
    served: Rig, vault: Vault, subscription: str
) -> None:
    account = pinned(served, subscription, vault)
    old, new = vault.find("cmk").kid, vault.rotate("cmk")

    kept = left_out(served, vault, account)
    used = served.estate.truth.version_in_use(account.id)
    emptied = left_out(served, vault, account, keyversion="")

    assert (kept["keyversion"], kept["currentVersionedKeyIdentifier"]) == (old[-32:], old)
    assert used == old
    assert emptied["keyversion"] == ""
    assert served.estate.truth.version_in_use(account.id) == new


def refused(served: Rig, vault: Vault, account: Account, cause: str) -> Answer:
    """Make the new version unusable for one cause, and ask for it all the same."""
    new = vault.rotate("cmk")
    match cause:
        case "disabled":
            vault.set_enabled(new, enabled=False)
        case "expired":
            vault.update("cmk", None, {"attributes": {"exp": 1}})
        case "no rights":
            vault.revoke(account.principal)
        case "no such version":
            new = new[:-4] + "beef"
        case "no such key":
            new = new.replace("/cmk/", "/other/")
        case "no such vault":
            new = new.replace(vault.name, "kv-nowhere")
        case "old version disabled":
            vault.set_enabled(vault.versions("cmk")[0].kid, enabled=False)
        case "elliptic":
            new = vault.create_key("curve", NewKey(kty="EC"))
    return served.repoint(account, new)


@pytest.mark.parametrize(
    "cause",
    [
        "disabled",
        "expired",
        "no rights",
        "no such version",
        "no such key",
        "no such vault",
        "old version disabled",
        "elliptic",
    ],
)
def test_a_key_that_the_account_cannot_use_is_refused_and_nothing_changes(
    served: Rig, vault: Vault, subscription: str, cause: str
) -> None:
    account = pinned(served, subscription, vault)
    before = served.send("GET", account.id).body
    in_use = served.estate.truth.version_in_use(account.id)

    answer = refused(served, vault, account, cause)

    assert (answer.status, answer.code) == (400, "KeyVaultAuthenticationFailure")
    assert answer.message == (
        "The operation failed because of authentication issue on the keyvault."
    )
    assert served.send("GET", account.id).body == before
    assert served.estate.truth.version_in_use(account.id) == in_use
    assert served.estate.truth.writes(account.id) == 0


def test_an_account_cannot_be_read_without_the_version_that_protects_it(
    served: Rig, vault: Vault, subscription: str
) -> None:
    account = pinned(served, subscription, vault)
    old = vault.find("cmk").kid
    readable = served.estate.truth.can_read(account.id)

    vault.set_enabled(old, enabled=False)

    assert readable
    assert not served.estate.truth.can_read(account.id)
    assert served.estate.truth.version_in_use(account.id) == old


def test_a_vault_without_purge_protection_is_refused(
    served: Rig, vault: Vault, subscription: str
) -> None:
    account = pinned(served, subscription, vault)
    purgeable = served.estate.vaults.create(f"{vault.name[:20]}-p", purge_protection=False)
    purgeable.grant(account.principal, {"get", "wrapKey", "unwrapKey"})

    answer = served.repoint(account, purgeable.create_key("cmk"))

    assert (answer.status, answer.code) == (400, "KeyVaultPolicyError")
    assert answer.message == "Keyvault policy recoverable is not set"


def test_an_account_without_an_identity_cannot_take_a_key_but_keeps_the_one_it_has(
    served: Rig, vault: Vault, subscription: str
) -> None:
    account = pinned(served, subscription, vault)

    removal = served.send("PATCH", account.id, {"identity": {"type": "None"}})
    answer = served.repoint(account, vault.rotate("cmk"))

    assert removal.status == 200
    assert "identity" not in removal.body
    assert removal.body["properties"]["encryption"]["keySource"] == "Microsoft.Keyvault"
    assert (answer.status, answer.message[:22]) == (400, "Missing pre-requisites")


def test_a_key_source_without_its_key_or_an_unknown_one_is_refused(
    served: Rig, vault: Vault, subscription: str
) -> None:
    account = pinned(served, subscription, vault)

    def ask(encryption: dict[str, Any]) -> Answer:
        return served.send("PATCH", account.id, {"properties": {"encryption": encryption}})

    assert ask({"keySource": "Microsoft.Keyvault"}).code == "MissingKeyvaultProperties"
    assert ask({"keySource": "Microsoft.Elsewhere"}).code == "InvalidRequestPropertyValue"
    assert served.repoint(account, "https://example.com/keys/cmk/1").code == (
        "InvalidRequestPropertyValue"
    )


def test_a_slow_account_accepts_at_once_and_moves_when_its_delay_has_passed(
    served: Rig, vault: Vault, subscription: str
) -> None:
    account = pinned(served, subscription, vault)
    old, new = vault.find("cmk").kid, vault.rotate("cmk")
    delay = timedelta(seconds=60)
    account.pace.slow(delay)
    asked = served.clock.now()

    answer = served.repoint(account, new)
    time.sleep(served.clock.real_seconds(delay / 2))
    served.repoint(account, new)
    at_once = served.key_properties(account)
    in_between = served.estate.truth.version_in_use(account.id)
    time.sleep(served.clock.real_seconds(delay / 2))
    later = served.key_properties(account)

    assert answer.status == 200
    assert at_once["keyversion"] == new.rpartition("/")[2]
    assert (at_once["currentVersionedKeyIdentifier"], in_between) == (old, old)
    assert later["currentVersionedKeyIdentifier"] == new
    moved, kid = served.estate.truth.history(account.id)[-1]
    assert kid == new
    assert asked + delay <= moved <= asked + delay + timedelta(seconds=25)


def test_a_stuck_account_accepts_and_never_moves_until_it_is_written_to_again(
    served: Rig, vault: Vault, subscription: str
) -> None:
    account = pinned(served, subscription, vault)
    old, new = vault.find("cmk").kid, vault.rotate("cmk")
    account.pace.stuck()

    answer = served.repoint(account, new)
    stuck = served.estate.truth.version_in_use(account.id)
    account.pace.prompt()
    waiting = served.estate.truth.version_in_use(account.id)
    served.repoint(account, new)

    properties = answer.body["properties"]["encryption"]["keyvaultproperties"]
    assert answer.status == 200
    assert properties["keyversion"] == new.rpartition("/")[2]
    assert properties["currentVersionedKeyIdentifier"] == old
    assert (stuck, waiting) == (old, old)
    assert served.estate.truth.version_in_use(account.id) == new


@pytest.mark.parametrize("form", ["absent", "empty"])
def test_a_versionless_account_follows_the_key_only_when_the_service_polls(
    served: Rig, vault: Vault, subscription: str, form: Form
) -> None:
    account = pinned(served, subscription, vault, form)
    old, new = vault.find("cmk").kid, vault.rotate("cmk")
    before = served.estate.truth.version_in_use(account.id)

    due = served.clock.now() + timedelta(seconds=2)
    account.pace.next_poll_at = due
    time.sleep(served.clock.real_seconds(timedelta(seconds=4)))

    assert before == old
    assert served.estate.truth.version_in_use(account.id) == new, "though nobody looked at it"
    assert served.key_properties(account)["currentVersionedKeyIdentifier"] == new
    assert served.estate.truth.history(account.id)[-1] == (due, new)
    assert account.pace.next_poll_at == due + timedelta(days=1)
    assert served.estate.truth.writes(account.id) == 0


def test_a_poll_before_a_rotation_does_not_find_the_version_made_after_it(
    served: Rig, vault: Vault, subscription: str
) -> None:
    account = pinned(served, subscription, vault, "absent")
    old = vault.find("cmk").kid
    account.pace.next_poll_at = served.clock.now() + timedelta(seconds=1)
    time.sleep(served.clock.real_seconds(timedelta(seconds=3)))

    vault.rotate("cmk")

    assert served.estate.truth.version_in_use(account.id) == old


def test_a_poll_that_meets_a_disabled_version_leaves_the_account_where_it_was(
    served: Rig, vault: Vault, subscription: str
) -> None:
    account = pinned(served, subscription, vault, "empty")
    old, new = vault.find("cmk").kid, vault.rotate("cmk")
    vault.set_enabled(new, enabled=False)

    account.pace.next_poll_at = served.clock.now() + timedelta(seconds=1)
    time.sleep(served.clock.real_seconds(timedelta(seconds=3)))

    assert served.estate.truth.version_in_use(account.id) == old
    assert served.estate.truth.can_read(account.id)


def test_pinned_and_stuck_accounts_do_not_follow_polls(
    served: Rig, vault: Vault, subscription: str
) -> None:
    stays = pinned(served, subscription, vault)
    key = vault.find("cmk").kid.rpartition("/")[0]
    stuck = served.estate.storage_account(
        "sttwo", subscription=subscription, key=key, version="empty"
    )
    stuck.pace.stuck()
    old = vault.find("cmk").kid
    vault.rotate("cmk")

    for account in (stays, stuck):
        account.pace.next_poll_at = served.clock.now()
    time.sleep(0.05)

    truth = served.estate.truth
    assert [truth.version_in_use(each.id) for each in (stays, stuck)] == [old, old]


def test_an_account_can_be_made_and_updated_by_put(served: Rig, subscription: str) -> None:
    served.estate.arm.resources.add_group(subscription, "rg-new")
    path = (
        f"/subscriptions/{subscription}/resourceGroups/rg-new"
        "/providers/Microsoft.Storage/storageAccounts/stmade"
    )
    wanted = {"sku": {"name": "Premium_LRS"}, "kind": "StorageV2", "location": "West Europe"}

    made = served.send("PUT", path, {**wanted, "identity": {"type": "SystemAssigned"}})
    updated = served.send("PUT", path, {**wanted, "tags": {"a": "b"}})

    assert (made.status, updated.status) == (200, 200)
    assert made.body["sku"] == {"name": "Premium_LRS", "tier": "Premium"}
    assert made.body["location"] == "westeurope"
    assert updated.body["identity"] == made.body["identity"]
    assert updated.body["tags"] == {"a": "b"}


def shape(value: object) -> object:
    """Return the keys and JSON types of a value."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value]
    return type(value).__name__


def determined(body: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of a body that follow from the requests so far."""
    encryption = body["properties"]["encryption"]
    return {
        **{name: body[name] for name in ("id", "name", "type", "kind", "location", "sku", "tags")},
        "identity": body["identity"]["type"],
        "written": as_written(body),
        "source": encryption["keySource"],
        "version": encryption.get("keyvaultproperties", {}).get("currentVersionedKeyIdentifier"),
        "network": body["properties"]["networkAcls"],
        "https": body["properties"]["supportsHttpsTrafficOnly"],
        "state": body["properties"]["provisioningState"],
        "services": {
            name: {key: each[key] for key in ("enabled", "keyType")}
            for name, each in encryption["services"].items()
        },
    }


def test_every_recorded_exchange_gets_the_recorded_answer(served: Rig, recordings: Path) -> None:
    recording = json.loads((recordings / "storage-accounts/customer_managed_key.json").read_text())
    exchanges = [
        each for each in recording["exchanges"] if "Microsoft.Storage" in each["request"]["url"]
    ]
    vault = served.estate.vaults.create("clitest000003")
    text = json.dumps(exchanges)
    for name in ("testkey", "newkey"):
        version = re.search(rf"keys/{name}/([0-9a-f]{{32}})", text)
        assert version
        text = text.replace(version[1], vault.create_key(name).rpartition("/")[2])
    exchanges = json.loads(text)
    first = exchanges[0]["response"]["body"]
    subscription = first["id"].split("/")[2]
    served.estate.arm.resources.add_subscription(subscription, "recorded")
    served.estate.arm.resources.add_group(subscription, first["id"].split("/")[4])
    served.allow_all(subscription)
    made = {name: first[name] for name in ("kind", "location", "sku")}
    assert served.send("PUT", first["id"], made).status == 200

    for exchange in exchanges:
        request, response = exchange["request"], exchange["response"]
        answer = served.send(request["method"], first["id"], request["body"])

        assert answer.status == response["status"], exchange["index"]
        assert shape(answer.body) == shape(response["body"]), exchange["index"]
        assert determined(answer.body) == determined(response["body"]), exchange["index"]
        if exchange.get("read_back_identical"):
            assert served.send("GET", first["id"]).body == answer.body
        vault.grant(answer.body["identity"]["principalId"], {"get", "wrapKey", "unwrapKey"})

    assert len(exchanges) == 8


def test_the_unmodified_client_reads_updates_and_lists_accounts(
    served: Rig, vault: Vault, subscription: str
) -> None:
    account = pinned(served, subscription, vault)
    old = served.estate.truth.version_in_use(account.id)
    new = vault.rotate("cmk")

    with (
        ManagedIdentityCredential() as credential,
        StorageManagementClient(credential, subscription) as client,
    ):
        read = client.storage_accounts.get_properties("rg-storage", "stone")
        assert read.encryption is not None
        assert read.encryption.key_vault_properties is not None
        shown = read.encryption.key_vault_properties.current_versioned_key_identifier
        read.encryption.key_vault_properties.key_version = new.rpartition("/")[2]
        updated = client.storage_accounts.update(
            "rg-storage",
            "stone",
            StorageAccountUpdateParameters(
                properties=StorageAccountPropertiesUpdateParameters(encryption=read.encryption)
            ),
        )
        in_group = [
            each.name for each in client.storage_accounts.list_by_resource_group("rg-storage")
        ]
        listed = list(client.storage_accounts.list())

    assert shown == old
    assert in_group == [each.name for each in listed] == ["stone"]
    for told in (updated, *listed):
        assert told.provisioning_state == "Succeeded"
        assert told.encryption is not None
        assert told.encryption.key_source == "Microsoft.Keyvault"
        assert told.encryption.key_vault_properties is not None
        assert told.encryption.key_vault_properties.current_versioned_key_identifier == new
        assert told.encryption.key_vault_properties.last_key_rotation_timestamp is not None
    assert served.estate.truth.version_in_use(account.id) == new
