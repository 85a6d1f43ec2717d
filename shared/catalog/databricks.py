"""Azure Databricks workspaces: up to three references, which one PUT carries.

DBFS root (the workspace's storage account), managed services (the control plane) and managed disks
(a disk encryption set in the managed resource group, which Databricks alone changes).
"""

from shared.catalog.resource_manager import (
    ASSUMED,
    GROUP_READ,
    NO_BUDGET,
    PROTECTED_VAULT,
    RSA,
    SIZES,
    advice,
    refused,
    vault_access,
)
from shared.domain.kinds import Completion, Kind, ShownBy, Write
from shared.domain.proofs import AllOf, EchoesTarget, FieldIs, Level
from shared.domain.shapes import References, SplitReference

_ROOT = "properties.parameters.encryption.value"
_ENTITIES = "properties.encryption.entities"
_KEY_VAULT = "Microsoft.Keyvault"


def _entity(place: str, name: str, follows: str = "") -> SplitReference:
    path = f"{_ENTITIES}.{name}"
    return SplitReference(
        place=place,
        when=(f"{path}.keySource", _KEY_VAULT),
        vault=f"{path}.keyVaultProperties.keyVaultUri",
        name=f"{path}.keyVaultProperties.keyName",
        version=f"{path}.keyVaultProperties.keyVersion",
        follows=f"{path}.{follows}" if follows else "",
    )


def _below(name: str, *fields: str) -> tuple[str, ...]:
    return tuple(f"properties.{name}.{field}" for field in fields)


_SHAPE = References(
    parts=(
        SplitReference(
            place="DBFS root",
            when=(f"{_ROOT}.keySource", _KEY_VAULT),
            vault=f"{_ROOT}.keyvaulturi",
            name=f"{_ROOT}.KeyName",
            version=f"{_ROOT}.keyversion",
        ),
        _entity("managed services", "managedServices"),
        _entity("managed disks", "managedDisk", "rotationToLatestKeyVersionEnabled"),
    )
)

_DBFS = "https://learn.microsoft.com/azure/databricks/security/keys/customer-managed-keys-dbfs/"
_SERVICES = "https://learn.microsoft.com/azure/databricks/security/keys/cmk-managed-services-azure/"
_DISKS = "https://learn.microsoft.com/azure/databricks/security/keys/cmk-managed-disks-azure/"

DATABRICKS_WORKSPACE = Kind(
    id="databricks_workspace",
    title="Databricks workspace",
    resource_type="Microsoft.Databricks/workspaces",
    # With a PUT, what a version does not know may be lost: the newest stable one.
    api_version="2026-01-01",
    shape=_SHAPE,
    write=Write(
        # PATCH takes tags only. Recorded: the whole, without the types of the parameters.
        verb="PUT",
        send=("location", "tags", "sku", "properties"),
        never=(
            "properties.provisioningState",
            "properties.createdDateTime",
            "properties.workspaceId",
            "properties.workspaceUrl",
            "properties.diskEncryptionSetId",
            "properties.privateEndpointConnections",
            "properties.isUcEnabled",
            *_below("createdBy", "oid", "puid", "applicationId"),
            *_below("updatedBy", "oid", "puid", "applicationId"),
            *_below("storageAccountIdentity", "principalId", "tenantId", "type"),
            *_below("managedDiskIdentity", "principalId", "tenantId", "type"),
            "properties.parameters.resourceTags",
            "properties.parameters.*.type",
            # Recorded in answers and in no request, and in none of Microsoft's types.
            "properties.parameters.enableFedRampCertification",
            "properties.privateLinkAssets",
        ),
        # No one field marks all three keys as customer-managed; all that is there is sent back.
        guard="",
        # Recorded: 201 with an operation whose poll answers 202 until it is over.
        completion=Completion.STATE,
    ),
    proof=AllOf((EchoesTarget(_SHAPE), FieldIs("properties.provisioningState", "Succeeded"))),
    level=Level.CONFIGURED,
    in_use="",
    pinned=ASSUMED,
    # Managed disks by their flag. Their workspace does not show the version: their set does.
    versionless=ASSUMED,
    shown_by=ShownBy(
        place="managed disks",
        part=f"{_ENTITIES}.managedDisk",
        names="properties.diskEncryptionSetId",
        kind="disk_encryption_set",
        says="its disk encryption set",
    ),
    key_types=RSA,
    key_bits=SIZES,
    budget=NO_BUDGET,
    actions=(
        "Microsoft.Databricks/workspaces/read",
        "Microsoft.Databricks/workspaces/write",
        GROUP_READ,
    ),
    advice={
        # [I] azure-powershell#22898, as the end of an operation.
        "PERMISSION_DENIED": vault_access("the identity of AzureDatabricks, and the disks' set"),
        # [I] azure-powershell#20380.
        "InvalidEncryptionEntitiesKeyVaultValue": "see that vault, key and version belong together",
        **refused("the identities of the workspace"),
        **advice("workspaces/read and workspaces/write on the Databricks workspace"),
    },
    limits=(
        "Premium plan, not serverless; vault and workspace in one tenant",
        "managed services: the old version stays enabled for 24 hours after the change",
        "managed disks: the set in the managed resource group is moved by Databricks alone",
        "managed disks that follow the vault by their flag: that set, which is read, is the proof",
        PROTECTED_VAULT,
    ),
    sources=(
        _DBFS,
        _SERVICES,
        _DISKS,
        "azure-rest-api-specs: EnableEncryption.json (2026-01-01)",
        "azure-rest-api-specs: WorkspaceManagedDiskEncryptionUpdate.json (2024-05-01)",
        "azure-cli-extensions, recorded traffic: workspaces made and updated with keys (PUT 201)",
        "bicep-types-az: microsoft.databricks 2026-01-01",
        "terraform-provider-azurerm: databricks_workspace_*_customer_managed_key_resource.go",
    ),
)
