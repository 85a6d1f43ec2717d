"""The sandbox's time, led by the clock of a bench: vaults and resources age with its rows."""

from dataclasses import dataclass
from datetime import datetime

from sandbox.clock import SandboxClock
from shared.ports import Clock


@dataclass
class Leader:
    """What leads; a bench's clock is made after the sandbox that it is to lead."""

    clock: Clock


@dataclass(frozen=True)
class LedClock(SandboxClock):
    """Goes on when its leader does, and stands still when that does."""

    leader: Leader

    def now(self) -> datetime:
        return self.leader.clock.now()
