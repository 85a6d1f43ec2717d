"""What holds for every operation: roles, queries, bodies, ETags, errors, and the audit."""

import json
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import azure.functions as func
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from functions.access import PRINCIPAL
from functions.keys_api import KeysQuery
from functions.operations import Answered, Api, Asked, read_body, read_query
from functions.problems import RequestError
from functions.rotations_api import ConsumersQuery, RotationsQuery
from functions.status_api import ScopeQuery
from shared.domain.app_views import Alive
from shared.domain.callers import NOBODY, Role
from shared.domain.errors import ThrottledError, UnavailableError
from tests.functions.api import (
    APPROVER,
    AUDITOR,
    BOTH,
    GUEST,
    OPERATOR,
    Answer,
    CalledApi,
    Person,
    answering,
    header,
)
from tests.generated import INDEX

GOLDEN = {
    function["name"]: binding
    for function in json.loads(INDEX.read_text())
    for binding in function["bindings"]
    if binding["type"] == "httpTrigger"
}
NEEDS: dict[str, Role | None] = {
    "list_keys": Role.AUDITOR,
    "get_key": Role.AUDITOR,
    "plan_key": Role.AUDITOR,
    "rotate_key": Role.OPERATOR,
    "list_rotations": Role.AUDITOR,
    "get_rotation": Role.AUDITOR,
    "list_consumers": Role.AUDITOR,
    "list_requests": Role.AUDITOR,
    "pause_rotation": Role.OPERATOR,
    "resume_rotation": Role.OPERATOR,
    "cancel_rotation": Role.OPERATOR,
    "retry_rotation": Role.OPERATOR,
    "approve_rotation": Role.APPROVER,
    "settle_consumer": Role.OPERATOR,
    "get_scope": Role.AUDITOR,
    "get_health": Role.AUDITOR,
    "get_liveness": None,
    "get_openapi": Role.AUDITOR,
}
"""Who may call what, as the README has it. A new operation is a decision to be made here."""

MAY = {
    AUDITOR: {Role.AUDITOR},
    OPERATOR: {Role.AUDITOR, Role.OPERATOR},
    APPROVER: {Role.AUDITOR, Role.APPROVER},
    BOTH: {*Role},
    GUEST: set[Role](),
}
REASON = {"reason": "because"}


def harmless(called: CalledApi) -> CalledApi:
    """Return the API with operations that do nothing."""
    told = replace(called)
    told.operations = [
        replace(each, run=lambda _: Alive(status="alive")) for each in told.operations
    ]
    return told


def call(called: CalledApi, name: str, by: Person | None = None, **how: Any) -> Answer:  # noqa: ANN401 - as ``call``
    """Call an operation by its name, as its route and its body have it."""
    operation = next(each for each in called.operations if each.name == name)
    url = f"/api/{operation.route}".format(vault="kv-bench", key="cmk", id="r-1")
    extra = {"resource": "/r"} if name == "settle_consumer" else {}
    body = REASON | extra if operation.method == "POST" else None
    return called.call(operation.method, url, body, by=by, **how)


def test_every_function_of_the_index_with_a_route_is_an_operation_that_says_who_may_call_it(
    empty: CalledApi,
) -> None:
    operations = {each.name: each for each in empty.operations}
    assert {name: each.needs for name, each in operations.items()} == NEEDS
    assert {name: (binding["route"], binding["methods"]) for name, binding in GOLDEN.items()} == {
        name: (each.route, [each.method]) for name, each in operations.items()
    }


@pytest.mark.parametrize("app_service_auth", [False, True], ids=["keys", "app_service"])
def test_the_host_asks_for_a_key_where_nobody_else_has_seen_to_the_caller(
    empty: CalledApi,
    app_service_auth: bool,  # noqa: FBT001 - a table
) -> None:
    api = Api(app_service_auth=app_service_auth, audit=empty.api.audit, now=empty.api.now)
    app = func.FunctionApp()
    app.register_functions(api.blueprint(empty.operations))
    levels = {
        each.get_function_name(): each.get_dict_repr()["bindings"][0]["authLevel"].name
        for each in app.get_functions()
    }
    closed = "ANONYMOUS" if app_service_auth else "FUNCTION"
    assert levels == {n: closed if needs else "ANONYMOUS" for n, needs in NEEDS.items()}
    if not app_service_auth:  # as the app is indexed without any setting
        assert levels == {name: binding["authLevel"] for name, binding in GOLDEN.items()}


@pytest.mark.parametrize("name", NEEDS)
def test_nobody_is_let_in_who_has_not_signed_in(empty: CalledApi, name: str) -> None:
    for headers in ({}, {PRINCIPAL: "junk"}, {PRINCIPAL: header([("roles", "Keyturn.Approver")])}):
        answer = call(harmless(empty), name, headers=headers)
        if NEEDS[name] is None:
            assert answer.status == 200
        else:
            assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
            assert answer.body["title"] == "Unauthorized"


