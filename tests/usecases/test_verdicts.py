"""Every way in which one resource can end."""

import json
from datetime import timedelta

import pytest

from sandbox.faults import Answer, Fault
from shared.domain.steps import Repoint, Verify
from shared.domain.verdicts import Outcome, Verdict
from shared.domain.work import Stage
from tests.usecases.bench import VAULT, Bench, at


def verdict(bench: Bench, rotation: str) -> Verdict | None:
    (consumer,) = bench.work(rotation).consumers
    return consumer.verdict


def test_an_account_on_the_target_before_anything_was_written_is_already(bench: Bench) -> None:
    key = bench.key()
    target = bench.new_version(key)
    account = bench.account("stone", target)
    rotation, step = bench.opened(key)
    bench.run(step)
    assert verdict(bench, rotation) is Verdict.ALREADY
    assert bench.writes(account) == 0


def test_an_account_on_a_newer_version_is_never_lowered(bench: Bench) -> None:
    key = bench.key()
    middle = bench.later_version(key)
    newest = bench.later_version(key)
    account = bench.account("stone", newest)
    bench.enable(newest, enabled=False)
    rotation, step = bench.opened(key)
    assert bench.rotation(rotation).target == middle

    bench.run(step)

    (consumer,) = bench.work(rotation).consumers
    assert consumer.verdict is Verdict.MANUAL
    assert "newer" in consumer.reason
    assert "disabled" in consumer.reason
    assert bench.writes(account) == 0
    assert bench.finish(rotation).outcome is Outcome.FAILED


