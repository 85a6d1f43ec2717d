"""A Functions host can be made to die, or to stand still, at a chosen moment."""

import base64
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
import requests
from azure.storage.queue import QueueClient, QueueServiceClient

from sandbox.azurite import Azurite
from sandbox.functions_host.death import Death
from sandbox.functions_host.process import FunctionsHost

EFFECTS = Path(__file__).parents[1] / "apps" / "effects"
ACCOUNTS = [f"death{number}" for number in range(40)]
ALL = ["one 1", "one 2", "one 3"]
KILLED = -signal.SIGKILL
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
def log(tmp_path: Path) -> Path:
    return tmp_path / "host.log"


@pytest.fixture
def start(storage: str, log: Path) -> Iterator[Start]:
    hosts: list[FunctionsHost] = []

    def start_host(**options: Any) -> FunctionsHost:  # noqa: ANN401 - of `FunctionsHost.start`
        settings = {
            "AzureWebJobsStorage": storage,
            "TICKS": "0 0 0 1 1 *",
            "PYTHON_THREADPOOL_THREAD_COUNT": "1",
        }
        options = {"freeze_timers": True, "lease_seconds": 1} | options
        hosts.append(FunctionsHost.start(EFFECTS, settings, log=log, **options))
        return hosts[-1]

    yield start_host
    for host in hosts:
        host.stop()


@dataclass(frozen=True, slots=True)
class Queues:
    """The queues of the app, all of them there from the beginning."""

    steps: QueueClient
    pages: QueueClient
    effects: QueueClient
    results: QueueClient


@pytest.fixture(autouse=True)
def queues(storage: str) -> Iterator[Queues]:
    with ExitStack() as stack, QueueServiceClient.from_connection_string(storage) as service:
        names = (field.name for field in fields(Queues))
        yield Queues(*(stack.enter_context(service.create_queue(name)) for name in names))


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def seen(queue: QueueClient) -> list[str]:
    """Return the messages of a queue in their order, and take none of them away."""
    return [message.content for message in queue.peek_messages(32)]


def take(queue: QueueClient, within: float = 20) -> str:
    """Wait for a message and take it out of its queue."""
    until = time.monotonic() + within
    while (message := queue.receive_message()) is None:
        assert time.monotonic() < until, "no message came"
        time.sleep(0.02)
    queue.delete_message(message)
    return base64.b64decode(message.content).decode()


def count(queue: QueueClient) -> int:
    """Return how many messages a queue holds, hidden ones included."""
    return queue.get_queue_properties().approximate_message_count or 0


def is_empty(queue: QueueClient, within: float = 10) -> bool:
    until = time.monotonic() + within
    while count(queue):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def wait_for(text: str, log: Path, within: float = 20) -> None:
    until = time.monotonic() + within
    while text not in log.read_text():
        assert time.monotonic() < until, f"{text!r} was not logged"
        time.sleep(0.02)


class TestDeathAtARequest:
    @pytest.mark.parametrize(
        ("death", "happened"),
        [
            pytest.param(Death(before_request=1), ALL[:0], id="before the first"),
            pytest.param(Death(after_request=1), ALL[:1], id="after the first"),
            pytest.param(Death(before_request=2), ALL[:1], id="before the second"),
            pytest.param(Death(after_request=3), ALL, id="after the last"),
        ],
    )
    def test_what_the_app_did_before_it_has_happened_and_nothing_else(
        self, start: Start, queues: Queues, death: Death, happened: list[str]
    ) -> None:
        queues.steps.send_message(encoded("one"))

        host = start(dies=death)

        assert host.wait_dead(within=20) == KILLED
        assert host.dead
        assert seen(queues.effects) == happened
        assert (seen(queues.results), count(queues.steps)) == ([], 1)

    def test_after_it_the_message_runs_again(self, start: Start, queues: Queues) -> None:
        queues.steps.send_message(encoded("one"))
        start(dies=Death(after_request=2)).wait_dead(within=20)

        start()

        assert take(queues.results) == "one, attempt 2"
        assert seen(queues.effects) == [*ALL[:2], *ALL]
        assert is_empty(queues.steps)

    def test_requests_of_the_host_do_not_count(self, start: Start, queues: Queues) -> None:
        host = start(dies=Death(before_request=4))

        queues.steps.send_message(encoded("one"))

        assert take(queues.results) == "one, attempt 1"
        assert is_empty(queues.steps)
        assert not host.dead

    def test_requests_of_several_invocations_are_counted_together(
        self, start: Start, queues: Queues
    ) -> None:
        host = start(dies=Death(before_request=5))
        queues.steps.send_message(encoded("one"))
        take(queues.results)
        queues.steps.send_message(encoded("two"))

        host.wait_dead(within=20)

        assert seen(queues.effects) == [*ALL, "two 1"]

    def test_those_of_the_standard_library_count_too(
        self, start: Start, azurite: Azurite, queues: Queues, storage: str
    ) -> None:
        host = start(dies=Death(before_request=2))
        queues.pages.send_message(
            encoded(f"{host.url}/admin/host/status?code={host.keys['admin']}")
        )

        host.wait_dead(within=20)

        assert seen(queues.effects) == []
        account = storage.split("AccountName=")[1].partition(";")[0]
        sent = [o for o in azurite.operations(account) if o.path == "/effects/messages"]
        assert [o.method for o in sent] == ["GET"], "only the peek of this test"

    def test_those_of_other_functions_can_be_left_out(self, start: Start, queues: Queues) -> None:
        host = start(dies=Death(after_request=1, function="on_page"))
        queues.steps.send_message(encoded("one"))
        take(queues.results)
        queues.pages.send_message(
            encoded(f"{host.url}/admin/host/status?code={host.keys['admin']}")
        )

        host.wait_dead(within=20)

        assert seen(queues.effects) == ALL