@pytest.mark.parametrize("name", NEEDS)
@pytest.mark.parametrize("person", MAY, ids=lambda person: person.name)
def test_each_operation_lets_in_who_has_its_role_and_nobody_else(
    empty: CalledApi, name: str, person: Person
) -> None:
    answer = call(harmless(empty), name, by=person)
    needs = NEEDS[name]
    if needs is None or needs in MAY[person]:
        assert answer.status == 200
    else:
        assert answer.status == 403
        assert f"this needs the app role {needs}" in answer.body["detail"]


@pytest.mark.parametrize("name", NEEDS)
@pytest.mark.parametrize("person", [None, APPROVER, BOTH], ids=["nobody", "forged", "all forged"])
def test_with_function_keys_a_forged_principal_changes_nothing_and_nobody_approves(
    empty: CalledApi, name: str, person: Person | None
) -> None:
    asked: list[Asked[Any, Any]] = []
    keyed = harmless(CalledApi(empty.bench))

    def run(each: Asked[Any, Any]) -> Alive:
        asked.append(each)
        return Alive(status="alive")

    keyed.operations = [replace(each, run=run) for each in keyed.operations]
    answer = call(keyed, name, by=person)
    if NEEDS[name] is Role.APPROVER:
        assert answer.status == 403
        assert "a function key names nobody" in answer.body["detail"]
        assert asked == []
    else:
        assert answer.status == 200
        assert [each.by for each in asked] == [NOBODY]


# -- queries ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "pointer"),
    [
        pytest.param("/api/keys?limit=0", "query/limit", id="too few"),
        pytest.param("/api/keys?limit=1001", "query/limit", id="too many"),
        pytest.param("/api/keys?limit=ten", "query/limit", id="no number"),
        pytest.param("/api/keys?limit=", "query/limit", id="empty"),
        pytest.param("/api/keys?lmit=1", "query", id="a name that there is not"),
        pytest.param("/api/keys/kv-bench/cmk?x=1", "query", id="where none is taken"),
        pytest.param("/api/keys?vault=kv%0Abench", "query/vault", id="a line's end"),
        pytest.param("/api/keys?vault=kv-bench%0A", "query/vault", id="a line's end at the end"),
        pytest.param("/api/rotations?state=done", "query/state", id="no state"),
        pytest.param("/api/rotations?key=cmk", "query/key", id="no URL"),
        pytest.param("/api/rotations/r-1/consumers?verdict=ok", "query/verdict", id="no verdict"),
        pytest.param("/api/rotations/r-1/consumers?kind=vm", "query/kind", id="no kind"),
        pytest.param("/api/keys/kv-bench/cmk/plan?newVersion=7", "query/newVersion", id="no flag"),
        pytest.param("/api/keys/kv-bench/cmk/plan?after=x'", "query/after", id="no cursor"),
    ],
)
def test_a_query_that_does_not_fit_is_refused_and_the_parameter_named(
    empty: CalledApi, url: str, pointer: str
) -> None:
    answer = empty.call("GET", url, by=AUDITOR)
    assert answer.status == 400
    (part,) = answer.body["errors"]
    assert part["pointer"] == pointer
    assert part["detail"]


ODD = ["'", " ", "''", "x' or RowKey ne '", '"', "(", "0-" + "a" * 32 + "'", "a/b'", "\n", "é"]


@pytest.mark.parametrize(
    "name", ["list_keys", "list_rotations", "list_consumers", "list_requests", "get_scope"]
)
@pytest.mark.parametrize("after", ODD)
def test_nothing_that_could_end_a_filter_passes_for_a_place(
    empty: CalledApi, name: str, after: str
) -> None:
    operation = next(each for each in empty.operations if each.name == name)
    request = func.HttpRequest(
        "GET",
        "/",
        params={"after": after},
        route_params={"id": "r-1"},
        headers=AUDITOR.headers,
        body=b"",
    )
    answer = empty.api.serve(operation, request, "x")
    assert answer.status_code == 400
    assert json.loads(answer.get_body())["errors"][0]["pointer"] == "query/after"


@given(st.text())
@settings(max_examples=300)
def test_no_place_that_passes_holds_a_quote_a_blank_or_a_sign_of_another_script(text: str) -> None:
    for query in (KeysQuery, RotationsQuery, ConsumersQuery, ScopeQuery):
        try:
            passed = read_query({"after": text}, query)
        except RequestError:
            continue
        assert set(passed.after) <= set("abcdefghijklmnopqrstuvwxyz0123456789-./")


def test_the_hosts_own_parameters_are_not_ours_to_look_at(keyed: CalledApi) -> None:
    assert keyed.call("GET", "/api/keys?code=secret&clientId=default").status == 200


# -- bodies -------------------------------------------------------------------------------------


