"""How many requests a rotation may cost, of Azure and of the app's own storage."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus

import pytest

from sandbox.azure import LocalAzure
from sandbox.azurite.output import Operation
from sandbox.estate import Account
from sandbox.front_door import Call
from tests.e2e.stage import ARM, VAULT, Report, Stage, verdicts

ACCOUNTS = 15

READS, WRITES = 3, 1
"""Of a resource: a read to plan on, the write, a read that proves, and the closing scan's."""
LISTS = 2
"""Of an account's scopes, which Resource Graph does not hold: by discovery and the closing scan."""
POLLS = ("/operations/", "/asyncoperations/")
LONG_RUNNING_READS = 5
"""Of a resource whose write goes on for minutes, polls of the operation counted."""
ARM_PER_ROTATION = 18
"""Twice (discovery, closing scan) the subscriptions, the rights in the one, a page of what names
the vault and one of accounts, and that there are no more subscriptions; once the resource group,
and four counts of what lies beside consumers. The look ahead finds the vault and reads it."""
VAULT_PER_ROTATION = 7
"""The current version, all versions, the target, the version that it follows; the target again.
The target and the rotation policy for the look ahead. And the target once in each look of the
supervisor while some accounts wait to be moved."""

MESSAGES = 3
"""Of a resource: to move it, to look, to confirm."""
ROWS = 24
"""Operations on rows, of a resource: five transactions (found, accepted, proven, found again,
confirmed), two releases, the intent; three steps that read work, rotation and head, which is read
once more before the write; the lease read, taken and given back; what is known of it read twice and
kept."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one rotation has cost."""

    report: Report
    calls: Sequence[Call]
    operations: Sequence[Operation]

    def arm(self, method: str, account: Account) -> int:
        """Return how many requests of a method an account, or an operation on it, was sent."""
        return sum(c.method == method and c.path.lower() == account.id.lower() for c in self.calls)

    def at(self, host: str) -> int:
        """Return how many requests a host was sent.

        Without those that only asked who it trusts, and lists of scopes: there are as many of
        these as there are accounts, whichever key they use.
        """
        return sum(
            c.host == host and c.status != HTTPStatus.UNAUTHORIZED and not _lists_scopes(c)
            for c in self.calls
        )

    def lists(self, account: Account) -> int:
        """Return how often the scopes of an account were listed."""
        listed = f"{account.id}/encryptionscopes".lower()
        return sum(c.path.lower() == listed for c in self.calls)

    @property
    def messages(self) -> int:
        """How many messages were sent."""
        return sum(o.service == "queue" and o.method == "POST" for o in self.operations)

    @property
    def looks(self) -> int:
        """How often the supervisor looked: by time, not by resources. The first beat is no look."""
        return (_counted(self.operations)["keyturnbeats"] - 1) // 2

    @property
    def rows(self) -> int:
        """How many operations on rows there were, but for those of the supervisor's looks.

        Scans are the supervisor's, and a page holds a thousand rows; a lane is read once in ten
        seconds at most, by each instance. A look reads the rotation and the head of its key.
        """
        counted = _counted(self.operations)
        wanted = ("work", "leases", "known", "rotations", "heads")
        named = sum(counted[f"keyturn{name}"] for name in wanted)
        return named + counted["$batch"] - 2 * self.looks


def _lists_scopes(call: Call) -> bool:
    return call.path.lower().endswith("/encryptionscopes")


def _counted(operations: Sequence[Operation]) -> Counter[str]:
    """Return how many operations on single rows each table had; transactions as ``$batch``."""
    return Counter(
        o.path.strip("/").partition("(")[0]
        for o in operations
        if o.service == "table" and ("RowKey" in o.path or o.method == "POST")
    )


def _rotated(stage: Stage, key: str) -> Cost:
    """Rotate a key, and wait for the end without asking the app, which would cost rows too."""
    stored = len(stage.azure.azurite.operations(stage.azure.account))
    called = len(stage.azure.front_door.traffic())
    target = stage.rotate(key)
    rotation = stage.opened(target)
    ended = {"id": rotation, "outcome": "completed"}.items()
    stage.until(
        lambda: any(ended <= row.items() for row in stage.rotations()), 90, "the end", every=0.5
    )
    stage.quiet()
    calls = stage.azure.front_door.traffic()[called:]
    operations = stage.azure.azurite.operations(stage.azure.account)[stored:]
    return Cost(stage.report(rotation), calls, operations)


