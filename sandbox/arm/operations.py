"""Writes that go on after their answer, and what ARM answers to those who poll them.

Two forms, of which a service has one or both (docs: ARM, track asynchronous operations):

- ``Location``: 202 and no body until the end, then 200 with the resource, 204 if it is gone, or
  the error with its own status (the last is inference, from ARM's contract).
- ``Azure-AsyncOperation``: the operation's ``status``, with 200, of one that failed too (recorded:
  netapp-accounts, elastic-san); some services answer 202 until the end.
"""

import re
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from sandbox.arm.errors import ArmError, operation_not_found
from sandbox.arm.resource_ids import ResourceId

PATH = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)(?:/resourceGroups/[^/]+)?/providers/[^/]+/.+"
    r"/(?P<form>asyncoperations|operationresults|operationsstatus|operations|operationstatuses"
    r"|operationstatus|diskoperations|azureasyncoperation"
    r"|encryptionprotectorazureasyncoperation|encryptionprotectoroperationresults"
    r"|serverkeyazureasyncoperation|serverkeyoperationresults)"
    r"/(?P<operation>[^/]+)/?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Polling:
    """Where the operations of a service are polled, and the service's words."""

    result: str = ""
    """The word before the id in ``Location``; empty: there is no such header."""
    status: str = ""
    """The word before the id in ``Azure-AsyncOperation``; empty: there is no such header."""
    below_resource: bool = False
    """Whether ``Location`` lies below the resource, and not below the region."""
    status_below_resource: bool = False
    """The same of ``Azure-AsyncOperation``."""
    working: str = "InProgress"
    """The ``status`` of an operation that goes on."""
    waits: bool = False
    """Whether that is answered with 202 and a ``Location`` that is the same URL."""
    query: str = ""
    """What comes before the api-version."""
    retry_after: str = ""
    """In seconds; empty: there is no such header."""


AT_LOCATION = Polling(result="asyncoperations", query="monitor=true&", retry_after="17")
"""Recorded: storage-accounts/ps_create_202_retry_after.json."""


@dataclass(slots=True)
class Operation:
    """A write that was accepted and goes on."""

    polling: Polling = AT_LOCATION
    id: str = field(default_factory=lambda: str(uuid4()))
    ended: bool = False
    error: ArmError | None = None
    """Why it failed, if it did."""
    began: str = ""
    """When it began, where its service says so."""

    def end(self, error: ArmError | None) -> None:
        """Note that the write is over."""
        self.ended, self.error = True, error

    @property
    def body(self) -> dict[str, Any]:
        """What ``Azure-AsyncOperation`` answers now."""
        told = {"name": self.id, "startTime": self.began} if self.began else {}
        if not self.ended:
            return {**told, "status": self.polling.working}
        if self.error is None:
            return {**told, "status": "Succeeded"}
        error = {"code": self.error.code, "message": str(self.error)}
        return {**told, "status": "Failed", "error": error}


@dataclass(frozen=True, slots=True)
class Written:
    """What a service makes of an accepted PUT, PATCH or DELETE."""

    status: int = 200
    """With 202 or 204 the answer has no body, unless one is given."""
    shown: dict[str, Any] | None = None
    """The body of the answer, where it is not what a GET shows."""
    operation: Operation | None = None
    """Where the write goes on."""


class Operations:
    """The operations that were begun so far, each with its resource."""

    def __init__(self) -> None:
        self._begun: dict[str, tuple[Operation, ResourceId]] = {}

    def begin(
        self, operation: Operation, resource: ResourceId, location: str, api_version: str
    ) -> dict[str, str]:
        """Keep an operation, to be polled; return the headers of the answer that begins it."""
        self._begun[operation.id] = (operation, resource)
        polling = operation.polling
        region = (
            f"/subscriptions/{resource.subscription}/providers/{resource.type.partition('/')[0]}"
            f"/locations/{location.replace(' ', '').lower()}"
        )
        headers = {}
        if polling.status:
            place = str(resource) if polling.status_below_resource else region
            url = _url(f"{place}/{polling.status}/{operation.id}", operation, api_version)
            headers["azure-asyncoperation"] = url
        if polling.result:
            base = str(resource) if polling.below_resource else region
            path = f"{base}/{polling.result}/{operation.id}"
            headers |= again(operation, path, api_version)
        elif polling.retry_after:
            headers["retry-after"] = polling.retry_after
        return headers

    def find(self, operation_id: str) -> tuple[Operation, ResourceId]:
        """Return an operation and its resource.

        Raises:
            ArmError: 404: there is none of that id.
        """
        found = self._begun.get(operation_id.lower())
        if found is None:
            raise operation_not_found(operation_id)
        return found


def asks_status(path: re.Match[str], operation: Operation) -> bool:
    """Tell whether a poll is one of ``Azure-AsyncOperation``; else it is one of ``Location``.

    Where both are one URL it answers with the status (recorded: cognitive-services).
    """
    return path["form"].lower() == operation.polling.status.lower()


def again(operation: Operation, path: str, api_version: str) -> dict[str, str]:
    """Return the headers that say where to ask, and when, for the result."""
    retry_after = operation.polling.retry_after
    wait = {"retry-after": retry_after} if retry_after else {}
    return {"location": _url(path, operation, api_version), **wait}


def _url(path: str, operation: Operation, api_version: str) -> str:
    query = f"{operation.polling.query}api-version={api_version}"
    return f"https://management.azure.com{path}?{query}"
