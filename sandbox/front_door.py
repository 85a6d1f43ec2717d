"""The one door through which every host of the sandbox is reached.

It finds the service by the request's host, applies faults, and records what passed.
"""

import asyncio
from asyncio import AbstractEventLoop
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from http import HTTPStatus
from threading import RLock

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.clock import SandboxClock
from sandbox.faults import Answer, Fault, Faults
from sandbox.traffic import Call

__all__ = ["Call", "FrontDoor"]

_RELEASE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A request that has arrived whole."""

    scope: Scope
    host: str
    """In lower case, without a port."""
    body: bytes
    at: datetime


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
            self.headers = {
                name.decode("latin-1").lower(): value.decode("latin-1")
                for name, value in message["headers"]
            }
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
        body = await _body(receive)
        arrival = _Arrival(scope, _host(scope), body, self._clock.now())
        fault = self._faults.take(scope["method"], arrival.host, scope["path"])
        if fault is not None:
            await asyncio.sleep(self._clock.real_seconds(fault.delay))
        if fault is not None and fault.hold is not None:
            fault.hold.take(self._delivery(arrival, asyncio.get_running_loop()))
            await _reset(scope, receive)
            return
        recorded = await self._answer(arrival, fault)
        self._record(arrival, recorded)
        if recorded.messages:
            for message in recorded.messages:
                await send(message)
        else:
            await _reset(scope, receive)

    async def _answer(self, arrival: _Arrival, fault: Fault | None) -> _Recorded:
        """Return the answer; without messages if it is to be lost."""
        recorded = _Recorded()
        if fault is None:
            await self._serve(arrival, recorded)
            return recorded
        if fault.lose_request:
            return recorded
        if fault.before is not None:
            await run_in_threadpool(fault.before, arrival.scope["path"])
        if fault.answer is None:
            await self._serve(arrival, recorded)
        else:
            await _plain(fault.answer)(arrival.scope, _replay(arrival.body), recorded.send)
        if fault.after is not None:
            await run_in_threadpool(fault.after, arrival.scope["path"])
        if fault.lose_answer:
            recorded.messages.clear()
        return recorded

    async def _serve(self, arrival: _Arrival, recorded: _Recorded) -> None:
        service = self._service(arrival.host)
        await service(arrival.scope, _replay(arrival.body), recorded.send)

    def _delivery(self, arrival: _Arrival, loop: AbstractEventLoop) -> Callable[[], Call]:
        """Return what gives a held request to its service, from any thread but the loop's."""

        async def serve() -> Call:
            recorded = _Recorded()
            await self._serve(arrival, recorded)
            return self._record(arrival, recorded)

        def deliver() -> Call:
            if loop.is_closed():
                raise RuntimeError("the sandbox has stopped and dropped the request")
            return asyncio.run_coroutine_threadsafe(serve(), loop).result(_RELEASE_SECONDS)

        return deliver

    def _record(self, arrival: _Arrival, recorded: _Recorded) -> Call:
        headers = Headers(scope=arrival.scope)
        call = Call(
            method=arrival.scope["method"],
            host=arrival.host,
            path=arrival.scope["path"],
            query=arrival.scope["query_string"].decode(),
            status=recorded.status,
            at=arrival.at,
            bearer=headers.get("authorization", "").lower().startswith("bearer "),
            request_headers={k: v for k, v in headers.items() if k != "authorization"},
            request_body=arrival.body,
            response_headers=recorded.headers,
            response_body=bytes(recorded.body),
        )
        with self._lock:
            self._calls.append(call)
        return call

    def _service(self, host: str) -> ASGIApp:
        for pattern, app in self._services:
            if fnmatchcase(host, pattern):
                return app
        message = f"The sandbox serves nothing at the host '{host}'."
        return JSONResponse(
            {"error": {"code": "HostNotFound", "message": message}}, HTTPStatus.NOT_FOUND
        )


def _host(scope: Scope) -> str:
    return Headers(scope=scope).get("host", "").lower().partition(":")[0]


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
