"""``POST /api/keys/{vault}/{key}/rotate``: a wish, and what becomes of it."""

from datetime import datetime
from typing import Any

import pytest
from msgspec.structs import replace

from shared.domain.callers import NOBODY
from shared.domain.policy import Mode
from shared.domain.records import Act, Request
from shared.domain.rows import Cause
from shared.domain.steps import Open, Repoint, RotateKey, Step
from tests.domain.values import TARGET
from tests.functions.api import APPROVER, BOTH, OPERATOR, Answer, CalledApi, Person
from tests.usecases.bench import Died, at
from tests.usecases.memory import MemoryRows
from tests.usecases.rotations import head

ANNE = Person("anne", ("Keyturn.Operator",))


def ask(called: CalledApi, *, by: Person | None = OPERATOR, once: str = "", **body: Any) -> Answer:  # noqa: ANN401 - JSON
    """Ask for a rotation of the key ``cmk``."""
    headers = {"Idempotency-Key": once} if once else {}
    said = {"reason": "an audit", **body}
    return called.call("POST", "/api/keys/kv-bench/cmk/rotate", said, by=by, headers=headers)


def queued(called: CalledApi) -> list[Step]:
    """Return what is queued, and forget it."""
    steps = [step for step, _ in called.bench.life.sent]
    called.bench.forget_sent()
    return steps


def requests(called: CalledApi, *ids: str) -> list[Request]:
    """Return the requests of these ids."""
    return [called.bench.row(Request, each, "request") for each in ids]


def test_a_wish_is_kept_and_queued_and_says_where_to_see_what_becomes_of_it(
    called: CalledApi,
) -> None:
    called.bench.key()
    answer = called.call(
        "POST", "/api/keys/KV-Bench/CMK/rotate", {"reason": " an audit "}, by=OPERATOR
    )
    wanted = answer.body["id"]
    assert (answer.status, answer.body) == (202, {"id": wanted, "state": "requested"})
    assert answer.headers["Location"] == f"/api/rotations/{wanted}"
    key = "https://kv-bench.vault.azure.net/keys/cmk"
    cause = Cause(trigger="operator", id=wanted, reason="an audit", by=OPERATOR.caller)
    assert queued(called) == [RotateKey(key=key, cause=cause, request=wanted)]

    shown = called.get(answer.headers["Location"], by=OPERATOR)
    assert (shown["state"], shown["newVersion"], shown["reason"]) == ("requested", True, "an audit")
    assert shown["by"] == {"id": OPERATOR.caller.id, "name": OPERATOR.caller.name}


def test_a_wish_without_a_new_version_opens_only(called: CalledApi) -> None:
    called.bench.key()
    answer = ask(called, newVersion=False)
    (step,) = queued(called)
    assert isinstance(step, Open)
    assert step.request == answer.body["id"]


# -- the same wish again ------------------------------------------------------------------------


def test_the_same_wish_under_one_idempotency_key_is_one_request_and_one_version(
    called: CalledApi,
) -> None:
    bench = called.bench
    key = bench.key()
    answers = [ask(called, once="k-1") for _ in range(3)]
    assert [answer.status for answer in answers] == [202] * 3
    (wanted,) = {answer.body["id"] for answer in answers}
    for step in queued(called):
        bench.run(step)
    ask(called, once="k-1")
    for step in queued(called):
        bench.run(step)
    assert bench.versions(key) == 2
    assert requests(called, wanted)[0].rotation == bench.active(key) != ""


def test_without_an_idempotency_key_each_is_another_wish(called: CalledApi) -> None:
    called.bench.key()
    assert len({ask(called).body["id"] for _ in range(2)}) == 2


@pytest.mark.parametrize("other", [{"reason": "another"}, {"newVersion": False}])
def test_another_wish_under_the_same_idempotency_key_is_refused(
    called: CalledApi, other: dict[str, Any]
) -> None:
    called.bench.key()
    first = ask(called, once="k-1").body["id"]
    queued(called)
    answer = ask(called, once="k-1", **other)
    assert answer.status == 422
    assert "used for another request" in answer.body["detail"]
    assert queued(called) == []
    assert requests(called, first)[0].reason == "an audit"


