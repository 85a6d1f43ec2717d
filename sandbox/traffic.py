"""What passed the front door."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Call:
    """One request that passed the front door, and what came of it."""

    method: str
    host: str
    """In lower case, without a port."""
    path: str
    query: str
    status: int
    """What the service answered, even if that answer was lost; 0 if it never saw the request."""
    at: datetime
    """Sandbox time at which the request had arrived whole."""
    bearer: bool
    """Whether the request carried a bearer token."""
    request_headers: Mapping[str, str]
    """Without the value of ``authorization``."""
    request_body: bytes
    response_headers: Mapping[str, str]
    response_body: bytes
