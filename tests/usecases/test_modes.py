"""How far the policy lets a rotation go by itself: observe, approve, auto, windows and tags."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from sandbox.faults import Fault
from shared.domain.callers import NOBODY, Caller
from shared.domain.errors import (
    AlreadyUsedError,
    NotAllowedError,
    NotPermittedError,
    PolicyError,
)
from shared.domain.keys import Key
from shared.domain.policy import Mode, Policy, Rule, Window
from shared.domain.records import Act, Refusal, Request
from shared.domain.rows import Cause
from shared.domain.steps import Open, Repoint, Revive, RotateKey
from shared.domain.verdicts import Outcome, Verdict
from shared.domain.work import Wave
from tests.usecases.bench import Bench, Died, at, open_step
from tests.usecases.rotations import (
    REFUSED,
    announced,
    carry_out,
    finish,
    head,
    steering,
    verdicts,
    waves,
)

ANNE = Caller(id="t/anne", name="anne@contoso.com")
BERT = Caller(id="t/bert", name="bert@contoso.com")


def test_a_key_that_is_only_observed_has_its_consumers_reported_and_none_written_to(
    bench: Bench,
) -> None:
    bench.policies.set_defaults(mode=Mode.OBSERVE)
    key = bench.key()
    account, follower = bench.account("stpinned", key), bench.account("stfree", key, "absent")
    bench.new_version(key)
    rotation = bench.open(key)

    ended = carry_out(bench, rotation)

    assert bench.calls("PATCH") == []
    assert verdicts(bench, rotation)["stpinned"] is Verdict.MANUAL
    assert bench.writes(account) == bench.writes(follower) == 0
    assert ended.outcome is Outcome.FAILED
    assert ended.policy == bench.policies.document.digest
    work = next(w.row for w in bench.steps.ledger.all(rotation) if "pinned" in w.row.resource)
    assert work.consumers[0].reason == "the policy lets Keyturn only observe it"


def test_nothing_is_written_before_somebody_else_than_who_asked_has_approved(
    bench: Bench,
) -> None:
    bench.policies.set_defaults(mode=Mode.APPROVE, approval_hours=2)
    key = bench.key()
    account = bench.account("stone", key)
    bench.new_version(key)
    request = steering(bench).ask.run(
        Key.parse(key), reason="the auditor wants it", new_version=False, by=ANNE
    )
    rotation = bench.open(
        key, Cause(trigger="operator", id=request.id, by=ANNE), request=request.id
    )
    bench.search(rotation)
    for _ in range(3):
        bench.supervise(rotation)
    assert bench.sent(Repoint) == []
    assert announced(bench, rotation) == ["RotationStarted", "RotationNeedsApproval"]

    with pytest.raises(NotPermittedError, match=r"anne@contoso\.com asked for rotation"):
        bench.steer.approve(rotation, "mine", ANNE)
    with pytest.raises(NotPermittedError, match="a function key names nobody"):
        bench.steer.approve(rotation, "why not", NOBODY)
    bench.steer.resume(rotation, "go on", ANNE)
    bench.supervise(rotation)
    assert bench.writes(account) == 0

    bench.steer.approve(request.id, "seen", BERT)
    ended = carry_out(bench, rotation)
    assert ended.outcome is Outcome.COMPLETED
    acts = [kept.row for kept in bench.rows.scan(Act, rotation)]
    assert {(act.action, act.by.name) for act in acts} == {
        ("ask", ANNE.name),
        ("resume", ANNE.name),
        ("approve", BERT.name),
    }


def test_who_lets_it_try_again_may_not_approve_that(bench: Bench) -> None:
    bench.policies.set_defaults(mode=Mode.APPROVE)
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation = bench.open(key)
    bench.steer.retry(rotation, "again", BERT)
    with pytest.raises(NotPermittedError):
        bench.steer.approve(rotation, "seen", BERT)
    bench.steer.approve(rotation, "seen", ANNE)


def test_an_approval_runs_out_and_what_is_not_moved_by_then_waits_for_another(
    bench: Bench,
) -> None:
    bench.policies.set_defaults(mode=Mode.APPROVE, approval_hours=1)
    key = bench.key()
    account = bench.account("stone", key)
    bench.new_version(key)
    rotation = bench.open(key)
    bench.search(rotation)
    bench.supervise(rotation)
    bench.steer.approve(rotation, "seen", BERT)
    bench.supervise(rotation)
    (step,) = bench.sent(Repoint)

    bench.pass_time(hours=1)
    bench.run(step)  # it was late
    assert bench.writes(account) == 0
    bench.supervise(rotation)
    assert announced(bench, rotation).count("RotationNeedsApproval") == 2

    bench.steer.approve(rotation, "seen again", BERT)
    assert carry_out(bench, rotation).outcome is Outcome.COMPLETED


def test_outside_its_change_window_a_rotation_searches_and_proves_but_writes_nothing(
    bench: Bench,
) -> None:
    opens = bench.clock.now().replace(second=0, microsecond=0)
    opens = opens.replace(minute=0)
    bench.pass_until(opens.replace(hour=12) if opens.hour < 12 else opens)
    bench.policies.set_defaults(windows=(Window(opens="03:00", closes="04:00"),))
    key = bench.key()
    account = bench.account("stone", key)
    bench.new_version(key)
    rotation = bench.open(key)
    bench.search(rotation)
    bench.supervise(rotation)
    assert bench.sent(Repoint) == []
    assert "RotationNeedsApproval" not in announced(bench, rotation)

    now = bench.clock.now()
    three = now.replace(hour=3, minute=5)
    bench.pass_time(seconds=((three - now).total_seconds()) % 86400)
    ended = carry_out(bench, rotation)
    assert ended.outcome is Outcome.COMPLETED
    assert bench.writes(account) == 1


def test_a_changed_policy_takes_hold_of_what_is_not_intended_yet(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    bench.new_version(key)
    rotation = bench.open(key)
    bench.search(rotation)
    before = bench.rotation(rotation).policy
    bench.policies.set_defaults(mode=Mode.OBSERVE)
    bench.supervise(rotation)
    carry_out(bench, rotation)

    assert bench.writes(account) == 0
    after = bench.rotation(rotation).policy
    assert before != after == bench.policies.document.digest


def test_a_changed_policy_does_not_reach_a_write_that_was_intended_before(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    with bench.dying(before=at("write")):
        bench.run_and_die(step)
    intent = bench.work(rotation).intent
    assert intent is not None
    bench.policies.set_defaults(mode=Mode.OBSERVE)
    bench.supervise(rotation)
    bench.pass_time(minutes=10)
    bench.run(step)
    assert bench.writes(account) == 1
    assert finish(bench, rotation).outcome is Outcome.COMPLETED


@pytest.mark.parametrize("strictness", ["tag", "tag-approve", "policy"])
def test_what_was_refused_is_tried_again_under_the_rules_of_the_new_try(
    bench: Bench, strictness: str
) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.azure.faults.add(Fault(method="PATCH", path="*stone*", answer=REFUSED, times=1))
    bench.run(step)
    assert verdicts(bench, rotation)["stone"] is Verdict.FAILED
    intent = bench.work(rotation).intent
    assert intent is not None
    if strictness == "policy":
        bench.policies.set_defaults(mode=Mode.OBSERVE)
    else:
        mode = "approve" if strictness == "tag-approve" else "observe"
        bench.patch(account, {"tags": {"keyturn-mode": mode}})
    before = bench.writes(account)

    bench.steer.retry(rotation, "again", ANNE)
    bench.forget_sent()
    bench.settle(rotation)

    assert bench.writes(account) == before
    assert verdicts(bench, rotation)["stone"] is Verdict.MANUAL
    assert bench.work(rotation).intent == intent  # kept for the evidence


def test_nothing_begins_under_a_policy_that_cannot_be_read_and_all_goes_on_after_it_can(
    bench: Bench,
) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    bench.new_version(key)
    rotation = bench.open(key)
    bench.search(rotation)
    bench.policies.problem = "line 3: no such setting"
    bench.supervise(rotation)
    assert bench.sent(Repoint) == []
    assert bench.rotation(rotation).policy_problem == "line 3: no such setting"
    with pytest.raises(PolicyError):
        bench.steps.open.run(open_step(bench.key("other")))
    bench.run(open_step(bench.key("third")))  # put back, not lost
    assert isinstance(bench.life.sent[-1][0], Open)
    assert bench.active(bench.key("fourth")) == ""

    bench.policies.problem = ""
    assert carry_out(bench, rotation).outcome is Outcome.COMPLETED
    assert bench.writes(account) == 1


def test_a_move_that_was_let_go_begins_nothing_once_the_policy_cannot_be_read(
    bench: Bench,
) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.policies.problem = "line 3: no such setting"
    bench.run(step)
    assert bench.writes(account) == 0

    bench.policies.problem = ""
    assert carry_out(bench, rotation).outcome is Outcome.COMPLETED
    assert bench.writes(account) == 1


def test_a_move_that_was_let_go_follows_the_policy_of_its_own_moment(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.policies.set_defaults(mode=Mode.OBSERVE)
    bench.run(step)
    assert bench.writes(account) == 0
    assert verdicts(bench, rotation)["stone"] is Verdict.MANUAL


def test_a_key_that_the_policy_leaves_out_is_let_go_and_counted(bench: Bench) -> None:
    key, managed = bench.key("other"), bench.key("cmk-1")
    ask = steering(bench).ask
    early = ask.run(Key.parse(key), reason="why", new_version=False, by=ANNE)
    bench.policies.document = replace(Policy(), manage=("kv-bench/cmk-*",))
    assert bench.open(key) == ""
    assert bench.open(managed)
    refusals = list(bench.rows.scan(Refusal, f"{bench.clock.now():%Y-%m}"))
    assert [kept.row.event_id for kept in refusals] == ["e1"]
    assert "see its `manage`" in refusals[0].row.problem

    bench.run(open_step(key, Cause(trigger="sweep", id="s1")))
    assert len(list(bench.rows.scan(Refusal, f"{bench.clock.now():%Y-%m}"))) == 1
    bench.run(open_step(key, Cause(trigger="operator", id=early.id), request=early.id))
    assert "see its `manage`" in bench.row(Request, early.id, "request").problem
    with pytest.raises(NotAllowedError, match="see its `manage`"):
        ask.run(Key.parse(key), reason="why", new_version=False, by=ANNE)


def test_a_rotation_of_a_key_that_the_policy_leaves_out_meanwhile_writes_no_more(
    bench: Bench,
) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    bench.new_version(key)
    rotation = bench.open(key)
    bench.policies.document = replace(Policy(), manage=("kv-bench/other",))
    carry_out(bench, rotation)
    assert bench.writes(account) == 0
    assert verdicts(bench, rotation)["stone"] is Verdict.MANUAL


def test_a_tag_keeps_keyturn_from_a_resource_and_another_makes_it_the_first(bench: Bench) -> None:
    key = bench.key()
    names = ("sta", "stb", "stc", "std")
    accounts = {name: bench.account(name, key) for name in names}
    bench.patch(accounts["stb"], {"tags": {"keyturn-mode": "observe"}})
    bench.patch(accounts["std"], {"tags": {"Keyturn-Canary": "true"}})
    before = {name: bench.writes(accounts[name]) for name in names}
    bench.new_version(key)
    rotation = bench.open(key)
    bench.search(rotation)
    assert {name for name, wave in waves(bench, rotation).items() if wave is Wave.CANARY} == {
        "sta",
        "std",
    }
    carry_out(bench, rotation)
    moved = {name for name in names if bench.writes(accounts[name]) > before[name]}
    assert moved == {"sta", "stc", "std"}
    assert verdicts(bench, rotation)["stb"] is Verdict.MANUAL


def test_a_resource_that_asks_for_an_approval_is_moved_once_there_is_one(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    bench.patch(account, {"tags": {"keyturn-mode": "approve"}})
    target = bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    assert verdicts(bench, rotation)["stone"] is Verdict.MANUAL
    bench.steer.approve(rotation, "seen", BERT)
    bench.steer.retry(rotation, "it is approved", ANNE)
    carry_out(bench, rotation)
    assert bench.in_use(account) == target


def test_no_version_is_made_before_somebody_else_than_who_asked_has_approved(
    bench: Bench,
) -> None:
    bench.policies.set_defaults(mode=Mode.APPROVE, approval_hours=2)
    key = bench.key()
    account = bench.account("stone", key)
    request = steering(bench).ask.run(Key.parse(key), reason="old", new_version=True, by=ANNE)
    assert bench.sent(RotateKey) == []
    assert bench.versions(key) == 1
    with pytest.raises(NotPermittedError, match=r"anne@contoso\.com made request"):
        bench.steer.approve(request.id, "mine", ANNE)

    assert bench.steer.approve(request.id, "seen", BERT) == request.id
    (step,) = bench.sent(RotateKey)
    bench.run(step)
    bench.run(bench.sent(Open)[-1])
    rotation = bench.active(key)
    ended = carry_out(bench, rotation)  # what was approved is the version, and its rotation too
    assert ended.outcome is Outcome.COMPLETED
    assert (bench.versions(key), bench.writes(account)) == (2, 1)


def approved_version(bench: Bench) -> tuple[str, Open]:
    """Have a version made that was approved; return its key, and the step that comes next."""
    bench.policies.set_defaults(mode=Mode.APPROVE, approval_hours=2)
    key = bench.key()
    bench.account("stone", key)
    ask = bench.mortal(steering(bench).ask)
    request = ask.run(Key.parse(key), reason="old", new_version=True, by=ANNE)
    bench.steer.approve(request.id, "seen", BERT)
    bench.run(bench.sent(RotateKey)[-1])
    step = bench.sent(Open)[-1]
    assert bench.row(Request, request.id, "request").made
    return key, step


def test_the_approval_of_a_version_is_not_that_of_a_later_one(bench: Bench) -> None:
    key, step = approved_version(bench)
    later = bench.later_version(key)
    bench.run(step)
    assert bench.rotation(bench.active(key)).target == later
    assert head(bench, key).approved_until is None


def test_a_message_that_comes_twice_carries_no_approval_to_the_rotation_that_took_over(
    bench: Bench,
) -> None:
    key, step = approved_version(bench)
    bench.run(step)
    first = bench.active(key)
    assert head(bench, key).approved_until is not None
    bench.later_version(key)
    second = bench.open(key, Cause(trigger="event", id="e3"))
    assert second != first

    bench.pass_time(minutes=6)
    bench.run(step)

    assert bench.active(key) == second
    assert head(bench, key).approved_until is None
    assert bench.row(Request, step.request, "request").rotation == first


def test_an_approval_that_the_policy_has_overtaken_makes_no_version(bench: Bench) -> None:
    bench.policies.set_defaults(mode=Mode.APPROVE)
    key = bench.key()
    request = steering(bench).ask.run(Key.parse(key), reason="old", new_version=True, by=ANNE)
    bench.policies.set_defaults(mode=Mode.OBSERVE)
    with pytest.raises(NotPermittedError, match="only observe"):
        bench.steer.approve(request.id, "seen", BERT)
    bench.policies.document = replace(Policy(), manage=())
    with pytest.raises(NotAllowedError, match="see its `manage`"):
        bench.steer.approve(request.id, "seen", BERT)
    assert bench.sent(RotateKey) == []
    assert bench.row(Request, request.id, "request").needs_approval


def test_the_same_wish_sent_twice_is_one_and_another_under_its_key_is_refused(
    bench: Bench,
) -> None:
    key, ask = Key.parse(bench.key()), steering(bench).ask
    first, again = (
        ask.run(key, reason="old", new_version=True, by=ANNE, once="k1") for _ in range(2)
    )
    assert first == again
    for step in bench.sent(RotateKey):
        bench.run(step)
    assert bench.versions(str(key)) == 2
    for reason, by_vault in (("older", True), ("old", False)):
        with pytest.raises(AlreadyUsedError):
            ask.run(key, reason=reason, new_version=by_vault, by=ANNE, once="k1")
    assert ask.run(key, reason="old", new_version=True, by=BERT, once="k1").id != first.id


@pytest.mark.parametrize(
    ("died", "kept"), [(at("send"), True), (at("insert", Request), False)], ids=["kept", "not kept"]
)
def test_a_wish_that_is_refused_under_anothers_key_is_never_served(
    bench: Bench,
    died: Callable[..., bool],
    kept: bool,  # noqa: FBT001 - a table
) -> None:
    """Whoever kept the first has died, and the sweep serves that one."""
    first, second = bench.key("first"), bench.key("second")
    rule = Rule(keys=("kv-bench/second",), mode=Mode.APPROVE)
    bench.policies.document = Policy(rules=(rule,))
    ask = bench.mortal(steering(bench).ask)
    with bench.dying(before=died), pytest.raises(Died):
        ask.run(Key.parse(first), reason="one", new_version=False, by=ANNE, once="k")
    with pytest.raises(AlreadyUsedError):
        ask.run(Key.parse(second), reason="two", new_version=True, by=ANNE, once="k")

    bench.pass_time(minutes=20)
    bench.forget_sent()
    bench.run(Revive())
    for step, _ in list(bench.life.sent):
        bench.run(step)

    assert bench.versions(second) == 1
    assert bench.sent(RotateKey) == []
    assert [step.key for step in bench.sent(Open)] == [first] * kept


def test_a_step_that_is_not_its_requests_does_nothing(bench: Bench) -> None:
    wished, other = bench.key("wished"), bench.key("other")
    request = bench.mortal(steering(bench).ask).run(
        Key.parse(wished), reason="r", new_version=False, by=ANNE
    )
    cause = Cause(trigger="operator", id=request.id, by=ANNE)
    for key in (wished, other):
        bench.run(RotateKey(key=key, cause=cause, request=request.id))
    bench.run(Open(key=other, cause=cause, request=request.id))

    assert (bench.versions(wished), bench.versions(other)) == (1, 1)
    assert bench.row(Request, request.id, "request") == request


def test_the_key_let_go_forgets_the_approval(bench: Bench) -> None:
    bench.policies.set_defaults(mode=Mode.APPROVE)
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation = bench.open(key)
    bench.steer.approve(rotation, "seen", BERT)
    carry_out(bench, rotation)
    assert head(bench, key).approved_until is None
    bench.new_version(key)
    again = bench.open(key)
    bench.search(again)
    bench.supervise(again)
    assert bench.sent(Repoint) == []
