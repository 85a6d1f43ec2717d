"""Subscriptions and the delivery of events to their webhooks.

Sources: docs, "Event Grid message delivery and retry" and "Endpoint validation". Left out of the
schedule: the small random part of each wait, and the probation of endpoints that keep failing.
"""

import asyncio
import itertools
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from threading import RLock, Thread
from typing import Self
from uuid import uuid4

import requests

from sandbox.clock import SandboxClock
from sandbox.event_grid.schemas import Event, Schema, is_cloud_event, type_of, validation_event

_WAITS = (
    *(timedelta(seconds=10), timedelta(seconds=30)),
    *(timedelta(minutes=minutes) for minutes in (1, 5, 10, 30)),
    *(timedelta(hours=hours) for hours in (1, 3, 6, 12)),  # the last one again and again
)
_MAX_ATTEMPTS = 30
_TIME_TO_LIVE = timedelta(hours=24)
_ACCEPTED = range(HTTPStatus.OK, HTTPStatus.NO_CONTENT + 1)
_NOT_RETRIED = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
)
_ANSWER_WITHIN = 30  # real seconds: the endpoint's work is not speeded up
_ORIGIN = "eventgrid.azure.net"


class HandshakeFailedError(Exception):
    """An endpoint did not prove that it wants events. Says what was expected and what came."""