def test_an_account_that_was_changed_back_is_reverted(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    old = bench.in_use(account)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    (look,) = bench.sent(Verify)
    (write,) = bench.calls("PATCH")
    body = write.request_body.replace(_version(bench.in_use(account)), _version(old))
    bench.patch(account, json.loads(body))

    bench.run(look)
    assert verdict(bench, rotation) is None  # the read may lag behind our write: once
    bench.pass_until(bench.due(Verify))
    bench.run(bench.sent(Verify)[-1])

    (consumer,) = bench.work(rotation).consumers
    assert consumer.verdict is Verdict.REVERTED
    assert _version(old).decode() in consumer.reason


def _version(url: str | None) -> bytes:
    assert url
    return url.rpartition("/")[2].encode()


def test_an_account_that_no_longer_refers_to_the_key_is_skipped(bench: Bench) -> None:
    key = bench.key()
    bench.key("other")
    account = bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    with bench.dying(before=at("write")):
        bench.run_and_die(step)
    reference = {
        "keyname": "other",
        "keyversion": bench.azure.estate.vaults.newest(VAULT, "other").rpartition("/")[2],
        "keyvaulturi": f"https://{VAULT}.vault.azure.net/",
    }
    encryption = {"keySource": "Microsoft.Keyvault", "keyvaultproperties": reference}
    bench.patch(account, {"properties": {"encryption": encryption}})
    bench.pass_time(minutes=6)
    bench.run(step)
    assert verdict(bench, rotation) is Verdict.SKIPPED


def test_an_account_that_was_deleted_is_gone(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.azure.estate.delete(account)
    bench.run(step)
    assert verdict(bench, rotation) is Verdict.GONE
    ended = bench.finish(rotation)
    assert (ended.outcome, ended.counts) == (Outcome.COMPLETED, {Verdict.GONE: 1})


def test_an_account_that_is_there_after_all_when_it_is_looked_for_again_is_moved(
    bench: Bench,
) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    new = bench.new_version(key)
    rotation, step = bench.opened(key)
    gone = Answer(404, {"error": {"code": "ResourceNotFound", "message": f"{account.id} is gone"}})
    bench.azure.faults.add(Fault(method="GET", path="*/stone", answer=gone))
    bench.run(step)
    assert verdict(bench, rotation) is Verdict.GONE

    ended = bench.finish(rotation)

    assert (ended.outcome, ended.counts) == (Outcome.COMPLETED, {Verdict.VERIFIED: 1})
    assert bench.in_use(account) == new


@pytest.mark.parametrize(
    ("method", "answer", "expected"),
    [
        pytest.param(
            "GET",
            Answer(403, {"error": {"code": "AuthorizationFailed", "message": "no"}}),
            Verdict.UNKNOWN,
            id="not readable",
        ),
        pytest.param(
            "GET",
            Answer(404, {"error": {"code": "SubscriptionNotFound", "message": "no"}}),
            Verdict.UNKNOWN,
            id="another 404 is not gone",
        ),
        pytest.param("GET", Answer(200, {"id": "/x"}), Verdict.UNKNOWN, id="another resource"),
        pytest.param(
            "PATCH",
            Answer(403, {"error": {"code": "AuthorizationFailed", "message": "no"}}),
            Verdict.FAILED,
            id="not writable",
        ),
        pytest.param(
            "PATCH",
            Answer(409, {"error": {"code": "ScopeLocked", "message": "locked"}}),
            Verdict.FAILED,
            id="locked",
        ),
        pytest.param(
            "PATCH",
            Answer(404, {"error": {"code": "ResourceNotFound", "message": "gone"}}),
            Verdict.FAILED,
            id="not found, though it was read just now",
        ),
    ],
)
def test_what_cannot_be_done_closes_with_a_verdict_and_the_services_words(
    bench: Bench, method: str, answer: Answer, expected: Verdict
) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.azure.faults.add(Fault(method=method, path="*/stone", answer=answer))
    bench.run(step)
    work = bench.work(rotation)
    (consumer,) = work.consumers
    assert consumer.verdict is expected
    assert consumer.level is None
    assert consumer.reason
    if expected is Verdict.FAILED:
        assert consumer.advice
    if expected is Verdict.FAILED and answer.status != 404:
        assert "storageAccounts/write" in consumer.advice or "lock" in consumer.advice


def test_an_account_that_never_shows_the_version_is_stuck_when_the_hour_is_over(
    bench: Bench,
) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    account.pace.stuck()
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    accepted = bench.work(rotation).accepted_at
    assert accepted
    for _ in range(12):
        bench.pass_until(bench.due(Verify))
        bench.run(bench.sent(Verify)[-1])
        if bench.work(rotation).stage is not Stage.OPEN:
            break
    (consumer,) = bench.work(rotation).consumers
    assert consumer.verdict is Verdict.STUCK
    assert "not proven within 1 hour" in consumer.reason
    closed = bench.work(rotation).closed_at
    assert closed
    assert timedelta(hours=1) <= closed - accepted < timedelta(hours=1, seconds=30)
    assert bench.writes(account) == 1


@pytest.mark.parametrize(
    ("minutes", "expected"), [(55, Verdict.VERIFIED), (64, Verdict.VERIFIED), (66, Verdict.LATE)]
)
def test_a_proof_that_is_seen_only_after_the_window_is_late(
    bench: Bench, minutes: int, expected: Verdict
) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    bench.pass_time(minutes=minutes)
    bench.run(bench.sent(Verify)[-1])
    assert verdict(bench, rotation) is expected


def test_a_versionless_account_is_not_written_and_has_a_day(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key, "absent")
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    assert bench.writes(account) == 0
    bench.pass_time(hours=23)
    bench.run(bench.sent(Verify)[-1])
    assert bench.work(rotation).stage is Stage.OPEN
    bench.pass_time(hours=2)
    bench.run(bench.sent(Verify)[-1])
    (consumer,) = bench.work(rotation).consumers
    assert consumer.verdict is Verdict.STUCK
    assert "24 hours" in consumer.reason
    assert not consumer.pinned


def test_a_row_that_another_step_has_changed_is_read_again_before_anything_is_written(
    bench: Bench,
) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)

    def meddle(method: str, _: tuple[object, ...]) -> bool:
        if method == "read":
            (kept,) = bench.steps.ledger.all(rotation)
            bench.rows.replace(kept, kept.row)
        return False

    bench.forget_sent()
    with bench.dying(before=meddle):
        bench.run(step)
    assert bench.writes(account) == 0
    (again,) = bench.sent(Repoint)
    bench.run(again)
    assert bench.writes(account) == 1
