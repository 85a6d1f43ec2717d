"""A version that nears its expiry is followed by one, and by one only."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from sandbox.estate import Account
from sandbox.identity import APP_PRINCIPAL
from shared.domain.policy import Reaction
from shared.domain.records import Request
from shared.domain.resources import digest
from shared.domain.rows import Cause
from shared.domain.steps import Open, RotateKey
from shared.domain.verdicts import Outcome
from tests.usecases.bench import VAULT, Bench, at


def announced(bench: Bench, version: str, event: str = "e1") -> RotateKey:
    """Return the step that an event about a version queues, as ``functions.key_events`` does."""
    vault = bench.azure.estate.vaults.vault(VAULT)
    exp = vault.find(*version.split("/")[-2:]).exp
    return RotateKey(
        key=version.rpartition("/")[0],
        cause=Cause(trigger="event", id=event, reason="it nears its expiry"),
        request=f"exp-{digest(version)}",
        expiring=version,
        expires=None if exp is None else datetime.fromtimestamp(exp, bench.clock.now().tzinfo),
    )


@pytest.fixture(name="expiring")
def _expiring(bench: Bench) -> str:
    """The only version of a key, thirty days before its end."""
    bench.policies.set_defaults(near_expiry=Reaction.ROTATE, near_expiry_days=60)
    version = bench.azure.estate.vault(VAULT).create_key("cmk")
    bench.azure.estate.vaults.vault(VAULT).backdate(version, days=31)
    expire(bench, version, days=30)
    return version


def expire(bench: Bench, version: str, *, days: int) -> None:
    when = bench.clock.now() + timedelta(days=days)
    bench.azure.estate.vaults.vault(VAULT).set_expiry(version, when)


def key_of(version: str) -> str:
    return version.rpartition("/")[0]


def problem(bench: Bench, step: RotateKey) -> str:
    return bench.row(Request, step.request, "request").problem


def test_twenty_events_make_one_version_and_one_rotation(bench: Bench, expiring: str) -> None:
    account: Account = bench.account("stone", key_of(expiring))
    for number in range(20):
        bench.run(announced(bench, expiring, f"e{number}"))
        bench.pass_time(minutes=number)
    assert bench.versions(key_of(expiring)) == 2

    for opening in bench.sent(Open):
        bench.run(opening)
    rotation = bench.active(key_of(expiring))
    for step in bench.discover(rotation):
        bench.run(step)
    assert bench.finish(rotation).outcome is Outcome.COMPLETED
    assert bench.in_use(account) != expiring
    request = bench.row(Request, announced(bench, expiring).request, "request")
    assert (request.rotation, request.problem) == (rotation, "")
    assert bench.rotation(rotation).run == 1


_CALLS = 10
"""More than a step makes, of any port."""


def test_of_two_at_once_whenever_the_second_comes_one_makes_the_version(bench: Bench) -> None:
    bench.policies.set_defaults(near_expiry=Reaction.ROTATE)
    met = 0
    for nth in range(1, _CALLS):
        version = bench.azure.estate.vault(VAULT).create_key(f"cmk{nth}")
        bench.pass_time(days=1)
        expire(bench, version, days=30)
        first, second = (announced(bench, version, event) for event in ("e1", "e2"))
        left, done = nth, False

        def run_the_second(_: str, __: tuple[Any, ...], second: RotateKey = second) -> bool:
            nonlocal left, done
            left -= 1
            if left == 0:
                done = True
                bench.run(second)
            return False

        bench.forget_sent()
        with bench.dying(before=run_the_second):
            bench.run(first)
        met += done
        for step in bench.sent(RotateKey):  # what was put back
            bench.pass_time(minutes=6)
            bench.run(step)
        assert bench.versions(key_of(version)) == 2, nth
        assert bench.sent(Open), nth
    assert met >= 6  # load, insert, current, policy, replace, rotate, send


@pytest.mark.parametrize("effects", [1, 2, 3, 4])
def test_wherever_it_dies_exactly_one_version_is_made_when_it_comes_back(
    bench: Bench, expiring: str, effects: int
) -> None:
    step = announced(bench, expiring)
    with bench.dying(effects=effects):
        bench.run_and_die(step)
    bench.run(announced(bench, expiring, "e2"))
    bench.pass_time(minutes=10)
    bench.run(step)
    for again in bench.sent(RotateKey):
        bench.run(again)
    assert bench.versions(key_of(expiring)) == 2
    assert bench.sent(Open)


def test_dying_right_before_the_vault_is_asked_it_is_asked_once_when_it_may_not_be_under_way(
    bench: Bench, expiring: str
) -> None:
    step = announced(bench, expiring)
    with bench.dying(before=at("rotate")):
        bench.run_and_die(step)
    bench.run(announced(bench, expiring, "e2"))
    assert bench.versions(key_of(expiring)) == 1
    (again,) = bench.sent(RotateKey)
    bench.pass_until(bench.due(RotateKey))
    bench.run(again)
    assert bench.versions(key_of(expiring)) == 2


@pytest.mark.parametrize("days", [60, None])
def test_a_version_whose_end_was_put_off_needs_no_successor(
    bench: Bench, expiring: str, days: int | None
) -> None:
    step = announced(bench, expiring)
    if days is None:
        bench.azure.estate.vaults.vault(VAULT).set_expiry(expiring, None)
    else:
        expire(bench, expiring, days=days)
    bench.run(step)
    assert bench.versions(key_of(expiring)) == 1
    assert bench.sent(Open) == []
    assert "was put off" in problem(bench, step)


def test_when_the_end_that_was_put_off_comes_near_it_is_followed(
    bench: Bench, expiring: str
) -> None:
    step = announced(bench, expiring)
    expire(bench, expiring, days=60)
    bench.run(step)
    bench.run(announced(bench, expiring, "e2"))
    bench.run(announced(bench, expiring, "e3"))
    assert bench.versions(key_of(expiring)) == 2
    (first, _) = bench.sent(Open)
    bench.run(first)
    assert problem(bench, step) == ""


def test_a_version_that_somebody_disabled_needs_no_successor(bench: Bench, expiring: str) -> None:
    bench.enable(expiring, enabled=False)
    step = announced(bench, expiring)
    bench.run(step)
    assert bench.versions(key_of(expiring)) == 1
    assert bench.sent(Open) == []
    assert "is disabled" in problem(bench, step)


@pytest.mark.parametrize(("action", "made"), [("Rotate", 1), ("Notify", 2)])
def test_where_the_vaults_own_policy_rotates_it_is_left_to_it(
    bench: Bench, expiring: str, action: str, made: int
) -> None:
    vault = bench.azure.estate.vaults.vault(VAULT)
    vault.grant(APP_PRINCIPAL, {"getRotationPolicy"})
    trigger = {"timeBeforeExpiry": "P20D"}
    actions = [{"trigger": trigger, "action": {"type": action}}]
    vault.set_rotation_policy("cmk", {"lifetimeActions": actions})
    step = announced(bench, expiring)
    bench.run(step)
    assert bench.versions(key_of(expiring)) == made
    assert ("the vault's own rotation policy" in problem(bench, step)) == (action == "Rotate")


def test_a_version_that_is_followed_already_makes_no_other_and_its_consumers_are_looked_for(
    bench: Bench, expiring: str
) -> None:
    step = announced(bench, expiring)
    bench.new_version(key_of(expiring))
    bench.run(step)
    bench.run(announced(bench, expiring, "e2"))
    assert bench.versions(key_of(expiring)) == 2
    assert len(bench.sent(Open)) == 2


def test_an_operators_wish_at_the_same_time_is_enough(bench: Bench, expiring: str) -> None:
    key, now = key_of(expiring), bench.clock.now()
    bench.rows.insert(Request(id="req-1", key=key, reason="r", new_version=True, asked_at=now))
    cause = Cause(trigger="operator", id="req-1")
    bench.run(RotateKey(key=key, cause=cause, request="req-1"))
    bench.run(announced(bench, expiring))
    assert bench.versions(key) == 2


def test_an_event_that_does_not_say_when_is_believed_if_the_vault_names_an_end(
    bench: Bench, expiring: str
) -> None:
    step = announced(bench, expiring)
    bench.run(RotateKey(key=step.key, cause=step.cause, request=step.request, expiring=expiring))
    assert bench.versions(key_of(expiring)) == 2
