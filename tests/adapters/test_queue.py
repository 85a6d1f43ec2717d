"""Steps in an Azure Storage queue, and the clock by which they are delayed."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.storage.queue import QueueClient, TextBase64EncodePolicy

from shared.adapters.clock import RealClock
from shared.adapters.storage.queue import StepQueue
from shared.domain.steps import Supervise, decode
from shared.ports import QueueState

STEP = Supervise(rotation="r1")
POISON = ("keyturn-steps-poison", "keyturn-events-poison")


def queue_at(storage: str, clock: RealClock) -> StepQueue:
    client = QueueClient.from_connection_string(
        storage, "keyturn-steps", message_encode_policy=TextBase64EncodePolicy()
    )
    return StepQueue(client, tuple(raw(storage, name) for name in POISON), clock)


def raw(storage: str, name: str = "keyturn-steps") -> QueueClient:
    """Return a queue as the host's own client sees it: without decoding."""
    return QueueClient.from_connection_string(storage, name)


def visible_in(storage: str, clock: RealClock, at: datetime | None) -> float:
    """Return in how many seconds a step that is sent becomes visible, as the service says."""
    sent: list[Any] = []
    client = QueueClient.from_connection_string(
        storage,
        "keyturn-steps",
        message_encode_policy=TextBase64EncodePolicy(),
        raw_response_hook=lambda response: sent.append(response.http_request.url),
    )
    StepQueue(client, tuple(raw(storage, name) for name in POISON), clock).send(STEP, at=at)
    url = next(u for u in reversed(sent) if "/messages" in u)
    assert "messagettl=-1" in url
    return float(url.partition("visibilitytimeout=")[2].partition("&")[0])


def test_a_step_is_base64_json_as_the_host_reads_it(storage: str) -> None:
    queue_at(storage, RealClock()).send(STEP)
    (message,) = raw(storage).receive_messages()
    body = base64.b64decode(message.content, validate=True)
    assert decode(body) == STEP
    assert json.loads(body)["step"] == "supervise"


def test_a_step_never_expires(storage: str) -> None:
    queue_at(storage, RealClock()).send(STEP)
    (message,) = raw(storage).receive_messages()
    assert message.expires_on
    assert message.expires_on.year == 9999


def test_the_queue_is_made_on_first_use_and_only_then(storage: str) -> None:
    queue = queue_at(storage, RealClock())
    queue.send(STEP)
    queue.send(STEP)
    assert raw(storage).get_queue_properties().approximate_message_count == 2


def test_what_waits_and_what_is_poison_is_counted_hidden_or_not(storage: str) -> None:
    clock = RealClock()
    queue = queue_at(storage, clock)
    assert queue.state() == QueueState(waiting=0, poisoned=0), "no queue was made yet"
    queue.send(STEP)
    queue.send(STEP, at=clock.now() + timedelta(hours=1))
    for name in POISON:
        raw(storage, name).create_queue()
        raw(storage, name).send_message("x")
    assert queue.state() == QueueState(waiting=2, poisoned=2)


def test_a_step_is_due_until_somebody_takes_it_and_not_before_its_time(storage: str) -> None:
    clock = RealClock()
    queue = queue_at(storage, clock)
    assert not queue.has_due(), "no queue was made yet"
    queue.send(STEP, at=clock.now() + timedelta(hours=1))
    assert not queue.has_due()
    queue.send(STEP)
    assert queue.has_due()
    assert len(list(raw(storage).receive_messages(visibility_timeout=60))) == 1
    assert not queue.has_due()


@pytest.mark.parametrize(
    ("rate", "delay", "seconds"),
    [
        pytest.param(1, None, 0, id="at once"),
        pytest.param(1, timedelta(seconds=-30), 0, id="overdue"),
        pytest.param(1, timedelta(seconds=90), 90, id="real time"),
        pytest.param(60, timedelta(minutes=90), 90, id="sixty times as fast"),
        pytest.param(0.5, timedelta(seconds=45), 90, id="half as fast"),
        pytest.param(1, timedelta(hours=30), 86400, id="no longer than a day"),
        pytest.param(60, timedelta(days=50), 72000, id="fifty days at sixty times"),
    ],
)
def test_a_delay_lasts_as_long_as_the_clock_says(
    storage: str, rate: float, delay: timedelta | None, seconds: int
) -> None:
    clock = RealClock(datetime.now(UTC), rate)
    at = None if delay is None else clock.now() + delay
    assert seconds - 1 <= visible_in(storage, clock, at) <= seconds


def test_a_step_is_not_seen_before_its_time(storage: str) -> None:
    clock = RealClock()
    queue_at(storage, clock).send(STEP, at=clock.now() + timedelta(seconds=30))
    assert list(raw(storage).receive_messages()) == []


def test_a_part_of_a_second_is_waited_for_whole(storage: str) -> None:
    clock = RealClock()
    assert visible_in(storage, clock, clock.now() + timedelta(seconds=0.9)) == 1


def test_the_sandboxes_clock_runs_at_its_rate_from_its_anchor() -> None:
    anchor = datetime.now(UTC) - timedelta(minutes=1)
    clock = RealClock.parse(f"{anchor.isoformat()} x60")
    assert abs(clock.now() - anchor - timedelta(hours=1)) < timedelta(minutes=1)
    assert clock.real(timedelta(minutes=5)) == timedelta(seconds=5)


def test_real_time_is_real() -> None:
    clock = RealClock()
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=1)
    assert clock.now().utcoffset() == timedelta()
    assert clock.real(timedelta(minutes=5)) == timedelta(minutes=5)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-11-23T18:00:00+00:00",
        "2026-11-23T18:00:00+00:00 60",
        "x60",
        "soon x60",
        "2026-11-23T18:00:00+00:00 x-1",
        "2026-11-23T18:00:00+00:00 x60 ",
    ],
)
def test_a_clock_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a moment and a rate|Invalid isoformat"):
        RealClock.parse(text)
