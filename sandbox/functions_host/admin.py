"""The host's own endpoints under ``/admin``."""

import asyncio
import time
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.functions_host.keys import Keys
from sandbox.functions_host.timers import Timer


class Admin:
    """Shows the state of the host and runs timers by hand. Wants the master key."""

    def __init__(self, host_id: str, timers: Mapping[str, Timer], keys: Keys) -> None:
        self._host_id = host_id
        self._timers = timers
        self._keys = keys
        self._started = time.monotonic()
        self._runs: set[asyncio.Task[object]] = set()

    @property
    def routes(self) -> list[Route]:
        """Where operators find it."""
        return [
            Route("/admin/host/status", self._status, methods=["GET"]),
            Route("/admin/functions/{name}", self._run, methods=["POST"]),
        ]

    async def _status(self, request: Request) -> Response:
        if not self._keys.admits("ADMIN", request):
            return Response(status_code=401)
        uptime = int((time.monotonic() - self._started) * 1000)
        return JSONResponse({"id": self._host_id, "state": "Running", "processUptime": uptime})

    async def _run(self, request: Request) -> Response:
        """Start a timer function and answer at once, as the real host does."""
        if not self._keys.admits("ADMIN", request):
            return Response(status_code=401)
        timer = self._timers.get(request.path_params["name"].lower())
        if timer is None:
            return Response("there is no timer function of that name", status_code=404)
        run: asyncio.Task[object] = asyncio.create_task(timer.fire())
        # A task that nothing refers to may vanish before it has run.
        self._runs.add(run)
        run.add_done_callback(self._runs.discard)
        return Response(status_code=202)
