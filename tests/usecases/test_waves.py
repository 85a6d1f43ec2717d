"""A rotation tries each kind on one resource first, and stops where too much fails."""

import json
from collections.abc import Callable, Iterator

import pytest

from sandbox.azure import LocalAzure
from sandbox.faults import Fault
from shared.domain.callers import NOBODY
from shared.domain.steps import Discover, Repoint, Verify
from shared.domain.verdicts import Outcome, Verdict
from shared.domain.work import Wave
from tests.usecases.bench import Bench
from tests.usecases.rotations import (
    REFUSED,
    announced,
    carry_out,
    finish,
    follow,
    head,
    report_of,
    steering,
    verdicts,
    waves,
)


def released(bench: Bench, rotation: str) -> set[str]:
    """Return the names of the resources whose move was queued since that was last forgotten."""
    names = {
        kept.row.address[1]: kept.row.resource.rpartition("/")[2]
        for kept in bench.steps.ledger.all(rotation)
    }
    return {names[step.resource] for step in bench.sent(Repoint)}


def run_moves(bench: Bench) -> None:
    """Run the moves that are queued."""
    steps = bench.sent(Repoint)
    bench.forget_sent()
    for step in steps:
        bench.run(step)


def run_moves_and_looks(bench: Bench) -> None:
    """Run the moves that are queued, and a look after each."""
    run_moves(bench)
    looks = bench.sent(Verify)
    bench.pass_time(seconds=10)
    bench.forget_sent()
    for look in looks:
        bench.run(look)


def refuse(bench: Bench, *names: str) -> None:
    """Have the service refuse every write to some accounts."""
    for name in names:
        fault = Fault(method="PATCH", path=f"*/{name}", times=None, answer=REFUSED)
        bench.azure.faults.add(fault)


def three_pinned(bench: Bench) -> tuple[str, str]:
    """Open a rotation of three accounts; return key and rotation, with the canary queued."""
    key = bench.key()
    for name in ("sta", "stb", "stc"):
        bench.account(name, key)
    bench.new_version(key)
    rotation = bench.open(key)
    bench.discover(rotation)
    assert released(bench, rotation) == {"sta"}
    return key, rotation


def test_one_resource_of_a_kind_goes_first_and_the_others_once_it_has_ended(bench: Bench) -> None:
    _, rotation = three_pinned(bench)
    assert waves(bench, rotation) == {"sta": Wave.CANARY, "stb": Wave.REST, "stc": Wave.REST}
    run_moves_and_looks(bench)
    bench.supervise(rotation)
    assert released(bench, rotation) == {"stb", "stc"}
    assert bench.finish(rotation).counts == {Verdict.VERIFIED: 3}


def test_the_others_wait_for_the_proof_of_the_canary_not_for_its_write(bench: Bench) -> None:
    key = bench.key()
    canary, other = (bench.account(name, key) for name in ("sta", "stb"))
    bench.new_version(key)
    canary.pace.stuck()
    rotation = bench.open(key)
    bench.discover(rotation)
    run_moves(bench)
    assert (bench.writes(canary), bench.writes(other)) == (1, 0)
    bench.supervise(rotation)
    assert released(bench, rotation) == set()


def test_the_others_wait_for_the_end_of_discovery(bench: Bench) -> None:
    """Else a kind that is found late would have its canary after the others have moved."""
    key = bench.key()
    for name in ("sta", "stb"):
        bench.account(name, key)
    bench.new_version(key)
    rotation = bench.open(key)
    bench.forget_sent()
    bench.run(Discover(rotation=rotation))
    bench.run(Discover(rotation=rotation, page=1))
    rest_of_search = bench.sent(Discover)[-1]

    bench.supervise(rotation)
    assert released(bench, rotation) == {"sta"}
    run_moves_and_looks(bench)
    assert verdicts(bench, rotation)["sta"] is Verdict.VERIFIED
    bench.supervise(rotation)
    assert released(bench, rotation) == set()

    follow(bench, rest_of_search)
    bench.supervise(rotation)
    assert released(bench, rotation) == {"stb"}


