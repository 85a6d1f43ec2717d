"""The limits that a resource provider has of its own, behind those of ARM."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from threading import RLock

from sandbox.arm.errors import ArmError
from sandbox.clock import SandboxClock


@dataclass(frozen=True, slots=True)
class Window:
    """So many requests in each observation window; the first request opens it."""

    requests: int
    lasts: timedelta


_LIMITS = {
    "Read": (Window(800, timedelta(minutes=5)),),
    "List": (Window(100, timedelta(minutes=5)),),
    "Write": (Window(10, timedelta(seconds=1)), Window(1200, timedelta(hours=1))),
}


class ProviderQuota:
    """The storage provider's limits for each subscription, region and kind of request.

    docs: azure-subscription-service-limits, storage resource provider: 800 reads and 100 lists in
    five minutes, 10 writes a second and 1,200 an hour, "per region per subscription". Deletions
    count as writes (inference).
    """

    def __init__(self, clock: SandboxClock) -> None:
        self.enforced = False
        """Whether a full window answers 429. Off, so that only tests of pace meet it."""
        self._clock = clock
        self._lock = RLock()
        self._limits = dict(_LIMITS)
        self._opened: dict[tuple[str, str, str, Window], tuple[datetime, int]] = {}
        self._refused: Counter[str] = Counter()

    @property
    def refused(self) -> Counter[str]:
        """How many requests were refused so far: by ``Read``, ``List`` and ``Write``."""
        with self._lock:
            return self._refused.copy()

    def limit(self, *, read: Window | None = None, write: Window | None = None) -> None:
        """Set a limit to a test's own size; one that is not named stays as it is."""
        with self._lock:
            if read is not None:
                self._limits["Read"] = (read,)
            if write is not None:
                self._limits["Write"] = (write,)

    def take(self, subscription: str, location: str, kind: str) -> None:
        """Count one request.

        Args:
            subscription: Its id.
            location: Region of the resource; empty for a list, which has none.
            kind: ``Read``, ``List`` or ``Write``.

        Raises:
            ArmError: 429 with ``Retry-After``, where limits are enforced.
        """
        if not self.enforced:
            return
        with self._lock:
            now = self._clock.now()
            keys = [(subscription.lower(), location, kind, each) for each in self._limits[kind]]
            states = [self._state(key, now) for key in keys]
            for key, (since, used) in zip(keys, states, strict=True):
                if used >= key[3].requests:
                    self._refused[kind] += 1
                    raise _too_many(kind, key[3], since + key[3].lasts - now)
            for key, (since, used) in zip(keys, states, strict=True):
                self._opened[key] = (since, used + 1)

    def _state(self, key: tuple[str, str, str, Window], now: datetime) -> tuple[datetime, int]:
        """Return when the window was opened and how many requests it has seen."""
        since, used = self._opened.get(key, (now, 0))
        return (now, 0) if now - since >= key[3].lasts else (since, used)


def _too_many(kind: str, window: Window, wait: timedelta) -> ArmError:
    """Text and header as quoted by users, for reads: azure-media-migration#237, onefuzz#2100."""
    hours, seconds = divmod(int(window.lasts.total_seconds()), 3600)
    lasts = f"{hours:02}:{seconds // 60:02}:{seconds % 60:02}"
    return ArmError(
        429,
        "TooManyRequests",
        "The request is being throttled as the limit has been reached for operation type - "
        f"{kind}_ObservationWindow_{lasts}. For more information, see - "
        "https://aka.ms/srpthrottlinglimits",
        headers={"retry-after": str(ceil(wait.total_seconds()))},
    )
