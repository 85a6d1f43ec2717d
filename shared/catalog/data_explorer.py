"""Azure Data Explorer (Kusto) clusters."""

from shared.catalog.resource_manager import (
    ASSIGN_IDENTITY,
    ASSUMED,
    GROUP_READ,
    NO_BUDGET,
    RSA,
    advice,
    refused,
)
from shared.domain.kinds import Completion, Kind, Write
from shared.domain.proofs import AllOf, EchoesTarget, FieldIs, Level
from shared.domain.shapes import SplitReference

_KEY = "properties.keyVaultProperties"
_SHAPE = SplitReference(
    place="cluster",
    # Recorded: without a key of one's own the three fields are there, and empty.
    when=None,
    vault=f"{_KEY}.keyVaultUri",
    name=f"{_KEY}.keyName",
    version=f"{_KEY}.keyVersion",
)

_KEYS = "https://learn.microsoft.com/azure/data-explorer/customer-managed-keys"
_UPDATE = "https://learn.microsoft.com/powershell/module/az.kusto/update-azkustocluster"

KUSTO_CLUSTER = Kind(
    id="kusto_cluster",
    title="Data Explorer (Kusto) cluster",
    resource_type="Microsoft.Kusto/clusters",
    api_version="2025-02-14",
    shape=_SHAPE,
    write=Write(
        # docs: the page's own sample updates keyVaultProperties alone (C#, az kusto).
        verb="PATCH",
        send=(_KEY,),
        never=(),
        # Empty texts would take the key away.
        guard=f"{_KEY}.keyVaultUri",
        completion=Completion.STATE,
    ),
    proof=AllOf((EchoesTarget(_SHAPE), FieldIs("properties.provisioningState", "Succeeded"))),
    level=Level.CONFIGURED,
    in_use="",
    pinned=ASSUMED,
    # "Always use current key version": without a figure, and without a field that shows it.
    versionless=ASSUMED,
    identities=("properties.keyVaultProperties.userIdentity",),
    key_types=RSA,
    # "only support RSA keys of size 2048".
    key_bits=frozenset({2048}),
    budget=NO_BUDGET,
    actions=(
        "Microsoft.Kusto/clusters/read",
        "Microsoft.Kusto/clusters/write",
        GROUP_READ,
        # For clusters that use the key under a user-assigned identity: it is repeated.
        ASSIGN_IDENTITY,
    ),
    advice={
        **refused("the cluster's identity", "a cluster that is stopped must be started; "),
        **advice("clusters/read and clusters/write on the cluster"),
    },
    limits=(
        "the vault in the cluster's region",
        "soft-delete and Do Not Purge on the vault",
        "no leader or follower cluster",
    ),
    sources=(
        _KEYS,
        _UPDATE,
        "azure-cli-extensions, recorded traffic: cluster with empty key properties",
        "bicep-types-az: microsoft.kusto 2025-02-14",
    ),
)
