"""The one door through which every host of the sandbox is reached.

It finds the service by the request's host, applies faults, and records what passed.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from http import HTTPStatus
from threading import RLock

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.clock import SandboxClock
from sandbox.faults import Answer, Faults


@dataclass(frozen=True, slots=True)
class Call:
    """One request that passed the front door, and what came of it."""

    method: str
    host: str
    """In lower case, without a port."""
    path: str
    query: str
    status: int
    """What the service answered, even if that answer was lost; 0 if it never saw the request."""
    at: datetime
    """Sandbox time at which the request had arrived whole."""
    bearer: bool
    """Whether the request carried a bearer token."""
    request_headers: Mapping[str, str]
    """Without the value of ``authorization``."""
    request_body: bytes
    response_headers: Mapping[str, str]
    response_body: bytes


@dataclass(slots=True)
class _Recorded:
    """The answer of a service, held back until it is known whether it may be sent."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)

    async def send(self, message: Message) -> None:
        self.messages.append(message)
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            self.headers = dict(Headers(raw=message["headers"]))
        else:
            self.body += message.get("body", b"")


class FrontDoor:
    """An ASGI app that gives each request to the service mounted at its host.

    A host that nothing is mounted at is answered 404 and recorded like any other, so that a test
    can see a token that left for a foreign host.
    """

    def __init__(self, faults: Faults, clock: SandboxClock) -> None:
        self._faults = faults
        self._clock = clock
        self._services: list[tuple[str, ASGIApp]] = []
        self._lock = RLock()
        self._calls: list[Call] = []

    def mount(self, host: str, app: ASGIApp) -> None:
        """Serve ``host``, exact or a pattern such as ``*.vault.azure.net``, by ``app``."""
        self._services.append((host.lower(), app))

    def traffic(self) -> list[Call]:
        """Return every request so far, in the order in which they were answered."""
        with self._lock:
            return list(self._calls)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower().partition(":")[0]
        body = await _body(receive)
        at = self._clock.now()
        recorded = await self._answer(scope, host, body)
        shown = {name: value for name, value in headers.items() if name != "authorization"}
        call = Call(
            method=scope["method"],
            host=host,
            path=scope["path"],
            query=scope["query_string"].decode(),
            status=recorded.status if recorded else 0,
            at=at,
            bearer=headers.get("authorization", "").lower().startswith("bearer "),
            request_headers=shown,
            request_body=body,
            response_headers=recorded.headers if recorded else {},
            response_body=bytes(recorded.body) if recorded else b"",
        )
        with self._lock:
            self._calls.append(call)
        if recorded and recorded.messages:
            for message in recorded.messages:
                await send(message)
        else:
            await _reset(scope, receive)

    async def _answer(self, scope: Scope, host: str, body: bytes) -> _Recorded | None:
        """Return the answer; without messages if it is to be lost; ``None`` if not even asked."""
        fault = self._faults.take(scope["method"], host, scope["path"])
        if fault is not None:
            await asyncio.sleep(self._clock.real_seconds(fault.delay))
            if fault.lose_request:
                return None
        recorded = _Recorded()
        service = (
            self._service(host) if fault is None or fault.answer is None else _plain(fault.answer)
        )
        await service(scope, _replay(body), recorded.send)
        if fault is not None and fault.lose_answer:
            recorded.messages.clear()
        return recorded

    def _service(self, host: str) -> ASGIApp:
        for pattern, app in self._services:
            if fnmatchcase(host, pattern):
                return app
        message = f"The sandbox serves nothing at the host '{host}'."
        return JSONResponse(
            {"error": {"code": "HostNotFound", "message": message}}, HTTPStatus.NOT_FOUND
        )


def _plain(answer: Answer) -> Response:
    return Response(answer.content, answer.status, answer.all_headers)


async def _body(receive: Receive) -> bytes:
    parts = bytearray()
    while True:
        message = await receive()
        parts += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(parts)


def _replay(body: bytes) -> Receive:
    """Return a channel that gives ``body`` again, and after it the end of the connection."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive


async def _reset(scope: Scope, receive: Receive) -> None:
    """Cut the connection under the request (``serving`` puts the means into the state)."""
    scope["state"]["reset"]()
    # The server would answer 500 for us if we returned before it knows of the cut.
    while (await receive())["type"] != "http.disconnect":
        pass
