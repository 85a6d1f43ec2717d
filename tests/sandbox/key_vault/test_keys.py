"""Keys and their versions, through the unmodified SDK at production host names."""

from datetime import UTC, datetime, timedelta

import pytest
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.identity import ManagedIdentityCredential
from azure.keyvault.keys import (
    KeyClient,
    KeyRotationLifetimeAction,
    KeyRotationPolicy,
    KeyRotationPolicyAction,
    KeyType,
)

from sandbox.clock import SandboxClock
from sandbox.identity import APP_PRINCIPAL
from sandbox.key_vault import KeyVaults, Vault
from tests.sandbox.key_vault.rig import (
    ALL,
    CONSUMER,
    DEK,
    EC,
    Local,
    client_of,
    modulus,
    numbers,
    version_of,
)


def test_a_created_key_is_read_back(client: KeyClient) -> None:
    created = client.create_rsa_key("cmk", size=3072, tags={"team": "payments"})

    read = client.get_key("cmk")

    assert read.id == created.id
    assert read.key_type == KeyType.rsa
    assert len(modulus(read)) == 3072 // 8
    assert read.properties.tags == {"team": "payments"}
    assert read.properties.enabled


def test_a_vault_finds_a_key_without_regard_to_case(client: KeyClient) -> None:
    created = client.create_ec_key("Cmk-Payments")

    assert client.get_key("cmk-payments").id == created.id


def test_creating_a_key_again_makes_a_new_version(client: KeyClient) -> None:
    first, second = client.create_ec_key("cmk"), client.create_ec_key("cmk")

    assert client.get_key("cmk").id == second.id
    assert client.get_key("cmk", version_of(first)).id == first.id


def test_dates_are_whole_seconds_of_the_sandbox_clock(local: Local) -> None:
    clock = SandboxClock(datetime(2031, 5, 1, 12, 0, 0, 999_999, tzinfo=UTC), rate=1e-9)
    vault = KeyVaults(clock, local.tokens, lambda *_: None).create("kv-later")

    vault.create_key("cmk", EC)

    assert vault.find("cmk").created == int(datetime(2031, 5, 1, 12, tzinfo=UTC).timestamp())


def test_rotation_makes_a_new_version_of_the_same_kind_with_other_material(
    client: KeyClient,
) -> None:
    first = client.create_rsa_key("cmk", key_operations=["wrapKey", "unwrapKey"])

    second = client.rotate_key("cmk")

    assert second.id != first.id
    assert client.get_key("cmk").id == second.id
    assert (second.key_type, second.key_operations) == (first.key_type, ["wrapKey", "unwrapKey"])
    assert modulus(second) != modulus(first)


def test_a_rotated_version_expires_as_the_policy_says_and_older_ones_do_not(
    client: KeyClient,
) -> None:
    client.create_ec_key("cmk")
    action = KeyRotationLifetimeAction(KeyRotationPolicyAction.rotate, time_after_create="P15D")
    policy = KeyRotationPolicy(lifetime_actions=[action], expires_in="P30D")
    client.update_key_rotation_policy("cmk", policy)

    rotated = client.rotate_key("cmk").properties

    assert rotated.created_on
    assert rotated.expires_on == rotated.created_on + timedelta(days=30)
    dates = {v.version: v.expires_on for v in client.list_properties_of_key_versions("cmk")}
    assert [date for version, date in dates.items() if version != rotated.version] == [None]


def test_a_rotated_version_is_made_and_dated_at_one_moment(local: Local) -> None:
    hasty = SandboxClock.start(rate=1e6)
    vault = KeyVaults(hasty, local.tokens, lambda *_: None).create("kv-hasty")
    vault.create_key("cmk", EC)
    vault.set_rotation_policy("cmk", {"attributes": {"expiryTime": "P30D"}})

    vault.rotate("cmk")

    rotated = vault.find("cmk")
    assert rotated.exp == rotated.created + 30 * 24 * 3600


