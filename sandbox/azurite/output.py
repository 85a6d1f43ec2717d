"""What Azurite prints: the ports that it was given, then a line for every operation."""

import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import IO
from urllib.parse import unquote

_LISTENING = re.compile(r"Azurite (\w+) service is successfully listening at http://[^:]+:(\d+)")
_OPERATION = re.compile(r"operation (\d+) (\d+) ([A-Z]+) /([^/?\s]*)([^?\s]*)")
_LINES_KEPT = 20  # enough for the reason why it did not start
_OPERATIONS_KEPT = 200_000  # of all accounts together: about 50 MB


class AzuriteFailedError(Exception):
    """Azurite did not start. The message ends with what it printed."""


class OperationsForgottenError(Exception):
    """An account's first operations are no longer known, so they cannot be counted."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One request that was answered, whatever the answer; a batch of table rows is one."""

    service: str
    """``blob``, ``queue`` or ``table``."""
    method: str
    path: str
    """Without the account and the query, decoded: ``/steps/messages``, ``/$batch``,
    ``/rows(PartitionKey='p',RowKey='r')``."""
    status: int

    @property
    def is_poll(self) -> bool:
        """Whether it asks a queue for messages, as a Functions host does all the time."""
        return self.service == "queue" and self.method == "GET" and self.path.endswith("/messages")


class Output:
    """Reads what Azurite prints for as long as it runs, so that Azurite never blocks."""

    def __init__(
        self, output: IO[str], services: Collection[str], kept: int = _OPERATIONS_KEPT
    ) -> None:
        self._kept = kept
        self._awaited = set(services)
        self._services: dict[int, str] = {}
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._operations: deque[tuple[str, Operation]] = deque()
        self._forgotten: set[str] = set()
        self._expected: set[str] = set()
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, args=(output,), daemon=True)
        self._reader.start()

    def ports(self, within: float) -> Mapping[str, int]:
        """Wait until every service listens and return its port.

        Raises:
            AzuriteFailedError: Azurite ended, or took longer than ``within`` seconds.
        """
        until = time.monotonic() + within
        with self._changed:
            while self._awaited:
                left = until - time.monotonic()
                if left <= 0 or not self._reader.is_alive():
                    raise AzuriteFailedError(
                        f"Azurite was not ready within {within:g} s: {''.join(self._lines)}"
                    )
                # Looks at the reader twice a second, whose end may come before the wait begins.
                self._changed.wait(min(left, 0.5))
            return {service: port for port, service in self._services.items()}

    def expect_marker(self) -> str:
        """Return the name of an account that nobody has, for an operation that marks a moment."""
        marker = f"marker{secrets.token_hex(8)}"
        with self._changed:
            self._expected.add(marker)
        return marker

    def operations(self, account: str, marker: str, within: float) -> Sequence[Operation]:
        """Wait for the operation on ``marker``; return those on an account, oldest first.

        Raises:
            TimeoutError: The marker did not come within so many seconds.
            OperationsForgottenError: There were too many operations to keep them all.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: marker not in self._expected, within):
                raise TimeoutError(f"Azurite did not report {marker} within {within:g} s")
            if account in self._forgotten:
                raise OperationsForgottenError(
                    f"only the last {self._kept} operations are kept,"
                    f" and the first ones of {account} are not among them"
                )
            return [operation for owner, operation in self._operations if owner == account]

    def _read(self, output: IO[str]) -> None:
        for line in output:
            with self._changed:
                self._take(line)
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def _take(self, line: str) -> None:
        if found := _OPERATION.match(line):
            port, status, method, account, path = found.groups()
            service = self._services[int(port)]
            self._keep(account, Operation(service, method, unquote(path), int(status)))
            return
        self._lines.append(line)
        if found := _LISTENING.match(line):
            self._services[int(found[2])] = found[1].lower()
            self._awaited.discard(found[1].lower())

    def _keep(self, account: str, operation: Operation) -> None:
        if account in self._expected:
            self._expected.discard(account)
            return
        if len(self._operations) == self._kept:
            self._forgotten.add(self._operations.popleft()[0])
        self._operations.append((account, operation))
