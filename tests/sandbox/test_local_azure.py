"""A local Azure starts an app, starts it again, and takes from it what a cloud may take."""

import base64
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from azure.storage.queue import QueueClient, QueueServiceClient

from sandbox.azure import LocalAzure
from sandbox.azurite import Azurite
from sandbox.clock import SandboxClock
from sandbox.functions_host.death import Death

EFFECTS = Path(__file__).parents[1] / "apps" / "effects"
ACCOUNTS = [f"local{number}" for number in range(20)]
NEVER = {"TICKS": "0 0 0 1 1 *"}
VAULT = "kv-local"


@pytest.fixture(scope="module")
def azurite() -> Iterator[Azurite]:
    with Azurite.start(ACCOUNTS) as running:
        yield running


@pytest.fixture(scope="module")
def unused_accounts() -> list[str]:
    return list(ACCOUNTS)


@pytest.fixture
def azure(azurite: Azurite, unused_accounts: list[str]) -> Iterator[LocalAzure]:
    with LocalAzure(SandboxClock.start(60), azurite, unused_accounts.pop()) as azure:
        azure.estate.vault(VAULT)
        yield azure


@pytest.fixture
def queue(azure: LocalAzure) -> Iterator[Callable[[str], QueueClient]]:
    connection = azure.environment()["AzureWebJobsStorage"]
    with QueueServiceClient.from_connection_string(connection) as service:
        service.create_queue("steps")
        service.create_queue("results")
        service.create_queue("effects")
        yield service.get_queue_client


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


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


class TestRestart:
    def test_events_published_while_the_app_was_dead_are_delivered_afterwards(
        self, azure: LocalAzure, queue: Callable[[str], QueueClient]
    ) -> None:
        host = azure.start_app(EFFECTS, NEVER)
        azure.subscribe(VAULT)
        host.kill()
        azure.estate.vault(VAULT).create_key("cmk")
        while not azure.event_grid.deliveries():
            time.sleep(0.02)

        azure.restart_app()

        assert take(queue("results")).startswith("Microsoft.KeyVault.KeyNewVersionCreated ")
        while (status := azure.event_grid.deliveries()[-1].status) is None:
            time.sleep(0.02)
        assert status == 202

    def test_an_app_keeps_its_keys_and_its_settings(self, azure: LocalAzure) -> None:
        before = azure.start_app(EFFECTS, NEVER)

        after = azure.restart_app()

        assert before.dead
        assert not after.dead
        assert after.keys == before.keys
        assert azure.call_app("GET", "/api/instance")[0] == 200

    def test_a_death_is_for_one_host_only(
        self, azure: LocalAzure, queue: Callable[[str], QueueClient]
    ) -> None:
        queue("steps").send_message(encoded("one"))
        azure.start_app(EFFECTS, NEVER, lease_seconds=1, dies=Death(after_request=1)).wait_dead(20)
        azure.restart_app(dies=Death(before_request=3)).wait_dead(20)

        azure.restart_app()

        assert take(queue("results")) == "one, attempt 3"
        assert count(queue("effects")) == 1 + 2 + 3

    def test_there_must_have_been_a_start(self, azure: LocalAzure) -> None:
        with pytest.raises(RuntimeError, match="call start_app first"):
            azure.restart_app()


def test_an_instance_that_is_frozen_works_on_beside_the_next_one(
    azure: LocalAzure, queue: Callable[[str], QueueClient]
) -> None:
    lost = azure.start_app(EFFECTS, NEVER, lease_seconds=1)
    queue("steps").send_message(encoded("sleep 1"))
    while count(queue("effects")) < 3:
        time.sleep(0.02)
    lost.freeze()

    azure.start_app(EFFECTS, NEVER, lease_seconds=1)

    assert take(queue("results")) == "sleep 1, attempt 2"
    lost.thaw()
    assert take(queue("results")) == "sleep 1, attempt 1"


def test_leaving_it_stops_every_instance(azurite: Azurite, unused_accounts: list[str]) -> None:
    with LocalAzure(SandboxClock.start(60), azurite, unused_accounts.pop()) as azure:
        first, second = (azure.start_app(EFFECTS, NEVER) for _ in range(2))
        first.freeze()
        assert (first.dead, second.dead) == (False, False)

    assert (first.dead, second.dead) == (True, True)


def test_an_emptied_queue_has_lost_hidden_messages_and_those_that_are_taken(
    azure: LocalAzure, queue: Callable[[str], QueueClient]
) -> None:
    steps = queue("steps")
    steps.send_message(encoded("taken"))
    steps.receive_message(visibility_timeout=1)
    steps.send_message(encoded("hidden"), visibility_timeout=1)
    steps.send_message(encoded("waiting"))
    assert count(steps) == 3

    azure.empty_queue("steps")

    time.sleep(1.5)
    assert count(steps) == 0
    assert steps.receive_message() is None


def test_timers_run_at_the_speed_of_the_sandbox_unless_frozen(
    azure: LocalAzure, queue: Callable[[str], QueueClient]
) -> None:
    azure.start_app(EFFECTS, {"TICKS": "0 * * * * *"}, freeze_timers=False)

    began = time.monotonic()
    ticks = [take(queue("results")) for _ in range(4)]

    # Three minutes between the first and the last, sixty times as fast.
    assert 1.5 < time.monotonic() - began < 15
    assert len(set(ticks)) == 4

    azure.stop_app()
    azure.start_app(EFFECTS, {"TICKS": "0 * * * * *"})
    time.sleep(2)

    assert count(queue("results")) == 0


def test_a_vaults_subscription_is_for_what_the_app_handles(
    azure: LocalAzure, queue: Callable[[str], QueueClient]
) -> None:
    azure.start_app(EFFECTS, NEVER)
    azure.subscribe(VAULT)
    topic = azure.estate.vault(VAULT).resource_id

    handled = ("KeyExpired", "KeyNearExpiry", "KeyNewVersionCreated", "VaultAccessPolicyChanged")
    for kind in ("SecretExpired", *handled):
        azure.event_grid.publish(
            topic,
            {
                "id": kind,
                "subject": "cmk",
                "eventType": f"Microsoft.KeyVault.{kind}",
                "eventTime": "2026-11-23T10:00:00Z",
                "data": {},
                "dataVersion": "1",
            },
        )

    assert sorted(take(queue("results")) for _ in handled) == [
        f"Microsoft.KeyVault.{kind} {kind}" for kind in handled
    ]
    assert count(queue("results")) == 0