@pytest.mark.parametrize(
    ("expiry_time", "created", "expires"),
    [
        ("P30D", "2026-01-31", "2026-03-02"),
        ("P1M", "2026-01-31", "2026-02-28"),
        ("P1Y2M3D", "2026-11-30", "2028-02-02"),
        ("PT48H", "2026-02-28", "2026-03-02"),
    ],
)
def test_an_expiry_time_is_added_by_the_calendar(
    local: Local, expiry_time: str, created: str, expires: str
) -> None:
    start = datetime.fromisoformat(f"{created}T12:00:00Z")
    vaults = KeyVaults(SandboxClock(start, rate=1e-9), local.tokens, lambda *_: None)
    vault = vaults.create("kv-calendar")
    vault.create_key("cmk", EC)
    vault.set_rotation_policy("cmk", {"attributes": {"expiryTime": expiry_time}})

    vault.rotate("cmk")

    exp = vault.find("cmk").exp
    assert exp is not None
    assert datetime.fromtimestamp(exp, UTC).date().isoformat() == expires


def test_a_policy_without_notify_is_given_one(client: KeyClient) -> None:
    client.create_ec_key("cmk")
    action = KeyRotationLifetimeAction(KeyRotationPolicyAction.rotate, time_after_create="P15D")

    client.update_key_rotation_policy("cmk", KeyRotationPolicy(lifetime_actions=[action]))

    actions = client.get_key_rotation_policy("cmk").lifetime_actions
    assert [(a.action, a.time_after_create, a.time_before_expiry) for a in actions] == [
        (KeyRotationPolicyAction.rotate, "P15D", None),
        (KeyRotationPolicyAction.notify, None, "P30D"),
    ]


def test_a_policy_that_was_never_edited_has_neither_id_nor_dates(client: KeyClient) -> None:
    client.create_ec_key("cmk")

    policy = client.get_key_rotation_policy("cmk")

    assert (policy.id, policy.created_on, policy.expires_in) == (None, None, None)
    assert [a.action for a in policy.lifetime_actions] == [KeyRotationPolicyAction.notify]


def test_a_policy_with_a_malformed_duration_is_refused(client: KeyClient) -> None:
    client.create_ec_key("cmk")

    with pytest.raises(HttpResponseError, match="not a duration"):
        client.update_key_rotation_policy("cmk", KeyRotationPolicy(expires_in="thirty days"))


def test_versions_are_listed_over_pages_of_25_in_the_order_of_their_ids(
    local: Local, vault: Vault, client: KeyClient
) -> None:
    made = {vault.create_key("cmk", EC).rpartition("/")[2] for _ in range(60)}

    listed = [v.version for v in client.list_properties_of_key_versions("cmk")]

    assert listed == sorted(made)
    pages = [c for c in local.calls(vault) if c.path == "/keys/cmk/versions" and c.status == 200]
    assert len(pages) == 3
    assert f"{vault.name}.vault.azure.net:443/keys/cmk/versions?".encode() in pages[0].response_body
    assert "$skiptoken=" in pages[1].query or "%24skiptoken=" in pages[1].query


@pytest.mark.parametrize("amount", [25, 26])
def test_a_full_page_has_a_next_one_only_if_there_is_more(
    vault: Vault, client: KeyClient, amount: int
) -> None:
    for _ in range(amount):
        vault.create_key("cmk", EC)

    pages = [list(page) for page in client.list_properties_of_key_versions("cmk").by_page()]

    assert [len(page) for page in pages] == [25, *([1] if amount > 25 else [])]


def test_keys_are_listed_with_the_state_of_their_newest_version(client: KeyClient) -> None:
    client.create_ec_key("cmk-archive")
    client.create_ec_key("cmk-payments")
    client.create_ec_key("cmk-payments", enabled=False)

    listed = [(key.name, key.version, key.enabled) for key in client.list_properties_of_keys()]

    assert listed == [("cmk-archive", None, True), ("cmk-payments", None, False)]


def test_the_newest_version_is_given_even_if_it_is_disabled(
    local: Local, vault: Vault, client: KeyClient
) -> None:
    client.create_ec_key("cmk")
    newest = client.create_ec_key("cmk", enabled=False)

    read = client.get_key("cmk")

    assert (read.id, read.properties.enabled) == (newest.id, False)
    assert local.vaults.newest(vault.name, "cmk") == newest.id


