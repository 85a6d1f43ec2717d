"""One invocation from beginning to end: the function, its output bindings, a line in the log."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import replace

from azure.core.exceptions import AzureError

from sandbox.functions_host.death import Reaper
from sandbox.functions_host.functions import Function
from sandbox.functions_host.messages import TypedData
from sandbox.functions_host.outputs import OutputError, QueueOutputs
from sandbox.functions_host.runtime import Outcome, Runtime
from sandbox.functions_host.settings import HostSettings

_log = logging.getLogger("host")


class Invoker:
    """Runs functions. Whatever triggers one, it comes through here."""

    def __init__(
        self, runtime: Runtime, outputs: QueueOutputs, settings: HostSettings, reaper: Reaper
    ) -> None:
        self._reaper = reaper
        self._runtime = runtime
        self._outputs = outputs
        self._timeout = settings.function_timeout
        self._running = 0
        self._none_runs = asyncio.Event()
        self._none_runs.set()

    @property
    def running(self) -> int:
        """How many invocations have begun and not ended."""
        return self._running

    async def idle(self) -> None:
        """Wait until no invocation is running."""
        await self._none_runs.wait()

    async def invoke(
        self, function: Function, value: TypedData, metadata: Mapping[str, TypedData] | None = None
    ) -> Outcome:
        """Run a function. It has failed, too, if what it put out could not be sent."""
        self._reaper.before_invocation(function.name)
        began = time.perf_counter()
        self._running += 1
        self._none_runs.clear()
        try:
            outcome = await self._in_time(function, value, metadata or {})
            if outcome.succeeded:
                outcome = await self._send_outputs(function, outcome)
        finally:
            self._running -= 1
            if not self._running:
                self._none_runs.set()
        _log.info(
            "invocation %s %s %s %.0f ms",
            function.name,
            outcome.invocation_id,
            "succeeded" if outcome.succeeded else "failed",
            (time.perf_counter() - began) * 1000,
        )
        if outcome.error is not None:
            _log.error("%s: %s", function.name, outcome.error)
        self._reaper.after_invocation(function.name)
        return outcome

    async def _in_time(
        self, function: Function, value: TypedData, metadata: Mapping[str, TypedData]
    ) -> Outcome:
        limit = None if self._timeout is None else self._timeout.total_seconds()
        try:
            async with asyncio.timeout(limit):
                return await self._runtime.invoke(function, value, metadata)
        except TimeoutError:
            # The platform ends the whole worker here; a thread cannot be ended, so it runs on.
            return Outcome("-", f"the functionTimeout of {self._timeout} is over")

    async def _send_outputs(self, function: Function, outcome: Outcome) -> Outcome:
        try:
            await asyncio.to_thread(self._outputs.send, function, outcome)
        except (AzureError, OutputError) as error:
            return replace(outcome, error=f"an output binding failed: {error}")
        return outcome
