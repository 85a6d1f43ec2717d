"""What is on record about each emulated kind."""

from datetime import timedelta

from sandbox.arm.container_groups import FIRST_PARTY
from sandbox.arm.emulated import Emulated, KeyPlace, Refusal
from sandbox.arm.further_kinds import FURTHER
from sandbox.arm.operations import AT_LOCATION, Polling

_ENCRYPTION = "properties.encryption"
_KEY = f"{_ENCRYPTION}.keyVaultProperties"
_SPLIT = {
    "vault": f"{_KEY}.keyVaultUri",
    "name": f"{_KEY}.keyName",
    "version": f"{_KEY}.keyVersion",
}

REGISTRIES = Emulated(
    type="Microsoft.ContainerRegistry/registries",
    api_versions=("2023-07-01", "2025-03-01-preview", "2025-11-01"),
    source="recorded: container-registries/acr_encryption_with_cmk.json",
    request={"sku": {"name": "Premium"}, "properties": {"adminUserEnabled": False}},
    shows={"loginServer": "registry.azurecr.io", "zoneRedundancy": "Disabled"},
    key=KeyPlace(
        url=f"{_KEY}.keyIdentifier",
        when=(f"{_ENCRYPTION}.status", "enabled"),
        client=f"{_KEY}.identity",
        in_use=f"{_KEY}.versionedKeyIdentifier",
        told_at_once=True,
        rotated_at=f"{_KEY}.lastKeyRotationTimestamp",
        says_it_follows=f"{_KEY}.keyRotationEnabled",
    ),
    patched=201,
    replaced=201,
    polling=Polling(status="operationStatuses", status_below_resource=True, working="Creating"),
    works_for=timedelta(seconds=20),
    # Quoted in azure-docs#61015; the code is inference.
    refusal=Refusal(
        400,
        "BadRequest",
        "Failed to access KeyId. Verify that identity has 'Get, Wrap Key, Unwrap Key' permission on"
        " key. {why} For more information, please visit https://aka.ms/acr/cmk.",
    ),
)

DISK_ENCRYPTION_SETS = Emulated(
    type="Microsoft.Compute/diskEncryptionSets",
    api_versions=("2021-04-01", "2023-04-02", "2024-03-02", "2025-01-02", "2026-03-02"),
    source="recorded: disk-encryption-sets/disk_encryption_set_update.json; Microsoft's examples",
    request={"properties": {"encryptionType": "EncryptionAtRestWithCustomerKey"}},
    key=KeyPlace(
        url="properties.activeKey.keyUrl",
        follows="properties.rotationToLatestKeyVersionEnabled",
        # "Version segment of the Url is required regardless of …" (types).
        needs_version=True,
        rotated_at="properties.lastKeyRotationTimestamp",
        previous="properties.previousKeys",
    ),
    patched=202,
    replaced=202,
    created=202,
    says_more=True,
    whole=frozenset({"properties.activekey"}),
    polling=Polling(status="DiskOperations", result="DiskOperations"),
    works_for=timedelta(seconds=1),
    # Quoted in azure-docs#96319.
    refusal=Refusal(
        400,
        "KeyVaultAccessForbidden",
        "Unable to access key vault resource to enable encryption at rest. Please grant get, wrap"
        " and unwrap key permissions to disk encryption set. {why}",
    ),
)

WORKSPACES = Emulated(
    type="Microsoft.MachineLearningServices/workspaces",
    api_versions=("2024-10-01", "2026-05-01"),
    source="recorded: machine-learning-workspaces/workspace.json; the update: REST reference",
    request={"properties": {"friendlyName": "ws", "hbiWorkspace": False}},
    shows={"enableServiceSideCMKEncryption": False},
    key=KeyPlace(
        url=f"{_KEY}.keyIdentifier",
        when=(f"{_ENCRYPTION}.status", "Enabled"),
        identity=f"{_ENCRYPTION}.identity.userAssignedIdentity",
        needs_version=True,
    ),
    patched=202,
    polling=AT_LOCATION,
    works_for=timedelta(seconds=30),
)

