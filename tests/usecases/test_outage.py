"""After an outage: messages that have waited for long, and messages that are lost."""

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from itertools import batched

import pytest

from sandbox.estate import Account
from sandbox.faults import Fault
from shared.domain.keys import KeyVersion
from shared.domain.resources import digest
from shared.domain.rows import Rotation, rotation_id
from shared.domain.steps import Repoint, Supervise, Verify
from shared.domain.verdicts import Outcome, Verdict
from shared.domain.work import Outstanding, Work
from shared.ports import Insert, Put
from tests.usecases.bench import Bench
from tests.usecases.memory import in_memory
from tests.usecases.rotations import REFUSED
from tests.usecases.runner import Runner

ROWS = 2000
A_LOOK = timedelta(minutes=2)


def _overdue(bench: Bench, rotation: Rotation) -> list[Work]:
    """Return work that was to be looked at an hour ago, in many regions."""
    now = bench.clock.now()
    place = f"/subscriptions/{bench.subscription}/resourceGroups/rg/providers/Microsoft.Storage"
    return [
        Work(
            rotation=rotation.id,
            key=rotation.key,
            resource=f"{place}/storageAccounts/st{number}",
            kind="storage_account",
            location=f"region{number % 20}",
            found_at=now - timedelta(hours=2),
            next="verify",
            seq=1,
            due_at=now - timedelta(hours=1),
        )
        for number in range(ROWS)
    ]


def _keep(bench: Bench, works: Iterable[Work]) -> None:
    """Keep work and its index, as many rows in one transaction as there may be."""
    shards: dict[str, list[Work]] = {}
    for work in works:
        shards.setdefault(work.address[0], []).append(work)
    for some in (chunk for shard in shards.values() for chunk in batched(shard, 50, strict=False)):
        rows = [(Insert(work), Put(Outstanding.of(work))) for work in some]
        bench.rows.commit(*(change for pair in rows for change in pair))


def _nudged(bench: Bench, rotation: str, how_long: timedelta) -> Counter[str]:
    """Let the supervisor look for so long; return how often each resource was sent a message."""
    bench.forget_sent()
    until = bench.clock.now() + how_long
    while bench.clock.now() + A_LOOK <= until:
        bench.pass_until(bench.clock.now() + A_LOOK)
        bench.run(Supervise(rotation=rotation))
    return Counter(step.resource for step in bench.sent(Verify) + bench.sent(Repoint))


def test_what_is_overdue_after_an_outage_is_nudged_once_when_its_own_message_has_had_its_time(
    bench: Bench,
) -> None:
    """Each of the two thousand has its own message in the queue, which may be slow to come."""
    rotation = _moving(bench)
    works = _overdue(bench, rotation)
    _keep(bench, works)

    young = _nudged(bench, rotation.id, timedelta(minutes=16))
    old = _nudged(bench, rotation.id, timedelta(minutes=28))

    assert young == {}
    assert old == {digest(work.resource): 1 for work in works}


def test_of_two_messages_for_the_same_look_the_second_finds_nothing_to_do(bench: Bench) -> None:
    rotation = _moving(bench)
    works = _overdue(bench, rotation)[:3]
    _keep(bench, works)

    for work in works:
        for _ in range(2):
            bench.run(Verify(rotation=rotation.id, resource=digest(work.resource), seq=work.seq))

    assert len(bench.calls("GET", "/storageAccounts/")) == len(works)
    verdicts = [c.verdict for k in bench.steps.ledger.all(rotation.id) for c in k.row.consumers]
    assert verdicts == [Verdict.GONE] * len(works)


def _moving(bench: Bench) -> Rotation:
    """Return a rotation whose consumers have all been found."""
    rotation = bench.open(bench.key())
    bench.search(rotation)
    return bench.rotation(rotation)


# -- messages that are lost --------------------------------------------------------------------


class Loss:
    """A rotation of which the queue is emptied after so many deliveries."""

    def __init__(self, bench: Bench, deliveries: int) -> None:
        self.bench = bench
        key = bench.key(f"cmk{deliveries}")
        self.account: Account = bench.account(f"stlost{deliveries}", key)
        self.target = bench.new_version(key)
        self.runner = Runner(bench, seed=deliveries)
        self.runner.event(key)
        self.is_over = not all(self.runner.deliver() for _ in range(deliveries))

    def check(self) -> None:
        """Assert that the account was moved, once, and that the rotation says so."""
        rotation = self.bench.rotation(rotation_id(KeyVersion.parse(self.target), 1))
        assert rotation.outcome is Outcome.COMPLETED
        assert rotation.counts == {Verdict.VERIFIED: 1}
        assert self.bench.in_use(self.account) == self.target
        assert self.bench.writes(self.account) == 1
        self.bench.azure.estate.delete(self.account)


@pytest.fixture
def without_recheck(bench: Bench) -> Bench:
    """A bench whose rows are in memory, and where a key is left alone after a rotation."""
    return in_memory(bench, policy={"recheck_hours": 0})


CHUNKS = 4
LONGEST = 200


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_rotation_whose_queue_is_emptied_at_any_point_is_concluded_by_the_sweep(
    without_recheck: Bench, chunk: int
) -> None:
    for deliveries in range(chunk, LONGEST, CHUNKS):
        loss = Loss(without_recheck, deliveries)
        if loss.is_over:
            assert deliveries > 2 * CHUNKS
            return
        loss.runner.lose_all()
        for _ in range(2):
            without_recheck.pass_time(minutes=15)
            loss.runner.sweep()
            loss.runner.run()
        loss.check()
    raise AssertionError("the rotation does not end")


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_rotation_of_which_the_supervisor_alone_is_left_is_concluded_by_it(
    without_recheck: Bench, chunk: int
) -> None:
    for deliveries in range(1 + chunk, LONGEST, CHUNKS):
        loss = Loss(without_recheck, deliveries)
        if loss.is_over:
            assert deliveries > 2 * CHUNKS
            return
        loss.runner.lose_all(lambda step: not isinstance(step, Supervise))
        loss.runner.run()
        loss.check()
    raise AssertionError("the rotation does not end")


def test_a_rotation_is_revived_although_its_vault_cannot_be_listed(
    without_recheck: Bench,
) -> None:
    """The sweep's look at the keys would do it, too: here the other half alone is left."""
    bench = without_recheck
    key = bench.key()
    account = bench.account("stone", key)
    target = bench.later_version(key)
    runner = Runner(bench)
    runner.event(key)
    runner.run(until=lambda: bench.active(key))
    rotation = bench.active(key)
    runner.lose_all()
    bench.azure.faults.add(Fault(method="GET", path="/keys", times=None, answer=REFUSED))

    bench.pass_time(minutes=16)
    runner.sweep()
    runner.run()

    assert bench.rotation(rotation).outcome is Outcome.COMPLETED
    assert bench.in_use(account) == target
