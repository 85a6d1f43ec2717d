"""Whether a rotation may still write."""

from shared.domain.rows import KeyHead, Rotation
from shared.domain.verdicts import Outcome, Verdict
from shared.ports import Rows


def is_active(rows: Rows, rotation: Rotation) -> bool:
    """Return whether the key's head still names this rotation: no newer version has taken over."""
    if rotation.outcome is not None:
        return False
    head = rows.load(KeyHead, *KeyHead(key=rotation.key).address)
    return head is not None and head.row.active == rotation.id


def why_not_active(rows: Rows, rotation: Rotation) -> tuple[Verdict, str] | None:
    """Return what becomes of work whose rotation may not write; ``None``: it may."""
    if is_active(rows, rotation):
        return None
    if rotation.outcome in (None, Outcome.SUPERSEDED):
        return Verdict.SUPERSEDED, "a newer version of the key took over"
    return Verdict.UNKNOWN, "its rotation had ended when it was found; rotate again"
