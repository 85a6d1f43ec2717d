"""The Functions host does with an app what the platform does."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from azure.storage.queue import QueueClient, QueueServiceClient

from sandbox.azurite import Azurite
from sandbox.clock import SandboxClock
from sandbox.functions_host.process import FunctionsHost, FunctionsHostFailedError
from sandbox.functions_host.settings import HostSettings, HostSettingsError, MessageEncoding
from sandbox.functions_host.timers import Schedule

SMALL = Path(__file__).parents[1] / "apps" / "small"
ACCOUNTS = [f"account{number}" for number in range(60)]
NEVER = "0 0 0 1 1 *"
Start = Callable[..., FunctionsHost]


@pytest.fixture(scope="module")
def azurite() -> Iterator[Azurite]:
    with Azurite.start(ACCOUNTS) as running:
        yield running


@pytest.fixture(scope="module")
def unused_accounts() -> list[str]:
    return list(ACCOUNTS)


@pytest.fixture
def storage(azurite: Azurite, unused_accounts: list[str]) -> str:
    """The connection string of an account that no other test has used."""
    return azurite.connection_string(unused_accounts.pop())


@pytest.fixture
def start(storage: str, tmp_path: Path) -> Iterator[Start]:
    hosts: list[FunctionsHost] = []

    def start_host(app: Path = SMALL, **options: Any) -> FunctionsHost:  # noqa: ANN401 - of `start`
        settings = {"AzureWebJobsStorage": storage, "STEPS_QUEUE": "steps", "TICKS": NEVER}
        settings |= options.pop("settings", {})
        hosts.append(FunctionsHost.start(app, settings, log=tmp_path / "host.log", **options))
        return hosts[-1]

    yield start_host
    for host in hosts:
        host.stop()


@pytest.fixture
def steps(storage: str) -> Iterator[QueueClient]:
    with _queue(storage, "steps") as queue:
        yield queue


@pytest.fixture
def results(storage: str) -> Iterator[QueueClient]:
    with _queue(storage, "results") as queue:
        yield queue


def _queue(connection: str, name: str) -> QueueClient:
    with QueueServiceClient.from_connection_string(connection) as service:
        if name not in [queue.name for queue in service.list_queues()]:
            service.create_queue(name)
    return QueueClient.from_connection_string(connection, name)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def take(queue: QueueClient, count: int = 1, within: float = 20) -> list[dict[str, Any]]:
    """Wait for messages and return them decoded, in no particular order."""
    found: list[dict[str, Any]] = []
    until = time.monotonic() + within
    while True:
        for message in queue.receive_messages(max_messages=32):
            found.append(json.loads(base64.b64decode(message.content)))
            queue.delete_message(message)
        if len(found) >= count:
            return found
        assert time.monotonic() < until, f"only {found} of {count} messages"
        time.sleep(0.02)


def is_empty(queue: QueueClient, within: float = 10) -> bool:
    """Whether the queue holds no message at all, hidden ones included, in time."""
    until = time.monotonic() + within
    while queue.get_queue_properties().approximate_message_count:
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def refuses(url: str, within: float) -> bool:
    """Whether nobody listens at an address any more, in time."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        try:
            requests.get(url, timeout=30)
        except requests.ConnectionError:
            return True
        time.sleep(0.05)
    return False


def post(host: FunctionsHost, function: str, body: object, kind: str = "Notification") -> int:
    return requests.post(
        host.event_grid_endpoint(function), json=body, headers={"aeg-event-type": kind}, timeout=30
    ).status_code


def event(event_id: str) -> dict[str, Any]:
    return {
        "id": event_id,
        "topic": "/subscriptions/0/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv1",
        "subject": "key1",
        "eventType": "Microsoft.KeyVault.KeyNewVersionCreated",
        "eventTime": "2026-11-23T10:00:00.1234567Z",
        "data": {},
        "dataVersion": "1",
        "metadataVersion": "1",
    }


