"""Storage accounts. File shares, blobs, queues and tables come with their account."""

from datetime import timedelta

from shared.domain.kinds import Kind, Looks, SplitReference, Window, Write
from shared.domain.pacing import Budget, Limit
from shared.domain.proofs import AllOf, FieldIs, Level, NamesTarget

_ENCRYPTION = "properties.encryption"
_KEY = f"{_ENCRYPTION}.keyvaultproperties"
_CURRENT = f"{_KEY}.currentVersionedKeyIdentifier"

_CMK_OVERVIEW = "https://learn.microsoft.com/azure/storage/common/customer-managed-keys-overview"
_LIMITS = "azure-docs: includes/azure-storage-limits-azure-resource-manager.md"

STORAGE_ACCOUNT = Kind(
    id="storage_account",
    title="storage account",
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
    ),
    # lastKeyRotationTimestamp proves nothing: recorded, it moves without a rotation.
    proof=AllOf((NamesTarget(_CURRENT), FieldIs("properties.provisioningState", "Succeeded"))),
    level=Level.REPORTED,
    in_use=_CURRENT,
    pinned=Window(
        length=timedelta(hours=1), looks=Looks(first=timedelta(seconds=5)), source=_CMK_OVERVIEW
    ),
    # "checks the key vault daily"; the page asks to wait 24 hours before disabling the old one.
    versionless=Window(
        length=timedelta(days=1), looks=Looks(first=timedelta(minutes=5)), source=_CMK_OVERVIEW
    ),
    key_types=frozenset({"RSA", "RSA-HSM"}),
    key_bits=frozenset({2048, 3072, 4096}),
    # "800 per 5 minutes" and "10 per second / 1200 per hour", each as a bucket that keeps to it
    # in any such span.
    budget=Budget(
        reads=(Limit(200, 2),),
        writes=(Limit(5, 5), Limit(100, 1100 / 3600)),
    ),
    actions=(
        "Microsoft.Storage/storageAccounts/read",
        "Microsoft.Storage/storageAccounts/write",
        # To tell a managed resource group, whose resources are never written to.
        "Microsoft.Resources/subscriptions/resourceGroups/read",
        # For accounts whose encryption uses a user-assigned identity: it is repeated in the body.
        "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
    ),
    advice={
        "KeyVaultAuthenticationFailure": (
            "give the account's identity get, wrapKey and unwrapKey on the vault (role Key Vault"
            " Crypto Service Encryption User), and check that both the old version and the new"
            " one are enabled and not expired"
        ),
        "KeyVaultPolicyError": "turn on soft-delete and purge protection on the vault",
        "AuthorizationFailed": (
            "give Keyturn's identity storageAccounts/read and storageAccounts/write on the account"
        ),
        "ScopeLocked": "remove the management lock on the account or its group, then run again",
    },
    sources=(
        _CMK_OVERVIEW,
        _LIMITS,
        "azure-rest-api-specs: StorageAccountUpdateUserAssignedEncryptionIdentityWithCMK.json",
        "azure-rest-api-specs: StorageAccountGetPropertiesCMKVersionExpirationTime.json",
        "azure-cli 2.77.0, recorded traffic: storage account with a customer-managed key",
        "terraform-provider-azurerm: storage_account_customer_managed_key_resource.go",
    ),
)
