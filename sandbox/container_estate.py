"""Container groups as they are found in companies."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from sandbox.arm.container_groups import FIRST_PARTY, ContainerGroups
from sandbox.arm.container_pace import CREATION, GroupPace
from sandbox.arm.identities import Identities
from sandbox.arm.resource_ids import ResourceId
from sandbox.arm.resources import Body, ResourceStore
from sandbox.key_vault import Vault

type FindKey = Callable[[str], tuple[Vault, str, str]]
"""Gives vault, name and version of the key at a URL, which is made if there is none."""
type Secrets = Literal["none", "references", "hidden"]
"""How a group holds its secrets: it has none, only references to a vault's, or values that no GET
shows."""


@dataclass(frozen=True, slots=True)
class ContainerGroup:
    """A container group of an estate."""

    id: str
    principal: str
    """Object id of the identity that uses the key; empty without a key."""
    pace: GroupPace
    """How it comes and goes when it is made again, to be changed at will."""


class ContainerEstate:
    """Makes and stops container groups on this side of ARM. What is made runs at once."""

    def __init__(
        self,
        resources: ResourceStore,
        containers: ContainerGroups,
        identities: Identities,
        find_key: FindKey,
    ) -> None:
        self._resources = resources
        self._containers = containers
        self._identities = identities
        self._find_key = find_key

    def make(  # noqa: PLR0913 - each is one setting of a group, all by name
        self,
        name: str,
        *,
        subscription: str,
        key: str | None,
        version: Literal["pinned", "absent"] = "pinned",
        group: str = "rg-containers",
        location: str = "westeurope",
        user_assigned: str = "",
        secrets: Secrets = "none",
        dns_label: str = "",
        subnet: str = "",
        tags: dict[str, str] | None = None,
    ) -> ContainerGroup:
        """Make a container group, its identity having been given the right to its key.

        Args:
            name: Of the group.
            subscription: Its id, as ``Estate.subscription`` returned it.
            key: URL of the key that it uses, or of one version of it; ``None`` for platform-managed
                keys.
            version: Whether it names the version.
            group: Its resource group, made if there is none.
            location: Its region.
            user_assigned: Id of the user-assigned identity that uses the key; empty for none: the
                service's own principal uses it then.
            secrets: How it holds its secrets; references need an identity.
            dns_label: Its DNS name label; empty for none.
            subnet: Id of the subnet that it is in; empty: it is reachable from everywhere.
            tags: Of the group.
        """
        principal = self._identities.of(user_assigned) if user_assigned else FIRST_PARTY
        encryption: Body | None = None
        if key:
            vault, key_name, kept = self._find_key(key)
            vault.grant(principal, {"get", "wrapKey", "unwrapKey"})
            encryption = {
                "vaultBaseUrl": vault.uri,
                "keyName": key_name,
                **({"keyVersion": kept} if version == "pinned" else {}),
                **({"identity": user_assigned} if user_assigned else {}),
            }
        request = group_request(
            name,
            location=location,
            encryption=encryption,
            user_assigned=user_assigned,
            secrets=secrets,
            dns_label=dns_label,
            tags=tags or {},
        )
        if subnet:
            request["properties"]["subnetIds"] = [{"id": subnet}]
            request["properties"]["ipAddress"]["type"] = "Private"
        self._resources.add_group(subscription, group)
        resource_id = ResourceId(subscription, group, self._containers.type, name)
        pace = self._run(resource_id, request)
        return ContainerGroup(str(resource_id), principal if key else "", pace)

    def _run(self, resource_id: ResourceId, request: Body) -> GroupPace:
        with self._resources.lock:
            pace, newest = self._containers.pace(resource_id), self._containers.api_versions[-1]
            pace.creation = timedelta(0)
            _, resource = self._containers.create(resource_id, request, newest)
            self._containers.settle(resource)
            pace.creation = CREATION
            self._resources.add(resource)
        self._containers.truth.start_counting(resource_id)
        return pace

    def stop(self, group: ContainerGroup) -> None:
        """Stop a container group that runs, behind everyone's back."""
        with self._resources.lock:
            self._containers.stop(self._resources.get(ResourceId.parse(group.id)))


