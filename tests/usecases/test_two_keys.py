"""One resource that refers to two keys, both of which rotate at once."""

from itertools import pairwise

import pytest

from shared.domain.keys import KeyVersion
from shared.domain.rows import rotation_id
from shared.domain.steps import Repoint, Step
from shared.domain.verdicts import Outcome, Verdict
from tests.usecases.bench import VAULT, Bench, at
from tests.usecases.namespaces import Namespaces, namespace, versions_of
from tests.usecases.runner import Runner


class Pair:
    """A namespace on the first versions of two keys, and both have a second one."""

    def __init__(self, bench: Bench, *, seed: int = 0, duplicates: int = 0) -> None:
        self.bench = bench
        vault = bench.azure.estate.vault(VAULT)
        self.old = {name: vault.create_key(name) for name in ("one", "two")}
        self.provider = Namespaces(bench.azure.clock)
        self.id = namespace(bench, self.provider, [*self.old.values()])
        keys = [version.rpartition("/")[0] for version in self.old.values()]
        self.new = {key.rpartition("/")[2]: bench.new_version(key) for key in keys}
        self.runner = Runner(bench, seed=seed, duplicates=duplicates)
        for key in keys:
            self.runner.event(key, key)

    def named(self) -> set[str]:
        """Return the versions that the namespace names now."""
        return versions_of(self.bench.azure.estate.arm.resources.get(self.id).body)

    def check(self) -> None:
        """Assert that both rotations have ended well, and that neither undid the other."""
        assert self.named() == {*self.new.values()}
        for name, version in self.new.items():
            rotation = self.bench.rotation(rotation_id(KeyVersion.parse(version), 1))
            assert rotation.outcome is Outcome.COMPLETED
            assert rotation.counts == {Verdict.VERIFIED: 1}
            (consumer,) = self.bench.work(rotation.id).consumers
            assert (consumer.place, consumer.before) == (f"key {VAULT}/{name}", self.old[name])

    def is_never_lowered(self) -> bool:
        """Return whether no write took back what an earlier one had brought."""
        states = self.provider.history
        done = [state & {*self.new.values()} for state in states]
        return all(before <= after for before, after in pairwise(done))


def _is_repoint(step: Step) -> bool:
    return isinstance(step, Repoint)


def test_two_keys_of_one_resource_that_rotate_at_once_both_end_right(bench: Bench) -> None:
    """The second rotation's step runs just before the first one's write reaches the service."""
    pair = Pair(bench)
    runner = pair.runner
    runner.run(
        until=lambda: len(runner.queued(_is_repoint)) == 2, which=lambda s: not _is_repoint(s)
    )
    meanwhile: list[bool] = []

    def run_the_other(_path: str) -> None:
        meanwhile.append(runner.deliver(_is_repoint))

    bench.azure.faults.on("PUT", "*/namespaces/ns", run_the_other)
    runner.run()

    assert meanwhile == [True]
    pair.check()
    assert pair.is_never_lowered()
    assert len(pair.provider.history) == 2


@pytest.mark.parametrize("seed", range(4))
def test_in_any_order_and_with_every_message_twice_both_end_right(bench: Bench, seed: int) -> None:
    pair = Pair(bench, seed=seed, duplicates=1)

    pair.runner.run()

    pair.check()
    assert pair.is_never_lowered()
    assert len(pair.provider.history) == 2


@pytest.mark.parametrize("is_sent", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("seed", range(3))
def test_when_the_process_dies_around_the_first_write_both_end_right(
    bench: Bench, seed: int, *, is_sent: bool
) -> None:
    pair = Pair(bench, seed=seed)
    dies = at("write")

    with bench.dying(after=dies) if is_sent else bench.dying(before=dies):
        pair.runner.run()

    assert pair.runner.deaths == 1
    pair.check()
    assert pair.is_never_lowered()


def test_a_late_write_for_one_key_that_undoes_the_other_is_mended(bench: Bench) -> None:
    """A write replaces the whole array: it carries the other key's old version too."""
    pair = Pair(bench)
    held = bench.azure.faults.hold(method="PUT", path="*/namespaces/ns")
    pair.runner.run(until=held.arrived.is_set)
    pair.runner.run(until=lambda: pair.named() == {*pair.new.values()})

    held.release()
    assert pair.named() != {*pair.new.values()}
    pair.runner.run()

    pair.check()


def test_over_real_rows_and_a_real_queue_both_end_right(stored_bench: Bench) -> None:
    pair = Pair(stored_bench, duplicates=1)

    pair.runner.run()

    pair.check()
    assert pair.is_never_lowered()
