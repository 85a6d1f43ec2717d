"""The resources behind ``shared.ports.Resources``."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.adapters.arm.client import ArmClient
from shared.domain.errors import UnreadableError
from shared.domain.json_paths import Json, text_at
from shared.domain.kinds import Kind
from shared.domain.resources import ResourceId
from shared.ports import Accepted

_SUBSCRIPTIONS_VERSION = "2022-12-01"


@dataclass(frozen=True, slots=True)
class ArmResources:
    """Reads and writes resources at the api-version that their catalog entry names."""

    client: ArmClient

    def subscriptions(self) -> Sequence[str]:
        """See ``Resources.subscriptions``."""
        found: list[str] = []
        path, query = "/subscriptions", {"api-version": _SUBSCRIPTIONS_VERSION}
        while path:
            answer = self.client.send("GET", path, doing="list the subscriptions", query=query)
            found += [text_at(s, "subscriptionId").lower() for s in answer.body.get("value", [])]
            path, query = text_at(answer.body, "nextLink"), {}
        return sorted(found)

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


def _version(kind: Kind) -> dict[str, str]:
    return {"api-version": kind.api_version}
