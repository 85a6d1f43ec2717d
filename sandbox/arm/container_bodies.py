"""What a container group's body looks like, and what of it is never shown again.

Recorded: azure-cli, test_container_create.yaml and test_container_create_with_msi.yaml, and
azure-powershell, Update-AzContainerGroup.Recording.json; those groups have platform keys. The form
of ``encryptionProperties`` is that of the spec example ContainerGroupEncryptionProperties.json.
Nothing here asks a vault.
"""

from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from sandbox.arm.resource_ids import ResourceId
from sandbox.arm.resources import Body

REFERENCES_SINCE = "2025-09-01"  # bicep types: absent from 2022-09-01
"""The first api-version with ``secretReferences`` and the fields that name one of them."""
_STANDBY_POOLS_SINCE = "2025-09-01"  # spec example; not in the OpenAPI file of 2023-05-01
_ECHOED = (
    "restartPolicy",
    "ipAddress",
    "osType",
    "volumes",
    "imageRegistryCredentials",
    "diagnostics",
    "subnetIds",
    "dnsConfig",
    "encryptionProperties",
    "secretReferences",
    "extensions",
    "confidentialComputeProperties",
    "priority",
)
_REFERENCES = ("secureValueReference", "passwordReference", "storageAccountKeyReference")


def new_body(resource_id: ResourceId, request: Body, identity: Body | None) -> Body:
    """Return the body of a group that is about to start: what was asked for, without its secrets.

    Read-only and unknown properties are ignored (inference, as for storage accounts).
    """
    asked = deepcopy(request["properties"])
    take_secrets(asked)
    properties: Body = {
        "sku": asked.get("sku", "Standard"),
        "provisioningState": "Pending",
        "isCreatedFromStandbyPool": False,
        "containers": [_container(each) for each in asked["containers"]],
        "initContainers": [_container(each) for each in asked.get("initContainers") or []],
        **{name: asked[name] for name in _ECHOED if asked.get(name) is not None},
    }
    for name in ("ip", "fqdn"):
        properties.get("ipAddress", {}).pop(name, None)
    if "encryptionProperties" in properties:
        encryption = properties["encryptionProperties"]
        encryption["vaultBaseUrl"] = encryption["vaultBaseUrl"].rstrip("/") + "/"
    properties["instanceView"] = {"events": [], "state": "Pending"}
    body: Body = {
        "properties": properties,
        "id": str(resource_id),
        "name": resource_id.name,
        "type": resource_id.type,
        "location": str(request["location"]).replace(" ", "").lower(),
        "tags": dict(request.get("tags") or {}),
    }
    if identity:
        body["identity"] = identity
    if request.get("zones"):
        body["zones"] = list(request["zones"])
    return body


def _container(asked: Body) -> Body:
    properties = {"environmentVariables": [], **asked["properties"]}
    properties.pop("instanceView", None)
    return {"name": asked["name"], "properties": properties}


def take_secrets(properties: Body) -> dict[str, str]:
    """Take every secret out of a group's properties; return them by the place where they stood.

    That none comes back is recorded for secret volumes, whose ``secret`` is then an empty object,
    and reported for the others (azure-docs#88990, terraform-provider-azurerm#26631 and its notes on
    ``workspaceKey``).
    """
    taken: dict[str, str] = {}
    for place, holder, name in _secret_places(properties):
        if isinstance(secret := holder.pop(name, None), str):
            taken[f"{place}/{name}"] = secret
    for volume in properties.get("volumes") or []:
        secrets = volume.get("secret") or {}
        taken.update({f"volumes/{volume['name']}/secret/{name}": secrets[name] for name in secrets})
        secrets.clear()
    return taken


def _secret_places(properties: Body) -> Iterator[tuple[str, Body, str]]:
    """Return where a single secret may stand: a name for the place, the object and the member."""
    for place, variable in environment(properties):
        yield place, variable, "secureValue"
    for credential in properties.get("imageRegistryCredentials") or []:
        yield f"imageRegistryCredentials/{credential['server']}", credential, "password"
    for volume in properties.get("volumes") or []:
        share = volume.get("azureFile") or {}
        yield f"volumes/{volume['name']}/azureFile", share, "storageAccountKey"
    logs = (properties.get("diagnostics") or {}).get("logAnalytics") or {}
    yield "diagnostics/logAnalytics", logs, "workspaceKey"