def test_two_callers_may_use_the_same_idempotency_key(called: CalledApi) -> None:
    called.bench.key()
    one, two = ask(called, once="k-1"), ask(called, once="k-1", by=ANNE, reason="another")
    assert (one.status, two.status) == (202, 202)
    assert one.body["id"] != two.body["id"]


def test_all_who_call_with_a_function_key_share_their_idempotency_keys(keyed: CalledApi) -> None:
    keyed.bench.key()
    first = ask(keyed, by=OPERATOR, once="k-1")
    assert ask(keyed, by=ANNE, once="k-1").body == first.body
    assert ask(keyed, by=ANNE, once="k-1", reason="another").status == 422


def test_an_idempotency_key_too_long_is_refused(called: CalledApi) -> None:
    assert ask(called, once="k" * 201).status == 400


def test_a_wish_that_was_kept_and_never_queued_is_queued_when_it_is_sent_again(
    called: CalledApi,
) -> None:
    called.bench.key()
    with called.bench.dying(after=at("insert", Request)), pytest.raises(Died):
        ask(called, once="k-1")
    assert queued(called) == []
    answer = ask(called, once="k-1")
    (step,) = queued(called)
    assert isinstance(step, RotateKey)
    assert step.request == answer.body["id"]


# -- what the policy says -----------------------------------------------------------------------


def test_of_a_key_that_is_only_observed_no_version_is_made(called: CalledApi) -> None:
    called.bench.key()
    called.bench.policies.set_defaults(mode=Mode.OBSERVE)
    answer = ask(called)
    assert answer.status == 403
    assert "only observe" in answer.body["detail"]
    assert queued(called) == []
    assert ask(called, newVersion=False).status == 202


def test_a_key_that_the_policy_leaves_out_is_refused(called: CalledApi) -> None:
    called.bench.key()
    policies = called.bench.policies
    policies.document = replace(policies.document, manage=("kv-bench/other",))
    for answer in (
        ask(called),
        ask(called, dryRun=True),
        called.call("GET", "/api/keys/kv-bench/cmk", by=OPERATOR),
        called.call("GET", "/api/keys/kv-bench/cmk/plan", by=OPERATOR),
    ):
        assert answer.status == 403
        assert "see its `manage`" in answer.body["detail"]
    assert queued(called) == []


def test_a_policy_that_cannot_be_used_is_told_with_every_problem_and_nothing_is_queued(
    called: CalledApi,
) -> None:
    problems = ("#/version: 2 is not 1", "#/rules: no list")
    called.bench.policies.problem, called.bench.policies.problems = "it is wrong", problems
    answer = ask(called)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "10")
    assert tuple(part["detail"] for part in answer.body["errors"]) == problems
    assert queued(called) == []


@pytest.mark.parametrize(
    ("vault", "key", "status"),
    [
        pytest.param("kv", "cmk", 400, id="a name too short"),
        pytest.param("kv-other", "cmk", 403, id="a vault off the list"),
        pytest.param("kv-bench.vault.azure.cn", "cmk", 400, id="a vault of another cloud"),
        pytest.param("evil.example", "cmk", 400, id="no vault"),
        pytest.param("kv-bench", "c%20k", 400, id="no key"),
        pytest.param("kv-bench", f"cmk%2F{TARGET.version}", 400, id="a version"),
        pytest.param("kv-bench", "cmk%3Fx=1", 400, id="a query"),
        pytest.param("kv-bench", "cmk%00", 400, id="a zero"),
    ],
)
def test_a_key_that_is_not_ours_is_refused(
    empty: CalledApi, vault: str, key: str, status: int
) -> None:
    answer = empty.call("POST", f"/api/keys/{vault}/{key}/rotate", {"reason": "x"}, by=OPERATOR)
    assert (answer.status, bool(answer.body["detail"])) == (status, True)


def test_a_key_that_there_is_not_shows_in_the_problem_of_the_request(called: CalledApi) -> None:
    wanted = ask(called).body["id"]
    for step in queued(called):
        called.bench.run(step)
    shown = called.get(f"/api/rotations/{wanted}", by=OPERATOR)
    assert shown["state"] == "failed"
    assert "KeyNotFound" in shown["problem"] == shown["summary"]


# -- dry runs -----------------------------------------------------------------------------------


