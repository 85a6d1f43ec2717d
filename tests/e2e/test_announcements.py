"""What others hear: Keyturn's own events, and the vault's as Microsoft's SDK reads them."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridEvent

from sandbox.azure import LocalAzure
from sandbox.event_grid import Schema
from sandbox.faults import Answer, Fault
from shared.domain.clouds import AZURE_PUBLIC
from shared.domain.events import KeyEvent
from shared.domain.keys import KeyVersion
from tests.e2e.stage import VAULT, Stage, app_with_queues

MINUTES_2 = timedelta(minutes=2)

_KINDS = ("Keyturn.RotationStarted", "Keyturn.RotationCompleted", "Keyturn.RotationFailed")


def _heard(stage: Stage, key: str) -> dict[str, list[CloudEvent[Any]]]:
    """Return what was announced of a key, by type, as Microsoft's SDK reads it.

    What comes twice under one id is heard once, as the doc asks of receivers.
    """
    heard: dict[str, list[CloudEvent[Any]]] = {}
    for kind in _KINDS:
        events = {event["id"]: event for event in stage.announced(kind)}
        for event in events.values():
            if event["subject"] == key:
                heard.setdefault(kind, []).append(CloudEvent.from_dict(dict(event)))
    return heard


def test_a_rotation_that_completes_is_announced_once_at_both_ends(running: Stage) -> None:
    key = running.key()
    running.account("stspoken", key)

    target = running.rotate(key)
    report = running.ended(target)
    running.quiet()

    heard = _heard(running, key)
    assert {kind: len(events) for kind, events in heard.items()} == {
        "Keyturn.RotationStarted": 1,
        "Keyturn.RotationCompleted": 1,
    }
    started, completed = (events[0] for events in heard.values())
    about = {"rotation": report["id"], "key": key, "target": target}
    assert started.data == about
    assert completed.data == about | {
        "outcome": "completed",
        "consumers": {"verified": 1},
        "scope": report["scope"],
        "problem": "",
        "evidence": report["evidence"],
    }
    assert running.evidence(report)["rotation"] == report["id"]
    assert started.time is not None
    assert completed.time is not None
    assert started.time < completed.time


def test_a_rotation_that_fails_is_announced_as_failed(running: Stage) -> None:
    key = running.key()
    account = running.account("stspokenfailed", key)
    running.vault.revoke(account.principal)

    report = running.ended(running.rotate(key))
    running.quiet()

    heard = _heard(running, key)
    assert [*heard] == ["Keyturn.RotationStarted", "Keyturn.RotationFailed"]
    (failed,) = heard["Keyturn.RotationFailed"]
    assert failed.data is not None
    assert failed.data["consumers"] == {"failed": 1}
    assert failed.data["evidence"] == report["evidence"]
    assert running.evidence(report)["outcome"] == "failed"


def test_a_resource_that_is_stuck_is_announced_once(fast_stage: Stage) -> None:
    key = fast_stage.key()
    account = fast_stage.account("stspokenstuck", key)
    account.pace.stuck()
    fast_stage.start()

    target = fast_stage.rotate(key)
    report = fast_stage.ended(target)
    fast_stage.quiet()

    (stuck,) = fast_stage.announced("Keyturn.ConsumerStuck")
    (told,) = report["consumers"]
    assert stuck["data"] == {
        "rotation": report["id"],
        "key": key,
        "target": target,
        "resource": told["resource"],
        "kind": "storage_account",
        "problem": told["reason"],
    }


def test_a_rotation_that_waits_for_an_approver_is_announced_once(
    stage: Stage, tmp_path: Path
) -> None:
    key = stage.key()
    account = stage.account("stspokenwaits", key)
    app = app_with_queues(tmp_path)
    (app / "keyturn.yaml").write_text("version: 1\ndefaults: {mode: approve}\n")
    stage.start({"KEYTURN_POLICY": "keyturn.yaml"}, app=app)

    rotation = stage.opened(stage.rotate(key))
    stage.until(lambda: stage.announced("Keyturn.RotationNeedsApproval"), 40, "the asking")
    stage.until(lambda: stage.azure.clock.now() > asked_at(stage) + MINUTES_2, 30, "two minutes")

    told = stage.announced("Keyturn.RotationNeedsApproval")
    assert {event["id"] for event in told} == {f"{rotation}/Keyturn.RotationNeedsApproval"}
    asked = told[0]
    assert (asked["data"]["rotation"], asked["data"]["key"]) == (rotation, key)
    assert asked["data"]["problem"]
    assert stage.writes(account) == 0


def asked_at(stage: Stage) -> datetime:
    """Return when an approver was asked."""
    asked = stage.announced("Keyturn.RotationNeedsApproval")[0]
    return datetime.fromisoformat(str(asked["time"]))


@pytest.mark.parametrize("status", [401, 500])
def test_a_topic_that_refuses_does_not_stop_a_rotation(running: Stage, status: int) -> None:
    key = running.key()
    account = running.account(running.new_name("stunheard"), key)
    topic = "*.eventgrid.azure.net"
    running.azure.faults.add(Fault(host=topic, times=None, answer=Answer(status)))

    target = running.rotate(key)
    report = running.ended(target)
    running.quiet()

    assert report["state"] == "completed"
    assert running.in_use(account) == target
    assert _heard(running, key) == {}
    assert f"not announced: {report['id']}/Keyturn.RotationStarted" in running.log()


@pytest.fixture
def received() -> Iterator[tuple[str, list[Any]]]:
    """A webhook of somebody else's: its address, and the bodies delivered to it."""
    bodies: list[Any] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self.headers["aeg-event-type"] == "SubscriptionValidation":
                self._answer(json.dumps({"validationResponse": body[0]["data"]["validationCode"]}))
            else:
                bodies.append(body)
                self._answer("")

        def do_OPTIONS(self) -> None:
            self._answer("")

        def _answer(self, text: str) -> None:
            self.send_response(200)
            self.send_header("WebHook-Allowed-Origin", "*")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Webhook) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", bodies
        server.shutdown()
        thread.join()


_READERS: dict[Schema, Callable[[Any], Any]] = {
    Schema.EVENT_GRID: lambda body: EventGridEvent.from_dict(body[0]),
    Schema.CLOUD_EVENTS: CloudEvent.from_dict,
}


@pytest.mark.parametrize("schema", list(Schema))
def test_a_vaults_event_is_the_same_key_to_microsofts_sdk_and_to_us(
    local_azure: Callable[[float], LocalAzure],
    received: tuple[str, list[Any]],
    schema: Schema,
) -> None:
    url, bodies = received
    with local_azure(60) as azure:
        stage = Stage(azure)
        azure.event_grid.subscribe(stage.vault.resource_id, url, schema=schema)
        target = stage.vault.create_key("cmk")
        stage.until(lambda: bodies, 10, "the event")

    event = _READERS[schema](bodies[0])

    hosts = frozenset({f"{VAULT}.vault.azure.net"})
    ours = KeyEvent.from_payload(event.id, event.data, cloud=AZURE_PUBLIC, vaults=hosts)
    assert event.data["Id"] == target
    assert ours.announced == KeyVersion.parse(target)
