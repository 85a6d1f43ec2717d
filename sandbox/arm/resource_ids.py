"""The names that ARM gives to things: compared without regard to case, kept as written."""

import re
from dataclasses import dataclass, replace
from typing import Self

_RESOURCE = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
    r"/providers/(?P<namespace>[^/]+)(?P<pairs>(?:/[^/]+/[^/]+)+)/?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ResourceId:
    """The id of a resource, in the case in which it was written.

    Type and name of a child are written as in templates, its parent's first.
    """

    subscription: str
    group: str
    type: str
    """Namespace and types, for example ``Microsoft.Storage/storageAccounts/encryptionScopes``."""
    name: str
    """For example ``account/scope``."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an id such as ``/subscriptions/…/providers/Microsoft.Storage/storageAccounts/a``.

        Raises:
            ValueError: ``text`` is not the id of a resource.
        """
        found = _RESOURCE.fullmatch(text)
        if not found:
            raise ValueError(f"not the id of a resource: {text!r}")
        words = found["pairs"].strip("/").split("/")
        return cls(
            subscription=found["subscription"],
            group=found["group"],
            type="/".join([found["namespace"], *words[::2]]),
            name="/".join(words[1::2]),
        )

    def __str__(self) -> str:
        namespace, *kinds = self.type.split("/")
        pairs = zip(kinds, self.name.split("/"), strict=True)
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"
            f"/providers/{namespace}/{'/'.join(word for pair in pairs for word in pair)}"
        )

    @property
    def parent(self) -> "ResourceId | None":
        """The resource that this one is a child of; ``None`` for a top-level one."""
        outer, _, _ = self.name.rpartition("/")
        if not outer:
            return None
        return replace(self, type=self.type.rpartition("/")[0], name=outer)

    @property
    def key(self) -> str:
        """The id in lower case: equal for two spellings of one resource."""
        return str(self).lower()


def within(scope: str, identifier: str) -> bool:
    """Tell whether ``identifier`` is ``scope`` or lies below it, whatever their case."""
    outer = scope.lower().rstrip("/")
    inner = identifier.lower().rstrip("/")
    return inner == outer or inner.startswith(outer + "/")
