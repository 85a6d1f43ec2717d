"""Managed identities that resources carry."""

from threading import RLock
from uuid import uuid4

from sandbox.arm.errors import ArmError
from sandbox.arm.resources import Body


class Identities:
    """The user-assigned identities of the sandbox, and what a resource shows of its own."""

    def __init__(self, tenant_id: str) -> None:
        self.tenant_id = tenant_id
        self._lock = RLock()
        self._user_assigned: dict[str, Body] = {}

    def create(self, resource_id: str) -> str:
        """Make a user-assigned identity; return the object id of its principal."""
        principal = str(uuid4())
        with self._lock:
            shown = {"principalId": principal, "clientId": str(uuid4())}
            self._user_assigned[resource_id.lower()] = shown
        return principal

    def of(self, resource_id: str) -> str:
        """Return the object id of a user-assigned identity.

        Raises:
            ArmError: 400: it does not exist.
        """
        return str(self._shown(resource_id)["principalId"])

    def delete(self, resource_id: str) -> None:
        """Delete a user-assigned identity; resources go on naming it, and cannot act as it."""
        with self._lock:
            del self._user_assigned[resource_id.lower()]

    def assign(self, current: Body | None, wanted: Body) -> Body | None:
        """Return the ``identity`` that a resource shows after a request for ``wanted``.

        A system-assigned principal that exists is kept. ``None`` for type ``None``.

        Raises:
            ArmError: 400 for a user-assigned identity that does not exist.
        """
        kinds = {each.strip().lower() for each in str(wanted.get("type", "None")).split(",")}
        current = current or {}
        shown: Body = {}
        if "systemassigned" in kinds:
            shown["principalId"] = current.get("principalId", str(uuid4()))
            shown["tenantId"] = self.tenant_id
        if "userassigned" in kinds:
            names = [*current.get("userAssignedIdentities", {}), *_named(wanted)]
            shown["userAssignedIdentities"] = {name: self._shown(name) for name in names}
        return {**shown, "type": wanted["type"]} if shown else None

    def principal(self, identity: Body | None, user_assigned: str) -> str | None:
        """Return the object id that a resource acts as; ``None`` if it has no such identity.

        Args:
            identity: The resource's ``identity``.
            user_assigned: Id of the user-assigned identity to act as; empty for the
                system-assigned one.
        """
        if identity is None:
            return None
        if not user_assigned:
            found: str | None = identity.get("principalId")
            return found
        assigned = {name.lower() for name in identity.get("userAssignedIdentities", {})}
        if user_assigned.lower() not in assigned:
            return None
        return str(self._shown(user_assigned)["principalId"])

    def _shown(self, resource_id: str) -> Body:
        with self._lock:
            found = self._user_assigned.get(resource_id.lower())
        if found is None:
            raise ArmError(
                400,
                "FailedIdentityOperation",
                f"Identity operation failed: the identity '{resource_id}' was not found.",
            )
        return dict(found)


def _named(wanted: Body) -> list[str]:
    return list(wanted.get("userAssignedIdentities") or {})