LOG_ANALYTICS_CLUSTERS = Emulated(
    type="Microsoft.OperationalInsights/clusters",
    api_versions=("2022-10-01", "2025-07-01", "2026-03-01"),
    source="recorded: log-analytics-clusters/monitor_log_analytics_cluster_update_key.json",
    request={
        "sku": {"name": "CapacityReservation", "capacity": 1000},
        "properties": {"billingType": "Cluster", "isDoubleEncryptionEnabled": True},
    },
    shows={
        "clusterId": "c222e481-b0b5-437b-b000-456344fcb7e1",
        "createdDate": "Tue, 16 Apr 2024 02:33:31 GMT",
        "capacityReservationProperties": {
            "lastSkuUpdate": "Tue, 16 Apr 2024 02:33:31 GMT",
            "minCapacity": 100,
        },
        "associatedWorkspaces": [],
    },
    key=KeyPlace(
        vault="properties.keyVaultProperties.keyVaultUri",
        name="properties.keyVaultProperties.keyName",
        version="properties.keyVaultProperties.keyVersion",
    ),
    patched=202,
    replaced=202,
    unchanged=200,
    # terraform: log_analytics_cluster_customer_managed_key_resource.go.
    refuses=(
        (
            "properties.associatedWorkspaces",
            Refusal(400, "InvalidParameter", "'associatedWorkspaces' is a read-only property."),
        ),
    ),
    # docs: logs/customer-managed-keys, two consecutive operations; the code is inference.
    identity_apart=Refusal(
        400, "InvalidParameter", "Identity and key cannot be changed in one operation."
    ),
    polling=Polling(status="operationstatuses", result="operationresults", below_resource=True),
    works_for=timedelta(minutes=5),  # recorded: startTime and endTime of the operation
    refusal=Refusal(400, "InvalidParameter", "Failed to validate key in Key Vault. {why}"),
)

COGNITIVE_ACCOUNTS = Emulated(
    type="Microsoft.CognitiveServices/accounts",
    api_versions=("2023-05-01", "2025-09-01", "2026-07-01"),
    source="recorded: cognitive-services/cognitiveservices_encryption.json (the platform's key)",
    request={"sku": {"name": "S0"}, "kind": "OpenAI", "properties": {}},
    shows={"endpoint": "https://westeurope.api.cognitive.microsoft.com/"},
    states=("Accepted", "Succeeded", "Failed"),
    key=KeyPlace(
        **_SPLIT,  # type: ignore[arg-type]
        when=(f"{_ENCRYPTION}.keySource", "Microsoft.KeyVault"),
        client=f"{_KEY}.identityClientId",
    ),
    patched=202,
    says_more=True,
    polling=Polling(status="operationResults", result="operationResults", working="Updating"),
    works_for=timedelta(seconds=1),
)

KUSTO_CLUSTERS = Emulated(
    type="Microsoft.Kusto/clusters",
    api_versions=("2022-02-01", "2024-04-13", "2025-02-14"),
    source="recorded: kusto-clusters/kusto_Scenario.json (no key); REST reference",
    request={"sku": {"name": "Standard_E2a_v4", "tier": "Standard", "capacity": 2}},
    shows={
        "state": "Running",
        "keyVaultProperties": {"keyName": "", "keyVersion": "", "keyVaultUri": ""},
    },
    key=KeyPlace(
        vault="properties.keyVaultProperties.keyVaultUri",
        name="properties.keyVaultProperties.keyName",
        version="properties.keyVaultProperties.keyVersion",
        identity="properties.keyVaultProperties.userIdentity",
    ),
    patched=202,
    says_more=True,
    polling=Polling(status="operationResults", working="Running"),
    works_for=timedelta(minutes=2),
)

CONFIGURATION_STORES = Emulated(
    type="Microsoft.AppConfiguration/configurationStores",
    api_versions=("2024-06-01",),
    source="recorded by azure-cli: PATCH 200, synchronous",
    request={"sku": {"name": "standard"}, "properties": {}},
    shows={"endpoint": "https://store.azconfig.io"},
    key=KeyPlace(url=f"{_KEY}.keyIdentifier", client=f"{_KEY}.identityClientId"),
)

