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


def test_an_alarm_is_announced_once_however_often_it_is_looked(watching: Bench) -> None:
    version = made(watching, days=20)
    for number in range(20):
        row = watch(watching, version, f"e{number}")
        watching.pass_time(hours=7)
    (event,) = told(watching)
    assert types(watching) == ["KeyExpiring"]
    assert event["subject"] == key_of(version)
    assert event["data"]["trouble"] == "near_expiry"
    assert (row.done, row.request) == ("alarm", "")
    assert "expires on" in row.problem
    assert watching.sent(RotateKey) == []


def test_an_end_that_comes_is_news_after_one_that_was_near(watching: Bench) -> None:
    version = made(watching, days=20)
    watch(watching, version)
    watching.pass_time(days=21)
    row = watch(watching, version)
    watch(watching, version)
    assert [event["data"]["trouble"] for event in told(watching)] == ["near_expiry", "expired"]
    assert (types(watching), row.severity) == (["KeyExpiring"] * 2, "blocker")


@pytest.mark.parametrize("overage", [ALARM, ASK, ROTATE])
def test_an_expired_key_is_told_of_whatever_its_age_asks_for(
    watching: Bench, overage: Reaction
) -> None:
    watching.policies.set_defaults(expired=ALARM, overage=overage, max_age_days=10)
    version = made(watching, days=-1)
    row = watch(watching, version)
    alarms = [e["data"] for e in told(watching) if e["type"] == "Keyturn.KeyExpiring"]
    assert "expired" in [data["trouble"] for data in alarms]
    assert (row.done, row.severity) == (overage.value, "blocker")
    assert "expired on" in row.problem
    assert "days old" in row.problem


@pytest.mark.parametrize("overage", [Reaction.IGNORE, ASK])
def test_an_expired_key_that_is_to_be_ignored_is_not_told_of(
    watching: Bench, overage: Reaction
) -> None:
    watching.policies.set_defaults(expired=Reaction.IGNORE, overage=overage, max_age_days=10)
    watch(watching, made(watching, days=-1))
    assert "KeyExpiring" not in types(watching)


def test_versions_that_live_no_longer_than_the_warning_do_not_follow_each_other_without_end(
    watching: Bench,
) -> None:
    watching.policies.set_defaults(near_expiry=ROTATE, near_expiry_days=30)
    version = made(watching)
    expire(watching, version, days=28)  # as a vault's rotation policy with expiryTime P28D has it
    for number in range(3):
        row = watch(watching, version, f"e{number}")
        watching.pass_time(hours=7)
    assert (row.done, watching.sent(RotateKey)) == ("alarm", [])
    assert types(watching) == ["KeyExpiring"]
    assert "lower that" in row.problem


def test_a_key_that_is_well_has_no_problem_and_forgets_an_earlier_one(watching: Bench) -> None:
    version = made(watching, days=20)
    watch(watching, version)
    expire(watching, version, 90)
    row = watch(watching, version)
    assert (row.problem, row.done, row.severity, row.announced) == ("", "", None, ())
    assert row.expires == end_of(watching, version)


def test_a_key_older_than_its_cryptoperiod_gives_alarm(watching: Bench) -> None:
    watching.policies.set_defaults(max_age_days=90)
    version = made(watching)
    assert watch(watching, version).problem == ""
    watching.pass_time(days=91)
    assert "is 91 days old" in watch(watching, version).problem
    assert [event["data"]["trouble"] for event in told(watching)] == ["overage"]


def test_wherever_it_dies_an_alarm_is_made_and_can_be_told_as_one(watching: Bench) -> None:
    version = made(watching, days=20)
    step = Watch(key=key_of(version), cause=SWEEP)
    with watching.dying(after=at("announce")):
        watching.run_and_die(step)
    watching.run(step)
    watching.run(step)
    assert types(watching) == ["KeyExpiring", "KeyExpiring"]
    assert len(told(watching)) == 1


