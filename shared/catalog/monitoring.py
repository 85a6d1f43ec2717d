"""Log Analytics clusters, and the Application Insights components that write to them.

To disable the old version before a cluster names the new one is to revoke it: what is ingested
meanwhile is lost for good.
"""

from shared.catalog.resource_manager import (
    ASSIGN_IDENTITY,
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
from shared.domain.kinds import NO_WRITE, Completion, Kind, Through, Write
from shared.domain.proofs import AllOf, EchoesTarget, FieldIs, Level, Unprovable
from shared.domain.shapes import NoReference, SplitReference

_KEY = "properties.keyVaultProperties"
_SHAPE = SplitReference(
    place="cluster",
    when=None,
    vault=f"{_KEY}.keyVaultUri",
    name=f"{_KEY}.keyName",
    version=f"{_KEY}.keyVersion",
)

_KEYS = "https://learn.microsoft.com/azure/azure-monitor/logs/customer-managed-keys"
_WORKSPACE_BASED = "https://learn.microsoft.com/azure/azure-monitor/app/create-workspace-resource"

LOG_ANALYTICS_CLUSTER = Kind(
    id="log_analytics_cluster",
    title="Log Analytics cluster",
    resource_type="Microsoft.OperationalInsights/clusters",
    # With a PUT, what a version does not know may be lost: the newest stable one.
    api_version="2026-03-01",
    shape=_SHAPE,
    write=Write(
        # The catalog of facts has a PATCH, as Microsoft's example; recorded is a PUT of the whole,
        # and that is what is sent. The page forbids to *change* identity and key in one call; the
        # recorded PUT repeats the identity as it is, without which a PUT might take it away.
        verb="PUT",
        send=("location", "tags", "sku", "identity", "properties"),
        never=(
            "identity.principalId",
            "identity.tenantId",
            "identity.userAssignedIdentities.*.principalId",
            "identity.userAssignedIdentities.*.clientId",
            "properties.clusterId",
            "properties.provisioningState",
            "properties.lastModifiedDate",
            "properties.createdDate",
            # Writable in the types; refused with 400 InvalidParameter (terraform), never recorded.
            "properties.associatedWorkspaces",
            "properties.capacityReservationProperties.lastSkuUpdate",
            "properties.capacityReservationProperties.minCapacity",
            "properties.replication.provisioningState",
            "properties.replication.createdDate",
            "properties.replication.lastModifiedDate",
        ),
        # Empty texts would take the key away.
        guard=f"{_KEY}.keyVaultUri",
        # Recorded: 202 without a body, ten polls in five minutes.
        completion=Completion.STATE,
    ),
    proof=AllOf((EchoesTarget(_SHAPE), FieldIs("properties.provisioningState", "Succeeded"))),
    level=Level.CONFIGURED,
    in_use="",
    pinned=ASSUMED,
    # "the latest key version is used automatically": without a figure, and without a field.
    versionless=ASSUMED,
    key_types=RSA,
    key_bits=SIZES,
    budget=NO_BUDGET,
    actions=(
        "Microsoft.OperationalInsights/clusters/read",
        "Microsoft.OperationalInsights/clusters/write",
        GROUP_READ,
        # Where the identity that is repeated is a user-assigned one.
        ASSIGN_IDENTITY,
    ),
    advice={
        # docs: "Failed to validate key in Key Vault", "Key isn't recoverable", "bad format".
        "InvalidParameter": (
            "see the message: the vault needs soft-delete and purge protection; "
            + vault_access("the cluster's identity")
        ),
        # docs, as 400 without a code: "Async operation in progress" among others.
        **refused("the cluster's identity", "another change of it may be under way; "),
        **advice("clusters/read and clusters/write on the cluster"),
    },
    limits=(
        "vault, cluster and linked workspaces in one region and tenant",
        "a user-assigned identity cannot be used with a vault behind Private Link",
        "the old version stays enabled until the cluster names the new one, or new data is lost",
        PROTECTED_VAULT,
    ),
    sources=(
        _KEYS,
        "azure-cli-extensions, recorded traffic: cluster moved from a version to none (PUT 202)",
        "azure-rest-api-specs: ClustersUpdate.json (2025-07-01)",
        "bicep-types-az: microsoft.operationalinsights 2026-03-01",
        "terraform-provider-azurerm: log_analytics_cluster_customer_managed_key_resource.go",
    ),
    if_stuck=(
        "keep the old version enabled, or the cluster drops what it is sent; look at its"
        " provisioningState (az monitor log-analytics cluster show), which may take hours; "
        + vault_access("the cluster's identity")
    ),
)

APPLICATION_INSIGHTS = Kind(
    id="application_insights",
    title="Application Insights component",
    resource_type="Microsoft.Insights/components",
    # The first with workspace-based components.
    api_version="2020-02-02",
    shape=NoReference(),
    write=NO_WRITE,
    proof=Unprovable("it names no key itself"),
    level=Level.ACCEPTED,
    in_use="",
    pinned=ASSUMED,
    versionless=None,
    key_types=RSA,
    key_bits=SIZES,
    budget=NO_BUDGET,
    actions=("Microsoft.Insights/components/read",),
    advice=advice("components/read on the component"),
    through=(
        Through(
            kind="log_analytics_cluster",
            names="properties.WorkspaceResourceId",
            by="properties.associatedWorkspaces.*.resourceId",
            says="its telemetry lies in a workspace of",
        ),
    ),
    limits=("only workspace-based components, whose workspace is linked to the cluster",),
    sources=(_KEYS, _WORKSPACE_BASED, "bicep-types-az: microsoft.insights 2020-02-02"),
)
