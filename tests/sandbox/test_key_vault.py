"""Key Vault, through the unmodified SDK at production host names."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
import requests
from azure.core.credentials import AccessToken
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
    ServiceResponseError,
)
from azure.identity import ManagedIdentityCredential
from azure.keyvault.keys import (
    ApiVersion,
    KeyClient,
    KeyRotationLifetimeAction,
    KeyRotationPolicy,
    KeyRotationPolicyAction,
    KeyType,
    KeyVaultKey,
)
from azure.keyvault.keys.crypto import CryptographyClient, KeyWrapAlgorithm

from sandbox.clock import SandboxClock
from sandbox.faults import Fault, Faults, server_error_html, throttled
from sandbox.front_door import Call, FrontDoor
from sandbox.identity import APP_PRINCIPAL, TokenService
from sandbox.key_vault import KeyUnusable, KeyVaults, NewKey, Permission, Vault
from sandbox.serving import Serving

ALL: frozenset[Permission] = frozenset(
    {
        "get",
        "list",
        "create",
        "update",
        "delete",
        "recover",
        "purge",
        "rotate",
        "getRotationPolicy",
        "setRotationPolicy",
        "backup",
        "restore",
        "wrapKey",
        "unwrapKey",
    }
)
CONSUMER = "c0ffee00-0000-4000-8000-000000000001"
DEK = bytes(range(32))
EC = NewKey(kty="EC")
"""Made at once, where the type does not matter; an RSA key takes a while."""
# The SDK keeps challenges by host for the whole process, so every test has a vault of its own.
numbers = count(1)


@dataclass
class Local:
    clock: SandboxClock
    faults: Faults
    front_door: FrontDoor
    tokens: TokenService
    vaults: KeyVaults
    serving: Serving
    identity_endpoint: str
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def calls(self, vault: Vault) -> list[Call]:
        return [c for c in self.front_door.traffic() if c.host == f"{vault.name}.vault.azure.net"]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Local]:
    clock = SandboxClock.start()
    faults = Faults(clock)
    front_door = FrontDoor(faults, clock)
    tokens = TokenService()
    events: list[tuple[str, dict[str, Any]]] = []
    vaults = KeyVaults(clock, tokens, lambda topic, event: events.append((topic, event)))
    front_door.mount("*.vault.azure.net", vaults.app)
    with Serving(front_door) as serving:
        endpoint = f"{serving.serve_plain(tokens.msi_app())}/msi/token"
        yield Local(clock, faults, front_door, tokens, vaults, serving, endpoint, events)


@pytest.fixture
def local(sandbox: Local, monkeypatch: pytest.MonkeyPatch) -> Local:
    sandbox.faults.clear()
    for name, value in sandbox.serving.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("IDENTITY_ENDPOINT", sandbox.identity_endpoint)
    monkeypatch.setenv("IDENTITY_HEADER", sandbox.tokens.identity_header)
    return sandbox


@pytest.fixture
def vault(local: Local) -> Vault:
    made = local.vaults.create(f"kv-payments-{next(numbers)}")
    made.grant(APP_PRINCIPAL, ALL)
    return made


@pytest.fixture
def client(vault: Vault) -> Iterator[KeyClient]:
    with ManagedIdentityCredential() as credential, client_of(vault, credential) as made:
        yield made


def client_of(vault: Vault, credential: Any, **settings: Any) -> KeyClient:  # noqa: ANN401 - the SDK's own protocol is as wide
    return KeyClient(vault.uri, credential, **settings)


@dataclass
class FixedCredential:
    """A credential that gives one token whatever is asked for, to send wrong ones."""

    token: str

    def get_token(self, *_: str, **__: object) -> AccessToken:
        return AccessToken(self.token, 4102444800)


def version_of(key: KeyVaultKey) -> str:
    assert key.properties.version
    return key.properties.version


def modulus(key: KeyVaultKey) -> bytes:
    found: bytes = key.key.n  # type: ignore[attr-defined]  # JsonWebKey declares no members
    return found


# -- keys and versions


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


# -- wrap and unwrap


@pytest.mark.parametrize("algorithm", [KeyWrapAlgorithm.rsa_oaep, KeyWrapAlgorithm.rsa_oaep_256])
def test_the_vault_unwraps_what_the_sdk_wrapped_with_the_public_key(
    client: KeyClient, algorithm: KeyWrapAlgorithm
) -> None:
    """The SDK wraps by itself: only a real key and the real padding can undo it."""
    key = client.create_rsa_key("cmk")

    with ManagedIdentityCredential() as credential, CryptographyClient(key, credential) as crypto:
        wrapped = crypto.wrap_key(algorithm, DEK)
        unwrapped = crypto.unwrap_key(algorithm, wrapped.encrypted_key)

    assert wrapped.encrypted_key != DEK
    assert unwrapped.key == DEK


def test_a_consumer_that_may_only_wrap_and_unwrap_does_so_in_the_vault(
    local: Local, vault: Vault
) -> None:
    kid = vault.create_key("cmk")
    vault.revoke(APP_PRINCIPAL)
    vault.grant(APP_PRINCIPAL, {"wrapKey", "unwrapKey"})

    with ManagedIdentityCredential() as credential, CryptographyClient(kid, credential) as crypto:
        wrapped = crypto.wrap_key(KeyWrapAlgorithm.rsa_oaep_256, DEK)
        unwrapped = crypto.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, wrapped.encrypted_key)

    assert unwrapped.key == DEK
    done = [c.path.rpartition("/")[2] for c in local.calls(vault) if c.status == 200]
    assert done == ["wrapkey", "unwrapkey"]


def test_no_other_version_unwraps_a_blob(local: Local, vault: Vault) -> None:
    vault.grant(CONSUMER, {"wrapKey", "unwrapKey"})
    first, second = vault.create_key("cmk"), vault.rotate("cmk")

    wrapped = local.vaults.wrap(first, DEK, CONSUMER)

    assert local.vaults.unwrap(first, wrapped, CONSUMER) == DEK
    with pytest.raises(KeyUnusable) as unusable:
        local.vaults.unwrap(second, wrapped, CONSUMER)
    assert unusable.value.code == "BadParameter"


def test_a_key_without_a_version_means_its_newest_even_if_disabled(
    local: Local, vault: Vault
) -> None:
    vault.grant(CONSUMER, {"wrapKey", "unwrapKey"})
    vault.create_key("cmk", EC)
    newest = vault.create_key("cmk")
    versionless = newest.rpartition("/")[0]

    wrapped = local.vaults.wrap(versionless, DEK, CONSUMER)

    assert local.vaults.unwrap(newest, wrapped, CONSUMER) == DEK
    vault.set_enabled(newest, enabled=False)
    with pytest.raises(KeyUnusable, match="KeyDisabled"):
        local.vaults.wrap(versionless, DEK, CONSUMER)


PAST, FUTURE = 1_600_000_000, 4_000_000_000


@pytest.mark.parametrize(
    ("attributes", "wrap", "unwrap"),
    [
        pytest.param({"enabled": False}, "KeyDisabled", "KeyDisabled", id="disabled"),
        pytest.param({"exp": PAST}, "KeyExpired", None, id="expired: still unwraps"),
        pytest.param({"nbf": FUTURE}, "KeyNotYetValid", None, id="not yet valid: still unwraps"),
        pytest.param({"nbf": PAST, "exp": FUTURE}, None, None, id="within its dates"),
    ],
)
def test_the_state_of_a_version_says_what_it_may_be_used_for(
    local: Local,
    vault: Vault,
    attributes: dict[str, object],
    wrap: str | None,
    unwrap: str | None,
) -> None:
    vault.grant(CONSUMER, {"wrapKey", "unwrapKey"})
    kid = vault.create_key("cmk")
    wrapped = local.vaults.wrap(kid, DEK, CONSUMER)
    vault.update("cmk", None, {"attributes": attributes})

    def outcome(operation: str) -> str | None:
        try:
            if operation == "wrap":
                local.vaults.wrap(kid, DEK, CONSUMER)
            else:
                assert local.vaults.unwrap(kid, wrapped, CONSUMER) == DEK
        except KeyUnusable as unusable:
            return unusable.code
        return None

    assert (outcome("wrap"), outcome("unwrap")) == (wrap, unwrap)


def test_the_route_refuses_a_disabled_version_as_the_service_does(
    vault: Vault, client: KeyClient
) -> None:
    key = client.create_rsa_key("cmk")
    vault.set_enabled(str(key.id), enabled=False)

    with (
        ManagedIdentityCredential() as credential,
        CryptographyClient(key, credential) as crypto,
        pytest.raises(HttpResponseError, match="unwrapKey is not allowed on a disabled") as refused,
    ):
        crypto.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, b"blob")

    assert refused.value.status_code == 403
    assert refused.value.error
    assert refused.value.error.innererror == {"code": "KeyDisabled"}


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        pytest.param(EC, "KeyOperationForbidden", id="an EC key"),
        pytest.param(NewKey(key_ops=("sign",)), "KeyOperationForbidden", id="a key for signing"),
    ],
)
def test_a_key_that_is_not_for_wrapping_does_not_wrap(
    local: Local, vault: Vault, spec: NewKey, code: str
) -> None:
    vault.grant(CONSUMER, {"wrapKey"})
    kid = vault.create_key("cmk", spec)

    with pytest.raises(KeyUnusable) as unusable:
        local.vaults.wrap(kid, DEK, CONSUMER)

    assert unusable.value.code == code


@pytest.mark.parametrize(
    ("kid", "code"),
    [
        ("https://kv-nowhere.vault.azure.net/keys/cmk", "VaultNotFound"),
        ("https://{vault}.vault.azure.net/keys/nothing", "KeyNotFound"),
        ("https://{vault}.vault.azure.net/secrets/cmk", "BadParameter"),
        ("https://{vault}.vault.azure.net.attacker.example/keys/cmk", "VaultNotFound"),
    ],
)
def test_a_reference_to_no_key_is_unusable(local: Local, vault: Vault, kid: str, code: str) -> None:
    vault.grant(CONSUMER, ALL)
    vault.create_key("cmk")

    with pytest.raises(KeyUnusable) as unusable:
        local.vaults.wrap(kid.format(vault=vault.name), DEK, CONSUMER)

    assert unusable.value.code == code


# -- who may


def test_the_first_call_is_challenged_without_a_body_and_the_second_carries_a_token(
    local: Local, vault: Vault, client: KeyClient
) -> None:
    client.create_ec_key("cmk")

    challenged, served = local.calls(vault)
    assert (challenged.status, challenged.bearer, challenged.request_body) == (401, False, b"")
    assert challenged.response_headers["www-authenticate"] == (
        f'Bearer authorization="https://login.microsoftonline.com/{local.tokens.tenant_id}",'
        ' resource="https://vault.azure.net"'
    )
    assert (served.status, served.bearer) == (200, True)


@pytest.mark.parametrize(
    ("audience", "lifetime", "text"),
    [
        pytest.param(
            "https://management.azure.com",
            timedelta(hours=1),
            "AKV10022: Invalid audience",
            id="another service's token",
        ),
        pytest.param(
            "https://vault.azure.net", timedelta(hours=-1), "expired", id="an expired token"
        ),
    ],
)
def test_a_wrong_token_is_refused(
    local: Local, vault: Vault, audience: str, lifetime: timedelta, text: str
) -> None:
    token = local.tokens.issue(audience, lifetime=lifetime)

    with (
        client_of(vault, FixedCredential(token)) as client,
        pytest.raises(ClientAuthenticationError, match=text),
    ):
        client.get_key("cmk")


def test_without_a_grant_everything_is_forbidden(local: Local) -> None:
    closed = local.vaults.create(f"kv-closed-{next(numbers)}")
    closed.create_key("cmk", EC)

    with (
        ManagedIdentityCredential() as credential,
        client_of(closed, credential) as client,
        pytest.raises(HttpResponseError) as refused,
    ):
        client.get_key("cmk")

    assert refused.value.status_code == 403
    assert refused.value.error
    assert refused.value.error.innererror == {"code": "ForbiddenByRbac"}
    assert f"oid={APP_PRINCIPAL}" in str(refused.value)
    assert "Action: 'Microsoft.KeyVault/vaults/keys/read'" in str(refused.value)


def test_a_grant_is_for_what_it_names(vault: Vault, client: KeyClient) -> None:
    vault.create_key("cmk", EC)
    vault.revoke(APP_PRINCIPAL)
    vault.grant(APP_PRINCIPAL, {"get"})

    client.get_key("cmk")
    with pytest.raises(HttpResponseError, match="keys/rotate/action"):
        client.rotate_key("cmk")

    assert len(vault.versions("cmk")) == 1


def test_a_grant_is_for_one_vault_and_one_principal(local: Local, vault: Vault) -> None:
    kid = vault.create_key("cmk")
    vault.grant(CONSUMER, {"wrapKey"})
    other = local.vaults.create(f"kv-other-{next(numbers)}")
    twin = other.create_key("cmk")

    wrapped = local.vaults.wrap(kid, DEK, CONSUMER)
    for reference, principal in ((twin, CONSUMER), (kid, "someone else")):
        with pytest.raises(KeyUnusable) as unusable:
            local.vaults.wrap(reference, DEK, principal)
        assert unusable.value.code == "ForbiddenByRbac"
    with pytest.raises(KeyUnusable, match="keys/unwrap/action"):
        local.vaults.unwrap(kid, wrapped, CONSUMER)


# -- the wire


@pytest.mark.parametrize("version", list(ApiVersion))
def test_every_api_version_that_the_sdk_knows_is_served(vault: Vault, version: ApiVersion) -> None:
    vault.create_key("cmk", EC)

    with (
        ManagedIdentityCredential() as credential,
        client_of(vault, credential, api_version=version) as client,
    ):
        assert client.get_key("cmk").name == "cmk"


def test_an_unknown_api_version_is_refused(vault: Vault) -> None:
    with (
        ManagedIdentityCredential() as credential,
        client_of(vault, credential, api_version="6.0") as client,
        pytest.raises(HttpResponseError, match=r"BadParameter.*specified version \(6\.0\)"),
    ):
        client.get_key("cmk")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        pytest.param("POST", "/keys/cmk/create", b"{", id="not JSON"),
        pytest.param("POST", "/keys/cmk/create", b"[]", id="not an object"),
        pytest.param("POST", "/keys/cmk/create", b"{}", id="no type"),
        pytest.param("POST", "/keys/cmk/create", b'{"kty":"oct"}', id="another type"),
        pytest.param("POST", "/keys/a_b/create", b'{"kty":"EC"}', id="a name that is none"),
        pytest.param("GET", "/keys?maxresults=26", b"", id="more than a page"),
        pytest.param("GET", "/keys?$skiptoken=abc", b"", id="a token that is none"),
        pytest.param("POST", "/keys/restore", b'{"value":"abcd"}', id="a backup that is none"),
    ],
)
def test_a_malformed_request_is_a_bad_parameter(
    local: Local, vault: Vault, method: str, path: str, body: bytes
) -> None:
    token = local.tokens.issue("https://vault.azure.net")
    separator = "&" if "?" in path else "?"

    answer = requests.request(
        method,
        f"{vault.uri}{path}{separator}api-version=7.5",
        data=body,
        headers={"Authorization": f"Bearer {token}"},
        timeout=5,
    )

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "BadParameter"


def test_a_vault_that_does_not_exist_answers_404(local: Local) -> None:
    answer = requests.get("https://kv-nowhere.vault.azure.net/keys", timeout=5)

    assert answer.status_code == 404
    assert "kv-nowhere" in answer.json()["error"]["message"]
    assert local.front_door.traffic()[-1].host == "kv-nowhere.vault.azure.net"


# -- faults, as the SDK meets them


def test_the_sdk_asks_again_after_a_429(local: Local, vault: Vault, client: KeyClient) -> None:
    vault.create_key("cmk", EC)
    local.faults.add(
        Fault(host=f"{vault.name}.*", answer=throttled(timedelta(seconds=1)), method="GET")
    )

    assert client.get_key("cmk").name == "cmk"

    assert [c.status for c in local.calls(vault)] == [429, 401, 200]


def test_the_sdk_reports_html_of_a_gateway_as_an_error(
    local: Local, vault: Vault, client: KeyClient
) -> None:
    vault.create_key("cmk", EC)
    client.get_key("cmk")
    local.faults.add(Fault(host=f"{vault.name}.*", answer=server_error_html(500), times=None))

    with (
        ManagedIdentityCredential() as credential,
        client_of(vault, credential, retry_total=0) as impatient,
        pytest.raises(HttpResponseError) as error,
    ):
        impatient.get_key("cmk")

    assert error.value.status_code == 500


@pytest.mark.parametrize(
    ("fault", "versions"),
    [
        pytest.param(Fault(path="/keys/*/rotate", lose_answer=True), 2, id="after it was done"),
        pytest.param(Fault(path="/keys/*/rotate", lose_request=True), 1, id="before it was done"),
    ],
)
def test_a_caller_cannot_tell_whether_a_rotation_that_was_cut_off_took_place(
    local: Local, vault: Vault, client: KeyClient, fault: Fault, versions: int
) -> None:
    vault.create_key("cmk", EC)
    client.get_key("cmk")
    local.faults.add(fault)

    with pytest.raises(ServiceResponseError):
        client.rotate_key("cmk")

    assert len(vault.versions("cmk")) == versions


# -- events


def test_a_first_and_a_new_version_each_send_an_event(local: Local, vault: Vault) -> None:
    local.events.clear()

    first = vault.create_key("cmk", EC)
    second = vault.rotate("cmk")
    vault.update("cmk", None, {"attributes": {"enabled": False}})

    assert [(topic, event["data"]["Id"]) for topic, event in local.events] == [
        (vault.resource_id, first),
        (vault.resource_id, second),
    ]


def test_an_event_is_as_documented(local: Local, vault: Vault) -> None:
    local.events.clear()

    kid = vault.create_key("cmk", EC)

    [(_, event)] = local.events
    assert {k: v for k, v in event.items() if k not in {"id", "eventTime"}} == {
        "topic": vault.resource_id,
        "subject": "cmk",
        "eventType": "Microsoft.KeyVault.KeyNewVersionCreated",
        "data": {
            "Id": kid,
            "VaultName": vault.name,
            "ObjectType": "Key",
            "ObjectName": "cmk",
            "Version": kid.rpartition("/")[2],
        },
        "dataVersion": "1",
        "metadataVersion": "1",
    }
    assert event["eventTime"].endswith("Z")
    assert len(event["eventTime"].partition(".")[2]) == len("1234567Z")


def test_an_event_names_the_dates_that_are_set(local: Local, vault: Vault) -> None:
    local.events.clear()

    vault.create_key("cmk", NewKey(kty="EC", nbf=PAST, exp=FUTURE))

    [(_, event)] = local.events
    assert (event["data"]["NBF"], event["data"]["EXP"]) == (PAST, FUTURE)


def test_a_disabled_version_sends_its_event_too(local: Local, vault: Vault) -> None:
    local.events.clear()

    vault.create_key("cmk", NewKey(kty="EC", enabled=False))

    assert len(local.events) == 1


def test_a_vault_announces_on_demand_that_a_version_nears_its_expiry(
    local: Local, vault: Vault
) -> None:
    first, current = vault.create_key("cmk", EC), vault.create_key("cmk", EC)
    expires = datetime(2031, 5, 1, 12, tzinfo=UTC)
    vault.set_expiry(current, expires)
    before = len(local.events)

    vault.announce_near_expiry(current)
    vault.announce_near_expiry(current)
    vault.set_expiry(current, None)
    vault.announce_near_expiry(first)

    told = local.events[before:]
    topic, event = told[0]
    assert topic == event["topic"] == vault.resource_id
    assert event["eventType"] == "Microsoft.KeyVault.KeyNearExpiry"
    assert event["subject"] == "cmk"
    assert event["data"] == {
        "Id": current,
        "VaultName": vault.name,
        "ObjectType": "Key",
        "ObjectName": "cmk",
        "Version": current.rpartition("/")[2],
        "EXP": int(expires.timestamp()),
    }
    assert len({each["id"] for _, each in told}) == 3
    assert "EXP" not in told[2][1]["data"]
    assert vault.find("cmk").exp is None


def test_an_end_is_told_of_when_the_clock_passes_it_and_thirty_days_before(
    local: Local, vault: Vault
) -> None:
    now = local.clock.now()
    vault.heard_since = now - timedelta(seconds=1)
    current = {name: vault.create_key(name, EC) for name in ("near", "over", "far")}
    before = len(local.events)
    vault.tell_of_expiries()
    vault.set_expiry(current["near"], now + timedelta(days=30, seconds=2))
    vault.set_expiry(current["over"], now + timedelta(seconds=2))
    vault.set_expiry(current["far"], now + timedelta(days=31))
    vault.tell_of_expiries()
    assert local.events[before:] == []

    time.sleep(2.1)
    vault.tell_of_expiries()
    vault.tell_of_expiries()

    told = {event["subject"]: event for _, event in local.events[before:]}
    assert len(local.events) == before + 2
    assert {name: event["eventType"] for name, event in told.items()} == {
        "near": "Microsoft.KeyVault.KeyNearExpiry",
        "over": "Microsoft.KeyVault.KeyExpired",
    }
    assert told["over"]["data"]["Id"] == current["over"]
    assert set(told["over"]["data"]) == {
        "Id",
        "VaultName",
        "ObjectType",
        "ObjectName",
        "Version",
        "EXP",
    }


@pytest.mark.parametrize("why", ["nobody hears", "it is older", "it is not the newest"])
def test_an_end_is_not_told_of(local: Local, vault: Vault, why: str) -> None:
    now = local.clock.now()
    vault.heard_since = {
        "nobody hears": None,
        "it is older": now + timedelta(hours=1),
        "it is not the newest": now - timedelta(hours=1),
    }[why]
    ending = vault.create_key("cmk", EC)
    if why == "it is not the newest":
        vault.create_key("cmk", EC)
    vault.tell_of_expiries()
    vault.set_expiry(ending, now + timedelta(seconds=1))
    before = len(local.events)
    time.sleep(1.1)
    vault.tell_of_expiries()
    assert len(local.events) == before


def test_a_notify_of_the_rotation_policy_says_when_an_end_is_near(
    local: Local, vault: Vault
) -> None:
    now = local.clock.now()
    vault.heard_since = now - timedelta(seconds=1)
    current = vault.create_key("cmk", EC)
    notify = {"trigger": {"timeBeforeExpiry": "P7D"}, "action": {"type": "Notify"}}
    vault.set_rotation_policy("cmk", {"lifetimeActions": [notify]})
    vault.tell_of_expiries()
    vault.set_expiry(current, now + timedelta(days=7, seconds=2))
    before = len(local.events)
    time.sleep(2.1)
    vault.tell_of_expiries()
    (told,) = local.events[before:]
    assert told[1]["eventType"] == "Microsoft.KeyVault.KeyNearExpiry"


def test_a_change_of_access_policies_is_told_of_and_one_of_roles_is_not(
    local: Local, vault: Vault
) -> None:
    before = len(local.events)
    vault.grant(CONSUMER, {"get"})
    vault.revoke(CONSUMER)
    vault.use_roles(rbac=True)
    assert len(local.events) == before

    vault.use_roles(rbac=False)
    vault.grant(CONSUMER, {"get"})
    vault.revoke(CONSUMER)
    vault.use_roles(rbac=True)

    told = [event for _, event in local.events[before:]]
    assert [event["eventType"] for event in told] == [
        "Microsoft.KeyVault.VaultAccessPolicyChanged"
    ] * 4
    assert told[0]["topic"] == vault.resource_id
    assert told[0]["data"] == {
        "Id": f"https://{vault.name}.vault.azure.net",
        "VaultName": vault.name,
        "ObjectType": "Vault",
        "ObjectName": vault.name,
        "Version": "",
    }


def test_an_expiry_is_changed_over_http_by_who_may_update_and_by_nobody_else(
    vault: Vault, client: KeyClient
) -> None:
    kid = vault.create_key("cmk", EC)
    when = datetime(2031, 5, 1, 12, tzinfo=UTC)
    changed = client.update_key_properties("cmk", kid.rpartition("/")[2], expires_on=when)
    assert changed.properties.expires_on == when
    vault.revoke(APP_PRINCIPAL)
    vault.grant(APP_PRINCIPAL, {"get", "list", "rotate"})
    with pytest.raises(HttpResponseError) as refused:
        client.update_key_properties("cmk", kid.rpartition("/")[2], expires_on=when)
    assert refused.value.status_code == 403
    assert "keys/update/action" in refused.value.message
