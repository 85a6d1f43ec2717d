"""Azure Backup: Recovery Services vaults and Backup vaults.

A backup that was taken before a rotation stays wrapped as it was until the next job: the old
version is needed for at least one more.
"""

from datetime import timedelta

from shared.catalog.resource_manager import (
    ASSIGN_IDENTITY,
    ASSUMED,
    GROUP_READ,
    NO_BUDGET,
    RSA,
    SIZES,
    advice,
    vault_access,
)
from shared.domain.kinds import Completion, Kind, Looks, Symptom, Window, Write
from shared.domain.proofs import AllOf, EchoesTarget, FieldIs, Level
from shared.domain.shapes import UrlReference

_RECOVERY_URL = "properties.encryption.keyVaultProperties.keyUri"
_RECOVERY_SHAPE = UrlReference(place="vault", when=None, url=_RECOVERY_URL)

_SETTINGS = "properties.securitySettings.encryptionSettings"
_BACKUP_SHAPE = UrlReference(place="vault", when=None, url=f"{_SETTINGS}.keyVaultProperties.keyUri")

_RECOVERY = "https://learn.microsoft.com/azure/backup/encryption-at-rest-with-cmk"
_BACKUP = "https://learn.microsoft.com/azure/backup/encryption-at-rest-with-cmk-for-backup-vault"

_OLD_NEEDED = "the old version stays enabled until one more backup job has ended"

RECOVERY_SERVICES_VAULT = Kind(
    id="recovery_vault",
    title="Recovery Services vault",
    resource_type="Microsoft.RecoveryServices/vaults",
    # The version whose CMK traffic is recorded.
    api_version="2025-02-01",
    shape=_RECOVERY_SHAPE,
    write=Write(
        # Recorded: a PATCH of the URI alone changes the key and keeps the identity.
        verb="PATCH",
        send=(_RECOVERY_URL,),
        never=(),
        guard="",
        # Recorded: 202 without a body; the vault's own state is Succeeded whatever becomes of it.
        completion=Completion.OPERATION,
    ),
    proof=AllOf(
        (EchoesTarget(_RECOVERY_SHAPE), FieldIs("properties.provisioningState", "Succeeded"))
    ),
    level=Level.CONFIGURED,
    in_use="",
    pinned=ASSUMED,
    # "up to an hour", with no field that shows it.
    versionless=Window(
        length=timedelta(hours=1), looks=Looks(first=timedelta(minutes=5)), source=_RECOVERY
    ),
    identities=("properties.encryption.kekIdentity.userAssignedIdentity",),
    key_types=RSA,
    key_bits=SIZES,
    budget=NO_BUDGET,
    actions=(
        "Microsoft.RecoveryServices/vaults/read",
        "Microsoft.RecoveryServices/vaults/write",
        GROUP_READ,
    ),
    advice={
        # [I] terraform#27817, as the end of an operation that had been accepted.
        "UserErrorCMKKeyVaultAuthFailure": vault_access("the vault's identity for encryption"),
        # [I] terraform#24087.
        "InvalidRestApiParameter": "see that the vault's identity for encryption is assigned to it",
        **advice("vaults/read and vaults/write on the Recovery Services vault"),
    },
    limits=(
        _OLD_NEEDED,
        "the key vault in the region of the vault; encryption with one's own key is never undone",
    ),
    sources=(
        _RECOVERY,
        "azure-cli 2.77.0, recorded traffic: vault moved to other keys and identities",
        "azure-rest-api-specs: PATCHVault_WithCMK3.json",
        "bicep-types-az: microsoft.recoveryservices 2020-02-02 and 2026-07-01",
        "terraform-provider-azurerm: recovery_services_vault_resource.go",
    ),
)

BACKUP_VAULT = Kind(
    id="backup_vault",
    title="Backup vault",
    resource_type="Microsoft.DataProtection/backupVaults",
    # With a PUT, what a version does not know may be lost: the newest stable one.
    api_version="2026-06-01",
    shape=_BACKUP_SHAPE,
    write=Write(
        # The catalog of facts has a PATCH, of which there is an example; recorded is a PUT of the
        # whole, and that is what is sent.
        verb="PUT",
        send=("location", "tags", "identity", "properties"),
        never=(
            "identity.principalId",
            "identity.tenantId",
            "identity.userAssignedIdentities.*.principalId",
            "identity.userAssignedIdentities.*.clientId",
            "properties.provisioningState",
            "properties.resourceMoveState",
            "properties.resourceMoveDetails",
            "properties.isVaultProtectedByResourceGuard",
            "properties.secureScore",
            "properties.bcdrSecurityLevel",
        ),
        guard=f"{_SETTINGS}.state",
        # Recorded: 201 whose body still shows the old key.
        completion=Completion.STATE,
    ),
    proof=AllOf(
        (
            EchoesTarget(_BACKUP_SHAPE),
            FieldIs("properties.provisioningState", "Succeeded"),
            FieldIs(f"{_SETTINGS}.state", "Enabled"),
        )
    ),
    level=Level.CONFIGURED,
    in_use="",
    pinned=ASSUMED,
    # Terraform takes a key without a version; Microsoft says nothing of it.
    versionless=None,
    identities=("properties.securitySettings.encryptionSettings.kekIdentity.identityId",),
    key_types=RSA,
    key_bits=SIZES,
    budget=NO_BUDGET,
    actions=(
        "Microsoft.DataProtection/backupVaults/read",
        "Microsoft.DataProtection/backupVaults/write",
        GROUP_READ,
        # The identity is repeated.
        ASSIGN_IDENTITY,
    ),
    advice={
        "UserErrorCMKKeyVaultAuthFailure": vault_access("the vault's identity for encryption"),
        **advice("backupVaults/read and backupVaults/write on the Backup vault"),
    },
    symptoms=(
        Symptom(
            path=f"{_SETTINGS}.state",
            says="Inconsistent",
            advice="its encryption is broken: " + vault_access("the vault's identity"),
        ),
        # Microsoft's example PutBackupVaultCMKSettings_ResourceGuardEnabled.json.
        Symptom(
            path="properties.isVaultProtectedByResourceGuard",
            says="true",
            advice=(
                "a Resource Guard protects the vault: have its owner approve the change, and make"
                " it by hand with resourceGuardOperationRequests; then rotate again"
            ),
        ),
    ),
    limits=(_OLD_NEEDED, "encryption with one's own key is never undone"),
    sources=(
        _BACKUP,
        "azure-cli-extensions, recorded traffic: vault moved to another key (PUT 201)",
        "azure-rest-api-specs: PutBackupVaultWithCMK.json (2026-06-01)",
        "bicep-types-az: microsoft.dataprotection 2026-06-01",
        "terraform-provider-azurerm: data_protection_backup_vault_customer_managed_key_resource.go",
    ),
)
