"""A local Azure with the app in it, as the end-to-end tests use it."""

import atexit
import hashlib
import itertools
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from uuid import uuid4

import requests
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableClient
from azure.storage.blob import ContainerClient
from azure.storage.queue import QueueClient
from jsonschema import Draft202012Validator, FormatChecker

from sandbox.azure import LocalAzure
from sandbox.estate import Account, Form
from sandbox.event_grid import Schema
from sandbox.front_door import Call
from sandbox.identity import APP_PRINCIPAL
from sandbox.key_vault import Vault
from sandbox.packaging import lay_out
from tests.rights import TO_READ_AND_WRITE

CHECKOUT = Path(__file__).parents[2]
VAULT = "kv-stage"
ARM = "management.azure.com"
OPERATOR = "0b6f4b0e-0d0a-4f6e-9a55-3b9f3f0c7d11"
"""Object id of a person who changes resources beside the app."""

PATIENCE = 90.0
"""Seconds a wait lasts at most: what does not come by then would not come on a quiet machine."""

type Report = dict[str, Any]


@dataclass
class Stage:
    """One subscription, one vault that may be managed, and the app once it is started."""

    azure: LocalAzure
    subscription: str = ""
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.subscription = self.readable_subscription("Stage")
        self.managed_vault(VAULT)

    # -- what there is -------------------------------------------------------------------------

    def readable_subscription(self, name: str) -> str:
        """Make a subscription that the app may read and write."""
        subscription = self.azure.estate.subscription(name)
        rbac, scope = self.azure.estate.arm.rbac, f"/subscriptions/{subscription}"
        rbac.allow(APP_PRINCIPAL, TO_READ_AND_WRITE, scope)
        rbac.allow(OPERATOR, {"*"}, scope)
        return subscription

    def managed_vault(self, name: str) -> Vault:
        """Make a vault whose keys the app may read and rotate."""
        vault = self.azure.estate.vault(name)
        vault.grant(APP_PRINCIPAL, {"get", "list", "rotate"})
        return vault

    @property
    def vault(self) -> Vault:
        """The vault of the stage."""
        return self.azure.estate.vault(VAULT)

    def new_name(self, prefix: str) -> str:
        """Return a name that nothing on this stage has yet."""
        return f"{prefix}{next(self._numbers)}"

    def key(self, name: str = "", vault: str = VAULT) -> str:
        """Make a key and return its URL. Nobody hears of its first version."""
        if self._is_heard(vault):
            self.azure.event_grid.lose_next()
        kid = self.azure.estate.vault(vault).create_key(name or self.new_name("cmk"))
        return kid.rpartition("/")[0]

    def _is_heard(self, vault: str) -> bool:
        topic = self.azure.estate.vault(vault).resource_id
        return any(s.topic == topic for s in self.azure.event_grid.subscriptions())

    def account(
        self,
        name: str,
        key: str | None,
        version: Form = "pinned",
        *,
        subscription: str = "",
        location: str = "westeurope",
    ) -> Account:
        """Make a storage account."""
        return self.azure.estate.storage_account(
            name,
            subscription=subscription or self.subscription,
            key=key,
            version=version,
            location=location,
        )

    # -- what is done --------------------------------------------------------------------------

    def start(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        policy: str | Mapping[str, object] = "",
        app: Path | None = None,
        schema: Schema = Schema.EVENT_GRID,
        **host: Any,  # noqa: ANN401 - as ``LocalAzure.start_app`` takes it
    ) -> None:
        """Start the app and have the vault's events delivered to it.

        Args:
            settings: App settings.
            policy: What ``keyturn.yaml`` says, as its text or as settings for every key; empty:
                there is none.
            app: The app's folder; ``None``: what is deployed of this checkout.
            schema: In which form events come.
            host: Further arguments of ``LocalAzure.start_app``.
        """
        own = {"KEYTURN_VAULTS": VAULT}
        if policy:
            self.write_policy(policy)
            own["KEYTURN_POLICY"] = str(self.policy_file)
        self.azure.start_app(app or deployed(), {**own, **(settings or {})}, **host)
        self.azure.subscribe(VAULT, schema)

    @property
    def policy_file(self) -> Path:
        """Where the app's policy lies, if it has one."""
        return self.azure.log.with_name("keyturn.yaml")

    def write_policy(self, policy: str | Mapping[str, object]) -> None:
        """Let the policy say something else; a running app takes it up within a minute."""
        # JSON is YAML.
        text = policy if isinstance(policy, str) else json.dumps({"defaults": policy})
        self.policy_file.write_text(text)

    def rotate(self, key: str) -> str:
        """Have the vault make a new version; return its URL."""
        vault, name = key.removeprefix("https://").split("/keys/")
        return self.azure.estate.vaults.vault(vault.partition(".")[0]).rotate(name)

    def publish(self, data: object, vault: str = VAULT) -> str:
        """Have a vault say that a key has a new version, with ``data``; return the event's id."""
        event_id = str(uuid4())
        event = {
            "id": event_id,
            "subject": "cmk",
            "eventType": "Microsoft.KeyVault.KeyNewVersionCreated",
            "eventTime": "2026-11-23T10:00:00.1234567Z",
            "data": data,
            "dataVersion": "1",
        }
        self.azure.event_grid.publish(self.azure.estate.vault(vault).resource_id, event)
        return event_id

    def handled(self, event_id: str) -> None:
        """Wait until an event has been accepted, and all that the app makes of it is done."""
        self.until(lambda: self.deliveries(event_id), PATIENCE, f"the delivery of event {event_id}")
        self.quiet()

    def deliveries(self, event_id: str) -> list[int | None]:
        """Return what the app answered to each delivery of an event."""
        return [d.status for d in self.azure.event_grid.deliveries() if d.event_id == event_id]

    def sweep(self) -> None:
        """Run the timer function, and wait until all that it queued is done."""
        asked = self._log_count("invocation sweeps")
        self.http("POST", "/admin/functions/sweeps", key="admin")
        self.until(lambda: self._log_count("invocation sweeps") > asked, PATIENCE, "the sweep")
        self.quiet()

    def http(
        self,
        method: str,
        path: str,
        body: object = None,
        **caller: Any,  # noqa: ANN401 - as ``LocalAzure.call_app`` takes it: key, token, headers
    ) -> tuple[int, Mapping[str, str], Any]:
        """Call the app's HTTP API; return status, headers (in lower case) and JSON."""
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        try:
            status, headers, answer = self.azure.call_app(method, path, content, **caller)
        except HTTPError as error:
            with error:
                status, headers, text = error.code, dict(error.headers), error.read()
                answer = json.loads(text) if text else None
        return status, {name.lower(): value for name, value in headers.items()}, answer

    def arm(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Call ARM as the operator; the call is in the traffic like any other."""
        token = self.azure.tokens.issue(f"https://{ARM}", principal=OPERATOR)
        answer = requests.request(
            method,
            f"https://{ARM}{path}?api-version=2024-01-01",
            json=body,
            headers={"Authorization": f"Bearer {token}", "User-Agent": "operator"},
            proxies={"https": self.azure.serving.proxy.url},
            verify=str(self.azure.serving.ca_file),
            timeout=30,
        )
        assert answer.status_code == HTTPStatus.OK, answer.text
        return dict(answer.json()) if answer.content else {}

    # -- what became of it ---------------------------------------------------------------------

    def report(self, rotation: str) -> Report:
        """Return how a rotation stands, as the HTTP API tells it."""
        _, _, report = self.azure.call_app("GET", f"/api/rotations/{rotation}")
        return dict(report)

    def ended(self, target: str, within: float = PATIENCE) -> Report:
        """Wait until the last rotation to ``target`` has ended, and has its evidence; report it."""
        return self.shown(self.opened(target, within), lambda report: report["evidence"], within)

    def opened(self, target: str, within: float = PATIENCE) -> str:
        """Wait until a rotation to ``target`` is opened; return its id."""
        return self.until(lambda: self.rotation_to(target), within, f"a rotation to {target}")

    def shown(
        self, rotation: str, wanted: Callable[[Report], object], within: float = PATIENCE
    ) -> Report:
        """Wait until the report of a rotation is as ``wanted``; return it."""
        return self.until(
            lambda: report if wanted(report := self.report(rotation)) else None,
            within,
            f"what is wanted of rotation {rotation}",
            every=0.2,  # a report costs the app some eight reads
        )

    def steer(
        self, rotation: str, action: str, reason: str = "we are testing"
    ) -> tuple[int, Mapping[str, str], Any]:
        """Tell a rotation to do something else; return status, headers and JSON."""
        return self.http("POST", f"/api/rotations/{rotation}/{action}", {"reason": reason})

    def rotation_to(self, target: str) -> str:
        """Return the id of the last rotation opened to a version; empty if there is none."""
        return max((r["id"] for r in self.rotations() if r["target"] == target), default="")

    def rotations(self) -> list[dict[str, Any]]:
        """Return every rotation that was ever opened, as its row has it."""
        return self.rows("keyturnrotations")

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return the rows of one of the app's tables; none if it has not been made."""
        with TableClient.from_connection_string(self._storage, table) as client:
            try:
                return [dict(row) for row in client.list_entities()]
            except ResourceNotFoundError:
                return []

    def evidence(self, report: Report) -> dict[str, Any]:
        """Return the evidence that a report names: unchanged since, and as its schema says."""
        named = report["evidence"]
        container = "keyturn-evidence"
        with ContainerClient.from_connection_string(self._storage, container) as blobs:
            content = blobs.download_blob(named["name"]).readall()
        assert hashlib.sha256(content).hexdigest() == named["sha256"]
        document = json.loads(content)
        schema = json.loads((CHECKOUT / "docs" / "evidence.schema.json").read_text())
        Draft202012Validator(schema, format_checker=FormatChecker()).validate(document)
        return dict(document)

    def announced(self, kind: str) -> list[Mapping[str, Any]]:
        """Return Keyturn's own events of a type."""
        published = self.azure.topics.published(self.azure.topic.name)
        return [event for event in published if event["type"] == kind]

    def log(self) -> str:
        """Return what the host and the app have printed."""
        return self.azure.log.read_text(errors="replace")

    def _log_count(self, text: str) -> int:
        return self.log().count(text)

    def quiet(self, within: float = PATIENCE) -> None:
        """Wait until no step is queued, not even for later, and none is running."""
        self.until(lambda: self._queued() == 0, within, "an empty queue of steps")

    def _queued(self) -> int | None:
        """Return how many steps are queued; None before a host that has just started can have."""
        with QueueClient.from_connection_string(self._storage, "keyturn-steps") as queue:
            try:
                return queue.get_queue_properties().approximate_message_count
            except ResourceNotFoundError:
                return None

    @property
    def _storage(self) -> str:
        return self.azure.environment()["AzureWebJobsStorage"]

    def until[T](
        self, ready: Callable[[], T | None], within: float, what: str, every: float = 0.05
    ) -> T:
        """Return what ``ready`` returns once that is true.

        It is called after ``every`` seconds, and then less often, up to twice a second: looking
        takes the processor from what is looked for.
        """
        end = time.monotonic() + within
        while time.monotonic() < end:
            if found := ready():
                return found
            time.sleep(every)
            every = max(every, min(1.3 * every, 0.5))
        raise AssertionError(
            f"{what} did not come within {within:g} s; the host said: {self.log()[-4000:]}"
        )

    def reads(self, account: Account) -> list[Call]:
        """Return the reads of an account itself; its scopes are listed apart."""
        return [c for c in self.calls("GET", account.id) if c.path.lower() == account.id.lower()]

    def calls(self, method: str, path: str = "") -> list[Call]:
        """Return the app's requests of a method whose path holds ``path``, in any casing."""
        return [
            call
            for call in self.azure.front_door.traffic()
            if call.method == method
            and path.lower() in call.path.lower()
            and call.request_headers.get("user-agent") != "operator"
        ]

    def in_use(self, account: Account) -> str | None:
        """Return the version that really protects an account (ground truth)."""
        return self.azure.estate.truth.version_in_use(account.id)

    def writes(self, account: Account) -> int:
        """Return how many writes to an account its service accepted (ground truth)."""
        return self.azure.estate.truth.writes(account.id)


@cache
def deployed() -> Path:
    """Return a folder with what is deployed of this checkout, and nothing else.

    The host takes no module of the app from anywhere else. Requirements are those of this process;
    ``tests/test_package.py`` installs them beside the app as well.
    """
    folder = Path(tempfile.mkdtemp(prefix="keyturn-package-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    lay_out(CHECKOUT, folder / "app")
    return folder / "app"


def app_with_queues(folder: Path, **settings: object) -> Path:
    """Lay the app out in ``folder`` with other settings of its queues; return that folder."""
    shutil.copytree(deployed(), folder, dirs_exist_ok=True)
    host = json.loads((folder / "host.json").read_text())
    host["extensions"]["queues"] |= settings
    (folder / "host.json").write_text(json.dumps(host))
    return folder


def verdicts(report: Report) -> dict[str, str]:
    """Return each consumer's verdict by the name of its resource."""
    return {consumer["name"]: consumer["verdict"] for consumer in report["consumers"]}


def consumer(report: Report, name: str) -> dict[str, Any]:
    """Return what a report says of the one consumer in the resource ``name``."""
    (found,) = (c for c in report["consumers"] if c["name"] == name)
    return dict(found)
