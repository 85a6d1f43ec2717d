"""Custom topics: where an app publishes events of its own."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from threading import RLock
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from sandbox.event_grid.delivery import EventGrid
from sandbox.event_grid.schemas import Event
from sandbox.identity import APP_PRINCIPAL, TokenRefused, TokenService

_AUDIENCE = "https://eventgrid.azure.net"
_SEND = "Microsoft.EventGrid/events/send/action"
_REQUIRED = {
    # docs: the schemas' required properties.
    "application/json": ("id", "subject", "eventType", "eventTime", "data", "dataVersion"),
    "application/cloudevents+json": ("id", "source", "type", "specversion"),
    "application/cloudevents-batch+json": ("id", "source", "type", "specversion"),
}
_MAX_BYTES = 1024 * 1024  # docs: Event Grid quotas and limits


@dataclass(frozen=True, slots=True)
class CustomTopic:
    """A topic of the app's own."""

    name: str
    region: str
    key: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    """What ``aeg-sas-key`` must carry where no token is sent."""

    @property
    def host(self) -> str:
        """For example ``rotations.westeurope-1.eventgrid.azure.net``."""
        return f"{self.name}.{self.region}-1.eventgrid.azure.net".lower()

    @property
    def endpoint(self) -> str:
        """What a publisher is configured with."""
        return f"https://{self.host}/api/events"


class CustomTopics:
    """The topics and what was published to them. Subscriptions name a topic by its ``name``."""

    def __init__(self, event_grid: EventGrid, tokens: TokenService) -> None:
        self._event_grid = event_grid
        self._tokens = tokens
        self._lock = RLock()
        self._topics: dict[str, CustomTopic] = {}
        self._published: dict[str, list[Event]] = {}
        self.senders: set[str] = {APP_PRINCIPAL}
        """Object ids of those who may publish: they have ``Microsoft.EventGrid/events/send/action``
        (docs: authenticate-with-microsoft-entra-id, role EventGrid Data Sender)."""

    def create(self, name: str, region: str = "westeurope") -> CustomTopic:
        """Create a topic that takes both schemas."""
        topic = CustomTopic(name, region)
        with self._lock:
            self._topics[topic.host] = topic
            self._published[name] = []
        return topic

    def published(self, name: str) -> list[Event]:
        """Return the events published to a topic, oldest first.

        Raises:
            KeyError: There is no such topic.
        """
        with self._lock:
            return list(self._published[name])

    def app(self) -> ASGIApp:
        """Return the service, to be mounted at ``*.eventgrid.azure.net``."""
        return Starlette(routes=[Route("/api/events", self._answer, methods=["POST"])])

    async def _answer(self, request: Request) -> Response:
        host = request.headers.get("host", "").partition(":")[0].lower()
        with self._lock:
            topic = self._topics.get(host)
        if topic is None:
            return _error(HTTPStatus.NOT_FOUND, f"there is no topic at {host}")
        if refusal := self._refusal(topic, request.headers):
            return _error(*refusal)
        body = await request.body()
        if len(body) > _MAX_BYTES:
            return _error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "over the limit of 1 MB")
        try:
            events = _events(request.headers.get("content-type", ""), body)
        except ValueError as error:
            return _error(HTTPStatus.BAD_REQUEST, str(error))
        with self._lock:
            self._published[topic.name] += events
        for event in events:
            self._event_grid.publish(topic.name, event)
        return Response()

    def _refusal(
        self, topic: CustomTopic, headers: Mapping[str, str]
    ) -> tuple[HTTPStatus, str] | None:
        if key := headers.get("aeg-sas-key"):
            good = secrets.compare_digest(key, topic.key)
            return None if good else (HTTPStatus.UNAUTHORIZED, "the key is wrong")
        try:
            sender = self._tokens.check(headers.get("authorization"), _AUDIENCE).principal
        except TokenRefused as refused:
            return HTTPStatus.UNAUTHORIZED, refused.message
        if sender in self.senders:
            return None
        message = f"The principal associated with access token lacks the right to {_SEND}."
        return HTTPStatus.FORBIDDEN, message


def _events(content_type: str, body: bytes) -> list[dict[str, Any]]:
    """Read the events of a request.

    Raises:
        ValueError: It is not what its content type says. Nothing of it is taken then.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in _REQUIRED:
        raise ValueError(f"the content type {content_type!r} is none of {sorted(_REQUIRED)}")
    parsed = json.loads(body)
    events = [parsed] if kind == "application/cloudevents+json" else parsed
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        raise ValueError("the body is not an array of events")
    for event in events:
        if missing := [name for name in _REQUIRED[kind] if name not in event]:
            raise ValueError(f"the event {event.get('id')} lacks {', '.join(missing)}")
    return events


def _error(status: HTTPStatus, message: str) -> Response:
    # The envelope is the service's, the texts are ours.
    return JSONResponse({"error": {"code": status.phrase, "message": message}}, status)
