"""Storage accounts and their encryption scopes.

File shares and blobs come with their account; queues and tables too, where ``keyType`` was
``Account`` when it was made. A blob in an encryption scope comes with its scope.
"""

from datetime import timedelta

from shared.catalog.resource_manager import (
    ASSIGN_IDENTITY,
    GROUP_READ,
    PROTECTED_VAULT,
    advice,
)
from shared.domain.kinds import Completion, Kind, Looks, Window, Write
from shared.domain.pacing import Budget, Limit
from shared.domain.proofs import AllOf, FieldIs, Level, NamesTarget
from shared.domain.shapes import SplitReference, UrlReference

_ENCRYPTION = "properties.encryption"
_KEY = f"{_ENCRYPTION}.keyvaultproperties"
_CURRENT = f"{_KEY}.currentVersionedKeyIdentifier"

_CMK_OVERVIEW = "https://learn.microsoft.com/azure/storage/common/customer-managed-keys-overview"
_LIMITS = "azure-docs: includes/azure-storage-limits-azure-resource-manager.md"

# "checks the key vault daily"; the page asks to wait 24 hours before disabling the old one.
_VERSIONLESS = Window(
    length=timedelta(days=1), looks=Looks(first=timedelta(minutes=5)), source=_CMK_OVERVIEW
)
# No page has a figure for a version that is written out.
_PINNED = Window(length=timedelta(hours=1), looks=Looks(first=timedelta(seconds=5)), source="")
_KEY_TYPES = frozenset({"RSA", "RSA-HSM"})
_KEY_BITS = frozenset({2048, 3072, 4096})

# "800 per 5 minutes" and "10 per second / 1200 per hour", each as a bucket that keeps to it
# in any such span. Accounts and scopes share them: they are the provider's.
_BUDGET = Budget(
    reads=(Limit(200, 2),),
    writes=(Limit(5, 5), Limit(100, 1100 / 3600)),
)

_ACCESS = (
    "give the account's identity get, wrapKey and unwrapKey on the vault (role Key Vault Crypto"
    " Service Encryption User), and check that both the old version and the new one are enabled"
    " and not expired"
)
_ADVICE = {
    # [I] azure-docs#84096: also for a key that is expired.
    "KeyVaultAuthenticationFailure": _ACCESS,
    # [I] azure-cli#12346, #17914: also for the URI of a Managed HSM.
    "KeyVaultPolicyError": "turn on soft-delete and purge protection on the vault",
    # 409. [I] Azure/ARO-RP#1197, terraform#29351.
    "StorageAccountOperationInProgress": (
        "another change of the account is under way: find out what makes it, then rotate again"
    ),
}

STORAGE_ACCOUNT = Kind(
    id="storage_account",
    title="storage account with its file shares",
    resource_type="Microsoft.Storage/storageAccounts",
    # The newest version whose CMK traffic is recorded; the properties below are in it.
    api_version="2024-01-01",
    shape=SplitReference(
        place="account",
        when=(f"{_ENCRYPTION}.keySource", "Microsoft.Keyvault"),
        vault=f"{_KEY}.keyvaulturi",
        name=f"{_KEY}.keyname",
        version=f"{_KEY}.keyversion",
    ),
    write=Write(
        # The whole encryption object is sent back: whether PATCH keeps what is left out of it is
        # documented nowhere, and every recorded PATCH repeats services and keySource.
        verb="PATCH",
        send=(_ENCRYPTION,),
        never=(
            _CURRENT,
            f"{_KEY}.lastKeyRotationTimestamp",
            f"{_KEY}.currentVersionedKeyExpirationTimestamp",
            f"{_ENCRYPTION}.services.*.lastEnabledTime",
        ),
        guard=f"{_ENCRYPTION}.keySource",
        completion=Completion.SYNC,
    ),
    # lastKeyRotationTimestamp proves nothing: recorded, it moves without a rotation.
    proof=AllOf((NamesTarget(_CURRENT), FieldIs("properties.provisioningState", "Succeeded"))),
    level=Level.REPORTED,
    in_use=_CURRENT,
    pinned=_PINNED,
    versionless=_VERSIONLESS,
    identities=("properties.encryption.identity.userAssignedIdentity",),
    key_types=_KEY_TYPES,
    key_bits=_KEY_BITS,
    budget=_BUDGET,
    actions=(
        "Microsoft.Storage/storageAccounts/read",
        "Microsoft.Storage/storageAccounts/write",
        GROUP_READ,
        # For accounts whose encryption uses a user-assigned identity: it is repeated in the body.
        ASSIGN_IDENTITY,
    ),
    advice={
        **_ADVICE,
        **advice("storageAccounts/read and storageAccounts/write on the account"),
    },
    limits=(
        "queues and tables are encrypted with the key only where their key type is Account",
        "one user-assigned identity for encryption, or the account's own",
        PROTECTED_VAULT,
    ),
    sources=(
        _CMK_OVERVIEW,
        _LIMITS,
        "azure-rest-api-specs: StorageAccountUpdateUserAssignedEncryptionIdentityWithCMK.json",
        "azure-rest-api-specs: StorageAccountGetPropertiesCMKVersionExpirationTime.json",
        "azure-cli 2.77.0, recorded traffic: storage account with a customer-managed key",
        "terraform-provider-azurerm: storage_account_customer_managed_key_resource.go",
    ),
    may_nudge=True,
    has_blobs=True,
)

