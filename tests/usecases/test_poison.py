"""Steps that never succeed: five deliveries, one poison message, and a verdict with its cause."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from shared.domain.callers import NOBODY
from shared.domain.keys import Key, KeyVersion
from shared.domain.records import Request
from shared.domain.rows import Beat, Foresight, Rotation, rotation_id
from shared.domain.steps import Discover, Repoint, RotateKey, Step, Verify
from shared.domain.verdicts import Outcome, Verdict
from shared.domain.work import Consumer
from tests.usecases.bench import Bench, open_step
from tests.usecases.rotations import head
from tests.usecases.runner import MOST_DELIVERIES, Runner


class BrokenError(Exception):
    """What nobody has thought of."""


type Called = Callable[[str, tuple[Any, ...]], bool]


def asking(method: str, name: str) -> Called:
    """Return what tells a request (``read`` or ``write``) to the resource of this name."""
    return lambda called, arguments: called == method and arguments[1].rpartition("/")[2] == name


@contextmanager
def breaking(bench: Bench, called: Called, *, after: int = 0) -> Iterator[None]:
    """Let each call of a port that ``called`` tells raise what is no error of ours.

    Args:
        bench: Where.
        called: Given the method and its arguments.
        after: So many of these calls are let through first.
    """
    left = after

    def breaks(method: str, arguments: tuple[Any, ...]) -> bool:
        nonlocal left
        if not called(method, arguments):
            return False
        left -= 1
        if left < 0:
            raise BrokenError("an answer that nobody has thought of")
        return False

    with bench.dying(before=breaks):
        yield


def _rotation(bench: Bench, target: str, run: int = 1) -> Rotation:
    return bench.rotation(rotation_id(KeyVersion.parse(target), run))


def _consumer(bench: Bench, rotation: Rotation, name: str) -> Consumer:
    works = [kept.row for kept in bench.steps.ledger.all(rotation.id)]
    (work,) = [work for work in works if work.resource.endswith(f"/{name}")]
    (consumer,) = work.consumers
    return consumer


@pytest.mark.parametrize(
    ("breaks", "kind", "verdict", "in_the_end"),
    [
        pytest.param(("read", 0), Repoint, Verdict.FAILED, Verdict.VERIFIED, id="reading"),
        pytest.param(("write", 0), Repoint, Verdict.FAILED, Verdict.VERIFIED, id="writing"),
        pytest.param(("read", 1), Verify, Verdict.UNKNOWN, Verdict.ALREADY, id="looking"),
    ],
)
def test_a_step_that_always_breaks_is_poisoned_once_and_a_retry_takes_its_work_up_again(
    bench: Bench,
    breaks: tuple[str, int],
    kind: type[Step],
    verdict: Verdict,
    in_the_end: Verdict,
) -> None:
    method, let_through = breaks
    key = bench.key()
    bench.account("staa", key)
    bad = bench.account("stbad", key)
    target = bench.new_version(key)
    runner = Runner(bench)
    runner.event(key)

    with breaking(bench, asking(method, "stbad"), after=let_through):
        runner.run()

    (poisoned,) = runner.poisoned
    assert isinstance(poisoned, kind)
    assert runner.deliveries[poisoned] == MOST_DELIVERIES
    ended = _rotation(bench, target)
    assert ended.outcome is Outcome.FAILED
    assert ended.counts == {Verdict.VERIFIED: 1, verdict: 1}
    reason = _consumer(bench, ended, "stbad").reason
    assert "failed five times: BrokenError: an answer that nobody has thought of" in reason

    asked = bench.steer.retry(ended.id, "mended", NOBODY)
    runner.run()

    again = _rotation(bench, target, run=2)
    assert bench.row(Request, asked, "request").rotation == again.id
    assert again.outcome is Outcome.COMPLETED
    assert _consumer(bench, again, "stbad").verdict is in_the_end
    assert bench.in_use(bad) == target


def test_what_was_poisoned_is_taken_up_again_while_its_rotation_goes_on(bench: Bench) -> None:
    key = bench.key()
    slow, bad = bench.account("staa", key, "absent"), bench.account("stbad", key)
    before, target = bench.in_use(bad), bench.new_version(key)
    runner = Runner(bench)
    runner.event(key)
    with breaking(bench, asking("read", "stbad")):
        runner.run(until=lambda: runner.poisoned)
        runner.run(until=lambda: not runner.queued(lambda step: step in runner.poisoned))
    assert _consumer(bench, _rotation(bench, target), "stbad").verdict is Verdict.FAILED

    assert (
        bench.steer.retry(_rotation(bench, target).id, "mended", NOBODY)
        == _rotation(bench, target).id
    )
    slow.pace.next_poll_at = bench.azure.clock.now()
    runner.run()

    ended = _rotation(bench, target)
    assert ended.outcome is Outcome.COMPLETED
    assert ended.counts == {Verdict.VERIFIED: 2}
    assert _consumer(bench, ended, "stbad").in_use_before == before
    assert len(runner.poisoned) == 1


def test_a_search_that_always_breaks_fails_the_rotation_with_the_cause(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    target = bench.new_version(key)
    runner = Runner(bench)
    runner.event(key)

    with breaking(bench, lambda method, _arguments: method == "page"):
        runner.run()

    rotation = _rotation(bench, target)
    assert rotation.outcome is Outcome.FAILED
    cause = "BrokenError: an answer that nobody has thought of"
    assert rotation.problem == f"discover failed five times: {cause}"
    assert [type(step) for step in runner.poisoned] == [Discover]
    assert bench.writes(account) == 0


@pytest.mark.parametrize(
    ("new_version", "breaks", "step"),
    [
        pytest.param(False, "versions", "open", id="opening"),
        pytest.param(True, "current", "rotate_key", id="making a version"),
    ],
)
def test_a_request_whose_step_always_breaks_says_why(
    bench: Bench,
    new_version: bool,  # noqa: FBT001 - a table
    breaks: str,
    step: str,
) -> None:
    key, runner = bench.key(), Runner(bench)
    request = bench.steer.ask.run(Key.parse(key), reason="please", new_version=new_version)

    with breaking(bench, lambda method, _arguments: method == breaks):
        runner.run()

    said = f"{step} failed five times: BrokenError: an answer that nobody has thought of"
    assert bench.row(Request, request.id, "request").problem == said
    assert head(bench, key).problem == said
    assert head(bench, key).trouble == ""


def test_a_look_ahead_that_always_breaks_says_why(bench: Bench) -> None:
    key = bench.key()
    bench.account("stone", key)
    target = bench.new_version(key)
    runner = Runner(bench)
    runner.event(key)

    with breaking(bench, lambda method, _arguments: method == "policy"):
        runner.run()

    rotation = _rotation(bench, target)
    assert rotation.outcome is Outcome.COMPLETED
    (finding,) = bench.row(Foresight, rotation.id, "preflight").findings
    assert "preflight failed five times: BrokenError: an answer that nobody" in finding.text


def test_what_another_step_about_the_key_has_raised_is_not_given_as_the_cause(
    bench: Bench,
) -> None:
    """A process that dies notes nothing."""
    key = bench.key()
    bench.new_version(key)
    with (
        breaking(bench, lambda method, _arguments: method == "versions"),
        pytest.raises(BrokenError),
    ):
        bench.run(open_step(key))
    asked = bench.steer.ask.run(Key.parse(key), reason="please", new_version=True)
    (step,) = bench.sent(RotateKey)

    bench.burial.run(step)

    said = bench.row(Request, asked.id, "request").problem
    assert said == "rotate_key failed five times: see the log"


def test_a_supervisor_that_breaks_for_a_while_comes_back_and_concludes(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    target = bench.new_version(key)
    runner = Runner(bench)
    runner.event(key)

    with breaking(bench, lambda _method, arguments: Beat in arguments):
        runner.run(until=lambda: runner.poisoned)
    runner.run()

    rotation = _rotation(bench, target)
    assert rotation.outcome is Outcome.COMPLETED
    assert bench.in_use(account) == target