def test_a_dry_run_answers_with_the_plan_and_leaves_only_the_pace_of_its_reads(
    called: CalledApi,
) -> None:
    bench = called.bench
    key = bench.key()
    bench.account("stone", key)
    answer = ask(called, dryRun=True)
    plan = called.get("/api/keys/kv-bench/cmk/plan?newVersion=true", by=OPERATOR)
    assert answer.status == 200
    assert answer.body["items"] == plan["items"] != []
    assert (answer.body["target"], bench.versions(key)) == (None, 1)
    assert queued(called) == []
    assert bench.calls("PATCH") == bench.calls("PUT") == []
    assert isinstance(bench.rows, MemoryRows)
    assert bench.rows.tables() == {"keyturncalls", "keyturnlanes"}


# -- approvals ----------------------------------------------------------------------------------


def act(called: CalledApi, action: str, asked: str, by: Person | None) -> Answer:
    """Steer a rotation, or a request."""
    return called.call("POST", f"/api/rotations/{asked}/{action}", {"reason": "seen"}, by=by)


def test_a_new_version_waits_for_somebody_else_and_with_it_its_rotation_is_approved(
    called: CalledApi,
) -> None:
    bench = called.bench
    bench.policies.set_defaults(mode=Mode.APPROVE, approval_hours=2)
    key = bench.key()
    account = bench.account("stone", key)
    answer = ask(called, by=BOTH, once="k-1")
    wanted = answer.body["id"]
    assert answer.body["state"] == "needs_approval"
    assert ask(called, by=BOTH, once="k-1").body == answer.body
    assert queued(called) == []
    assert called.get(f"/api/rotations/{wanted}", by=BOTH)["state"] == "needs_approval"

    own = act(called, "approve", wanted, BOTH)
    assert own.status == 403
    assert "another approves" in own.body["detail"]
    assert act(called, "approve", wanted, APPROVER).status == 202
    steps = queued(called)
    assert [type(step) for step in steps] == [RotateKey]
    for step in steps:
        bench.run(step)
    (opening,) = bench.sent(Open)
    rotation = bench.open(key, opening.cause, request=opening.request)
    shown = called.get(f"/api/rotations/{wanted}", by=BOTH)
    assert (shown["id"], shown["state"], shown["waitsFor"]) == (rotation, "discovering", None)
    assert bench.versions(key) == 2

    (move,) = bench.discover(rotation)
    bench.run(move)
    assert bench.writes(account) == 1
    acts = [(kept.row.action, kept.row.by.name) for kept in bench.rows.scan(Act, wanted)]
    assert acts == [("approve", APPROVER.caller.name)]


def test_an_approval_runs_out(called: CalledApi) -> None:
    bench = called.bench
    bench.policies.set_defaults(mode=Mode.APPROVE, approval_hours=2)
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation = bench.open(key)
    assert act(called, "approve", rotation, APPROVER).status == 202
    until = head(bench, key).approved_until
    assert until
    shown = called.get(f"/api/rotations/{rotation}", by=APPROVER)
    assert shown["state"] == "discovering"
    assert datetime.fromisoformat(shown["approvedUntil"]) == until

    bench.pass_time(hours=2, seconds=1)

    shown = called.get(f"/api/rotations/{rotation}", by=APPROVER)
    assert shown["state"] == "needs_approval"
    assert "its approval ran out" in shown["waitsFor"]
    bench.search(rotation)
    bench.supervise(rotation)
    assert bench.sent(Repoint) == []


def test_who_had_it_tried_again_may_not_approve_that_either(called: CalledApi) -> None:
    bench = called.bench
    bench.policies.set_defaults(mode=Mode.APPROVE)
    key = bench.key()
    bench.new_version(key)
    rotation = bench.open(key)
    assert act(called, "retry", rotation, BOTH).status == 202
    assert act(called, "approve", rotation, BOTH).status == 403
    assert act(called, "approve", rotation, APPROVER).status == 202


def test_with_function_keys_nobody_approves(keyed: CalledApi) -> None:
    keyed.bench.policies.set_defaults(mode=Mode.APPROVE)
    keyed.bench.key()
    wanted = ask(keyed, by=APPROVER).body["id"]
    answer = act(keyed, "approve", wanted, APPROVER)
    assert answer.status == 403
    (request,) = requests(keyed, wanted)
    assert (request.by, request.needs_approval) == (NOBODY, True)
