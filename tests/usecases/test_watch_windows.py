"""A version that a nearing end asks for waits for its change window."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from sandbox.faults import Fault
from shared.domain.callers import Caller
from shared.domain.policy import WEEK, Reaction, Window
from shared.domain.records import Request
from shared.domain.rows import Cause
from shared.domain.steps import RotateKey
from tests.usecases.bench import Bench
from tests.usecases.rotations import report_of
from tests.usecases.watched import (
    ALARM,
    ASK,
    DENIED,
    ROTATE,
    SWEEP,
    key_of,
    made,
    request_of,
    rotate_step,
    watch,
)


def closed_for(bench: Bench, hours: int) -> tuple[Window, ...]:
    opens = bench.clock.now() + timedelta(hours=hours)
    day = WEEK[opens.weekday()]
    closes = opens + timedelta(hours=1)
    return (Window(days=(day,), opens=f"{opens:%H:%M}", closes=f"{closes:%H:%M}"),)


def test_a_version_waits_for_its_window_and_is_made_when_that_opens(bench: Bench) -> None:
    bench.policies.set_defaults(near_expiry=ROTATE, windows=closed_for(bench, 5))
    version = made(bench, days=20)
    for number in range(3):
        watch(bench, version, f"e{number}")
    first, *others = bench.sent(RotateKey)
    bench.forget_sent()
    for step in (first, *others):
        bench.run(step)
    assert bench.versions(key_of(version)) == 1
    request = report_of(bench, request_of(bench, version).id)
    assert (request["state"], request["problem"]) == ("requested", None)
    assert "its change window is closed, and opens on" in request["waitsFor"]
    assert request["summary"] == request["waitsFor"]
    (again,) = bench.sent(RotateKey)
    bench.pass_until(bench.due(RotateKey))
    bench.run(again)
    assert bench.versions(key_of(version)) == 2


def test_a_window_that_is_days_away_is_left_to_a_later_watch(bench: Bench) -> None:
    bench.policies.set_defaults(near_expiry=ROTATE, windows=closed_for(bench, 49))
    version = made(bench, days=20)
    watch(bench, version)
    (step,) = bench.sent(RotateKey)
    bench.forget_sent()
    bench.run(step)
    assert bench.sent(RotateKey) == []
    assert "opens on" in request_of(bench, version).waits_for
    bench.pass_time(hours=49, minutes=5)
    watch(bench, version, cause=SWEEP)
    (step,) = bench.sent(RotateKey)
    bench.run(step)
    assert bench.versions(key_of(version)) == 2


def test_a_version_that_could_not_be_made_in_its_window_waits_for_the_next(
    bench: Bench,
) -> None:
    now = bench.clock.now()
    opens, closes = now - timedelta(minutes=5), now + timedelta(hours=1)
    window = Window(opens=f"{opens:%H:%M}", closes=f"{closes:%H:%M}")
    bench.policies.set_defaults(near_expiry=ROTATE, windows=(window,))
    version = made(bench, days=20)
    bench.azure.faults.add(Fault(method="POST", path="*/rotate", answer=DENIED, times=1))
    bench.run(rotate_step(bench, version))
    bench.pass_time(hours=7)
    bench.run(rotate_step(bench, version))
    assert bench.versions(key_of(version)) == 1
    assert "its change window is closed" in request_of(bench, version).waits_for


@pytest.mark.parametrize("change", [Reaction.IGNORE, ALARM, ASK, "manage"])
def test_what_the_rules_do_not_want_any_more_when_the_window_opens_is_not_made(
    bench: Bench, change: Reaction | str
) -> None:
    bench.policies.set_defaults(near_expiry=ROTATE, windows=closed_for(bench, 5))
    version = made(bench, days=20)
    bench.run(rotate_step(bench, version))
    if isinstance(change, Reaction):
        bench.policies.set_defaults(near_expiry=change)
    else:
        bench.policies.document = replace(bench.policies.document, manage=())
    bench.pass_until(bench.due(RotateKey))
    bench.run(bench.sent(RotateKey)[-1])
    assert bench.versions(key_of(version)) == 1
    assert "the policy" in request_of(bench, version).problem


def test_an_operator_who_asks_now_does_not_wait_for_a_window(bench: Bench) -> None:
    bench.policies.set_defaults(windows=closed_for(bench, 5))
    version = made(bench, days=20)
    key = key_of(version)
    asked_at, by = bench.clock.now(), Caller(id="t/operator", name="o")
    request = Request(id="req-1", key=key, reason="r", new_version=True, asked_at=asked_at, by=by)
    bench.rows.insert(request)
    cause = Cause(trigger="operator", id="req-1", by=by)
    bench.run(RotateKey(key=key, cause=cause, request="req-1"))
    assert bench.versions(key) == 2