AUTOMATION_ACCOUNTS = Emulated(
    type="Microsoft.Automation/automationAccounts",
    api_versions=("2021-06-22", "2024-10-23"),
    source="docs: automation-secure-asset-encryption; updateAutomationAccount.json",
    request={"properties": {"sku": {"name": "Basic"}}},
    shows={"state": "Ok"},
    state="",
    key=KeyPlace(
        vault=f"{_KEY}.keyvaultUri",
        name=f"{_KEY}.keyName",
        version=f"{_KEY}.keyVersion",
        when=(f"{_ENCRYPTION}.keySource", "Microsoft.Keyvault"),
        identity=f"{_ENCRYPTION}.identity.userAssignedIdentity",
    ),
)

BATCH_ACCOUNTS = Emulated(
    type="Microsoft.Batch/batchAccounts",
    api_versions=("2024-07-01", "2025-06-01"),
    source="docs: batch-customer-managed-key; REST reference",
    request={"properties": {}},
    key=KeyPlace(
        url=f"{_KEY}.keyIdentifier", when=(f"{_ENCRYPTION}.keySource", "Microsoft.KeyVault")
    ),
)

_REDIS = f"{_ENCRYPTION}.customerManagedKeyEncryption"
REDIS_ENTERPRISE = Emulated(
    type="Microsoft.Cache/redisEnterprise",
    api_versions=("2023-11-01", "2025-07-01"),
    source="RedisEnterpriseUpdate.json (no key); types",
    request={"sku": {"name": "Balanced_B3"}, "properties": {"minimumTlsVersion": "1.2"}},
    shows={"resourceState": "Running"},
    key=KeyPlace(
        url=f"{_REDIS}.keyEncryptionKeyUrl",
        identity=f"{_REDIS}.keyEncryptionKeyIdentity.userAssignedIdentityResourceId",
        needs_version=True,
    ),
    patched=202,
    polling=Polling(status="operationsStatus", result="operationsStatus"),
    works_for=timedelta(minutes=1),
)

ELASTIC_SANS = Emulated(
    type="Microsoft.ElasticSan/elasticSans",
    api_versions=("2025-09-01",),
    source="the parent of volume groups",
    request={"properties": {"baseSizeTiB": 1, "extendedCapacitySizeTiB": 0}},
    key=None,
)
_SAN = "properties.encryptionProperties"
VOLUME_GROUPS = Emulated(
    type="Microsoft.ElasticSan/elasticSans/volumeGroups",
    api_versions=("2023-01-01", "2024-07-01-preview", "2025-09-01"),
    source="recorded: elastic-san/cmk_system_assigned.json; VolumeGroups_Update example",
    request={"properties": {"protocolType": "iSCSI"}},
    key=KeyPlace(
        vault=f"{_SAN}.keyVaultProperties.keyVaultUri",
        name=f"{_SAN}.keyVaultProperties.keyName",
        version=f"{_SAN}.keyVaultProperties.keyVersion",
        when=(_ENCRYPTION, "EncryptionAtRestWithCustomerManagedKey"),
        identity=f"{_SAN}.identity.userAssignedIdentity",
        in_use=f"{_SAN}.keyVaultProperties.currentVersionedKeyIdentifier",
        rotated_at=f"{_SAN}.keyVaultProperties.lastKeyRotationTimestamp",
    ),
    patched=202,
    replaced=201,
    whole=frozenset({"properties.encryptionproperties"}),
    polling=AT_LOCATION,
    works_for=timedelta(seconds=10),
    looks_every=timedelta(days=1),
    # Recorded: elastic-san/volume_group_encryption_error.json.
    refusal=Refusal(
        400,
        "VnetOrEncryptionUpdateOnVolumesFailed",
        "NetworkAcls or Encryption update failed on some of the existing Volumes. {why}",
    ),
)

