"""What is on record about emulated kinds with several references, and about those only reported."""

from dataclasses import replace
from datetime import timedelta

from sandbox.arm.emulated import Emulated, KeyPlace, Refusal
from sandbox.arm.operations import Polling

_ENCRYPTION = "properties.encryption"
_ENTRIES = f"{_ENCRYPTION}.keyVaultProperties"


def _entry(number: int) -> KeyPlace:
    entry = f"{_ENTRIES}.{number}"
    return KeyPlace(
        vault=f"{entry}.keyVaultUri",
        name=f"{entry}.keyName",
        version=f"{entry}.keyVersion",
        when=(f"{_ENCRYPTION}.keySource", "Microsoft.KeyVault"),
        identity=f"{entry}.identity.userAssignedIdentity",
        bare_vault=True,
    )


# Recorded: arm-common/eventhub_429_namespace_in_transition.json.
_IN_TRANSITION = Refusal(
    429, "NamespaceInTransition", "Namespace is in transition. Please retry later."
)

EVENT_HUBS = Emulated(
    type="Microsoft.EventHub/namespaces",
    api_versions=("2021-11-01", "2024-05-01-preview", "2026-01-01"),
    source="recorded: event-hubs/eh_namespace_encryption.json",
    request={
        "sku": {"name": "Premium", "tier": "Premium", "capacity": 1},
        "properties": {"minimumTlsVersion": "1.2", "kafkaEnabled": True},
    },
    shows={"metricId": "m:ns", "status": "Active"},
    key=_entry(0),
    more=(_entry(1), _entry(2)),
    entries=_ENTRIES,
    replaced=200,
    created=200,
    whole=frozenset({_ENCRYPTION}),
    # No word of an operation: the resource itself is looked at.
    polling=Polling(),
    works_for=timedelta(seconds=5),
    looks_every=timedelta(minutes=5),
    busy=_IN_TRANSITION,
)

SERVICE_BUS = Emulated(
    type="Microsoft.ServiceBus/namespaces",
    api_versions=("2021-11-01", "2026-01-01"),
    source="azure-cli 2.77.0, recorded traffic (PUT 200 with namespaceOperationResults)",
    request={
        "sku": {"name": "Premium", "tier": "Premium", "capacity": 1},
        "properties": {"minimumTlsVersion": "1.2", "premiumMessagingPartitions": 1},
    },
    shows={"metricId": "m:ns", "status": "Active"},
    key=_entry(0),
    more=(_entry(1), _entry(2)),
    entries=_ENTRIES,
    replaced=200,
    created=201,
    whole=frozenset({_ENCRYPTION}),
    polling=Polling(status="operations", working="Running"),
    works_for=timedelta(seconds=30),
    busy=_IN_TRANSITION,
)

_ROOT = "properties.parameters.encryption.value"
_SERVICES = f"{_ENCRYPTION}.entities.managedServices"
_DISK = f"{_ENCRYPTION}.entities.managedDisk"


def _entity(path: str, follows: str = "") -> KeyPlace:
    return KeyPlace(
        vault=f"{path}.keyVaultProperties.keyVaultUri",
        name=f"{path}.keyVaultProperties.keyName",
        version=f"{path}.keyVaultProperties.keyVersion",
        when=(f"{path}.keySource", "Microsoft.Keyvault"),
        needs_version=True,
        follows=f"{path}.{follows}" if follows else "",
    )


DATABRICKS = Emulated(
    type="Microsoft.Databricks/workspaces",
    api_versions=("2023-02-01", "2024-05-01", "2026-01-01"),
    source="recorded: databricks-workspaces/databricks_update_v1.json; EnableEncryption.json",
    request={
        "sku": {"name": "premium"},
        "properties": {
            "computeMode": "Hybrid",
            "managedResourceGroupId": "/subscriptions/s/resourceGroups/databricks-rg-1",
            "parameters": {"prepareEncryption": {"value": True}},
        },
    },
    shows={"isUcEnabled": False, "workspaceId": "7405617701352462", "createdBy": {}},
    key=KeyPlace(
        vault=f"{_ROOT}.keyvaulturi",
        name=f"{_ROOT}.KeyName",
        version=f"{_ROOT}.keyversion",
        when=(f"{_ROOT}.keySource", "Microsoft.Keyvault"),
    ),
    more=(_entity(_SERVICES), _entity(_DISK, "rotationToLatestKeyVersionEnabled")),
    replaced=201,
    created=201,
    # PATCH takes tags only.
    patches=False,
    polling=Polling(status="operationStatuses", working="Accepted", waits=True),
    works_for=timedelta(minutes=2),
)

