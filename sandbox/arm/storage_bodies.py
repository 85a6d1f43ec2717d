"""What a storage account's body looks like, and how a request changes it.

Recorded: storage-accounts/customer_managed_key.json. Nothing here asks a vault.
"""

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from sandbox.arm.errors import ArmError
from sandbox.arm.resource_ids import ResourceId
from sandbox.arm.resources import Body
from sandbox.arm.storage_keys import missing_key_properties

PLATFORM_KEYS = "Microsoft.Storage"
CUSTOMER_KEYS = "Microsoft.Keyvault"
_AS_WRITTEN = ("keyname", "keyversion", "keyvaulturi")
_WRITABLE = frozenset(
    {
        "accessTier",
        "allowBlobPublicAccess",
        "allowCrossTenantReplication",
        "allowSharedKeyAccess",
        "allowedCopyScope",
        "defaultToOAuthAuthentication",
        "isLocalUserEnabled",
        "isSftpEnabled",
        "keyPolicy",
        "largeFileSharesState",
        "minimumTlsVersion",
        "networkAcls",
        "publicNetworkAccess",
        "routingPreference",
        "sasPolicy",
        "supportsHttpsTrafficOnly",
    }
)


def new_account(resource_id: ResourceId, request: Body, now: datetime) -> Body:
    """Return the body of an account that has just been made, with platform-managed keys."""
    made = stamp(now)
    name = resource_id.name
    services = ("blob", "queue", "table", "file")
    enabled = {"keyType": "Account", "enabled": True, "lastEnabledTime": made}
    return {
        "sku": sku(str(request.get("sku", {}).get("name", "Standard_LRS"))),
        "kind": request.get("kind", "StorageV2"),
        "id": str(resource_id),
        "name": name,
        "type": "Microsoft.Storage/storageAccounts",
        "location": str(request.get("location", "westeurope")).replace(" ", "").lower(),
        "tags": {},
        "properties": {
            "keyCreationTime": {"key1": made, "key2": made},
            "allowCrossTenantReplication": False,
            "privateEndpointConnections": [],
            "minimumTlsVersion": "TLS1_2",
            "allowBlobPublicAccess": False,
            "networkAcls": {
                "ipv6Rules": [],
                "bypass": "AzureServices",
                "virtualNetworkRules": [],
                "ipRules": [],
                "defaultAction": "Allow",
            },
            "supportsHttpsTrafficOnly": True,
            "encryption": {
                "services": {"file": dict(enabled), "blob": dict(enabled)},
                "keySource": PLATFORM_KEYS,
            },
            "provisioningState": "Succeeded",
            "creationTime": made,
            "primaryEndpoints": {
                each: f"https://{name}.{each}.core.windows.net/" for each in services
            },
            "primaryLocation": str(request.get("location", "westeurope")).lower(),
            "statusOfPrimary": "available",
        },
    }


def sku(name: str) -> Body:
    """Return a SKU with the tier that its name implies."""
    return {"name": name, "tier": name.partition("_")[0]}


def changed(body: Body, request: Body, now: datetime, *, merges: bool) -> Body:
    """Return ``body`` as ``request`` changes it; identity and key version are the caller's.

    ``merges``: see ``StorageAccounts.merges_patches``.

    Tags are replaced whole; other objects are merged one level deep. Read-only and unknown
    properties are ignored (inference: the OpenAPI file marks the first read-only, and clients
    that send back what they have read are not refused in any recording).

    Raises:
        ArmError: 400 for a value that the service does not know.
    """
    new = deepcopy(body)
    if "tags" in request:
        new["tags"] = dict(request["tags"] or {})
    if "name" in (request.get("sku") or {}):
        new["sku"] = sku(str(request["sku"]["name"]))
    properties = request.get("properties") or {}
    for name in _WRITABLE & properties.keys():
        old = new["properties"].get(name)
        merge = isinstance(old, dict) and isinstance(properties[name], dict)
        new["properties"][name] = {**old, **properties[name]} if merge else properties[name]
    if "encryption" in properties:
        old = new["properties"]["encryption"]
        sent = properties["encryption"]
        new["properties"]["encryption"] = _encryption(old, sent, now, merges=merges)
    return new


