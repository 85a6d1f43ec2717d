"""A local Azure: every part started, connected and stopped together."""

import json
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self
from urllib.request import Request, urlopen

from sandbox.arm.resources import Body
from sandbox.azurite import Azurite
from sandbox.clock import SandboxClock
from sandbox.estate import Estate
from sandbox.event_grid import CustomTopics, EventGrid, Schema, Subscription
from sandbox.faults import Faults
from sandbox.front_door import FrontDoor
from sandbox.functions_host.process import FunctionsHost
from sandbox.identity import TokenService
from sandbox.key_vault import KeyVaults
from sandbox.serving import Serving

_APP_TOPIC = "keyturn"
_EVENTS_FUNCTION = "key_events"


class LocalAzure:
    """Managed identity, Key Vault, ARM, Resource Graph and Event Grid at their production hosts.

    Blobs, queues and tables are an Azurite's; the app runs in a Functions host of its own once
    ``start_app`` is called. A context manager. ::

        with LocalAzure(SandboxClock.start(60), azurite, "keyturn") as azure:
            azure.estate.vault("kv1").create_key("cmk")
            azure.start_app(Path("."), {"KEYTURN_VAULTS": "kv1"})
            azure.subscribe("kv1")
    """

    def __init__(self, clock: SandboxClock, azurite: Azurite, account: str) -> None:
        self.clock = clock
        self.azurite = azurite
        self.account = account
        self.faults = Faults(clock)
        self.front_door = FrontDoor(self.faults, clock)
        self.tokens = TokenService()
        self.event_grid = EventGrid(clock)
        self.topics = CustomTopics(self.event_grid, self.tokens)
        self.estate = Estate(
            clock, self.tokens, KeyVaults(clock, self.tokens, self.event_grid.publish)
        )
        self.topic = self.topics.create(_APP_TOPIC)
        self.serving = Serving(self.front_door)
        self.host: FunctionsHost | None = None
        self.log = Path()
        self._identity_url = ""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Start everything but the app."""
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="local-azure-"))
            self.log = Path(folder, "functions-host.log")
            stack.enter_context(self.serving)
            stack.enter_context(self.event_grid)
            self.front_door.mount("management.azure.com", self.estate.arm.app)
            self.front_door.mount("*.vault.azure.net", self.estate.vaults.app)
            self.front_door.mount("*.eventgrid.azure.net", self.topics.app())
            self._identity_url = f"{self.serving.serve_plain(self.tokens.msi_app())}/msi/token"
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything, the app first."""
        self.stop_app()
        self._stack.close()

    def environment(self) -> dict[str, str]:
        """Return the variables that lead any SDK client, curl or ``az`` into the sandbox."""
        return {
            **self.serving.environment(),
            "IDENTITY_ENDPOINT": self._identity_url,
            "IDENTITY_HEADER": self.tokens.identity_header,
            "AzureWebJobsStorage": self.azurite.connection_string(self.account),
        }

    def start_app(
        self, app: Path, settings: Mapping[str, str], *, freeze_timers: bool = True
    ) -> FunctionsHost:
        """Start the Functions host on an app, with ``settings`` beside those of the sandbox.

        Raises:
            FunctionsHostFailedError: It refused the app; the message says why.
        """
        self.host = FunctionsHost.start(
            app,
            {**self.environment(), "KEYTURN_TOPIC_ENDPOINT": self.topic.endpoint, **settings},
            log=self.log,
            clock=self.clock,
            freeze_timers=freeze_timers,
        )
        return self.host

    def stop_app(self) -> None:
        """Stop the Functions host, if it runs."""
        if self.host is not None:
            self.host.stop()
            self.host = None

    def subscribe(self, vault: str, schema: Schema = Schema.EVENT_GRID) -> Subscription:
        """Have Event Grid deliver the key events of a vault to the app, after the handshake."""
        return self.event_grid.subscribe(
            self.estate.vaults.vault(vault).resource_id,
            self._running.event_grid_endpoint(_EVENTS_FUNCTION),
            schema=schema,
            included_types=("Microsoft.KeyVault.KeyNewVersionCreated",),
        )

    def call_app(
        self, method: str, path: str, body: Body | bytes | None = None, *, key: str = "function"
    ) -> tuple[int, Mapping[str, str], Any]:
        """Call the app's HTTP API with one of the host's keys; return status, headers and JSON."""
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        request = Request(  # noqa: S310 - the host's own URL
            f"{self._running.url}{path}",
            content,
            {"x-functions-key": self._running.keys[key]} if key else {},
            method=method,
        )
        with urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
            text = answer.read()
            return answer.status, dict(answer.headers), json.loads(text) if text else None

    @property
    def _running(self) -> FunctionsHost:
        if self.host is None:
            raise RuntimeError("the app is not running: call start_app first")
        return self.host
