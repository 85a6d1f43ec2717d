"""One trace per rotation, and metrics that say what is on record."""

import logging
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from opentelemetry.trace import SpanKind, StatusCode

from sandbox.azure import LocalAzure
from sandbox.faults import Answer, Fault
from shared.adapters.telemetry.steps import TracedSteps
from shared.adapters.telemetry.telemetry import Telemetry
from shared.domain.errors import UnreadableError
from shared.domain.rows import Cause, Rotation
from shared.domain.steps import Revive, Step, Supervise
from shared.domain.verdicts import Outcome, Verdict
from tests.e2e.test_secrets import PLANTED
from tests.usecases.bench import Bench, at
from tests.usecases.rotations import carry_out, finish
from tests.usecases.runner import Runner
from tests.usecases.telemetry import Heard, TracedBench, lines_of_ours, traced


@pytest.fixture(name="bench")
def _bench(
    local_azure: Callable[[float], LocalAzure], monkeypatch: pytest.MonkeyPatch
) -> Iterator[TracedBench]:
    with local_azure(1) as azure, traced(azure, monkeypatch) as bench:
        yield bench


def test_a_rotation_is_one_trace_across_messages_and_a_death(bench: TracedBench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.account("sttwo", key)
    bench.later_version(key)
    rotation = bench.open(key)
    bench.begin_process()
    first, *_ = bench.discover(rotation)
    with bench.dying(after=at("write")):
        bench.run_and_die(first)
    bench.pass_time(minutes=10)
    bench.run(first)

    ended = finish(bench, rotation)

    assert ended.outcome is Outcome.COMPLETED
    (root,) = bench.heard.spans("open")
    assert root.parent is None
    assert root.context
    others = [span for span in bench.heard.spans() if span is not root]
    assert {"preflight", "discover", "repoint", "verify", "supervise"} >= {s.name for s in others}
    assert {"discover", "repoint", "verify", "supervise"} <= {s.name for s in others}
    assert {span.context.trace_id for span in others if span.context} == {root.context.trace_id}
    assert {span.parent.span_id for span in others if span.parent} == {root.context.span_id}
    assert all(span.parent for span in others)
    died = next(span for span in others if span.status.status_code is StatusCode.ERROR)
    assert died.attributes
    assert died.attributes["error.type"] == "Died"
    assert died.events == ()


def test_a_span_names_what_its_step_was_about(bench: TracedBench) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    bench.later_version(key)

    rotation = bench.open(key)
    carry_out(bench, rotation)

    for span in bench.heard.spans():
        told = dict(span.attributes or {})
        assert told["keyturn.rotation"] == rotation
        assert told["keyturn.key"] == key
        assert told["keyturn.step"] == span.name
        assert str(told["messaging.message.id"]).startswith("m")
        assert told["keyturn.attempt"] == 0
        assert span.kind is SpanKind.CONSUMER
    proofs = [
        dict(span.attributes or {})
        for span in bench.heard.spans()
        if "keyturn.verdict" in (span.attributes or {})
    ]
    (proof,) = proofs
    assert proof["keyturn.verdict"] == "verified"
    assert proof["keyturn.kind"] == "storage_account"
    assert str(proof["keyturn.resource"]).lower() == account.id.lower()


def test_what_is_counted_is_what_is_on_record(bench: TracedBench) -> None:
    key = bench.key()
    for name in ("stone", "sttwo", "stthree"):
        account = bench.account(name, key)
    account.pace.stuck()
    refused = {"error": {"code": "AuthorizationFailed", "message": "no"}}
    busy = {"error": {"code": "TooManyRequests", "message": "later"}}
    for method, path, answer in (
        ("PATCH", "*/sttwo", Answer(403, refused)),
        ("GET", "*/stone", Answer(429, busy, {"retry-after": "2"})),
    ):
        bench.azure.faults.add(Fault(method=method, path=path, answer=answer))
    bench.policies.set_defaults(failure_limit=10)
    bench.later_version(key)
    before = _answers(bench)
    runner = Runner(bench)
    runner.event(key)

    runner.run()

    (name,) = {
        str(span.attributes["keyturn.rotation"])
        for span in bench.heard.spans("discover")
        if span.attributes
    }
    ended, heard = bench.rotation(name), bench.heard
    assert ended.counts == {Verdict.VERIFIED: 1, Verdict.FAILED: 1, Verdict.STUCK: 1}
    assert heard.sums("keyturn.consumers", "keyturn.verdict") == ended.counts
    assert heard.sums("keyturn.rotations", "keyturn.outcome") == {ended.outcome: 1}
    assert heard.sums("keyturn.time_to_proof", "keyturn.verdict") == {Verdict.VERIFIED: 1}
    assert sum(heard.sums("keyturn.event.lag").values()) == 1
    assert heard.sums("keyturn.throttles", "keyturn.provider") == {"microsoft.storage": 1}
    assert sum(heard.sums("keyturn.arm.requests").values()) == _answers(bench) - before


def _answers(bench: Bench) -> int:
    return sum(call.host == "management.azure.com" for call in bench.azure.front_door.traffic())


def test_tracing_reads_one_row_per_rotation_and_process_and_writes_none(
    bench: TracedBench,
) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.later_version(key)
    rotation = bench.open(key)
    bench.discover(rotation)
    bench.begin_process()

    assert finish(bench, rotation).outcome is Outcome.COMPLETED

    assert bench.asked == ["load", "load"]


def test_without_an_sdk_tracing_asks_for_nothing_and_is_told_nothing(bench: TracedBench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.later_version(key)
    bench.begin_process(Telemetry())

    ended = carry_out(bench, bench.open(key))

    assert (ended.outcome, ended.traceparent) == (Outcome.COMPLETED, "")
    assert bench.asked == []
    assert bench.heard.spans() == []


def test_a_rotation_of_before_there_was_a_trace_context_goes_on(bench: TracedBench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.later_version(key)
    rotation = bench.open(key)
    kept = bench.rows.load(Rotation, rotation, "rotation")
    assert kept
    bench.rows.replace(kept, replace(kept.row, traceparent=""))
    bench.begin_process()

    assert carry_out(bench, rotation).outcome is Outcome.COMPLETED

    spans = bench.heard.spans()
    assert all(span.parent is None for span in spans)
    assert {(span.attributes or {})["keyturn.rotation"] for span in spans} == {rotation}


def test_lines_of_ours_name_the_step_that_wrote_them(bench: TracedBench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.later_version(key)

    with lines_of_ours() as lines:
        rotation = bench.open(key)
        (step,) = bench.discover(rotation)
        bench.run(step)
        logging.getLogger("shared.x").info("between steps")

    *of_steps, between = lines
    assert between == "between steps"
    assert of_steps
    for line in of_steps:
        assert re.search(r" \[step=\w+ (rotation=|key=)\S+.* message=m\d+\]$", line), line
    (move,) = [line for line in of_steps if line.startswith("accepted: ")]
    assert f"[step=repoint rotation={rotation} work={step.resource} message=" in move


def test_no_signal_repeats_what_a_service_or_a_bug_has_said(bench: TracedBench) -> None:
    secrets = [*PLANTED.values()]
    key = bench.key()
    bench.account("stone", key)
    said = {"error": {"code": "Forbidden", "message": " ".join(secrets)}}
    bench.azure.faults.add(Fault(method="PATCH", path="*/stone", answer=Answer(403, said)))
    bench.later_version(key)
    ended = carry_out(bench, bench.open(key))
    assert ended.counts == {Verdict.FAILED: 1}

    def fails(_step: Step) -> None:
        raise RuntimeError(secrets[0])

    with pytest.raises(RuntimeError):
        TracedSteps(fails, bench.heard.telemetry, bench.rows).run(Revive(), message="m")

    told = [span.to_json() for span in bench.heard.spans()]
    told += [metric.to_json() for metric in bench.heard.metrics().values()]
    assert not [secret for secret in secrets for text in told if secret in text]
    assert '"error.type": "RuntimeError"' in told[len(bench.heard.spans()) - 1]


def test_a_request_is_counted_by_its_provider(bench: TracedBench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.later_version(key)

    carry_out(bench, bench.open(key))

    told = bench.heard.sums("keyturn.arm.requests", "http.request.method", "keyturn.provider")
    assert told["PATCH", "microsoft.storage"] == 1
    assert told["POST", "microsoft.resourcegraph"] >= 1


@pytest.fixture(name="heard")
def _heard() -> Iterator[Heard]:
    heard = Heard()
    yield heard
    heard.close()


def test_a_step_without_a_rotation_is_a_root_whatever_the_worker_has_made_current(
    heard: Heard,
) -> None:
    with (
        heard.telemetry.step(Revive(), message="m1", rotation=None),
        heard.telemetry.step(Revive(), message="m2", rotation=None),
    ):
        pass
    assert [span.parent for span in heard.spans()] == [None, None]


@pytest.mark.parametrize(("flags", "kept"), [("01", 1), ("00", 0)])
def test_a_rotation_is_sampled_whole_or_not_at_all(heard: Heard, flags: str, kept: int) -> None:
    """As the step that opened it was, by what its row says."""
    now = datetime(2026, 11, 27, tzinfo=UTC)
    rotation = Rotation(
        id="r-1",
        key="https://kv/keys/k",
        target="https://kv/keys/k/1",
        target_created=now + timedelta(seconds=1),
        key_type="RSA",
        run=1,
        cause=Cause(trigger="event", id="e1"),
        opened_at=now,
        traceparent=f"00-{'a' * 32}-{'b' * 16}-{flags}",
    )
    with heard.telemetry.step(Supervise(rotation="r-1"), message="m", rotation=rotation):
        heard.telemetry.opened(rotation)
    assert len(heard.spans()) == kept
    assert heard.sums("keyturn.event.lag") == {(): 1}, "by the vault's clock it was not yet made"


DOCS = Path(__file__).parents[2] / "docs" / "operations" / "telemetry.md"


def test_the_page_lists_what_is_told(bench: TracedBench) -> None:
    """Name, unit and attributes of every metric; the attributes of every span."""
    key = bench.key()
    bench.account("stone", key)
    busy = Answer(429, {"error": {"code": "TooManyRequests", "message": "later"}})
    bench.azure.faults.add(Fault(method="GET", path="*/stone", answer=busy))
    bench.later_version(key)
    runner = Runner(bench)
    runner.event(key)
    runner.run()
    with pytest.raises(UnreadableError):
        TracedSteps(_unreadable, bench.heard.telemetry, bench.rows).run(Revive(), message="m")

    page = DOCS.read_text()
    rows = re.findall(r"^\| `(keyturn\.[\w.]+)` \| (\S+) \| (.*?) \|", page, re.MULTILINE)
    listed = {name: (unit, set(re.findall(r"`([\w.]+)`", told))) for name, unit, told in rows}
    assert listed == {
        name: (
            metric.unit,
            {each for point in metric.data.data_points for each in point.attributes or {}},
        )
        for name, metric in bench.heard.metrics().items()
    }
    spans = re.findall(r"^\| `([\w.]+)` \| [^|]*\|$", page, re.MULTILINE)
    assert set(spans) == {each for span in bench.heard.spans() for each in span.attributes or {}}


def _unreadable(_step: Step) -> None:
    raise UnreadableError("no")
