"""Hosts that die or stand still in the middle: all is repeated, nothing is done wrong or lost."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from threading import Event
from typing import Self

import pytest

from sandbox.azure import LocalAzure
from sandbox.estate import Account
from sandbox.functions_host.death import Death
from sandbox.functions_host.process import FunctionsHost
from tests.e2e.stage import (
    VAULT,
    Report,
    Stage,
    app_with_queues,
    consumer,
    deployed,
    verdicts,
)
from tests.seeds import FIRST_SEED, replay

KILLED = -signal.SIGKILL
STEPS = "rotation_steps"
ONE_BY_ONE = {"KEYTURN_VAULTS": VAULT, "PYTHON_THREADPOOL_THREAD_COUNT": "1"}
"""One thing after the other, so that the same count is the same moment."""
SEEDS = range(FIRST_SEED, FIRST_SEED + int(os.environ.get("KEYTURN_TEST_SEEDS", "1")))
MOST_DEATHS = 4
"""A message that was running at five deaths is poisoned."""


@dataclass(frozen=True, slots=True)
class Moving:
    """A key, the version that all of its accounts are on, and the accounts.

    Attributes:
        accounts: ``stpinned`` names its version and takes up another at once; ``stslow`` does so
            minutes after it was told to; ``stfollows`` names none and follows the vault.
    """

    stage: Stage
    key: str
    first: str
    accounts: dict[str, Account]

    @classmethod
    def set_up(cls, stage: Stage, *names: str) -> Self:
        """Make all of it, or only the accounts of these names."""
        key = stage.key()
        accounts = {
            name: stage.account(name, key, "empty" if name == "stfollows" else "pinned")
            for name in names or ("stpinned", "stslow", "stfollows")
        }
        if slow := accounts.get("stslow"):
            slow.pace.slow(timedelta(minutes=2))
        if follows := accounts.get("stfollows"):
            _poll_once_looked_at(stage, follows)
        first = stage.in_use(accounts["stpinned"])
        assert first is not None
        return cls(stage, key, first, accounts)

    def has_ended(self, target: str) -> bool:
        """Tell, from the rows, whether the rotation is over."""
        rows = [row for row in self.stage.rotations() if row["target"] == target]
        return any(row.get("outcome") for row in rows)

    def ended_well(self, target: str, report: Report) -> None:
        """See that all ended as it does where nobody dies, whatever was repeated."""
        assert report["state"] == "completed"
        said = verdicts(report)
        # Where the first look's host is lost, the next one finds that it has followed already.
        assert said.pop("stfollows", "verified") in ("verified", "already")
        assert said == dict.fromkeys(self.accounts.keys() - {"stfollows"}, "verified")
        for name, account in self.accounts.items():
            told, is_pinned = consumer(report, name), name != "stfollows"
            assert told["before"] == (self.first if is_pinned else self.key)
            already = told["verdict"] == "already"
            assert told["inUseBefore"] == (target if already else self.first)
            assert told["inUse"] == target
            assert _path(self.stage, account) == [self.first, target]
            assert self.stage.writes(account) in ((1, 2) if is_pinned else (0,))
        for kind in ("Started", "Completed", "Failed"):
            told_of = [event["id"] for event in self.stage.announced(f"Keyturn.Rotation{kind}")]
            assert len({*told_of}) == (kind != "Failed"), told_of


def _poll_once_looked_at(stage: Stage, account: Account) -> None:
    """Have an account follow the vault after the app's first look: it would be there already."""
    pace, clock = account.pace, stage.azure.clock
    pace.next_poll_at = clock.now() + timedelta(hours=20)

    def poll_soon(_: str) -> None:
        pace.next_poll_at = clock.now() + timedelta(minutes=1)

    stage.azure.faults.on("GET", account.id, poll_soon, when="after")


def _path(stage: Stage, account: Account) -> list[str]:
    """Return every version that has protected an account (ground truth), in their order."""
    return [kid for _, kid in stage.azure.estate.truth.history(account.id)]


def _host(stage: Stage) -> FunctionsHost:
    assert stage.azure.host is not None
    return stage.azure.host


@pytest.mark.parametrize(
    ("first", "then", "accounts"),
    [
        # The last step's message comes back, is found stale, and then comes the next step.
        pytest.param(
            Death(after_invocations=1, function=STEPS),
            Death(after_invocations=2, function=STEPS),
            (),
            id="after each step, its message still there",
        ),
        pytest.param(
            Death(before_invocations=1, function=STEPS),
            Death(before_invocations=2, function=STEPS),
            ("stpinned",),
            id="before each step, its message taken",
        ),
    ],
)
def test_a_host_killed_at_every_step_boundary_ends_as_one_that_lives(
    local_azure: Callable[[float], LocalAzure],
    tmp_path: Path,
    first: Death,
    then: Death,
    accounts: tuple[str, ...],
) -> None:
    app = app_with_queues(tmp_path, batchSize=1, newBatchThreshold=0)
    with local_azure(20) as azure:
        stage = Stage(azure)
        moving = Moving.set_up(stage, *accounts)
        stage.start(ONE_BY_ONE, app=app, lease_seconds=1, dies=first)

        target = stage.rotate(moving.key)
        deaths = 0
        while not moving.has_ended(target):
            assert _host(stage).wait_dead(within=60) == KILLED
            deaths += 1
            azure.restart_app(dies=then)
        azure.restart_app()
        report = stage.ended(target)

        # A message that outlived five hosts was set aside; its step had been done each time.
        moving.ended_well(target, report)
        fewest = 1 + 8 + 3 * len(moving.accounts)
        assert deaths > fewest, "opening, two searches, and each account moved, proven, confirmed"


