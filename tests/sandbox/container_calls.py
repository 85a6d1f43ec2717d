"""How tests ask the container service: what its owner or a tool would send."""

import time
from copy import deepcopy
from typing import Any

from sandbox.container_estate import ContainerGroup
from sandbox.testing import Answer, Rig

TYPE = "Microsoft.ContainerInstance/containerGroups"


NEWEST = "2025-09-01"


def get(served: Rig, group: ContainerGroup, version: str = NEWEST) -> Answer:
    return served.send("GET", group.id, version=version)


def put(served: Rig, where: str, body: object, version: str = NEWEST) -> Answer:
    return served.send("PUT", where, body, version=version)


def delete(served: Rig, group: ContainerGroup) -> Answer:
    return served.send("DELETE", group.id, version=NEWEST)


def poll(served: Rig, answer: Answer, header: str = "azure-asyncoperation") -> Answer:
    path, _, query = (
        answer.headers[header]
        .removeprefix("https://management.azure.com")
        .partition("?api-version=")
    )
    return served.send("GET", path, version=query)


def settled(served: Rig, group: ContainerGroup) -> dict[str, Any]:
    """Return what a GET shows once the group has started or failed."""
    for _ in range(200):
        answer = get(served, group)
        if answer.body["properties"]["provisioningState"] in {"Succeeded", "Failed"}:
            body: dict[str, Any] = answer.body
            return body
        time.sleep(0.01)
    raise AssertionError("the group neither starts nor fails")


def repeatable(body: dict[str, Any]) -> dict[str, Any]:
    """Return the request that a GET seems to allow: the body without what is read-only."""
    request = deepcopy(body)
    for name in ("provisioningState", "instanceView", "isCreatedFromStandbyPool"):
        request["properties"].pop(name, None)
    for name in request.get("identity", {}).get("userAssignedIdentities", {}):
        request["identity"]["userAssignedIdentities"][name] = {}
    return request


def moved(body: dict[str, Any], kid: str) -> dict[str, Any]:
    request = repeatable(body)
    request["properties"]["encryptionProperties"]["keyVersion"] = kid.rpartition("/")[2]
    return request


def address(body: dict[str, Any]) -> str:
    return str(body["properties"]["ipAddress"]["ip"])
