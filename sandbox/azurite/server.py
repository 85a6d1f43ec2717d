"""Run Azurite for as long as it is needed."""

import base64
import hmac
import os
import secrets
import subprocess
import tempfile
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox.azurite.installation import entry_point
from sandbox.azurite.node import find_node
from sandbox.azurite.output import Operation, Output

_SERVICES = ("blob", "queue", "table")
_PRELOADED = ("stop_with_parent.cjs", "report_operations.cjs", "any_account.cjs")
_STOP_WITHIN = 10  # seconds; a healthy one takes less than one
_REPORT_WITHIN = 30  # seconds; milliseconds, unless the machine is very busy


class Azurite:
    """A running Azurite: blobs, queues and tables on loopback ports that the system chose.

    Everything is in memory and gone when it stops. It also stops when the process that started
    it ends without stopping it.
    """

    def __init__(
        self,
        accounts: Mapping[str, str],
        secret: str,
        ports: Mapping[str, int],
        output: Output,
        stop: ExitStack,
    ) -> None:
        self._accounts = accounts
        self._secret = secret
        self._ports = ports
        self._output = output
        self._stop = stop

    @classmethod
    def start(cls, accounts: Collection[str] = ("keyturn",), within: float = 60) -> Self:
        """Start Azurite and wait until its ports answer.

        Args:
            accounts: The names of the storage accounts; the keys are random. Any other account
                is there too once it is asked for by its key: see ``key``.
            within: Seconds to wait at most.

        Raises:
            AzuriteNotInstalledError: The locked version is not installed.
            NodeMissingError: There is no usable Node.
            AzuriteFailedError: It ended, or was not ready in time.
        """
        keys = {name: base64.b64encode(secrets.token_bytes(32)).decode() for name in accounts}
        secret = secrets.token_hex(32)
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="azurite-"))
            process = subprocess.Popen(  # noqa: S603 - no part of it comes from outside
                _command(),
                cwd=folder,
                env=os.environ
                | {
                    "AZURITE_ACCOUNTS": ";".join(f"{name}:{key}" for name, key in keys.items()),
                    "SANDBOX_ACCOUNTS_SECRET": secret,
                },
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            stack.callback(_end, process)
            if process.stdout is None:
                raise TypeError("Azurite must be started with its output piped")
            output = Output(process.stdout, _SERVICES)
            return cls(keys, secret, output.ports(within), output, stack.pop_all())

    @property
    def accounts(self) -> tuple[str, ...]:
        """The names of the storage accounts that it was started with."""
        return tuple(self._accounts)

    def key(self, account: str) -> str:
        """Return the key of an account, whether it was named at the start or not."""
        named = self._accounts.get(account)
        derived = hmac.digest(self._secret.encode(), account.encode(), "sha256")
        return named or base64.b64encode(derived).decode()

    def endpoint(self, account: str, service: str) -> str:
        """Return the address of ``blob``, ``queue`` or ``table`` for an account."""
        return f"http://127.0.0.1:{self._ports[service]}/{account}"

    def connection_string(self, account: str) -> str:
        """Return what an SDK client or an app setting needs to reach an account."""
        endpoints = (
            f"{service.capitalize()}Endpoint={self.endpoint(account, service)}"
            for service in _SERVICES
        )
        return ";".join(
            (
                "DefaultEndpointsProtocol=http",
                f"AccountName={account}",
                f"AccountKey={self.key(account)}",
                *endpoints,
            )
        )

    def operations(self, account: str) -> Sequence[Operation]:
        """Return every operation on an account that was answered before now, oldest first.

        Raises:
            OperationsForgottenError: There were too many to keep them all.
        """
        # Azurite reports an answer after it has sent it. Reports keep their order, so that of an
        # operation of our own, sent now, comes behind all that are wanted.
        marker = self._output.expect_marker()
        with closing(HTTPConnection("127.0.0.1", self._ports["queue"])) as connection:
            connection.request("GET", f"/{marker}")
            connection.getresponse()
        return self._output.operations(account, marker, _REPORT_WITHIN)

    def stop(self) -> None:
        """Stop it and wait for its end. What it held is lost."""
        self._stop.close()

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


def _command() -> list[str]:
    ports = (word for service in _SERVICES for word in (f"--{service}Port", "0"))
    hosts = (word for service in _SERVICES for word in (f"--{service}Host", "127.0.0.1"))
    return [
        *find_node().node,
        *(word for name in _PRELOADED for word in ("--require", str(Path(__file__).parent / name))),
        str(entry_point()),
        *ports,
        *hosts,
        "--inMemoryPersistence",
        # The current SDKs send newer API versions than any Azurite knows.
        "--skipApiVersionCheck",
        "--disableTelemetry",
        "--silent",
    ]


def _end(process: subprocess.Popen[str]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(_STOP_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