def environment(properties: Body) -> Iterator[tuple[str, Body]]:
    """Return every environment variable of every container, after a name for its place."""
    for kind in ("containers", "initContainers"):
        for container in properties.get(kind) or []:
            for variable in container["properties"].get("environmentVariables") or []:
                yield f"{kind}/{container['name']}/{variable.get('name')}", variable


def references(properties: Body) -> set[str]:
    """Return the names of the secret references that a group's fields point to."""
    named = {
        str(holder[each])
        for _, holder, _ in _secret_places(properties)
        for each in _REFERENCES
        if holder.get(each)
    }
    for volume in properties.get("volumes") or []:
        named.update(map(str, (volume.get("secretReference") or {}).values()))
    return named


def shown(body: Body, api_version: str, *, listed: bool = False) -> Body:
    """Return a group's body as an answer has it.

    Args:
        body: All that there is to show.
        api_version: Of the request: an older one has fewer fields.
        listed: Whether it is one of a list, where there are no instance views (recorded).
    """
    answer = deepcopy(body)
    properties = answer["properties"]
    if api_version < REFERENCES_SINCE:
        _hide_references(properties)
    if api_version < _STANDBY_POOLS_SINCE:
        properties.pop("isCreatedFromStandbyPool", None)
    if listed:
        properties.pop("instanceView", None)
        for container in (*properties["containers"], *properties["initContainers"]):
            container["properties"].pop("instanceView", None)
    return answer


def _hide_references(properties: Body) -> None:
    properties.pop("secretReferences", None)
    for _, holder, _ in _secret_places(properties):
        for name in _REFERENCES:
            holder.pop(name, None)
    for volume in properties.get("volumes") or []:
        volume.pop("secretReference", None)


def show_running(body: Body, when: datetime, address: str) -> None:
    """Let the body say that the group runs since ``when``, reachable at ``address``."""
    properties = body["properties"]
    properties["provisioningState"] = "Succeeded"
    properties["instanceView"] = {"events": [], "state": "Running"}
    if "ipAddress" in properties:
        reached = properties["ipAddress"]
        reached["ip"] = address
        if reached.get("dnsNameLabel"):
            region = body["location"]
            reached["fqdn"] = f"{reached['dnsNameLabel']}.{region}.azurecontainer.io"
    for container in properties["containers"]:
        image = container["properties"]["image"]
        state = {"state": "Running", "startTime": stamp(when), "detailStatus": ""}
        container["properties"]["instanceView"] = {
            "restartCount": 0,
            "currentState": state,
            "events": [
                event(when, "Pulling", f'pulling image "{image}"'),
                event(when, "Pulled", f'Successfully pulled image "{image}"'),
                event(when, "Started", "Started container"),
            ],
        }


def show_stopped(body: Body, when: datetime) -> None:
    """Let the body say that the group was stopped (recorded: Update-AzContainerGroup)."""
    body["properties"]["instanceView"]["state"] = "Stopped"
    for container in body["properties"]["containers"]:
        view = container["properties"]["instanceView"]
        view["previousState"] = view["currentState"]
        view["currentState"] = {
            "state": "Terminated",
            "finishTime": stamp(when),
            "detailStatus": "Container stopped per client request",
        }


def show_failed(body: Body, when: datetime, message: str) -> None:
    """Let the body say that the group did not start, and why.

    docs: container-state, "More information on the failure can be found under ``events``". The name
    and type of the event, and that the group's own state stays ``Pending``, are inference.
    """
    properties = body["properties"]
    properties["provisioningState"] = "Failed"
    why = event(when, "Failed", message, "Warning")
    properties["instanceView"] = {"events": [why], "state": "Pending"}


def event(when: datetime, name: str, message: str, kind: str = "Normal") -> dict[str, Any]:
    """Return one event as an instance view shows it."""
    at = f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    times = {"firstTimestamp": at, "lastTimestamp": at}
    return {"count": 1, **times, "name": name, "message": message, "type": kind}


def stamp(when: datetime) -> str:
    """Return a time as the service writes it, in milliseconds."""
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
