"""Moves of two writes, the second of which is owed, in any order of events, deaths and losses.

Accounts that follow the vault are nudged, container groups are deleted and made again. A seed makes
up what happens, another one every day: ``KEYTURN_TEST_SEED`` has it again, and
``KEYTURN_TEST_SEEDS=50`` tries more. In the end all is let run without faults.
"""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from random import Random

import pytest

from sandbox.faults import Fault
from shared.domain.callers import NOBODY
from shared.domain.errors import KeyturnError
from shared.domain.keys import KeyVersion
from shared.domain.rows import Debt, KeyHead, Rotation, debt_address, rotation_id
from shared.domain.work import Stage
from tests.seeds import FIRST_SEED, replay
from tests.usecases.bench import VAULT, Bench
from tests.usecases.memory import in_memory
from tests.usecases.runner import Runner
from tests.usecases.test_nudge import reference
from tests.usecases.test_recreation import group, is_there, version

SEEDS = range(FIRST_SEED, FIRST_SEED + int(os.environ.get("KEYTURN_TEST_SEEDS", "2")))
VERSIONS = 3
POLICY = {"versionless": "nudge", "recreate_container_groups": True}


class Turmoil:
    """One key, its consumers, and everything that befalls them."""

    def __init__(self, bench: Bench, seed: int) -> None:
        self.bench = in_memory(bench, policy=POLICY)
        self.random = Random(seed)  # noqa: S311 - to be replayed, not to be secret
        self.key = self.bench.key()
        self.accounts = {
            "stfollows": self.bench.account("stfollows", self.key, "absent"),
            "stempty": self.bench.account("stempty", self.key, "empty"),
            "stpinned": self.bench.account("stpinned", self.key),
        }
        self.before = {name: reference(self.bench, it) for name, it in self.accounts.items()}
        self.group = group(self.bench, self.key)
        self.runner = Runner(self.bench, seed=seed)
        self.steers: list[Callable[..., str]] = [
            self.bench.steer.pause,
            self.bench.steer.resume,
            self.bench.steer.retry,
        ]

    def happen(self) -> None:
        """Let something happen, or nothing."""
        chance = self.random.random()
        if chance < 0.05:
            with self.bench.dying(effects=self.random.randint(1, 12)):
                self.runner.deliver()
        elif chance < 0.10 and (queued := self.runner.queued()):
            self.runner.messages.remove(self.random.choice(queued))
        elif chance < 0.12:
            self.runner.lose_all()
        elif chance < 0.15 and (active := self.bench.active(self.key)):
            with suppress(KeyturnError):
                self.random.choice(self.steers)(active, "because", NOBODY)
        elif chance < 0.20:
            self.bench.pass_time(minutes=self.random.choice([1, 7, 20, 90]))
        elif chance < 0.25:
            self.go_wrong()
        else:
            self.runner.deliver()

    def go_wrong(self) -> None:
        method = self.random.choice(["GET", "PATCH", "PUT", "DELETE"])
        is_done, path = self.random.random() < 0.5, self.random.choice(self.resources())
        fault = Fault(method=method, path=path, lose_answer=is_done, lose_request=not is_done)
        self.bench.azure.faults.add(fault)

    def resources(self) -> list[str]:
        """Return the ids of the consumers."""
        return [*(account.id for account in self.accounts.values()), self.group.id]

    def new_version(self, number: int) -> None:
        self.bench.later_version(self.key)
        self.runner.event(self.key, f"e{number}")

    def come_to_rest(self) -> None:
        """Let everything run without faults, for a day at most.

        The timer fires as it should. Where a rotation has paused, somebody lets it go on.
        """
        self.bench.azure.faults.clear()
        begun = self.bench.clock.now()
        for quarter in range(96):
            self.runner.sweep()
            head = self.bench.rows.load(KeyHead, *KeyHead(key=self.key).address)
            if head and head.row.active and head.row.paused:
                self.bench.steer.resume(head.row.active, "go on", NOBODY)
            until = begun + (quarter + 1) * timedelta(minutes=15)
            while self.bench.clock.now() < until and self.runner.deliver():
                pass
            if all(rotation.outcome for rotation in self.rotations()):
                return
            self.bench.pass_until(until)

    # -- what must hold ------------------------------------------------------------------------

    def versions(self) -> list[str]:
        """Return the URLs of the key's usable versions, oldest first."""
        vault = self.bench.azure.estate.vaults.vault(VAULT)
        return [v.kid for v in vault.versions(self.key.rpartition("/")[2]) if v.enabled]

    def rotations(self) -> Iterable[Rotation]:
        """Yield every rotation of the key."""
        for url in self.versions():
            run = 1
            while kept := self.bench.rows.load(
                Rotation, rotation_id(KeyVersion.parse(url), run), "rotation"
            ):
                yield kept.row
                run += 1

    def check(self) -> None:
        """Assert that all is on the newest version, in its own form, and nothing is left undone."""
        versions, truth = self.versions(), self.bench.azure.estate.truth
        for name, account in self.accounts.items():
            path = [versions.index(url) for _, url in truth.history(account.id)]
            assert path == sorted(path), f"{name} was lowered: {path}"
            assert path[-1] == len(versions) - 1, f"{name} was left behind: {path}"
            now = reference(self.bench, account)
            if name != "stpinned":
                assert now == self.before[name]
        assert is_there(self.bench, self.group)
        assert version(self.bench, self.group) == versions[-1].rpartition("/")[2]
        for resource in self.resources():
            assert self.bench.rows.load(Debt, *debt_address(resource)) is None
        for rotation in self.rotations():
            assert rotation.outcome, rotation
            open_ = self.bench.steps.ledger.outstanding(rotation.id, Stage.OPEN)
            assert list(open_) == [], rotation
        assert self.runner.poisoned == []


@pytest.mark.parametrize("seed", SEEDS, ids="seed {}".format)
def test_whatever_happens_each_debt_is_paid_and_all_ends_on_the_newest_version(
    bench: Bench, seed: int
) -> None:
    turmoil = Turmoil(bench, seed)
    try:
        for number in range(VERSIONS):
            turmoil.new_version(number)
            for _ in range(turmoil.random.randint(5, 60)):
                turmoil.happen()
        turmoil.come_to_rest()
        turmoil.check()
    except BaseException as error:
        error.add_note(replay(seed))
        raise
