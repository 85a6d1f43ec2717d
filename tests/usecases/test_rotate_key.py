"""The vault makes one version for one wish."""

from datetime import timedelta

import pytest

from sandbox.faults import Answer, Fault
from shared.domain.records import Request
from shared.domain.rows import Cause
from shared.domain.steps import Open, RotateKey
from shared.usecases.overdue import LEASE
from tests.usecases.bench import Bench, at


def wish(bench: Bench, key: str, request: str = "req-1") -> RotateKey:
    bench.rows.insert(
        Request(id=request, key=key, reason="r", new_version=True, asked_at=bench.clock.now())
    )
    return RotateKey(key=key, cause=Cause(trigger="operator", id=request), request=request)


def test_a_wish_makes_one_version_and_then_opens(bench: Bench) -> None:
    key = bench.key()
    step = wish(bench, key)
    bench.run(step)
    assert bench.versions(key) == 2
    (opening,) = bench.sent(Open)
    assert (opening.key, opening.cause, opening.request) == (key, step.cause, step.request)


@pytest.mark.parametrize("effects", [1, 2, 3])
def test_wherever_it_dies_exactly_one_version_is_made_when_it_comes_back(
    bench: Bench, effects: int
) -> None:
    key = bench.key()
    step = wish(bench, key)
    with bench.dying(effects=effects):
        bench.run_and_die(step)
    bench.pass_time(minutes=10)
    bench.run(step)
    assert bench.versions(key) == 2
    assert bench.sent(Open)


def test_a_message_that_comes_back_after_all_was_done_makes_no_second_version(
    bench: Bench,
) -> None:
    key = bench.key()
    step = wish(bench, key)
    for _ in range(3):
        bench.run(step)
        bench.pass_time(minutes=10)
    assert bench.versions(key) == 2


def test_a_rotate_whose_answer_was_lost_is_not_asked_again(bench: Bench) -> None:
    key = bench.key()
    step = wish(bench, key)
    bench.azure.faults.add(Fault(method="POST", path="*/rotate", lose_answer=True))
    bench.run(step)
    (again,) = bench.sent(RotateKey)
    bench.pass_time(minutes=1)
    bench.run(again)
    assert bench.versions(key) == 2
    assert bench.sent(Open)


def test_a_rotate_that_may_be_under_way_is_waited_for(bench: Bench) -> None:
    key = bench.key()
    step = wish(bench, key)
    with bench.dying(before=at("rotate")):
        bench.run_and_die(step)
    bench.run(step)
    assert bench.versions(key) == 1
    due = bench.due(RotateKey)
    assert due
    assert LEASE - timedelta(minutes=1) < due - bench.clock.now() <= LEASE


def test_a_refused_wish_says_why_and_does_not_swallow_the_next(bench: Bench) -> None:
    key = bench.key()
    no = Answer(403, {"error": {"code": "Forbidden", "message": "may not rotate"}})
    bench.azure.faults.add(Fault(method="POST", path="*/rotate", answer=no))
    bench.run(wish(bench, key))
    assert "may not rotate" in bench.row(Request, "req-1", "request").problem
    assert bench.sent(Open) == []

    bench.new_version(key)
    bench.run(wish(bench, key, "req-2"))
    assert bench.versions(key) == 3


def test_two_wishes_are_two_versions(bench: Bench) -> None:
    key = bench.key()
    bench.run(wish(bench, key, "req-1"))
    bench.run(wish(bench, key, "req-2"))
    assert bench.versions(key) == 3


def test_a_wish_that_was_never_kept_makes_no_version(bench: Bench) -> None:
    key = bench.key()
    bench.run(RotateKey(key=key, cause=Cause(trigger="operator", id="x"), request="nobody"))
    assert bench.versions(key) == 1
    assert bench.sent(Open) == []
