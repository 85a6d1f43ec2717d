"""A day after a rotation its key is looked at again: somebody may have put the old one back."""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

import pytest

from sandbox.azure import LocalAzure
from sandbox.faults import Fault
from shared.domain.callers import NOBODY
from shared.domain.keys import KeyVersion
from shared.domain.rows import Cause, Rotation, rotation_id
from shared.domain.verdicts import Outcome, Verdict
from tests.usecases.bench import Bench, open_step
from tests.usecases.rotations import REFUSED, announced, carry_out, head, point, steering, verdicts

SWEEP = Cause(trigger="sweep", id="s1")
EVENT = Cause(trigger="event", id="e2")


def runs(bench: Bench, version: str) -> int:
    """Return how many rotations to a version there have been."""
    ids = (rotation_id(KeyVersion.parse(version), run) for run in range(1, 9))
    return sum(bench.rows.load(Rotation, each, "rotation") is not None for each in ids)


def test_a_day_after_its_end_a_sweep_has_the_key_looked_at_again(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    target = bench.new_version(key)
    first = carry_out(bench, bench.open(key))
    assert first.ended_at is not None

    bench.pass_until(first.ended_at + timedelta(hours=23, minutes=59))
    bench.run(open_step(key, SWEEP))
    assert runs(bench, target) == 1
    bench.pass_time(minutes=2)
    second = bench.rotation(bench.open(key, SWEEP))

    assert (second.run, second.recheck, second.target) == (2, True, target)
    ended = carry_out(bench, second.id)
    assert (ended.outcome, ended.counts) == (Outcome.COMPLETED, {Verdict.ALREADY: 1})
    assert bench.writes(account) == 1


def test_a_second_look_is_quiet_while_all_is_as_it_was_left(bench: Bench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    first = carry_out(bench, bench.open(key))
    bench.pass_time(hours=25)
    second = carry_out(bench, bench.open(key, SWEEP))
    assert announced(bench, first.id) == ["RotationStarted", "RotationCompleted"]
    assert announced(bench, second.id) == []


def test_a_second_look_that_fails_is_news(bench: Bench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    carry_out(bench, bench.open(key))
    bench.pass_time(hours=25)
    bench.azure.faults.add(Fault(method="GET", path="*/stone", times=None, answer=REFUSED))
    second = carry_out(bench, bench.open(key, SWEEP))
    assert second.outcome is Outcome.FAILED
    assert announced(bench, second.id) == ["RotationFailed"]


def test_a_version_that_was_put_back_is_moved_again(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    old = bench.in_use(account)
    target = bench.later_version(key)
    carry_out(bench, bench.open(key))
    point(bench, account, str(old))
    assert bench.in_use(account) == old
    bench.pass_time(hours=25)

    second = carry_out(bench, bench.open(key, SWEEP))

    assert second.outcome is Outcome.COMPLETED
    assert verdicts(bench, second.id) == {"stone": Verdict.VERIFIED}
    assert bench.work(second.id).consumers[0].before == old
    assert bench.in_use(account) == target


def test_it_is_looked_at_every_day(bench: Bench) -> None:
    key = bench.key()
    target = bench.new_version(key)
    carry_out(bench, bench.open(key))
    for run in (2, 3):
        bench.run(open_step(key, SWEEP))
        assert runs(bench, target) == run - 1
        bench.pass_time(hours=24)
        carry_out(bench, bench.open(key, SWEEP))
        assert runs(bench, target) == run


def test_sweeps_open_no_further_run_while_one_is_under_way(bench: Bench) -> None:
    key = bench.key()
    target = bench.new_version(key)
    carry_out(bench, bench.open(key))
    bench.pass_time(hours=25)
    rotation = bench.open(key, SWEEP)
    bench.supervise(rotation)
    bench.forget_sent()
    bench.run(open_step(key, SWEEP))
    assert (runs(bench, target), bench.life.sent) == (2, [])


def test_an_event_of_a_version_that_is_handled_opens_no_second_look(bench: Bench) -> None:
    key = bench.key()
    target = bench.new_version(key)
    carry_out(bench, bench.open(key))
    bench.pass_time(hours=25)
    bench.run(open_step(key, EVENT))
    assert runs(bench, target) == 1


def test_what_a_person_has_cancelled_is_left_alone(bench: Bench) -> None:
    key = bench.key()
    bench.account("stone", key)
    target = bench.new_version(key)
    rotation = bench.open(key)
    bench.discover(rotation)
    steering(bench).cancel(rotation, "wrong key", NOBODY)
    assert bench.supervise(rotation).outcome is Outcome.CANCELLED
    bench.pass_time(hours=25)
    bench.run(open_step(key, SWEEP))
    assert (runs(bench, target), head(bench, key).recheck_at) == (1, None)


@pytest.fixture
def bench_with(
    local_azure: Callable[[float], LocalAzure], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Mapping[str, object]], Bench]]:
    """Makes a bench with a policy."""
    with local_azure(1) as azure:
        for name, value in azure.environment().items():
            monkeypatch.setenv(name, value)
        yield lambda policy: Bench(azure, policy=policy)


def test_with_zero_hours_nothing_is_ever_looked_at_again(
    bench_with: Callable[[Mapping[str, object]], Bench],
) -> None:
    bench = bench_with({"recheck_hours": 0})
    key = bench.key()
    target = bench.new_version(key)
    carry_out(bench, bench.open(key))
    bench.pass_time(days=365)
    bench.run(open_step(key, SWEEP))
    assert runs(bench, target) == 1


def test_the_hours_between_can_be_set(bench_with: Callable[[Mapping[str, object]], Bench]) -> None:
    bench = bench_with({"recheck_hours": 2})
    key = bench.key()
    target = bench.new_version(key)
    carry_out(bench, bench.open(key))
    for hours, expected in ((1, 1), (1, 2)):
        bench.pass_time(hours=hours)
        bench.run(open_step(key, SWEEP))
        assert runs(bench, target) == expected
