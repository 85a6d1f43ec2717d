"""AKS clusters: their secrets (KMS), and their disks through a disk encryption set.

Both are reported only. Of KMS the service keeps two keys, the last and the one before: to change
the key twice without having encrypted all secrets anew leaves a cluster stuck, and encrypting them
needs a right inside Kubernetes, which Azure Resource Manager does not give.
"""

from datetime import timedelta

from shared.catalog.resource_manager import (
    ASSUMED,
    GROUP_READ,
    NO_BUDGET,
    RSA,
    SIZES,
    advice,
    vault_access,
)
from shared.domain.kinds import NO_WRITE, ByHand, Kind, Looks, Symptom, Through, Window
from shared.domain.proofs import AllOf, EchoesTarget, FieldIs, Level
from shared.domain.shapes import UrlReference

_KMS = "properties.securityProfile.azureKeyVaultKms"
_SHAPE = UrlReference(place="secrets (KMS)", when=(f"{_KMS}.enabled", "true"), url=f"{_KMS}.keyId")

_KMS_PAGE = "https://learn.microsoft.com/azure/aks/use-kms-etcd-encryption"
_NEW_KMS = "https://learn.microsoft.com/azure/aks/kms-data-encryption"
_DISKS = "https://learn.microsoft.com/azure/aks/azure-disk-customer-managed-keys"

AKS_CLUSTER = Kind(
    id="aks_cluster",
    title="AKS cluster",
    resource_type="Microsoft.ContainerService/managedClusters",
    # The lowest that has azureKeyVaultKms; it is only read.
    api_version="2022-06-01",
    shape=_SHAPE,
    write=NO_WRITE,
    proof=AllOf((EchoesTarget(_SHAPE), FieldIs("properties.provisioningState", "Succeeded"))),
    level=Level.CONFIGURED,
    in_use="",
    pinned=ASSUMED,
    # "checks every 6 hours".
    versionless=Window(
        length=timedelta(hours=6),
        looks=Looks(first=timedelta(minutes=30)),
        source=_NEW_KMS,
        only="with infrastructureEncryption",
    ),
    key_types=RSA,
    key_bits=SIZES,
    # KMS encrypts and decrypts with the key itself; the disks' set wraps.
    operations=frozenset({"encrypt", "decrypt"}),
    budget=NO_BUDGET,
    actions=("Microsoft.ContainerService/managedClusters/read", GROUP_READ),
    advice={
        # "Operation encrypt isn't allowed on an expired key".
        "KeyExpired": "put off the expiry date of the version that the cluster used last",
        **advice("managedClusters/read on the cluster"),
    },
    by_hand=ByHand(
        why=(
            "after each change of the key all secrets must be encrypted anew from inside the"
            " cluster, and two changes without that leave it stuck"
        ),
        steps=(
            "# First see that the last change is over: every secret encrypted anew, state"
            " Succeeded.\n"
            "az aks update -g {group} -n {name} --enable-azure-keyvault-kms"
            " --azure-keyvault-kms-key-id {target}\n"
            "kubectl get secrets --all-namespaces -o json | kubectl replace -f -\n"
            "# Keep the old version enabled until that is done; never change the key twice without"
            " it.\n"
            "# Nodes with ephemeral OS disks keep the old version until they are made new."
        ),
        # "checks every 6 hours", with infrastructureEncryption.
        following=(
            "see in the vault's audit log (AuditEvent) that the cluster encrypts with the new"
            " version, within six hours of its creation with infrastructureEncryption, and keep"
            " the old one enabled until it does; let the cluster name no version: that would pin it"
        ),
    ),
    through=(
        Through(
            kind="disk_encryption_set",
            names="properties.diskEncryptionSetID",
            by="",
            says="its disks are encrypted through",
            keeps_old=Symptom(
                path="osDiskType",
                says="Ephemeral",
                advice=(
                    "the nodes of a pool with ephemeral OS disks keep the old version until they"
                    " are made new: upgrade the pool's node image (az aks nodepool upgrade"
                    " --node-image-only) or scale it to 0 and back; keep the old version enabled"
                    " until then"
                ),
            ),
            parts="properties.agentPoolProfiles.*",
            part_type="agentPools",
        ),
    ),
    limits=(
        "the previous key must be neither deleted nor expired",
        "the cluster's identity is a Key Vault Crypto User; of a private vault a Contributor too",
    ),
    sources=(
        _KMS_PAGE,
        _NEW_KMS,
        _DISKS,
        "github.com/Azure/kubernetes-kms#291",
        "bicep-types-az: microsoft.containerservice 2022-06-01",
        "terraform-provider-azurerm: kubernetes_cluster_resource.go (a KMS key with its version)",
    ),
    if_stuck=(
        "look at the cluster's state (az aks show): a change that does not end, after two changes"
        " of the key, needs Microsoft's support; else " + vault_access("the cluster's identity")
    ),
)