def test_a_version_is_changed_and_no_other(client: KeyClient) -> None:
    first, second = client.create_ec_key("cmk"), client.create_ec_key("cmk")
    expires = datetime(2030, 1, 1, tzinfo=UTC)

    client.update_key_properties(
        "cmk", version_of(first), enabled=False, expires_on=expires, tags={"a": "b"}
    )

    changed = client.get_key("cmk", version_of(first)).properties
    assert (changed.enabled, changed.expires_on, changed.tags) == (False, expires, {"a": "b"})
    other = client.get_key("cmk", version_of(second)).properties
    assert (other.enabled, other.expires_on) == (True, None)


def test_a_change_that_names_no_version_meets_the_newest(client: KeyClient) -> None:
    first, second = client.create_ec_key("cmk"), client.create_ec_key("cmk")

    client.update_key_properties("cmk", enabled=False)

    assert client.get_key("cmk", version_of(first)).properties.enabled
    assert not client.get_key("cmk", version_of(second)).properties.enabled


@pytest.mark.parametrize("name", ["nothing", "cmk/00000000000000000000000000000000"])
def test_what_is_not_there_is_not_found(client: KeyClient, name: str) -> None:
    client.create_ec_key("cmk")

    with pytest.raises(ResourceNotFoundError, match="KeyNotFound") as missing:
        client.get_key(*name.split("/"))

    assert f"A key with (name/id) {name} was not found in this key vault." in str(missing.value)


def test_a_deleted_key_is_gone_its_name_taken_and_it_can_be_recovered(client: KeyClient) -> None:
    created = client.create_ec_key("cmk")

    deleted = client.begin_delete_key("cmk").result()

    assert deleted.recovery_id == f"{client.vault_url}/deletedkeys/cmk"
    with pytest.raises(ResourceNotFoundError):
        client.get_key("cmk")
    with pytest.raises(ResourceExistsError, match="deleted but recoverable"):
        client.create_ec_key("cmk")
    client.begin_recover_deleted_key("cmk").wait()
    assert client.get_key("cmk").id == created.id


def test_purge_protection_keeps_deleted_keys(local: Local, client: KeyClient) -> None:
    client.create_ec_key("cmk")
    client.begin_delete_key("cmk").wait()

    with pytest.raises(HttpResponseError, match="purge"):
        client.purge_deleted_key("cmk")

    open_vault = local.vaults.create(f"kv-open-{next(numbers)}", purge_protection=False)
    open_vault.grant(APP_PRINCIPAL, ALL)
    open_vault.create_key("cmk", EC)
    open_vault.delete("cmk")
    with ManagedIdentityCredential() as credential, client_of(open_vault, credential) as other:
        other.purge_deleted_key("cmk")
        with pytest.raises(ResourceNotFoundError):
            other.get_deleted_key("cmk")


def test_a_key_restored_into_another_vault_keeps_its_version_ids_and_dates(
    local: Local, client: KeyClient
) -> None:
    client.create_rsa_key("cmk")
    client.rotate_key("cmk")
    blob = client.backup_key("cmk")
    other = local.vaults.create(f"kv-restored-{next(numbers)}")
    other.grant(APP_PRINCIPAL, ALL)

    with ManagedIdentityCredential() as credential, client_of(other, credential) as second:
        second.restore_key_backup(blob)
        restored = {v.version: v for v in second.list_properties_of_key_versions("cmk")}

    original = {v.version: v for v in client.list_properties_of_key_versions("cmk")}
    assert restored.keys() == original.keys()
    for version, properties in restored.items():
        assert properties.created_on == original[version].created_on
        assert properties.id == f"{other.uri}/keys/cmk/{version}"


def test_a_restored_key_unwraps_what_the_original_wrapped(local: Local, vault: Vault) -> None:
    kid = vault.create_key("cmk")
    other = local.vaults.create(f"kv-restored-{next(numbers)}")
    for each in (vault, other):
        each.grant(CONSUMER, {"wrapKey", "unwrapKey"})
    wrapped = local.vaults.wrap(kid, DEK, CONSUMER)

    other.restore(vault.backup("cmk"))

    twin = kid.replace(vault.name, other.name)
    assert local.vaults.unwrap(twin, wrapped, CONSUMER) == DEK


def test_a_restore_over_an_existing_key_is_a_conflict(client: KeyClient) -> None:
    client.create_ec_key("cmk")
    blob = client.backup_key("cmk")

    with pytest.raises(ResourceExistsError):
        client.restore_key_backup(blob)
