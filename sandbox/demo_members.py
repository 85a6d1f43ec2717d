"""What is on the keys that the demo's rotations are about, and what must become of it."""

from dataclasses import dataclass
from enum import StrEnum

PAYMENTS, LEDGER, ARCHIVE = "cmk-payments", "cmk-ledger", "cmk-archive"
"""The key that the demo rotates, the one that was rotated yesterday when nobody listened, and the
one that must not be touched."""


class Family(StrEnum):
    """What people call the resources of one kind."""

    ACCOUNTS = "storage accounts"
    SCOPES = "encryption scopes"
    COSMOS = "Cosmos DB accounts"
    GROUPS = "container groups"
    FILES = "deployment config files"


@dataclass(frozen=True, slots=True)
class Fate:
    """What must have become of a resource when the rotation has ended."""

    verdicts: frozenset[str]
    """Each of these will do."""
    moves: bool = False
    """Whether it uses the new version; else the old one, if it is there."""
    writes: int = 0
    made_again: bool = False
    """Whether it was deleted, and made again."""


MOVED = Fate(frozenset({"verified"}), moves=True, writes=1)
FOLLOWED = Fate(frozenset({"verified", "already"}), moves=True)
"""Where the first read comes late, it has followed before it."""
REWRITTEN = Fate(frozenset({"verified"}), moves=True)
"""A file: its bytes are compared, its writes not counted."""
MADE_AGAIN = Fate(frozenset({"verified"}), moves=True, writes=1, made_again=True)
LATE = Fate(frozenset({"late"}), moves=True, writes=1)
FOLLOWED_LATE = Fate(frozenset({"late"}), moves=True)
MADE_AGAIN_LATE = Fate(frozenset({"late"}), moves=True, writes=1, made_again=True)
STUCK = Fate(frozenset({"stuck"}), writes=1)
NEVER_FOLLOWED = Fate(frozenset({"stuck"}))
NEVER_RUNNING = Fate(frozenset({"stuck"}), writes=1, made_again=True)
MANUAL = Fate(frozenset({"manual"}))
WITHOUT_ROOM = Fate(frozenset({"failed"}), writes=1, made_again=True)
UNREADABLE = Fate(frozenset({"unknown"}))


@dataclass(frozen=True, slots=True)
class Member:
    """A resource on a key that was rotated."""

    id: str
    family: Family
    fate: Fate
    made_to: str = ""
    """What the sandbox makes it do, after its name; empty: nothing out of the ordinary."""
    key: str = PAYMENTS
    """The name of that key; empty: nobody can tell, so that it is in each report."""