class TestDeathAtAnInvocation:
    def test_before_it_the_message_is_taken_and_nothing_has_begun(
        self, start: Start, queues: Queues
    ) -> None:
        queues.steps.send_message(encoded("one"))

        host = start(dies=Death(before_invocations=1))
        host.wait_dead(within=20)

        assert (count(queues.steps), seen(queues.steps)) == (1, [])
        assert seen(queues.effects) == []
        start()
        assert take(queues.results) == "one, attempt 2"

    def test_after_it_the_outputs_are_sent_and_the_message_is_still_there(
        self, start: Start, queues: Queues
    ) -> None:
        queues.steps.send_message(encoded("one"))

        host = start(dies=Death(after_invocations=1))
        host.wait_dead(within=20)
        start()

        assert [take(queues.results), take(queues.results)] == ["one, attempt 1", "one, attempt 2"]
        assert is_empty(queues.steps)

    def test_one_that_failed_counts(self, start: Start, queues: Queues, log: Path) -> None:
        queues.steps.send_message(encoded("boom"))

        start(dies=Death(after_invocations=2)).wait_dead(within=20)

        assert log.read_text().count("ValueError: boom\nTraceback") == 2
        assert count(queues.steps) == 1

    def test_those_of_other_functions_can_be_left_out(self, start: Start, queues: Queues) -> None:
        host = start(dies=Death(before_invocations=2, function="on_step"))
        headers = {"x-functions-key": host.keys["function"]}
        queues.steps.send_message(encoded("one"))
        take(queues.results)

        answer = requests.get(f"{host.url}/api/instance", headers=headers, timeout=30)

        assert answer.status_code == 200
        queues.steps.send_message(encoded("two"))
        assert host.wait_dead(within=20) == KILLED
        assert seen(queues.results) == []


class TestTheMoment:
    @pytest.mark.parametrize(
        "named",
        [
            {},
            {"function": "on_step"},
            {"before_request": -1},
            {"before_request": 1, "after_request": 1},
            {"before_request": 2, "after_invocations": -1},
        ],
    )
    def test_exactly_one_must_be_named(self, named: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="not one moment to die at"):
            Death(**named)

    @pytest.mark.parametrize(
        "death", [Death(after_request=3), Death(before_invocations=1, function="on_step")]
    )
    def test_its_setting_reads_back(self, death: Death) -> None:
        assert Death.parse(death.setting) == death

    def test_a_host_that_lives_is_said_to(self, start: Start) -> None:
        with pytest.raises(TimeoutError, match="still lives"):
            start().wait_dead(within=0.1)


class TestFreezing:
    def test_a_frozen_host_stands_still_until_it_is_thawed(
        self, start: Start, queues: Queues
    ) -> None:
        host = start()

        host.freeze()

        queues.steps.send_message(encoded("one"))
        with pytest.raises(requests.ReadTimeout):
            requests.get(f"{host.url}/admin/host/status", timeout=1)
        assert (count(queues.steps), seen(queues.results)) == (1, [])

        host.thaw()

        assert take(queues.results) == "one, attempt 1"

    def test_one_that_slept_through_its_lease_deletes_nothing(
        self, start: Start, queues: Queues, log: Path
    ) -> None:
        slow = start()
        queues.steps.send_message(encoded("sleep 1"))
        while len(seen(queues.effects)) < 3:
            time.sleep(0.02)
        slow.freeze()
        other = start(dies=Death(after_invocations=1))
        other.wait_dead(within=20)

        slow.thaw()

        wait_for("invocation on_step", log)
        wait_for("could not be settled", log)
        assert count(queues.steps) == 1

    def test_a_frozen_host_can_be_stopped(self, start: Start) -> None:
        host = start()
        host.freeze()

        assert host.stop() == 0

    def test_a_dead_one_cannot_be_frozen(self, start: Start) -> None:
        host = start()
        host.kill()

        with pytest.raises(RuntimeError, match="dead"):
            host.freeze()


def test_a_message_that_runs_longer_than_its_lease_runs_once(start: Start, queues: Queues) -> None:
    start(lease_seconds=1)
    start(lease_seconds=1)
    queues.steps.send_message(encoded("sleep 2.5"))

    assert take(queues.results) == "sleep 2.5, attempt 1"
    assert is_empty(queues.steps)
    assert len(seen(queues.effects)) == 3