RECOVERY_VAULTS = Emulated(
    type="Microsoft.RecoveryServices/vaults",
    api_versions=("2023-02-01", "2025-02-01", "2026-07-01"),
    source="recorded: recovery-services-vaults/backup_encryption.json",
    request={"sku": {"name": "RS0", "tier": "Standard"}, "properties": {}},
    shows={"backupStorageVersion": "V2"},
    # Recorded: Succeeded all the time; that it is so after a failure too is inference.
    states=("Succeeded", "Succeeded", "Succeeded"),
    key=KeyPlace(url=f"{_KEY}.keyUri", identity=f"{_ENCRYPTION}.kekIdentity.userAssignedIdentity"),
    patched=202,
    polling=Polling(
        status="operationStatus",
        result="operationResults",
        below_resource=True,
        status_below_resource=True,
    ),
    works_for=timedelta(minutes=1),
    shows_late=True,
    # Quoted in terraform#27817.
    refusal=Refusal(400, "UserErrorCMKKeyVaultAuthFailure", "{why}"),
)

_SETTINGS = "properties.securitySettings.encryptionSettings"
BACKUP_VAULTS = Emulated(
    type="Microsoft.DataProtection/backupVaults",
    api_versions=("2024-03-01", "2026-06-01"),
    source="recorded by azure-cli-extensions: PUT 201 showing the old key; PutBackupVaultWithCMK",
    request={
        "properties": {
            "storageSettings": [{"datastoreType": "VaultStore", "type": "LocallyRedundant"}]
        }
    },
    shows={"isVaultProtectedByResourceGuard": False, "secureScore": "Adequate"},
    states=("Updating", "Succeeded", "Failed"),
    key=KeyPlace(
        url=f"{_SETTINGS}.keyVaultProperties.keyUri",
        when=(f"{_SETTINGS}.state", "Enabled"),
        identity=f"{_SETTINGS}.kekIdentity.identityId",
    ),
    replaced=201,
    patched=202,
    polling=Polling(
        status="operationStatus", status_below_resource=True, working="Inprogress", retry_after="10"
    ),
    works_for=timedelta(minutes=1),
    shows_late=True,
    refusal=Refusal(400, "UserErrorCMKKeyVaultAuthFailure", "{why}"),
)

_PROFILE = "properties.encryptionProperties"
CONTAINER_GROUP_PROFILES = Emulated(
    type="Microsoft.ContainerInstance/containerGroupProfiles",
    api_versions=("2025-09-01",),
    source="ContainerGroupProfileCreateOrUpdate_EncryptionProperties.json; PATCH is tags only",
    request={
        "properties": {
            "osType": "Linux",
            "containers": [{"name": "app", "properties": {"image": "nginx"}}],
        }
    },
    state="",
    key=KeyPlace(
        vault=f"{_PROFILE}.vaultBaseUrl",
        name=f"{_PROFILE}.keyName",
        version=f"{_PROFILE}.keyVersion",
        identity=f"{_PROFILE}.identity",
        first_party=FIRST_PARTY,
        needs_version=True,
    ),
    patches=False,
)

_KMS = "properties.securityProfile.azureKeyVaultKms"
MANAGED_CLUSTERS = Emulated(
    type="Microsoft.ContainerService/managedClusters",
    api_versions=("2022-06-01", "2026-05-01"),
    source="types; PATCH is tags only",
    request={
        "properties": {
            "agentPoolProfiles": [{"name": "pool1", "count": 3, "osDiskType": "Managed"}]
        }
    },
    key=KeyPlace(url=f"{_KMS}.keyId", when=(f"{_KMS}.enabled", True), needs_version=True),
    patches=False,
    polling=Polling(status="operations"),
    works_for=timedelta(minutes=5),
)

COMPONENTS = Emulated(
    type="Microsoft.Insights/components",
    api_versions=("2020-02-02",),
    source="types",
    request={"kind": "web", "properties": {"Application_Type": "web"}},
    key=None,
)

EMULATED: tuple[Emulated, ...] = (
    REGISTRIES,
    DISK_ENCRYPTION_SETS,
    WORKSPACES,
    LOG_ANALYTICS_CLUSTERS,
    COGNITIVE_ACCOUNTS,
    KUSTO_CLUSTERS,
    CONFIGURATION_STORES,
    AUTOMATION_ACCOUNTS,
    BATCH_ACCOUNTS,
    REDIS_ENTERPRISE,
    ELASTIC_SANS,
    VOLUME_GROUPS,
    RECOVERY_VAULTS,
    BACKUP_VAULTS,
    CONTAINER_GROUP_PROFILES,
    MANAGED_CLUSTERS,
    COMPONENTS,
    *FURTHER,
)
