"""Somebody has mended what failed, and lets the rotation try again: it does, whenever they ask."""

import pytest

from sandbox.faults import Fault
from shared.domain.callers import NOBODY
from shared.domain.records import Request
from shared.domain.verdicts import Outcome, Verdict
from shared.domain.work import Stage
from tests.usecases.bench import Bench
from tests.usecases.memory import in_memory
from tests.usecases.rotations import REFUSED, head, stages, verdicts
from tests.usecases.runner import Runner
from tests.usecases.test_takeover import Interrupted, interrupt


@pytest.fixture(name="bench")
def _bench(bench: Bench) -> Bench:
    """A bench whose rows are in memory."""
    return in_memory(bench)


def begun(bench: Bench, *names: str, refused: str) -> tuple[Runner, str, str]:
    """Open a rotation of some accounts, one of which refuses its first write."""
    key = bench.key()
    for name in names:
        bench.account(name, key)
    bench.later_version(key)
    bench.azure.faults.add(Fault(method="PATCH", path=f"*/{refused}", answer=REFUSED))
    runner = Runner(bench)
    runner.event(key)
    runner.run(until=lambda: bench.active(key))
    return runner, key, bench.active(key)


def about_to_end(bench: Bench) -> tuple[Runner, str]:
    """Carry a rotation on until its end is all that is left; one account has failed."""
    runner, _, rotation = begun(bench, "stone", "sttwo", refused="sttwo")
    runner.run(until=lambda: stages(bench, rotation) == {Stage.DONE, Stage.UNSETTLED})
    return runner, rotation


def test_a_retry_while_the_rotation_ends_is_another_run_and_takes_no_verdict_away(
    bench: Bench,
) -> None:
    runner, rotation = about_to_end(bench)

    def end() -> None:
        runner.run(until=lambda: bench.rotation(rotation).outcome)

    # It ends after the retry has seen that it had not, and before the work is taken up again.
    rows = Interrupted(bench.steer.ledger.rows, "commit", end)
    object.__setattr__(bench.steer.ledger, "rows", rows)
    asked = bench.steer.retry(rotation, "mended", NOBODY)

    assert bench.rotation(rotation).outcome is Outcome.FAILED
    assert verdicts(bench, rotation) == {"stone": Verdict.VERIFIED, "sttwo": Verdict.FAILED}
    assert Stage.OPEN not in stages(bench, rotation)
    runner.run()
    again = bench.row(Request, asked, "request").rotation
    assert bench.rotation(again).outcome is Outcome.COMPLETED


def test_a_step_that_is_about_to_end_a_rotation_looks_again_after_a_retry(bench: Bench) -> None:
    runner, rotation = about_to_end(bench)
    asked: list[str] = []

    def retry() -> None:
        asked.append(bench.steer.retry(rotation, "mended", NOBODY))

    interrupt(bench, "supervise.conclude", "vaults", "version", retry)
    runner.run()

    assert asked == [rotation]
    assert bench.rotation(rotation).outcome is Outcome.COMPLETED
    assert verdicts(bench, rotation) == {"stone": Verdict.VERIFIED, "sttwo": Verdict.VERIFIED}


def test_a_retry_lets_a_rotation_go_on_that_has_paused_for_its_failures(bench: Bench) -> None:
    runner, key, rotation = begun(bench, "sta", "stb", refused="sta")
    runner.run(until=lambda: head(bench, key).paused)
    assert head(bench, key).paused.startswith("a canary failed")
    assert head(bench, key).paused.endswith("/storageAccounts/sta")

    bench.steer.retry(rotation, "mended", NOBODY)
    runner.run()

    assert (head(bench, key).paused, head(bench, key).tolerated) == ("", 0)
    assert bench.rotation(rotation).outcome is Outcome.COMPLETED
    assert verdicts(bench, rotation) == {"sta": Verdict.VERIFIED, "stb": Verdict.VERIFIED}


def test_what_failed_is_tried_before_the_others_and_pauses_again_if_it_fails_again(
    bench: Bench,
) -> None:
    runner, key, rotation = begun(bench, "sta", "stb", refused="sta")
    bench.azure.faults.add(Fault(method="PATCH", path="*/sta", answer=REFUSED))
    runner.run(until=lambda: head(bench, key).paused)

    bench.steer.retry(rotation, "mended, or so I thought", NOBODY)
    runner.run(until=lambda: head(bench, key).paused)

    assert verdicts(bench, rotation) == {"sta": Verdict.FAILED}


def test_a_look_that_is_about_to_pause_a_rotation_looks_again_after_a_retry(bench: Bench) -> None:
    runner, key, rotation = begun(bench, "sta", "stb", refused="sta")
    runner.run(until=lambda: Verdict.FAILED in verdicts(bench, rotation).values())
    asked: list[str] = []

    def retry() -> None:
        asked.append(bench.steer.retry(rotation, "mended", NOBODY))

    interrupt(bench, "supervise", "ledger", "load", retry)  # to name what has failed
    runner.run()

    assert asked == [rotation]
    assert head(bench, key).paused == ""
    assert bench.rotation(rotation).outcome is Outcome.COMPLETED


def test_a_retry_does_not_undo_what_a_person_has_paused(bench: Bench) -> None:
    runner, key, rotation = begun(bench, "sta", "stb", refused="sta")
    runner.run(until=lambda: head(bench, key).paused)
    bench.steer.pause(rotation, "not tonight", NOBODY)

    bench.steer.retry(rotation, "mended", NOBODY)
    assert head(bench, key).paused == "not tonight"

    bench.steer.resume(rotation, "good morning", NOBODY)
    runner.run()
    assert bench.rotation(rotation).outcome is Outcome.COMPLETED