def test_a_canary_that_is_gone_has_shown_nothing_and_two_others_go_first(bench: Bench) -> None:
    key = bench.key()
    canary, *_ = [bench.account(name, key) for name in ("sta", "stb", "stc", "std")]
    bench.new_version(key)
    rotation = bench.open(key)
    bench.discover(rotation)
    bench.azure.estate.delete(canary)
    run_moves(bench)
    assert verdicts(bench, rotation)["sta"] is Verdict.GONE
    for _ in range(3):
        bench.supervise(rotation)
    assert len(bench.sent(Repoint)) == 2
    assert finish(bench, rotation).counts == {Verdict.GONE: 1, Verdict.VERIFIED: 3}


def test_what_needs_no_write_is_not_held_up_by_a_canary(bench: Bench) -> None:
    key = bench.key()
    stuck = bench.account("sta", key)
    bench.account("stb", key)
    target = bench.new_version(key)
    bench.account("stfollows", key, "absent")
    bench.account("stthere", target)
    stuck.pace.stuck()
    rotation = bench.open(key)
    bench.discover(rotation)
    assert released(bench, rotation) == {"sta", "stfollows", "stthere"}
    run_moves(bench)
    assert verdicts(bench, rotation) == {
        "sta": None,
        "stfollows": Verdict.ALREADY,
        "stthere": Verdict.ALREADY,
    }


def test_a_canary_that_fails_pauses_the_rotation(bench: Bench) -> None:
    key, rotation = three_pinned(bench)
    refuse(bench, "sta")
    run_moves(bench)
    for _ in range(3):
        bench.supervise(rotation)
    assert bench.sent(Repoint) == []
    assert "a canary failed" in head(bench, key).paused
    assert bench.rotation(rotation).outcome is None
    report = report_of(bench, rotation)
    assert report["state"] == "paused"
    assert "a canary failed" in report["pausedBecause"]
    assert announced(bench, rotation) == ["RotationStarted", "RotationPaused"]


def test_a_rotation_that_is_let_go_on_moves_the_others_whatever_has_failed(bench: Bench) -> None:
    key, rotation = three_pinned(bench)
    refuse(bench, "sta")
    run_moves(bench)
    bench.supervise(rotation)
    steering(bench).resume(rotation, "only sta is locked", NOBODY)
    ended = bench.finish(rotation)
    assert verdicts(bench, rotation) == {
        "sta": Verdict.FAILED,
        "stb": Verdict.VERIFIED,
        "stc": Verdict.VERIFIED,
    }
    assert ended.outcome is Outcome.FAILED
    assert (head(bench, key).paused, head(bench, key).active) == ("", None)
    told = ["RotationStarted", "RotationPaused", "RotationFailed"]
    assert announced(bench, rotation) == told


def test_a_canary_that_fails_where_nothing_waits_for_it_pauses_nothing(bench: Bench) -> None:
    key = bench.key()
    bench.account("sta", key)
    bench.new_version(key)
    refuse(bench, "sta")
    ended = carry_out(bench, bench.open(key))
    assert (ended.outcome, ended.counts) == (Outcome.FAILED, {Verdict.FAILED: 1})
    assert announced(bench, ended.id) == ["RotationStarted", "RotationFailed"]