@dataclass(eq=False, slots=True)
class Subscription:
    """A webhook that wants the events of a topic."""

    name: str
    topic: str
    endpoint: str
    """Where every attempt goes from now on, those for earlier events too."""
    schema: Schema
    included_types: tuple[str, ...]
    """Event types delivered; none named means all."""

    def wants(self, topic: str, event: Event) -> bool:
        """Whether an event of a topic is for it."""
        return self.topic.lower() == topic.lower() and (
            not self.included_types or type_of(event) in self.included_types
        )


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to deliver an event."""

    event_id: str
    subscription: str
    attempt: int
    """Counted from zero, as ``aeg-delivery-count`` does."""
    status: int | None
    """What the endpoint answered; ``None``: nothing, in time."""
    at: datetime
    """In sandbox time."""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """An event that will not be delivered: dead-lettered, or dropped where that is not set up."""

    event: Event
    subscription: str
    reason: str
    """``deadLetterReason``: ``MaxDeliveryAttemptsExceeded``, ``TimeToLiveExceeded``, or the status
    that is not retried."""
    attempts: int


class EventGrid:
    """Delivers events on a thread of its own, from start to stop. A context manager."""

    def __init__(self, clock: SandboxClock) -> None:
        self._clock = clock
        self._lock = RLock()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="event-grid", daemon=True)
        self._running: set[asyncio.Task[None]] = set()
        self._subscriptions: list[Subscription] = []
        self._deliveries: list[Delivery] = []
        self._given_up: list[GivenUp] = []
        self._lost = 0
        self._copies: list[int] = []
        self._reorder = False
        self._held: tuple[str, Event] | None = None

    def start(self) -> Self:
        """Begin to deliver."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop at once. Events on their way are lost with everything else."""
        asyncio.run_coroutine_threadsafe(self._cancel(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        """Begin to deliver."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop at once."""
        self.stop()

    # -- what Azure offers ---------------------------------------------------------------------

    def subscribe(
        self,
        topic: str,
        endpoint: str,
        *,
        schema: Schema = Schema.EVENT_GRID,
        included_types: Collection[str] = (),
        name: str = "keyturn",
    ) -> Subscription:
        """Subscribe a webhook to a topic after the handshake of its schema.

        Raises:
            HandshakeFailedError: The endpoint answered otherwise than it must.
        """
        _HANDSHAKES[schema](topic, endpoint, self._clock.now())
        subscription = Subscription(name, topic, endpoint, schema, tuple(included_types))
        with self._lock:
            self._subscriptions.append(subscription)
        return subscription

    def follow(self, before: str, now: str) -> None:
        """Deliver at another address, without a handshake, what went to an app at ``before``.

        In Azure an app keeps its address whatever becomes of its instances; here it has another
        port after a restart.

        Args:
            before: The beginning of an endpoint, such as ``http://127.0.0.1:41234``.
            now: What stands in its place.
        """
        with self._lock:
            for subscription in self._subscriptions:
                if subscription.endpoint.startswith(f"{before}/"):
                    subscription.endpoint = now + subscription.endpoint.removeprefix(before)

    def publish(self, topic: str, event: Event) -> None:
        """Take an event of a topic, and return before it is delivered.

        Args:
            topic: Its resource id; case does not matter.
            event: In either schema. In the Event Grid schema ``topic`` and ``metadataVersion``
                are filled in, as the service does.
        """
        if not is_cloud_event(event):
            event = {"topic": topic, "metadataVersion": "1"} | dict(event)
        with self._lock:
            if not any(s.wants(topic, event) for s in self._subscriptions):
                return  # before the faults, which are meant for what would be delivered
            if self._lost:
                self._lost -= 1
                return
            if self._reorder and self._held is None:
                self._held = (topic, event)
                return
            batches = [self._deliverable(topic, event)]
            if self._held is not None:
                batches.append(self._deliverable(*self._held))
                self._held, self._reorder = None, False
        self._loop.call_soon_threadsafe(self._begin, batches)

    # -- faults --------------------------------------------------------------------------------

    def lose_next(self, events: int = 1) -> None:
        """Lose the next events published: nobody will ever hear of them."""
        with self._lock:
            self._lost += events

    def duplicate_next(self, copies: int = 2) -> None:
        """Deliver the next event this many times, however it is answered."""
        with self._lock:
            self._copies.append(copies)

    def reorder_next(self) -> None:
        """Hold the next event back until the one after it has been delivered."""
        with self._lock:
            self._reorder = True

    # -- what became of it ---------------------------------------------------------------------

    def subscriptions(self) -> list[Subscription]:
        """Return every subscription."""
        with self._lock:
            return list(self._subscriptions)

    def deliveries(self) -> list[Delivery]:
        """Return every attempt so far, in the order in which they ended."""
        with self._lock:
            return list(self._deliveries)

    def given_up(self) -> list[GivenUp]:
        """Return the events that will not be tried again."""
        with self._lock:
            return list(self._given_up)

    # -- delivery ------------------------------------------------------------------------------

    def _deliverable(self, topic: str, event: Event) -> list[tuple[Subscription, Event]]:
        copies = self._copies.pop(0) if self._copies else 1
        wanted = [(s, event) for s in self._subscriptions if s.wants(topic, event)]
        return wanted * copies

    def _begin(self, batches: Iterable[list[tuple[Subscription, Event]]]) -> None:
        self._keep(self._loop.create_task(self._in_order(batches)))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _in_order(self, batches: Iterable[list[tuple[Subscription, Event]]]) -> None:
        """Try each batch once before the next one; what fails is tried again in its own time."""
        for batch in batches:
            first = [asyncio.Event() for _ in batch]
            for tried, (subscription, event) in zip(first, batch, strict=True):
                self._keep(self._loop.create_task(self._deliver(subscription, event, tried)))
            for tried in first:
                await tried.wait()

    async def _deliver(
        self, subscription: Subscription, event: Event, tried: asyncio.Event
    ) -> None:
        born = self._clock.now()
        for attempt in itertools.count():
            status = await asyncio.to_thread(_post, subscription, event, attempt)
            with self._lock:
                self._deliveries.append(
                    Delivery(event["id"], subscription.name, attempt, status, self._clock.now())
                )
            tried.set()
            if status in _ACCEPTED:
                return
            reason = HTTPStatus(status).phrase if status in _NOT_RETRIED and status else None
            if reason is None and attempt + 1 == _MAX_ATTEMPTS:
                reason = "MaxDeliveryAttemptsExceeded"
            if reason is None:
                wait = _WAITS[min(attempt, len(_WAITS) - 1)]
                await asyncio.sleep(self._clock.real_seconds(wait))
                # Looked at when the next attempt is due, and not before.
                if self._clock.now() - born > _TIME_TO_LIVE:
                    reason = "TimeToLiveExceeded"
            if reason is not None:
                with self._lock:
                    self._given_up.append(GivenUp(event, subscription.name, reason, attempt + 1))
                return

    async def _cancel(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._loop.shutdown_default_executor()


def _post(subscription: Subscription, event: Event, attempt: int) -> int | None:
    headers = {
        "Content-Type": subscription.schema.content_type,
        "aeg-event-type": "Notification",
        "aeg-subscription-name": subscription.name.upper(),
        "aeg-delivery-count": str(attempt),
        "aeg-data-version": str(event.get("dataVersion", "")),
        "aeg-metadata-version": "1",
    }
    try:
        return _request(
            "POST", subscription.endpoint, headers, subscription.schema.body(event)
        ).status_code
    except requests.RequestException:
        return None


def _request(method: str, url: str, headers: dict[str, str], body: bytes) -> requests.Response:
    with requests.Session() as session:
        # An endpoint is on this machine; a proxy of the environment knows nothing of it.
        session.trust_env = False
        return session.request(
            method, url, headers=headers, data=body, timeout=_ANSWER_WITHIN, allow_redirects=False
        )


def _validate(topic: str, endpoint: str, moment: datetime) -> None:
    """Do the handshake of the Event Grid schema. An answer of 202 is not enough (docs)."""
    code = str(uuid4()).upper()
    headers = {"Content-Type": "application/json", "aeg-event-type": "SubscriptionValidation"}
    body = Schema.EVENT_GRID.body(validation_event(topic, code, moment))
    answer = _handshake("POST", endpoint, headers, body)
    try:
        echoed = answer.json()["validationResponse"]
    except (ValueError, KeyError, TypeError):
        echoed = None
    if answer.status_code != HTTPStatus.OK or echoed != code:
        raise HandshakeFailedError(
            f"expected 200 with validationResponse {code},"
            f" got {answer.status_code}: {answer.text[:200]}"
        )


def _ask_for_consent(_topic: str, endpoint: str, _moment: datetime) -> None:
    """Do the handshake of CloudEvents' HTTP 1.1 Web Hooks."""
    answer = _handshake("OPTIONS", endpoint, {"WebHook-Request-Origin": _ORIGIN}, b"")
    allowed = answer.headers.get("WebHook-Allowed-Origin")
    if answer.status_code != HTTPStatus.OK or allowed not in (_ORIGIN, "*"):
        raise HandshakeFailedError(
            f"expected 200 with WebHook-Allowed-Origin {_ORIGIN}, got {answer.status_code}:"
            f" {allowed}"
        )


def _handshake(method: str, url: str, headers: dict[str, str], body: bytes) -> requests.Response:
    try:
        return _request(method, url, headers, body)
    except requests.RequestException as error:
        raise HandshakeFailedError(f"expected an answer, got none: {error}") from error


_HANDSHAKES = {Schema.EVENT_GRID: _validate, Schema.CLOUD_EVENTS: _ask_for_consent}
