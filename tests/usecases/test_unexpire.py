"""An expired version with consumers that refuse another is made valid again first."""

from datetime import timedelta

import pytest

from sandbox.faults import Fault
from sandbox.identity import APP_PRINCIPAL
from shared.domain.steps import Open, RotateKey
from tests.usecases.bench import VAULT, Bench, at
from tests.usecases.watched import (
    COSMOS,
    DENIED,
    ROTATE,
    STORAGE,
    end_of,
    expire,
    key_of,
    live_through,
    made,
    request_of,
    rotate_step,
    told,
    use,
    watch,
    watched,
)


@pytest.fixture(name="lapsed")
def _lapsed(bench: Bench) -> str:
    """A version that has expired; the policy has another made, and may make it valid again."""
    bench.policies.set_defaults(expired=ROTATE, unexpire_days=2)
    bench.azure.estate.vault(VAULT).grant(APP_PRINCIPAL, {"update"})
    return made(bench, days=-1)


def test_a_version_that_refusing_consumers_use_is_made_valid_again_and_followed_an_hour_later(
    bench: Bench, lapsed: str
) -> None:
    use(bench, lapsed, "cos1", "cos2", kind=COSMOS)
    step = rotate_step(bench, lapsed)
    bench.run(step)
    assert end_of(bench, lapsed) > bench.clock.now() + timedelta(days=1, hours=23)
    assert bench.versions(key_of(lapsed)) == 1, "they need their time to see it"
    events = [e["data"] for e in told(bench) if e["data"]["trouble"] == "unexpired"]
    assert len(events) == 1
    assert "2 consumers (/r/cos1, /r/cos2)" in events[0]["problem"]
    assert request_of(bench, lapsed).unexpire == {lapsed: end_of(bench, lapsed)}

    again = bench.sent(RotateKey)[-1]
    bench.pass_time(minutes=30)
    row = watch(bench, lapsed)
    assert (row.done, "expired on" in row.problem) == ("rotate", True), "it is under way"
    bench.pass_time(minutes=31)
    bench.run(again)
    bench.run(again)
    assert bench.versions(key_of(lapsed)) == 2
    assert bench.sent(Open)


@pytest.mark.parametrize("effects", range(1, 7))
def test_wherever_it_dies_the_version_is_valid_again_once_and_followed_once(
    bench: Bench, lapsed: str, effects: int
) -> None:
    use(bench, lapsed, "cos1", kind=COSMOS)
    step = rotate_step(bench, lapsed)
    live_through(bench, [step], effects=effects)
    ends = request_of(bench, lapsed).unexpire[lapsed]
    assert end_of(bench, lapsed) == ends
    assert bench.versions(key_of(lapsed)) == 2
    assert len([e for e in told(bench) if e["data"].get("trouble") == "unexpired"]) == 1


@pytest.mark.parametrize(
    ("kind", "holds"), [(STORAGE, True), (COSMOS, False)], ids=["takes another", "has left"]
)
def test_a_version_that_nobody_needs_so_stays_expired(
    bench: Bench,
    lapsed: str,
    kind: str,
    holds: bool,  # noqa: FBT001 - a table
) -> None:
    use(bench, lapsed, "one", kind=kind, holds=holds)
    before = end_of(bench, lapsed)
    bench.run(rotate_step(bench, lapsed))
    assert end_of(bench, lapsed) == before
    assert bench.versions(key_of(lapsed)) == 2


def test_where_the_policy_does_not_let_it_the_version_stays_expired_and_the_finding_says_who(
    bench: Bench, lapsed: str
) -> None:
    bench.policies.set_defaults(unexpire_days=0)
    use(bench, lapsed, "cos1", kind=COSMOS)
    before = end_of(bench, lapsed)
    bench.run(rotate_step(bench, lapsed))
    row = watched(bench, lapsed)
    refusal = next(f for f in row.findings if f.code == "refused_while_expired")
    assert "/r/cos1" in refusal.text
    assert "az keyvault key set-attributes" in refusal.advice
    assert end_of(bench, lapsed) == before
    assert bench.versions(key_of(lapsed)) == 2


