"""What is on the keys that the demo's rotations are about, and what must become of it."""

from dataclasses import dataclass

from sandbox.demo_kinds import Family

PAYMENTS, LEDGER, ARCHIVE = "cmk-payments", "cmk-ledger", "cmk-archive"
"""The key that the demo rotates, the one that was rotated yesterday when nobody listened, and the
one that must not be touched."""


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
    is_keyless: bool = False
    """Whether it has no key itself, so that it can neither move nor stay."""
    is_reported_only: bool = False
    """Whether Keyturn moves no resource of its kind."""


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
REFUSED = Fate(frozenset({"failed"}), writes=1)
"""The write is accepted, and its operation fails."""
UNSEEN = Fate(frozenset({"manual"}), moves=True)
"""It follows the vault, and nothing shows that."""
BY_HAND = Fate(frozenset({"manual"}), is_reported_only=True)
KEEPS_OLD = Fate(frozenset({"manual"}), is_keyless=True)
"""It depends on the key through another, and keeps the old version by itself."""
BESIDE = Fate(frozenset({"not_applicable"}), is_keyless=True)
"""Told of so that nobody wonders."""


@dataclass(frozen=True, slots=True)
class Member:
    """A resource on a key that was rotated."""

    id: str
    family: Family
    fate: Fate
    made_to: str = ""
    """What the sandbox makes it do, after its name; empty: nothing out of the ordinary."""
    key: str = PAYMENTS
    """The name of that key; empty: it is about none of them alone, so that it is in each report."""
    references: int = 1
    """How many of its references are to that key: its first ones."""
    others: tuple[str, ...] = ()
    """The names of the keys of its further references, which must stay as they are."""