class TestQueues:
    def test_a_message_runs_the_function_and_is_deleted(
        self, start: Start, steps: QueueClient, results: QueueClient
    ) -> None:
        sent = steps.send_message(encoded("one"))

        start()

        assert take(results) == [{"step": "one", "attempt": 1, "id": sent.id}]
        assert is_empty(steps)

    def test_more_messages_than_a_batch_are_all_run(
        self, start: Start, steps: QueueClient, results: QueueClient
    ) -> None:
        for number in range(20):
            steps.send_message(encoded(str(number)))

        start()

        assert sorted(int(r["step"]) for r in take(results, 20)) == list(range(20))

    def test_messages_run_in_parallel(
        self, start: Start, steps: QueueClient, results: QueueClient
    ) -> None:
        start(settings={"PYTHON_THREADPOOL_THREAD_COUNT": "4"})
        began = time.monotonic()
        for _ in range(4):
            steps.send_message(encoded("sleep 1.5"))

        take(results, 4)

        assert time.monotonic() - began < 4

    def test_a_message_that_always_fails_is_set_aside_after_max_dequeue_count(
        self, start: Start, steps: QueueClient, results: QueueClient, tmp_path: Path
    ) -> None:
        start()

        steps.send_message(encoded("boom"))

        assert take(results) == [{"poison": "boom"}]
        log = (tmp_path / "host.log").read_text()
        assert [f"boom, attempt {n}" in log for n in (1, 2, 3, 4)] == [True, True, True, False]
        assert is_empty(steps)

    def test_a_message_that_is_not_base64_is_set_aside_at_once(
        self, start: Start, steps: QueueClient, tmp_path: Path
    ) -> None:
        steps.send_message("{not base64}")

        start()

        assert is_empty(steps)
        assert "not base64 of a text" in (tmp_path / "host.log").read_text()
        assert "invocation on_step" not in (tmp_path / "host.log").read_text()

    def test_a_poison_message_that_fails_is_left_until_its_lease_is_over(
        self, start: Start, storage: str, results: QueueClient, tmp_path: Path
    ) -> None:
        with _queue(storage, "steps-poison") as poison:
            poison.send_message(encoded("stuck"))
            poison.send_message(encoded("fine"))

            start()

            assert take(results) == [{"poison": "fine"}]
            assert poison.get_queue_properties().approximate_message_count == 1
            assert poison.receive_message() is None
        assert (tmp_path / "host.log").read_text().count("ValueError: stuck\nTraceback") == 1

    def test_a_message_survives_that_the_host_is_killed(
        self, start: Start, steps: QueueClient, results: QueueClient, tmp_path: Path
    ) -> None:
        host = start(lease_seconds=2)
        steps.send_message(encoded("sleep 1"))
        while "step sleep 1" not in (tmp_path / "host.log").read_text():
            time.sleep(0.02)
        host.kill()

        start()

        assert [(r["step"], r["attempt"]) for r in take(results)] == [("sleep 1", 2)]

    def test_a_message_in_which_the_host_died_too_often_is_not_run_again(
        self, start: Start, steps: QueueClient, results: QueueClient
    ) -> None:
        steps.send_message(encoded("one"))
        for _ in range(3):
            message = steps.receive_message(visibility_timeout=1)
            assert message is not None
            steps.update_message(message, visibility_timeout=0)

        start()

        assert take(results) == [{"poison": "one"}]

    def test_an_invocation_over_the_function_timeout_has_failed(
        self, start: Start, steps: QueueClient, tmp_path: Path
    ) -> None:
        host = start()
        steps.send_message(encoded("sleep 6"))

        until = time.monotonic() + 15
        while "the functionTimeout of 0:00:04 is over" not in (tmp_path / "host.log").read_text():
            assert time.monotonic() < until
            time.sleep(0.05)

        host.kill()


