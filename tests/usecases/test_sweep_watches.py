"""The sweep's own watch over keys, and the versions that no event told of."""

import pytest

from shared.domain.records import Refusal
from shared.domain.resources import digest
from shared.domain.rows import Cause
from shared.domain.steps import Open, SweepVault, Watch
from tests.usecases.bench import Bench, at
from tests.usecases.rotations import carry_out, head
from tests.usecases.watched import (
    HOST,
    SWEEP,
    key_of,
    made,
    told,
    vault_reads,
    watch,
)


def test_the_sweep_watches_each_key_every_six_hours_and_a_handled_key_costs_one_read(
    bench: Bench,
) -> None:
    versions = [made(bench, name=name) for name in ("one", "two")]
    for version in versions:
        bench.run(Open(key=key_of(version), cause=SWEEP))
        carry_out(bench, bench.active(key_of(version)))
    reads: list[int] = []
    looks: list[int] = []
    for number in range(26):
        bench.forget_sent()
        before = vault_reads(bench)
        bench.run(SweepVault(vault=HOST, sweep=f"s{number}"))
        looks.append(len(bench.sent(Watch)))
        for step in (*bench.sent(Open), *bench.sent(Watch)):
            bench.run(step)
        reads.append(vault_reads(bench) - before)
        bench.pass_time(minutes=15)
    assert looks == [2] + [0] * 23 + [2, 0]
    quiet = 1 + len(versions)  # the list of keys, and each key
    assert reads == [quiet + 2] + [quiet] * 23 + [quiet + 2, quiet]


def test_the_sweeps_watch_of_what_was_watched_reads_nothing(bench: Bench) -> None:
    version = made(bench)
    watch(bench, version)
    before = vault_reads(bench)
    watch(bench, version, cause=SWEEP)
    assert vault_reads(bench) == before
    watch(bench, version)
    assert vault_reads(bench) == before + 1, "an event is looked at whenever it comes"


def test_a_key_that_the_policy_leaves_out_is_not_watched_and_its_event_is_counted(
    bench: Bench,
) -> None:
    version = made(bench, days=1)
    bench.policies.document = type(bench.policies.document)(manage=("kv-other/*",))
    before = vault_reads(bench)
    step = Watch(key=key_of(version), cause=Cause(trigger="event", id="e1"))
    bench.run(step)
    assert vault_reads(bench) == before
    month = f"{bench.clock.now():%Y-%m}"
    assert "manage" in bench.row(Refusal, month, digest("e1")).problem
    bench.run(SweepVault(vault=HOST, sweep="s1"))
    assert bench.sent(Watch) + bench.sent(Open) == []


def gaps(bench: Bench) -> list[str]:
    return [e["data"]["version"] for e in told(bench) if e["type"] == "Keyturn.EventGap"]


@pytest.fixture(name="followed")
def _followed(bench: Bench) -> str:
    """A key whose first version is handled; its events come, so far."""
    version = made(bench)
    bench.run(Open(key=key_of(version), cause=SWEEP))
    carry_out(bench, bench.active(key_of(version)))
    assert gaps(bench) == [], "of a key that is new to us nobody can say"
    return version


def test_a_version_that_only_the_sweep_has_found_is_a_gap_and_told_once(
    bench: Bench, followed: str
) -> None:
    missed = bench.later_version(key_of(followed))
    bench.pass_time(minutes=11)
    with bench.dying(after=at("announce")):
        bench.run_and_die(Open(key=key_of(followed), cause=SWEEP))
    for _ in range(3):
        bench.run(Open(key=key_of(followed), cause=SWEEP))
        bench.pass_time(minutes=16)
    assert gaps(bench) == [missed]
    assert head(bench, key_of(followed)).handled == missed


@pytest.mark.parametrize(
    ("cause", "minutes"),
    [(SWEEP, 5), (Cause(trigger="event", id="e1"), 60), (Cause(trigger="operator", id="o"), 60)],
    ids=["its event may yet come", "its event came", "somebody asked"],
)
def test_what_was_not_missed_is_no_gap(
    bench: Bench, followed: str, cause: Cause, minutes: int
) -> None:
    bench.later_version(key_of(followed))
    bench.pass_time(minutes=minutes)
    bench.run(Open(key=key_of(followed), cause=cause))
    assert gaps(bench) == []


def test_a_version_of_which_an_event_told_too_early_is_no_gap(bench: Bench, followed: str) -> None:
    key = key_of(followed)
    version = bench.later_version(key)
    bench.enable(version, enabled=False)
    bench.run(Open(key=key, cause=Cause(trigger="event", id="e1")))
    bench.pass_time(hours=3)
    bench.enable(version, enabled=True)
    bench.run(Open(key=key, cause=SWEEP))
    assert head(bench, key).handled == version
    assert gaps(bench) == []


def test_a_version_that_is_come_back_to_is_no_gap(bench: Bench, followed: str) -> None:
    key = key_of(followed)
    version = bench.later_version(key)
    bench.run(Open(key=key, cause=Cause(trigger="event", id="e1")))
    carry_out(bench, bench.active(key))
    bench.enable(version, enabled=False)
    bench.run(Open(key=key, cause=Cause(trigger="operator", id="o")))
    carry_out(bench, bench.active(key))
    bench.enable(version, enabled=True)
    bench.pass_time(hours=1)
    bench.run(Open(key=key, cause=SWEEP))
    assert head(bench, key).handled == version
    assert gaps(bench) == []
