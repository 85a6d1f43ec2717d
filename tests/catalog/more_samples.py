"""A body of each kind with several references, and of those that are only reported."""

from shared.domain.json_paths import Json
from tests.catalog.sample_parts import GROUP, IDENTITY, SYSTEM, USER_ASSIGNED, VAULT, resource
from tests.domain.values import KEY, OLD

_SPLIT = {"keyVaultUri": f"{VAULT}/", "keyName": KEY.name, "keyVersion": OLD.version}
_ENTRY = {
    "keyName": KEY.name,
    # Recorded: the slash is taken off.
    "keyVaultUri": VAULT,
    "keyVersion": OLD.version,
    "identity": {"userAssignedIdentity": IDENTITY},
}
_PARTY = {"oid": "o", "puid": "p", "applicationId": "a"}
_MANAGED = {"principalId": "p", "tenantId": "t", "type": "SystemAssigned"}
_SERVER_KEY = f"{KEY.vault.partition('.')[0]}_{KEY.name}_{OLD.version}"


def _namespace(resource_type: str, **properties: object) -> Json:
    return resource(
        resource_type,
        {
            "minimumTlsVersion": "1.2",
            "disableLocalAuth": False,
            "zoneRedundant": True,
            "encryption": {
                "keySource": "Microsoft.KeyVault",
                "keyVaultProperties": [dict(_ENTRY)],
                "requireInfrastructureEncryption": False,
            },
            "metricId": "m:r1",
            "createdAt": "2023-05-12T06:49:21.52Z",
            "updatedAt": "2023-05-12T06:49:21.52Z",
            "serviceBusEndpoint": "https://r1.servicebus.windows.net:443/",
            "status": "Active",
            "privateEndpointConnections": [{"name": "pe1", "properties": {}}],
            **properties,
        },
        sku={"name": "Premium", "tier": "Premium", "capacity": 1},
        identity=USER_ASSIGNED,
    )


def _protector(resource_type: str, **properties: object) -> Json:
    body = resource(
        resource_type,
        {
            "serverKeyName": _SERVER_KEY,
            "serverKeyType": "AzureKeyVault",
            "uri": str(OLD),
            "autoRotationEnabled": False,
            "thumbprint": "4736F42C43686F92B09AF11A54357DBB96D2059E",
            **properties,
        },
        kind="azurekeyvault",
    )
    del body["properties"]["provisioningState"]
    return body


def _server(resource_type: str, **keys: object) -> Json:
    body = resource(
        resource_type,
        {
            "state": "Ready",
            "version": "17",
            "dataEncryption": {
                "type": "AzureKeyVault",
                "primaryKeyURI": str(OLD),
                "primaryUserAssignedIdentityId": IDENTITY,
                "geoBackupKeyURI": str(OLD),
                "geoBackupUserAssignedIdentityId": IDENTITY,
                **keys,
            },
            "backup": {"backupRetentionDays": 7, "geoRedundantBackup": "Enabled"},
        },
        sku={"name": "Standard_D2s_v3", "tier": "GeneralPurpose"},
        identity=USER_ASSIGNED,
    )
    del body["properties"]["provisioningState"]
    return body


