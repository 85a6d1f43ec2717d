"""The vault makes one version for one wish."""

from datetime import timedelta

import pytest

from sandbox.faults import Answer, Fault
from shared.domain.callers import Caller
from shared.domain.keys import Key
from shared.domain.policy import Mode, Policy, Reaction
from shared.domain.records import PENDING, Pending, Request
from shared.domain.rows import Cause
from shared.domain.steps import Open, Revive, RotateKey
from shared.domain.verdicts import Outcome
from shared.usecases.overdue import LEASE
from tests.usecases.bench import VAULT, Bench, at
from tests.usecases.rotations import steering
from tests.usecases.runner import Runner

ANNE = Caller(id="t/anne", name="anne@contoso.com")
BERT = Caller(id="t/bert", name="bert@contoso.com")


def wish(bench: Bench, key: str, request: str = "req-1") -> RotateKey:
    bench.rows.insert(
        Request(id=request, key=key, reason="r", new_version=True, asked_at=bench.clock.now())
    )
    return RotateKey(key=key, cause=Cause(trigger="operator", id=request), request=request)


def test_a_wish_makes_one_version_and_then_opens(bench: Bench) -> None:
    key = bench.key()
    step = wish(bench, key)
    bench.run(step)
    assert bench.versions(key) == 2
    (opening,) = bench.sent(Open)
    assert (opening.key, opening.cause, opening.request) == (key, step.cause, step.request)


@pytest.mark.parametrize("effects", [1, 2, 3, 4])
def test_wherever_it_dies_exactly_one_version_is_made_when_it_comes_back(
    bench: Bench, effects: int
) -> None:
    key = bench.key()
    step = wish(bench, key)
    with bench.dying(effects=effects):
        bench.run_and_die(step)
    bench.pass_time(minutes=10)
    bench.run(step)
    assert bench.versions(key) == 2
    assert bench.sent(Open)


def test_a_message_that_comes_back_after_all_was_done_makes_no_second_version(
    bench: Bench,
) -> None:
    key = bench.key()
    step = wish(bench, key)
    for _ in range(3):
        bench.run(step)
        bench.pass_time(minutes=10)
    assert bench.versions(key) == 2


def test_a_rotate_whose_answer_was_lost_is_not_asked_again(bench: Bench) -> None:
    key = bench.key()
    step = wish(bench, key)
    bench.azure.faults.add(Fault(method="POST", path="*/rotate", lose_answer=True))
    bench.run(step)
    (again,) = bench.sent(RotateKey)
    bench.pass_time(minutes=1)
    bench.run(again)
    assert bench.versions(key) == 2
    assert bench.sent(Open)


def test_a_rotate_that_may_be_under_way_is_waited_for(bench: Bench) -> None:
    key = bench.key()
    step = wish(bench, key)
    with bench.dying(before=at("rotate")):
        bench.run_and_die(step)
    bench.run(step)
    assert bench.versions(key) == 1
    due = bench.due(RotateKey)
    assert due
    assert LEASE - timedelta(minutes=1) < due - bench.clock.now() <= LEASE


def test_a_refused_wish_says_why_and_does_not_swallow_the_next(bench: Bench) -> None:
    key = bench.key()
    no = Answer(403, {"error": {"code": "Forbidden", "message": "may not rotate"}})
    bench.azure.faults.add(Fault(method="POST", path="*/rotate", answer=no))
    bench.run(wish(bench, key))
    assert "may not rotate" in bench.row(Request, "req-1", "request").problem
    assert bench.sent(Open) == []

    bench.new_version(key)
    bench.run(wish(bench, key, "req-2"))
    assert bench.versions(key) == 3


def test_two_wishes_are_two_versions(bench: Bench) -> None:
    key = bench.key()
    bench.run(wish(bench, key, "req-1"))
    bench.run(wish(bench, key, "req-2"))
    assert bench.versions(key) == 3


def asked(bench: Bench, key: str) -> Request:
    """Return the request of somebody who wants a new version."""
    ask = bench.mortal(steering(bench).ask)
    return ask.run(Key.parse(key), reason="old", new_version=True, by=ANNE, once="k")


