"""Disk encryption sets, and through them disks, snapshots, images and the disks of AKS clusters.

A set names one version always. Where its flag is on, it follows the vault by itself: the version it
names is then the one in force.
"""

from datetime import timedelta

from shared.catalog.resource_manager import (
    ASSUMED,
    GROUP_READ,
    NO_BUDGET,
    PROTECTED_VAULT,
    RSA,
    SIZES,
    advice,
    vault_access,
)
from shared.domain.kinds import Completion, Kind, Looks, Symptom, Window, Write
from shared.domain.proofs import AllOf, FieldIs, IsEmpty, Level, NamesTarget
from shared.domain.shapes import UrlReference

_KEY = "properties.activeKey"
_ERROR = "properties.autoKeyRotationError"

_DISKS = "https://learn.microsoft.com/azure/virtual-machines/disk-encryption"
_CONFIDENTIAL = "https://learn.microsoft.com/azure/confidential-computing/key-rotation-offline"

_ACCESS = vault_access("the set's identity")

DISK_ENCRYPTION_SET = Kind(
    id="disk_encryption_set",
    title="disk encryption set",
    resource_type="Microsoft.Compute/diskEncryptionSets",
    # The version of Microsoft's examples of the update.
    api_version="2025-01-02",
    shape=UrlReference(
        place="disks",
        when=None,
        url=f"{_KEY}.keyUrl",
        follows="properties.rotationToLatestKeyVersionEnabled",
    ),
    write=Write(
        # Recorded is a PUT; a PATCH of this form is Microsoft's example, and leaves the rest alone.
        # activeKey is replaced as a whole (recorded: a set loses the sourceVault that is not sent).
        verb="PATCH",
        send=(_KEY, "properties.encryptionType"),
        never=(),
        guard="",
        completion=Completion.STATE,
    ),
    # The name alone proves nothing: previousKeys are those from which disks are still moved.
    proof=AllOf(
        (
            NamesTarget(f"{_KEY}.keyUrl"),
            FieldIs("properties.provisioningState", "Succeeded"),
            IsEmpty("properties.previousKeys"),
            IsEmpty(_ERROR),
        )
    ),
    level=Level.REPORTED,
    in_use=f"{_KEY}.keyUrl",
    pinned=ASSUMED,
    # "… all the managed disks, snapshots, and images … within one hour".
    versionless=Window(
        length=timedelta(hours=1), looks=Looks(first=timedelta(minutes=5)), source=_DISKS
    ),
    key_types=RSA,
    key_bits=SIZES,
    budget=NO_BUDGET,
    actions=(
        "Microsoft.Compute/diskEncryptionSets/read",
        "Microsoft.Compute/diskEncryptionSets/write",
        GROUP_READ,
    ),
    advice={
        # [I] azure-docs#96319, terraform#9177: also as the end of an accepted write.
        "KeyVaultAccessForbidden": _ACCESS,
        # Named in public playbooks.
        "KeyVaultKeyNotEnabled": "enable the version on the vault, then rotate again",
        # Microsoft's example of autoKeyRotationError.
        "ManagedServiceIdentityNotFound": "give the set an identity that exists; " + _ACCESS,
        **advice(
            "diskEncryptionSets/read and diskEncryptionSets/write on the set (and, where it names"
            " its vault, Microsoft.KeyVault/vaults/deploy/action on that)"
        ),
    },
    limits=(
        "the vault in the region of the set, and in its tenant unless it has a federated client",
        "the old version stays enabled until no disk is moved from it any more",
        "of confidential VMs: it is moved by hand, while all of them are stopped",
        PROTECTED_VAULT,
    ),
    sources=(
        _DISKS,
        _CONFIDENTIAL,
        "azure-rest-api-specs: DiskEncryptionSet_Update.json",
        "azure-rest-api-specs: DiskEncryptionSet_Update_WithRotationToLatest…InProgress.json",
        "azure-rest-api-specs: DiskEncryptionSet_Get_WithAutoKeyRotationError.json",
        "azure-cli 2.77.0, recorded traffic: disk encryption set moved to other keys (PUT 202)",
        "bicep-types-az: microsoft.compute 2021-04-01 and 2026-03-02",
    ),
    symptoms=(
        # "If an error is present, then auto-key rotation will not be attempted until the error …
        # is fixed."
        Symptom(
            path=f"{_ERROR}.code",
            says="",
            advice="its rotation is suspended: " + _ACCESS,
        ),
        # "Stop all confidential VMs with the same Disk Encryption Set": if one of them runs, none
        # can receive the new key.
        Symptom(
            path="properties.encryptionType",
            says="ConfidentialVmEncryptedWithCustomerKey",
            advice=(
                "stop (deallocate) every confidential VM whose disks use the set; have the set name"
                " the new version (az disk-encryption-set update --key-url), and wait until that"
                " has ended; start the VMs; keep the old version enabled until then"
            ),
        ),
    ),
    if_stuck=(
        "see whether previousKeys still names keys: disks are then still moved, and both versions"
        " must stay enabled; check that the set's identity can reach the vault, unwrap with the old"
        " version and wrap with the new; then rotate again"
    ),
)
