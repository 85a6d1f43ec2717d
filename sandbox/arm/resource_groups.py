"""Resource groups, and whose they are."""

import re

from sandbox.arm import errors
from sandbox.arm.call import ArmCall
from sandbox.arm.rbac import Rbac
from sandbox.arm.resources import Body, ResourceStore

API_VERSIONS = (
    "2020-10-01",
    "2021-01-01",
    "2021-04-01",
    "2022-09-01",
    "2023-07-01",
    "2024-03-01",
    "2024-07-01",
    "2024-11-01",
    "2025-04-01",
)
PATH = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)/?", re.IGNORECASE
)
_ACTION = "Microsoft.Resources/subscriptions/resourceGroups/read"


def answer(call: ArmCall, found: re.Match[str], store: ResourceStore, rbac: Rbac) -> Body:
    """Answer ``GET /subscriptions/{id}/resourceGroups/{name}``.

    ``managedBy`` is there only where a resource manages the group (docs: REST, Resource Groups -
    Get).

    Raises:
        ArmError: The group does not exist, or the caller may not read it.
    """
    if call.api_version not in API_VERSIONS:
        raise errors.api_version_invalid(call.api_version, API_VERSIONS)
    if call.method != "GET":
        raise errors.method_not_allowed(call.method)
    subscription = store.subscription(found["subscription"])
    scope = f"/subscriptions/{subscription.id}/resourceGroups/{found['group']}"
    rbac.require(call.principal, _ACTION, scope)
    group = store.group(subscription.id, found["group"])
    return {
        "id": f"/subscriptions/{subscription.id}/resourceGroups/{group.name}",
        "name": group.name,
        "type": "Microsoft.Resources/resourceGroups",
        "location": group.location,
        **({"managedBy": group.managed_by} if group.managed_by else {}),
        "properties": {"provisioningState": "Succeeded"},
    }
