"""Death at a chosen moment: the host's process ends as a lost instance does.

It ends by SIGKILL, sent to itself, so that nothing is finished, flushed or tidied up.
"""

import json
import logging
import os
import signal
from collections.abc import Callable
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPResponse
from threading import Lock
from typing import Any, Self

_log = logging.getLogger("host")


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """The moment at which a host dies. Exactly one is named, by a count that begins at 1.

    The same count is the same moment as long as the app does one thing after the other: with
    ``PYTHON_THREADPOOL_THREAD_COUNT`` set to 1, functions that are no coroutines do.
    """

    before_invocations: int = 0
    """Before this invocation begins. If a message triggered it, the message has been taken."""
    after_invocations: int = 0
    """After this invocation, failed or not: its output bindings are sent, its message is still
    in the queue."""
    before_request: int = 0
    """Before this HTTP request of the app leaves. Those of ``http.client`` count, hence those of
    urllib3, requests and every synchronous Azure SDK, tokens and repetitions included; those of
    coroutines, of threads that the app starts, and of the host itself do not."""
    after_request: int = 0
    """After the head of the answer to this request arrived: the server has done its part."""
    function: str = ""
    """Counts what this function does, and no other; empty: all."""

    def __post_init__(self) -> None:
        moments = {name: count for name, count in asdict(self).items() if name != "function"}
        if sorted(moments.values())[:-1] != [0, 0, 0] or max(moments.values()) < 1:
            raise ValueError(f"not one moment to die at, counted from 1: {moments}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a moment from the text of its ``setting``.

        Raises:
            ValueError: ``text`` is not a JSON object that names exactly one moment.
            TypeError: It names other things than a moment and a function.
        """
        return cls(**json.loads(text))

    @property
    def setting(self) -> str:
        """This moment as text, for example ``{"after_request": 3}``."""
        return json.dumps({name: value for name, value in asdict(self).items() if value})


class Reaper:
    """Counts towards the moment of a death, and is there when it comes."""

    def __init__(self, death: Death | None) -> None:
        self._death = death
        self._counted = 0
        self._lock = Lock()

    def before_invocation(self, function: str) -> None:
        """Take note that an invocation is about to begin."""
        if self._death:
            self._count(self._death.before_invocations, function, f"invocation of {function}")

    def after_invocation(self, function: str) -> None:
        """Take note that an invocation has ended and its outputs are sent."""
        if self._death:
            self._count(self._death.after_invocations, function, f"invocation of {function}")

    def watch_requests(self, function_here: Callable[[], str | None]) -> None:
        """Take note of every HTTP request from now on.

        Args:
            function_here: Tells the function whose code runs in the calling thread; ``None``
                says that it is not the app's.
        """
        death = self._death
        if death is None or not (death.before_request or death.after_request):
            return
        begin, receive = HTTPConnection.putrequest, HTTPConnection.getresponse

        def putrequest(
            connection: HTTPConnection,
            method: str,
            url: str,
            *given: Any,  # noqa: ANN401 - passed on
            **named: Any,  # noqa: ANN401 - passed on
        ) -> None:
            if function := function_here():
                what = f"request of {function}, {method} {url.partition('?')[0]}"
                self._count(death.before_request, function, what)
            begin(connection, method, url, *given, **named)

        def getresponse(connection: HTTPConnection) -> HTTPResponse:
            answer = receive(connection)
            if function := function_here():
                self._count(death.after_request, function, f"answer to {function}")
            return answer

        # The one place that requests of every SDK come through. Nothing is sent by putrequest yet.
        HTTPConnection.putrequest = putrequest  # type: ignore[assignment, method-assign]  # see above
        HTTPConnection.getresponse = getresponse  # type: ignore[assignment, method-assign]  # see above

    def _count(self, fatal: int, function: str, what: str) -> None:
        if self._death is None or not fatal or self._death.function not in ("", function):
            return
        with self._lock:
            self._counted += 1
            if self._counted == fatal:
                _log.warning("dies as told, at number %d: %s", fatal, what)
                os.kill(os.getpid(), signal.SIGKILL)
