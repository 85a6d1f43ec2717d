"""Whether a rotation may still write."""

from shared.domain.rows import KeyHead, Rotation
from shared.ports import Rows


def is_active(rows: Rows, rotation: Rotation) -> bool:
    """Return whether the key's head still names this rotation: no newer version has taken over."""
    if rotation.outcome is not None:
        return False
    head = rows.load(KeyHead, *KeyHead(key=rotation.key).address)
    return head is not None and head.row.active == rotation.id
