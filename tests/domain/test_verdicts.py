"""How a rotation ended, by what became of its consumers."""

import pytest

from shared.domain.verdicts import CONFIRMED, FAILURES, PROVEN, SETTLED, Outcome, Verdict, conclude


def test_only_a_proof_makes_a_proven_verdict() -> None:
    assert {Verdict.VERIFIED, Verdict.ALREADY, Verdict.LATE} == PROVEN


@pytest.mark.parametrize(
    "verdict",
    [
        Verdict.STUCK,
        Verdict.FAILED,
        Verdict.UNKNOWN,
        Verdict.MANUAL,
        Verdict.REVERTED,
    ],
)
def test_a_single_unsettled_consumer_fails_the_rotation(verdict: Verdict) -> None:
    assert verdict not in SETTLED
    counts = {Verdict.VERIFIED: 1000, verdict: 1}
    assert conclude(counts, readable=5, unreadable=0) is Outcome.FAILED


def test_every_verdict_is_settled_or_not_on_purpose() -> None:
    unsettled = {"stuck", "failed", "unknown", "manual", "reverted"}
    assert {verdict.value for verdict in Verdict} - {v.value for v in SETTLED} == unsettled


def test_the_closing_scan_looks_again_at_every_verdict_that_rests_on_a_reading() -> None:
    assert {Verdict.SKIPPED, Verdict.GONE} | PROVEN == CONFIRMED
    assert CONFIRMED < SETTLED


def test_what_counts_against_the_failure_limit_is_unsettled_and_asks_for_no_decision() -> None:
    assert {v.value for v in FAILURES} == {"failed", "stuck", "unknown", "reverted"}
    assert not FAILURES & SETTLED
    assert Verdict.MANUAL not in FAILURES


def test_what_cannot_hold_a_key_is_settled_and_is_nothing_found() -> None:
    told = {Verdict.NOT_APPLICABLE: 4}
    assert Verdict.NOT_APPLICABLE in SETTLED
    assert conclude(told, readable=1, unreadable=0) is Outcome.NOTHING_FOUND
    assert conclude(told | {Verdict.VERIFIED: 1}, readable=1, unreadable=0) is Outcome.COMPLETED


@pytest.mark.parametrize("verdict", sorted(SETTLED - {Verdict.NOT_APPLICABLE}))
def test_settled_consumers_complete_it(verdict: Verdict) -> None:
    assert conclude({verdict: 1}, readable=1, unreadable=0) is Outcome.COMPLETED


@pytest.mark.parametrize(
    ("counts", "readable", "unreadable", "outcome"),
    [
        pytest.param({}, 3, 0, Outcome.NOTHING_FOUND, id="searched, nothing found"),
        pytest.param({}, 0, 0, Outcome.FAILED, id="searched nothing"),
        pytest.param({}, 3, 1, Outcome.FAILED, id="one could not be searched"),
        pytest.param({}, 0, 2, Outcome.FAILED, id="none could be searched"),
        pytest.param({Verdict.VERIFIED: 9}, 0, 0, Outcome.FAILED, id="proven, nothing readable"),
        pytest.param({Verdict.VERIFIED: 9}, 2, 1, Outcome.FAILED, id="proven, one not readable"),
        pytest.param({Verdict.STUCK: 0}, 1, 0, Outcome.NOTHING_FOUND, id="a count of none"),
    ],
)
def test_what_was_not_seen_is_no_success(
    counts: dict[Verdict, int], readable: int, unreadable: int, outcome: Outcome
) -> None:
    assert conclude(counts, readable=readable, unreadable=unreadable) is outcome
