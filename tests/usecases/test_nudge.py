"""Accounts that follow the vault, nudged: they take up the target now, and stay versionless."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from sandbox.azure import LocalAzure
from sandbox.estate import Account, Form
from sandbox.faults import Answer, Fault
from shared.catalog.storage import STORAGE_ACCOUNT as KIND
from shared.domain.callers import NOBODY
from shared.domain.json_paths import look_up
from shared.domain.keys import KeyVersion
from shared.domain.rows import Debt, debt_address, rotation_id
from shared.domain.steps import Pay, Repoint, Supervise, Verify
from shared.domain.verdicts import Outcome, Verdict
from shared.domain.work import Consumer, Stage, Work
from tests.usecases.bench import Bench
from tests.usecases.memory import in_memory
from tests.usecases.runner import Runner

_KEY = "properties.encryption.keyvaultproperties"
forms = pytest.mark.parametrize("form", ["absent", "empty"])


@pytest.fixture(name="bench")
def _bench(
    local_azure: Callable[[float], LocalAzure], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    with local_azure(1) as azure:
        for name, value in azure.environment().items():
            monkeypatch.setenv(name, value)
        yield Bench(azure, policy={"versionless": "nudge"})


def reference(bench: Bench, account: Account) -> dict[str, Any]:
    """Return how the account names its key."""
    body = bench.steps.repoint.resources.read(KIND, account.id).body
    return {name: value for name, value in look_up(body, _KEY).items() if name.startswith("key")}


def opened(bench: Bench, key: str) -> tuple[str, Repoint]:
    """Open a rotation of the one account; return it, and the step that may nudge."""
    rotation = bench.open(key)
    (step,) = bench.discover(rotation)
    return rotation, step


def the_consumer(work: Work) -> Consumer:
    (consumer,) = work.consumers
    return consumer


def go_on(bench: Bench) -> None:
    """Run whichever step on the resource was queued last, when it is due."""
    step, when = [(s, at) for s, at in bench.life.sent if isinstance(s, Repoint | Verify | Pay)][-1]
    bench.pass_until(when)
    bench.run(step)


def is_owed(bench: Bench, account: Account) -> bool:
    return bench.rows.load(Debt, *debt_address(account.id)) is not None


@forms
def test_a_nudged_account_uses_the_target_at_once_and_is_versionless_again(
    bench: Bench, form: Form
) -> None:
    key = bench.key()
    account = bench.account("stone", key, form)
    before = reference(bench, account)
    new = bench.later_version(key)
    rotation, _ = opened(bench, key)
    ended = bench.finish(rotation)

    assert ended.outcome is Outcome.COMPLETED
    assert the_consumer(bench.work(rotation)).verdict is Verdict.VERIFIED
    assert bench.in_use(account) == new
    assert reference(bench, account) == before
    assert bench.writes(account) == 2
    assert bench.reads(account) == 5 + 2  # and twice by this test
    assert not is_owed(bench, account)


def test_unless_it_is_asked_for_an_account_that_follows_the_vault_is_only_watched(
    bench: Bench,
) -> None:
    key = bench.key()
    account = bench.account("stone", key, "empty")
    watching = Bench(bench.azure)
    watching.later_version(key)
    rotation, step = opened(watching, key)
    watching.run(step)
    assert watching.work(rotation).next == "verify"
    assert watching.writes(account) == 0


def test_an_account_that_has_taken_up_the_target_is_not_nudged(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key, "empty")
    bench.later_version(key)
    account.pace.next_poll_at = bench.azure.clock.now()
    rotation, step = opened(bench, key)
    bench.run(step)
    assert the_consumer(bench.work(rotation)).verdict is Verdict.ALREADY
    assert bench.writes(account) == 0


def test_where_the_vault_leads_elsewhere_nothing_is_nudged(bench: Bench) -> None:
    """Its current version is disabled: the account would go back to that by itself."""
    key = bench.key()
    account = bench.account("stone", key, "empty")
    bench.later_version(key)
    bench.enable(bench.later_version(key), enabled=False)
    rotation, step = opened(bench, key)
    bench.run(step)
    assert bench.rotation(rotation).current_problem
    assert bench.work(rotation).owes == ""
    assert bench.writes(account) == 0


def test_nothing_is_nudged_down(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key, "empty")
    bench.later_version(key)
    _, step = opened(bench, key)
    newest = bench.later_version(key)
    account.pace.next_poll_at = bench.azure.clock.now()
    bench.run(step)
    assert bench.writes(account) == 0
    assert bench.in_use(account) == newest


@pytest.mark.parametrize("action", ["cancel", "pause"])
def test_whatever_a_person_says_the_account_gets_its_form_back(bench: Bench, action: str) -> None:
    key = bench.key()
    account = bench.account("stone", key, "absent")
    before = reference(bench, account)
    bench.later_version(key)
    rotation, step = opened(bench, key)
    bench.run(step)
    assert reference(bench, account) != before
    getattr(bench.steer, action)(rotation, "not now", NOBODY)
    bench.run(Supervise(rotation=rotation))
    bench.settle(rotation)
    assert reference(bench, account) == before
    assert bench.work(rotation).owes == ""


def test_a_newer_version_finds_the_account_versionless(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key, "absent")
    before = reference(bench, account)
    bench.later_version(key)
    first, step = opened(bench, key)
    bench.run(step)
    newest = bench.later_version(key)
    second = bench.open(key)
    bench.discover(second)
    bench.run(Supervise(rotation=first))
    bench.settle(first)
    assert bench.rotation(first).outcome is Outcome.SUPERSEDED
    assert bench.finish(second).outcome is Outcome.COMPLETED
    assert bench.in_use(account) == newest
    assert reference(bench, account) == before


def test_a_rotation_does_not_end_before_it_has_paid(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key, "absent")
    before = reference(bench, account)
    bench.later_version(key)
    rotation, step = opened(bench, key)
    bench.run(step)
    bench.azure.faults.add(Fault(method="PATCH", times=2, answer=Answer(403, _REFUSED)))
    go_on(bench)
    assert the_consumer(bench.work(rotation)).verdict is Verdict.VERIFIED
    assert bench.work(rotation).stage is Stage.OPEN
    for _ in range(2):
        go_on(bench)
        work = bench.work(rotation)
        assert (the_consumer(work).verdict, work.stage) == (Verdict.FAILED, Stage.OPEN)
        assert "AuthorizationFailed" in the_consumer(work).reason
        assert the_consumer(work).advice
        assert bench.supervise(rotation).outcome is None
    assert bench.finish(rotation).outcome is Outcome.COMPLETED
    assert the_consumer(bench.work(rotation)).verdict is Verdict.VERIFIED
    assert reference(bench, account) == before


_REFUSED = {"error": {"code": "AuthorizationFailed", "message": "not allowed"}}


def test_a_lost_answer_to_either_write_leaves_the_account_versionless(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key, "absent")
    before = reference(bench, account)
    new = bench.later_version(key)
    bench.azure.faults.add(Fault(method="PATCH", lose_answer=True, times=2))
    rotation, _ = opened(bench, key)
    assert bench.finish(rotation).outcome is Outcome.COMPLETED
    assert bench.in_use(account) == new
    assert reference(bench, account) == before


@pytest.mark.parametrize("first", [1, 12, 24])
def test_a_death_after_any_effect_leaves_no_account_pinned(bench: Bench, first: int) -> None:
    swift = in_memory(bench)
    for effects in range(first, first + 12):
        key = swift.key(f"cmk{effects}")
        account = swift.account(f"stone{effects}", key, "absent")
        before = reference(swift, account)
        new = swift.later_version(key)
        runner = Runner(swift, seed=effects)
        runner.event(key)
        with swift.dying(effects=effects):
            runner.run(until=partial(getattr, runner, "deaths"))
        runner.run()
        rotation = rotation_id(KeyVersion.parse(new), 1)
        assert swift.rotation(rotation).outcome is Outcome.COMPLETED, effects
        assert swift.in_use(account) == new, effects
        assert reference(swift, account) == before, effects
        assert 2 <= swift.writes(account) <= 4, effects
        assert the_consumer(swift.work(rotation)).verdict is Verdict.VERIFIED, effects


def test_where_a_patch_keeps_what_it_leaves_out_the_form_on_record_is_sent(bench: Bench) -> None:
    """Which of the two Azure does is not recorded."""
    bench.azure.estate.storage.merges_patches = True
    key = bench.key()
    account = bench.account("stone", key, "absent")
    new = bench.later_version(key)
    rotation, _ = opened(bench, key)
    assert bench.finish(rotation).outcome is Outcome.COMPLETED
    assert reference(bench, account)["keyversion"] == ""
    assert bench.in_use(account) == new
    assert bench.writes(account) == 4
    assert not is_owed(bench, account)


def test_an_account_that_stays_pinned_whatever_is_sent_is_failed_and_tried_on(
    bench: Bench,
) -> None:
    key = bench.key()
    account = bench.account("stone", key, "absent")
    new = bench.later_version(key)
    rotation, step = opened(bench, key)
    bench.run(step)
    pinned = bench.steps.repoint.resources.read(KIND, account.id).body
    deaf = Fault(method="GET", path="*/stone", times=None, answer=Answer(200, pinned))
    bench.azure.faults.add(deaf)
    for _ in range(6):
        go_on(bench)
    work = bench.work(rotation)
    assert (the_consumer(work).verdict, work.stage) == (Verdict.FAILED, Stage.OPEN)
    assert "versionless" in the_consumer(work).reason
    assert bench.supervise(rotation).outcome is None
    bench.azure.faults.clear()
    assert bench.finish(rotation).outcome is Outcome.COMPLETED
    assert bench.in_use(account) == new


def test_an_account_that_is_to_be_nudged_is_planned_with_both_of_its_writes(bench: Bench) -> None:
    swift = in_memory(bench)
    key = swift.key()
    swift.account("stfollows", key, "absent")
    swift.account("stpinned", key)
    swift.later_version(key)
    rotation = swift.open(key)
    swift.search(rotation)
    planned = {
        kept.row.resource.rpartition("/")[2]: kept.row.twice
        for kept in swift.steps.ledger.all(rotation)
    }
    assert planned == {"stfollows": True, "stpinned": False}
    assert [k.row.twice for k in swift.steps.ledger.outstanding(rotation, Stage.OPEN)].count(True)