_DATA = "properties.dataEncryption"


def _server_key(which: str) -> KeyPlace:
    return KeyPlace(
        url=f"{_DATA}.{which}KeyURI",
        when=(f"{_DATA}.type", "AzureKeyVault"),
        identity=f"{_DATA}.{which}UserAssignedIdentityId",
        needs_version=True,
    )


POSTGRESQL = Emulated(
    type="Microsoft.DBforPostgreSQL/flexibleServers",
    api_versions=("2024-08-01", "2025-08-01"),
    source="recorded: postgresql-flexible-servers/postgres_flexible_server_byok_mgmt.json",
    request={
        "sku": {"name": "Standard_D2s_v3", "tier": "GeneralPurpose"},
        "properties": {"version": "17"},
    },
    shows={
        "dataEncryption": {
            "primaryEncryptionKeyStatus": "Valid",
            "geoBackupEncryptionKeyStatus": "Valid",
        }
    },
    key=_server_key("primary"),
    more=(_server_key("geoBackup"),),
    # [I] terraform#20846: it surfaces in the poll.
    refusal=Refusal(400, "AzureKeyVaultKeyNotFound", "{why}"),
    state="properties.state",
    states=("Updating", "Ready", "Ready"),
    patched=202,
    replaced=202,
    created=202,
    accepts="UpsertServerManagementOperationV2",
    polling=Polling(status="azureAsyncOperation", result="operationResults"),
    works_for=timedelta(minutes=2),
    shows_late=True,
)

MYSQL = replace(
    POSTGRESQL,
    type="Microsoft.DBforMySQL/flexibleServers",
    api_versions=("2021-05-01", "2024-12-30"),
    source="recorded: mysql-flexible-servers/mysql_flexible_server_byok_mgmt.json",
    request={
        "sku": {"name": "Standard_D2ds_v4", "tier": "GeneralPurpose"},
        "properties": {"version": "8.0.21"},
    },
    shows={},
)

FACTORIES = Emulated(
    type="Microsoft.DataFactory/factories",
    api_versions=("2018-06-01",),
    source="REST reference; PATCH is tags and identity only",
    request={"properties": {"publicNetworkAccess": "Enabled"}},
    shows={"createTime": "2022-01-01T00:00:00Z", "version": "2018-06-01"},
    key=KeyPlace(
        vault=f"{_ENCRYPTION}.vaultBaseUrl",
        name=f"{_ENCRYPTION}.keyName",
        version=f"{_ENCRYPTION}.keyVersion",
        identity=f"{_ENCRYPTION}.identity.userAssignedIdentity",
    ),
    created=200,
    patches=False,
)

