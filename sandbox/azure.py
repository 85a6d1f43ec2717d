"""A local Azure: every part started, connected and stopped together."""

import json
import secrets
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Self
from urllib.request import Request, urlopen

from azure.storage.queue import QueueClient

from sandbox.arm.resources import Body
from sandbox.azurite import Azurite
from sandbox.blobs import BlobEndpoints
from sandbox.clock import SandboxClock
from sandbox.estate import Estate
from sandbox.event_grid import CustomTopics, EventGrid, Schema, Subscription
from sandbox.faults import Faults
from sandbox.front_door import FrontDoor
from sandbox.functions_host.app_service_auth import ENABLED, SETTING, AppServiceAuth
from sandbox.functions_host.death import Death
from sandbox.functions_host.process import FunctionsHost
from sandbox.identity import AUDIENCES, TokenService
from sandbox.key_vault import KeyVaults
from sandbox.serving import Serving

_APP_TOPIC = "keyturn"
_EVENTS_FUNCTION = "key_events"
_EVENT_TYPES = ("Microsoft.KeyVault.KeyNewVersionCreated", "Microsoft.KeyVault.KeyNearExpiry")


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
        self.blobs = BlobEndpoints(azurite, self.estate, self.tokens)
        self.topic = self.topics.create(_APP_TOPIC)
        self.serving = Serving(self.front_door)
        self.host: FunctionsHost | None = None
        """The one started last, until ``stop_app``; it may be dead."""
        self.log = Path()
        self._keys = {
            f"SANDBOX_{name}_KEY": secrets.token_urlsafe(24)
            for name in ("FUNCTION", "ADMIN", "SYSTEM")
        }
        self._address = ""
        self._start: Callable[..., FunctionsHost] | None = None
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
            self.front_door.mount("*.managedhsm.azure.net", self.estate.vaults.app)
            self.front_door.mount("*.blob.core.windows.net", self.blobs.app)
            self.front_door.mount("*.eventgrid.azure.net", self.topics.app())
            self._identity_url = f"{self.serving.serve_plain(self.tokens.msi_app())}/msi/token"
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything, the app first."""
        self._stack.close()

    def environment(self) -> dict[str, str]:
        """Return the variables that lead any SDK client, curl or ``az`` into the sandbox."""
        return {
            **self.serving.environment(),
            "IDENTITY_ENDPOINT": self._identity_url,
            "IDENTITY_HEADER": self.tokens.identity_header,
            "AzureWebJobsStorage": self.azurite.connection_string(self.account),
        }

    def start_app(  # noqa: PLR0913 - each is a choice of its own
        self,
        app: Path,
        settings: Mapping[str, str],
        *,
        freeze_timers: bool = True,
        lease_seconds: int = 600,
        dies: Death | None = None,
        app_service_auth: bool = False,
    ) -> FunctionsHost:
        """Start a Functions host on an app, with ``settings`` beside those of the sandbox.

        Further ones are instances of the same app: they have its keys, its queues and its tables,
        and the newest gets its events. Whoever still runs beside it works on.

        Args:
            app: The app's folder.
            settings: App settings.
            freeze_timers: Whether timers run by hand only.
            lease_seconds: How long the messages of a killed instance stay hidden, in real time.
            dies: When the host ends as if killed.
            app_service_auth: Whether App Service authentication stands before it: whoever calls
                needs a token of ``sign_in``. Without it headers pass as they were sent.

        Raises:
            FunctionsHostFailedError: It refused the app; the message says why.
        """
        self._start = partial(
            FunctionsHost.start,
            app,
            {
                **self.environment(),
                **self._keys,
                **(self._authentication() if app_service_auth else {}),
                "KEYTURN_TOPIC_ENDPOINT": self.topic.endpoint,
                **settings,
            },
            log=self.log,
            clock=self.clock,
            freeze_timers=freeze_timers,
            lease_seconds=lease_seconds,
        )
        return self._launch(dies)

    def _authentication(self) -> dict[str, str]:
        auth = AppServiceAuth(AUDIENCES, self.tokens.issuers(), self.tokens.public_key())
        return {**ENABLED, SETTING: auth.setting}

    def restart_app(self, *, dies: Death | None = None) -> FunctionsHost:
        """Start the app once more as ``start_app`` was told; an instance that lives is stopped.

        Args:
            dies: When the new host ends as if killed; what the last one was told is over.

        Raises:
            FunctionsHostFailedError: It refused the app; the message says why.
        """
        self.stop_app()
        return self._launch(dies)

    def _launch(self, dies: Death | None) -> FunctionsHost:
        if self._start is None:
            raise RuntimeError("nothing to start again: call start_app first")
        host = self._start(dies=dies)
        self._stack.callback(host.stop)
        self.event_grid.follow(self._address, host.url)
        self.host, self._address = host, host.url
        return host

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
            included_types=_EVENT_TYPES,
        )

    def empty_queue(self, name: str) -> None:
        """Lose every message of a queue: waiting, hidden for later, or taken by a host.

        Raises:
            ResourceNotFoundError: There is no such queue.
        """
        connection = self.azurite.connection_string(self.account)
        with QueueClient.from_connection_string(connection, name) as queue:
            queue.clear_messages()

    def call_app(  # noqa: PLR0913 - the parts of a request
        self,
        method: str,
        path: str,
        body: Body | bytes | None = None,
        *,
        key: str = "function",
        token: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Mapping[str, str], Any]:
        """Call the app's HTTP API; return status, headers and JSON.

        Args:
            method: Of HTTP.
            path: With its query.
            body: What is sent, as JSON if it is an object.
            key: Which of the host's keys to send; empty: none.
            token: Of somebody who signed in (``TokenService.sign_in``); empty: none.
            headers: More of them.
        """
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        request = Request(  # noqa: S310 - the host's own URL
            f"{self._running.url}{path}",
            content,
            {
                **({"x-functions-key": self._running.keys[key]} if key else {}),
                **({"authorization": f"Bearer {token}"} if token else {}),
                **(headers or {}),
            },
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
