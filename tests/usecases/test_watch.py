"""A key's end and age are watched, announced once, and reacted to as the policy says."""

import pytest

from sandbox.estate import Account
from sandbox.faults import Fault
from sandbox.identity import APP_PRINCIPAL
from shared.domain.policy import Mode, Reaction
from shared.domain.rows import Cause
from shared.domain.steps import Open, RotateKey, Step, Watch
from shared.domain.verdicts import Outcome
from tests.usecases.bench import VAULT, Bench, at
from tests.usecases.rotations import carry_out, report_of, steering
from tests.usecases.watched import (
    ALARM,
    APPROVER,
    ASK,
    DENIED,
    ROTATE,
    SWEEP,
    codes,
    end_of,
    expire,
    key_of,
    live_through,
    made,
    request_of,
    told,
    types,
    watch,
)


def test_an_alarm_is_announced_once_however_often_it_is_looked(bench: Bench) -> None:
    version = made(bench, days=20)
    for number in range(20):
        row = watch(bench, version, f"e{number}")
        bench.pass_time(hours=7)
    (event,) = told(bench)
    assert types(bench) == ["KeyExpiring"]
    assert event["subject"] == key_of(version)
    assert event["data"]["trouble"] == "near_expiry"
    assert (row.done, row.request) == ("alarm", "")
    assert "expires on" in row.problem
    assert bench.sent(RotateKey) == []


def test_an_end_that_comes_is_news_after_one_that_was_near(bench: Bench) -> None:
    version = made(bench, days=20)
    watch(bench, version)
    bench.pass_time(days=21)
    row = watch(bench, version)
    watch(bench, version)
    assert [event["data"]["trouble"] for event in told(bench)] == ["near_expiry", "expired"]
    assert (types(bench), row.severity) == (["KeyExpiring"] * 2, "blocker")


@pytest.mark.parametrize("overage", [ALARM, ASK, ROTATE])
def test_an_expired_key_is_told_of_whatever_its_age_asks_for(
    bench: Bench, overage: Reaction
) -> None:
    bench.policies.set_defaults(expired=ALARM, overage=overage, max_age_days=10)
    version = made(bench, days=-1)
    row = watch(bench, version)
    alarms = [e["data"] for e in told(bench) if e["type"] == "Keyturn.KeyExpiring"]
    assert "expired" in [data["trouble"] for data in alarms]
    assert (row.done, row.severity) == (overage.value, "blocker")
    assert "expired on" in row.problem
    assert "days old" in row.problem


@pytest.mark.parametrize("overage", [Reaction.IGNORE, ASK])
def test_an_expired_key_that_is_to_be_ignored_is_not_told_of(
    bench: Bench, overage: Reaction
) -> None:
    bench.policies.set_defaults(expired=Reaction.IGNORE, overage=overage, max_age_days=10)
    watch(bench, made(bench, days=-1))
    assert "KeyExpiring" not in types(bench)


def test_versions_that_live_no_longer_than_the_warning_do_not_follow_each_other_without_end(
    bench: Bench,
) -> None:
    bench.policies.set_defaults(near_expiry=ROTATE, near_expiry_days=30)
    version = made(bench)
    expire(bench, version, days=28)  # as a vault's rotation policy with expiryTime P28D has it
    for number in range(3):
        row = watch(bench, version, f"e{number}")
        bench.pass_time(hours=7)
    assert (row.done, bench.sent(RotateKey)) == ("alarm", [])
    assert types(bench) == ["KeyExpiring"]
    assert "lower that" in row.problem


def test_a_key_that_is_well_has_no_problem_and_forgets_an_earlier_one(bench: Bench) -> None:
    version = made(bench, days=20)
    watch(bench, version)
    expire(bench, version, 90)
    row = watch(bench, version)
    assert (row.problem, row.done, row.severity, row.announced) == ("", "", None, ())
    assert row.expires == end_of(bench, version)


def test_a_key_older_than_its_cryptoperiod_gives_alarm(bench: Bench) -> None:
    bench.policies.set_defaults(max_age_days=90)
    version = made(bench)
    assert watch(bench, version).problem == ""
    bench.pass_time(days=91)
    assert "is 91 days old" in watch(bench, version).problem
    assert [event["data"]["trouble"] for event in told(bench)] == ["overage"]


def test_wherever_it_dies_an_alarm_is_made_and_can_be_told_as_one(bench: Bench) -> None:
    version = made(bench, days=20)
    step = Watch(key=key_of(version), cause=SWEEP)
    with bench.dying(after=at("announce")):
        bench.run_and_die(step)
    bench.run(step)
    bench.run(step)
    assert types(bench) == ["KeyExpiring", "KeyExpiring"]
    assert len(told(bench)) == 1


