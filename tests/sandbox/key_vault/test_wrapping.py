"""What a version wraps, it alone unwraps, as its state allows."""

import pytest
from azure.core.exceptions import (
    HttpResponseError,
)
from azure.identity import ManagedIdentityCredential
from azure.keyvault.keys import (
    KeyClient,
)
from azure.keyvault.keys.crypto import CryptographyClient, KeyWrapAlgorithm

from sandbox.identity import APP_PRINCIPAL
from sandbox.key_vault import KeyUnusable, NewKey, Vault
from tests.sandbox.key_vault.rig import (
    ALL,
    CONSUMER,
    DEK,
    EC,
    FUTURE,
    PAST,
    Local,
)


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