class TestEventGrid:
    def test_each_event_of_a_request_is_one_invocation(
        self, start: Start, results: QueueClient
    ) -> None:
        host = start()

        status = post(host, "on_event", [event("a"), event("b")])

        assert status == 202
        assert sorted(r["event"] for r in take(results, 2)) == ["a", "b"]

    def test_a_cloud_event_is_delivered_as_one_object(
        self, start: Start, results: QueueClient
    ) -> None:
        host = start()
        cloud_event = {
            "specversion": "1.0",
            "id": "c",
            "source": "/subscriptions/0",
            "type": "Some.Type",
            "time": "2026-11-23T10:00:00Z",
            "data": {},
        }

        status = post(host, "on_event", cloud_event)

        assert status == 202
        assert take(results) == [{"event": "c", "kind": "Some.Type"}]

    def test_one_failure_fails_the_whole_request(self, start: Start) -> None:
        assert post(start(), "on_event", [event("a"), event("boom")]) == 500

    def test_both_handshakes_are_answered(self, start: Start) -> None:
        endpoint = start().event_grid_endpoint("on_event")

        validation = requests.post(
            endpoint,
            json=[{"data": {"validationCode": "V-1"}}],
            headers={"aeg-event-type": "SubscriptionValidation"},
            timeout=30,
        )
        options = requests.options(
            endpoint, headers={"WebHook-Request-Origin": "eventgrid.azure.net"}, timeout=30
        )

        assert (validation.status_code, validation.json()) == (200, {"validationResponse": "V-1"})
        assert options.headers["WebHook-Allowed-Origin"] == "eventgrid.azure.net"

    def test_refusals_by_status(self, start: Start) -> None:
        host = start()
        wrong_code = host.event_grid_endpoint("on_event").replace("code=", "code=x")
        headers = {"aeg-event-type": "Notification"}

        assert post(host, "no_such", [event("a")]) == 404
        assert requests.post(wrong_code, json=[], headers=headers, timeout=30).status_code == 401
        assert post(host, "on_event", [event("a")], kind="Other") == 400


class TestHttp:
    def test_the_request_and_the_answer_are_carried_through(self, start: Start) -> None:
        host = start()

        answer = requests.post(
            f"{host.url}/api/items/first?z=1",
            data="hello",
            headers={"X-Asked": "please", "x-functions-key": host.keys["function"]},
            timeout=30,
        )

        assert answer.status_code == 201
        assert answer.headers["X-Given"] == "yes"
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Set-Cookie"] == "seen=1; HttpOnly; Path=/; SameSite=strict"
        assert answer.json() == {
            "method": "POST",
            "url": f"{host.url}/api/items/first?z=1",
            "query": {"z": "1"},
            "route": {"name": "first"},
            "header": "please",
            "body": "hello",
        }

    def test_each_level_of_access_wants_its_key(self, start: Start) -> None:
        host = start(settings={"SANDBOX_FUNCTION_KEY": "key-of-functions"})
        keys = {"none": "", "function": "key-of-functions", "admin": host.keys["admin"]}

        def statuses(path: str) -> dict[str, int]:
            return {
                name: requests.get(f"{host.url}{path}?code={key}", timeout=30).status_code
                for name, key in keys.items()
            }

        assert statuses("/api/items/special") == {"none": 200, "function": 200, "admin": 200}
        assert statuses("/api/items/first") == {"none": 401, "function": 201, "admin": 201}
        assert statuses("/api/locked") == {"none": 401, "function": 401, "admin": 200}
        assert statuses("/admin/host/status") == {"none": 401, "function": 401, "admin": 200}

    def test_routes_and_methods(self, start: Start) -> None:
        url = start().url

        assert requests.get(f"{url}/api/files/a/b", timeout=30).text == "a/b"
        assert requests.get(f"{url}/api/nothing", timeout=30).status_code == 404
        assert requests.delete(f"{url}/api/items/first", timeout=30).status_code == 405

    def test_an_exception_is_logged_and_not_shown(self, start: Start, tmp_path: Path) -> None:
        answer = requests.get(f"{start().url}/api/broken", timeout=30)

        assert (answer.status_code, answer.text) == (500, "")
        assert "ValueError: a secret of the app" in (tmp_path / "host.log").read_text()