@pytest.fixture
def slow_stage(local_azure: Callable[[float], LocalAzure]) -> Iterator[Stage]:
    """A stage whose minutes last three seconds, so that a look is over before the next begins.

    Where looks overlap, they release and conclude the same twice: harmless, but not free.
    """
    with local_azure(20) as azure:
        yield Stage(azure)


def test_twice_the_accounts_cost_twice_as_much_and_each_no_more_than_its_budget(
    slow_stage: Stage,
) -> None:
    stage = slow_stage
    stage.start()
    once, twice = stage.key(), stage.key()
    few = [stage.account(f"stfew{n:02}", once) for n in range(ACCOUNTS)]
    many = [stage.account(f"stmany{n:02}", twice) for n in range(2 * ACCOUNTS)]

    cost, double = _rotated(stage, once), _rotated(stage, twice)

    assert cost.report["counts"] == {"verified": ACCOUNTS}
    assert double.report["counts"] == {"verified": 2 * ACCOUNTS}
    assert {cost.arm("PATCH", account) for account in few} == {WRITES}
    assert {double.arm("PATCH", account) for account in many} == {WRITES}
    assert max(cost.arm("GET", account) for account in few) <= READS
    assert max(double.arm("GET", account) for account in many) <= READS
    assert {each.lists(account) for each in (cost, double) for account in few + many} == {LISTS}
    assert cost.at(ARM) <= ACCOUNTS * (READS + WRITES) + ARM_PER_ROTATION
    assert double.at(ARM) - cost.at(ARM) <= ACCOUNTS * (READS + WRITES)
    for each in (cost, double):
        assert each.at(f"{VAULT}.vault.azure.net") <= VAULT_PER_ROTATION + each.looks
    assert _per_account(cost.messages - cost.looks, double.messages - double.looks) <= MESSAGES
    assert _per_account(cost.rows, double.rows) <= ROWS + 0.5


def _per_account(cost: int, double: int) -> float:
    """Return what one account costs: what the rotation itself costs drops out."""
    return (double - cost) / ACCOUNTS


def test_a_write_that_goes_on_for_minutes_costs_no_more_reads_than_its_budget(
    running: Stage,
) -> None:
    key = running.key()
    account = running.account("stlongrunning", key)
    account.pace.long_running(timedelta(minutes=2))

    target = running.rotate(key)
    report = running.ended(target)

    polls = {str(c.at) for part in POLLS for c in running.calls("GET", part)}
    assert verdicts(report) == {"stlongrunning": "verified"}
    assert [call.status for call in running.calls("PATCH", account.id)] == [202]
    assert len(running.reads(account)) + len(polls) <= LONG_RUNNING_READS


def test_a_resource_group_is_read_once_however_many_keys_and_accounts_it_holds(
    running: Stage,
) -> None:
    name = running.new_name("rg-once")
    keys = [running.key(), running.key()]
    for key in keys * 2:
        running.azure.estate.storage_account(
            running.new_name("stgrouped"), subscription=running.subscription, key=key, group=name
        )

    targets = [running.rotate(key) for key in keys]
    states = [running.ended(target)["state"] for target in targets]

    assert states == ["completed"] * 2
    reads = [call.path for call in running.calls("GET") if call.path.endswith(f"/{name}")]
    assert len(reads) <= 2  # twice, where both canaries are written at the same time


def test_a_second_event_of_a_handled_version_costs_azure_nothing_but_one_look_at_the_vault(
    running: Stage,
) -> None:
    key = running.key()
    running.account("stcheap", key)
    target = running.rotate(key)
    running.ended(target)
    running.quiet()
    before = len(running.azure.front_door.traffic())

    running.handled(running.publish({"Id": target}))

    traffic = running.azure.front_door.traffic()[before:]
    assert [(call.method, call.path) for call in traffic] == [
        ("GET", f"/keys/{key.rpartition('/')[2]}/")
    ]
