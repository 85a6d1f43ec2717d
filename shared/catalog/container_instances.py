"""Container groups of Azure Container Instances.

What is encrypted is what the service keeps about a deployment (metadata, environment variables,
logs of stopped containers), not data that the containers write. A group names one version of a key
when it is made; PATCH changes tags only, and whether a PUT changes the version in place is
documented nowhere, so that a group is deleted and made again, or left to a person.
"""

from datetime import timedelta

from shared.catalog.resource_manager import (
    ASSIGN_IDENTITY,
    GROUP_READ,
    JOIN_SUBNET,
    advice,
)
from shared.domain.kinds import Completion, Kind, Linked, Looks, Recreation, Secret, Window, Write
from shared.domain.pacing import Budget, Limit
from shared.domain.proofs import AllOf, EchoesTarget, FieldIs, Level
from shared.domain.shapes import SplitReference

_WRITE = "Microsoft.ContainerInstance/containerGroups/write"
_DELETE = "Microsoft.ContainerInstance/containerGroups/delete"
_KEY = "properties.encryptionProperties"
_SHAPE = SplitReference(
    place="container group",
    when=None,
    vault=f"{_KEY}.vaultBaseUrl",
    name=f"{_KEY}.keyName",
    version=f"{_KEY}.keyVersion",
)

_ENCRYPT = "https://learn.microsoft.com/azure/container-instances/container-instances-encrypt-data"
_UPDATE = "https://learn.microsoft.com/azure/container-instances/container-instances-update"
_DNS = "https://learn.microsoft.com/azure/container-instances/how-to-reuse-dns-names"
_QUOTAS = (
    "https://learn.microsoft.com/azure/container-instances/"
    "container-instances-resource-and-quota-limits"
)

# ``sensitive`` in Microsoft's types: secureValue, password, storageAccountKey, workspaceKey and
# workspaceResourceId. None is trusted if a GET should show one: it may be masked.
_SECRETS = (
    Secret(
        each="properties.containers.*.properties.environmentVariables.*",
        unless=("value", "secureValueReference"),
        fields=("secureValue",),
        title="secure environment variables",
    ),
    Secret(
        each="properties.initContainers.*.properties.environmentVariables.*",
        unless=("value", "secureValueReference"),
        fields=("secureValue",),
        title="secure environment variables of init containers",
    ),
    Secret(
        each="properties.imageRegistryCredentials.*",
        unless=("identity", "passwordReference"),
        fields=("password",),
        title="registry passwords",
    ),
    Secret(
        each="properties.volumes.*.azureFile",
        unless=("storageAccountKeyReference",),
        fields=("storageAccountKey",),
        title="storage account keys of volumes",
    ),
    # A volume of no other form is one of secrets, whether a GET shows their names or nothing.
    Secret(
        each="properties.volumes.*",
        unless=("azureFile", "emptyDir", "gitRepo", "secretReference"),
        fields=("secret",),
        title="secret volumes",
    ),
    Secret(
        each="properties.diagnostics.logAnalytics",
        unless=(),
        fields=("workspaceKey", "workspaceResourceId"),
        title="Log Analytics keys",
    ),
    Secret(
        each="properties.extensions.*",
        unless=(),
        fields=("properties.protectedSettings",),
        title="protected settings of extensions",
    ),
    # Made again without its policy, a confidential group would enforce none.
    Secret(
        each="",
        unless=("properties.confidentialComputeProperties.ccePolicy",),
        fields=("properties.confidentialComputeProperties.ccePolicy",),
        title="confidential computing policy",
        when=("properties.sku", "Confidential"),
    ),
)

_RECREATION = Recreation(
    secrets=_SECRETS,
    identity=f"{_KEY}.identity",
    state="properties.instanceView.state",
    own_identity="identity.type",
    # A profile has encryptionProperties of its own; which of the two wins is documented nowhere.
    made_from=(
        "properties.containerGroupProfile",
        "properties.standbyPoolProfile",
        "properties.isCreatedFromStandbyPool",
    ),
    at_source=(
        "have the container group profile, that of the standby pool too, name the new version in"
        " its encryptionProperties, make the group again from it as it was made at first, and see"
        " that its keyVersion is the new one; its containers stop meanwhile"
    ),
    actions=(_WRITE, _DELETE),
    linked=(
        Linked(names="identity.userAssignedIdentities", action=ASSIGN_IDENTITY),
        # That it takes the right where the identity is named here is a guess, the careful one.
        Linked(names=f"{_KEY}.identity", action=ASSIGN_IDENTITY),
        Linked(names="properties.subnetIds.*.id", action=JOIN_SUBNET),
    ),
    consequences=(
        "The group is deleted and made new: its containers stop and start again, on another host;"
        " images are pulled afresh; what is in emptyDir volumes and in its logs is lost; its public"
        " or private IP address may change; its DNS name stays if its label's scope lets it be"
        " used again (not with Noreuse) and nobody took it meanwhile."
    ),
    # Not "az container export": it reads at an API version without secretReferences and drops
    # zones. --output-file, because what ">" writes depends on the shell.
    commands=(
        'az rest --method get --url "{url}" --output-file {name}.json\n'
        "# In {name}.json: {change}.\n"
        'az container delete --subscription {subscription} --resource-group "{group}"'
        " --name {name} --yes\n"
        'az rest --method put --url "{url}" --body "@{name}.json"'
    ),
)