class TestTimers:
    def test_a_timer_runs_in_sandbox_time(self, start: Start, results: QueueClient) -> None:
        clock = SandboxClock(datetime.now(UTC), rate=3600)

        start(settings={"TICKS": "0 0 * * * *"}, clock=clock)

        first, second = take(results, 2)
        assert first["past_due"] is False
        assert "00:00" in first["tick"]["Next"]
        assert first["tick"]["Next"] != second["tick"]["Next"]

    def test_frozen_timers_run_by_hand_only(self, start: Start, results: QueueClient) -> None:
        host = start(settings={"TICKS": "* * * * * *"}, freeze_timers=True)
        headers = {"x-functions-key": host.keys["admin"]}

        answer = requests.post(f"{host.url}/admin/functions/on_tick", headers=headers, timeout=30)

        assert answer.status_code == 202
        take(results)
        time.sleep(1.5)
        assert is_empty(results, within=0)

    @pytest.mark.parametrize(
        ("expression", "expected"),
        [
            pytest.param("30 */5 * * * *", "2026-11-23T18:00:30", id="the seconds come first"),
            pytest.param("*/5 * * * *", "2026-11-23T18:05:00", id="five fields have no seconds"),
            pytest.param("0 0 9 * * 1-5", "2026-11-24T09:00:00", id="days of the week"),
            pytest.param("0 0 0 13 * 5", "2027-08-13T00:00:00", id="both days must match"),
        ],
    )
    def test_next_moment_of_a_schedule(self, expression: str, expected: str) -> None:
        monday = datetime(2026, 11, 23, 18, tzinfo=UTC)

        assert Schedule(expression).after(monday).isoformat() == f"{expected}+00:00"

    @pytest.mark.parametrize("expression", ["", "* * * *", "* * * * * * *", "61 * * * * *", "x"])
    def test_other_texts_are_no_schedule(self, expression: str) -> None:
        with pytest.raises(HostSettingsError, match="not an NCRONTAB expression"):
            Schedule(expression)


