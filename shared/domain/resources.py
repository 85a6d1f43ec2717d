"""Resources and the references to keys that they hold."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

from shared.domain.errors import InvalidResourceIdError
from shared.domain.json_paths import Json
from shared.domain.keys import Key, KeyVersion

_ID = re.compile(
    r"/subscriptions/(?P<subscription>[\w-]+)/resourceGroups/(?P<group>[^/?#%\\\s]+)"
    r"/providers/(?P<provider>[\w.]+)/(?P<path>\w+/[^/?#%\\\s]+(?:/\w+/[^/?#%\\\s]+)*)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ResourceId:
    """An ARM resource id; equal to another without regard to case, as ARM has it.

    Attributes:
        text: As it was written.
        folded: In lower case: what makes it equal to another.
        type: All of it, such as ``Microsoft.Storage/storageAccounts/encryptionScopes``.
        name: The last one, of the resource itself and not of its parents.
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
        path = found["path"].split("/")
        return cls(
            text=text,
            folded=text.lower(),
            subscription=found["subscription"].lower(),
            group=found["group"],
            type="/".join((found["provider"], *path[::2])),
            name=path[-1],
        )

    def __str__(self) -> str:
        return self.text


def digest(text: str) -> str:
    """Return a row key for any text: 32 hexadecimal digits, for an ARM id whatever its casing.

    The URL of a blob is another one in other casing.
    """
    folded = text.lower() if text.startswith("/") else text
    return hashlib.sha256(folded.encode()).hexdigest()[:32]


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


class Shape(Protocol):
    """How a resource's JSON refers to keys. A new kind needs a new shape only if none fits."""

    def read(self, body: Json) -> Sequence[Reference]:
        """Return every reference that ``body`` holds, to whichever key.

        Raises:
            UnreadableError: It refers to a key in a form that is none Azure documents.
        """
        ...

    def point(self, body: Json, reference: Reference, target: KeyVersion) -> None:
        """Make ``reference``, which ``body`` holds, name ``target``; change nothing else."""
        ...

    def restore(self, body: Json, original: Json, *, again: bool) -> None:
        """Give the references of ``body`` the versionless form that they have in ``original``.

        ``again``: that was tried, and has not shown; where there is another form, it is used.
        """
        ...
