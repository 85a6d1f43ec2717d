"""The names that ARM gives to things: compared without regard to case, kept as written."""

import re
from dataclasses import dataclass
from typing import Self

_RESOURCE = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
    r"/providers/(?P<namespace>[^/]+)/(?P<kind>[^/]+)/(?P<name>[^/]+)/?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ResourceId:
    """The id of a top-level resource, in the case in which it was written."""

    subscription: str
    group: str
    type: str
    """Namespace and type, for example ``Microsoft.Storage/storageAccounts``."""
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an id such as ``/subscriptions/…/providers/Microsoft.Storage/storageAccounts/a``.

        Raises:
            ValueError: ``text`` is not the id of a top-level resource.
        """
        found = _RESOURCE.fullmatch(text)
        if not found:
            raise ValueError(f"not the id of a resource: {text!r}")
        return cls(
            subscription=found["subscription"],
            group=found["group"],
            type=f"{found['namespace']}/{found['kind']}",
            name=found["name"],
        )

    def __str__(self) -> str:
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"
            f"/providers/{self.type}/{self.name}"
        )

    @property
    def key(self) -> str:
        """The id in lower case: equal for two spellings of one resource."""
        return str(self).lower()


def within(scope: str, identifier: str) -> bool:
    """Tell whether ``identifier`` is ``scope`` or lies below it, whatever their case."""
    outer = scope.lower().rstrip("/")
    inner = identifier.lower().rstrip("/")
    return inner == outer or inner.startswith(outer + "/")
