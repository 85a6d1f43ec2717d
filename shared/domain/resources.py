"""Resources and the references to keys that they hold."""

import hashlib
import re
from dataclasses import dataclass, field
from typing import Self

from shared.domain.errors import InvalidResourceIdError
from shared.domain.keys import Key, KeyVersion

_ID = re.compile(
    r"/subscriptions/(?P<subscription>[\w-]+)/resourceGroups/(?P<group>[^/?#%\\\s]+)"
    r"/providers/(?P<provider>[\w.]+)/(?P<type>\w+)/(?P<name>[^/?#%\\\s]+)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ResourceId:
    """An ARM resource id; equal to another without regard to case, as ARM has it.

    Attributes:
        text: As it was written.
        folded: In lower case: what makes it equal to another.
    """

    text: str = field(compare=False)
    folded: str
    subscription: str = field(compare=False)
    group: str = field(compare=False)
    type: str = field(compare=False)
    name: str = field(compare=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an id such as ``/subscriptions/…/providers/Microsoft.Storage/storageAccounts/st1``.

        Raises:
            InvalidResourceIdError: It is not the id of a resource in a resource group.
        """
        found = _ID.fullmatch(text)
        if found is None or {".", ".."} & set(text.split("/")):
            raise InvalidResourceIdError(f"not the id of a resource: {text[:200]!r}")
        return cls(
            text=text,
            folded=text.lower(),
            subscription=found["subscription"].lower(),
            group=found["group"],
            type=f"{found['provider']}/{found['type']}",
            name=found["name"],
        )

    def __str__(self) -> str:
        return self.text


def digest(text: str) -> str:
    """Return a row key for any text: 32 hexadecimal digits, the same for any casing."""
    return hashlib.sha256(text.lower().encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Reference:
    """What one consumer holds: which key, and whether a version of it.

    Attributes:
        place: Which of the resource's consumers this is, as people know it: ``account``.
        pinned: The version it names; ``None``: it is versionless and the service follows the
            vault's current version on its own clock.
    """

    place: str
    key: Key
    pinned: KeyVersion | None

    def __str__(self) -> str:
        return str(self.pinned or self.key)
