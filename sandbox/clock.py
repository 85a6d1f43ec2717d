"""The sandbox's time: real time, or a multiple of it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self


@dataclass(frozen=True, slots=True)
class SandboxClock:
    """A clock that runs ``rate`` times as fast as real time since ``anchor``.

    Two processes that hold the same anchor and rate read the same time, which is how the app
    under test shares the sandbox's time: by ``setting``.
    """

    anchor: datetime
    """The moment, aware and in UTC, at which sandbox time equals real time."""
    rate: float
    """Sandbox seconds in one real second, above zero."""

    def __post_init__(self) -> None:
        if self.anchor.utcoffset() != timedelta(0):
            raise ValueError(f"the anchor of a clock must be in UTC, not {self.anchor!r}")
        if self.rate <= 0:
            raise ValueError(f"the rate of a clock must be above zero, not {self.rate!r}")

    @classmethod
    def start(cls, rate: float = 1) -> Self:
        """Return a clock that agrees with real time at this moment."""
        return cls(datetime.now(UTC), rate)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a clock from the text of its ``setting``.

        Raises:
            ValueError: ``text`` is not an ISO 8601 moment in UTC, a space, and ``x`` with a rate.
        """
        moment, separator, rate = text.partition(" x")
        if not separator:
            raise ValueError(
                f"not the setting of a clock, such as '2026-11-23T18:00:00Z x60': {text!r}"
            )
        return cls(datetime.fromisoformat(moment), float(rate))

    @property
    def setting(self) -> str:
        """This clock as text, for example ``2026-11-23T18:00:00+00:00 x60``."""
        return f"{self.anchor.isoformat()} x{repr(self.rate).removesuffix('.0')}"

    def now(self) -> datetime:
        """Return the time in the sandbox, aware and in UTC."""
        return self.anchor + (datetime.now(UTC) - self.anchor) * self.rate

    def real_seconds(self, duration: timedelta) -> float:
        """Return how many real seconds ``duration`` of sandbox time lasts."""
        return duration.total_seconds() / self.rate
