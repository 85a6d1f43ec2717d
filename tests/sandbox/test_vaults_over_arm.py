"""Key vaults as ARM shows them, to the unmodified management client; and their firewalls."""

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.identity import ManagedIdentityCredential
from azure.keyvault.keys import KeyClient
from azure.mgmt.keyvault import KeyVaultManagementClient

from sandbox.identity import APP_PRINCIPAL
from sandbox.key_vault import KeyUnusable, Network, NewKey, Vault
from sandbox.testing import Answer, Rig, rig

VERSION = "2024-11-01"
CONSUMER = "c0ffee00-0000-4000-8000-000000000001"
EC = NewKey(kty="EC")
numbers = count()
# The SDK keeps challenges by host for the whole process, so every test has a vault of its own.


@pytest.fixture(scope="module", name="served")
def _served() -> Iterator[Rig]:
    with rig() as served:
        served.front_door.mount("*.vault.azure.net", served.estate.vaults.app)
        yield served


@pytest.fixture(name="subscription")
def _subscription(served: Rig, request: pytest.FixtureRequest) -> str:
    subscription = served.estate.subscription(request.node.name)
    served.allow_all(subscription)
    return subscription


@pytest.fixture(name="vault")
def _vault(served: Rig, subscription: str) -> Vault:
    return served.estate.vault(f"kv-arm-{next(numbers)}", subscription=subscription)


def shown(served: Rig, vault: Vault) -> dict[str, Any]:
    properties: dict[str, Any] = get(served, vault).body["properties"]
    return properties


def get(served: Rig, vault: Vault) -> Answer:
    return served.send("GET", vault.resource_id, version=VERSION)


def test_the_management_client_reads_and_lists_a_vault(subscription: str, vault: Vault) -> None:
    with (
        ManagedIdentityCredential() as credential,
        KeyVaultManagementClient(credential, subscription) as client,
    ):
        read = client.vaults.get("rg-keys", vault.name)
        listed = [each.id for each in client.vaults.list_by_subscription()]

    assert read.properties.vault_uri == f"https://{vault.name}.vault.azure.net/"
    assert read.properties.enable_rbac_authorization is True
    assert read.properties.enable_purge_protection is True
    assert (read.properties.enable_soft_delete, read.location) == (True, "westeurope")
    assert listed == [vault.resource_id]


def test_a_vault_has_the_members_that_were_recorded(
    served: Rig, vault: Vault, recordings: Path
) -> None:
    text = (recordings / "storage-accounts/customer_managed_key.json").read_text()
    recorded = next(
        exchange["response"]["body"]
        for exchange in json.loads(text)["exchanges"]
        if "enablePurgeProtection" in str((exchange["response"]["body"] or {}).get("properties"))
    )

    vault.rbac = False
    vault.grant(CONSUMER, {"get", "wrapKey", "unwrapKey"})

    body = get(served, vault).body
    assert set(recorded) - set(body) == {"systemData"}  # who made it and when: not kept here
    assert set(body) <= set(recorded)
    assert set(body["properties"]) == set(recorded["properties"])
    for name, value in recorded["properties"].items():
        assert type(body["properties"][name]) is type(value), name
    policy = body["properties"]["accessPolicies"][0]
    assert set(policy) == set(recorded["properties"]["accessPolicies"][0])
    assert set(policy["permissions"]["keys"]) == {"get", "wrapKey", "unwrapKey"}