@pytest.fixture
def limited(
    local_azure: Callable[[float], LocalAzure], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    """A bench whose rotations pause once two resources have failed."""
    with local_azure(1) as azure:
        for name, value in azure.environment().items():
            monkeypatch.setenv(name, value)
        yield Bench(azure, policy={"failure_limit": 2})


def after_the_canary(bench: Bench, *names: str) -> tuple[str, str, dict[str, Repoint]]:
    """Open a rotation of accounts, the first of which has moved; return the moves of the others."""
    key = bench.key()
    for name in names:
        bench.account(name, key)
    bench.new_version(key)
    rotation = bench.open(key)
    bench.discover(rotation)
    run_moves_and_looks(bench)
    bench.supervise(rotation)
    steps = {step.resource: step for step in bench.sent(Repoint)}
    works = [kept.row for kept in bench.steps.ledger.all(rotation)]
    moves = {w.resource.rpartition("/")[2]: steps.get(w.address[1]) for w in works}
    return key, rotation, {name: step for name, step in moves.items() if step}


def test_at_the_failure_limit_the_rotation_pauses_and_what_was_released_is_set_aside(
    limited: Bench,
) -> None:
    key, rotation, moves = after_the_canary(limited, "sta", "stb", "stc", "std", "ste")
    refuse(limited, "stb", "stc")
    limited.run(moves["stb"])
    limited.supervise(rotation)
    assert head(limited, key).paused == "", "one is below the limit"
    limited.run(moves["stc"])
    limited.supervise(rotation)
    assert head(limited, key).paused == "2 resources failed; the limit is 2"

    writes = len(limited.calls("PATCH"))
    limited.run(moves["std"])
    limited.supervise(rotation)
    assert len(limited.calls("PATCH")) == writes

    steering(limited).resume(rotation, "seen", NOBODY)
    limited.settle(rotation)
    assert verdicts(limited, rotation) == {
        "sta": Verdict.VERIFIED,
        "stb": Verdict.FAILED,
        "stc": Verdict.FAILED,
        "std": Verdict.VERIFIED,
        "ste": Verdict.VERIFIED,
    }


def test_after_a_pause_the_limit_is_counted_anew(limited: Bench) -> None:
    names = [f"st{letter}" for letter in "abcdefg"]
    key, rotation, moves = after_the_canary(limited, *names)
    refuse(limited, "stb", "stc", "std", "ste")
    for name in ("stb", "stc"):
        limited.run(moves[name])
    limited.supervise(rotation)
    assert head(limited, key).paused
    steering(limited).resume(rotation, "seen", NOBODY)

    limited.run(moves["std"])
    limited.supervise(rotation)
    assert head(limited, key).paused == "", "one more is below the limit"
    limited.run(moves["ste"])
    limited.supervise(rotation)
    assert head(limited, key).paused == "4 resources failed; the limit is 2"


def test_what_was_written_before_a_pause_is_still_proven(bench: Bench) -> None:
    key = bench.key()
    canary = bench.account("sta", key)
    bench.account("stb", key)
    bench.new_version(key)
    canary.pace.stuck()
    rotation = bench.open(key)
    bench.discover(rotation)
    run_moves(bench)
    steering(bench).pause(rotation, "a change freeze", NOBODY)
    assert verdicts(bench, rotation) == {"sta": None}
    canary.pace.prompt()
    bench.patch(canary, json.loads(bench.calls("PATCH")[-1].request_body))
    bench.settle(rotation)
    assert verdicts(bench, rotation) == {"sta": Verdict.VERIFIED}


@pytest.mark.parametrize("paused", [False, True], ids=["under way", "paused"])
def test_a_cancelled_rotation_closes_what_is_open_and_keeps_what_has_its_verdict(
    bench: Bench, *, paused: bool
) -> None:
    key, rotation = three_pinned(bench)
    run_moves_and_looks(bench)
    bench.supervise(rotation)
    released_before = bench.sent(Repoint)
    if paused:
        steering(bench).pause(rotation, "wait", NOBODY)
    steering(bench).cancel(rotation, "wrong key", NOBODY)
    ended = bench.supervise(rotation)
    for step in released_before:
        bench.run(step)
    assert ended.outcome is Outcome.CANCELLED
    assert verdicts(bench, rotation) == {
        "sta": Verdict.VERIFIED,
        "stb": Verdict.CANCELLED,
        "stc": Verdict.CANCELLED,
    }
    assert len(bench.calls("PATCH")) == 1
    assert (head(bench, key).active, head(bench, key).cancelled) == (None, "")
