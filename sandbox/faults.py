"""Faults on demand: what a service, or the network before it, does wrong and how often."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from http import HTTPStatus
from threading import RLock
from typing import Any, Literal

from sandbox.clock import SandboxClock
from sandbox.held_requests import HeldRequest
from sandbox.identity import TENANT


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer that is given in place of the service's own."""

    status: int
    body: bytes | Mapping[str, Any] = b""
    """A mapping is sent as JSON; bytes are sent as they are."""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        """The body as it is sent."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()

    @property
    def all_headers(self) -> dict[str, str]:
        """The headers as they are sent, in lower case, with a content type for a JSON body."""
        named = {name.lower(): value for name, value in self.headers.items()}
        if isinstance(self.body, bytes):
            return named
        return {"content-type": "application/json; charset=utf-8"} | named


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong with the requests that match all three patterns.

    Patterns are those of ``fnmatch``, read without regard to case; the path has no query.
    """

    method: str = "*"
    host: str = "*"
    path: str = "*"
    times: int | None = 1
    """How many requests it meets; ``None``: all of them, until the faults are cleared."""
    since: datetime | None = None
    """The sandbox time from which on it is there; ``None``: at once."""
    until: datetime | None = None
    """The sandbox time at which it is over; ``None``: never."""
    answer: Answer | None = None
    """Given in place of the service's answer; the service never sees the request."""
    lose_request: bool = False
    """Reset the connection before the service sees the request."""
    lose_answer: bool = False
    """Let the service do its work, then reset the connection instead of answering."""
    delay: timedelta = timedelta(0)
    """Sandbox time that passes before anything else happens."""
    hold: HeldRequest | None = None
    """Reset the connection, and keep the request for when it is released: see ``Faults.hold``."""
    before: Callable[[str], object] | None = None
    """Called with the path, in a thread, right before the service sees the request."""
    after: Callable[[str], object] | None = None
    """Called with the path, in a thread, once the service is done, before its answer leaves."""

    def matches(self, method: str, host: str, path: str) -> bool:
        """Tell whether a request is one that this fault meets."""
        return (
            fnmatchcase(method.lower(), self.method.lower())
            and fnmatchcase(host.lower(), self.host.lower())
            and fnmatchcase(path.lower(), self.path.lower())
        )

    def is_there(self, now: datetime) -> bool:
        """Tell whether it has begun and is not over."""
        return (self.since is None or self.since <= now) and (
            self.until is None or now < self.until
        )


class Faults:
    """The faults that are still to come. The first that matches a request meets it."""

    def __init__(self, clock: SandboxClock) -> None:
        self._clock = clock
        self._lock = RLock()
        self._waiting: list[tuple[Fault, int | None]] = []
        self._taken: list[tuple[Fault, datetime]] = []

    @property
    def taken(self) -> list[tuple[Fault, datetime]]:
        """Every fault that met a request, with the sandbox time at which it did, oldest first."""
        with self._lock:
            return list(self._taken)

    def add(self, fault: Fault) -> None:
        """Let ``fault`` meet the requests to come, after those added before it."""
        with self._lock:
            self._waiting.append((fault, fault.times))

    def hold(self, *, method: str = "*", host: str = "*", path: str = "*") -> HeldRequest:
        """Keep the next request that matches from its service until it is released.

        It is a request that the network delivers long after its sender has given up: the sender's
        connection is reset as soon as the request has arrived whole. ::

            held = faults.hold(method="PATCH", path="*/storageAccounts/stone")
            ...                        # the app writes, and finds its connection cut
            assert held.arrived.wait(10)
            ...                        # hours pass
            call = held.release()      # now the service sees it, as it is now
        """
        held = HeldRequest()
        self.add(Fault(method=method, host=host, path=path, hold=held))
        return held

    def on(  # noqa: PLR0913 - a request's pattern, what to do, when and how often
        self,
        method: str,
        path: str,
        callback: Callable[[str], object],
        *,
        when: Literal["before", "after"] = "before",
        host: str = "*",
        times: int | None = 1,
    ) -> None:
        """Run ``callback`` in the moment before or after a service handles a request.

        This is how another writer gets between the app's read and its write. The callback is given
        the path, and may itself call the services, over HTTP or directly. Should it raise, the
        client is answered 500.
        """
        if when == "before":
            self.add(Fault(method=method, host=host, path=path, times=times, before=callback))
        else:
            self.add(Fault(method=method, host=host, path=path, times=times, after=callback))

    def clear(self) -> None:
        """Forget the faults that are still to come."""
        with self._lock:
            self._waiting.clear()

    def take(self, method: str, host: str, path: str) -> Fault | None:
        """Return the fault that meets this request, counting it as used once more."""
        with self._lock:
            for index, (fault, left) in enumerate(self._waiting):
                if not (fault.matches(method, host, path) and fault.is_there(self._clock.now())):
                    continue
                if left == 1:
                    del self._waiting[index]
                elif left is not None:
                    self._waiting[index] = (fault, left - 1)
                self._taken.append((fault, self._clock.now()))
                return fault
        return None