def test_what_a_vault_becomes_shows_at_once_over_arm_and_in_resource_graph(
    served: Rig, vault: Vault
) -> None:
    before = shown(served, vault)

    vault.purge_protection = False
    vault.soft_delete = False
    vault.rbac = False
    vault.network = Network(default="Deny", trusted_services=False, addresses=("10.0.0.0/8",))

    after = shown(served, vault)
    assert "networkAcls" not in before
    assert "enablePurgeProtection" not in after
    assert (after["enableSoftDelete"], after["enableRbacAuthorization"]) == (False, False)
    assert after["networkAcls"] == {
        "bypass": "None",
        "defaultAction": "Deny",
        "ipRules": [{"value": "10.0.0.0/8"}],
        "virtualNetworkRules": [],
    }
    found = served.query(
        f"resources | where type =~ 'microsoft.keyvault/vaults' and name =~ '{vault.name}'"
    )
    [row] = found.body["data"]
    assert row["properties"]["networkAcls"]["defaultAction"] == "Deny"
    assert row["id"] == vault.resource_id


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_vaults_are_not_written_over_arm(served: Rig, vault: Vault, method: str) -> None:
    answer = served.send(method, vault.resource_id, {"properties": {}}, version=VERSION)
    other = f"{vault.resource_id}-new"

    assert (answer.status, answer.code) == (405, "MethodNotAllowed")
    if method == "PUT":
        assert served.send(method, other, {"properties": {}}, version=VERSION).status == 405


def test_a_vault_whose_subscription_is_not_readable_is_refused(served: Rig) -> None:
    hidden = served.estate.vault(f"kv-arm-{next(numbers)}")

    answer = served.send("GET", hidden.resource_id, version=VERSION)

    assert (answer.status, answer.code) == (403, "AuthorizationFailed")


@pytest.mark.parametrize(
    ("network", "inner", "text"),
    [
        pytest.param(
            Network(default="Deny"),
            "ForbiddenByFirewall",
            "Client address is not authorized and caller is not a trusted service.",
            id="no rule names the caller",
        ),
        pytest.param(
            Network(public=False, addresses=("0.0.0.0/0",)),
            "ForbiddenByConnection",
            "Public network access is disabled",
            id="no public access whatever the rules",
        ),
    ],
)
def test_the_firewall_shuts_out_who_is_not_named(
    vault: Vault, network: Network, inner: str, text: str
) -> None:
    vault.create_key("cmk", EC)
    vault.grant(APP_PRINCIPAL, {"get"})
    vault.network = network

    with (
        ManagedIdentityCredential() as credential,
        KeyClient(vault.uri, credential) as client,
        pytest.raises(HttpResponseError) as refused,
    ):
        client.get_key("cmk")

    assert refused.value.status_code == 403
    assert refused.value.error is not None
    assert refused.value.error.innererror == {"code": inner}
    assert text in str(refused.value)


@pytest.mark.parametrize(
    "network",
    [Network(), Network(default="Deny", addresses=("203.0.113.7", "20.61.0.0/16"))],
    ids=["open", "named by a range"],
)
def test_the_firewall_lets_in_whom_it_names(vault: Vault, network: Network) -> None:
    vault.create_key("cmk", EC)
    vault.grant(APP_PRINCIPAL, {"get"})
    vault.network = network

    with ManagedIdentityCredential() as credential, KeyClient(vault.uri, credential) as client:
        assert client.get_key("cmk").name == "cmk"


@pytest.mark.parametrize("public", [True, False])
def test_trusted_services_pass_a_firewall_that_lets_them(
    served: Rig, vault: Vault, *, public: bool
) -> None:
    kid = vault.create_key("cmk")
    vault.grant(CONSUMER, {"wrapKey", "unwrapKey"})

    vault.network = Network(public=public, default="Deny")
    blob = served.estate.vaults.wrap(kid, b"dek", CONSUMER)
    vault.network = Network(public=public, default="Deny", trusted_services=False)
    with pytest.raises(KeyUnusable) as refused:
        served.estate.vaults.unwrap(kid, blob, CONSUMER)

    assert refused.value.code == ("ForbiddenByFirewall" if public else "ForbiddenByConnection")


def test_access_policies_name_each_permission_where_a_role_gives_several(vault: Vault) -> None:
    vault.create_key("cmk", EC)
    vault.grant(APP_PRINCIPAL, {"get"})

    with ManagedIdentityCredential() as credential, KeyClient(vault.uri, credential) as client:
        as_role = [each.name for each in client.list_properties_of_keys()]
        vault.rbac = False
        read = client.get_key("cmk").name
        with pytest.raises(HttpResponseError, match="does not have keys list permission"):
            list(client.list_properties_of_keys())

    assert (as_role, read) == (["cmk"], "cmk")
