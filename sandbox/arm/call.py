"""One request that ARM has accepted so far."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.arm.errors import content_invalid


@dataclass(frozen=True, slots=True)
class ArmCall:
    """A request with an api-version and an accepted token."""

    method: str
    path: str
    api_version: str
    principal: str
    """Object id of the caller."""
    tenant_id: str
    body: bytes
    if_match: str | None = None
    """The header; ``None`` where it was not sent."""
    query: Mapping[str, str] = field(default_factory=dict)
    """The parameters besides ``api-version`` too."""

    def json(self) -> dict[str, Any]:
        """Return the request's body.

        Raises:
            ArmError: 400 InvalidRequestContent: not a JSON object.
        """
        try:
            content = json.loads(self.body)
        except ValueError as error:
            raise content_invalid(str(error)) from error
        if not isinstance(content, dict):
            raise content_invalid("the body is not a JSON object")
        return content