def throttled(retry_after: timedelta, *, in_text: bool = False) -> Answer:
    """Return a 429 as Azure Resource Manager gives it.

    Args:
        retry_after: The wait that is asked for, in whole seconds.
        in_text: Say the wait in the message alone, without a ``Retry-After`` header.

    Recorded: arm-common/429_plain.json #5 (header), 429_subscription_requests_throttled.json #0
    (text alone).
    """
    seconds = int(retry_after.total_seconds())
    subscription = "00000000-0000-0000-0000-000000000000"
    if in_text:
        code = "SubscriptionRequestsThrottled"
        message = (
            f"Number of requests for subscription '{subscription}' and operation"
            " 'PUT/SUBSCRIPTIONS/RESOURCEGROUPS/PROVIDERS/' exceeded the backend storage limit."
            f" Please try again after '{seconds}' seconds."
        )
        headers = {}
    else:
        code = "429"
        message = (
            f"Request is temporarily throttled because subscription {subscription} has issued"
            f" too many requests. Retry after {seconds} seconds."
        )
        headers = {"Retry-After": str(seconds)}
    body = {"error": {"code": code, "message": message}}
    return Answer(HTTPStatus.TOO_MANY_REQUESTS, body, headers)


def server_error_html(status: int = HTTPStatus.SERVICE_UNAVAILABLE) -> Answer:
    """Return a 5xx with a body of HTML, as a gateway before the service gives it.

    That such bodies come is recorded (facts on Azure's behaviour, 5xx); this page's text is ours.
    """
    phrase = HTTPStatus(status).phrase
    page = (
        f"<html><head><title>{status} {phrase}</title></head>"
        f"<body><h1>{phrase}</h1><p>The service is unavailable.</p></body></html>"
    )
    return Answer(status, page.encode(), {"Content-Type": "text/html"})


def token_expired(at: datetime) -> Answer:
    """Return a 401 as Azure Resource Manager gives it for a token that expired in mid-run.

    Args:
        at: When the token expired, which is when it is refused, in UTC.

    Recorded: arm-common/401_expired_token_while_polling.json.
    """
    moment = f"{at:%-m/%-d/%Y %-I:%M:%S %p}"
    message = (
        f"The access token expiry UTC time '{moment}' is earlier than current UTC time '{moment}'."
    )
    challenge = (
        f'Bearer authorization_uri="https://login.windows.net/{TENANT}", error="invalid_token", '
        'error_description="The access token has expired."'
    )
    return Answer(
        HTTPStatus.UNAUTHORIZED,
        {"error": {"code": "ExpiredAuthenticationToken", "message": message}},
        {"WWW-Authenticate": challenge, "x-ms-failure-cause": "gateway"},
    )
