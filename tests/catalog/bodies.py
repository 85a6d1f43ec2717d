"""Bodies of each kind as its service shows them; what a test is about can be chosen."""

from typing import Any

from shared.domain.json_paths import Json, put
from shared.domain.keys import Key, KeyVersion
from tests.domain.values import ACCOUNT, KEY, OLD, account

GROUP = (
    "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/rg1"
    "/providers/Microsoft.ContainerInstance/containerGroups/cg1"
)
IDENTITY = (
    "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourcegroups/rg1"
    "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id1"
)
WELL = "Access to the configured customer managed key confirmed."


def scope(
    named: KeyVersion | Key = OLD,
    *,
    in_use: str | None = str(OLD),
    source: str = "Microsoft.KeyVault",
) -> dict[str, Any]:
    """An encryption scope (spec example: StorageAccountPatchEncryptionScope.json)."""
    reference = {"keyUri": str(named), "lastKeyRotationTimestamp": "2019-12-13T20:36:23.7023290Z"}
    if in_use is not None:
        reference["currentVersionedKeyIdentifier"] = in_use
    return {
        "id": f"{ACCOUNT}/encryptionScopes/s1",
        "name": "s1",
        "type": "Microsoft.Storage/storageAccounts/encryptionScopes",
        "properties": {
            "source": source,
            "state": "Enabled",
            "requireInfrastructureEncryption": True,
            "keyVaultProperties": reference,
            "creationTime": "2018-10-16T02:42:41.7633306Z",
            "lastModifiedTime": "2018-10-17T06:23:14.4513306Z",
        },
    }


def cosmos(
    uri: str | None = str(KEY),
    *,
    in_use: object = OLD.version,
    status: object = WELL,
    provisioning: str = "Succeeded",
) -> dict[str, Any]:
    """A Cosmos DB account (recorded: cosmosdb_key_vault_key_uri_2021.json, and bicep types)."""
    body: dict[str, Any] = {
        "id": "/subscriptions/s/resourceGroups/rg1/providers/Microsoft.DocumentDB"
        "/databaseAccounts/db1",
        "type": "Microsoft.DocumentDB/databaseAccounts",
        "location": "West US",
        "kind": "GlobalDocumentDB",
        "properties": {
            "provisioningState": provisioning,
            "publicNetworkAccess": "Enabled",
            "databaseAccountOfferType": "Standard",
            "defaultIdentity": "FirstPartyIdentity",
            "locations": [{"locationName": "East US 2", "failoverPriority": 0}],
        },
    }
    for name, value in (
        ("keyVaultKeyUri", uri),
        ("keyVaultKeyUriVersion", in_use),
        ("customerManagedKeyStatus", status),
    ):
        if value is not None:
            put(body, f"properties.{name}", value)
    return body


def group(
    version: str | None = OLD.version, *, key: Key = KEY, provisioning: str = "Succeeded"
) -> dict[str, Any]:
    """A container group without hidden secrets (spec example, api-version 2025-09-01)."""
    reference = {"vaultBaseUrl": f"https://{key.vault}/", "keyName": key.name, "identity": IDENTITY}
    if version is not None:
        reference["keyVersion"] = version
    container = {
        "name": "demo1",
        "properties": {
            "image": "nginx",
            "ports": [{"port": 80}],
            "resources": {"requests": {"cpu": 1, "memoryInGB": 1.5}},
            "environmentVariables": [
                {"name": "PLAIN", "value": "1"},
                {"name": "SECRET", "secureValueReference": "ref1"},
            ],
            "instanceView": {"restartCount": 0},
        },
    }
    return {
        "id": GROUP,
        "name": "cg1",
        "type": "Microsoft.ContainerInstance/containerGroups",
        "location": "eastus2",
        "tags": {"team": "one"},
        "identity": {
            "type": "UserAssigned",
            "tenantId": "t",
            "userAssignedIdentities": {IDENTITY: {"clientId": "c", "principalId": "p"}},
        },
        "properties": {
            "provisioningState": provisioning,
            "containers": [container],
            "initContainers": [],
            "imageRegistryCredentials": [{"server": "r.azurecr.io", "identity": IDENTITY}],
            "volumes": [{"name": "v", "emptyDir": {}}],
            "encryptionProperties": reference,
            "instanceView": {"events": [], "state": "Running"},
            "ipAddress": {
                "type": "Public",
                "ports": [{"port": 80, "protocol": "TCP"}],
                "ip": "192.0.2.1",
                "dnsNameLabel": "demo",
                "fqdn": "demo.eastus2.azurecontainer.io",
            },
            "isCreatedFromStandbyPool": False,
            "osType": "Linux",
            "sku": "Standard",
        },
    }


def full_account() -> Json:
    """A storage account with all that may stand beside its key (bicep types 2026-04-01)."""
    body = account(
        identity={
            "userAssignedIdentity": IDENTITY,
            "federatedIdentityClientId": "f83c6b1b-4d34-47e4-bb34-9d83df58b540",
        },
        requireInfrastructureEncryption=True,
    )
    for service, scope_of_key in (("file", "Account"), ("queue", "Service"), ("table", "Account")):
        path = f"properties.encryption.services.{service}"
        put(body, path, {"enabled": True, "keyType": scope_of_key, "lastEnabledTime": "2026"})
    body["identity"] = {"type": "UserAssigned", "userAssignedIdentities": {IDENTITY: {}}}
    return body


def full_group() -> Json:
    """A container group with every way to hold a secret by reference, and places to lie in."""
    body = group()
    body["zones"] = ["1"]
    body["identity"]["principalId"] = "p"
    properties = body["properties"]
    first = {"name": "first", "properties": {"image": "busybox", "instanceView": {"state": "Done"}}}
    properties.update(
        initContainers=[first],
        imageRegistryCredentials=[{"server": "r", "username": "u", "passwordReference": "ref2"}],
        volumes=[
            {"name": "v", "emptyDir": {}},
            {"name": "s", "secretReference": {"file": "ref3"}},
            {
                "name": "f",
                "azureFile": {
                    "shareName": "s",
                    "storageAccountName": "st1",
                    "storageAccountKeyReference": "ref4",
                },
            },
        ],
        secretReferences=[
            {"name": "ref1", "identity": IDENTITY, "secretReferenceUri": "https://kv2/secrets/s"}
        ],
        subnetIds=[{"id": f"{GROUP}/subnets/s", "name": "s"}],
        dnsConfig={"nameServers": ["192.0.2.53"], "searchDomains": "example.test"},
        restartPolicy="OnFailure",
        priority="Regular",
    )
    return body


def config(*versions: KeyVersion) -> dict[str, Any]:
    """A deployment config file of one document for each version."""
    documents = [
        f"# kept\ncomputeType: ACI\ncmk_vault_base_url: https://{v.key.vault}\n"
        f"cmk_key_name:   {v.key.name}  # ours\ncmk_key_version: '{v.version}'\n"
        for v in versions
    ]
    return {"name": "deploy.yaml", "text": "---\n".join(documents)}
