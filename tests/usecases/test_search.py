"""The inventory is read page by page, whatever comes twice, late or dies half way."""

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from sandbox.estate import Account
from sandbox.faults import Fault
from shared.catalog.beside import BESIDE
from shared.domain.json_paths import Json
from shared.domain.kinds import Kind
from shared.domain.resources import digest
from shared.domain.rows import Known, Phase
from shared.domain.steps import Discover, Repoint
from shared.domain.verdicts import Outcome, Verdict
from shared.domain.work import Wave, Work
from shared.ports import Insert, Resources
from shared.usecases.search import KNOWN_PAGE
from tests.usecases.bench import VAULT, Bench, Died, at
from tests.usecases.memory import in_memory
from tests.usecases.rotations import (
    carry_out,
    follow,
    found,
    naming,
    page,
    point,
    searched,
    verdicts,
    watch,
    waves,
)

_QUERY = "*/resources"
COUNTS = 2 * len({(each.resource_type, each.mark) for each in BESIDE})
"""Queries by which each thing is counted, all of it and what has its mark."""


def _body(account: Account, version: str) -> Json:
    """Return an account as Resource Graph has it."""
    return {
        "id": account.id,
        "type": "microsoft.storage/storageaccounts",
        "location": "westeurope",
        "properties": naming(version),
    }


def _queries(bench: Bench) -> int:
    return len(bench.calls("POST", "ResourceGraph"))


def _two_pages(bench: Bench, key: str) -> None:
    """Let the inventory show two accounts on pinned versions, on a page each."""
    old = bench.azure.estate.vaults.newest(VAULT, key.rpartition("/")[2])
    one, two = (bench.account(name, old) for name in ("stone", "sttwo"))
    bench.new_version(key)
    # First it is counted what lies beside consumers.
    bench.azure.faults.add(Fault(method="POST", path=_QUERY, times=COUNTS))
    for answer in (page(_body(one, old), after="more"), page(_body(two, old))):
        bench.azure.faults.add(Fault(method="POST", path=_QUERY, answer=answer))


def test_every_page_of_the_inventory_is_a_message_of_its_own(bench: Bench) -> None:
    """So that one page is held at a time, however many there are."""
    key = bench.key()
    _two_pages(bench, key)
    rotation = bench.open(key)
    seen: list[tuple[int, set[str]]] = []
    step: Discover | None = Discover(rotation=rotation)
    while step is not None:
        bench.forget_sent()
        before = _queries(bench)
        bench.run(step)
        seen.append((_queries(bench) - before, found(bench, rotation)))
        step = next(iter(bench.sent(Discover)), None)
        assert step is None or (step.page == len(seen) and len(bench.life.sent) == 1)
    assert seen == [
        (COUNTS, set()),
        (1, {"stone"}),
        (1, {"stone", "sttwo"}),
        (1, {"stone", "sttwo"}),  # for accounts, which may have scopes
        (0, {"stone", "sttwo"}),
        (0, {"stone", "sttwo"}),
    ]
    tokens = [b'"$skipToken"' in c.request_body for c in bench.calls("POST", "ResourceGraph")]
    assert tokens == [*[False] * COUNTS, False, True, False]


def test_a_kind_has_one_canary_however_many_pages_there_are(bench: Bench) -> None:
    key = bench.key()
    _two_pages(bench, key)
    rotation = bench.open(key)
    bench.search(rotation)
    assert waves(bench, rotation) == {"stone": Wave.CANARY, "sttwo": Wave.REST}


