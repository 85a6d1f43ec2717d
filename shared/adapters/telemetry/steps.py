"""Steps, each in a span of its rotation's trace, with its ids on what it logs."""

from collections.abc import Callable

from shared.adapters.telemetry.ids import MESSAGE, ids_of, naming
from shared.adapters.telemetry.telemetry import Telemetry
from shared.domain.rows import Rotation
from shared.domain.steps import Step
from shared.ports import Rows

_REMEMBERED = 100
"""Rotations whose context this process remembers: it never changes."""


class TracedSteps:
    """Runs steps. Without an SDK that takes spans, all that is left of this is ids in the log."""

    def __init__(self, run: Callable[[Step], None], telemetry: Telemetry, rows: Rows) -> None:
        self._run = run
        self._telemetry = telemetry
        self._rows = rows
        self._rotations: dict[str, Rotation] = {}

    def run(self, step: Step, *, message: str) -> None:
        """See ``Steps.run``."""
        with naming({**ids_of(step), MESSAGE: message}):
            if not self._telemetry.is_on:
                self._run(step)
                return
            rotation = self._rotation(getattr(step, "rotation", ""))
            with self._telemetry.step(step, message=message, rotation=rotation):
                self._run(step)

    def _rotation(self, rotation: str) -> Rotation | None:
        """Return a rotation as it was when this process first met it: one read, and no more."""
        if rotation and rotation not in self._rotations:
            kept = self._rows.load(Rotation, rotation, "rotation")
            if kept is None:
                return None
            if len(self._rotations) >= _REMEMBERED:
                self._rotations.clear()
            self._rotations[rotation] = kept.row
        return self._rotations.get(rotation)
