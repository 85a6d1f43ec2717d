"""Access keys: who may call what."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from starlette.requests import Request


def _random() -> str:
    return secrets.token_urlsafe(24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The host's keys. Those not given are random."""

    function: str = field(default_factory=_random)
    """Opens HTTP functions of level ``FUNCTION``."""
    admin: str = field(default_factory=_random)
    """The master key: opens every HTTP function and ``/admin``."""
    system: str = field(default_factory=_random)
    """That of the Event Grid extension: opens its webhook."""

    @classmethod
    def given(cls, keys: Mapping[str, str | None]) -> Self:
        """Return the keys of which some may be given; empty ones count as not given."""
        return cls(**{name: key for name, key in keys.items() if key})

    def admits(self, level: str, request: Request) -> bool:
        """Whether a request may call a function of a level: ANONYMOUS, FUNCTION or ADMIN."""
        match level.upper():
            case "ANONYMOUS":
                return True
            case "FUNCTION":
                return _carries(request, self.function) or _carries(request, self.admin)
            case _:
                return _carries(request, self.admin)

    def admits_event_grid(self, request: Request) -> bool:
        """Whether a request may deliver events."""
        return _carries(request, self.system) or _carries(request, self.admin)


def _carries(request: Request, key: str) -> bool:
    given = request.headers.get("x-functions-key") or request.query_params.get("code", "")
    return secrets.compare_digest(given.encode(), key.encode())