def _random_deaths(seed: int, *, furthest: int) -> list[Death]:
    """Return deaths at requests that the app sends, the same for the same seed."""
    random = Random(seed)  # noqa: S311 - to be replayed, not to be secret
    moments = [random.randint(1, furthest) for _ in range(MOST_DEATHS)]
    return [
        Death(before_request=moment) if random.random() < 0.5 else Death(after_request=moment)
        for moment in moments
    ]


@contextmanager
def _replayable(seed: int, deaths: Sequence[Death]) -> Iterator[None]:
    """Say with every failure how to have it again."""
    try:
        yield
    except BaseException as error:
        moments = ", ".join(death.setting for death in deaths)
        error.add_note(f"{replay(seed)}: one host after the other was to die at {moments}")
        raise


def _live_through(stage: Stage, deaths: Sequence[Death], is_over: Callable[[], bool]) -> None:
    """Start a host whenever one has died, each to die as told, until all is over; then one more.

    The first is running.
    """
    to_come = iter(deaths[1:])
    while True:
        stage.until(lambda: _host(stage).dead or is_over(), 90, "a death, or the end", every=0.3)
        if is_over():
            break
        stage.azure.restart_app(dies=next(to_come, None))
    stage.azure.restart_app()


@pytest.mark.parametrize("seed", SEEDS, ids="seed {}".format)
def test_a_host_killed_at_random_requests_ends_as_one_that_lives(stage: Stage, seed: int) -> None:
    deaths = _random_deaths(seed, furthest=90)
    moving = Moving.set_up(stage)
    with _replayable(seed, deaths):
        stage.start(ONE_BY_ONE, lease_seconds=1, dies=deaths[0])

        target = stage.rotate(moving.key)
        _live_through(stage, deaths, lambda: moving.has_ended(target))
        report = stage.ended(target, within=90)

        moving.ended_well(target, report)


@pytest.mark.parametrize("seed", SEEDS[: (len(SEEDS) + 1) // 2], ids="seed {}".format)
def test_twenty_warnings_of_an_expiry_and_hosts_that_die_make_one_new_version(
    stage: Stage, seed: int
) -> None:
    deaths = _random_deaths(seed, furthest=25)[1:]
    key = stage.key()
    account = stage.account("stexpiring", key)
    expiring, name = stage.in_use(account), key.rpartition("/")[2]
    assert expiring is not None
    stage.vault.backdate(expiring, days=31)  # one that is made to live so briefly is not followed
    stage.vault.set_expiry(expiring, stage.azure.clock.now() + timedelta(days=20))
    # One death more: the vault has made the version, and nobody is left to hear of it.
    path = f"/keys/{name}/rotate"
    stage.azure.faults.on("POST", path, lambda _: _host(stage).kill(), when="after")
    with _replayable(seed, deaths):
        stage.start(ONE_BY_ONE, policy={"nearExpiry": "rotate"}, lease_seconds=1, dies=deaths[0])

        for _ in range(20):
            stage.vault.announce_near_expiry(expiring)
        _live_through(stage, deaths, lambda: bool(stage.rotations()))
        target = stage.vault.versions(name)[1].kid
        report = stage.ended(target, within=60)
        stage.until(lambda: _delivered(stage) > 20, 60, "every event, that of the new version too")
        stage.quiet()

        assert [version.kid for version in stage.vault.versions(name)] == [expiring, target]
        assert len(stage.rows("keyturnrequests")) == 1
        assert verdicts(report) == {"stexpiring": "verified"}
        assert _path(stage, account) == [expiring, target]


def _delivered(stage: Stage) -> int:
    """Return how many events the app has accepted so far."""
    return len({d.event_id for d in stage.azure.event_grid.deliveries() if d.status == 202})


def test_a_host_that_stands_still_before_its_write_finds_itself_overtaken_and_does_not_write(
    stage: Stage,
) -> None:
    moving, azure = Moving.set_up(stage), stage.azure
    account = moving.accounts["stpinned"]
    stage.start(lease_seconds=1)
    frozen = _host(stage)
    azure.faults.on("GET", account.id, lambda _: frozen.freeze(), when="after")

    target = stage.rotate(moving.key)
    stage.until(lambda: stage.reads(account), 20, "the read behind which it is frozen")
    azure.start_app(deployed(), {"KEYTURN_VAULTS": VAULT}, lease_seconds=1)
    report = stage.ended(target, within=60)
    frozen.thaw()
    stage.quiet()

    moving.ended_well(target, report)
    assert len(stage.calls("PATCH", account.id)) == 1
    assert stage.report(report["id"]) == report


def test_a_host_that_stands_still_in_its_write_is_overtaken_and_its_write_lowers_nothing(
    stage: Stage,
) -> None:
    moving, azure = Moving.set_up(stage), stage.azure
    account, is_frozen, released = moving.accounts["stpinned"], Event(), Event()
    stage.start(lease_seconds=1)
    frozen = _host(stage)

    def freeze_and_wait(_: str) -> None:
        frozen.freeze()
        is_frozen.set()
        assert released.wait(50)

    azure.faults.on("PATCH", account.id, freeze_and_wait)

    target = stage.rotate(moving.key)
    assert is_frozen.wait(20)
    azure.start_app(deployed(), {"KEYTURN_VAULTS": VAULT}, lease_seconds=1)
    report = stage.ended(target, within=60)
    assert stage.writes(account) == 1
    released.set()
    frozen.thaw()
    stage.until(lambda: len(stage.calls("PATCH", account.id)) > 1, 20, "the write that waited")
    stage.quiet()

    moving.ended_well(target, report)
    assert len(stage.calls("PATCH", account.id)) == 2
    assert stage.report(report["id"]) == report
