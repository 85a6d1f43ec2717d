"""Which request meets which fault."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.clock import SandboxClock
from sandbox.faults import Answer, Fault, Faults, server_error_html, throttled

RECORDINGS = Path(__file__).parents[3] / "shared" / "data" / "recordings"


@pytest.fixture
def faults() -> Faults:
    return Faults(SandboxClock.start())


@pytest.mark.parametrize(
    ("fault", "meets"),
    [
        pytest.param(Fault(), True, id="no pattern meets everything"),
        pytest.param(Fault(method="get"), True, id="case of the method is ignored"),
        pytest.param(Fault(method="PATCH"), False, id="another method"),
        pytest.param(Fault(host="*.vault.azure.net"), True, id="host by pattern"),
        pytest.param(Fault(host="management.azure.com"), False, id="another host"),
        pytest.param(Fault(path="/KEYS/*"), True, id="case of the path is ignored"),
        pytest.param(Fault(path="/keys"), False, id="a pattern covers the whole path"),
        pytest.param(Fault(method="GET", host="kv2.*"), False, id="all patterns must match"),
    ],
)
def test_a_fault_meets_what_its_patterns_match(
    faults: Faults, fault: Fault, *, meets: bool
) -> None:
    faults.add(fault)

    assert (faults.take("GET", "kv1.vault.azure.net", "/Keys/cmk") is fault) is meets


def test_a_fault_is_gone_after_its_times(faults: Faults) -> None:
    faults.add(Fault(times=2))

    taken = [faults.take("GET", "h", "/") is not None for _ in range(3)]

    assert taken == [True, True, False]


def test_a_fault_without_times_stays_until_cleared(faults: Faults) -> None:
    faults.add(Fault(times=None))
    stayed = all(faults.take("GET", "h", "/") for _ in range(5))

    faults.clear()

    assert stayed
    assert faults.take("GET", "h", "/") is None


@pytest.mark.parametrize(
    ("since", "until", "meets"),
    [(-1, 1, True), (-1, None, True), (None, 1, True), (1, None, False), (None, -1, False)],
)
def test_a_fault_is_there_from_its_beginning_to_its_end(
    since: int | None, until: int | None, *, meets: bool
) -> None:
    clock = SandboxClock(datetime(2030, 1, 1, tzinfo=UTC), rate=1)
    now, faults = clock.now(), Faults(clock)
    begins, ends = (None if m is None else now + timedelta(minutes=m) for m in (since, until))
    faults.add(Fault(times=None, since=begins, until=ends))

    assert (faults.take("GET", "h", "/") is not None) is meets


def test_faults_are_met_in_the_order_in_which_they_were_added(faults: Faults) -> None:
    first, second = Fault(answer=Answer(500)), Fault(answer=Answer(503))
    faults.add(first)
    faults.add(second)

    assert [faults.take("GET", "h", "/"), faults.take("GET", "h", "/")] == [first, second]


def test_faults_that_were_met_are_noted_with_sandbox_time() -> None:
    clock = SandboxClock(datetime(2030, 1, 1, tzinfo=UTC), rate=1)
    faults = Faults(clock)
    fault = Fault(method="GET")
    faults.add(fault)
    faults.take("PUT", "h", "/")

    before = clock.now()
    faults.take("GET", "h", "/")

    [(noted, when)] = faults.taken
    assert noted is fault
    assert before <= when <= clock.now()


def recorded(name: str, index: int) -> dict[str, Any]:
    path = RECORDINGS / "arm-common" / name
    if not path.exists():
        pytest.skip("the recordings of the real service are not here")
    exchanges = json.loads(path.read_text())["exchanges"]
    response: dict[str, Any] = next(e["response"] for e in exchanges if e["index"] == index)
    return response


def test_throttling_by_header_is_as_recorded() -> None:
    real = recorded("429_plain.json", 5)

    answer = throttled(timedelta(seconds=2))

    assert answer.status == real["status"]
    assert answer.all_headers["retry-after"] == real["headers"]["retry-after"]
    assert json.loads(answer.content) == real["body"]


def test_throttling_by_text_alone_is_as_recorded() -> None:
    real = recorded("429_subscription_requests_throttled.json", 0)

    answer = throttled(timedelta(seconds=6), in_text=True)
    body = json.loads(answer.content)

    assert answer.status == real["status"]
    assert "retry-after" not in answer.all_headers
    assert body["error"]["code"] == real["body"]["error"]["code"]
    assert body["error"]["message"].endswith("Please try again after '6' seconds.")
    assert real["body"]["error"]["message"].endswith("Please try again after '6' seconds.")


def test_an_error_of_a_gateway_is_html_and_no_json() -> None:
    answer = server_error_html(502)

    assert answer.status == 502
    assert answer.all_headers["content-type"] == "text/html"
    assert b"Bad Gateway" in answer.content
