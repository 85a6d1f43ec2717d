"""ARM's token buckets: what is left to a caller in a subscription."""

from dataclasses import dataclass
from datetime import datetime
from math import ceil
from threading import RLock

from sandbox.arm.errors import ArmError
from sandbox.clock import SandboxClock


@dataclass(frozen=True, slots=True)
class Rate:
    """The size of a bucket and what it regains in a second."""

    bucket: int
    per_second: int


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
        self._clock = clock
        self._lock = RLock()
        self._buckets: dict[tuple[str, str, str], tuple[float, datetime]] = {}

    def take(self, principal: str, subscription: str, method: str) -> dict[str, str]:
        """Count one request; return the header that says what is left.

        Raises:
            ArmError: 429 with ``Retry-After`` in whole seconds, where limits are enforced.
        """
        kind = operation(method)
        rate = _RATES[kind]
        key = (principal, subscription.lower(), kind)
        with self._lock:
            now = self._clock.now()
            level, since = self._buckets.get(key, (float(rate.bucket), now))
            refilled = level + (now - since).total_seconds() * rate.per_second
            left = min(float(rate.bucket), refilled) - 1
            if left < 0 and self.enforced:
                wait = ceil(-left / rate.per_second)
                raise _throttled(subscription, kind, wait)
            self._buckets[key] = (max(left, 0.0), now)
        return {f"x-ms-ratelimit-remaining-subscription-{kind}": str(max(int(left), 0))}


def _throttled(subscription: str, kind: str, wait: int) -> ArmError:
    """Text as recorded (arm-common/429_subscription_requests_throttled.json)."""
    return ArmError(
        429,
        "SubscriptionRequestsThrottled",
        f"Number of requests for subscription '{subscription}' and operation '{kind}' exceeded "
        f"the backend storage limit. Please try again after '{wait}' seconds.",
        headers={"retry-after": str(wait), "x-ms-failure-cause": "gateway"},
    )
