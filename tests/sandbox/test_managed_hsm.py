"""Managed HSMs, through the unmodified SDK at production host names."""

from collections.abc import Iterator
from itertools import count

import pytest
import requests
from azure.core.exceptions import HttpResponseError
from azure.identity import ManagedIdentityCredential
from azure.keyvault.keys import KeyClient, KeyType
from azure.keyvault.keys.crypto import CryptographyClient, KeyWrapAlgorithm

from sandbox.clock import SandboxClock
from sandbox.estate import Estate
from sandbox.identity import APP_PRINCIPAL, TokenService
from sandbox.key_vault import KeyVaults, Permission, Vault
from sandbox.testing import Rig, rig

ALL: frozenset[Permission] = frozenset(
    {"get", "list", "create", "rotate", "wrapKey", "unwrapKey", "update"}
)
numbers = count()


@pytest.fixture(scope="module", name="served")
def _served() -> Iterator[Rig]:
    with rig() as served:
        for domain in ("vault", "managedhsm"):
            served.front_door.mount(f"*.{domain}.azure.net", served.estate.vaults.app)
        yield served


@pytest.fixture(name="hsm")
def _hsm(served: Rig) -> Vault:
    hsm = served.estate.managed_hsm(f"hsm{next(numbers)}")
    hsm.grant(APP_PRINCIPAL, ALL)
    return hsm


@pytest.fixture(name="client")
def _client(hsm: Vault) -> Iterator[KeyClient]:
    with ManagedIdentityCredential() as credential, KeyClient(hsm.uri, credential) as client:
        yield client


def test_the_key_client_makes_reads_lists_and_rotates_keys(hsm: Vault, client: KeyClient) -> None:
    made = client.create_rsa_key("cmk", hardware_protected=True)

    rotated = client.rotate_key("cmk")

    assert made.id == f"https://{hsm.name}.managedhsm.azure.net/keys/cmk/{made.properties.version}"
    assert made.key_type == rotated.key_type == KeyType.rsa_hsm
    assert client.get_key("cmk").id == rotated.id
    listed = {each.id for each in client.list_properties_of_key_versions("cmk")}
    assert listed == {made.id, rotated.id}
    assert [each.name for each in client.list_properties_of_keys()] == ["cmk"]


def test_a_key_is_made_in_the_hsm_whatever_was_asked(hsm: Vault, client: KeyClient) -> None:
    hsm.create_key("cmk")

    assert client.get_key("cmk").key_type == KeyType.rsa_hsm
    assert client.create_rsa_key("soft").key_type == KeyType.rsa_hsm


def test_wrapping_with_an_hsm_key_round_trips(hsm: Vault) -> None:
    kid = hsm.create_key("cmk")

    with (
        ManagedIdentityCredential() as credential,
        CryptographyClient(kid, credential) as client,
    ):
        wrapped = client.wrap_key(KeyWrapAlgorithm.rsa_oaep_256, b"secret")
        unwrapped = client.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, wrapped.encrypted_key)

    assert unwrapped.key == b"secret"


def test_a_token_for_vaults_is_refused_with_the_challenge_of_an_hsm(
    served: Rig, hsm: Vault
) -> None:
    token = served.tokens.issue("https://vault.azure.net")

    answer = requests.get(
        f"{hsm.uri}/keys?api-version=7.5",
        headers={"authorization": f"Bearer {token}"},
        timeout=10,
    )

    assert (answer.status_code, answer.content) == (401, b"")
    assert 'resource="https://managedhsm.azure.net"' in answer.headers["www-authenticate"]


def test_a_caller_without_the_role_gets_the_words_of_an_hsm(hsm: Vault, client: KeyClient) -> None:
    hsm.create_key("cmk")
    hsm.revoke(APP_PRINCIPAL)

    with pytest.raises(HttpResponseError) as refused:
        client.get_key("cmk")

    assert refused.value.status_code == 403
    assert refused.value.error is not None
    assert refused.value.error.code == "AccessDenied"
    assert "Microsoft.KeyVault/managedHsm/keys/read/action on /keys/cmk" in str(refused.value)


def test_an_hsm_and_a_vault_of_one_name_are_two(served: Rig, hsm: Vault) -> None:
    vault = served.estate.vault(hsm.name)
    vault.create_key("cmk")

    in_hsm = hsm.create_key("cmk")

    assert served.estate.vault(hsm.host) is hsm
    assert served.estate.vaults.newest(hsm.host, "cmk") == in_hsm
    assert served.estate.vaults.newest(hsm.name, "cmk") != in_hsm


def test_an_hsm_sends_no_events() -> None:
    clock, tokens = SandboxClock.start(), TokenService()
    sent: list[str] = []
    estate = Estate(clock, tokens, KeyVaults(clock, tokens, lambda topic, _: sent.append(topic)))

    estate.managed_hsm("hsm").create_key("cmk")
    estate.vault("kv1").create_key("cmk")

    assert sent == [estate.vault("kv1").resource_id]


def test_a_storage_account_can_use_a_key_of_an_hsm(served: Rig, hsm: Vault) -> None:
    subscription = served.estate.subscription("hsm-consumers")
    served.allow_all(subscription)
    old = hsm.create_key("cmk")
    account = served.estate.storage_account(
        f"sthsm{next(numbers)}", subscription=subscription, key=old.rpartition("/")[0]
    )

    new = hsm.rotate("cmk")
    before = served.estate.truth.version_in_use(account.id)
    answer = served.repoint(account, new)

    assert answer.status == 200
    assert (before, served.estate.truth.version_in_use(account.id)) == (old, new)
    shown = served.key_properties(account)
    assert shown["keyvaulturi"] == f"{hsm.uri}/"
    assert shown["currentVersionedKeyIdentifier"] == new
    assert served.estate.truth.users_of(new) == [account.id.lower()]
