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
    watching: Bench,
) -> None:
    versions = [made(watching, name=name) for name in ("one", "two")]
    for version in versions:
        watching.run(Open(key=key_of(version), cause=SWEEP))
        carry_out(watching, watching.active(key_of(version)))
    reads: list[int] = []
    looks: list[int] = []
    for number in range(26):
        watching.forget_sent()
        before = vault_reads(watching)
        watching.run(SweepVault(vault=HOST, sweep=f"s{number}"))
        looks.append(len(watching.sent(Watch)))
        for step in (*watching.sent(Open), *watching.sent(Watch)):
            watching.run(step)
        reads.append(vault_reads(watching) - before)
        watching.pass_time(minutes=15)
    assert looks == [2] + [0] * 23 + [2, 0]
    quiet = 1 + len(versions)  # the list of keys, and each key
    assert reads == [quiet + 2] + [quiet] * 23 + [quiet + 2, quiet]


def test_the_sweeps_watch_of_what_was_watched_reads_nothing(watching: Bench) -> None:
    version = made(watching)
    watch(watching, version)
    before = vault_reads(watching)
    watch(watching, version, cause=SWEEP)
    assert vault_reads(watching) == before
    watch(watching, version)
    assert vault_reads(watching) == before + 1, "an event is looked at whenever it comes"


def test_a_key_that_the_policy_leaves_out_is_not_watched_and_its_event_is_counted(
    watching: Bench,
) -> None:
    version = made(watching, days=1)
    watching.policies.document = type(watching.policies.document)(manage=("kv-other/*",))
    before = vault_reads(watching)
    step = Watch(key=key_of(version), cause=Cause(trigger="event", id="e1"))
    watching.run(step)
    assert vault_reads(watching) == before
    month = f"{watching.clock.now():%Y-%m}"
    assert "manage" in watching.row(Refusal, month, digest("e1")).problem
    watching.run(SweepVault(vault=HOST, sweep="s1"))
    assert watching.sent(Watch) + watching.sent(Open) == []


def gaps(bench: Bench) -> list[str]:
    return [e["data"]["version"] for e in told(bench) if e["type"] == "Keyturn.EventGap"]


@pytest.fixture(name="followed")
def _followed(watching: Bench) -> str:
    """A key whose first version is handled; its events come, so far."""
    version = made(watching)
    watching.run(Open(key=key_of(version), cause=SWEEP))
    carry_out(watching, watching.active(key_of(version)))
    assert gaps(watching) == [], "of a key that is new to us nobody can say"
    return version


def test_a_version_that_only_the_sweep_has_found_is_a_gap_and_told_once(
    watching: Bench, followed: str
) -> None:
    missed = watching.later_version(key_of(followed))
    watching.pass_time(minutes=11)
    with watching.dying(after=at("announce")):
        watching.run_and_die(Open(key=key_of(followed), cause=SWEEP))
    for _ in range(3):
        watching.run(Open(key=key_of(followed), cause=SWEEP))
        watching.pass_time(minutes=16)
    assert gaps(watching) == [missed]
    assert head(watching, key_of(followed)).handled == missed


@pytest.mark.parametrize(
    ("cause", "minutes"),
    [(SWEEP, 5), (Cause(trigger="event", id="e1"), 60), (Cause(trigger="operator", id="o"), 60)],
    ids=["its event may yet come", "its event came", "somebody asked"],
)
def test_what_was_not_missed_is_no_gap(
    watching: Bench, followed: str, cause: Cause, minutes: int
) -> None:
    watching.later_version(key_of(followed))
    watching.pass_time(minutes=minutes)
    watching.run(Open(key=key_of(followed), cause=cause))
    assert gaps(watching) == []


def test_a_version_of_which_an_event_told_too_early_is_no_gap(
    watching: Bench, followed: str
) -> None:
    key = key_of(followed)
    version = watching.later_version(key)
    watching.enable(version, enabled=False)
    watching.run(Open(key=key, cause=Cause(trigger="event", id="e1")))
    watching.pass_time(hours=3)
    watching.enable(version, enabled=True)
    watching.run(Open(key=key, cause=SWEEP))
    assert head(watching, key).handled == version
    assert gaps(watching) == []


def test_a_version_that_is_come_back_to_is_no_gap(watching: Bench, followed: str) -> None:
    key = key_of(followed)
    version = watching.later_version(key)
    watching.run(Open(key=key, cause=Cause(trigger="event", id="e1")))
    carry_out(watching, watching.active(key))
    watching.enable(version, enabled=False)
    watching.run(Open(key=key, cause=Cause(trigger="operator", id="o")))
    carry_out(watching, watching.active(key))
    watching.enable(version, enabled=True)
    watching.pass_time(hours=1)
    watching.run(Open(key=key, cause=SWEEP))
    assert head(watching, key).handled == version
    assert gaps(watching) == []