def _encryption(old: Body, sent: Body, now: datetime, *, merges: bool) -> Body:
    """Return the encryption settings as a request changes them.

    What is left out stays: recorded for ``identity`` (the CLI must send an empty one to remove
    it) and for ``lastEnabledTime``, inference for ``keySource`` and ``services``.
    Unless the service merges, ``keyvaultproperties`` is taken as a whole, so that leaving
    ``keyversion`` out makes a pinned account versionless (inference).
    """
    source = _key_source(str(sent.get("keySource", old["keySource"])))
    new: Body = {"services": _services(old["services"], sent.get("services") or {}, now)}
    if source == CUSTOMER_KEYS:
        held, wanted = old.get("keyvaultproperties", {}), sent.get("keyvaultproperties", {})
        new["keyvaultproperties"] = _key_properties(held, {**held, **wanted} if merges else wanted)
        identity = sent.get("identity", old.get("identity"))
        if identity:
            new["identity"] = _encryption_identity(identity)
    new["keySource"] = source
    return new


def _key_source(value: str) -> str:
    for known in (PLATFORM_KEYS, CUSTOMER_KEYS):
        if value.lower() == known.lower():
            return known
    raise invalid_value("encryption.keySource", value)


def _services(old: Body, sent: Body, now: datetime) -> Body:
    new = deepcopy(old)
    for name, wanted in sent.items():
        first = {"keyType": "Account", "enabled": True, "lastEnabledTime": stamp(now)}
        settings = {key: wanted[key] for key in ("enabled", "keyType") if key in wanted}
        new[name] = {**new.get(name, first), **settings}
    return new


def _key_properties(old: Body, sent: Body) -> Body:
    """Return the key reference as sent, with what the service had computed.

    Raises:
        ArmError: 400 where vault or key is missing, even if the account has them already (seen at
            creation; for an update an inference, and the stricter one).
    """
    if not sent.get("keyname") or not sent.get("keyvaulturi"):
        raise missing_key_properties()
    computed = {name: value for name, value in old.items() if name not in _AS_WRITTEN}
    return {**computed, **{name: sent[name] for name in _AS_WRITTEN if name in sent}}


def _encryption_identity(identity: Body) -> Body:
    """Return the identity with its group segment in lower case (spec example: UpdateUser…CMK).

    The client id of an application that reaches another tenant's vault is shown as it was sent
    (OpenAPI: ``EncryptionIdentity``), and changes nothing else: all vaults are of one tenant here.
    """
    wanted = str(identity.get("userAssignedIdentity") or "")
    kept: Body = {"userAssignedIdentity": wanted.replace("/resourceGroups/", "/resourcegroups/")}
    if identity.get("federatedIdentityClientId"):
        kept["federatedIdentityClientId"] = str(identity["federatedIdentityClientId"])
    return kept


def as_written(body: Body) -> Body:
    """Return the key reference of an account as its owner wrote it; empty for platform keys."""
    found: Body = body["properties"]["encryption"].get("keyvaultproperties", {})
    return {name: found[name] for name in _AS_WRITTEN if name in found}


def show_version(body: Body, kid: str, expires: int | None, when: datetime) -> None:
    """Let the body say that ``kid`` is in use since ``when``.

    ``expires`` is in Unix seconds; without one the service shows the year 1970 (recorded).
    """
    body["properties"]["encryption"]["keyvaultproperties"].update(
        currentVersionedKeyIdentifier=kid,
        lastKeyRotationTimestamp=stamp(when),
        currentVersionedKeyExpirationTimestamp=stamp(datetime.fromtimestamp(expires or 0, UTC)),
    )


def stamp(when: datetime) -> str:
    """Return a time as the storage service writes it: seven digits and ``Z``."""
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"


def invalid_value(name: str, value: Any) -> ArmError:  # noqa: ANN401 - whatever JSON brought
    """Refuse a value (text: quoted by users for ``minimumTlsVersion``; inference for others)."""
    return ArmError(
        400,
        "InvalidRequestPropertyValue",
        f"The value '{value}' is not allowed for property {name}. For more information, see - "
        "https://aka.ms/storageaccountupdate",
    )
