"""A body of each kind, as its service shows it, with all that it computes.

Each is pinned to ``OLD``. They are taken from recordings and Microsoft's examples, or else from its
types.
"""

import copy

from shared.domain.json_paths import Json
from tests.catalog.more_samples import MORE_SAMPLES
from tests.catalog.sample_parts import GROUP, IDENTITY, SYSTEM, USER_ASSIGNED, VAULT, resource
from tests.domain.values import KEY, OLD

_SPLIT = {"keyVaultUri": f"{VAULT}/", "keyName": KEY.name, "keyVersion": OLD.version}

SAMPLES: dict[str, Json] = {
    **MORE_SAMPLES,
    "container_registry": resource(
        "Microsoft.ContainerRegistry/registries",
        {
            "loginServer": "r1.azurecr.io",
            "encryption": {
                "status": "enabled",
                "keyVaultProperties": {
                    "keyIdentifier": str(OLD),
                    "versionedKeyIdentifier": str(OLD),
                    "identity": "6fae8b4e-59e2-40c6-9885-ad96fb2f7152",
                    "keyRotationEnabled": False,
                    "lastKeyRotationTimestamp": "2025-04-28T18:30:14.2503512+00:00",
                },
            },
        },
        sku={"name": "Premium", "tier": "Premium"},
        identity=USER_ASSIGNED,
    ),
    "disk_encryption_set": resource(
        "Microsoft.Compute/diskEncryptionSets",
        {
            "activeKey": {
                "sourceVault": {"id": f"{GROUP}/providers/Microsoft.KeyVault/vaults/kv1"},
                "keyUrl": str(OLD),
            },
            "encryptionType": "EncryptionAtRestWithCustomerKey",
            "previousKeys": [],
            "rotationToLatestKeyVersionEnabled": False,
            "lastKeyRotationTimestamp": "2021-04-01T04:41:35.079872+00:00",
        },
        identity=SYSTEM,
    ),
    "aks_cluster": resource(
        "Microsoft.ContainerService/managedClusters",
        {
            "diskEncryptionSetID": f"{GROUP}/providers/Microsoft.Compute/diskEncryptionSets/r1",
            "agentPoolProfiles": [{"name": "p1", "osDiskType": "Managed"}],
            "securityProfile": {"azureKeyVaultKms": {"enabled": True, "keyId": str(OLD)}},
        },
    ),
    "ml_workspace": resource(
        "Microsoft.MachineLearningServices/workspaces",
        {
            "hbiWorkspace": True,
            "enableServiceSideCMKEncryption": False,
            "encryption": {
                "status": "Enabled",
                "identity": {"userAssignedIdentity": None},
                "keyVaultProperties": {
                    "keyIdentifier": str(OLD),
                    "identityClientId": None,
                    "keyVaultArmId": f"{GROUP}/providers/Microsoft.KeyVault/vaults/kv1",
                },
            },
        },
        identity=SYSTEM,
    ),
    "log_analytics_cluster": resource(
        "Microsoft.OperationalInsights/clusters",
        {
            "clusterId": "c222e481-b0b5-437b-b000-456344fcb7e1",
            "billingType": "Cluster",
            "isDoubleEncryptionEnabled": True,
            "isAvailabilityZonesEnabled": False,
            "keyVaultProperties": dict(_SPLIT),
            "lastModifiedDate": "Tue, 16 Apr 2024 06:44:38 GMT",
            "createdDate": "Tue, 16 Apr 2024 02:33:31 GMT",
            "capacityReservationProperties": {
                "lastSkuUpdate": "Tue, 16 Apr 2024 02:33:31 GMT",
                "minCapacity": 100,
            },
            "associatedWorkspaces": [{"workspaceName": "w1", "resourceId": f"{GROUP}/w1"}],
            "replication": {
                "location": "northeurope",
                "enabled": True,
                "provisioningState": "Succeeded",
                "createdDate": "2026-01-01",
                "lastModifiedDate": "2026-01-01",
            },
        },
        sku={"name": "CapacityReservation", "capacity": 1000},
        identity=USER_ASSIGNED,
    ),
    "cognitive_account": resource(
        "Microsoft.CognitiveServices/accounts",
        {
            "endpoint": "https://westeurope.api.cognitive.microsoft.com/",
            "encryption": {
                "keySource": "Microsoft.KeyVault",
                "keyVaultProperties": {**_SPLIT, "identityClientId": "c"},
            },
        },
        kind="OpenAI",
        sku={"name": "S0"},
        identity=SYSTEM,
    ),
    "kusto_cluster": resource(
        "Microsoft.Kusto/clusters",
        {"state": "Running", "keyVaultProperties": {**_SPLIT, "userIdentity": IDENTITY}},
        sku={"name": "Standard_E2a_v4", "tier": "Standard", "capacity": 2},
        identity=USER_ASSIGNED,
    ),
    "appconfig_store": resource(
        "Microsoft.AppConfiguration/configurationStores",
        {
            "endpoint": "https://r1.azconfig.io",
            "encryption": {
                "keyVaultProperties": {"keyIdentifier": str(OLD), "identityClientId": None}
            },
        },
        sku={"name": "standard"},
        identity=SYSTEM,
    ),
    "automation_account": resource(
        "Microsoft.Automation/automationAccounts",
        {
            "state": "Ok",
            "sku": {"name": "Basic"},
            "encryption": {
                "keySource": "Microsoft.Keyvault",
                "keyVaultProperties": {
                    "keyvaultUri": f"{VAULT}/",
                    "keyName": KEY.name,
                    "keyVersion": OLD.version,
                },
                "identity": {"userAssignedIdentity": IDENTITY},
            },
        },
        identity=USER_ASSIGNED,
    ),
    "batch_account": resource(
        "Microsoft.Batch/batchAccounts",
        {
            "poolAllocationMode": "UserSubscription",
            "keyVaultReference": {"id": f"{GROUP}/vault", "url": f"{VAULT}/"},
            "encryption": {
                "keySource": "Microsoft.KeyVault",
                "keyVaultProperties": {"keyIdentifier": str(OLD)},
            },
        },
        identity=SYSTEM,
    ),
    "redis_enterprise": resource(
        "Microsoft.Cache/redisEnterprise",
        {
            "resourceState": "Running",
            "encryption": {
                "customerManagedKeyEncryption": {
                    "keyEncryptionKeyUrl": str(OLD),
                    "keyEncryptionKeyIdentity": {
                        "identityType": "userAssignedIdentity",
                        "userAssignedIdentityResourceId": IDENTITY,
                    },
                }
            },
        },
        sku={"name": "Balanced_B3"},
        identity=USER_ASSIGNED,
    ),
    "elastic_san_volume_group": resource(
        "Microsoft.ElasticSan/elasticSans/volumeGroups",
        {
            "protocolType": "iSCSI",
            "encryption": "EncryptionAtRestWithCustomerManagedKey",
            "encryptionProperties": {
                "keyVaultProperties": {
                    **_SPLIT,
                    "currentVersionedKeyIdentifier": str(OLD),
                    "lastKeyRotationTimestamp": "2025-05-06T06:30:31.2291794Z",
                    "currentVersionedKeyExpirationTimestamp": "1970-01-01T00:00:00.0000000Z",
                },
                "identity": {"userAssignedIdentity": IDENTITY},
            },
        },
        identity=USER_ASSIGNED,
    ),
    "recovery_vault": resource(
        "Microsoft.RecoveryServices/vaults",
        {
            "encryption": {
                "keyVaultProperties": {"keyUri": str(OLD)},
                "kekIdentity": {
                    "useSystemAssignedIdentity": False,
                    "userAssignedIdentity": IDENTITY,
                },
                "infrastructureEncryption": "Disabled",
            },
            "backupStorageVersion": "V2",
        },
        sku={"name": "RS0", "tier": "Standard"},
        identity=USER_ASSIGNED,
    ),
    "backup_vault": resource(
        "Microsoft.DataProtection/backupVaults",
        {
            "resourceMoveState": "Unknown",
            "resourceMoveDetails": {"operationId": "o"},
            "isVaultProtectedByResourceGuard": False,
            "secureScore": "Adequate",
            "bcdrSecurityLevel": "Fair",
            "securitySettings": {
                "softDeleteSettings": {"state": "On", "retentionDurationInDays": 14},
                "immutabilitySettings": {"state": "Disabled"},
                "encryptionSettings": {
                    "state": "Enabled",
                    "keyVaultProperties": {"keyUri": str(OLD)},
                    "kekIdentity": {"identityType": "UserAssigned", "identityId": IDENTITY},
                    "infrastructureEncryption": "Disabled",
                },
            },
            "storageSettings": [{"datastoreType": "VaultStore", "type": "LocallyRedundant"}],
        },
        identity=USER_ASSIGNED,
    ),
    "container_group_profile": resource(
        "Microsoft.ContainerInstance/containerGroupProfiles",
        {
            "osType": "Linux",
            "containers": [{"name": "c", "properties": {"image": "nginx"}}],
            "encryptionProperties": {
                "vaultBaseUrl": f"{VAULT}/",
                "keyName": KEY.name,
                "keyVersion": OLD.version,
                "identity": IDENTITY,
            },
            "revision": 1,
        },
    ),
}


def sample(kind_id: str) -> Json:
    """Return a copy of a kind's body."""
    return copy.deepcopy(SAMPLES[kind_id])
