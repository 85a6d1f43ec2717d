"""Before a rotation ends everything is looked at once more: the inventory and each resource."""

import json
from datetime import timedelta

import pytest

from sandbox.estate import Account
from sandbox.faults import Answer, Fault
from shared.domain.rows import Phase
from shared.domain.steps import Discover, Repoint
from shared.domain.verdicts import Outcome, Verdict
from shared.domain.work import Stage
from shared.usecases.overdue import INVENTORY_LAG
from tests.usecases.bench import VAULT, Bench
from tests.usecases.rotations import REFUSED, finish, point, report_of, stages, verdicts, waves


def moved(bench: Bench, *names: str) -> tuple[str, dict[str, Account]]:
    """Open a rotation of some accounts and move them all; return it, before its closing scan."""
    key = bench.key()
    accounts = {name: bench.account(name, key) for name in names}
    bench.later_version(key)
    rotation = bench.open(key)
    bench.discover(rotation)
    bench.settle(rotation)
    assert set(verdicts(bench, rotation).values()) == {Verdict.VERIFIED}
    return rotation, accounts


def oldest(bench: Bench) -> str:
    """Return the first version of the key."""
    versions = bench.azure.estate.vaults.vault(VAULT).versions("cmk")
    return min(versions, key=lambda version: version.created).kid


def test_the_inventory_is_not_read_again_before_it_must_know_what_there_was(bench: Bench) -> None:
    key = bench.key()
    bench.account("stone", key)
    target = bench.new_version(key)
    bench.account("sttwo", target)
    rotation = bench.open(key)
    bench.discover(rotation)
    discovered_at = bench.rotation(rotation).discovered_at
    assert discovered_at is not None
    bench.settle(rotation)
    bench.forget_sent()
    while bench.clock.now() + timedelta(seconds=60) < discovered_at + INVENTORY_LAG:
        assert bench.supervise(rotation).phase is Phase.MOVING
    assert bench.sent(Discover) == []
    bench.pass_until(discovered_at + INVENTORY_LAG)
    assert bench.supervise(rotation).phase is Phase.CLOSING
    assert bench.sent(Discover) == [Discover(rotation=rotation, closing=True)]
    assert bench.supervise(rotation).outcome is None, "it has not been read yet"


def test_a_resource_that_was_made_meanwhile_is_moved(bench: Bench) -> None:
    rotation, accounts = moved(bench, "stone")
    late = bench.account("stlate", oldest(bench))
    ended = finish(bench, rotation)
    assert ended.outcome is Outcome.COMPLETED
    assert verdicts(bench, rotation) == {"stone": Verdict.VERIFIED, "stlate": Verdict.VERIFIED}
    assert bench.in_use(late) == bench.in_use(accounts["stone"]) == ended.target
    assert stages(bench, rotation) == {Stage.DONE}