_SCOPE_KEY = "properties.keyVaultProperties"
_SCOPE_CURRENT = f"{_SCOPE_KEY}.currentVersionedKeyIdentifier"
_SCOPE_SOURCE = "properties.source"

# An empty ``keyVaultProperties: {}`` is no customer-managed key (recorded: PUT and PATCH answers of
# scopes with the platform's own).
STORAGE_ENCRYPTION_SCOPE = Kind(
    id="storage_encryption_scope",
    title="storage encryption scope",
    resource_type="Microsoft.Storage/storageAccounts/encryptionScopes",
    api_version=STORAGE_ACCOUNT.api_version,
    shape=UrlReference(
        place="encryption scope",
        when=(_SCOPE_SOURCE, "Microsoft.KeyVault"),
        url=f"{_SCOPE_KEY}.keyUri",
    ),
    write=Write(
        # As in Microsoft's example. Nothing else of it is sent: ``state`` would enable or disable
        # the scope, and ``requireInfrastructureEncryption`` is set once.
        verb="PATCH",
        send=(_SCOPE_SOURCE, f"{_SCOPE_KEY}.keyUri"),
        never=(),
        guard=_SCOPE_SOURCE,
        completion=Completion.SYNC,
    ),
    # A scope has no provisioningState: its writes are synchronous (recorded).
    proof=AllOf((NamesTarget(_SCOPE_CURRENT), FieldIs(_SCOPE_SOURCE, "Microsoft.KeyVault"))),
    level=Level.REPORTED,
    in_use=_SCOPE_CURRENT,
    pinned=_PINNED,
    versionless=_VERSIONLESS,
    key_types=_KEY_TYPES,
    key_bits=_KEY_BITS,
    budget=_BUDGET,
    actions=(
        "Microsoft.Storage/storageAccounts/encryptionScopes/read",
        "Microsoft.Storage/storageAccounts/encryptionScopes/write",
        GROUP_READ,
    ),
    advice={
        **_ADVICE,
        **advice("storageAccounts/encryptionScopes/read and .../write on the account"),
    },
    limits=(
        "the identity of its storage account uses the key",
        "a scope cannot be deleted, only disabled",
    ),
    sources=(
        _CMK_OVERVIEW,
        _LIMITS,
        "azure-rest-api-specs: StorageAccountPatchEncryptionScope.json",
        "azure-rest-api-specs: StorageAccountGetEncryptionScope.json",
        "azure-sdk-for-python, recorded traffic: encryption scopes with the platform's own key",
        "terraform-provider-azurerm: storage_encryption_scope_resource.go",
    ),
    listed_under=STORAGE_ACCOUNT.resource_type,
    may_nudge=True,
)
