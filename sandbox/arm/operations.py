"""Writes that go on after their answer, and what ARM answers to those who poll them.

The form is the storage service's, recorded at the creation of an account
(storage-accounts/ps_create_202_retry_after.json): 202 with ``Location`` and ``Retry-After`` and no
body; polls answer the same until the end, then 200 with the resource. That a write which failed
answers its poll with the error's own status is inference, from ARM's contract for ``Location``.
"""

import re
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from sandbox.arm.errors import ArmError, operation_not_found
from sandbox.arm.resource_ids import ResourceId

PATH = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/providers/(?P<namespace>[^/]+)"
    r"/locations/(?P<location>[^/]+)/asyncoperations/(?P<operation>[^/]+)/?",
    re.IGNORECASE,
)
_RETRY_AFTER = "17"  # recorded


@dataclass(slots=True)
class Operation:
    """A write that was accepted and goes on."""

    id: str = field(default_factory=lambda: str(uuid4()))
    ended: bool = False
    error: ArmError | None = None
    """Why it failed, if it did."""

    def end(self, error: ArmError | None) -> None:
        """Note that the write is over."""
        self.ended, self.error = True, error


@dataclass(frozen=True, slots=True)
class Written:
    """What a service makes of an accepted PUT or PATCH."""

    status: int = 200
    shown: dict[str, Any] | None = None
    """The body of the answer, where it is not what a GET shows."""
    operation: Operation | None = None
    """Where the write goes on; the answer has no body then."""


class Operations:
    """The operations that were begun so far, each with its resource."""

    def __init__(self) -> None:
        self._begun: dict[str, tuple[Operation, ResourceId]] = {}

    def begin(
        self, operation: Operation, resource: ResourceId, location: str, api_version: str
    ) -> dict[str, str]:
        """Keep an operation, to be polled; return the headers of the answer that begins it."""
        self._begun[operation.id] = (operation, resource)
        namespace = resource.type.partition("/")[0]
        return polling_headers(
            f"/subscriptions/{resource.subscription}/providers/{namespace}/locations/{location}"
            f"/asyncoperations/{operation.id}",
            api_version,
        )

    def find(self, operation_id: str) -> tuple[Operation, ResourceId]:
        """Return an operation and its resource.

        Raises:
            ArmError: 404: there is none of that id.
        """
        found = self._begun.get(operation_id.lower())
        if found is None:
            raise operation_not_found(operation_id)
        return found


def polling_headers(path: str, api_version: str) -> dict[str, str]:
    """Return the headers that say where to ask, and when, how an operation goes."""
    query = f"monitor=true&api-version={api_version}"
    return {
        "location": f"https://management.azure.com{path}?{query}",
        "retry-after": _RETRY_AFTER,
    }