@pytest.mark.parametrize("change", ["observe", "manage"])
def test_a_wish_that_the_policy_forbids_by_now_makes_no_version(bench: Bench, change: str) -> None:
    key = bench.key()
    request = asked(bench, key)
    if change == "manage":
        bench.policies.document = Policy(manage=())
    else:
        bench.policies.set_defaults(mode=Mode.OBSERVE)
    bench.run(bench.sent(RotateKey)[-1])
    assert bench.versions(key) == 1
    assert "the policy" in bench.row(Request, request.id, "request").problem
    assert bench.sent(Open) == []


def test_a_wish_that_needs_an_approval_by_now_waits_for_one(bench: Bench) -> None:
    key = bench.key()
    request = asked(bench, key)
    bench.policies.set_defaults(mode=Mode.APPROVE)
    bench.run(bench.sent(RotateKey)[-1])
    assert bench.versions(key) == 1
    assert needs_approval(bench) == [request.id]

    bench.steer.approve(request.id, "seen", BERT)
    bench.run(bench.sent(RotateKey)[-1])
    assert bench.versions(key) == 2


@pytest.mark.parametrize("again", [False, True], ids=["message late", "failed and sent again"])
def test_an_approval_that_has_run_out_makes_no_version(
    bench: Bench,
    again: bool,  # noqa: FBT001 - a table
) -> None:
    bench.policies.set_defaults(mode=Mode.APPROVE, approval_hours=2)
    key = bench.key()
    request = asked(bench, key)
    bench.steer.approve(request.id, "seen", BERT)
    if again:
        no = Answer(403, {"error": {"code": "Forbidden", "message": "may not rotate"}})
        bench.azure.faults.add(Fault(method="POST", path="*/rotate", answer=no, times=1))
        bench.run(bench.sent(RotateKey)[-1])
    bench.pass_time(hours=72)
    if again:
        asked(bench, key)
    bench.run(bench.sent(RotateKey)[-1])
    assert bench.versions(key) == 1
    assert bench.row(Request, request.id, "request").needs_approval
    assert needs_approval(bench) == [request.id] * 2

    bench.steer.approve(request.id, "seen again", BERT)
    bench.run(bench.sent(RotateKey)[-1])
    assert bench.versions(key) == 2


def needs_approval(bench: Bench) -> list[str]:
    """Return the requests for which an approval was asked, one as often as it was."""
    events = bench.azure.topics.published(bench.azure.topic.name)
    return [e["data"]["request"] for e in events if e["type"].endswith("NeedsApproval")]


def test_a_wish_that_was_never_kept_makes_no_version(bench: Bench) -> None:
    key = bench.key()
    bench.run(RotateKey(key=key, cause=Cause(trigger="operator", id="x"), request="nobody"))
    assert bench.versions(key) == 1
    assert bench.sent(Open) == []


# -- messages that are lost --------------------------------------------------------------------


def pending(bench: Bench) -> list[str]:
    """Return the ids of the requests that the sweep looks after."""
    return [kept.row.request for kept in bench.rows.scan(Pending, PENDING)]


def sweep(runner: Runner, *, minutes: int = 16) -> None:
    """Let time pass, and the timer fire; run what follows from that."""
    runner.bench.pass_time(minutes=minutes)
    runner.put(Revive())
    runner.run()


@pytest.mark.parametrize("new_version", [False, True])
@pytest.mark.parametrize(
    "lost",
    [
        pytest.param("at once", id="before it was delivered"),
        pytest.param("rotate", id="by a death behind the vault's rotate"),
        pytest.param("replace", id="by a death behind the intent"),
    ],
)
def test_a_request_whose_message_is_lost_is_served_once_by_the_sweep(
    bench: Bench,
    new_version: bool,  # noqa: FBT001 - a table
    lost: str,
) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    runner = Runner(bench)
    request = bench.steer.ask.run(Key.parse(key), reason="please", new_version=new_version)
    if lost != "at once":
        with bench.dying(after=at(lost)):
            runner.deliver()
    runner.lose_all()

    sweep(runner)
    sweep(runner)

    served = bench.row(Request, request.id, "request")
    assert bench.rotation(served.rotation).outcome is Outcome.COMPLETED
    assert bench.versions(key) == 1 + new_version
    newest = bench.azure.estate.vaults.newest("kv-bench", "cmk")
    assert bench.in_use(account) == newest
    assert pending(bench) == []


