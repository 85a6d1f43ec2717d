"""What a write asks for beside its own action: rights on the resources that its body names."""

from collections.abc import Iterator
from typing import Any

from sandbox.arm.errors import linked_authorization_failed
from sandbox.arm.rbac import Rbac
from sandbox.arm.resources import Body

_ASSIGN = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"
_JOIN = "Microsoft.Network/virtualNetworks/subnets/join/action"


def require_links(rbac: Rbac, principal: str, action: str, scope: str, body: Body) -> None:
    """Refuse a write whose body names what the caller has no right to.

    docs: azure-docs, permissions/identity.md, ``assign/action`` ("RBAC action for assigning an
    existing user assigned identity to a resource"), and networking.md, ``subnets/join/action``
    ("Joins a virtual network"). It is the body that counts,
    whatever the resource had before (seen: azure-cli's traffic, aad-pod-identity#443). That the
    identity of a storage account's ``encryption`` counts as one is inference, the stricter reading.

    Raises:
        ArmError: 403 LinkedAuthorizationFailed.
    """
    for linked_action, linked in _links(body):
        if not rbac.permits(principal, linked_action, linked):
            raise linked_authorization_failed(principal, action, scope, linked_action, linked)


def _links(body: Body) -> Iterator[tuple[str, str]]:
    for identity in _object(body.get("identity")).get("userAssignedIdentities") or {}:
        yield _ASSIGN, identity
    properties = _object(body.get("properties"))
    encryption = _object(_object(properties.get("encryption")).get("identity"))
    if identity := encryption.get("userAssignedIdentity"):
        yield _ASSIGN, str(identity)
    for subnet in properties.get("subnetIds") or []:
        yield _JOIN, str(_object(subnet).get("id", ""))


def _object(value: Any) -> Body:  # noqa: ANN401 - whatever a caller sends
    return value if isinstance(value, dict) else {}
