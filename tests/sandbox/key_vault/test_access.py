"""Who may do what in a vault."""

from datetime import timedelta

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
)
from azure.identity import ManagedIdentityCredential
from azure.keyvault.keys import (
    KeyClient,
)

from sandbox.identity import APP_PRINCIPAL
from sandbox.key_vault import KeyUnusable, Vault
from tests.sandbox.key_vault.rig import (
    CONSUMER,
    DEK,
    EC,
    FixedCredential,
    Local,
    client_of,
    numbers,
)


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
