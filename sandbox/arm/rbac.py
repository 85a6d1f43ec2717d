"""Who may do what in ARM."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from threading import RLock
from typing import Any

from sandbox.arm.errors import authorization_failed
from sandbox.arm.resource_ids import within


@dataclass(frozen=True, slots=True)
class Assignment:
    """The actions that one principal was given at one scope and below."""

    principal: str
    """Object id of the principal."""
    actions: frozenset[str]
    """In lower case; ``*`` stands for any text, as in ``*/read``."""
    scope: str


class Rbac:
    """The role assignments of the sandbox.

    Nobody may do anything until allowed. Assignments take effect at once, where Azure takes up
    to ten minutes (docs: role-based-access-control/troubleshooting).
    """

    def __init__(self) -> None:
        self._lock = RLock()
        self._assignments: list[Assignment] = []

    def allow(self, principal: str, actions: Iterable[str], scope: str) -> None:
        """Let ``principal`` perform ``actions`` at ``scope`` and everything below it."""
        lowered = frozenset(action.lower() for action in actions)
        with self._lock:
            self._assignments.append(Assignment(principal, lowered, scope))

    def revoke(self, principal: str, scope: str) -> None:
        """Take back all that ``principal`` was allowed at ``scope`` or below it."""
        with self._lock:
            self._assignments = [
                kept
                for kept in self._assignments
                if kept.principal != principal or not within(scope, kept.scope)
            ]

    def permits(self, principal: str, action: str, scope: str) -> bool:
        """Tell whether ``principal`` may perform ``action`` at ``scope``."""
        wanted = action.lower()
        with self._lock:
            return any(
                given.principal == principal
                and within(given.scope, scope)
                and any(fnmatchcase(wanted, pattern) for pattern in given.actions)
                for given in self._assignments
            )

    def require(self, principal: str, action: str, scope: str) -> None:
        """Refuse unless ``principal`` may perform ``action`` at ``scope``.

        Raises:
            ArmError: 403 AuthorizationFailed.
        """
        if not self.permits(principal, action, scope):
            raise authorization_failed(principal, action, scope)

    def permissions(self, principal: str, scope: str) -> dict[str, Any]:
        """Return what ``principal`` may do at ``scope``, as ``permissions`` of ARM does.

        docs: azure-docs, "Use Resource Manager authentication API to access subscriptions". The
        action: azure-docs, permissions/management-and-governance.md, "Lists all the permissions
        the caller has at a given scope". That a caller without it is refused is inference, the
        safe way round: a role that has it is right in either case.

        Raises:
            ArmError: 403 AuthorizationFailed.
        """
        self.require(principal, "Microsoft.Authorization/permissions/read", scope)
        with self._lock:
            held = [
                {
                    "actions": sorted(given.actions),
                    "notActions": [],
                    "dataActions": [],
                    "notDataActions": [],
                }
                for given in self._assignments
                if given.principal == principal and within(given.scope, scope)
            ]
        return {"value": held}

    def sees(self, principal: str, subscription: str) -> bool:
        """Tell whether Resource Graph looks into ``subscription`` for ``principal``.

        An assignment anywhere in it is enough (docs: Resource Graph, "at least read access to the
        resources you want to query").
        """
        return self._holds(principal, subscription, "*")

    def lists(self, principal: str, subscription: str) -> bool:
        """Tell whether a list of subscriptions shows ``subscription`` to ``principal``.

        An assignment anywhere in it is enough (inference: the portal lists a subscription in
        which one holds a role on a single group), if it has the action whose documented meaning is
        "Gets the list of subscriptions". That none is listed without it is inference; built-in
        roles are known that do not have it, and Azure may ask for less.
        """
        return self._holds(principal, subscription, "microsoft.resources/subscriptions/read")

    def _holds(self, principal: str, subscription: str, action: str) -> bool:
        scope = f"/subscriptions/{subscription}"
        with self._lock:
            return any(
                given.principal == principal
                and (within(scope, given.scope) or within(given.scope, scope))
                and (action == "*" or any(fnmatchcase(action, each) for each in given.actions))
                for given in self._assignments
            )