def test_a_stale_page_is_dropped(bench: Bench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation = bench.open(key)
    first = Discover(rotation=rotation)
    bench.run(first)
    (second,) = bench.sent(Discover)[1:]
    bench.run(second)
    bench.forget_sent()
    before, queries = searched(bench, rotation), _queries(bench)

    for stale in (first, second, replace(second, page=9)):
        bench.run(stale)

    assert (searched(bench, rotation), _queries(bench)) == (before, queries)
    assert bench.life.sent == []


def test_a_page_that_comes_twice_finds_nothing_twice_and_keeps_what_was_done(
    bench: Bench,
) -> None:
    """Its first delivery died with the work kept and moved, and the page not turned."""
    key = bench.key()
    account = bench.account("stone", key)
    bench.new_version(key)
    rotation = bench.open(key)
    bench.run(Discover(rotation=rotation))
    reading = Discover(rotation=rotation, page=1)
    with bench.dying(after=at("commit")):
        bench.run_and_die(reading)
    bench.forget_sent()
    bench.supervise(rotation)
    (step,) = bench.sent(Repoint)
    bench.run(step)
    before = bench.work(rotation)

    follow(bench, reading)

    assert bench.work(rotation) == before
    bench.run(step)
    assert bench.finish(rotation).outcome is Outcome.COMPLETED
    assert bench.writes(account) == 1


def _died_in(bench: Bench, step: Discover, effects: int) -> Discover:
    """Follow a search until the process dies; return the page that was under way then."""
    while True:
        seen = len(bench.sent(Discover))
        with bench.dying(effects=effects):
            try:
                bench.run(step)
            except Died:
                return step
            effects = bench.life.effects_left or 0
        (step,) = bench.sent(Discover)[seen:]


@pytest.mark.parametrize(
    ("effects", "closing"),
    [
        *(pytest.param(n, False, id=f"first search, effect {n}") for n in range(1, 11)),
        *(pytest.param(n, True, id=f"closing scan, effect {n}") for n in (2, 5, 6, 9, 10)),
    ],
)
def test_a_search_that_dies_anywhere_goes_on_and_loses_nothing(
    bench: Bench, effects: int, *, closing: bool
) -> None:
    """By the message that comes back; or, where the page was turned, by the supervisor."""
    key = bench.key()
    bench.new_version(key)
    rotation = bench.open(key)
    if closing:
        bench.discover(rotation)
        bench.pass_time(minutes=2)
        assert bench.supervise(rotation).phase is Phase.CLOSING
    for name in ("stone", "sttwo"):
        bench.account(name, key)

    died = _died_in(bench, Discover(rotation=rotation, closing=closing), effects)
    follow(bench, died)
    for _, step in watch(bench, rotation, minutes=25):
        if isinstance(step, Discover):
            follow(bench, step)

    phase = Phase.CONFIRMING if closing else Phase.MOVING
    assert bench.rotation(rotation).phase is phase
    assert found(bench, rotation) == {"stone", "sttwo"}


def _forgetful(bench: Bench) -> None:
    """Let the inventory show nothing any more."""
    bench.azure.faults.add(Fault(method="POST", path=_QUERY, times=None, answer=page()))


def test_what_an_earlier_rotation_has_seen_is_added_once_the_inventory_has_been_read(
    bench: Bench,
) -> None:
    key = bench.key()
    accounts = [bench.account(name, key) for name in ("stone", "sttwo")]
    bench.later_version(key)
    carry_out(bench, bench.open(key))
    _forgetful(bench)
    target = bench.later_version(key)
    rotation = bench.open(key)
    for number in range(3):
        bench.run(Discover(rotation=rotation, page=number))
        assert found(bench, rotation) == set()

    follow(bench, Discover(rotation=rotation, page=3))

    assert found(bench, rotation) == {"stone", "sttwo"}
    bench.supervise(rotation)
    assert bench.finish(rotation).outcome is Outcome.COMPLETED
    assert [bench.in_use(account) for account in accounts] == [target, target]


def test_a_resource_that_no_longer_holds_the_key_is_not_added_again(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    bench.later_version(key)
    carry_out(bench, bench.open(key))
    bench.key("other")
    newest = bench.azure.estate.vaults.newest(VAULT, "other")
    point(bench, account, newest)

    bench.later_version(key)
    second = carry_out(bench, bench.open(key))
    bench.later_version(key)
    third = carry_out(bench, bench.open(key))

    assert verdicts(bench, second.id) == {"stone": Verdict.SKIPPED}
    assert (second.outcome, third.outcome) == (Outcome.COMPLETED, Outcome.NOTHING_FOUND)


def test_known_resources_are_added_by_pages_of_five_hundred(bench: Bench) -> None:
    key = bench.key()
    bench.new_version(key)
    rotation = bench.open(key)
    old = [
        Known(
            key=key,
            resource=f"/subscriptions/{bench.subscription}/resourceGroups/rg/providers"
            f"/Microsoft.Storage/storageAccounts/st{number:03}",
            kind="storage_account",
            location="westeurope",
            holds=False,
        )
        for number in range(KNOWN_PAGE + 1)
    ]
    old.sort(key=lambda row: digest(row.resource))
    # The last of the first page, and the only one of the second.
    old[-2:] = [replace(row, holds=True) for row in old[-2:]]
    for start in range(0, len(old), 100):
        bench.rows.commit(*(Insert(row) for row in old[start : start + 100]))
    follow(bench, Discover(rotation=rotation))
    assert found(bench, rotation) == {row.resource.rpartition("/")[2] for row in old[-2:]}
    # Subscriptions, what the inventory shows of them, accounts, no more subscriptions, two pages.
    assert [step.page for step in bench.sent(Discover)] == [0, 1, 2, 3, 4, 5]


# -- memory ------------------------------------------------------------------------------------


class Flood:
    """An Azure in which every account has many scopes; it tells how many lie about unhandled.

    Attributes:
        given: How many have been listed so far.
        most: How many of those, at the worst moment, had not become work yet.
    """

    def __init__(self, resources: Resources, key: str) -> None:
        self._resources = resources
        self._key = key
        self.given = 0
        self.most = 0
        self.kept = 0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any method of the port
        return getattr(self._resources, name)

    def children(self, kind: Kind, parent: str) -> Iterator[Json]:
        for number in range(_SCOPES):
            self.given += 1
            self.most = max(self.most, self.given - self.kept)
            yield {
                "id": f"{parent}/encryptionScopes/scope{number}",
                "type": kind.resource_type,
                "properties": {
                    "source": "Microsoft.KeyVault",
                    "state": "Enabled",
                    "keyVaultProperties": {"keyUri": self._key},
                },
            }

    def count(self, method: str, arguments: tuple[Any, ...]) -> bool:
        self.kept += method == "commit" and any(
            isinstance(change, Insert) and isinstance(change.row, Work) for change in arguments
        )
        return False


_SCOPES = 300


def test_of_all_that_a_page_of_accounts_holds_one_resource_is_in_memory_at_a_time(
    bench: Bench,
) -> None:
    swift = in_memory(bench)
    key, other = swift.key(), swift.key("other")
    for number in range(4):
        swift.account(f"st{number}", other)
    swift.later_version(key)
    rotation = swift.open(key)
    estate = swift.steps.discover.estate
    flood = Flood(estate.resources, key)
    object.__setattr__(estate, "resources", flood)

    with swift.dying(after=flood.count):
        swift.search(rotation)

    assert len(found(swift, rotation)) == _SCOPES  # of the same names under each account
    assert flood.given == flood.kept == 4 * _SCOPES
    assert flood.most == 1