CONTAINER_GROUP = Kind(
    id="container_group",
    title="container group",
    resource_type="Microsoft.ContainerInstance/containerGroups",
    # The lowest that has secretReferences, with which no secret is hidden.
    api_version="2025-09-01",
    shape=_SHAPE,
    write=Write(
        verb="PUT",
        # Everything: what a PUT leaves out reverts to its default.
        send=("location", "tags", "zones", "identity", "properties"),
        never=(
            "identity.principalId",
            "identity.tenantId",
            "identity.userAssignedIdentities.*.principalId",
            "identity.userAssignedIdentities.*.clientId",
            "properties.provisioningState",
            "properties.instanceView",
            "properties.containers.*.properties.instanceView",
            "properties.initContainers.*.properties.instanceView",
            "properties.isCreatedFromStandbyPool",
            "properties.ipAddress.fqdn",
            # Writable in the types, but Azure's to give.
            "properties.ipAddress.ip",
        ),
        guard=f"{_KEY}.vaultBaseUrl",
        completion=Completion.STATE,
    ),
    proof=AllOf((EchoesTarget(_SHAPE), FieldIs("properties.provisioningState", "Succeeded"))),
    level=Level.CONFIGURED,
    in_use="",
    # No figure is documented; pulling large images may take long.
    pinned=Window(length=timedelta(hours=1), looks=Looks(first=timedelta(seconds=30)), source=""),
    # keyVersion is required in the types of every version up to 2026-07-01. That a group without
    # one follows the vault is said in azure-rest-api-specs#24296 only.
    versionless=None,
    # Without it the deleted group would not start again.
    identities=(f"{_KEY}.identity",),
    # No page names types or sizes; it unwraps, which takes an RSA key.
    key_types=frozenset({"RSA", "RSA-HSM"}),
    key_bits=frozenset({2048, 3072, 4096}),
    # "Get and Unwrap Key".
    operations=frozenset({"unwrapkey"}),
    # 100 creates, and as many deletes, in 5 minutes; 300 in an hour.
    budget=Budget(reads=(), writes=(Limit(50, 250 / 3600),)),
    actions=(
        "Microsoft.ContainerInstance/containerGroups/read",
        # These only where groups may be made again.
        _WRITE,
        _DELETE,
        ASSIGN_IDENTITY,
        JOIN_SUBNET,
        GROUP_READ,
    ),
    advice={
        "InvalidContainerGroupUpdate": "delete the group, then make it again with the new version",
        "ContainerGroupTransitioning": (
            "another change of the group is under way; if it stays so, look at its events (az"
            " container show), stop it or delete it, then rotate again"
        ),
        "ServiceUnavailable": (
            "its region has no room for it now; its definition is there, with the new version:"
            " start it (az container start) when there is room, or make it in another region"
        ),
        "OsVersionNotSupported": "use an image whose operating system version is still supported",
        **advice("containerGroups/read, containerGroups/write and containerGroups/delete"),
    },
    limits=(
        "of a protected vault: a user-assigned identity, and trusted services let through",
        "it encrypts the deployment's metadata and logs, not what the containers keep",
    ),
    sources=(
        _ENCRYPT,
        _UPDATE,
        _DNS,
        _QUOTAS,
        "azure-rest-api-specs: ContainerGroupEncryptionProperties.json (2025-09-01)",
        "bicep-types-az: microsoft.containerinstance 2025-09-01",
        "azure-cli: az rest (--url without a host, --output-file, --body @file)",
        "terraform-provider-azurerm: container_group_resource.go (key_vault_key_id is ForceNew)",
    ),
    recreation=_RECREATION,
    if_stuck=(
        "look at the group's events (az container show, instanceView): whether its image can be"
        " pulled, cores are left in the region's quota, and the identity that it uses the key"
        " under may get and unwrap with the new version and gets through the vault's firewall;"
        " keep the old version enabled, then rotate again"
    ),
)
