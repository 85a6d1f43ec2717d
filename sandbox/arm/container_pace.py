"""How container groups come and go: at the recorded pace, or in one of the ways that go wrong."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sandbox.arm.operations import Operation

CREATION = timedelta(seconds=10)
"""Recorded: nine seconds from the PUT to the running container (test_container_create.yaml)."""


@dataclass(slots=True)
class GroupPace:
    """How the group of one name comes and goes.

    It outlives the group, and what goes on already heeds it too: set it at any time.
    """

    next_poll_at: datetime
    """When the service next looks, on its own, for a newer version; then every hour. Matters to
    a group that names no version. That it is hourly is an assumption: no figure is documented."""
    creation: timedelta | None = CREATION
    """How long it is from a PUT to the running group; ``None``: it never runs."""
    deletion: timedelta | None = timedelta(0)
    """How long it is from a DELETE until the group is gone; ``None``: it never goes."""
    failures: int | None = 0
    """How many of the next starts fail for want of capacity; ``None``: all of them."""

    def fails(self) -> bool:
        """Tell whether the start that is due fails, and count it."""
        if self.failures is None:
            return True
        fails = self.failures > 0
        self.failures -= fails
        return fails


@dataclass(frozen=True, slots=True)
class Course:
    """What goes on in a group between a write and its end, which the pace decides."""

    began: datetime
    operation: Operation
    deletes: bool = False

    def ended(self, pace: GroupPace, now: datetime) -> datetime | None:
        """Return when it ended; ``None``: it goes on at ``now``."""
        lasts = pace.deletion if self.deletes else pace.creation
        return None if lasts is None or now < self.began + lasts else self.began + lasts
