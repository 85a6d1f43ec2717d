"""The resources behind ``shared.ports.Resources``."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from shared.adapters.arm.client import ArmClient
from shared.domain.errors import AccessDeniedError, GoneError, NotFoundError, UnreadableError
from shared.domain.json_paths import Json, text_at
from shared.domain.kinds import Kind
from shared.domain.resources import ResourceId
from shared.ports import Accepted

_SUBSCRIPTIONS_VERSION = "2022-12-01"
_PERMISSIONS_VERSION = "2022-04-01"


@dataclass(frozen=True, slots=True)
class ArmResources:
    """Reads and writes resources at the api-version that their catalog entry names."""

    client: ArmClient

    def subscriptions(self) -> Sequence[str]:
        """See ``Resources.subscriptions``."""
        found = self._all("/subscriptions", _SUBSCRIPTIONS_VERSION, "list the subscriptions")
        return sorted(text_at(one, "subscriptionId").lower() for one in found)

    def may_read(self, subscription: str, kinds: Sequence[Kind]) -> bool:
        """See ``Resources.may_read``.

        Source: azure-docs, "Use Resource Manager authentication API to access subscriptions": the
        caller's own permissions on a subscription, each a list of actions less its notActions.
        """
        path = f"/subscriptions/{subscription}/providers/Microsoft.Authorization/permissions"
        doing = f"read our rights on subscription {subscription}"
        try:
            granted = self._all(path, _PERMISSIONS_VERSION, doing)
        except (AccessDeniedError, NotFoundError, GoneError):
            return False
        return all(
            any(_allows(permission, kind.read_action) for permission in granted) for kind in kinds
        )

    def _all(self, path: str, version: str, doing: str) -> list[Json]:
        """Return the items of every page of a list."""
        found: list[Json] = []
        query = {"api-version": version}
        while path:
            answer = self.client.send("GET", path, doing=doing, query=query)
            found += answer.body.get("value", [])
            path, query = text_at(answer.body, "nextLink"), {}
        return found

    def read(self, kind: Kind, resource: ResourceId) -> Json:
        """See ``Resources.read``."""
        doing = f"read {resource}"
        answer = self.client.send("GET", resource.text, doing=doing, query=_version(kind))
        if text_at(answer.body, "id").lower() != resource.folded:
            raise UnreadableError(f"could not {doing}: the answer is of another resource")
        return answer.body

    def write(self, kind: Kind, resource: ResourceId, body: Json, *, request_id: str) -> Accepted:
        """See ``Resources.write``."""
        answer = self.client.send(
            kind.write.verb,
            resource.text,
            doing=f"re-point {resource}",
            query=_version(kind),
            body=body,
            headers={"x-ms-client-request-id": request_id},
        )
        return Accepted(answer.headers.get("x-ms-correlation-request-id", ""))


def _allows(permission: Json, action: str) -> bool:
    def matches(patterns: list[str]) -> bool:
        return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)

    return matches(permission.get("actions") or []) and not matches(
        permission.get("notActions") or []
    )


def _version(kind: Kind) -> dict[str, str]:
    return {"api-version": kind.api_version}