def test_an_ask_is_kept_announced_once_and_makes_nothing_before_it_is_approved(
    bench: Bench,
) -> None:
    bench.policies.set_defaults(near_expiry=ASK)
    version = made(bench, days=20)
    for number in range(20):
        row = watch(bench, version, f"e{number}")
        bench.pass_time(hours=7)
    request = request_of(bench, version)
    assert (request.needs_approval, request.by, request.id) == (True, None, row.request)
    assert types(bench) == ["RotationNeedsApproval"]
    assert bench.sent(RotateKey) == []

    steering(bench).approve(request.id, "go", APPROVER)
    (step,) = bench.sent(RotateKey)
    bench.run(step)
    assert bench.versions(key_of(version)) == 2
    (opening,) = bench.sent(Open)
    bench.run(opening)
    assert request_of(bench, version).rotation == bench.active(key_of(version))


def test_an_approval_that_lapsed_before_it_was_used_is_asked_for_again(bench: Bench) -> None:
    bench.policies.set_defaults(near_expiry=ASK, approval_hours=1)
    version = made(bench, days=20)
    watch(bench, version)
    steering(bench).approve(request_of(bench, version).id, "go", APPROVER)
    (step,) = bench.sent(RotateKey)
    bench.pass_time(hours=2)
    bench.run(step)
    assert bench.versions(key_of(version)) == 1
    assert "ran out" in request_of(bench, version).problem
    watch(bench, version)
    watch(bench, version)
    assert types(bench) == ["RotationNeedsApproval"] * 2
    assert len(told(bench)) == 2, "the second is another one"
    assert request_of(bench, version).needs_approval


def test_a_request_whose_approval_lapsed_needs_another_and_has_not_failed(bench: Bench) -> None:
    bench.policies.set_defaults(near_expiry=ASK, approval_hours=2)
    version = made(bench, days=20)
    wanted = watch(bench, version).request
    steering(bench).approve(wanted, "go", APPROVER)
    bench.pass_time(hours=3)
    bench.run(bench.sent(RotateKey)[-1])
    lapsed = report_of(bench, wanted)
    assert (lapsed["state"], lapsed["needsApproval"]) == ("needs_approval", True)
    assert "its approval ran out on" in lapsed["problem"]
    steering(bench).approve(wanted, "go", APPROVER)
    again = report_of(bench, wanted)
    assert (again["state"], again["problem"]) == ("requested", None)


def test_what_was_approved_is_made_even_if_the_message_was_lost(bench: Bench) -> None:
    bench.policies.set_defaults(near_expiry=ASK)
    version = made(bench, days=20)
    watch(bench, version)
    steering(bench).approve(request_of(bench, version).id, "go", APPROVER)
    bench.forget_sent()
    watch(bench, version)
    (step,) = bench.sent(RotateKey)
    bench.run(step)
    assert bench.versions(key_of(version)) == 2


def test_twenty_events_make_one_version_and_its_consumers_move(bench: Bench) -> None:
    bench.policies.set_defaults(near_expiry=ROTATE)
    version = made(bench, days=20)
    account: Account = bench.account("stone", key_of(version))
    for number in range(20):
        watch(bench, version, f"e{number}")
    for step in bench.sent(RotateKey):
        bench.run(step)
    assert bench.versions(key_of(version)) == 2
    for opening in bench.sent(Open):
        bench.run(opening)
    rotation = bench.active(key_of(version))
    assert carry_out(bench, rotation).outcome is Outcome.COMPLETED
    assert bench.in_use(account) != version
    assert request_of(bench, version).rotation == rotation
    row = watch(bench, version)
    assert (row.problem, row.findings) == ("", ())


@pytest.mark.parametrize("effects", range(1, 5))
def test_wherever_the_watch_dies_one_version_is_made(bench: Bench, effects: int) -> None:
    bench.policies.set_defaults(expired=ROTATE)
    version = made(bench, days=-1)
    step = Watch(key=key_of(version), cause=SWEEP)
    with bench.dying(effects=effects):
        bench.run_and_die(step)
    bench.run(step)
    for rotating in bench.sent(RotateKey) or [step]:
        bench.run(rotating)
    assert bench.versions(key_of(version)) == 2


@pytest.mark.parametrize("effects", range(1, 13))
def test_twenty_events_and_a_death_anywhere_make_one_version(bench: Bench, effects: int) -> None:
    bench.policies.set_defaults(near_expiry=ROTATE)
    version = made(bench, days=20)
    causes = [Cause(trigger="event", id=f"e{number}") for number in range(20)]
    events: list[Step] = [Watch(key=key_of(version), cause=cause) for cause in causes]
    live_through(bench, events, effects=effects)
    assert bench.versions(key_of(version)) == 2
    assert bench.sent(Open)
    bench.run(bench.sent(Open)[-1])
    assert request_of(bench, version).rotation == bench.active(key_of(version))