@pytest.mark.parametrize("problem", ["", "an earlier try found no way"])
def test_the_request_of_a_version_that_nears_its_expiry_is_served_by_the_sweep_too(
    bench: Bench, problem: str
) -> None:
    """Once the vault has been asked: until then the next look at the key asks again."""
    bench.policies.set_defaults(near_expiry=Reaction.ROTATE)
    version = bench.azure.estate.vault(VAULT).create_key("cmk")
    bench.pass_time(days=31)
    bench.azure.estate.vault(VAULT).set_expiry(version, bench.clock.now() + timedelta(days=9))
    key = version.rpartition("/")[0]
    runner, cause = Runner(bench), Cause(trigger="event", id="e1")
    earlier = Request(
        id="exp-1",
        key=key,
        reason="r",
        new_version=True,
        asked_at=bench.clock.now(),
        version_before=version,
        problem=problem,
    )
    bench.rows.insert(earlier)
    runner.put(RotateKey(key=key, cause=cause, request="exp-1", expiring=version))
    with bench.dying(after=at("rotate")):
        runner.deliver()
    runner.lose_all()

    sweep(runner)
    sweep(runner)

    served = bench.row(Request, "exp-1", "request")
    assert bench.rotation(served.rotation).outcome is Outcome.NOTHING_FOUND
    assert (bench.versions(key), pending(bench)) == (2, [])


def test_a_request_is_not_sent_again_while_its_message_may_be_on_its_way(bench: Bench) -> None:
    runner = Runner(bench)
    request = bench.steer.ask.run(Key.parse(bench.key()), reason="please", new_version=True)
    for minutes, sent in [(14, 0), (2, 1), (14, 0), (2, 1)]:
        runner.lose_all()
        bench.pass_time(minutes=minutes)
        bench.run(Revive())
        assert len(runner.queued()) == sent
    assert pending(bench) == [request.id]


def test_a_request_that_waits_for_an_approval_is_not_served_by_the_sweep(bench: Bench) -> None:
    bench.policies.set_defaults(mode=Mode.APPROVE)
    key, runner = bench.key(), Runner(bench)
    request = bench.steer.ask.run(Key.parse(key), reason="please", new_version=True)
    sweep(runner)
    assert (bench.versions(key), pending(bench)) == (1, [request.id])

    bench.steer.approve(request.id, "seen", Caller(id="t/bert", name="bert@contoso.com"))
    runner.lose_all()
    sweep(runner)
    assert bench.versions(key) == 2


def test_a_request_that_cannot_be_served_is_not_sent_for_ever(bench: Bench) -> None:
    runner = Runner(bench)
    nowhere = Key.parse("https://kv-bench.vault.azure.net/keys/gone")
    bench.steer.ask.run(nowhere, reason="please", new_version=False)
    runner.run()
    for _ in range(2):
        sweep(runner)
    assert pending(bench) == []
    assert [type(step) for step in runner.deliveries] == [Open, Revive]


def test_a_request_that_was_never_kept_itself_is_forgotten(bench: Bench) -> None:
    runner, key = Runner(bench), bench.key()
    with bench.dying(before=at("insert", Request)), pytest.raises(BaseException, match="before"):
        bench.steer.ask.run(Key.parse(key), reason="please", new_version=True)
    assert len(pending(bench)) == 1
    sweep(runner)
    assert (pending(bench), bench.versions(key)) == ([], 1)


def test_a_version_that_is_handled_when_its_request_is_opened_answers_the_request(
    bench: Bench,
) -> None:
    """The sweep may have seen it first, and its rotation may have ended by then."""
    key = bench.key()
    runner = Runner(bench)
    bench.later_version(key)
    runner.event(key)
    runner.run()
    step = wish(bench, key)

    bench.run(Open(key=key, cause=Cause(trigger="event", id="e9"), request=step.request))

    rotation = bench.row(Request, step.request, "request").rotation
    assert bench.rotation(rotation).outcome is Outcome.NOTHING_FOUND
