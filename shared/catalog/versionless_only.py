"""Services whose keys are named without a version, and that show nowhere which one they use.

They are reported only: NetApp accounts and Azure Cosmos DB for MongoDB (vCore).
"""

from shared.catalog.resource_manager import (
    ASSUMED,
    NO_BUDGET,
    PROTECTED_VAULT,
    RSA,
    SIZES,
    advice,
    vault_access,
)
from shared.domain.kinds import NO_WRITE, ByHand, Kind, Symptom
from shared.domain.proofs import Level, Unprovable
from shared.domain.shapes import SplitReference, UrlReference

_NETAPP_KEY = "properties.encryption.keyVaultProperties"
_MONGO_KEY = "properties.encryption.customerManagedKeyEncryption"

_NETAPP = "https://learn.microsoft.com/azure/azure-netapp-files/configure-customer-managed-keys"
_MONGO = "https://learn.microsoft.com/azure/documentdb/database-encryption-at-rest"

_NO_VERSION = Unprovable("it names the key alone, and shows no version of it")

NETAPP_ACCOUNT = Kind(
    id="netapp_account",
    title="NetApp account",
    resource_type="Microsoft.NetApp/netAppAccounts",
    api_version="2026-06-01",
    shape=SplitReference(
        place="volumes",
        when=("properties.encryption.keySource", "Microsoft.KeyVault"),
        vault=f"{_NETAPP_KEY}.keyVaultUri",
        name=f"{_NETAPP_KEY}.keyName",
        version="",
    ),
    write=NO_WRITE,
    proof=_NO_VERSION,
    level=Level.ACCEPTED,
    in_use="",
    pinned=ASSUMED,
    versionless=None,
    identities=("properties.encryption.identity.userAssignedIdentity",),
    key_types=RSA,
    key_bits=SIZES,
    # "get, encrypt, decrypt".
    operations=frozenset({"encrypt", "decrypt"}),
    budget=NO_BUDGET,
    actions=("Microsoft.NetApp/netAppAccounts/read",),
    advice=advice("netAppAccounts/read on the NetApp account"),
    symptoms=(
        Symptom(
            path=f"{_NETAPP_KEY}.status",
            says="Error",
            advice=(
                "give the account's identity get, encrypt and decrypt on the key, through the"
                " vault's private endpoint, then renew its credentials (az netappfiles account"
                " renew-credentials)"
            ),
        ),
    ),
    by_hand=ByHand(
        why=(
            "it names no version, and whether it takes up a new one by itself is documented nowhere"
            " (a page of 2022: rekeying is not supported)"
        ),
        steps=(
            "# Keep the old version enabled. See in the vault's audit log (AuditEvent, KeyDecrypt)"
            " which version the account's identity uses, before and after {target} was made.\n"
            "# If it stays on the old one, change to another key:\n"
            "az netappfiles account change-key-vault --ids {resource} --key-vault-uri <vault>"
            " --key-name <new key> --keyvault-resource-id <the vault's id>"
            " --key-vault-private-endpoints"
            ' "[{{virtual-network-id:<id>,private-endpoint-id:<id>}}]"\n'
            "# One entry for each virtual network that has encrypted volumes."
        ),
    ),
    limits=("the vault's private endpoint in the volumes' network", PROTECTED_VAULT),
    sources=(
        _NETAPP,
        "azure-cli 2.77.0, recorded traffic: changes of a key that were refused or failed",
        "bicep-types-az: microsoft.netapp 2026-06-01",
        "terraform-provider-azurerm: netapp_account_encryption_resource.go",
    ),
)

MONGO_CLUSTER = Kind(
    id="mongo_vcore",
    title="Cosmos DB for MongoDB (vCore) cluster",
    resource_type="Microsoft.DocumentDB/mongoClusters",
    api_version="2026-06-01",
    shape=UrlReference(place="cluster", when=None, url=f"{_MONGO_KEY}.keyEncryptionKeyUrl"),
    write=NO_WRITE,
    proof=_NO_VERSION,
    level=Level.ACCEPTED,
    in_use="",
    pinned=ASSUMED,
    versionless=None,
    key_types=RSA,
    key_bits=SIZES,
    budget=NO_BUDGET,
    actions=("Microsoft.DocumentDB/mongoClusters/read",),
    advice=advice("mongoClusters/read on the cluster"),
    by_hand=ByHand(
        why=(
            "it takes keys without a version only, what a change of it looks like is recorded and"
            " documented nowhere, and no field shows which version it uses"
        ),
        steps=(
            "# {resource} is said to follow the vault. Keep the old version enabled, and see in the"
            " vault's audit log (AuditEvent, KeyUnwrap) that its identity uses {target}."
        ),
    ),
    limits=("a user-assigned identity", PROTECTED_VAULT),
    sources=(
        _MONGO,
        "bicep-types-az: microsoft.documentdb 2026-06-01 (mongocluster)",
        "terraform-provider-azurerm: mongo_cluster_resource.go",
    ),
    if_stuck=vault_access("the cluster's identity"),
)
