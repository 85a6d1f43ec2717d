"""What to do with one resource, decided on a fresh body before anything is changed."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from shared.domain.errors import RefusedWriteError
from shared.domain.json_paths import Json, drop, look_up, put, text_at
from shared.domain.keys import Key, KeyVersion, VersionState
from shared.domain.kinds import Kind
from shared.domain.resources import Reference


class Age(StrEnum):
    """How a version stands to the target."""

    OLDER = "older"
    NEWER = "newer"
    UNTOLD = "untold"
    """The vault does not know it, or made it within the target's own second."""


@dataclass(frozen=True, slots=True)
class Repoint:
    """Send ``body``; these references then name the target."""

    references: tuple[Reference, ...]
    body: Json


@dataclass(frozen=True, slots=True)
class VerifyOnly:
    """Write nothing: the references name the target already, or follow the vault by themselves."""

    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class Manual:
    """A person must act.

    Attributes:
        reason: What stands in the way.
        advice: What to do about it.
    """

    references: tuple[Reference, ...]
    reason: str
    advice: str


@dataclass(frozen=True, slots=True)
class Skip:
    """The resource holds no reference to the key any more."""


@dataclass(frozen=True, slots=True)
class Outrun:
    """A reference names a version newer than the target: moving it would lower it."""

    references: tuple[Reference, ...]
    reason: str


Plan = Repoint | VerifyOnly | Manual | Skip | Outrun


_AT_REST = {"", "succeeded", "failed", "canceled"}
"""States that Azure Resource Manager calls terminal, and none at all."""


def at_rest(body: Json) -> bool:
    """Return whether no change of a resource is under way, as far as it shows."""
    return text_at(body, "properties.provisioningState").lower() in _AT_REST


def references_to(kind: Kind, body: Json, key: Key) -> tuple[Reference, ...]:
    """Return the references of ``body`` to ``key``: the same vault and the same name.

    Raises:
        UnreadableError: It refers to a key in a form that is none Azure documents.
    """
    return tuple(r for r in kind.shape.read(body) if r.key == key)


def plan(kind: Kind, body: Json, target: VersionState, ages: Mapping[KeyVersion, Age]) -> Plan:
    """Decide what to do with a resource.

    Args:
        kind: Its catalog entry.
        body: A fresh GET of it.
        target: The version to move to, as the vault's own GET describes it.
        ages: How every other version that ``body`` pins stands to the target.

    Raises:
        UnreadableError: See ``references_to``.
        RefusedWriteError: The write would do more than change the references.
    """
    references = references_to(kind, body, target.id.key)
    if not references:
        return Skip()
    if unfit := _unfit(kind, target):
        return Manual(references, unfit, "rotate to a key of a type and size the service takes")
    moving = [r for r in references if r.pinned not in (None, target.id)]
    for reference in moving:
        if refusal := _refusal(reference, references, target, ages):
            return refusal
    if not moving:
        return VerifyOnly(references)
    return Repoint(references, request_body(kind, body, moving, target.id))


def request_body(kind: Kind, body: Json, moving: Sequence[Reference], target: KeyVersion) -> Json:
    """Return what to send so that ``moving`` names ``target`` and nothing else changes.

    Raises:
        RefusedWriteError: The body lacks what marks the key as customer-managed, or a reference
            does not come out as the target.
    """
    changed = copy.deepcopy(body)
    for reference in moving:
        kind.shape.point(changed, reference, target)
    left = {reference.place for reference in moving}
    left -= {r.place for r in kind.shape.read(changed) if r.pinned == target}
    if left:
        raise RefusedWriteError(f"{', '.join(sorted(left))} would not name {target}: not sent")
    for path in kind.write.never:
        drop(changed, path)
    sent: Json = {}
    for path in kind.write.send:
        put(sent, path, look_up(changed, path))
    source = text_at(body, kind.write.guard)
    if not source or text_at(sent, kind.write.guard) != source:
        raise RefusedWriteError(f"the body lacks {kind.write.guard}: not sent")
    return sent


def _unfit(kind: Kind, target: VersionState) -> str:
    if target.key_type not in kind.key_types:
        return f"a {kind.title} takes no {target.key_type} key"
    if target.bits is not None and target.bits not in kind.key_bits:
        return f"a {kind.title} takes no key of {target.bits} bits"
    return ""


def _refusal(
    reference: Reference,
    references: tuple[Reference, ...],
    target: VersionState,
    ages: Mapping[KeyVersion, Age],
) -> Manual | Outrun | None:
    assert reference.pinned is not None  # noqa: S101 - the caller chose the pinned ones
    match ages[reference.pinned]:
        case Age.OLDER:
            return None
        case Age.NEWER:
            return Outrun(references, f"{reference.place} is on the newer {reference.pinned}")
        case Age.UNTOLD:
            return Manual(
                references,
                f"{reference.place} names {reference.pinned}, and the vault cannot say"
                f" whether that is older than {target.id.version}",
                "find out where that version came from, then point the resource by hand",
            )
