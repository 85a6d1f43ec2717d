"""The thread in which the sandbox listens: the proxy, one TLS listener, plain HTTP endpoints."""

import asyncio
import socket
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from ssl import SSLContext
from threading import Thread
from typing import Any, Self

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from sandbox.proxy import Proxy
from sandbox.tls import write_authority

_START_SECONDS = 10
_STOP_SECONDS = 1


class _Protocol(H11Protocol):
    """HTTP/1.1 with two things that an app finds in ``scope["state"]``.

    ``reset()`` cuts the connection. ``header_names`` tells by its name in lower case how a header
    of the request was written: names of blob metadata keep their case.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "reset": self._reset}
        self._next_event, self.conn.next_event = self.conn.next_event, self._remember_names  # type: ignore[method-assign]

    def _remember_names(self) -> Any:  # noqa: ANN401 - one of h11's events
        event = self._next_event()
        if isinstance(event, h11.Request):
            names = (name.decode() for name, _ in event.headers.raw_items())
            self.app_state = {**self.app_state, "header_names": {n.lower(): n for n in names}}
        return event

    def _reset(self) -> None:
        # The beginning of an answer goes out first: urllib3 takes a tunnel that ends without a
        # byte for a proxy that it cannot reach, and the SDK would say that nothing was sent.
        self.transport.write(b"HTTP/1.1")
        self.transport.abort()


class Serving:
    """Serves an ASGI app at production host names until it is stopped. A context manager.

    Everything listens on 127.0.0.1 at ports that the system chooses.
    """

    def __init__(self, front_door: ASGIApp) -> None:
        self._front_door = front_door
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="local-azure", daemon=True)
        self._servers: list[tuple[uvicorn.Server, asyncio.Task[None]]] = []
        self._directory = tempfile.TemporaryDirectory(prefix="local-azure-")
        self.ca_file = Path(self._directory.name, "ca.pem")
        """The certificate that clients must trust."""
        self.proxy: Proxy
        """The proxy that clients must use; there from the start on."""

    def start(self) -> Self:
        """Begin to serve; returns when every listener answers."""
        self._thread.start()
        context = write_authority(self.ca_file)
        self._run(self._start(context))
        return self

    def stop(self) -> None:
        """Stop every listener, cut every connection and end the thread."""
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._directory.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def serve_plain(self, app: ASGIApp) -> str:
        """Serve ``app`` over plain HTTP at a port of its own; return its URL, without a slash."""
        return f"http://127.0.0.1:{self._run(self._listen(app))}"

    def environment(self) -> dict[str, str]:
        """Return the variables that lead a process's SDK clients into the sandbox."""
        return {
            "HTTPS_PROXY": self.proxy.url,
            "HTTP_PROXY": self.proxy.url,
            "NO_PROXY": "127.0.0.1,localhost",
            "REQUESTS_CA_BUNDLE": str(self.ca_file),
            "SSL_CERT_FILE": str(self.ca_file),
        }

    def _run[T](self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_START_SECONDS)

    async def _start(self, context: SSLContext) -> None:
        port = await self._listen(self._front_door, context)
        self.proxy = Proxy(port)
        await self.proxy.start()

    async def _listen(self, app: ASGIApp, context: SSLContext | None = None) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        # Accepted connections inherit it. asyncio itself sets it only where the listener names the
        # protocol, and without it every second answer waits 40 ms for an acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        config = uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            ssl_context_factory=None if context is None else lambda *_: context,
            # Longer than any client keeps an idle connection: the server must not be the one that
            # closes it, or a request sent at that moment would be lost without a fault's doing.
            timeout_keep_alive=3600,
            timeout_graceful_shutdown=_STOP_SECONDS,
            server_header=False,
        )
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve([listener]))
        self._servers.append((server, task))
        async with asyncio.timeout(_START_SECONDS):
            while not server.started:  # noqa: ASYNC110 - uvicorn has no event to wait for
                await asyncio.sleep(0.005)
        return int(listener.getsockname()[1])

    async def _stop(self) -> None:
        await self.proxy.stop()
        for server, _ in self._servers:
            server.should_exit = True
        await asyncio.gather(*(task for _, task in self._servers))
        await self._loop.shutdown_default_executor()
