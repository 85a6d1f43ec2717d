"""Event Grid delivers as it is documented to: at least once, with handshakes and retries."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from azure.core.credentials import AccessToken, AzureKeyCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridEvent, EventGridPublisherClient
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from sandbox.clock import SandboxClock
from sandbox.event_grid import CustomTopics, EventGrid, HandshakeFailedError, Schema
from sandbox.faults import Faults
from sandbox.front_door import FrontDoor
from sandbox.identity import TokenService
from sandbox.serving import Serving

VAULT = "/subscriptions/0/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv1"
CREATED = "Microsoft.KeyVault.KeyNewVersionCreated"
FAST = 20_000  # a day passes in about four seconds


def event(event_id: str, kind: str = CREATED) -> dict[str, Any]:
    return {
        "id": event_id,
        "subject": "key1",
        "eventType": kind,
        "eventTime": "2026-11-23T10:00:00.1234567Z",
        "data": {"ObjectName": "key1"},
        "dataVersion": "1",
    }


@dataclass
class Webhook:
    """An endpoint that does what it is told, and keeps what it was sent."""

    statuses: list[int] = field(default_factory=list)
    """What it answers in turn; 200 when there are no more."""
    slow_for: str = ""
    """The id of an event that it takes its time with."""
    consents: bool = True
    handshake_status: int = 200
    received: list[tuple[dict[str, str], Any]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        answer = await self.answer(request)
        await answer(scope, receive, send)

    async def answer(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            origin = request.headers["webhook-request-origin"] if self.consents else "other"
            return Response(
                status_code=self.handshake_status, headers={"WebHook-Allowed-Origin": origin}
            )
        body = json.loads(await request.body())
        if request.headers["aeg-event-type"] == "SubscriptionValidation":
            code = body[0]["data"]["validationCode"] if self.consents else "other"
            return JSONResponse({"validationResponse": code}, self.handshake_status)
        if self.slow_for and self.slow_for == body[0]["id"]:
            await asyncio.sleep(0.3)
        self.received.append((dict(request.headers), body))
        return Response(status_code=self.statuses.pop(0) if self.statuses else 200)

    @property
    def ids(self) -> list[str]:
        return [(body[0] if isinstance(body, list) else body)["id"] for _, body in self.received]


def eventually(condition: Callable[[], object], within: float = 15) -> bool:
    until = time.monotonic() + within
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.01)
    return False


@pytest.fixture(scope="module")
def tokens() -> TokenService:
    return TokenService()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as open_things:
        yield open_things


@pytest.fixture
def door() -> FrontDoor:
    clock = SandboxClock.start()
    return FrontDoor(Faults(clock), clock)


@pytest.fixture
def serving(stack: ExitStack, door: FrontDoor) -> Serving:
    return stack.enter_context(Serving(door))


@pytest.fixture
def webhook() -> Webhook:
    return Webhook()


@pytest.fixture
def endpoint(serving: Serving, webhook: Webhook) -> str:
    return serving.serve_plain(webhook)


@pytest.fixture
def grid(stack: ExitStack) -> EventGrid:
    return stack.enter_context(EventGrid(SandboxClock(datetime.now(UTC), FAST)))


class TestHandshake:
    @pytest.mark.parametrize("schema", Schema)
    def test_an_endpoint_that_consents_is_subscribed(
        self, schema: Schema, grid: EventGrid, endpoint: str
    ) -> None:
        assert grid.subscribe(VAULT, endpoint, schema=schema).endpoint == endpoint

    @pytest.mark.parametrize("schema", Schema)
    def test_a_wrong_answer_is_refused(
        self, schema: Schema, grid: EventGrid, endpoint: str, webhook: Webhook
    ) -> None:
        webhook.consents = False

        with pytest.raises(HandshakeFailedError, match="expected 200 with"):
            grid.subscribe(VAULT, endpoint, schema=schema)

        grid.publish(VAULT, event("a"))
        assert not eventually(lambda: webhook.received, within=0.2)

    def test_accepted_is_not_enough(self, grid: EventGrid, endpoint: str, webhook: Webhook) -> None:
        webhook.handshake_status = 202

        with pytest.raises(HandshakeFailedError, match="got 202"):
            grid.subscribe(VAULT, endpoint)

    def test_nobody_there_is_said(self, grid: EventGrid) -> None:
        with pytest.raises(HandshakeFailedError, match="got none"):
            grid.subscribe(VAULT, "http://127.0.0.1:1/")


class TestDelivery:
    def test_the_event_grid_schema_is_an_array_that_the_sdk_reads(
        self, grid: EventGrid, endpoint: str, webhook: Webhook
    ) -> None:
        grid.subscribe(VAULT, endpoint, name="rotations")

        grid.publish(VAULT, event("a"))

        assert eventually(lambda: webhook.received)
        headers, body = webhook.received[0]
        assert headers["aeg-event-type"] == "Notification"
        assert headers["aeg-subscription-name"] == "ROTATIONS"
        assert headers["aeg-delivery-count"] == "0"
        assert len(body) == 1
        assert set(body[0]) == {*event("a"), "topic", "metadataVersion"}
        read = EventGridEvent.from_dict(body[0])
        assert (read.id, read.topic, read.event_type) == ("a", VAULT, CREATED)

    def test_cloud_events_are_one_object_that_the_sdk_reads(
        self, grid: EventGrid, endpoint: str, webhook: Webhook
    ) -> None:
        grid.subscribe(VAULT, endpoint, schema=Schema.CLOUD_EVENTS)

        grid.publish(VAULT, event("a"))

        assert eventually(lambda: webhook.received)
        headers, body = webhook.received[0]
        assert headers["content-type"] == "application/cloudevents+json; charset=utf-8"
        read: CloudEvent[Any] = CloudEvent.from_dict(body)
        assert (read.id, read.source, read.type) == ("a", VAULT, CREATED)
        assert read.data == {"ObjectName": "key1"}

    def test_only_the_topics_own_and_included_types_are_delivered(
        self, grid: EventGrid, endpoint: str, webhook: Webhook
    ) -> None:
        grid.subscribe(VAULT, endpoint, included_types=[CREATED])

        grid.publish(VAULT, event("other type", "Microsoft.KeyVault.SecretExpired"))
        grid.publish(VAULT + "2", event("other vault"))
        grid.publish(VAULT.upper(), event("a"))

        assert eventually(lambda: webhook.received)
        assert webhook.ids == ["a"]

    def test_a_failure_is_retried_on_the_documented_schedule(
        self, stack: ExitStack, endpoint: str, webhook: Webhook
    ) -> None:
        clock = SandboxClock(datetime.now(UTC), 200)
        grid = stack.enter_context(EventGrid(clock))
        grid.subscribe(VAULT, endpoint)
        webhook.statuses = [500, 503, 404]

        grid.publish(VAULT, event("a"))

        assert eventually(lambda: len(grid.deliveries()) == 4)
        deliveries = grid.deliveries()
        assert [(d.attempt, d.status) for d in deliveries] == [
            (0, 500),
            (1, 503),
            (2, 404),
            (3, 200),
        ]
        waits = [(later.at - earlier.at).total_seconds() for earlier, later in pairwise(deliveries)]
        assert [minimum <= wait for minimum, wait in zip((10, 30, 60), waits, strict=True)] == [
            True
        ] * 3
        assert waits[0] < 30 < waits[2]
        assert [headers["aeg-delivery-count"] for headers, _ in webhook.received] == list("0123")

    @pytest.mark.parametrize("status", [400, 401, 403, 413])
    def test_some_refusals_are_final(
        self, status: int, grid: EventGrid, endpoint: str, webhook: Webhook
    ) -> None:
        grid.subscribe(VAULT, endpoint)
        webhook.statuses = [status]

        grid.publish(VAULT, event("a"))

        assert eventually(grid.given_up)
        assert [(g.event["id"], g.attempts) for g in grid.given_up()] == [("a", 1)]
        assert len(webhook.received) == 1

    def test_after_a_day_an_event_is_given_up(
        self, grid: EventGrid, endpoint: str, webhook: Webhook
    ) -> None:
        grid.subscribe(VAULT, endpoint)
        webhook.statuses = [500] * 100

        grid.publish(VAULT, event("a"))

        assert eventually(grid.given_up)
        assert [g.reason for g in grid.given_up()] == ["TimeToLiveExceeded"]
        lasted = grid.deliveries()[-1].at - grid.deliveries()[0].at
        assert timedelta(hours=10) < lasted < timedelta(hours=24)


class TestFollowing:
    def test_an_attempt_that_was_waiting_goes_to_the_new_address(
        self, stack: ExitStack, serving: Serving, endpoint: str, webhook: Webhook
    ) -> None:
        grid = stack.enter_context(EventGrid(SandboxClock(datetime.now(UTC), 10)))
        elsewhere = Webhook()
        address = serving.serve_plain(elsewhere)
        subscription = grid.subscribe(VAULT, f"{endpoint}/events?code=1")
        webhook.statuses = [503]
        grid.publish(VAULT, event("a"))
        assert eventually(grid.deliveries)

        grid.follow(endpoint, address)  # a second before the next attempt

        assert eventually(lambda: elsewhere.ids == ["a"])
        assert subscription.endpoint == f"{address}/events?code=1"
        assert webhook.ids == ["a"]

    def test_an_address_that_only_begins_alike_stays(self, grid: EventGrid, endpoint: str) -> None:
        subscription = grid.subscribe(VAULT, endpoint)

        grid.follow(endpoint[:-1], "http://127.0.0.1:1")

        assert subscription.endpoint == endpoint


class TestFaults:
    def test_a_lost_event_never_arrives(
        self, grid: EventGrid, endpoint: str, webhook: Webhook
    ) -> None:
        grid.subscribe(VAULT, endpoint)
        grid.lose_next(2)

        for name in ("a", "b", "c"):
            grid.publish(VAULT, event(name))

        assert eventually(lambda: webhook.received)
        assert webhook.ids == ["c"]

    def test_a_duplicated_event_arrives_twice(
        self, grid: EventGrid, endpoint: str, webhook: Webhook
    ) -> None:
        grid.subscribe(VAULT, endpoint)
        grid.duplicate_next()

        grid.publish(VAULT, event("a"))
        grid.publish(VAULT, event("b"))

        assert eventually(lambda: len(webhook.received) == 3)
        assert sorted(webhook.ids) == ["a", "a", "b"]

    def test_a_reordered_event_arrives_after_the_next(
        self, grid: EventGrid, endpoint: str, webhook: Webhook
    ) -> None:
        grid.subscribe(VAULT, endpoint)
        grid.reorder_next()
        webhook.slow_for = "b"

        grid.publish(VAULT, event("a"))
        assert not eventually(lambda: webhook.received, within=0.2)
        grid.publish(VAULT, event("b"))

        assert eventually(lambda: len(webhook.received) == 2)
        assert webhook.ids == ["b", "a"]


class _Credential:
    def __init__(self, tokens: TokenService, resource: str) -> None:
        self._token = tokens.issue(resource)

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:  # noqa: ANN401 - of the SDK
        return AccessToken(self._token, int(time.time()) + 3600)


class TestCustomTopics:
    @pytest.fixture
    def topics(self, grid: EventGrid, door: FrontDoor, tokens: TokenService) -> CustomTopics:
        topics = CustomTopics(grid, tokens)
        door.mount("*.eventgrid.azure.net", topics.app())
        return topics

    @pytest.fixture(autouse=True)
    def in_the_sandbox(self, serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in serving.environment().items():
            monkeypatch.setenv(name, value)

    def test_the_real_publisher_sends_both_schemas(
        self,
        topics: CustomTopics,
        tokens: TokenService,
        grid: EventGrid,
        endpoint: str,
        webhook: Webhook,
    ) -> None:
        topic = topics.create("rotations")
        grid.subscribe("rotations", endpoint)
        credential = _Credential(tokens, "https://eventgrid.azure.net")

        with EventGridPublisherClient(topic.endpoint, credential) as client:
            client.send(EventGridEvent("s", "Keyturn.Concluded", {"n": 1}, "1", id="a"))
            client.send([CloudEvent("/keyturn", "Keyturn.Concluded", data={"n": 2}, id="b")])

        assert [e["id"] for e in topics.published("rotations")] == ["a", "b"]
        assert eventually(lambda: len(webhook.received) == 2)
        delivered = [EventGridEvent.from_dict(body[0]) for _, body in webhook.received]
        assert "rotations" in [event.topic for event in delivered]

    def test_the_topics_key_is_as_good_as_a_token(self, topics: CustomTopics) -> None:
        topic = topics.create("rotations")

        with EventGridPublisherClient(topic.endpoint, AzureKeyCredential(topic.key)) as client:
            client.send(EventGridEvent("s", "t", {}, "1"))

        assert len(topics.published("rotations")) == 1

    def test_a_token_for_another_service_is_refused(
        self, topics: CustomTopics, tokens: TokenService
    ) -> None:
        topic = topics.create("rotations")
        credential = _Credential(tokens, "https://vault.azure.net")

        with (
            EventGridPublisherClient(topic.endpoint, credential) as client,
            pytest.raises(ClientAuthenticationError, match="Invalid audience"),
        ):
            client.send(EventGridEvent("s", "t", {}, "1"))

        assert topics.published("rotations") == []

    def test_a_wrong_key_is_refused(self, topics: CustomTopics) -> None:
        topic = topics.create("rotations")

        with (
            EventGridPublisherClient(topic.endpoint, AzureKeyCredential("wrong")) as client,
            pytest.raises(ClientAuthenticationError),
        ):
            client.send(EventGridEvent("s", "t", {}, "1"))

    def test_an_incomplete_event_is_refused_with_all_others(self, topics: CustomTopics) -> None:
        topic = topics.create("rotations")
        incomplete = {**event("b"), "data": None}
        del incomplete["dataVersion"]

        with (
            EventGridPublisherClient(topic.endpoint, AzureKeyCredential(topic.key)) as client,
            pytest.raises(HttpResponseError, match="the event b lacks dataVersion"),
        ):
            client.send([event("a"), incomplete])

        assert topics.published("rotations") == []
