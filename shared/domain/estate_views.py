"""What is shown of an estate before anything is deployed: who uses which key, and which version."""

from enum import StrEnum

from shared.domain.proofs import Level
from shared.domain.views import View


class Standing(StrEnum):
    """How a consumer stands to its key's newest version."""

    CURRENT = "current"
    """It is on the newest usable version, as far as is known."""
    STALE = "stale"
    """It is on another one."""
    UNKNOWN = "unknown"
    """Which one it is on cannot be told."""
    NOT_APPLICABLE = "not_applicable"
    """It lies beside consumers: it has no reference that could be moved."""


class Impact(StrEnum):
    """What becomes of a consumer if a version is disabled."""

    BREAKS = "breaks"
    """It names that version, or its service says that it uses it."""
    UNAFFECTED = "unaffected"
    """It is on another one. Its backups may not be."""
    UNKNOWN = "unknown"


class InventoryLine(View, frozen=True, kw_only=True):
    """One reference of a resource to a key, or something beside such references.

    Attributes:
        key: URL of the key; null: the resource could not be read, or not be understood, or it has
            no reference.
        place: Which of the resource's references it is: ``account``.
        form: ``pinned`` to a version, or ``following`` the vault; null as ``key``.
        names: The version that it names; null: none.
        in_use: The version that its service says it uses; null: it does not say.
        newest: The newest usable version of the key; null: the vault could not be read.
        if_disabled: What becomes of it if the version that was asked about is disabled; null: none
            was.
        problem: What could not be read; null: nothing.
        reason: Why it has no reference that could be moved; null: it has one.
        advice: What a person does about it; null: nothing, or see ``state``.
    """

    key: str | None
    resource: str
    name: str
    place: str | None
    kind: str
    kind_title: str
    subscription: str
    location: str
    form: str | None
    names: str | None
    in_use: str | None
    newest: str | None
    state: Standing
    if_disabled: Impact | None
    problem: str | None
    reason: str | None = None
    advice: str | None = None


class ProvenLine(View, frozen=True, kw_only=True):
    """What a fresh read of one resource shows of the key's newest version.

    Attributes:
        proven: Whether the kind's proof rule holds; null: it lies beside consumers, and has no
            reference that could be proven.
        level: What the proof is worth; null: there is none.
        seen: What the rule saw, or why nothing could be seen.
        advice: What a person does about what has no reference; null: nothing.
    """

    key: str
    target: str
    resource: str
    name: str
    kind: str
    kind_title: str
    subscription: str
    location: str
    proven: bool | None
    level: Level | None
    seen: str
    advice: str | None = None
