"""The resources behind ``shared.ports.Resources``."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http import HTTPStatus

from shared.adapters.arm.client import Answer, ArmClient
from shared.adapters.http_errors import envelope
from shared.adapters.redaction import redacted
from shared.domain.errors import (
    AccessDeniedError,
    GoneError,
    NotFoundError,
    PermanentError,
    RejectedError,
    UnreadableError,
)
from shared.domain.json_paths import Json, text_at
from shared.domain.kinds import Kind
from shared.domain.resources import ResourceId
from shared.ports import Accepted, Progress, Reading

_SUBSCRIPTIONS_VERSION = "2022-12-01"
_GROUPS_VERSION = "2021-04-01"
_PERMISSIONS_VERSION = "2022-04-01"
_PERMISSIONS = "Microsoft.Authorization/permissions"


@dataclass(frozen=True, slots=True)
class ArmResources:
    """Reads and writes resources at the api-version that their catalog entry names."""

    client: ArmClient
    _owners: dict[str, str] = field(default_factory=dict)

    def subscriptions(self) -> Sequence[str]:
        """See ``Resources.subscriptions``."""
        found = self._all("/subscriptions", _SUBSCRIPTIONS_VERSION, "list the subscriptions")
        return sorted(text_at(one, "subscriptionId").lower() for one in found)

    def lacking(self, subscription: str, kinds: Sequence[Kind]) -> Sequence[str]:
        """See ``Resources.lacking``.

        Source: azure-docs, "Use Resource Manager authentication API to access subscriptions": the
        caller's own permissions on a subscription, each a list of actions less its notActions.
        """
        needed = list(dict.fromkeys(each for kind in kinds for each in kind.search_actions))
        return self._denied(f"/subscriptions/{subscription}", needed)

    def denied(self, resource: str, actions: Sequence[str]) -> Sequence[str]:
        """See ``Resources.denied``.

        Source: the API's own page, "Permissions - List For Resource" (2022-04-01): all permissions
        the caller has for a resource, at any depth of parents. That a subnet's are told so, too,
        follows from its path; it is on no record.
        """
        return self._denied(ResourceId.parse(resource).text, actions)

    def _denied(self, scope: str, actions: Sequence[str]) -> list[str]:
        path, doing = f"{scope}/providers/{_PERMISSIONS}", f"read our rights on {scope}"
        try:
            granted = self._all(path, _PERMISSIONS_VERSION, doing)
        except AccessDeniedError:
            return [f"{_PERMISSIONS}/read"]
        except (NotFoundError, GoneError):
            return [*actions]
        return [
            action
            for action in actions
            if not any(_allows(permission, action) for permission in granted)
        ]

    def _all(self, path: str, version: str, doing: str) -> list[Json]:
        """Return the items of every page of a list."""
        return list(self._pages(path, version, doing))

    def _pages(self, path: str, version: str, doing: str) -> Iterator[Json]:
        query = {"api-version": version}
        while path:
            answer = self.client.send("GET", path, doing=doing, query=query)
            yield from answer.body.get("value", [])
            path, query = text_at(answer.body, "nextLink"), {}

    def read(self, kind: Kind, resource: str) -> Reading:
        """See ``Resources.read``."""
        doing, read = f"read {resource}", ResourceId.parse(resource)
        answer = self.client.send("GET", read.text, doing=doing, query=_version(kind))
        if text_at(answer.body, "id").lower() != read.folded:
            raise UnreadableError(f"could not {doing}: the answer is of another resource")
        return Reading(answer.body, answer.headers.get("etag", ""))

    def children(self, kind: Kind, parent: str) -> Iterator[Json]:
        """See ``Resources.children``."""
        path = f"{ResourceId.parse(parent)}/{kind.resource_type.rpartition('/')[2]}"
        yield from self._pages(path, kind.api_version, f"list {path}")

    def write(
        self, kind: Kind, resource: str, body: Json, *, request_id: str, etag: str
    ) -> Accepted:
        """See ``Resources.write``."""
        answer = self.client.send(
            kind.write.verb,
            ResourceId.parse(resource).text,
            doing=f"re-point {resource}",
            query=_version(kind),
            body=body,
            headers={"x-ms-client-request-id": request_id} | ({"If-Match": etag} if etag else {}),
        )
        return _accepted(answer)

    def delete(self, kind: Kind, resource: str, *, request_id: str) -> Accepted:
        """See ``Resources.delete``."""
        answer = self.client.send(
            "DELETE",
            ResourceId.parse(resource).text,
            doing=f"delete {resource}, to make it again",
            query=_version(kind),
            headers={"x-ms-client-request-id": request_id},
        )
        if answer.status == HTTPStatus.NO_CONTENT:  # ARM: there was nothing to delete
            raise GoneError(f"could not delete {resource}: there is no such resource any more")
        return _accepted(answer)

    def progress(self, operation: str) -> Progress:
        """See ``Resources.progress``.

        Source: ARM's "Track asynchronous operations". The URL of ``Azure-AsyncOperation`` answers
        200 whatever became of it, with ``status`` and, where that is ``Failed``, ``error``; every
        status but ``Succeeded``, ``Failed`` and ``Canceled`` is of one that goes on. That of
        ``Location`` answers 202 until the end, and then with the resource or the error itself.
        """
        try:
            answer = self.client.send("GET", operation, doing="see how a write went")
        except RejectedError as error:
            return Progress(failure=error)
        except PermanentError as error:  # such records do not last
            why = f"the write failed, and ARM tells no more: {error}"
            return Progress(failure=RejectedError(why))
        status = text_at(answer.body, "status").lower()
        if status not in ("failed", "canceled"):
            is_over = status == "succeeded" if status else answer.status != HTTPStatus.ACCEPTED
            return Progress(is_running=not is_over)
        code, message = envelope(json.dumps(answer.body))
        why = f"the write {status}: {code}: {redacted(message)}"[:500]
        return Progress(failure=RejectedError(why, code=code))

    def managed_by(self, resource: str) -> str:
        """See ``Resources.managed_by``. What owns a group never changes: it is asked once."""
        place = ResourceId.parse(resource)
        group = f"/subscriptions/{place.subscription}/resourceGroups/{place.group}"
        if group.lower() not in self._owners:
            query = {"api-version": _GROUPS_VERSION}
            answer = self.client.send("GET", group, doing=f"read {group}", query=query)
            self._owners[group.lower()] = text_at(answer.body, "managedBy")
        return self._owners[group.lower()]


def _accepted(answer: Answer) -> Accepted:
    return Accepted(
        correlation_id=answer.headers.get("x-ms-correlation-request-id", ""),
        operation=answer.headers.get("azure-asyncoperation") or answer.headers.get("location", ""),
    )


def _allows(permission: Json, action: str) -> bool:
    def matches(patterns: list[str]) -> bool:
        return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)

    return matches(permission.get("actions") or []) and not matches(
        permission.get("notActions") or []
    )


def _version(kind: Kind) -> dict[str, str]:
    return {"api-version": kind.api_version}
