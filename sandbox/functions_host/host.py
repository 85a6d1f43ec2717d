"""The host: everything around the app, started and stopped together."""

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp

from sandbox.clock import SandboxClock
from sandbox.functions_host.admin import Admin
from sandbox.functions_host.app_service_auth import AppServiceAuth
from sandbox.functions_host.death import Death, Reaper
from sandbox.functions_host.event_grid_webhook import EventGridWebhook
from sandbox.functions_host.functions import Function, resolved
from sandbox.functions_host.http_routes import routes
from sandbox.functions_host.invocations import Invoker
from sandbox.functions_host.keys import Keys
from sandbox.functions_host.outputs import QueueOutputs
from sandbox.functions_host.queues import QueueListener
from sandbox.functions_host.runtime import Runtime
from sandbox.functions_host.settings import HostSettings
from sandbox.functions_host.timers import Timer

_FINISH_WITHIN = 5  # seconds that running invocations get when the host stops

_log = logging.getLogger("host")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOptions:
    """How the host is run, as against what the app says."""

    clock: SandboxClock
    keys: Keys
    port: int = 0
    """0: the system chooses one."""
    ready_file: Path | None = None
    """Written when the host serves: its address, its keys and the names of its functions."""
    lease_seconds: int = 600
    """How long a message that is running is hidden: ten minutes on the platform."""
    freeze_timers: bool = False
    """Timers run by ``/admin/functions/NAME`` only."""
    dies: Death | None = None
    """When the process is to end as if killed."""
    auth: AppServiceAuth | None = None
    """What stands before the app; ``None``: nothing does, and headers pass as they were sent."""


class Host:
    """Serves one app until it is told to stop."""

    def __init__(
        self,
        runtime: Runtime,
        settings: HostSettings,
        app_settings: Mapping[str, str],
        options: HostOptions,
    ) -> None:
        """Wire the triggers of the app.

        Raises:
            HostSettingsError: App settings that bindings name are missing, or a schedule or a
                route is malformed.
        """
        functions = resolved(runtime.functions, app_settings)
        outputs = QueueOutputs(app_settings, settings.queues.message_encoding)
        reaper = Reaper(options.dies)
        reaper.watch_requests(runtime.function_here)
        self._invoker = Invoker(runtime, outputs, settings, reaper)
        self._options = options
        self._functions = functions
        self._timers = [
            Timer(function, options.clock, self._invoker)
            for function in _of(functions, "timerTrigger")
        ]
        self._listeners = [
            QueueListener(
                function,
                app_settings[function.trigger["connection"]],
                settings.queues.paced(options.clock),
                self._invoker,
                options.lease_seconds,
            )
            for function in _of(functions, "queueTrigger")
        ]
        self._site = self._website(settings.route_prefix)

    async def serve(self, stopping: asyncio.Event) -> bool:
        """Run until ``stopping`` is set.

        Returns:
            Whether everything that was running had come to its end.
        """
        listener = socket.create_server(("127.0.0.1", self._options.port))
        # Accepted connections inherit it; without it every other answer waits 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server = _Server(
            uvicorn.Config(self._site, log_config=None, access_log=False, lifespan="off", ws="none")
        )
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        listening = [asyncio.create_task(queue.run(stopping)) for queue in self._listeners]
        ticking = [
            asyncio.create_task(timer.run())
            for timer in self._timers
            if not self._options.freeze_timers
        ]
        self._announce(listener.getsockname()[1])
        with contextlib.closing(listener):
            await _first_end_of(stopping, [serving, *listening, *ticking])
            server.should_exit = True
            finished = await self._finish([serving, *listening])
        for tick in ticking:
            tick.cancel()
        return finished

    def _announce(self, port: int) -> None:
        names = [function.name for function in self._functions]
        url = f"http://127.0.0.1:{port}"
        _log.info("serving %s at %s", ", ".join(names), url)
        ready = {"url": url, "keys": asdict(self._options.keys), "functions": names}
        if self._options.ready_file is not None:
            # By renaming, so that nobody reads half of it.
            part = self._options.ready_file.with_suffix(".part")
            part.write_text(json.dumps(ready))
            part.replace(self._options.ready_file)

    async def _finish(self, tasks: list[asyncio.Task[None]]) -> bool:
        try:
            async with asyncio.timeout(_FINISH_WITHIN):
                await asyncio.wait(tasks)
                await self._invoker.idle()
        except TimeoutError:
            _log.warning("stopped while %d invocations were running", self._invoker.running)
            return False
        return True

    def _website(self, route_prefix: str) -> ASGIApp:
        keys = self._options.keys
        events = {f.name.lower(): f for f in _of(self._functions, "eventGridTrigger")}
        timers = {timer.function.name.lower(): timer for timer in self._timers}
        site = Starlette(
            routes=[
                *Admin(f"sandbox-{os.getpid()}", timers, keys).routes,
                EventGridWebhook(events, keys, self._invoker).route,
                *routes(_of(self._functions, "httpTrigger"), route_prefix, keys, self._invoker),
            ]
        )
        return site if self._options.auth is None else self._options.auth.protect(site)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # The host heeds signals itself: there is more to stop than the website.
        yield


def _of(functions: list[Function], kind: str) -> list[Function]:
    return [function for function in functions if function.is_triggered_by(kind)]


async def _first_end_of(stopping: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
    """Wait until told to stop. A task that ends before is a defect, and raised."""
    told = asyncio.create_task(stopping.wait())
    done, _ = await asyncio.wait([told, *tasks], return_when=asyncio.FIRST_COMPLETED)
    if told not in done:
        told.cancel()
        for task in done:
            task.result()
        raise RuntimeError("a part of the host ended by itself")
