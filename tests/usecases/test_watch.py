"""A key's end and age are watched, announced once, and reacted to as the policy says."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from sandbox.estate import Account
from sandbox.faults import Answer, Fault
from sandbox.identity import APP_PRINCIPAL
from shared.domain.callers import Caller
from shared.domain.keys import KeyVersion
from shared.domain.policy import WEEK, Mode, Reaction, Window
from shared.domain.records import Refusal, Request, Watched
from shared.domain.resources import digest
from shared.domain.rows import Cause, Known, Rotation, rotation_id
from shared.domain.steps import Open, RotateKey, Step, SweepVault, Watch
from shared.domain.verdicts import Outcome
from tests.usecases.bench import VAULT, Bench, Died, at
from tests.usecases.memory import in_memory
from tests.usecases.rotations import carry_out, head, point, report_of, steering

HOST = f"{VAULT}.vault.azure.net"
ALARM, ASK, ROTATE = Reaction.ALARM, Reaction.ASK, Reaction.ROTATE
APPROVER = Caller(id="t/approver", name="ann@example.com")
SWEEP = Cause(trigger="sweep", id="s1")
DENIED = Answer(403, {"error": {"code": "Forbidden", "message": "no"}})
STORAGE = "storage_account"
COSMOS = "cosmosdb_account"


@pytest.fixture(name="watching")
def _watching(bench: Bench) -> Bench:
    """A bench whose rows and messages are in memory."""
    return in_memory(bench)


def made(bench: Bench, *, days: float | None = None, name: str = "cmk") -> str:
    """Make a key whose one version ends in so many days; return that version."""
    version = bench.azure.estate.vault(VAULT).create_key(name)
    if days is not None:
        # Longer ago than nearExpiryDays: it was made to live longer than that.
        bench.azure.estate.vaults.vault(VAULT).backdate(version, days=31)
        expire(bench, version, days)
    return version


def expire(bench: Bench, version: str, days: float) -> None:
    when = bench.clock.now() + timedelta(days=days)
    bench.azure.estate.vaults.vault(VAULT).set_expiry(version, when)


def end_of(bench: Bench, version: str) -> datetime:
    exp = bench.azure.estate.vaults.vault(VAULT).find(*version.split("/")[-2:]).exp
    assert exp is not None
    return datetime.fromtimestamp(exp, bench.clock.now().tzinfo)


def key_of(version: str) -> str:
    return version.rpartition("/")[0]


def watch(bench: Bench, version: str, event: str = "e1", *, cause: Cause | None = None) -> Watched:
    """Run the step of an event, or of the sweep; return what is then known of the key."""
    cause = cause or Cause(trigger="event", id=event)
    bench.run(Watch(key=key_of(version), cause=cause))
    return watched(bench, version)


def watched(bench: Bench, version: str) -> Watched:
    fresh = Watched(key=key_of(version), at=bench.clock.now())
    return bench.row(Watched, *fresh.address)


def codes(row: Watched) -> list[str]:
    return [finding.code for finding in row.findings]


def told(bench: Bench) -> list[Mapping[str, Any]]:
    """Return what was announced, an announcement sent twice once."""
    events = bench.azure.topics.published(bench.azure.topic.name)
    return list({event["id"]: event for event in events}.values())


def types(bench: Bench) -> list[str]:
    """Return the types of all that was sent, twice what was sent twice."""
    events = bench.azure.topics.published(bench.azure.topic.name)
    return [event["type"].removeprefix("Keyturn.") for event in events]


def request_of(bench: Bench, version: str) -> Request:
    return bench.row(Request, f"exp-{digest(version)}", "request")


def use(bench: Bench, version: str, *names: str, kind: str = STORAGE, holds: bool = True) -> None:
    """Let resources be known to use a version."""
    for name in names:
        row = Known(
            key=key_of(version),
            resource=f"/r/{name}",
            kind=kind,
            location="westeurope",
            versions={"account": (version,)},
            holds=holds,
        )
        bench.rows.insert(row)


def vault_reads(bench: Bench) -> int:
    return sum(call.host == HOST for call in bench.azure.front_door.traffic())


# -- the three reactions -------------------------------------------------------------------------


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


def live_through(bench: Bench, steps: list[Step], *, effects: int) -> None:
    """Run steps and what they queue, each when it is due; the one that dies comes back last."""
    with bench.dying(effects=effects):
        while steps:
            step, seen = steps.pop(0), len(bench.life.sent)
            try:
                bench.run(step)
            except Died:
                steps.append(step)
                bench.pass_time(minutes=10)
            for queued, when in bench.life.sent[seen:]:
                if isinstance(queued, Watch | RotateKey):
                    bench.pass_until(when)
                    steps.append(queued)


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


# -- change windows ------------------------------------------------------------------------------


def closed_for(bench: Bench, hours: int) -> tuple[Window, ...]:
    opens = bench.clock.now() + timedelta(hours=hours)
    day = WEEK[opens.weekday()]
    closes = opens + timedelta(hours=1)
    return (Window(days=(day,), opens=f"{opens:%H:%M}", closes=f"{closes:%H:%M}"),)


def test_a_version_waits_for_its_window_and_is_made_when_that_opens(watching: Bench) -> None:
    watching.policies.set_defaults(near_expiry=ROTATE, windows=closed_for(watching, 5))
    version = made(watching, days=20)
    for number in range(3):
        watch(watching, version, f"e{number}")
    first, *others = watching.sent(RotateKey)
    watching.forget_sent()
    for step in (first, *others):
        watching.run(step)
    assert watching.versions(key_of(version)) == 1
    request = report_of(watching, request_of(watching, version).id)
    assert (request["state"], request["problem"]) == ("requested", None)
    assert "its change window is closed, and opens on" in request["waitsFor"]
    assert request["summary"] == request["waitsFor"]
    (again,) = watching.sent(RotateKey)
    watching.pass_until(watching.due(RotateKey))
    watching.run(again)
    assert watching.versions(key_of(version)) == 2


def test_a_window_that_is_days_away_is_left_to_a_later_watch(watching: Bench) -> None:
    watching.policies.set_defaults(near_expiry=ROTATE, windows=closed_for(watching, 49))
    version = made(watching, days=20)
    watch(watching, version)
    (step,) = watching.sent(RotateKey)
    watching.forget_sent()
    watching.run(step)
    assert watching.sent(RotateKey) == []
    assert "opens on" in request_of(watching, version).waits_for
    watching.pass_time(hours=49, minutes=5)
    watch(watching, version, cause=SWEEP)
    (step,) = watching.sent(RotateKey)
    watching.run(step)
    assert watching.versions(key_of(version)) == 2


def test_a_version_that_could_not_be_made_in_its_window_waits_for_the_next(
    watching: Bench,
) -> None:
    now = watching.clock.now()
    opens, closes = now - timedelta(minutes=5), now + timedelta(hours=1)
    window = Window(opens=f"{opens:%H:%M}", closes=f"{closes:%H:%M}")
    watching.policies.set_defaults(near_expiry=ROTATE, windows=(window,))
    version = made(watching, days=20)
    watching.azure.faults.add(Fault(method="POST", path="*/rotate", answer=DENIED, times=1))
    watching.run(rotate_step(watching, version))
    watching.pass_time(hours=7)
    watching.run(rotate_step(watching, version))
    assert watching.versions(key_of(version)) == 1
    assert "its change window is closed" in request_of(watching, version).waits_for


@pytest.mark.parametrize("change", [Reaction.IGNORE, ALARM, ASK, "manage"])
def test_what_the_rules_do_not_want_any_more_when_the_window_opens_is_not_made(
    watching: Bench, change: Reaction | str
) -> None:
    watching.policies.set_defaults(near_expiry=ROTATE, windows=closed_for(watching, 5))
    version = made(watching, days=20)
    watching.run(rotate_step(watching, version))
    if isinstance(change, Reaction):
        watching.policies.set_defaults(near_expiry=change)
    else:
        watching.policies.document = replace(watching.policies.document, manage=())
    watching.pass_until(watching.due(RotateKey))
    watching.run(watching.sent(RotateKey)[-1])
    assert watching.versions(key_of(version)) == 1
    assert "the policy" in request_of(watching, version).problem


def test_an_operator_who_asks_now_does_not_wait_for_a_window(watching: Bench) -> None:
    watching.policies.set_defaults(windows=closed_for(watching, 5))
    version = made(watching, days=20)
    key = key_of(version)
    asked_at, by = watching.clock.now(), Caller(id="t/operator", name="o")
    request = Request(id="req-1", key=key, reason="r", new_version=True, asked_at=asked_at, by=by)
    watching.rows.insert(request)
    cause = Cause(trigger="operator", id="req-1", by=by)
    watching.run(RotateKey(key=key, cause=cause, request="req-1"))
    assert watching.versions(key) == 2


# -- expired, with consumers that refuse another version -----------------------------------------


@pytest.fixture(name="lapsed")
def _lapsed(watching: Bench) -> str:
    """A version that has expired; the policy has another made, and may make it valid again."""
    watching.policies.set_defaults(expired=ROTATE, unexpire_days=2)
    watching.azure.estate.vault(VAULT).grant(APP_PRINCIPAL, {"update"})
    return made(watching, days=-1)


def rotate_step(bench: Bench, version: str) -> RotateKey:
    watch(bench, version)
    step: RotateKey = bench.sent(RotateKey)[-1]
    return step


def test_a_version_that_refusing_consumers_use_is_made_valid_again_and_followed_an_hour_later(
    watching: Bench, lapsed: str
) -> None:
    use(watching, lapsed, "cos1", "cos2", kind=COSMOS)
    step = rotate_step(watching, lapsed)
    watching.run(step)
    assert end_of(watching, lapsed) > watching.clock.now() + timedelta(days=1, hours=23)
    assert watching.versions(key_of(lapsed)) == 1, "they need their time to see it"
    events = [e["data"] for e in told(watching) if e["data"]["trouble"] == "unexpired"]
    assert len(events) == 1
    assert "2 consumers (/r/cos1, /r/cos2)" in events[0]["problem"]
    assert request_of(watching, lapsed).unexpire == {lapsed: end_of(watching, lapsed)}

    again = watching.sent(RotateKey)[-1]
    watching.pass_time(minutes=30)
    row = watch(watching, lapsed)
    assert (row.done, "expired on" in row.problem) == ("rotate", True), "it is under way"
    watching.pass_time(minutes=31)
    watching.run(again)
    watching.run(again)
    assert watching.versions(key_of(lapsed)) == 2
    assert watching.sent(Open)


@pytest.mark.parametrize("effects", range(1, 7))
def test_wherever_it_dies_the_version_is_valid_again_once_and_followed_once(
    watching: Bench, lapsed: str, effects: int
) -> None:
    use(watching, lapsed, "cos1", kind=COSMOS)
    step = rotate_step(watching, lapsed)
    live_through(watching, [step], effects=effects)
    ends = request_of(watching, lapsed).unexpire[lapsed]
    assert end_of(watching, lapsed) == ends
    assert watching.versions(key_of(lapsed)) == 2
    assert len([e for e in told(watching) if e["data"].get("trouble") == "unexpired"]) == 1


@pytest.mark.parametrize(
    ("kind", "holds"), [(STORAGE, True), (COSMOS, False)], ids=["takes another", "has left"]
)
def test_a_version_that_nobody_needs_so_stays_expired(
    watching: Bench,
    lapsed: str,
    kind: str,
    holds: bool,  # noqa: FBT001 - a table
) -> None:
    use(watching, lapsed, "one", kind=kind, holds=holds)
    before = end_of(watching, lapsed)
    watching.run(rotate_step(watching, lapsed))
    assert end_of(watching, lapsed) == before
    assert watching.versions(key_of(lapsed)) == 2


def test_where_the_policy_does_not_let_it_the_version_stays_expired_and_the_finding_says_who(
    watching: Bench, lapsed: str
) -> None:
    watching.policies.set_defaults(unexpire_days=0)
    use(watching, lapsed, "cos1", kind=COSMOS)
    before = end_of(watching, lapsed)
    watching.run(rotate_step(watching, lapsed))
    row = watched(watching, lapsed)
    refusal = next(f for f in row.findings if f.code == "refused_while_expired")
    assert "/r/cos1" in refusal.text
    assert "az keyvault key set-attributes" in refusal.advice
    assert end_of(watching, lapsed) == before
    assert watching.versions(key_of(lapsed)) == 2


def test_an_end_that_somebody_put_off_further_is_never_brought_forward(
    watching: Bench, lapsed: str
) -> None:
    use(watching, lapsed, "cos1", kind=COSMOS)
    step = rotate_step(watching, lapsed)
    with watching.dying(before=at("expire_at")):
        watching.run_and_die(step)
    expire(watching, lapsed, 300)
    far = end_of(watching, lapsed)
    watching.run(step)
    watching.pass_time(hours=2)
    watching.run(step)
    assert end_of(watching, lapsed) == far
    assert watching.versions(key_of(lapsed)) == 1
    assert "put off" in request_of(watching, lapsed).problem


def test_an_older_version_that_somebody_made_valid_for_longer_is_left_so(
    watching: Bench, lapsed: str
) -> None:
    newer = watching.later_version(key_of(lapsed))
    expire(watching, newer, -1)
    use(watching, lapsed, "cos1", kind=COSMOS)
    step = rotate_step(watching, newer)
    with watching.dying(before=at("expire_at")):
        watching.run_and_die(step)
    expire(watching, lapsed, 300)
    far = end_of(watching, lapsed)
    watching.run(step)
    assert request_of(watching, newer).unexpired_at
    assert end_of(watching, lapsed) == far


def test_a_version_that_expired_again_before_it_was_followed_is_put_off_again(
    watching: Bench, lapsed: str
) -> None:
    use(watching, lapsed, "cos1", kind=COSMOS)
    watching.run(rotate_step(watching, lapsed))
    watching.azure.faults.add(Fault(method="POST", path="*/rotate", answer=DENIED, times=1))
    watching.pass_time(hours=1, minutes=1)
    watching.run(watching.sent(RotateKey)[-1])
    watching.pass_time(days=3)

    watching.run(rotate_step(watching, lapsed))

    assert watching.versions(key_of(lapsed)) == 1, "they need their time to see it"
    assert end_of(watching, lapsed) > watching.clock.now() + timedelta(days=1)
    watching.pass_time(hours=1, minutes=1)
    watching.run(watching.sent(RotateKey)[-1])
    assert watching.versions(key_of(lapsed)) == 2


def test_an_end_that_has_passed_when_a_message_returns_is_not_the_one_that_is_set(
    watching: Bench, lapsed: str
) -> None:
    use(watching, lapsed, "cos1", kind=COSMOS)
    step = rotate_step(watching, lapsed)
    with watching.dying(before=at("expire_at")):
        watching.run_and_die(step)
    watching.pass_time(days=5)
    watching.run(step)
    assert end_of(watching, lapsed) > watching.clock.now() + timedelta(days=1)
    (told_of,) = [e["data"] for e in told(watching) if e["data"]["trouble"] == "unexpired"]
    assert f"{end_of(watching, lapsed):%Y-%m-%d %H:%M}" in told_of["problem"]


def test_without_the_right_to_update_keys_nothing_is_made_and_it_is_told(watching: Bench) -> None:
    watching.policies.set_defaults(expired=ROTATE, unexpire_days=2)
    version = made(watching, days=-1)
    use(watching, version, "cos1", kind=COSMOS)
    watching.run(rotate_step(watching, version))
    assert watching.versions(key_of(version)) == 1
    assert "change the expiry" in request_of(watching, version).problem
    assert "change the expiry" in watch(watching, version).problem
    assert "stuck" in [event["data"]["trouble"] for event in told(watching)]


def test_a_disabled_version_is_not_made_valid_again(watching: Bench, lapsed: str) -> None:
    use(watching, lapsed, "cos1", kind=COSMOS)
    older = end_of(watching, lapsed)
    step = rotate_step(watching, lapsed)
    watching.enable(lapsed, enabled=False)
    watching.run(step)
    assert (end_of(watching, lapsed), watching.versions(key_of(lapsed))) == (older, 1)


# -- the versions in use -------------------------------------------------------------------------


def test_an_expired_version_with_a_newer_one_is_only_a_finding_about_who_is_still_on_it(
    watching: Bench,
) -> None:
    watching.policies.set_defaults(expired=ROTATE, near_expiry=ROTATE, unexpire_days=2)
    old = made(watching, days=-1)
    watching.new_version(key_of(old))
    use(watching, old, "st1", "st2")
    row = watch(watching, old)
    assert (row.problem, codes(row)) == ("", ["in_use_expired"])
    assert "2 consumers (/r/st1, /r/st2)" in row.findings[0].text
    assert watching.sent(RotateKey) == []


def test_a_key_that_was_deleted_is_a_finding_as_long_as_it_has_consumers(watching: Bench) -> None:
    version = made(watching)
    use(watching, version, "st1")
    watch(watching, version)
    watching.azure.estate.vaults.vault(VAULT).delete("cmk")
    watching.forget_sent()
    watching.pass_time(hours=7)
    watching.run(SweepVault(vault=HOST, sweep="s2"))
    (step,) = watching.sent(Watch)
    watching.run(step)
    assert codes(watched(watching, version)) == ["key_gone"]

    known = watching.row(Known, digest(key_of(version)), digest("/r/st1"))
    kept = watching.rows.load(Known, *known.address)
    assert kept
    watching.rows.replace(
        kept, Known(key=known.key, resource="/r/st1", kind="x", location="", holds=False)
    )
    watching.pass_time(hours=7)
    watching.run(step)
    fresh = Watched(key=key_of(version), at=watching.clock.now())
    assert watching.rows.load(Watched, *fresh.address) is None


def test_a_key_that_cannot_be_read_is_unknown_and_not_fine(watching: Bench) -> None:
    version = made(watching, days=20)
    watch(watching, version)
    watching.azure.estate.vaults.vault(VAULT).revoke(APP_PRINCIPAL)
    row = watch(watching, version)
    assert codes(row) == ["not_looked_at"]
    assert "expires on" in row.problem, "what was known of it stays"


def test_what_a_rotation_saw_last_is_in_use_even_after_it_was_put_back(bench: Bench) -> None:
    old = made(bench)
    account = bench.account("stone", key_of(old))
    new = bench.later_version(key_of(old))
    carry_out(bench, bench.open(key_of(old)))
    known = bench.row(Known, digest(key_of(old)), digest(account.id))
    assert [seen[-1] for seen in known.versions.values()] == [new]
    point(bench, account, old)
    bench.policies.set_defaults(mode=Mode.OBSERVE)
    carry_out(bench, bench.open(key_of(old), Cause(trigger="operator", id="o1")))
    known = bench.row(Known, digest(key_of(old)), digest(account.id))
    assert bench.in_use(account) == old
    assert list(known.versions.values()) == [(new, old)]


# -- the sweep's own watch -----------------------------------------------------------------------


def test_the_sweep_watches_each_key_every_six_hours_and_a_handled_key_costs_one_read(
    watching: Bench,
) -> None:
    versions = [made(watching, name=name) for name in ("one", "two")]
    for version in versions:
        watching.run(Open(key=key_of(version), cause=SWEEP))
        carry_out(watching, watching.active(key_of(version)))
    reads: list[int] = []
    looks: list[int] = []
    for number in range(26):
        watching.forget_sent()
        before = vault_reads(watching)
        watching.run(SweepVault(vault=HOST, sweep=f"s{number}"))
        looks.append(len(watching.sent(Watch)))
        for step in (*watching.sent(Open), *watching.sent(Watch)):
            watching.run(step)
        reads.append(vault_reads(watching) - before)
        watching.pass_time(minutes=15)
    assert looks == [2] + [0] * 23 + [2, 0]
    quiet = 1 + len(versions)  # the list of keys, and each key
    assert reads == [quiet + 2] + [quiet] * 23 + [quiet + 2, quiet]


def test_the_sweeps_watch_of_what_was_watched_reads_nothing(watching: Bench) -> None:
    version = made(watching)
    watch(watching, version)
    before = vault_reads(watching)
    watch(watching, version, cause=SWEEP)
    assert vault_reads(watching) == before
    watch(watching, version)
    assert vault_reads(watching) == before + 1, "an event is looked at whenever it comes"


def test_a_key_that_the_policy_leaves_out_is_not_watched_and_its_event_is_counted(
    watching: Bench,
) -> None:
    version = made(watching, days=1)
    watching.policies.document = type(watching.policies.document)(manage=("kv-other/*",))
    before = vault_reads(watching)
    step = Watch(key=key_of(version), cause=Cause(trigger="event", id="e1"))
    watching.run(step)
    assert vault_reads(watching) == before
    month = f"{watching.clock.now():%Y-%m}"
    assert "manage" in watching.row(Refusal, month, digest("e1")).problem
    watching.run(SweepVault(vault=HOST, sweep="s1"))
    assert watching.sent(Watch) + watching.sent(Open) == []


# -- what the vault allows has changed -----------------------------------------------------------


def runs(bench: Bench, version: str) -> int:
    ids = (rotation_id(KeyVersion.parse(version), run) for run in range(1, 9))
    return sum(bench.rows.load(Rotation, each, "rotation") is not None for each in ids)


def change_policies(bench: Bench, *, times: int = 1) -> None:
    """Let events say that access policies have changed, and run what they queue at its time."""
    bench.forget_sent()
    for number in range(times):
        bench.run(SweepVault(vault=HOST, sweep=f"e{number}", recheck=True))
        bench.pass_time(seconds=10)
    for step, when in [(s, w) for s, w in bench.life.sent if isinstance(s, Open)]:
        bench.pass_until(when)
        bench.run(step)


@pytest.fixture(name="handled")
def _handled(bench: Bench) -> tuple[Bench, str]:
    """A key with a consumer, moved to its newest version."""
    version = made(bench)
    bench.account("stone", key_of(version))
    target = bench.later_version(key_of(version))
    carry_out(bench, bench.open(key_of(version)))
    bench.pass_time(hours=1)
    return bench, target


def test_twenty_changes_of_access_policies_have_each_key_looked_at_once(
    handled: tuple[Bench, str],
) -> None:
    bench, target = handled
    change_policies(bench, times=20)
    rotation = bench.rotation(bench.active(key_of(target)))
    assert (rotation.run, rotation.recheck, runs(bench, target)) == (2, True, 2)
    assert carry_out(bench, rotation.id).outcome is Outcome.COMPLETED
    bench.pass_time(hours=1)
    change_policies(bench)
    assert runs(bench, target) == 3, "a later change is another one"


def test_a_look_that_has_ended_serves_the_changes_that_came_before_it(
    handled: tuple[Bench, str],
) -> None:
    bench, target = handled
    change_policies(bench)
    opened = bench.rotation(bench.active(key_of(target)))
    kept = bench.rows.load(Rotation, *opened.address)
    assert kept
    bench.rows.replace(kept, replace(opened, outcome=Outcome.COMPLETED, ended_at=bench.clock.now()))
    bench.supervise(opened.id)
    assert bench.active(key_of(target)) == ""
    event = Cause(trigger="event", id="e2")
    bench.run(Open(key=key_of(target), cause=event, recheck=True))
    assert runs(bench, target) == 2
    bench.pass_time(minutes=10)
    bench.run(Open(key=key_of(target), cause=event, recheck=True))
    assert runs(bench, target) == 3


def test_a_change_during_a_second_look_opens_no_further_one(handled: tuple[Bench, str]) -> None:
    bench, target = handled
    change_policies(bench)
    bench.pass_time(hours=1)
    change_policies(bench)
    assert runs(bench, target) == 2


def test_a_change_is_looked_at_when_it_has_had_time_to_hold(handled: tuple[Bench, str]) -> None:
    bench, _ = handled
    bench.forget_sent()
    bench.run(SweepVault(vault=HOST, sweep="e1", recheck=True))
    due = bench.due(Open)
    assert due
    assert timedelta(minutes=9) < due - bench.clock.now() <= timedelta(minutes=10)


def test_keys_without_known_consumers_are_not_looked_at_again(watching: Bench) -> None:
    version = made(watching)
    watching.run(Open(key=key_of(version), cause=SWEEP))
    carry_out(watching, watching.active(key_of(version)))
    watching.pass_time(hours=1)
    change_policies(watching)
    assert (watching.sent(Open), runs(watching, version)) == ([], 1)
    before = vault_reads(watching)
    event = Cause(trigger="event", id="e1")
    watching.run(Open(key=key_of(version), cause=event, recheck=True))
    assert (runs(watching, version), vault_reads(watching)) == (1, before)


# -- versions that no event told of --------------------------------------------------------------


def gaps(bench: Bench) -> list[str]:
    return [e["data"]["version"] for e in told(bench) if e["type"] == "Keyturn.EventGap"]


@pytest.fixture(name="followed")
def _followed(watching: Bench) -> str:
    """A key whose first version is handled; its events come, so far."""
    version = made(watching)
    watching.run(Open(key=key_of(version), cause=SWEEP))
    carry_out(watching, watching.active(key_of(version)))
    assert gaps(watching) == [], "of a key that is new to us nobody can say"
    return version


def test_a_version_that_only_the_sweep_has_found_is_a_gap_and_told_once(
    watching: Bench, followed: str
) -> None:
    missed = watching.later_version(key_of(followed))
    watching.pass_time(minutes=11)
    with watching.dying(after=at("announce")):
        watching.run_and_die(Open(key=key_of(followed), cause=SWEEP))
    for _ in range(3):
        watching.run(Open(key=key_of(followed), cause=SWEEP))
        watching.pass_time(minutes=16)
    assert gaps(watching) == [missed]
    assert head(watching, key_of(followed)).handled == missed


@pytest.mark.parametrize(
    ("cause", "minutes"),
    [(SWEEP, 5), (Cause(trigger="event", id="e1"), 60), (Cause(trigger="operator", id="o"), 60)],
    ids=["its event may yet come", "its event came", "somebody asked"],
)
def test_what_was_not_missed_is_no_gap(
    watching: Bench, followed: str, cause: Cause, minutes: int
) -> None:
    watching.later_version(key_of(followed))
    watching.pass_time(minutes=minutes)
    watching.run(Open(key=key_of(followed), cause=cause))
    assert gaps(watching) == []


def test_a_version_of_which_an_event_told_too_early_is_no_gap(
    watching: Bench, followed: str
) -> None:
    key = key_of(followed)
    version = watching.later_version(key)
    watching.enable(version, enabled=False)
    watching.run(Open(key=key, cause=Cause(trigger="event", id="e1")))
    watching.pass_time(hours=3)
    watching.enable(version, enabled=True)
    watching.run(Open(key=key, cause=SWEEP))
    assert head(watching, key).handled == version
    assert gaps(watching) == []


def test_a_version_that_is_come_back_to_is_no_gap(watching: Bench, followed: str) -> None:
    key = key_of(followed)
    version = watching.later_version(key)
    watching.run(Open(key=key, cause=Cause(trigger="event", id="e1")))
    carry_out(watching, watching.active(key))
    watching.enable(version, enabled=False)
    watching.run(Open(key=key, cause=Cause(trigger="operator", id="o")))
    carry_out(watching, watching.active(key))
    watching.enable(version, enabled=True)
    watching.pass_time(hours=1)
    watching.run(Open(key=key, cause=SWEEP))
    assert head(watching, key).handled == version
    assert gaps(watching) == []
