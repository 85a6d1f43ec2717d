"""What a person tells a rotation, and when a rotation waits for a person by itself."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Any

import pytest

from sandbox.estate import Account
from tests.e2e.stage import Report, Stage, consumer, verdicts

MINUTES_3 = timedelta(minutes=3)


def _accounts(stage: Stage, key: str, count: int = 3) -> list[Account]:
    """Make accounts of which the first is the canary: the first of its kind by id."""
    name = stage.new_name("ststeer")
    return [stage.account(f"{name}{letter}", key) for letter in "abcdefgh"[:count]]


def _name(account: Account) -> str:
    return account.id.rpartition("/")[2]


def _verdict(report: Report, account: Account) -> str | None:
    return verdicts(report).get(_name(account))


def _verdicts(report: Report, accounts: list[Account]) -> list[str | None]:
    return [_verdict(report, account) for account in accounts]


def _looks(stage: Stage, rotation: str, count: int = 3) -> None:
    """Wait until the supervisor has looked so many times more."""

    def last() -> object:
        return next(b["at"] for b in stage.rows("keyturnbeats") if b["rotation"] == rotation)

    for _ in range(count):
        stage.until(partial(_differs, last, last()), 20, "the supervisor's next look")


def _differs(now: Callable[[], object], then: object) -> bool:
    return now() != then


def _paused(stage: Stage, key: str) -> list[Any]:
    """Return what was announced of rotations of ``key`` that paused by themselves."""
    return [
        event["data"]
        for event in stage.announced("Keyturn.RotationPaused")
        if event["subject"] == key
    ]


# -- the canary and the failure limit ------------------------------------------------------------


def test_nothing_else_is_written_before_the_canary_is_proven(running: Stage) -> None:
    key = running.key()
    canary, *rest = _accounts(running, key)
    canary.pace.slow(MINUTES_3)

    report = running.ended(running.rotate(key))

    assert _verdicts(report, [canary, *rest]) == ["verified"] * 3
    moved_at, _ = running.azure.estate.truth.history(canary.id)[-1]
    proven_at = datetime.fromisoformat(consumer(report, _name(canary))["closedAt"])
    written_at = min(call.at for account in rest for call in running.calls("PATCH", account.id))
    assert moved_at < proven_at < written_at


def test_what_needs_no_write_does_not_wait_for_the_canary(running: Stage) -> None:
    key = running.key()
    running.azure.event_grid.lose_next()
    target = running.rotate(key)
    first = running.vault.versions(key.rpartition("/")[2])[0].kid
    canary, _ = _accounts(running, first, 2)
    there = running.account(running.new_name("stthere"), target)
    canary.pace.slow(MINUTES_3)

    running.publish({"Id": target})
    report = running.ended(target)

    assert (_verdict(report, there), _verdict(report, canary)) == ("already", "verified")
    assert consumer(report, _name(there))["closedAt"] < consumer(report, _name(canary))["closedAt"]


def test_a_failed_canary_pauses_the_rotation_until_a_person_lets_it_go_on(running: Stage) -> None:
    key = running.key()
    canary, *rest = _accounts(running, key)
    running.vault.revoke(canary.principal)

    target = running.rotate(key)
    rotation = running.opened(target)
    paused = running.shown(rotation, lambda report: report["state"] == "paused")
    _looks(running, rotation)

    assert paused["pausedBecause"].startswith("a canary failed")
    assert _verdicts(paused, [canary, *rest]) == ["failed", None, None]
    assert [len(running.calls("PATCH", account.id)) for account in rest] == [0, 0]
    about = {"rotation": rotation, "key": key, "target": target}
    assert _paused(running, key) == [about | {"problem": paused["pausedBecause"]}]

    status, headers, _ = running.steer(rotation, "resume", "that one alone lost its rights")
    report = running.ended(target)

    assert (status, headers["location"]) == (202, f"/api/rotations/{rotation}")
    assert (report["state"], report["pausedBecause"]) == ("failed", None)
    assert _verdicts(report, [canary, *rest]) == ["failed", "verified", "verified"]
    assert len(_paused(running, key)) == 1


def test_past_the_failure_limit_nothing_more_is_written_until_a_person_lets_it_go_on(
    stage: Stage,
) -> None:
    key = stage.key()
    first = stage.vault.versions(key.rpartition("/")[2])[0].kid
    canary, *failing = _accounts(stage, key)
    late: list[Account] = []
    for account in failing:
        stage.vault.revoke(account.principal)
    # Discovery is over when these are written: what appears now is found by the closing scan.
    stage.azure.faults.on(
        "PATCH", failing[0].id, lambda _: late.append(stage.account("stsofound", first))
    )
    stage.start(policy={"failureLimit": 2})

    target = stage.rotate(key)
    rotation = stage.opened(target)
    paused = stage.shown(rotation, lambda report: report["state"] == "paused")
    _looks(stage, rotation)

    assert paused["pausedBecause"] == "2 resources failed; the limit is 2"
    assert _verdicts(paused, [canary, *failing, *late]) == ["verified", "failed", "failed", None]
    assert [stage.writes(account) for account in late] == [0]

    stage.steer(rotation, "resume", "two of hundreds")
    report = stage.ended(target)

    assert [_verdict(report, account) for account in late] == ["verified"]
    assert [stage.in_use(account) for account in late] == [target]
    assert len(_paused(stage, key)) == 1


# -- what a person tells -------------------------------------------------------------------------


def test_a_paused_rotation_goes_on_proving_and_writes_nothing_until_it_is_resumed(
    running: Stage,
) -> None:
    key = running.key()
    canary, *rest = _accounts(running, key)
    canary.pace.slow(MINUTES_3)
    target = running.rotate(key)
    rotation = running.opened(target)
    running.until(lambda: running.writes(canary), 20, "the canary's write")

    status, _, answer = running.steer(rotation, "pause", "a change freeze")
    proven = running.shown(rotation, lambda report: _verdict(report, canary))
    _looks(running, rotation)

    assert (status, answer["id"]) == (202, rotation)
    assert (proven["state"], proven["pausedBecause"]) == ("paused", "a change freeze")
    assert _verdicts(proven, [canary, *rest]) == ["verified", None, None]
    assert [running.writes(account) for account in rest] == [0, 0]

    running.steer(rotation, "resume", "the freeze is over")
    report = running.ended(target)

    assert report["state"] == "completed"
    assert [running.writes(account) for account in [canary, *rest]] == [1, 1, 1]


@pytest.mark.parametrize(
    ("action", "state", "verdict"),
    [("pause", "paused", None), ("cancel", "cancelled", "cancelled")],
)
def test_what_a_person_says_between_our_read_and_our_write_stops_the_write(
    running: Stage, action: str, state: str, verdict: str | None
) -> None:
    key = running.key()
    (canary,) = _accounts(running, key, 1)
    answers: list[int] = []

    def steer(_: str) -> None:
        (rotation,) = [r["id"] for r in running.rotations() if r["key"] == key]
        answers.append(running.steer(rotation, action)[0])

    running.azure.faults.on("GET", canary.id, steer)
    rotation = running.opened(running.rotate(key))
    report = running.shown(rotation, lambda report: report["state"] == state)
    if action == "pause":
        _looks(running, rotation)

    assert answers == [HTTPStatus.ACCEPTED]
    assert _verdict(report, canary) == verdict
    assert running.calls("PATCH", canary.id) == []
    if action == "pause":  # or it is there for as long as the stage is
        running.steer(rotation, "cancel")


def test_a_cancelled_rotation_writes_nothing_more_and_leaves_the_key_to_the_next(
    running: Stage,
) -> None:
    key = running.key()
    canary, *rest = _accounts(running, key)
    canary.pace.slow(MINUTES_3)
    target = running.rotate(key)
    rotation = running.opened(target)
    running.until(lambda: running.writes(canary), 20, "the canary's write")

    status, _, _ = running.steer(rotation, "cancel", "the wrong key")
    report = running.ended(target)
    running.quiet()

    assert status == HTTPStatus.ACCEPTED
    assert report["state"] == "cancelled"
    assert _verdicts(report, [canary, *rest]) == ["cancelled"] * 3
    assert [running.writes(account) for account in [canary, *rest]] == [1, 0, 0]
    for kind in ("Keyturn.RotationCompleted", "Keyturn.RotationFailed"):
        assert key not in [event["subject"] for event in running.announced(kind)]

    canary.pace.prompt()
    newer = running.rotate(key)

    assert running.ended(newer)["state"] == "completed"
    assert [running.in_use(account) for account in [canary, *rest]] == [newer] * 3


def test_a_retry_takes_up_in_a_running_rotation_what_has_failed(running: Stage) -> None:
    key = running.key()
    accounts = canary, failing, slow = _accounts(running, key)
    running.vault.revoke(failing.principal)
    slow.pace.slow(timedelta(minutes=20))
    target = running.rotate(key)
    rotation = running.opened(target)
    running.shown(rotation, lambda report: _verdict(report, failing) == "failed")
    running.vault.grant(failing.principal, {"get", "wrapKey", "unwrapKey"})

    status, _, answer = running.steer(rotation, "retry", "its rights are back")
    report = running.ended(target, within=60)

    assert (status, answer["id"]) == (202, rotation)
    assert (report["id"], report["state"]) == (rotation, "completed")
    assert _verdicts(report, list(accounts)) == ["verified"] * 3
    assert [call.status for call in running.calls("PATCH", failing.id)][1:] == [200]
    assert running.writes(canary) == 1


def test_a_retry_of_a_rotation_that_has_ended_is_another_run_to_the_same_version(
    running: Stage,
) -> None:
    key = running.key()
    canary, failing = _accounts(running, key, 2)
    running.vault.revoke(failing.principal)
    target = running.rotate(key)
    failed = running.ended(target)
    running.vault.grant(failing.principal, {"get", "wrapKey", "unwrapKey"})

    status, headers, answer = running.steer(failed["id"], "retry", "its rights are back")
    report = running.shown(answer["id"], lambda report: report.get("endedAt"))

    assert (status, headers["location"]) == (202, f"/api/rotations/{answer['id']}")
    assert (failed["state"], report["state"]) == ("failed", "completed")
    assert (failed["id"][-2:], report["id"][-2:], report["target"]) == ("-1", "-2", target)
    assert _verdicts(report, [canary, failing]) == ["already", "verified"]
    assert len(running.vault.versions(key.rpartition("/")[2])) == 2


# -- what is refused -----------------------------------------------------------------------------


def _refused(stage: Stage, rotation: str, action: str, body: object) -> tuple[int, Any]:
    status, headers, answer = stage.http("POST", f"/api/rotations/{rotation}/{action}", body)
    assert headers["content-type"].partition(";")[0] == "application/problem+json"
    assert (answer["status"], answer["type"]) == (status, "about:blank")
    assert answer["title"] == HTTPStatus(status).phrase
    return status, answer


def test_a_rotation_that_has_ended_cannot_be_paused_resumed_or_cancelled(running: Stage) -> None:
    key = running.key()
    account = running.account(running.new_name("stended"), key)
    rotation = running.ended(running.rotate(key))["id"]

    for action in ("pause", "resume", "cancel"):
        status, answer = _refused(running, rotation, action, {"reason": "too late"})
        assert status == HTTPStatus.CONFLICT
        assert f"{rotation} moves nothing any more: it is completed" in answer["detail"]
    assert running.report(rotation)["state"] == "completed"
    assert running.writes(account) == 1


@pytest.mark.parametrize("rotation", ["0123456789abcdef0123-1", "No_Id!"])
def test_what_does_not_exist_cannot_be_steered(running: Stage, rotation: str) -> None:
    status, _ = _refused(running, rotation, "pause", {"reason": "a slip"})

    assert status == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        pytest.param(None, ["#"], id="nothing"),
        pytest.param({}, ["#"], id="no reason"),
        pytest.param({"reason": " "}, ["#/reason"], id="a blank reason"),
        pytest.param({"reason": "mine", "force": True}, ["#"], id="something else"),
    ],
)
def test_nobody_steers_without_a_reason(running: Stage, body: object, pointers: list[str]) -> None:
    status, answer = _refused(running, "0123456789abcdef0123-1", "cancel", body)

    assert status == HTTPStatus.BAD_REQUEST
    assert [error["pointer"] for error in answer["errors"]] == pointers


def test_nobody_steers_without_a_function_key(running: Stage) -> None:
    body = {"reason": "no key"}
    status, _, _ = running.http(
        "POST", "/api/rotations/0123456789abcdef0123-1/cancel", body, key=""
    )

    assert status == HTTPStatus.UNAUTHORIZED