class TestStartAndStop:
    def test_every_missing_setting_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(FunctionsHostFailedError) as refusal:
            FunctionsHost.start(SMALL, {"TICKS": NEVER}, log=tmp_path / "log")

        assert "no app setting named AzureWebJobsStorage" in str(refusal.value)
        assert "no app setting named STEPS_QUEUE" in str(refusal.value)
        assert "TICKS" not in str(refusal.value)

    @pytest.mark.parametrize(
        ("program", "said"),
        [
            pytest.param("import no_such_module", "No module named 'no_such_module'", id="import"),
            pytest.param("x = 1", "Could not find top level function app instances", id="no app"),
            pytest.param(
                "import azure.functions as func\napp = func.FunctionApp()",
                "no functions found",
                id="no functions",
            ),
            pytest.param(None, "no functions found", id="no function_app.py"),
        ],
    )
    def test_an_app_that_cannot_be_indexed_is_refused(
        self, program: str | None, said: str, tmp_path: Path
    ) -> None:
        (tmp_path / "host.json").write_text("{}")
        if program is not None:
            (tmp_path / "function_app.py").write_text(program)

        with pytest.raises(FunctionsHostFailedError, match=said) as refusal:
            FunctionsHost.start(tmp_path, {}, log=tmp_path / "log")

        assert "ended with 1" in str(refusal.value)

    def test_a_packaged_app_must_bring_what_it_imports(self, tmp_path: Path) -> None:
        (tmp_path / ".python_packages/lib/site-packages").mkdir(parents=True)
        (tmp_path / "host.json").write_text("{}")
        (tmp_path / "function_app.py").write_text(
            "import azure.functions as func\nimport msgspec\napp = func.FunctionApp()\n"
            "@app.route()\ndef f(req: func.HttpRequest) -> str: return ''\n"
        )

        with pytest.raises(FunctionsHostFailedError, match=r"does not bring .*msgspec came from"):
            FunctionsHost.start(tmp_path, {}, log=tmp_path / "log")

    def test_the_checkout_lends_no_module_to_the_app(self, tmp_path: Path) -> None:
        (tmp_path / "host.json").write_text("{}")
        (tmp_path / "function_app.py").write_text("import shared")

        with pytest.raises(FunctionsHostFailedError, match="No module named 'shared'"):
            FunctionsHost.start(tmp_path, {}, log=tmp_path / "log")

    def test_sigterm_lets_a_running_message_finish(
        self, start: Start, steps: QueueClient, results: QueueClient, tmp_path: Path
    ) -> None:
        host = start()
        steps.send_message(encoded("sleep 1"))
        while "step sleep 1" not in (tmp_path / "host.log").read_text():
            time.sleep(0.02)

        assert host.stop() == 0

        assert [r["step"] for r in take(results, within=0)] == ["sleep 1"]
        assert is_empty(steps, within=0)

    def test_it_stops_when_its_starter_is_killed(self, storage: str, tmp_path: Path) -> None:
        program = (
            "import sys, time; from pathlib import Path\n"
            "from sandbox.functions_host.process import FunctionsHost\n"
            "host = FunctionsHost.start(Path(sys.argv[1]), {'AzureWebJobsStorage': sys.argv[2],"
            " 'STEPS_QUEUE': 'steps', 'TICKS': '0 0 0 1 1 *'}, log=Path(sys.argv[3]))\n"
            "print(host.url, flush=True)\ntime.sleep(600)"
        )
        with subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", program, str(SMALL), storage, str(tmp_path / "log")],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
        ) as starter:
            assert starter.stdout is not None
            url = starter.stdout.readline().strip()
            assert requests.get(f"{url}/api/items/special", timeout=30).text == "special"
            os.kill(starter.pid, signal.SIGKILL)

        assert refuses(url, within=10)


class TestHostJson:
    def test_known_keys_are_read_and_others_accepted(self) -> None:
        text = (SMALL / "host.json").read_text()

        settings = HostSettings.from_json(text)

        assert settings.queues.batch_size == 4
        assert settings.queues.new_batch_threshold == 2
        assert settings.queues.max_dequeue_count == 3
        assert settings.queues.max_polling_interval == timedelta(milliseconds=200)
        assert settings.queues.message_encoding is MessageEncoding.BASE64
        assert settings.function_timeout == timedelta(seconds=4)

    def test_an_empty_host_json_means_the_platforms_defaults(self) -> None:
        settings = HostSettings.from_json("{}")

        assert settings.route_prefix == "api"
        assert settings.queues.batch_size == 16
        assert settings.queues.max_polling_interval == timedelta(minutes=1)

    def test_days_and_no_limit(self) -> None:
        queues = {"visibilityTimeout": "1.02:00:00"}
        text = json.dumps({"functionTimeout": "-1", "extensions": {"queues": queues}})

        settings = HostSettings.from_json(text)

        assert settings.function_timeout is None
        assert settings.queues.visibility_timeout == timedelta(days=1, hours=2)

    def test_every_problem_is_listed(self) -> None:
        queues = {"batchSize": 33, "visibilityTimeout": "5 s", "messageEncoding": "gzip"}

        with pytest.raises(HostSettingsError) as refusal:
            HostSettings.from_json(json.dumps({"extensions": {"queues": queues}}))

        assert refusal.value.problems == [
            "host.json: batchSize is 33, not a number from 1 to 32",
            "host.json: visibilityTimeout is '5 s', not a time span 'hh:mm:ss'",
            "host.json: messageEncoding is 'gzip', not 'base64' or 'none'",
        ]

    @pytest.mark.parametrize("encoding", MessageEncoding)
    def test_every_encoding_reads_what_it_wrote(self, encoding: MessageEncoding) -> None:
        assert encoding.from_wire(encoding.to_wire("schlüssel 🔑")) == "schlüssel 🔑"
