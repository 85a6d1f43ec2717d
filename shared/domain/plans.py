"""What to do with one resource, decided on a fresh body before anything is changed."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from shared.domain.errors import RefusedWriteError
from shared.domain.json_paths import Json, drop, every, look_up, put, text_at
from shared.domain.keys import Key, KeyVersion, VersionState
from shared.domain.kinds import ByHand, Kind, Recreation
from shared.domain.proofs import FieldIs, Finding
from shared.domain.resources import Reference, ResourceId
from shared.domain.rows import Owing
from shared.domain.shapes import NamedReference, SplitReference, UrlReference, by_version


class Age(StrEnum):
    """How a version stands to the target."""

    OLDER = "older"
    NEWER = "newer"
    UNTOLD = "untold"
    """The vault does not know it, or made it within the target's own second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What an operator allows beyond re-pointing.

    Attributes:
        nudge: Whether a versionless reference may name the target for a moment, so that the
            service takes it up now and not by its own clock.
        recreate: Whether a resource may be deleted and made again, where no write changes its key.
    """

    nudge: bool = False
    recreate: bool = False


@dataclass(frozen=True, slots=True)
class Repoint:
    """Send ``body``; these references then name the target.

    Attributes:
        owes: What the resource is owed once that is sent. ``recreate``: ``body`` is the definition
            that is sent after a DELETE.
        note: What that does beside re-pointing, for people.
    """

    references: tuple[Reference, ...]
    body: Json
    owes: Owing = ""
    note: str = ""


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


def plan(
    kind: Kind,
    body: Json,
    target: VersionState,
    ages: Mapping[KeyVersion, Age],
    allowed: Allowed,
) -> Plan:
    """Decide what to do with a resource.

    Args:
        kind: Its catalog entry.
        body: A fresh GET of it.
        target: The version to move to, as the vault's own GET describes it.
        ages: How every other version that ``body`` pins, or says it uses, stands to the target.
        allowed: What is allowed beyond re-pointing.

    Raises:
        UnreadableError: See ``references_to``.
        RefusedWriteError: The write would do more than change the references.
    """
    references = references_to(kind, body, target.id.key)
    if not references:
        return Skip()
    moving = [r for r in references if r.pinned not in (None, target.id)]
    if not moving:
        return _follow(kind, body, references, target, ages if allowed.nudge else {})
    if obstacle := obstacle_of(kind, body, target):
        return Manual(references, *obstacle)
    refusals = [_refusal(reference, references, target, ages) for reference in moving]
    if found := [refusal for refusal in refusals if refusal]:
        return found[0]
    if kind.by_hand:
        reason = f"Keyturn does not change it: {kind.by_hand.why}"
        return Manual(references, reason, _steps(kind.by_hand, body, target.id))
    return _move(kind, body, references, target.id, allowed)


def _move(
    kind: Kind,
    body: Json,
    references: tuple[Reference, ...],
    target: KeyVersion,
    allowed: Allowed,
) -> Repoint | Manual:
    moving = [r for r in references if r.pinned not in (None, target)]
    request = request_body(kind, body, moving, target)
    if kind.recreation is None:
        return Repoint(references, request)
    if why := _why_not_recreated(kind.recreation, body, allowed):
        reason = f"its key version cannot be changed in place, and {why}"
        return Manual(references, reason, _by_hand(kind, kind.recreation, body, target))
    return Repoint(references, request, "recreate", kind.recreation.consequences)


_NUDGE_NOTE = "it names the new version for a moment, and gets its versionless form back"


def obstacle_of(kind: Kind, body: Json, target: VersionState) -> tuple[str, str] | None:
    """Return why the resource cannot take the target up, and what to do about it."""
    if why := unfit(kind, target):
        return why, _NO_EXPIRY if _expires(kind, target) else _FITTING
    if why := _may_not_do(kind, target):
        return why, "allow these operations on the version (az keyvault key set-attributes --ops)"
    return symptom_of(kind, body) or _without_identity(kind, body)


def _without_identity(kind: Kind, body: Json) -> tuple[str, str] | None:
    """Return which identity it uses keys under and does not have any more, and what to do.

    Only where the resource shows which ones it has.
    """
    if not isinstance(shown := look_up(body, "identity"), dict):
        return None
    held = {each.lower() for each in shown.get("userAssignedIdentities") or ()}
    for path in kind.identities:
        for named in every(body, path):
            if isinstance(named, str) and named.startswith("/") and named.lower() not in held:
                why = f"it uses its key under {named}, which is not assigned to it any more"
                return why, _ASSIGN
    return None


_ASSIGN = "assign that identity to it again, or have it use the key under one that is; then retry"
_FITTING = "rotate to a key of a type and size the service takes"
_NO_EXPIRY = (
    "take the expiry out of the key's rotation policy and have the vault make a version without"
    " one: the expiry of this one can be changed, and not taken off"
)


def unseen_of(
    kind: Kind, body: Json, references: Sequence[Reference], target: KeyVersion
) -> tuple[str, str] | None:
    """Return why it can be told of no look which version the resource uses, and what to do.

    A resource with other references, which name a version, is moved before it is said.
    """
    shown = kind.shown_by
    free = [r for r in references if r.pinned is None and not (shown and r.place == shown.place)]
    if free and (kind.versionless is None or not _can_show(kind, body)):
        return _unversioned(kind, body, free[0], target)
    return None


def _can_show(kind: Kind, body: Json) -> bool:
    """Return whether a resource may come to show which version it uses.

    Not where the one field that would is the reference itself, and has none.
    """
    shape = kind.shape
    is_same = isinstance(shape, UrlReference | NamedReference) and shape.url == kind.in_use
    is_alone = is_same and not kind.in_use_bare
    return bool(kind.in_use) and not (is_alone and kind.version_in_use(body) is None)


def _unversioned(kind: Kind, body: Json, free: Reference, target: KeyVersion) -> tuple[str, str]:
    if kind.by_hand and not kind.versionless:
        why = f"{free.place} names no version, and Keyturn does not change it: {kind.by_hand.why}"
        return why, _steps(kind.by_hand, body, target)
    if kind.versionless:
        # Without a source it is said of a part of the kind alone, and of no other.
        follows = "it follows the vault by itself, and " if kind.versionless.source else ""
        why = f"{free.place} names no version: {follows}Azure shows nowhere which version it uses"
        # Not the steps by hand: they would pin it.
        following = kind.by_hand.following if kind.by_hand else ""
        return why, following or _SEE_THE_LOG
    if kind.recreation is None:
        why = (
            f"{free.place} names no version that can be read, and it is documented nowhere that"
            f" {kind.one} follows the vault"
        )
        return why, "see which version it uses, or is filled in, and have it name the new one"
    why = (
        f"{free.place} names no version, and Azure does not say which one it uses: it is said to"
        " follow the vault, which nothing that can be read proves"
    )
    return why, _by_hand(kind, kind.recreation, body, target)


def left_to_another(kind: Kind, body: Json, target: KeyVersion) -> tuple[str, Finding] | None:
    """Return the id of the resource that must show the target for this one to be proven.

    With what ``body`` proves of all else; the id is empty where ``body`` does not name that
    resource. ``None``: ``body`` alone decides.
    """
    shown = kind.shown_by
    following = [r for r in references_to(kind, body, target.key) if r.pinned is None]
    if shown is None or not following or any(r.place != shown.place for r in following):
        return None
    rest = copy.deepcopy(body)
    drop(rest, shown.part)
    if references_to(kind, rest, target.key):
        return text_at(body, shown.names), kind.proof.check(rest, target)
    state = FieldIs("properties.provisioningState", "Succeeded").check(body, target)
    return text_at(body, shown.names), state


_SEE_THE_LOG = (
    "see in the vault's audit log (AuditEvent, KeyWrap and KeyUnwrap) that the resource's identity"
    " uses the new version, and keep the old one enabled until it does; or have the resource name"
    " its version, then rotate again"
)


def _steps(by_hand: ByHand, body: Json, target: KeyVersion) -> str:
    resource = ResourceId.parse(text_at(body, "id"))
    return by_hand.steps.format(
        resource=resource, group=resource.group, name=resource.name, target=target
    )


def symptom_of(kind: Kind, body: Json) -> tuple[str, str] | None:
    """Return what must be mended before the resource can take up any version, and how."""
    shown = next((symptom for symptom in kind.symptoms if symptom.shows(body)), None)
    if shown is None:
        return None
    says, field = shown.seen(body)[:500], shown.path.rpartition(".")[2]
    return f"its {field} says: {says}", shown.advice


def _follow(
    kind: Kind,
    body: Json,
    references: tuple[Reference, ...],
    target: VersionState,
    ages: Mapping[KeyVersion, Age],
) -> Repoint | VerifyOnly | Manual:
    """Plan for references that need not be moved: nudge what lags behind, where ``ages`` tell."""
    if kind.proof.check(body, target.id).holds:
        return VerifyOnly(references)  # what would stand in the way of a move is no matter
    if why := obstacle_of(kind, body, target) or unseen_of(kind, body, references, target.id):
        return Manual(references, *why)
    in_use = kind.version_in_use(body)
    is_free = kind.may_nudge and all(r.pinned is None for r in references)
    if is_free and in_use is not None and ages.get(in_use) is Age.OLDER:
        request = request_body(kind, body, references, target.id)
        return Repoint(references, request, "restore", _NUDGE_NOTE)
    return VerifyOnly(references)


def _why_not_recreated(recreation: Recreation, body: Json, allowed: Allowed) -> str:
    """Return why the resource is not deleted and made again; empty: it may be."""
    if source := _made_from(recreation, body):
        return f"what {source} would bring back is documented nowhere"
    if not allowed.recreate:
        return "the policy allows no recreation"
    if (state := text_at(body, recreation.state)).lower() != "running":
        seen = f"it is {state}" if state else "does not say whether it runs"
        return f"it would be started again, and {seen}"
    if _has_own_identity(recreation, body):
        return "its system-assigned identity would come back as another one, without its rights"
    if not text_at(body, recreation.identity):
        return "it uses the key under no user-assigned identity"
    hidden = [secret.title for secret in recreation.secrets if secret.hides(body)]
    return f"Azure does not give back its {', '.join(hidden)}" if hidden else ""


def _has_own_identity(recreation: Recreation, body: Json) -> bool:
    return "systemassigned" in text_at(body, recreation.own_identity).lower()


def _made_from(recreation: Recreation, body: Json) -> str:
    """Return which fields say that the definition lies elsewhere; empty: none does."""
    return ", ".join(path for path in recreation.made_from if look_up(body, path))


def _by_hand(kind: Kind, recreation: Recreation, body: Json, target: KeyVersion) -> str:
    if _made_from(recreation, body):
        return recreation.at_source
    resource = ResourceId.parse(text_at(body, "id"))
    commands = recreation.commands.format(
        subscription=resource.subscription,
        group=resource.group,
        name=resource.name,
        url=f"{resource}?api-version={kind.api_version}",
        change="; ".join(_changes(kind, recreation, body, target)),
    )
    if _has_own_identity(recreation, body):
        commands += (
            "\n# Its system-assigned identity is then another: give it the rights of the old one."
        )
    return f"{commands}\n{recreation.consequences}"


def _changes(kind: Kind, recreation: Recreation, body: Json, target: KeyVersion) -> Iterator[str]:
    """Return what makes the definition, with ``target``, of what a GET shows."""
    assert isinstance(kind.shape, SplitReference)  # noqa: S101 - the only one that is recreated
    yield f"set {kind.shape.version} to {target.version}"
    unsent = [name for name in body if name.lower() not in kind.write.send]
    unsent += [path for path in kind.write.never if every(body, path)]
    yield f"take out {', '.join(unsent)} (* is every name or item)"
    if hidden := [secret for secret in recreation.secrets if secret.hides(body)]:
        told = (f"{secret.title} ({', '.join(secret.fields)})" for secret in hidden)
        yield f"put back what Azure does not give out: {', '.join(told)}"


def restored(
    kind: Kind, body: Json, original: Json, target: KeyVersion, *, again: bool
) -> Json | None:
    """Return what to send so that a nudged resource is versionless again; ``None``: it is.

    Args:
        kind: Its catalog entry.
        body: A fresh GET of it.
        original: The resource as it was before.
        target: What it was nudged to.
        again: Whether that was sent already, accepted, and has not shown.

    Raises:
        RefusedWriteError: The write would do more than that.
    """
    if all(r.pinned is None for r in references_to(kind, body, target.key)):
        return None
    changed = copy.deepcopy(body)
    kind.shape.restore(changed, original, again=again)
    return _request(kind, body, changed)


def request_body(kind: Kind, body: Json, moving: Sequence[Reference], target: KeyVersion) -> Json:
    """Return what to send so that ``moving`` names ``target`` and nothing else changes.

    Raises:
        RefusedWriteError: The body lacks what marks the key as customer-managed, a reference does
            not come out as the target, or another one not as it was.
    """
    changed = copy.deepcopy(body)
    for reference in moving:
        kind.shape.point(changed, reference, target)
    left = {reference.place for reference in moving}
    left -= {r.place for r in kind.shape.read(changed) if r.pinned == target}
    if left:
        raise RefusedWriteError(f"{', '.join(sorted(left))} would not name {target}: not sent")
    moved = {(reference.place, reference.key) for reference in moving}
    rest, after = (
        [r for r in kind.shape.read(each) if (r.place, r.key) not in moved]
        for each in (body, changed)
    )
    if rest != after:
        raise RefusedWriteError("a reference that is not to be moved would change: not sent")
    return _request(kind, body, changed)


def _request(kind: Kind, body: Json, changed: Json) -> Json:
    """Return what of ``changed`` is sent; ``body`` is what it was made from."""
    if not kind.write.verb:
        raise RefusedWriteError(f"{kind.one} is only read: not sent")
    for path in kind.write.never:
        drop(changed, path)
    sent: Json = {}
    for path in kind.write.send:
        if (value := look_up(changed, path)) is not None:
            put(sent, path, value)
    guard = kind.write.guard
    if guard and (not text_at(body, guard) or text_at(sent, guard) != text_at(body, guard)):
        raise RefusedWriteError(f"the body lacks {guard}: not sent")
    return sent


@dataclass(frozen=True, slots=True)
class Needed:
    """What must be there before a write: its id, and the body of the PUT that makes it."""

    title: str
    resource: str
    body: Json


def needed_first(kind: Kind, resource: str, target: KeyVersion) -> Needed | None:
    """Return what must be there before ``resource`` can name ``target``; ``None``: nothing."""
    first = kind.write.first
    if first is None:
        return None
    parent = resource.rsplit("/", 2)[0]
    body: Json = {}
    for path, text in first.body:
        put(body, path, by_version(text, target))
    return Needed(first.title, f"{parent}/{by_version(first.path, target)}", body)


def unfit(kind: Kind, target: VersionState) -> str:
    """Return why a kind cannot use a version's key; empty: it can."""
    if target.key_type not in kind.key_types:
        return f"{kind.one} takes no {target.key_type} key"
    if target.bits is not None and target.bits not in kind.key_bits:
        return f"{kind.one} takes no key of {target.bits} bits"
    if _expires(kind, target):
        return f"{kind.one} takes no key that expires"
    return ""


def _expires(kind: Kind, target: VersionState) -> bool:
    return target.expires is not None and not kind.takes_expiry


def _may_not_do(kind: Kind, target: VersionState) -> str:
    if target.operations is None or kind.operations <= target.operations:
        return ""
    lacking = " and ".join(sorted(kind.operations - target.operations))
    return f"{kind.one} needs a key that is allowed {lacking}"


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
