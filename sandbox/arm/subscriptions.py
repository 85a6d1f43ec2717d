"""The subscriptions that a caller may see."""

import re
from collections.abc import Mapping

from sandbox.arm import errors
from sandbox.arm.call import ArmCall
from sandbox.arm.errors import ArmError
from sandbox.arm.rbac import Rbac
from sandbox.arm.resources import Body, ResourceStore, Subscription

API_VERSIONS = ("2022-12-01", "2021-01-01", "2020-01-01")
_ONE = re.compile(r"/subscriptions/(?P<subscription>[^/]+)/?", re.IGNORECASE)


def answer(call: ArmCall, store: ResourceStore, rbac: Rbac) -> tuple[int, Body, Mapping[str, str]]:
    """Answer ``GET /subscriptions`` and ``GET /subscriptions/{id}``.

    A subscription in which the caller has no role is absent from the list, and refused by name.

    Raises:
        ArmError: The path is none of these, or the caller may not see the subscription.
    """
    found = _ONE.fullmatch(call.path)
    if not found and call.path.rstrip("/").lower() != "/subscriptions":
        raise ArmError(404, "NotFound", f"The sandbox serves nothing at '{call.path}'.")
    if call.api_version not in API_VERSIONS:
        raise errors.api_version_invalid(call.api_version, API_VERSIONS)
    if call.method != "GET":
        raise errors.method_not_allowed(call.method)
    if not found:
        seen = [each for each in store.subscriptions() if rbac.lists(call.principal, each.id)]
        value = [_shown(each, call.tenant_id) for each in seen]
        return 200, {"value": value, "count": {"type": "Total", "value": len(value)}}, {}
    subscription = store.subscription(found["subscription"])
    if not rbac.lists(call.principal, subscription.id):
        scope = f"/subscriptions/{subscription.id}"
        action = "Microsoft.Resources/subscriptions/read"
        raise errors.authorization_failed(call.principal, action, scope)
    return 200, _shown(subscription, call.tenant_id), {}


def _shown(subscription: Subscription, tenant_id: str) -> Body:
    """Return a subscription as documented (REST: Subscriptions - List, 2022-12-01)."""
    return {
        "id": f"/subscriptions/{subscription.id}",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionId": subscription.id,
        "tenantId": tenant_id,
        "displayName": subscription.name,
        "state": "Enabled",
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "EnterpriseAgreement_2014-09-01",
            "spendingLimit": "Off",
        },
    }
