"""The Functions host as a child process."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from sandbox.clock import SandboxClock
from sandbox.functions_host.death import Death

_CHECKOUT = Path(__file__).parents[2]
_STOP_WITHIN = 15  # seconds; the host itself gives invocations five


class FunctionsHostFailedError(Exception):
    """The host did not start. The message ends with what it printed."""


class FunctionsHost:
    """A host. It stops when it is told to, and when the process that started it ends."""

    def __init__(
        self, child: subprocess.Popen[bytes], url: str, keys: Mapping[str, str], names: list[str]
    ) -> None:
        self._child = child
        self.url = url
        """For example ``http://127.0.0.1:41234``."""
        self.keys = keys
        """The keys ``function``, ``admin`` and ``system``."""
        self.functions = names
        """The names of the app's functions."""

    @classmethod
    def start(  # noqa: PLR0913 - each is a choice of its own
        cls,
        app_dir: Path,
        settings: Mapping[str, str],
        *,
        log: Path,
        clock: SandboxClock | None = None,
        lease_seconds: int = 600,
        freeze_timers: bool = False,
        dies: Death | None = None,
        within: float = 60,
    ) -> Self:
        """Start the host on an app and wait until it serves.

        Args:
            app_dir: The app, or a package made by ``sandbox.packaging``.
            settings: The app settings: environment variables beside the inherited ones.
            log: The file that what the host and the app print is added to.
            clock: Sandbox time for timers and for the app; real time if not given.
            lease_seconds: How long a message stays hidden, at most, after the host was killed; in
                real time, as the queue's.
            freeze_timers: Whether timers run by ``/admin/functions/NAME`` only.
            dies: When the process ends as if killed; it may be as soon as it serves.
            within: Seconds to wait at most.

        Raises:
            FunctionsHostFailedError: It refused the app, or was not ready in time.
        """
        time_setting = {} if clock is None else {"KEYTURN_SANDBOX_CLOCK": clock.setting}
        with tempfile.TemporaryDirectory(prefix="functions-host-") as folder:
            ready_file = Path(folder) / "ready.json"
            with log.open("ab") as output:
                child = subprocess.Popen(  # noqa: S603 - our own module
                    [
                        *(sys.executable, "-m", "sandbox.functions_host", str(app_dir)),
                        *("--ready-file", str(ready_file), "--stop-with-stdin"),
                        *("--lease-seconds", str(lease_seconds)),
                        *(["--freeze-timers"] if freeze_timers else []),
                        *([] if dies is None else ["--dies", dies.setting]),
                    ],
                    cwd=app_dir,
                    env={**os.environ, **settings, **time_setting, "PYTHONPATH": str(_CHECKOUT)},
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            try:
                ready = _wait_for(ready_file, child, within)
            except TimeoutError as error:
                _end(child)
                raise FunctionsHostFailedError(f"{error}: {_tail(log)}") from None
        return cls(child, ready["url"], ready["keys"], ready["functions"])

    def event_grid_endpoint(self, function: str) -> str:
        """Return the address, with its key, at which Event Grid delivers to a function."""
        query = urlencode({"functionName": function, "code": self.keys["system"]})
        return f"{self.url}/runtime/webhooks/EventGrid?{query}"

    @property
    def dead(self) -> bool:
        """Whether its process has ended, in whatever way."""
        return self._child.poll() is not None

    def wait_dead(self, within: float) -> int:
        """Wait for an end that comes by itself; return the exit code: -9 after a chosen death.

        Raises:
            TimeoutError: It still lives after so many real seconds.
        """
        try:
            return self._child.wait(within)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"the Functions host still lives after {within:g} s") from None

    def freeze(self) -> None:
        """Let it stand still, as an instance that the platform has lost for a while.

        Returns when nothing of it moves any more.

        Raises:
            RuntimeError: It is dead.
        """
        if self.dead:
            raise RuntimeError("a dead Functions host cannot be frozen")
        self._child.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._child.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def thaw(self) -> None:
        """Let it go on after ``freeze``, unaware of the time in between."""
        self._child.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        """Stop it as the platform does, wait for its end and return its exit code.

        One that is frozen is thawed first; one that is dead stays so.
        """
        self._child.terminate()
        self.thaw()
        return _end(self._child)

    def kill(self) -> None:
        """End it in the middle of whatever it does, as a lost instance ends."""
        self._child.kill()
        _end(self._child)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop it."""
        self.stop()


def _wait_for(ready_file: Path, child: subprocess.Popen[bytes], within: float) -> dict[str, Any]:
    until = time.monotonic() + within
    while True:
        # In this order: a host may serve and die between the two.
        code = child.poll()
        if ready_file.exists():
            break
        if code is not None:
            raise TimeoutError(f"the Functions host ended with {code}")
        if time.monotonic() > until:
            raise TimeoutError(f"the Functions host was not ready within {within:g} s")
        time.sleep(0.02)
    ready: dict[str, Any] = json.loads(ready_file.read_text())
    return ready


def _end(child: subprocess.Popen[bytes]) -> int:
    if child.stdin is not None:
        child.stdin.close()
    try:
        return child.wait(_STOP_WITHIN)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-40:])