def test_an_end_that_somebody_put_off_further_is_never_brought_forward(
    bench: Bench, lapsed: str
) -> None:
    use(bench, lapsed, "cos1", kind=COSMOS)
    step = rotate_step(bench, lapsed)
    with bench.dying(before=at("expire_at")):
        bench.run_and_die(step)
    expire(bench, lapsed, 300)
    far = end_of(bench, lapsed)
    bench.run(step)
    bench.pass_time(hours=2)
    bench.run(step)
    assert end_of(bench, lapsed) == far
    assert bench.versions(key_of(lapsed)) == 1
    assert "put off" in request_of(bench, lapsed).problem


def test_an_older_version_that_somebody_made_valid_for_longer_is_left_so(
    bench: Bench, lapsed: str
) -> None:
    newer = bench.later_version(key_of(lapsed))
    expire(bench, newer, -1)
    use(bench, lapsed, "cos1", kind=COSMOS)
    step = rotate_step(bench, newer)
    with bench.dying(before=at("expire_at")):
        bench.run_and_die(step)
    expire(bench, lapsed, 300)
    far = end_of(bench, lapsed)
    bench.run(step)
    assert request_of(bench, newer).unexpired_at
    assert end_of(bench, lapsed) == far


def test_a_version_that_expired_again_before_it_was_followed_is_put_off_again(
    bench: Bench, lapsed: str
) -> None:
    use(bench, lapsed, "cos1", kind=COSMOS)
    bench.run(rotate_step(bench, lapsed))
    bench.azure.faults.add(Fault(method="POST", path="*/rotate", answer=DENIED, times=1))
    bench.pass_time(hours=1, minutes=1)
    bench.run(bench.sent(RotateKey)[-1])
    bench.pass_time(days=3)

    bench.run(rotate_step(bench, lapsed))

    assert bench.versions(key_of(lapsed)) == 1, "they need their time to see it"
    assert end_of(bench, lapsed) > bench.clock.now() + timedelta(days=1)
    bench.pass_time(hours=1, minutes=1)
    bench.run(bench.sent(RotateKey)[-1])
    assert bench.versions(key_of(lapsed)) == 2


def test_an_end_that_has_passed_when_a_message_returns_is_not_the_one_that_is_set(
    bench: Bench, lapsed: str
) -> None:
    use(bench, lapsed, "cos1", kind=COSMOS)
    step = rotate_step(bench, lapsed)
    with bench.dying(before=at("expire_at")):
        bench.run_and_die(step)
    bench.pass_time(days=5)
    bench.run(step)
    assert end_of(bench, lapsed) > bench.clock.now() + timedelta(days=1)
    (told_of,) = [e["data"] for e in told(bench) if e["data"]["trouble"] == "unexpired"]
    assert f"{end_of(bench, lapsed):%Y-%m-%d %H:%M}" in told_of["problem"]


def test_without_the_right_to_update_keys_nothing_is_made_and_it_is_told(bench: Bench) -> None:
    bench.policies.set_defaults(expired=ROTATE, unexpire_days=2)
    version = made(bench, days=-1)
    use(bench, version, "cos1", kind=COSMOS)
    bench.run(rotate_step(bench, version))
    assert bench.versions(key_of(version)) == 1
    assert "change the expiry" in request_of(bench, version).problem
    assert "change the expiry" in watch(bench, version).problem
    assert "stuck" in [event["data"]["trouble"] for event in told(bench)]


def test_a_disabled_version_is_not_made_valid_again(bench: Bench, lapsed: str) -> None:
    use(bench, lapsed, "cos1", kind=COSMOS)
    older = end_of(bench, lapsed)
    step = rotate_step(bench, lapsed)
    bench.enable(lapsed, enabled=False)
    bench.run(step)
    assert (end_of(bench, lapsed), bench.versions(key_of(lapsed))) == (older, 1)
