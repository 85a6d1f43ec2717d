"""The HTTP proxy that leads every host name to the sandbox."""

import asyncio
import socket
from collections import deque
from contextlib import suppress
from http import HTTPStatus

_HEAD_LIMIT = 16 * 1024
_HEAD_SECONDS = 10
_MAX_TUNNELS = 512
_MAX_ATTEMPTS = 100_000
_CHUNK = 64 * 1024


class Proxy:
    """A CONNECT proxy on loopback that tunnels whatever is asked for to one listener.

    A client that is given it as ``HTTPS_PROXY`` reaches the sandbox at production host names, and
    cannot leave it: a foreign host ends at the same listener, where its TLS check fails, and is
    seen in ``attempts``. As ``HTTP_PROXY`` it refuses whatever goes without TLS, and notes it.
    """

    def __init__(self, listener_port: int) -> None:
        self._listener_port = listener_port
        self._attempts: deque[str] = deque(maxlen=_MAX_ATTEMPTS)
        self._tunnels: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.url = ""
        """Such as ``http://127.0.0.1:40123``; empty until started."""

    def attempts(self) -> list[str]:
        """Return where every request so far led (of the last 100,000), oldest first.

        ``host:port`` of a CONNECT; of any other, which is refused, the URL: ``http://host/path``.
        """
        return list(self._attempts)

    async def start(self) -> None:
        """Listen on a free port of 127.0.0.1."""
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", 0, limit=max(_HEAD_LIMIT, _CHUNK)
        )
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"

    async def stop(self) -> None:
        """Stop listening and cut every tunnel."""
        if self._server is None:
            return
        self._server.close()
        for tunnel in self._tunnels:
            tunnel.cancel()
        await asyncio.gather(*self._tunnels, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tunnel = asyncio.current_task()
        assert tunnel is not None  # noqa: S101 - start_server runs this in a task
        self._tunnels.add(tunnel)
        try:
            # A stop cancels this task: that is an end like any other.
            with suppress(OSError, asyncio.CancelledError):
                await self._tunnel(reader, writer)
        finally:
            writer.close()
            self._tunnels.discard(tunnel)

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, target = await _read_head(reader)
        if target:
            self._attempts.append(target)
        if method != "CONNECT":
            writer.write(_status(HTTPStatus.METHOD_NOT_ALLOWED))
            return
        if len(self._tunnels) > _MAX_TUNNELS:
            writer.write(_status(HTTPStatus.SERVICE_UNAVAILABLE))
            return
        upstream_reader, upstream_writer = await asyncio.open_connection(
            "127.0.0.1", self._listener_port, limit=_CHUNK
        )
        try:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            # The tunnel ends as soon as either side does: half-open HTTPS is of use to nobody.
            pumps = {
                asyncio.ensure_future(_pump(reader, upstream_writer, writer.transport)),
                asyncio.ensure_future(_pump(upstream_reader, writer, upstream_writer.transport)),
            }
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            upstream_writer.close()


async def _read_head(reader: asyncio.StreamReader) -> tuple[str, str]:
    """Return a request's method and target, in lower case; empty if it is none."""
    try:
        async with asyncio.timeout(_HEAD_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
        return "", ""
    method, _, rest = head.decode("latin-1").partition(" ")
    return method, rest.partition(" ")[0].lower()


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, source: asyncio.BaseTransport
) -> None:
    connection = source.get_extra_info("socket")
    while chunk := await reader.read(_CHUNK):
        # urllib3 leaves Nagle's algorithm on towards a proxy: the body of a request waits until
        # its head is acknowledged, 40 ms unless at once. Linux forgets the option with each use.
        if hasattr(socket, "TCP_QUICKACK"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        writer.write(chunk)
        await writer.drain()


def _status(status: HTTPStatus) -> bytes:
    return (
        f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    ).encode()