def test_an_ask_is_kept_announced_once_and_makes_nothing_before_it_is_approved(
    watching: Bench,
) -> None:
    watching.policies.set_defaults(near_expiry=ASK)
    version = made(watching, days=20)
    for number in range(20):
        row = watch(watching, version, f"e{number}")
        watching.pass_time(hours=7)
    request = request_of(watching, version)
    assert (request.needs_approval, request.by, request.id) == (True, None, row.request)
    assert types(watching) == ["RotationNeedsApproval"]
    assert watching.sent(RotateKey) == []

    steering(watching).approve(request.id, "go", APPROVER)
    (step,) = watching.sent(RotateKey)
    watching.run(step)
    assert watching.versions(key_of(version)) == 2
    (opening,) = watching.sent(Open)
    watching.run(opening)
    assert request_of(watching, version).rotation == watching.active(key_of(version))


def test_an_approval_that_lapsed_before_it_was_used_is_asked_for_again(watching: Bench) -> None:
    watching.policies.set_defaults(near_expiry=ASK, approval_hours=1)
    version = made(watching, days=20)
    watch(watching, version)
    steering(watching).approve(request_of(watching, version).id, "go", APPROVER)
    (step,) = watching.sent(RotateKey)
    watching.pass_time(hours=2)
    watching.run(step)
    assert watching.versions(key_of(version)) == 1
    assert "ran out" in request_of(watching, version).problem
    watch(watching, version)
    watch(watching, version)
    assert types(watching) == ["RotationNeedsApproval"] * 2
    assert len(told(watching)) == 2, "the second is another one"
    assert request_of(watching, version).needs_approval


def test_a_request_whose_approval_lapsed_needs_another_and_has_not_failed(watching: Bench) -> None:
    watching.policies.set_defaults(near_expiry=ASK, approval_hours=2)
    version = made(watching, days=20)
    wanted = watch(watching, version).request
    steering(watching).approve(wanted, "go", APPROVER)
    watching.pass_time(hours=3)
    watching.run(watching.sent(RotateKey)[-1])
    lapsed = report_of(watching, wanted)
    assert (lapsed["state"], lapsed["needsApproval"]) == ("needs_approval", True)
    assert "its approval ran out on" in lapsed["problem"]
    steering(watching).approve(wanted, "go", APPROVER)
    again = report_of(watching, wanted)
    assert (again["state"], again["problem"]) == ("requested", None)


def test_what_was_approved_is_made_even_if_the_message_was_lost(watching: Bench) -> None:
    watching.policies.set_defaults(near_expiry=ASK)
    version = made(watching, days=20)
    watch(watching, version)
    steering(watching).approve(request_of(watching, version).id, "go", APPROVER)
    watching.forget_sent()
    watch(watching, version)
    (step,) = watching.sent(RotateKey)
    watching.run(step)
    assert watching.versions(key_of(version)) == 2


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
def test_wherever_the_watch_dies_one_version_is_made(watching: Bench, effects: int) -> None:
    watching.policies.set_defaults(expired=ROTATE)
    version = made(watching, days=-1)
    step = Watch(key=key_of(version), cause=SWEEP)
    with watching.dying(effects=effects):
        watching.run_and_die(step)
    watching.run(step)
    for rotating in watching.sent(RotateKey) or [step]:
        watching.run(rotating)
    assert watching.versions(key_of(version)) == 2


@pytest.mark.parametrize("effects", range(1, 13))
def test_twenty_events_and_a_death_anywhere_make_one_version(watching: Bench, effects: int) -> None:
    watching.policies.set_defaults(near_expiry=ROTATE)
    version = made(watching, days=20)
    causes = [Cause(trigger="event", id=f"e{number}") for number in range(20)]
    events: list[Step] = [Watch(key=key_of(version), cause=cause) for cause in causes]
    live_through(watching, events, effects=effects)
    assert watching.versions(key_of(version)) == 2
    assert watching.sent(Open)
    watching.run(watching.sent(Open)[-1])
    assert request_of(watching, version).rotation == watching.active(key_of(version))


def test_a_key_that_is_too_old_gets_one_version_though_it_never_expires(watching: Bench) -> None:
    watching.policies.set_defaults(max_age_days=90, overage=ROTATE)
    version = made(watching)
    watching.pass_time(days=91)
    for number in range(3):
        watch(watching, version, f"e{number}")
    for step in watching.sent(RotateKey):
        watching.run(step)
    assert watching.versions(key_of(version)) == 2


