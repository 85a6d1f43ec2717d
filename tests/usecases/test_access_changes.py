"""What a vault allows has changed: its keys are looked at again."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from shared.domain.keys import KeyVersion
from shared.domain.rows import Cause, Rotation, rotation_id
from shared.domain.steps import Open, SweepVault
from shared.domain.verdicts import Outcome
from tests.usecases.bench import Bench
from tests.usecases.rotations import carry_out
from tests.usecases.watched import (
    HOST,
    SWEEP,
    key_of,
    made,
    vault_reads,
)


def runs(bench: Bench, version: str) -> int:
    ids = (rotation_id(KeyVersion.parse(version), run) for run in range(1, 9))
    return sum(bench.rows.load(Rotation, each, "rotation") is not None for each in ids)


def change_policies(bench: Bench, *, times: int = 1) -> None:
    """Let events say that access policies have changed, and run what they queue at its time."""
    bench.forget_sent()
    for number in range(times):
        bench.run(SweepVault(vault=HOST, sweep=f"e{number}", recheck=True))
        bench.pass_time(seconds=10)
    for step, when in [(s, w) for s, w in bench.life.sent if isinstance(s, Open)]:
        bench.pass_until(when)
        bench.run(step)


@pytest.fixture(name="handled")
def _handled(bench: Bench) -> tuple[Bench, str]:
    """A key with a consumer, moved to its newest version."""
    version = made(bench)
    bench.account("stone", key_of(version))
    target = bench.later_version(key_of(version))
    carry_out(bench, bench.open(key_of(version)))
    bench.pass_time(hours=1)
    return bench, target


def test_twenty_changes_of_access_policies_have_each_key_looked_at_once(
    handled: tuple[Bench, str],
) -> None:
    bench, target = handled
    change_policies(bench, times=20)
    rotation = bench.rotation(bench.active(key_of(target)))
    assert (rotation.run, rotation.recheck, runs(bench, target)) == (2, True, 2)
    assert carry_out(bench, rotation.id).outcome is Outcome.COMPLETED
    bench.pass_time(hours=1)
    change_policies(bench)
    assert runs(bench, target) == 3, "a later change is another one"


def test_a_look_that_has_ended_serves_the_changes_that_came_before_it(
    handled: tuple[Bench, str],
) -> None:
    bench, target = handled
    change_policies(bench)
    opened = bench.rotation(bench.active(key_of(target)))
    kept = bench.rows.load(Rotation, *opened.address)
    assert kept
    bench.rows.replace(kept, replace(opened, outcome=Outcome.COMPLETED, ended_at=bench.clock.now()))
    bench.supervise(opened.id)
    assert bench.active(key_of(target)) == ""
    event = Cause(trigger="event", id="e2")
    bench.run(Open(key=key_of(target), cause=event, recheck=True))
    assert runs(bench, target) == 2
    bench.pass_time(minutes=10)
    bench.run(Open(key=key_of(target), cause=event, recheck=True))
    assert runs(bench, target) == 3


def test_a_change_during_a_second_look_opens_no_further_one(handled: tuple[Bench, str]) -> None:
    bench, target = handled
    change_policies(bench)
    bench.pass_time(hours=1)
    change_policies(bench)
    assert runs(bench, target) == 2


def test_a_change_is_looked_at_when_it_has_had_time_to_hold(handled: tuple[Bench, str]) -> None:
    bench, _ = handled
    bench.forget_sent()
    bench.run(SweepVault(vault=HOST, sweep="e1", recheck=True))
    due = bench.due(Open)
    assert due
    assert timedelta(minutes=9) < due - bench.clock.now() <= timedelta(minutes=10)


def test_keys_without_known_consumers_are_not_looked_at_again(bench: Bench) -> None:
    version = made(bench)
    bench.run(Open(key=key_of(version), cause=SWEEP))
    carry_out(bench, bench.active(key_of(version)))
    bench.pass_time(hours=1)
    change_policies(bench)
    assert (bench.sent(Open), runs(bench, version)) == ([], 1)
    before = vault_reads(bench)
    event = Cause(trigger="event", id="e1")
    bench.run(Open(key=key_of(version), cause=event, recheck=True))
    assert (runs(bench, version), vault_reads(bench)) == (1, before)