_SQL_VERSIONS = ("2021-11-01", "2025-01-01")
_SERVER_PROTECTORS = Emulated(
    type="Microsoft.Sql/servers/encryptionProtector",
    api_versions=_SQL_VERSIONS,
    source="recorded: sql-servers/sql_tdebyok.json, aso_sql_server_20250101.json",
    request={"properties": {"autoRotationEnabled": False}},
    state="",
    key=KeyPlace(
        url="properties.uri",
        when=("properties.serverKeyType", "AzureKeyVault"),
        follows="properties.autoRotationEnabled",
    ),
    replaced=202,
    created=202,
    accepts="UpsertLogicalServerEncryptionprotector",
    patches=False,
    polling=Polling(
        status="encryptionProtectorAzureAsyncOperation",
        result="encryptionProtectorOperationResults",
        retry_after="1",
    ),
    works_for=timedelta(seconds=5),
    shows_late=True,
    refusal=Refusal(400, "AzureKeyVaultMissingPermissions", "{why}"),
)
PROTECTORS = (
    _SERVER_PROTECTORS,
    replace(_SERVER_PROTECTORS, type="Microsoft.Sql/managedInstances/encryptionProtector"),
)
_SQL_OTHERS = tuple(
    Emulated(
        type=f"Microsoft.Sql/{name}",
        api_versions=_SQL_VERSIONS,
        source="the parent of protectors",
        request={"properties": {}},
        state="",
        key=None,
    )
    for name in ("servers", "managedInstances")
)
_SERVER_KEYS = Emulated(
    type="Microsoft.Sql/servers/keys",
    api_versions=_SQL_VERSIONS,
    source="recorded: sql-servers/sql_tdebyok.json, aso_sql_server_20250101.json",
    request={"properties": {}},
    state="",
    key=None,
    replaced=202,
    created=202,
    accepts="UpsertLogicalServerEncryptionKeys",
    patches=False,
    polling=Polling(
        status="serverKeyAzureAsyncOperation", result="serverKeyOperationResults", retry_after="1"
    ),
    works_for=timedelta(seconds=1),  # startTime and creationDate
)
SERVER_KEYS = (
    _SERVER_KEYS,
    # That those of managed instances come alike is inference.
    replace(_SERVER_KEYS, type="Microsoft.Sql/managedInstances/keys"),
)
DATABASES = Emulated(
    type="Microsoft.Sql/servers/databases",
    api_versions=_SQL_VERSIONS,
    source="recorded: sql-servers/sql_db_copy_with_perdb_cmk.json",
    request={"sku": {"name": "Standard"}, "properties": {}},
    shows={"status": "Online"},
    state="",
    key=KeyPlace(
        url="properties.encryptionProtector", follows="properties.encryptionProtectorAutoRotation"
    ),
    created=202,
)

SYNAPSE = Emulated(
    type="Microsoft.Synapse/workspaces",
    api_versions=("2021-06-01",),
    source="recorded: synapse-workspaces/workspace_with_cmk.json",
    request={"properties": {"encryption": {"cmk": {"key": {"name": "default"}}}}},
    key=KeyPlace(url=f"{_ENCRYPTION}.cmk.key.keyVaultUrl"),
    patched=201,
    # "data keeps the old version until re-encrypted".
    looks_every=timedelta(days=3650),
)
_NETAPP_KEY = f"{_ENCRYPTION}.keyVaultProperties"
NETAPP = Emulated(
    type="Microsoft.NetApp/netAppAccounts",
    api_versions=("2026-06-01",),
    source="types",
    request={"properties": {}},
    shows={"encryption": {"keyVaultProperties": {"status": "InUse"}}},
    key=KeyPlace(
        vault=f"{_NETAPP_KEY}.keyVaultUri",
        name=f"{_NETAPP_KEY}.keyName",
        when=(f"{_ENCRYPTION}.keySource", "Microsoft.KeyVault"),
        identity=f"{_ENCRYPTION}.identity.userAssignedIdentity",
    ),
    looks_every=timedelta(days=3650),
)
_MONGO_KEY = f"{_ENCRYPTION}.customerManagedKeyEncryption"
MONGO = Emulated(
    type="Microsoft.DocumentDB/mongoClusters",
    api_versions=("2026-06-01",),
    source="types",
    request={"properties": {}},
    key=KeyPlace(
        url=f"{_MONGO_KEY}.keyEncryptionKeyUrl",
        identity=f"{_MONGO_KEY}.keyEncryptionKeyIdentity.userAssignedIdentityResourceId",
    ),
    # Nowhere documented.
    looks_every=timedelta(days=1),
)
SEARCH = Emulated(
    type="Microsoft.Search/searchServices",
    api_versions=("2025-05-01",),
    source="types",
    request={"sku": {"name": "standard"}, "properties": {"replicaCount": 1}},
    shows={"encryptionWithCmk": {"enforcement": "Unspecified"}},
    key=None,
)

FURTHER = (
    EVENT_HUBS,
    SERVICE_BUS,
    DATABRICKS,
    POSTGRESQL,
    MYSQL,
    FACTORIES,
    *_SQL_OTHERS,
    *SERVER_KEYS,
    *PROTECTORS,
    DATABASES,
    SYNAPSE,
    NETAPP,
    MONGO,
    SEARCH,
)
"""In the order of the catalog, parents first."""