def group_request(  # noqa: PLR0913 - each is one setting of a group, all by name
    name: str,
    *,
    location: str,
    encryption: Body | None,
    user_assigned: str,
    secrets: Secrets,
    dns_label: str,
    tags: dict[str, str],
) -> Body:
    """Return the body of a PUT of a group with one container, reachable from everywhere.

    Args:
        name: Of the group and of its container.
        location: Its region.
        encryption: Its ``encryptionProperties``; ``None`` for platform-managed keys.
        user_assigned: Id of the identity that it has; empty for none. References need one.
        secrets: How it holds its secrets.
        dns_label: Its ``dnsNameLabel``; empty for none.
        tags: Of the group.
    """
    label = {"dnsNameLabel": dns_label} if dns_label else {}
    request: Body = {
        "location": location,
        "tags": tags,
        "properties": {
            "sku": "Standard",
            "osType": "Linux",
            "restartPolicy": "Always",
            "ipAddress": {"type": "Public", "ports": [{"protocol": "TCP", "port": 80}], **label},
            "containers": [
                {
                    "name": name,
                    "properties": {
                        "image": "mcr.microsoft.com/azuredocs/aci-helloworld:latest",
                        "ports": [{"protocol": "TCP", "port": 80}],
                        "environmentVariables": [{"name": "LOG_LEVEL", "value": "info"}],
                        "resources": {"requests": {"memoryInGB": 1.5, "cpu": 1.0}},
                    },
                }
            ],
        },
    }
    if user_assigned:
        identities: Body = {user_assigned: {}}
        request["identity"] = {"type": "UserAssigned", "userAssignedIdentities": identities}
    if encryption:
        request["properties"]["encryptionProperties"] = encryption
    if secrets == "hidden":
        _hide(request["properties"])
    elif secrets == "references":
        _refer(request["properties"], user_assigned)
    return request


def _hide(properties: Body) -> None:
    """Give a group one secret of every sort that it can hold as a value."""
    container = properties["containers"][0]["properties"]
    container["environmentVariables"].append({"name": "TOKEN", "secureValue": "hidden-token"})
    properties["imageRegistryCredentials"] = [
        {"server": "contoso.azurecr.io", "username": "contoso", "password": "hidden-password"}
    ]
    properties["volumes"] = [
        {"name": "share", "azureFile": {**_SHARE, "storageAccountKey": "hidden-key"}},
        {"name": "files", "secret": {"tls.pem": "aGlkZGVuLWZpbGU="}},
    ]
    logs = {"workspaceId": "5c6b1f0e-0f0a-4f0b-9b1d-6a2f5d1e7c3b", "workspaceKey": "hidden-logs"}
    properties["diagnostics"] = {"logAnalytics": logs}


def _refer(properties: Body, identity: str) -> None:
    """Give a group its secrets as references, and let it pull its image as its identity."""
    container = properties["containers"][0]["properties"]
    container["environmentVariables"].append({"name": "TOKEN", "secureValueReference": "token"})
    properties["imageRegistryCredentials"] = [
        {"server": "contoso.azurecr.io", "identity": identity}
    ]
    properties["volumes"] = [
        {"name": "share", "azureFile": {**_SHARE, "storageAccountKeyReference": "share-key"}}
    ]
    properties["secretReferences"] = [
        {
            "name": name,
            "identity": identity,
            "secretReferenceUri": f"https://kv-contoso-secrets.vault.azure.net/secrets/{name}",
        }
        for name in ("token", "share-key")
    ]


_SHARE = {"shareName": "content", "storageAccountName": "stcontosocontent", "readOnly": True}
