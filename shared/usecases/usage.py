"""Gather who uses which version of a key."""

from shared.catalog import find_kind
from shared.domain.resources import digest
from shared.domain.rows import Known
from shared.domain.usage import Usage
from shared.ports import Rows


def usage_of(rows: Rows, key: str) -> Usage:
    """Return what rotations have seen of a key's consumers; ``key`` is its URL."""
    usage = Usage()
    for kept in rows.scan(Known, digest(key)):
        usage.note(kept.row, find_kind(kept.row.kind))
    return usage


def has_consumers(rows: Rows, key: str) -> bool:
    """Return whether a key is known to be used."""
    return any(kept.row.holds for kept in rows.scan(Known, digest(key)))
