"""Data Factory, and Synapse workspaces, which are reported only."""

from shared.catalog.resource_manager import (
    ASSIGN_IDENTITY,
    ASSUMED,
    GROUP_READ,
    NO_BUDGET,
    PROTECTED_VAULT,
    RSA,
    advice,
    refused,
    vault_access,
)
from shared.domain.kinds import NO_WRITE, ByHand, Completion, Kind, Write
from shared.domain.proofs import AllOf, EchoesTarget, FieldIs, Level, Unprovable
from shared.domain.shapes import SplitReference, UrlReference

_ENCRYPTION = "properties.encryption"
_FACTORY_SHAPE = SplitReference(
    place="factory",
    when=None,
    vault=f"{_ENCRYPTION}.vaultBaseUrl",
    name=f"{_ENCRYPTION}.keyName",
    version=f"{_ENCRYPTION}.keyVersion",
)

_FACTORY = "https://learn.microsoft.com/azure/data-factory/enable-customer-managed-key"
_FACTORIES = "https://learn.microsoft.com/rest/api/datafactory/factories/create-or-update"
_SYNAPSE = "https://learn.microsoft.com/azure/synapse-analytics/security/workspaces-encryption"

DATA_FACTORY = Kind(
    id="data_factory",
    title="Data Factory",
    resource_type="Microsoft.DataFactory/factories",
    # The only stable one.
    api_version="2018-06-01",
    shape=_FACTORY_SHAPE,
    write=Write(
        # PATCH takes tags and identity only. A PUT that leaves repoConfiguration or
        # globalParameters out takes them away.
        verb="PUT",
        send=("location", "tags", "identity", "properties"),
        never=(
            "identity.principalId",
            "identity.tenantId",
            "identity.userAssignedIdentities.*.principalId",
            "identity.userAssignedIdentities.*.clientId",
            "properties.provisioningState",
            "properties.createTime",
            "properties.version",
        ),
        guard=f"{_ENCRYPTION}.vaultBaseUrl",
        completion=Completion.SYNC,
    ),
    proof=AllOf(
        (EchoesTarget(_FACTORY_SHAPE), FieldIs("properties.provisioningState", "Succeeded"))
    ),
    level=Level.CONFIGURED,
    in_use="",
    pinned=ASSUMED,
    # The types say "If not provided, latest version will be used", the page that a person updates
    # it, and Terraform demands a version: it is not promised that a factory follows the vault.
    versionless=None,
    identities=("properties.encryption.identity.userAssignedIdentity",),
    key_types=RSA,
    # "RSA 2048 bits keys are supported."
    key_bits=frozenset({2048}),
    budget=NO_BUDGET,
    actions=(
        "Microsoft.DataFactory/factories/read",
        "Microsoft.DataFactory/factories/write",
        GROUP_READ,
        # The identity is repeated.
        ASSIGN_IDENTITY,
    ),
    advice={
        **refused("the factory's identity for encryption"),
        **advice("factories/read and factories/write on the Data Factory"),
    },
    limits=(
        "vault and factory in one region and tenant; an RSA key of 2048 bits",
        "encryption with one's own key is never undone",
        PROTECTED_VAULT,
    ),
    sources=(
        _FACTORY,
        _FACTORIES,
        "bicep-types-az: microsoft.datafactory 2018-06-01",
        "terraform-provider-azurerm: data_factory_customer_managed_key_resource.go",
    ),
)

SYNAPSE_WORKSPACE = Kind(
    id="synapse_workspace",
    title="Synapse workspace",
    resource_type="Microsoft.Synapse/workspaces",
    api_version="2021-06-01",
    shape=UrlReference(place="workspace", when=None, url=f"{_ENCRYPTION}.cmk.key.keyVaultUrl"),
    write=NO_WRITE,
    proof=Unprovable("the workspace shows the key, and no version of it"),
    level=Level.ACCEPTED,
    in_use="",
    pinned=ASSUMED,
    # A key without a version only, and a new version is not taken up by itself.
    versionless=None,
    identities=("properties.encryption.cmk.kekIdentity.userAssignedIdentity",),
    key_types=RSA,
    key_bits=frozenset({2048, 3072}),
    budget=NO_BUDGET,
    actions=("Microsoft.Synapse/workspaces/read",),
    advice=advice("workspaces/read on the Synapse workspace"),
    by_hand=ByHand(
        why=(
            "a new version of the same key is taken up only by a change to another key and back,"
            " each of which encrypts the whole workspace anew, and no field shows the version"
        ),
        steps=(
            "# With a second key of the vault, which the workspace's identity may use:\n"
            "az synapse workspace key create --name temporary --workspace-name <its name>"
            " -g <its group> --key-identifier <URL of the second key>\n"
            "az synapse workspace update --ids {resource} --key-name temporary\n"
            "# Wait until properties.encryption.cmk.status no longer says Updating;"
            " provisioningState is Succeeded long before. Then back, by the name of its own key:\n"
            "az synapse workspace update --ids {resource} --key-name default\n"
            "# Wait again, and see in the vault's audit log that it unwraps with {target}. Keep the"
            " old version enabled until then."
        ),
    ),
    limits=(
        "workspaces with double encryption only, which is chosen when they are made",
        "a user-assigned identity cannot be used with a vault behind a firewall",
    ),
    sources=(
        _SYNAPSE,
        "azure-cli 2.77.0, recorded traffic: workspace moved to another key (PATCH 201)",
        "bicep-types-az: microsoft.synapse 2021-06-01",
        "terraform-provider-azurerm: synapse_workspace_key_resource.go",
    ),
    if_stuck=(
        "look at properties.encryption.cmk.status; " + vault_access("the workspace's identity")
    ),
)
