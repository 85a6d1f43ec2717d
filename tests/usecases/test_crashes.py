"""The whole life of a rotation, with the process dying at every point of it."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from random import Random

import pytest

from sandbox.estate import Account
from shared.domain.keys import KeyVersion
from shared.domain.rows import KeyHead, Rotation, rotation_id
from shared.domain.verdicts import Outcome, Verdict
from shared.domain.work import Consumer, Stage
from tests.usecases.bench import VAULT, Bench, at
from tests.usecases.runner import Runner

CHUNKS = 8
LONGEST = 400
"""More than a life has points: a test that reaches it has met no end."""

type Dying = Callable[[int], AbstractContextManager[None]]


@dataclass
class Life:
    """One rotation of a key of its own, with all that uses that key.

    Two accounts are pinned, one of them refuses to move; a third is versionless, and its service
    has followed the vault already.
    """

    bench: Bench
    number: int = 0
    seed: int = 0
    duplicates: int = 0

    def __post_init__(self) -> None:
        bench = self.bench
        self.key = bench.key(f"cmk{self.number}")
        self.moving = bench.account(f"stmoving{self.number}", self.key)
        self.refusing = bench.account(f"strefusing{self.number}", self.key)
        self.following = bench.account(f"stfollowing{self.number}", self.key, "absent")
        self.before = bench.in_use(self.moving) or ""
        self.target = bench.new_version(self.key)
        bench.azure.estate.vault(VAULT).revoke(self.refusing.principal)
        self.following.pace.next_poll_at = bench.azure.clock.now()
        self.seen = len(bench.azure.front_door.traffic())
        self.runner = Runner(bench, seed=self.seed, duplicates=self.duplicates)
        self.runner.event(self.key)

    @property
    def accounts(self) -> tuple[Account, ...]:
        return self.moving, self.refusing, self.following

    def live(self) -> None:
        """Run until nothing is queued any more."""
        self.runner.run()

    def check(self) -> None:
        """Assert what must hold however often the process died."""
        self._check_verdicts()
        self._check_truth()
        self._check_end()

    def _check_verdicts(self) -> None:
        found = self._consumers()
        moving, refusing, following = (found[account.id.lower()] for account in self.accounts)
        assert (moving.verdict, moving.before) == (Verdict.VERIFIED, self.before)
        assert (moving.in_use_before, moving.in_use) == (self.before, self.target)
        assert (refusing.verdict, refusing.before) == (Verdict.FAILED, self.before)
        assert "KeyVaultAuthenticationFailure" in refusing.reason
        assert (following.verdict, following.before) == (Verdict.ALREADY, self.key)

    def _check_truth(self) -> None:
        bench, history = self.bench, self.bench.azure.estate.truth.history
        assert [version for _, version in history(self.moving.id)] == [self.before, self.target]
        assert bench.in_use(self.moving) == bench.in_use(self.following) == self.target
        assert [version for _, version in history(self.refusing.id)] == [self.before]
        asked = [
            sum(call[0] == account.id for call in self._patches()) for account in self.accounts
        ]
        assert 1 <= asked[0] <= 2
        assert 1 <= asked[1] <= 2
        assert asked[2] == 0

    def _check_end(self) -> None:
        rows, target = self.bench.rows, KeyVersion.parse(self.target)
        rotation = self.bench.rotation(rotation_id(target, 1))
        assert rotation.outcome is Outcome.FAILED
        assert rotation.counts == {Verdict.VERIFIED: 1, Verdict.FAILED: 1, Verdict.ALREADY: 1}
        assert rows.load(Rotation, rotation_id(target, 2), "rotation") is None
        head = self.bench.row(KeyHead, *KeyHead(key=self.key).address)
        assert (head.active, head.handled) == (None, self.target)
        left = {w.row.stage for w in self.bench.steps.ledger.all(rotation.id)}
        assert left == {Stage.DONE, Stage.UNSETTLED}
        assert set(self._announced()) == {
            f"{rotation.id}/Keyturn.RotationStarted",
            f"{rotation.id}/Keyturn.RotationFailed",
        }
        assert self.runner.poisoned == []

    def _consumers(self) -> Mapping[str, Consumer]:
        rotation = rotation_id(KeyVersion.parse(self.target), 1)
        works = [kept.row for kept in self.bench.steps.ledger.all(rotation)]
        assert len(works) == len(self.accounts)
        assert all(len(work.consumers) == 1 for work in works)
        return {work.resource.lower(): work.consumers[0] for work in works}

    def _patches(self) -> list[tuple[str, bytes]]:
        calls = self.bench.azure.front_door.traffic()[self.seen :]
        return [(call.path, call.request_body) for call in calls if call.method == "PATCH"]

    def _announced(self) -> list[str]:
        calls = self.bench.azure.front_door.traffic()[self.seen :]
        events = [call.request_body for call in calls if "eventgrid" in call.host]
        return [event["id"] for body in events for event in json.loads(body)]

    def clear_away(self) -> None:
        """Delete the accounts, so that the next life has its own."""
        for account in self.accounts:
            self.bench.azure.estate.delete(account)


def _every_point(bench: Bench, points: Sequence[int], dying: Dying) -> None:
    """Live once for each point at which the process dies, up to the last there is."""
    for point in points:
        life = Life(bench, number=point, seed=point)
        with dying(point):
            life.live()
        life.check()
        life.clear_away()
        if life.runner.deaths == 0:
            assert point > points[0], "the process never dies"
            return
    raise AssertionError("the process still dies")


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_death_after_any_effect_changes_nothing_in_the_end(bench: Bench, chunk: int) -> None:
    points = range(1 + chunk, LONGEST, CHUNKS)
    _every_point(bench, points, lambda point: bench.dying(effects=point))


@pytest.mark.parametrize("method", ["read", "write"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_death_around_any_request_to_a_resource_changes_nothing_in_the_end(
    bench: Bench, method: str, moment: str
) -> None:
    def dying(point: int) -> AbstractContextManager[None]:
        dies = at(method, nth=point)
        return bench.dying(before=dies) if moment == "before" else bench.dying(after=dies)

    _every_point(bench, range(1, LONGEST), dying)


def test_a_death_changes_nothing_with_real_tables_either(stored_bench: Bench) -> None:
    _every_point(
        stored_bench, range(5, LONGEST, 24), lambda point: stored_bench.dying(effects=point)
    )


@pytest.mark.parametrize("seed", range(4))
def test_messages_that_all_come_twice_change_nothing_in_the_end(bench: Bench, seed: int) -> None:
    life = Life(bench, seed=seed, duplicates=1)

    life.live()

    assert min(life.runner.deliveries.values()) > 1
    life.check()


def _live_until_a_death(bench: Bench, runner: Runner, effects: int) -> None:
    deaths = runner.deaths
    with bench.dying(effects=effects):
        runner.run(until=lambda: runner.deaths > deaths or not runner.queued())


@pytest.mark.parametrize("seed", range(6))
def test_many_deaths_with_every_message_twice_change_nothing_in_the_end(
    bench: Bench, seed: int
) -> None:
    random = Random(seed)  # noqa: S311 - to be the same again, not to be secret
    life = Life(bench, seed=seed, duplicates=1)
    runner = life.runner

    while runner.queued():
        _live_until_a_death(bench, runner, random.randrange(3, 25))

    assert runner.deaths > 2
    life.check()
