"""``GET /api/requests``, and a request that is taken back."""

from typing import Any

import pytest

from shared.domain.callers import NOBODY
from shared.domain.policy import Mode
from shared.domain.records import PENDING, Act, Pending, Request, Watched
from shared.domain.rows import Cause
from shared.domain.steps import Open, Revive, RotateKey
from tests.functions.api import APPROVER, AUDITOR, BOTH, OPERATOR, CalledApi
from tests.functions.test_rotate_api import act, ask, queued, requests
from tests.usecases.bench import Bench

KEY = "https://kv-bench.vault.azure.net/keys/cmk"


@pytest.fixture(name="careful")
def _careful(called: CalledApi) -> CalledApi:
    """An API with a key whose versions need an approval."""
    called.bench.key()
    called.bench.policies.set_defaults(mode=Mode.APPROVE)
    return called


def waiting(called: CalledApi) -> dict[str, str]:
    """Return the state of each request that is listed, by its id."""
    found = called.items("/api/requests?limit=1", by=AUDITOR)
    return {item["id"]: item["state"] for item in found}


def serve(bench: Bench, request: str) -> None:
    """Run the step that serves a request."""
    cause = Cause(trigger="operator", id=request)
    bench.run(RotateKey(key=KEY, cause=cause, request=request))


def keep(called: CalledApi, request: str, **fields: Any) -> None:  # noqa: ANN401 - of a row
    told: dict[str, Any] = {"key": KEY, "reason": "r", "new_version": True}
    told |= {"asked_at": called.bench.clock.now(), **fields}
    called.bench.rows.insert(Request(id=request, **told))


# -- finding them -------------------------------------------------------------------------------


def test_requests_are_listed_until_something_has_come_of_them(careful: CalledApi) -> None:
    bench = careful.bench
    wanted = sorted(ask(careful).body["id"] for _ in range(3))
    assert waiting(careful) == dict.fromkeys(wanted, "needs_approval")

    act(careful, "approve", wanted[0], APPROVER)
    assert waiting(careful)[wanted[0]] == "requested"
    serve(bench, wanted[0])
    (opening,) = bench.sent(Open)
    bench.run(opening)
    assert waiting(careful) == dict.fromkeys(wanted[1:], "needs_approval")


def test_what_the_policy_asks_approvers_for_is_listed_too_and_each_once(
    careful: CalledApi,
) -> None:
    rows, now = careful.bench.rows, careful.bench.clock.now()
    states: list[dict[str, Any]] = [{"needs_approval": True}, {"rotation": "r-1"}]
    states += [{"problem": "403"}, {"cancelled": "no"}]
    for number, fields in enumerate(states):
        keep(careful, f"exp-{number}", **fields)
        key = f"{KEY}{number}"
        rows.insert(Watched(key=key, at=now, request=f"exp-{number}"))
    rows.insert(Watched(key=KEY, at=now))
    cause = Cause(trigger="sweep", id="s1")
    step = RotateKey(key=KEY, cause=cause, request="exp-0")
    rows.insert(Pending(request="exp-0", step=step, at=now))
    rows.insert(Pending(request="req-never-kept", step=step, at=now))

    assert careful.items("/api/requests", by=AUDITOR) == [
        careful.get("/api/rotations/exp-0", by=AUDITOR)
    ]


# -- taking one back ----------------------------------------------------------------------------


def test_a_request_that_is_taken_back_is_kept_with_who_and_why_and_never_served(
    careful: CalledApi,
) -> None:
    bench = careful.bench
    wanted = ask(careful, once="k-1").body["id"]
    for _ in range(2):
        answer = act(careful, "cancel", wanted, BOTH)
        assert (answer.status, answer.body["id"]) == (202, wanted)
    acts = [(kept.row.action, kept.row.by.name) for kept in bench.rows.scan(Act, wanted)]
    assert acts == [("cancel", BOTH.caller.name)]
    shown = careful.get(f"/api/rotations/{wanted}", by=OPERATOR)
    assert (shown["state"], shown["needsApproval"]) == ("cancelled", False)
    assert shown["summary"] == "taken back: seen"
    assert [each["by"]["name"] for each in shown["acts"]] == [BOTH.caller.name]
    assert waiting(careful) == {}

    refused = act(careful, "approve", wanted, APPROVER)
    assert (refused.status, refused.body["detail"]) == (
        409,
        f"request {wanted} was taken back: seen",
    )
    assert ask(careful, once="k-1").body == {"id": wanted, "state": "cancelled"}
    serve(bench, wanted)
    assert queued(careful) == []
    assert bench.versions(KEY) == 1

    bench.pass_time(hours=1)
    bench.run(Revive())
    assert list(bench.rows.scan(Pending, PENDING)) == []


def test_an_approved_request_can_be_taken_back_until_the_vault_was_asked(
    careful: CalledApi,
) -> None:
    bench = careful.bench
    early, late = (ask(careful).body["id"] for _ in range(2))
    for each in (early, late):
        act(careful, "approve", each, APPROVER)
    assert act(careful, "cancel", early, OPERATOR).status == 202
    serve(bench, early)
    assert bench.versions(KEY) == 1

    serve(bench, late)
    refused = act(careful, "cancel", late, OPERATOR)
    assert refused.status == 409
    assert "is being served" in refused.body["detail"]
    assert bench.versions(KEY) == 2


def test_what_is_taken_back_right_before_the_vault_is_asked_makes_no_version(
    called: CalledApi,
) -> None:
    bench = called.bench
    bench.key()
    wanted = ask(called).body["id"]
    (step,) = queued(called)

    def cancelled(method: str, arguments: tuple[Any, ...]) -> bool:
        if method == "replace" and getattr(arguments[-1], "vault_asked_at", None):
            bench.life.before = lambda *_: False
            assert act(called, "cancel", wanted, OPERATOR).status == 202
        return False

    bench.life.before = cancelled
    bench.run(step)
    (again,) = queued(called)
    bench.run(again)
    assert (bench.versions(KEY), queued(called)) == (1, [])
    assert requests(called, wanted)[0].cancelled == "seen"


@pytest.mark.parametrize(
    ("request_id", "fields", "status", "says"),
    [
        pytest.param("req-o", {"new_version": False}, 409, "is being served", id="being opened"),
        pytest.param("req-f", {"problem": "403"}, 409, "has failed: 403", id="failed"),
        pytest.param("exp-1", {"needs_approval": True}, 403, "is the policy's", id="policy's"),
    ],
)
def test_what_cannot_be_taken_back_says_why(
    called: CalledApi, request_id: str, fields: dict[str, Any], status: int, says: str
) -> None:
    keep(called, request_id, **fields)
    answer = act(called, "cancel", request_id, OPERATOR)
    assert answer.status == status
    assert says in answer.body["detail"]
    (kept,) = requests(called, request_id)
    assert kept.cancelled == ""


def test_a_function_key_may_take_a_request_back(keyed: CalledApi) -> None:
    keyed.bench.key()
    keyed.bench.policies.set_defaults(mode=Mode.APPROVE)
    wanted = ask(keyed, by=None).body["id"]
    assert act(keyed, "cancel", wanted, None).status == 202
    (kept,) = keyed.bench.rows.scan(Act, wanted)
    assert kept.row.by == NOBODY
