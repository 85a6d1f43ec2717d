"""Writes that go on after their answer, and answers that say more than is so."""

from dataclasses import replace

import pytest

from sandbox.estate import Account
from sandbox.faults import Fault
from shared.catalog.storage import STORAGE_ACCOUNT
from shared.domain.steps import Repoint, Verify
from shared.domain.verdicts import Outcome, Verdict
from shared.domain.work import Consumer, Stage
from tests.usecases.bench import Bench


@pytest.fixture(name="key")
def _key(bench: Bench) -> str:
    return bench.key()


@pytest.fixture(name="account")
def _account(bench: Bench, key: str) -> Account:
    return bench.account("stone", key)


def the_consumer(bench: Bench, rotation: str) -> Consumer:
    (consumer,) = bench.work(rotation).consumers
    return consumer


def end(bench: Bench, account: Account) -> None:
    """Let the write that an account is at work on come to its end now."""
    assert account.pace.pending
    account.pace.pending = replace(account.pace.pending, when=bench.azure.clock.now())


def look(bench: Bench) -> None:
    """Run the look that was queued last, when it is due."""
    bench.pass_until(bench.due(Verify))
    bench.run(bench.sent(Verify)[-1])


def go_on(bench: Bench) -> None:
    """Run whichever step was queued last, when it is due."""
    step, when = [(s, at) for s, at in bench.life.sent if isinstance(s, Repoint | Verify)][-1]
    bench.pass_until(when)
    bench.run(step)


def test_a_write_that_goes_on_is_proven_when_it_has_ended_and_not_before(
    bench: Bench, key: str, account: Account
) -> None:
    account.pace.long_running(None)
    new = bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    work = bench.work(rotation)
    assert work.accepted_at
    assert work.operation.startswith("https://management.azure.com/")
    look(bench)
    assert (bench.work(rotation).stage, the_consumer(bench, rotation).verdict) == (Stage.OPEN, None)

    end(bench, account)
    look(bench)

    assert the_consumer(bench, rotation).verdict is Verdict.VERIFIED
    assert bench.finish(rotation).outcome is Outcome.COMPLETED
    assert bench.in_use(account) == new
    assert bench.writes(account) == 1
    assert bench.reads(account) <= 5
    assert bench.calls("GET", "asyncoperations") == []  # the resource itself says it


def test_a_write_that_fails_ends_with_the_services_own_reason_and_what_to_do(
    bench: Bench, key: str, account: Account
) -> None:
    account.pace.long_running(None, fails=True)
    old = bench.in_use(account)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    look(bench)
    assert bench.work(rotation).stage is Stage.OPEN

    end(bench, account)
    look(bench)

    consumer = the_consumer(bench, rotation)
    assert (consumer.verdict, consumer.level) == (Verdict.FAILED, None)
    assert "KeyVaultAuthenticationFailure" in consumer.reason
    assert "authentication issue on the keyvault" in consumer.reason
    assert consumer.advice == STORAGE_ACCOUNT.advice["KeyVaultAuthenticationFailure"]
    assert bench.finish(rotation).outcome is Outcome.FAILED
    assert bench.in_use(account) == old
    assert bench.writes(account) == 1


def test_a_write_that_never_ends_is_stuck_when_its_window_closes_and_not_repeated(
    bench: Bench, key: str, account: Account
) -> None:
    account.pace.long_running(None)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    for _ in range(12):
        if bench.work(rotation).stage is not Stage.OPEN:
            break
        look(bench)
    consumer = the_consumer(bench, rotation)
    assert consumer.verdict is Verdict.STUCK
    assert "not proven within 1 hour" in consumer.reason
    assert "provisioningState is ResolvingDNS" in consumer.reason
    assert bench.writes(account) == 1
    assert len(bench.calls("PATCH")) == 1


@pytest.mark.parametrize("fails", [False, True])
def test_a_long_write_whose_answer_was_lost_is_found_under_way_and_not_repeated(
    bench: Bench,
    key: str,
    account: Account,
    fails: bool,  # noqa: FBT001 - a table
) -> None:
    account.pace.long_running(None, fails=fails)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.azure.faults.add(Fault(method="PATCH", lose_answer=True))
    bench.run(step)
    for _ in range(3):  # until it cannot be under way any more, and then to see that it is
        go_on(bench)
    assert bench.work(rotation).stage is Stage.OPEN
    end(bench, account)
    for _ in range(12):
        if bench.work(rotation).stage is not Stage.OPEN:
            break
        go_on(bench)
    # Without its answer there is no address at which to ask why it failed.
    expected = Verdict.STUCK if fails else Verdict.VERIFIED
    assert the_consumer(bench, rotation).verdict is expected
    assert bench.writes(account) == 1


def test_an_answer_that_shows_the_target_in_every_field_proves_nothing(
    bench: Bench, key: str, account: Account
) -> None:
    account.pace.lying()
    old, new = bench.in_use(account), bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    (write,) = bench.calls("PATCH")
    assert f'"currentVersionedKeyIdentifier":"{new}"'.encode() in write.response_body
    assert the_consumer(bench, rotation).verdict is None

    ended = bench.finish(rotation)

    assert ended.outcome is Outcome.FAILED
    consumer = the_consumer(bench, rotation)
    assert consumer.verdict in {Verdict.STUCK, Verdict.REVERTED}
    assert consumer.in_use == old == bench.in_use(account)
    assert bench.writes(account) == 1


def test_a_read_that_lags_behind_our_write_is_not_taken_for_somebody_elses_change(
    bench: Bench, key: str, account: Account
) -> None:
    account.pace.lying()
    new = bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    look(bench)
    assert (bench.work(rotation).stage, the_consumer(bench, rotation).verdict) == (Stage.OPEN, None)
    end(bench, account)
    look(bench)
    assert the_consumer(bench, rotation).verdict is Verdict.VERIFIED
    assert bench.in_use(account) == new
    assert bench.writes(account) == 1
