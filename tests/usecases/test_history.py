"""The list of rotations has each of them once."""

from datetime import datetime, timedelta

from shared.domain.policy import Rules
from shared.domain.records import Opened
from shared.domain.rows import Cause, Rotation
from shared.usecases.history import ListRotations
from tests.domain.values import NOW
from tests.usecases.memory import MemoryRows


class _Clock:
    def now(self) -> datetime:
        return NOW


def test_what_two_opened_at_the_same_moment_is_listed_once() -> None:
    """A request and the vault's event: each writes the index, and one of them the rotation."""
    rows = MemoryRows()
    key = "https://kv1.vault.azure.net/keys/cmk"
    rotation = Rotation(
        id="0a-1",
        key=key,
        target=f"{key}/{'a' * 32}",
        target_created=NOW,
        key_type="RSA",
        bits=2048,
        run=1,
        cause=Cause(trigger="event", id="e1"),
        opened_at=NOW,
        rules=Rules(),
    )
    for at in (NOW + timedelta(milliseconds=20), NOW):
        rows.insert(Opened(rotation=rotation.id, key=key, at=at))
    rows.insert(rotation)

    listed = ListRotations(rows=rows, clock=_Clock()).run(limit=10)

    assert [each.id for each in listed.items] == ["0a-1"]