class Wish(Struct, forbid_unknown_fields=True):
    reason: str


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        pytest.param(b"", ["#"], id="nothing"),
        pytest.param(b"{", ["#"], id="no JSON"),
        pytest.param(b"\xff", ["#"], id="no text"),
        pytest.param(b'{"reason": "\xff"}', ["#"], id="a text that is none"),
        pytest.param(b'{"reason": "\\ud800"}', ["#"], id="half a character"),
        pytest.param(b'{"reason": NaN}', ["#"], id="no number"),
        pytest.param(b"[]", ["#"], id="a list"),
        pytest.param(b"{}", ["#"], id="no reason"),
        pytest.param(b'{"reason": ""}', ["#/reason", "#/reason"], id="an empty reason"),
        pytest.param(b'{"reason": "  "}', ["#/reason"], id="blanks"),
        pytest.param(b'{"reason": "a\\nb"}', ["#/reason"], id="two lines"),
        pytest.param(b'{"reason": "a\\n"}', ["#/reason"], id="a line's end"),
        pytest.param(b'{"reason": "a\\u0000b"}', ["#/reason"], id="a zero"),
        pytest.param(b'{"reason": 7, "newVersion": "yes"}', ["#/newVersion", "#/reason"], id="two"),
        pytest.param(b'{"reason": "x", "new": true}', ["#"], id="a field too many"),
        pytest.param(json.dumps({"reason": "x" * 501}).encode(), ["#/reason"], id="too long"),
        pytest.param(b"[" * 100_000, ["#"], id="nested without end"),
    ],
)
def test_a_body_that_does_not_fit_is_refused_with_every_problem(
    empty: CalledApi, body: bytes, pointers: list[str]
) -> None:
    for action in ("keys/kv-bench/cmk/rotate", "rotations/r-1/pause"):
        answer = empty.call("POST", f"/api/{action}", body, by=OPERATOR)
        assert answer.status == 400
        found = [each["pointer"] for each in answer.body["errors"]]
        if "pause" in action and "#/newVersion" in pointers:
            assert sorted(found) == ["#", "#/reason"], "it takes no newVersion"
        else:
            assert sorted(found) == pointers


def test_a_body_is_read_as_json_whatever_is_said_of_its_type() -> None:
    assert read_body('{"reason": "Grüße"}'.encode(), Wish) == Wish("Grüße")


# -- answers ------------------------------------------------------------------------------------


def test_an_etag_changes_with_the_answer_and_what_has_not_changed_is_not_sent_again(
    empty: CalledApi,
) -> None:
    one, two = answering(empty, {"a": 1}), answering(empty, {"a": 2})
    first = one.call("GET", "/api/scope", by=AUDITOR)
    etag = first.headers["ETag"]
    assert first.headers["Cache-Control"] == "no-cache"
    for said in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        again = one.call("GET", "/api/scope", by=AUDITOR, headers={"If-None-Match": said})
        assert (again.status, again.content, again.headers["ETag"]) == (304, b"", etag)
    for changed in (
        two.call("GET", "/api/scope", by=AUDITOR, headers={"If-None-Match": etag}),
        one.call("GET", "/api/scope", by=AUDITOR, headers={"If-None-Match": etag[:-2]}),
    ):
        assert changed.status == 200
        assert changed.body
    assert two.call("GET", "/api/scope", by=AUDITOR).headers["ETag"] != etag


def test_what_is_not_well_is_never_told_as_unchanged(empty: CalledApi) -> None:
    ill = answering(empty, Answered({"a": 1}, HTTPStatus.SERVICE_UNAVAILABLE))
    etag = ill.call("GET", "/api/scope", by=AUDITOR).headers["ETag"]
    again = ill.call("GET", "/api/scope", by=AUDITOR, headers={"If-None-Match": etag})
    assert again.status == 503


def test_what_changes_something_or_fails_is_kept_by_nobody(empty: CalledApi) -> None:
    done = answering(empty, {"a": 1}, "pause_rotation")
    answer = done.call("POST", "/api/rotations/r-1/pause", REASON, by=OPERATOR)
    assert (answer.headers["Cache-Control"], "ETag" in answer.headers) == ("no-store", False)
    refused = empty.call("GET", "/api/keys?limit=0", by=AUDITOR)
    assert (refused.headers["Cache-Control"], "ETag" in refused.headers) == ("no-store", False)


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (UnavailableError("no answer"), "10"),
        (ThrottledError("slowly", retry_after=timedelta(seconds=41.2)), "42"),
    ],
)
def test_what_may_succeed_later_says_when(empty: CalledApi, error: Exception, seconds: str) -> None:
    answer = answering(empty, error).call("GET", "/api/scope", by=AUDITOR)
    assert (answer.status, answer.headers["Retry-After"]) == (503, seconds)


def test_a_problem_names_what_was_asked_for_without_its_query(empty: CalledApi) -> None:
    answer = empty.call("GET", "/api/rotations/no-such?code=secret", by=AUDITOR)
    assert answer.status == 404
    assert answer.body["instance"] == "/api/rotations/no-such"
    assert "secret" not in answer.content.decode()