def test_what_the_inventory_shows_late_is_moved(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    target = bench.new_version(key)
    bench.azure.estate.resource_graph.lag = timedelta(hours=1)
    rotation = bench.open(key)
    bench.discover(rotation)
    bench.settle(rotation)
    assert waves(bench, rotation) == {}
    bench.azure.estate.resource_graph.lag = timedelta()
    ended = finish(bench, rotation)
    assert (ended.outcome, ended.counts) == (Outcome.COMPLETED, {Verdict.VERIFIED: 1})
    assert bench.in_use(account) == target


@pytest.mark.parametrize("when", ["before its write", "after its proof"])
def test_a_resource_that_is_moved_elsewhere_is_found_there_and_gone_here(
    bench: Bench, when: str
) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    target = bench.new_version(key)
    rotation = bench.open(key)
    bench.discover(rotation)
    if when == "after its proof":
        bench.settle(rotation)
    elsewhere = bench.azure.estate.move(account, group="rg-elsewhere")

    ended = finish(bench, rotation)

    kept = [k.row for k in bench.steps.ledger.all(rotation)]
    by_id = {work.resource: work.consumers[0].verdict for work in kept}
    there = Verdict.VERIFIED if when == "before its write" else Verdict.ALREADY
    assert by_id == {account.id: Verdict.GONE, elsewhere.id: there}
    assert ended.outcome is Outcome.COMPLETED
    assert bench.in_use(elsewhere) == target


def _reads(bench: Bench, name: str) -> int:
    """Return how often an account itself was read; its scopes are listed apart."""
    return sum(call.path.endswith(f"/{name}") for call in bench.calls("GET", f"/{name}"))


def test_each_proven_resource_is_read_once_more(bench: Bench) -> None:
    rotation, _ = moved(bench, "stone", "sttwo")
    assert stages(bench, rotation) == {Stage.CONFIRM}
    assert [c["confirmed"] for c in report_of(bench, rotation)["consumers"]] == [False, False]
    reads = {name: _reads(bench, name) for name in ("stone", "sttwo")}
    ended = finish(bench, rotation)
    assert ended.outcome is Outcome.COMPLETED
    assert stages(bench, rotation) == {Stage.DONE}
    assert [c["confirmed"] for c in report_of(bench, rotation)["consumers"]] == [True, True]
    for name, before in reads.items():
        assert _reads(bench, name) == before + 1


@pytest.mark.parametrize(
    "to", ["the version it was on", "another key"], ids=lambda to: f"put on {to}"
)
def test_a_resource_that_somebody_put_back_is_reverted_and_fails_the_rotation(
    bench: Bench, to: str
) -> None:
    rotation, accounts = moved(bench, "stone", "sttwo")
    other = bench.key("other")
    newest = bench.azure.estate.vaults.newest(VAULT, "other")
    assert newest.startswith(other)
    version = oldest(bench) if to == "the version it was on" else newest
    point(bench, accounts["stone"], version)

    ended = finish(bench, rotation)

    assert ended.outcome is Outcome.FAILED
    assert verdicts(bench, rotation) == {"stone": Verdict.REVERTED, "sttwo": Verdict.VERIFIED}
    assert bench.in_use(accounts["stone"]) == version, "it is not fought over"


def test_a_resource_that_cannot_be_read_any_more_is_unknown_and_fails_the_rotation(
    bench: Bench,
) -> None:
    rotation, _ = moved(bench, "stone", "sttwo")
    bench.azure.faults.add(Fault(method="GET", path="*/stone", times=None, answer=REFUSED))
    ended = finish(bench, rotation)
    assert ended.outcome is Outcome.FAILED
    assert verdicts(bench, rotation) == {"stone": Verdict.UNKNOWN, "sttwo": Verdict.VERIFIED}


def test_a_resource_that_is_no_longer_proven_is_looked_at_until_it_is(bench: Bench) -> None:
    rotation, accounts = moved(bench, "stone")
    bench.get(accounts["stone"])
    body = json.loads(bench.calls("GET", "/stone")[-1].response_body)
    reference = body["properties"]["encryption"]["keyvaultproperties"]
    reference["currentVersionedKeyIdentifier"] = oldest(bench)
    bench.azure.faults.add(Fault(method="GET", path="*/stone", answer=Answer(200, body)))
    reads = _reads(bench, "stone")
    ended = finish(bench, rotation)
    # That one, the proof, and once more because a proof is always confirmed.
    assert _reads(bench, "stone") == reads + 3
    assert (ended.outcome, ended.counts) == (Outcome.COMPLETED, {Verdict.VERIFIED: 1})
    assert bench.writes(accounts["stone"]) == 1


def test_a_resource_that_refers_to_the_key_again_is_moved_after_all(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    first = oldest(bench)
    bench.later_version(key)
    rotation = bench.open(key)
    bench.discover(rotation)
    bench.key("other")
    point(bench, account, bench.azure.estate.vaults.newest(VAULT, "other"))
    bench.settle(rotation)
    assert verdicts(bench, rotation) == {"stone": Verdict.SKIPPED}
    point(bench, account, first)

    ended = finish(bench, rotation)

    assert (ended.outcome, ended.counts) == (Outcome.COMPLETED, {Verdict.VERIFIED: 1})
    assert bench.in_use(account) == ended.target


def test_a_target_that_is_disabled_before_the_end_fails_the_rotation(bench: Bench) -> None:
    rotation, _ = moved(bench, "stone")
    bench.enable(bench.rotation(rotation).target, enabled=False)
    ended = finish(bench, rotation)
    assert ended.outcome is Outcome.FAILED
    assert "disabled" in ended.problem
    assert ended.counts == {Verdict.VERIFIED: 1}, "what was proven stays proven"


def test_a_target_that_cannot_be_read_at_the_end_fails_the_rotation(bench: Bench) -> None:
    rotation, _ = moved(bench, "stone")
    bench.azure.faults.add(Fault(method="GET", host=f"{VAULT}.*", times=None, answer=REFUSED))
    ended = finish(bench, rotation)
    assert ended.outcome is Outcome.FAILED
    assert "the target cannot be read" in ended.problem


def test_a_straggler_that_fails_fails_the_rotation(bench: Bench) -> None:
    rotation, _ = moved(bench, "stone")
    bench.account("stlate", oldest(bench))
    bench.azure.faults.add(Fault(method="PATCH", path="*/stlate", answer=REFUSED))
    ended = finish(bench, rotation)
    assert ended.outcome is Outcome.FAILED
    assert verdicts(bench, rotation) == {"stone": Verdict.VERIFIED, "stlate": Verdict.FAILED}


def test_of_stragglers_too_one_goes_first_where_none_of_its_kind_has_moved(bench: Bench) -> None:
    key = bench.key()
    bench.new_version(key)
    rotation = bench.open(key)
    bench.discover(rotation)
    bench.settle(rotation)
    accounts = [bench.account(name, oldest(bench)) for name in ("sta", "stb", "stc")]
    bench.pass_time(minutes=2)
    bench.supervise(rotation)
    bench.search(rotation, closing=True)
    bench.forget_sent()
    for _ in range(3):
        bench.supervise(rotation)
    (first,) = bench.sent(Repoint)
    bench.run(first)
    assert sorted(bench.writes(account) for account in accounts) == [0, 0, 1]

    ended = finish(bench, rotation)

    assert (ended.outcome, ended.counts) == (Outcome.COMPLETED, {Verdict.VERIFIED: 3})
