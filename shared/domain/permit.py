"""Whether a rotation may begin a write now, and whether a resource may be written to at all."""

from collections.abc import Mapping
from datetime import datetime

from shared.domain.json_paths import Json
from shared.domain.policy import Mode
from shared.domain.rows import KeyHead, Rotation
from shared.domain.windows import is_open, opens_at

MODE_TAG = "keyturn-mode"
"""On a resource, ``observe`` or ``approve``: as the rules' mode, and only ever stricter."""

CANARY_TAG = "keyturn-canary"
"""On a resource, ``true``: it goes ahead of the others of its kind."""

_STRICTEST_FIRST = (Mode.OBSERVE, Mode.APPROVE, Mode.AUTO)


def why_held(head: KeyHead, rotation: Rotation, now: datetime) -> str:
    """Return why a rotation may begin no write at this moment; empty: it may."""
    if head.paused:
        return head.paused
    if rotation.policy_problem:
        return f"its policy cannot be used: {rotation.policy_problem}"
    if why := why_unapproved(head, rotation, now):
        return why
    windows = rotation.rules.windows
    if is_open(windows, now):
        return ""
    opens = opens_at(windows, now)
    when = f"opens on {opens:%Y-%m-%d at %H:%M} UTC" if opens else "never opens"
    return f"its change window is closed, and {when}"


def why_unapproved(head: KeyHead, rotation: Rotation, now: datetime) -> str:
    """Return why a rotation waits for an approver; empty: it does not."""
    if rotation.rules.mode is not Mode.APPROVE or _is_approved(head, now):
        return ""
    if head.approved_until:
        return f"its approval ran out on {head.approved_until:%Y-%m-%d at %H:%M} UTC"
    return "it waits for an approval"


def why_left(head: KeyHead, rotation: Rotation, body: Json, now: datetime) -> tuple[str, str]:
    """Return why a resource is left to a person, and what to do; both empty: it is not."""
    mode, says = _mode_of(rotation, body)
    if mode is Mode.OBSERVE:
        advice = "move it by hand, or let Keyturn do it: change the mode, then retry"
        return f"{says} lets Keyturn only observe it", advice
    if mode is Mode.APPROVE and not _is_approved(head, now):
        return f"{says} asks for an approval", "approve this rotation, then retry"
    return "", ""


def is_canary(body: Json) -> bool:
    """Return whether a resource is tagged to go ahead of the others of its kind."""
    return _tag(body, CANARY_TAG) == "true"


def _is_approved(head: KeyHead, now: datetime) -> bool:
    return head.approved_until is not None and now < head.approved_until


def _mode_of(rotation: Rotation, body: Json) -> tuple[Mode, str]:
    """Return the stricter of the rules' mode and the resource's own, and who asks for it."""
    said = _tag(body, MODE_TAG)
    # A mode that nobody can read is a wish for caution.
    tagged = Mode(said) if said in set(Mode) else Mode.OBSERVE if said else Mode.AUTO
    mode = min(tagged, rotation.rules.mode, key=_STRICTEST_FIRST.index)
    return mode, "the policy" if mode is rotation.rules.mode else f"its tag {MODE_TAG}={said}"


def _tag(body: Json, name: str) -> str:
    """Return the value of a tag in lower case; Azure tells no cases of a tag's name apart."""
    tags = body.get("tags")
    if not isinstance(tags, Mapping):
        return ""
    values = (value for key, value in tags.items() if str(key).lower() == name)
    return str(next(values, "")).strip().lower()