def test_a_key_that_is_too_old_gets_one_version_though_it_never_expires(bench: Bench) -> None:
    bench.policies.set_defaults(max_age_days=90, overage=ROTATE)
    version = made(bench)
    bench.pass_time(days=91)
    for number in range(3):
        watch(bench, version, f"e{number}")
    for step in bench.sent(RotateKey):
        bench.run(step)
    assert bench.versions(key_of(version)) == 2


@pytest.mark.parametrize(
    ("mode", "done", "asked"), [(Mode.OBSERVE, "alarm", False), (Mode.APPROVE, "ask", True)]
)
def test_a_mode_that_forbids_it_makes_no_version(
    bench: Bench,
    mode: Mode,
    done: str,
    asked: bool,  # noqa: FBT001 - a table
) -> None:
    bench.policies.set_defaults(near_expiry=ROTATE, mode=mode)
    version = made(bench, days=20)
    row = watch(bench, version)
    assert (row.done, bool(row.request)) == (done, asked)
    assert bench.sent(RotateKey) == []
    assert types(bench) == (["RotationNeedsApproval"] if asked else ["KeyExpiring"])


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.APPROVE])
def test_a_mode_that_changed_on_the_way_holds(bench: Bench, mode: Mode) -> None:
    bench.policies.set_defaults(near_expiry=ROTATE)
    version = made(bench, days=20)
    watch(bench, version)
    bench.policies.set_defaults(mode=mode)
    (step,) = bench.sent(RotateKey)
    bench.run(step)
    assert bench.versions(key_of(version)) == 1
    assert "the policy" in request_of(bench, version).problem


def test_an_ask_that_the_rules_do_not_want_any_more_is_done_at_once(bench: Bench) -> None:
    bench.policies.set_defaults(near_expiry=ASK)
    version = made(bench, days=20)
    watch(bench, version)
    bench.policies.set_defaults(near_expiry=ROTATE)
    watch(bench, version)
    (step,) = bench.sent(RotateKey)
    bench.run(step)
    assert bench.versions(key_of(version)) == 2


def test_a_disabled_version_is_a_finding_and_gets_no_successor(bench: Bench) -> None:
    bench.policies.set_defaults(near_expiry=ROTATE, expired=ROTATE)
    version = made(bench, days=-1)
    bench.enable(version, enabled=False)
    row = watch(bench, version)
    assert (row.problem, codes(row)) == ("", ["newest_disabled", "consumers_unknown"])
    assert bench.sent(RotateKey) == []


def test_an_end_put_off_between_the_watch_and_the_making_makes_nothing(bench: Bench) -> None:
    bench.policies.set_defaults(near_expiry=ROTATE)
    version = made(bench, days=20)
    watch(bench, version)
    expire(bench, version, 300)
    (step,) = bench.sent(RotateKey)
    bench.run(step)
    assert bench.versions(key_of(version)) == 1
    assert "put off" in request_of(bench, version).problem


@pytest.mark.parametrize(("days", "made_by_us"), [(20, False), (-1, True)])
def test_the_vaults_own_policy_is_relied_upon_until_the_key_has_expired(
    bench: Bench,
    days: int,
    made_by_us: bool,  # noqa: FBT001 - a table
) -> None:
    bench.policies.set_defaults(near_expiry=ROTATE, expired=ROTATE)
    version = made(bench, days=days)
    vault = bench.azure.estate.vaults.vault(VAULT)
    vault.grant(APP_PRINCIPAL, {"getRotationPolicy"})
    trigger = {"timeBeforeExpiry": "P10D"}
    vault.set_rotation_policy(
        "cmk", {"lifetimeActions": [{"trigger": trigger, "action": {"type": "Rotate"}}]}
    )
    watch(bench, version)
    (step,) = bench.sent(RotateKey)
    bench.run(step)
    assert (bench.versions(key_of(version)) == 2) == made_by_us


def test_a_version_that_cannot_be_made_is_an_alarm_at_the_next_look(bench: Bench) -> None:
    bench.policies.set_defaults(near_expiry=ROTATE)
    version = made(bench, days=20)
    bench.azure.faults.add(Fault(method="POST", path="*/rotate", times=None, answer=DENIED))
    watch(bench, version)
    (step,) = bench.sent(RotateKey)
    bench.run(step)
    for _ in range(3):
        row = watch(bench, version)
    assert "no new version can be made" in row.problem
    assert [event["data"]["trouble"] for event in told(bench)] == ["stuck"]
    assert types(bench) == ["KeyExpiring"]
