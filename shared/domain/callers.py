"""Who calls, and what they may do."""

from dataclasses import dataclass
from enum import StrEnum

from msgspec import Struct


class Role(StrEnum):
    """An app role of Keyturn's app registration, by the value that its tokens carry.

    Whoever has one of them may read.
    """

    AUDITOR = "Keyturn.Auditor"
    """May read."""
    OPERATOR = "Keyturn.Operator"
    """May rotate, pause, let go on, cancel, retry, and answer for what was moved by hand."""
    APPROVER = "Keyturn.Approver"
    """May approve what others have asked for."""


class Caller(Struct, frozen=True, kw_only=True):
    """Somebody, or some program, that asks for something over HTTP.

    Attributes:
        id: ``TENANT/OBJECT``, both GUIDs, as Entra ID names a user or an application; empty: a
            function key let the call in, which names nobody.
        name: What people call it: a user principal name or an application id; for people only.
    """

    id: str = ""
    name: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.id})" if self.id else "somebody with a function key"


NOBODY = Caller()
"""Let in by a function key."""


@dataclass(frozen=True, slots=True)
class Who:
    """Who a token says that we are.

    Attributes:
        name: Of a person, or the client id of a program.
    """

    tenant: str
    object_id: str
    name: str