@pytest.mark.parametrize(
    ("mode", "done", "asked"), [(Mode.OBSERVE, "alarm", False), (Mode.APPROVE, "ask", True)]
)
def test_a_mode_that_forbids_it_makes_no_version(
    watching: Bench,
    mode: Mode,
    done: str,
    asked: bool,  # noqa: FBT001 - a table
) -> None:
    watching.policies.set_defaults(near_expiry=ROTATE, mode=mode)
    version = made(watching, days=20)
    row = watch(watching, version)
    assert (row.done, bool(row.request)) == (done, asked)
    assert watching.sent(RotateKey) == []
    assert types(watching) == (["RotationNeedsApproval"] if asked else ["KeyExpiring"])


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.APPROVE])
def test_a_mode_that_changed_on_the_way_holds(watching: Bench, mode: Mode) -> None:
    watching.policies.set_defaults(near_expiry=ROTATE)
    version = made(watching, days=20)
    watch(watching, version)
    watching.policies.set_defaults(mode=mode)
    (step,) = watching.sent(RotateKey)
    watching.run(step)
    assert watching.versions(key_of(version)) == 1
    assert "the policy" in request_of(watching, version).problem


def test_an_ask_that_the_rules_do_not_want_any_more_is_done_at_once(watching: Bench) -> None:
    watching.policies.set_defaults(near_expiry=ASK)
    version = made(watching, days=20)
    watch(watching, version)
    watching.policies.set_defaults(near_expiry=ROTATE)
    watch(watching, version)
    (step,) = watching.sent(RotateKey)
    watching.run(step)
    assert watching.versions(key_of(version)) == 2


def test_a_disabled_version_is_a_finding_and_gets_no_successor(watching: Bench) -> None:
    watching.policies.set_defaults(near_expiry=ROTATE, expired=ROTATE)
    version = made(watching, days=-1)
    watching.enable(version, enabled=False)
    row = watch(watching, version)
    assert (row.problem, codes(row)) == ("", ["newest_disabled", "consumers_unknown"])
    assert watching.sent(RotateKey) == []


def test_an_end_put_off_between_the_watch_and_the_making_makes_nothing(watching: Bench) -> None:
    watching.policies.set_defaults(near_expiry=ROTATE)
    version = made(watching, days=20)
    watch(watching, version)
    expire(watching, version, 300)
    (step,) = watching.sent(RotateKey)
    watching.run(step)
    assert watching.versions(key_of(version)) == 1
    assert "put off" in request_of(watching, version).problem


@pytest.mark.parametrize(("days", "made_by_us"), [(20, False), (-1, True)])
def test_the_vaults_own_policy_is_relied_upon_until_the_key_has_expired(
    watching: Bench,
    days: int,
    made_by_us: bool,  # noqa: FBT001 - a table
) -> None:
    watching.policies.set_defaults(near_expiry=ROTATE, expired=ROTATE)
    version = made(watching, days=days)
    vault = watching.azure.estate.vaults.vault(VAULT)
    vault.grant(APP_PRINCIPAL, {"getRotationPolicy"})
    trigger = {"timeBeforeExpiry": "P10D"}
    vault.set_rotation_policy(
        "cmk", {"lifetimeActions": [{"trigger": trigger, "action": {"type": "Rotate"}}]}
    )
    watch(watching, version)
    (step,) = watching.sent(RotateKey)
    watching.run(step)
    assert (watching.versions(key_of(version)) == 2) == made_by_us


def test_a_version_that_cannot_be_made_is_an_alarm_at_the_next_look(watching: Bench) -> None:
    watching.policies.set_defaults(near_expiry=ROTATE)
    version = made(watching, days=20)
    watching.azure.faults.add(Fault(method="POST", path="*/rotate", times=None, answer=DENIED))
    watch(watching, version)
    (step,) = watching.sent(RotateKey)
    watching.run(step)
    for _ in range(3):
        row = watch(watching, version)
    assert "no new version can be made" in row.problem
    assert [event["data"]["trouble"] for event in told(watching)] == ["stuck"]
    assert types(watching) == ["KeyExpiring"]
