"""The subscriptions below a management group.

Source: azure-rest-api-specs, ``managementgroups`` 2020-05-01, "Get Descendants".
"""

from collections.abc import Mapping, Sequence

from sandbox.arm import errors
from sandbox.arm.call import ArmCall
from sandbox.arm.rbac import Rbac
from sandbox.arm.resources import Body

API_VERSIONS = ("2020-05-01", "2023-04-01")
_READ = "Microsoft.Management/managementGroups/descendants/read"


def path(name: str) -> str:
    """Return the path of the list for a group."""
    return f"/providers/Microsoft.Management/managementGroups/{name}/descendants"


def answer(
    call: ArmCall, name: str, subscriptions: Sequence[tuple[str, str]], rbac: Rbac
) -> tuple[int, Body, Mapping[str, str]]:
    """Answer the list; ``subscriptions`` are ids and names.

    Raises:
        ArmError: The caller may not read it.
    """
    if call.api_version not in API_VERSIONS:
        raise errors.api_version_invalid(call.api_version, API_VERSIONS)
    group = f"/providers/Microsoft.Management/managementGroups/{name}"
    rbac.require(call.principal, _READ, group)
    value = [
        {
            "id": f"/subscriptions/{each}",
            "type": "/subscriptions",
            "name": each,
            "properties": {"displayName": shown, "parent": {"id": group}},
        }
        for each, shown in subscriptions
    ]
    return 200, {"value": value}, {}