MORE_SAMPLES: dict[str, Json] = {
    "eventhub_namespace": _namespace(
        "Microsoft.EventHub/namespaces",
        isAutoInflateEnabled=False,
        kafkaEnabled=True,
        geoDataReplication={"locations": [{"locationName": "w", "replicaState": "Ready"}]},
    ),
    "servicebus_namespace": _namespace(
        "Microsoft.ServiceBus/namespaces", premiumMessagingPartitions=1
    ),
    "databricks_workspace": resource(
        "Microsoft.Databricks/workspaces",
        {
            "computeMode": "Hybrid",
            "isUcEnabled": False,
            "encryption": {
                "entities": {
                    "managedServices": {
                        "keySource": "Microsoft.Keyvault",
                        "keyVaultProperties": dict(_SPLIT),
                    },
                    "managedDisk": {
                        "keySource": "Microsoft.Keyvault",
                        "keyVaultProperties": dict(_SPLIT),
                        "rotationToLatestKeyVersionEnabled": False,
                    },
                }
            },
            "privateLinkAssets": [],
            "privateEndpointConnections": [],
            "diskEncryptionSetId": f"{GROUP}/diskEncryptionSets/d1",
            "managedDiskIdentity": dict(_MANAGED),
            "storageAccountIdentity": dict(_MANAGED),
            "managedResourceGroupId": "/subscriptions/s/resourceGroups/databricks-rg-r1",
            "parameters": {
                "enableFedRampCertification": {"type": "Bool", "value": False},
                "enableNoPublicIp": {"type": "Bool", "value": True},
                "prepareEncryption": {"type": "Bool", "value": True},
                "resourceTags": {"type": "Object", "value": {"application": "databricks"}},
                "storageAccountName": {"type": "String", "value": "dbstorage1"},
                "encryption": {
                    "type": "Object",
                    "value": {
                        "keySource": "Microsoft.Keyvault",
                        "KeyName": KEY.name,
                        "keyversion": OLD.version,
                        "keyvaulturi": f"{VAULT}/",
                    },
                },
            },
            "authorizations": [{"principalId": "p", "roleDefinitionId": "r"}],
            "createdBy": dict(_PARTY),
            "updatedBy": dict(_PARTY),
            "createdDateTime": "2025-12-20T00:28:49.4367587Z",
            "workspaceId": "7405617701352462",
            "workspaceUrl": "adb-7405617701352462.2.azuredatabricks.net",
        },
        sku={"name": "premium"},
    ),
    "sql_server_tde": _protector(
        "Microsoft.Sql/servers/encryptionProtector", subregion="", keyVersion=OLD.version
    ),
    "sql_mi_tde": _protector("Microsoft.Sql/managedInstances/encryptionProtector"),
    "sql_database": resource(
        "Microsoft.Sql/servers/databases",
        {
            "status": "Online",
            "encryptionProtector": str(OLD),
            "encryptionProtectorAutoRotation": False,
        },
        sku={"name": "Standard", "tier": "Standard", "capacity": 10},
        identity=USER_ASSIGNED,
    ),
    "postgres_flexible": _server(
        "Microsoft.DBforPostgreSQL/flexibleServers",
        primaryEncryptionKeyStatus="Valid",
        geoBackupEncryptionKeyStatus="Valid",
    ),
    "mysql_flexible": _server("Microsoft.DBforMySQL/flexibleServers"),
    "data_factory": resource(
        "Microsoft.DataFactory/factories",
        {
            "createTime": "2022-01-01T00:00:00Z",
            "version": "2018-06-01",
            "encryption": {
                "vaultBaseUrl": VAULT,
                "keyName": KEY.name,
                "keyVersion": OLD.version,
                "identity": {"userAssignedIdentity": IDENTITY},
            },
            "globalParameters": {"one": {"type": "String", "value": "v"}},
            "repoConfiguration": {"type": "FactoryVSTSConfiguration", "accountName": "a"},
            "publicNetworkAccess": "Enabled",
        },
        identity=USER_ASSIGNED,
        eTag='"1"',
    ),
    "synapse_workspace": resource(
        "Microsoft.Synapse/workspaces",
        {
            "encryption": {
                "doubleEncryptionEnabled": True,
                "cmk": {
                    "status": "Consistent",
                    "key": {"name": "default", "keyVaultUrl": str(KEY)},
                },
            }
        },
        identity=SYSTEM,
    ),
    "netapp_account": resource(
        "Microsoft.NetApp/netAppAccounts",
        {
            "encryption": {
                "keySource": "Microsoft.KeyVault",
                "keyVaultProperties": {
                    "keyVaultUri": f"{VAULT}/",
                    "keyName": KEY.name,
                    "status": "InUse",
                },
                "identity": {"userAssignedIdentity": IDENTITY},
            }
        },
        identity=USER_ASSIGNED,
    ),
    "mongo_vcore": resource(
        "Microsoft.DocumentDB/mongoClusters",
        {
            "encryption": {
                "customerManagedKeyEncryption": {
                    "keyEncryptionKeyUrl": str(KEY),
                    "keyEncryptionKeyIdentity": {
                        "identityType": "UserAssignedIdentity",
                        "userAssignedIdentityResourceId": IDENTITY,
                    },
                }
            }
        },
        identity=USER_ASSIGNED,
    ),
}
