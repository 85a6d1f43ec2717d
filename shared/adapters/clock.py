"""The clock."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SANDBOX = re.compile(r"(?P<anchor>\S+) x(?P<rate>[0-9]+(?:\.[0-9]+)?)")


@dataclass(frozen=True, slots=True)
class RealClock:
    """Real time, or the sandbox's: ``rate`` times as fast since ``anchor``.

    The queue is always real: ``real`` says how long a delay lasts there.
    """

    anchor: datetime = _EPOCH
    rate: float = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``KEYTURN_SANDBOX_CLOCK``, such as ``2026-11-23T18:00:00+00:00 x60``.

        Raises:
            ValueError: It is of another form.
        """
        found = _SANDBOX.fullmatch(text)
        if found is None:
            raise ValueError(f"not a moment and a rate: {text!r}")
        return cls(datetime.fromisoformat(found["anchor"]), float(found["rate"]))

    def now(self) -> datetime:
        """See ``Clock.now``."""
        real = datetime.now(UTC)
        return real if self.rate == 1 else self.anchor + (real - self.anchor) * self.rate

    def real(self, duration: timedelta) -> timedelta:
        """Return how long ``duration`` lasts in real time."""
        return duration / self.rate
