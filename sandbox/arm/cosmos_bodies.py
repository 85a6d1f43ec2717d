"""What a Cosmos DB account's body looks like, and how a request changes it.

Recorded: cosmosdb-accounts/cosmosdb_key_vault_key_uri_2021.json. Nothing here asks a vault.
"""

from copy import deepcopy
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from sandbox.arm.resource_ids import ResourceId
from sandbox.arm.resources import Body
from sandbox.arm.storage_bodies import stamp

FIRST_PARTY = "FirstPartyIdentity"
_REGIONS = {
    "westeurope": "West Europe",
    "northeurope": "North Europe",
    "westus": "West US",
    "eastus": "East US",
    "eastus2": "East US 2",
    "uksouth": "UK South",
}
_SINCE = {
    "defaultIdentity": "2021-03-15",
    "customerManagedKeyStatus": "2023-09-15",
    "keyVaultKeyUriVersion": "2025-10-15",
}
"""The api-versions that a property appeared at (bicep types, ARM template change log)."""
_WRITABLE = frozenset(
    {
        "backupPolicy",
        "consistencyPolicy",
        "cors",
        "defaultIdentity",
        "disableKeyBasedMetadataWriteAccess",
        "disableLocalAuth",
        "enableAutomaticFailover",
        "ipRules",
        "isVirtualNetworkFilterEnabled",
        "keyVaultKeyUri",
        "minimalTlsVersion",
        "networkAclBypass",
        "publicNetworkAccess",
        "virtualNetworkRules",
    }
)


def new_account(resource_id: ResourceId, request: Body, now: datetime) -> Body:
    """Return the body of an account that is being made, with platform-managed keys."""
    sent: Body = request.get("properties") or {}
    location = str(request.get("location", "westeurope"))
    wanted = sent.get("locations") or [{"locationName": location, "failoverPriority": 0}]
    places = [_place(resource_id.name, each) for each in wanted]
    return {
        "id": str(resource_id),
        "name": resource_id.name,
        "location": region(location),
        "type": "Microsoft.DocumentDB/databaseAccounts",
        "kind": request.get("kind", "GlobalDocumentDB"),
        "tags": {},
        "systemData": {"createdAt": stamp(now)},
        "properties": {
            "provisioningState": "Creating",
            "publicNetworkAccess": "Enabled",
            "enableAutomaticFailover": False,
            "enableMultipleWriteLocations": False,
            "enablePartitionKeyMonitor": False,
            "isVirtualNetworkFilterEnabled": False,
            "virtualNetworkRules": [],
            "EnabledApiTypes": "Sql",
            "disableKeyBasedMetadataWriteAccess": False,
            "enableFreeTier": False,
            "enableAnalyticalStorage": False,
            "instanceId": str(uuid5(NAMESPACE_URL, str(resource_id))),
            "createMode": "Default",
            "databaseAccountOfferType": "Standard",
            "defaultIdentity": FIRST_PARTY,
            "consistencyPolicy": {
                "defaultConsistencyLevel": "Session",
                "maxIntervalInSeconds": 5,
                "maxStalenessPrefix": 100,
            },
            "configurationOverrides": {},
            "writeLocations": places[:1],
            "readLocations": deepcopy(places),
            "locations": deepcopy(places),
            "failoverPolicies": [
                {name: each[name] for name in ("id", "locationName", "failoverPriority")}
                for each in places
            ],
            "cors": [],
            "capabilities": [],
            "ipRules": [],
            "backupPolicy": {
                "type": "Periodic",
                "periodicModeProperties": {
                    "backupIntervalInMinutes": 240,
                    "backupRetentionIntervalInHours": 8,
                },
            },
        },
    }


def region(name: str) -> str:
    """Return a region as this service shows it, with spaces (recorded)."""
    return _REGIONS.get(name.replace(" ", "").lower(), name)


def _place(account: str, sent: Body) -> Body:
    name = str(sent.get("locationName", ""))
    return {
        "id": f"{account}-{name.replace(' ', '').lower()}",
        "locationName": region(name),
        "provisioningState": "Creating",
        "failoverPriority": int(sent.get("failoverPriority", 0)),
        "isZoneRedundant": bool(sent.get("isZoneRedundant", False)),
    }


def changed(body: Body, request: Body) -> Body:
    """Return ``body`` as ``request`` changes it; identity and key are the caller's.

    Tags are replaced whole, and so is every property. Read-only and unknown ones are ignored
    (inference).
    """
    new = deepcopy(body)
    if "tags" in request:
        new["tags"] = dict(request["tags"] or {})
    sent: Body = request.get("properties") or {}
    for name in _WRITABLE & sent.keys():
        new["properties"][name] = sent[name]
    return new


def show_state(body: Body, state: str) -> None:
    """Let an account say how a write goes; endpoints are there once it exists (recorded)."""
    properties = body["properties"]
    properties["provisioningState"] = state
    if state != "Succeeded":
        return
    name = body["name"]
    body["properties"] = {
        "provisioningState": state,
        "documentEndpoint": f"https://{name}.documents.azure.com:443/",
        **{key: value for key, value in properties.items() if key != "provisioningState"},
    }
    for group in ("writeLocations", "readLocations", "locations"):
        for place in properties[group]:
            place["documentEndpoint"] = f"https://{place['id']}.documents.azure.com:443/"
            place["provisioningState"] = state


def shown_at(body: Body, api_version: str) -> Body:
    """Return what an api-version shows of a body."""
    properties: dict[str, Any] = body["properties"]
    for name, since in _SINCE.items():
        if api_version < since:
            properties.pop(name, None)
    return body
