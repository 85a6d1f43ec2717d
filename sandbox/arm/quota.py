"""ARM's token buckets: what is left to a caller in a subscription."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from threading import RLock

from sandbox.arm.errors import ArmError
from sandbox.clock import SandboxClock


@dataclass(frozen=True, slots=True)
class Rate:
    """The size of a bucket and what it regains in a second of sandbox time."""

    bucket: int
    per_second: float


READS = Rate(bucket=250, per_second=25)
WRITES = Rate(bucket=200, per_second=10)
DELETES = Rate(bucket=200, per_second=10)
_RATES = {"reads": READS, "writes": WRITES, "deletes": DELETES}


def operation(method: str) -> str:
    """Return the bucket that a request draws from: reads, writes or deletes."""
    return {"GET": "reads", "DELETE": "deletes"}.get(method, "writes")


class Quota:
    """One bucket for each principal, subscription and operation, refilled by sandbox time.

    docs: azure-resource-manager/management/request-limits-and-throttling. Real buckets are also
    per region of the request; the sandbox has one.
    """

    def __init__(self, clock: SandboxClock) -> None:
        self.enforced = False
        """Whether an empty bucket answers 429. Off, so that only tests of pace meet it."""
        self.wait_in_text = False
        """Whether a refusal says the wait in its message alone, without ``Retry-After``."""
        self._clock = clock
        self._lock = RLock()
        self._rates = dict(_RATES)
        self._refused: Counter[str] = Counter()
        self._buckets: dict[tuple[str, str, str], tuple[float, datetime]] = {}

    @property
    def refused(self) -> Counter[str]:
        """How many requests were refused so far: by ``reads``, ``writes`` and ``deletes``."""
        with self._lock:
            return self._refused.copy()

    def limit(
        self, *, reads: Rate | None = None, writes: Rate | None = None, deletes: Rate | None = None
    ) -> None:
        """Set buckets to a test's own sizes; those that are not named keep theirs. All are full."""
        sizes = {"reads": reads, "writes": writes, "deletes": deletes}
        with self._lock:
            self._rates.update({kind: rate for kind, rate in sizes.items() if rate is not None})
            self._buckets.clear()

    def take(self, principal: str, subscription: str, method: str) -> dict[str, str]:
        """Count one request; return the header that says what is left.

        Raises:
            ArmError: 429 with the wait in whole seconds, where limits are enforced.
        """
        kind = operation(method)
        key = (principal, subscription.lower(), kind)
        with self._lock:
            now, rate = self._clock.now(), self._rates[kind]
            level, since = self._buckets.get(key, (float(rate.bucket), now))
            refilled = level + (now - since).total_seconds() * rate.per_second
            left = min(float(rate.bucket), refilled) - 1
            if left < 0 and self.enforced:
                self._refused[kind] += 1
                wait = ceil(-left / rate.per_second)
                raise _throttled(subscription, kind, wait, in_text=self.wait_in_text)
            self._buckets[key] = (max(left, 0.0), now)
        return {f"x-ms-ratelimit-remaining-subscription-{kind}": str(max(int(left), 0))}


def _throttled(subscription: str, kind: str, wait: int, *, in_text: bool) -> ArmError:
    """Text, and that it may come alone, as recorded (429_subscription_requests_throttled.json)."""
    header = {} if in_text else {"retry-after": str(wait)}
    return ArmError(
        429,
        "SubscriptionRequestsThrottled",
        f"Number of requests for subscription '{subscription}' and operation '{kind}' exceeded "
        f"the backend storage limit. Please try again after '{wait}' seconds.",
        headers={**header, "x-ms-failure-cause": "gateway"},
    )
