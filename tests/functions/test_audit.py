"""Every call is on record: who, what, why, and what came of it."""

import logging
from typing import cast

import pytest

from shared.domain.errors import UnavailableError
from shared.domain.records import Call
from shared.domain.rows import Row
from shared.ports import Kept, Rows
from tests.functions.api import AUDITOR, OPERATOR, CalledApi, answering
from tests.usecases.memory import MemoryRows


def test_every_call_is_on_record_with_its_caller_its_reason_and_what_came_of_it(
    called: CalledApi,
) -> None:
    key = called.bench.key()
    called.call("GET", "/api/keys?code=secret&limit=1", by=AUDITOR)
    called.call("GET", "/api/keys")
    called.call("POST", "/api/rotations/r-1/pause", {"reason": "freeze"}, by=AUDITOR)
    called.call("POST", "/api/rotations/r-1/pause", {"reason": "freeze"}, by=OPERATOR)
    called.call("POST", "/api/keys/kv-bench/cmk/rotate", {"reason": ""}, by=OPERATOR)
    wish = {"reason": "an audit", "newVersion": False}
    called.call("POST", f"/api/keys/kv-bench/{key.rpartition('/')[2]}/rotate", wish, by=OPERATOR)

    calls = called.calls()
    assert [(c.operation, c.status, c.by and c.by.name) for c in calls] == [
        ("list_keys", 200, "ada@contoso.com"),
        ("list_keys", 401, None),
        ("pause_rotation", 403, "ada@contoso.com"),
        ("pause_rotation", 404, "otto@contoso.com"),
        ("rotate_key", 400, "otto@contoso.com"),
        ("rotate_key", 202, "otto@contoso.com"),
    ]
    assert [c.reason for c in calls] == ["", "", "freeze", "freeze", "", "an audit"]
    assert [c.outcome for c in calls] == [
        "OK",
        "sign in with Microsoft Entra ID: the request names no user of it",
        "this needs the app role Keyturn.Operator",
        "there is no rotation 'r-1'",
        "the body is not what this operation takes; see errors",
        "requested",
    ]
    assert {c.path for c in calls} == {
        "/api/keys",
        "/api/rotations/r-1/pause",
        "/api/keys/kv-bench/cmk/rotate",
    }
    assert "secret" not in repr(calls)


@pytest.mark.parametrize("body", [{"reason": ""}, {"reason": "x" * 5000}, {"no": "reason"}, []])
def test_a_call_by_who_may_not_is_refused_as_such_whatever_it_says(
    called: CalledApi, body: object
) -> None:
    answer = called.call("POST", "/api/rotations/r-1/pause", body, by=AUDITOR)
    assert answer.status == 403
    (kept,) = called.calls()
    assert (kept.status, kept.reason) == (403, "")


def test_a_call_that_fails_for_no_known_reason_is_on_record_too(
    called: CalledApi,
) -> None:
    broken = answering(called, ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError):
        broken.call("GET", "/api/scope", by=AUDITOR)
    (kept,) = broken.calls()
    assert (kept.status, kept.outcome) == (500, "it failed; see the log")
    assert kept.by == AUDITOR.caller


def test_whether_the_app_lives_is_asked_too_often_to_be_on_record(called: CalledApi) -> None:
    assert called.call("GET", "/api/health/live").body == {"status": "alive"}
    assert called.calls() == []


class Unkept(MemoryRows):
    """Rows in which no call can be kept."""

    def insert[T: Row](self, row: T) -> Kept[T] | None:
        if isinstance(row, Call):
            raise UnavailableError("the table is away")
        return super().insert(row)


def test_a_call_that_cannot_be_kept_is_answered_all_the_same_and_logged(
    called: CalledApi, caplog: pytest.LogCaptureFixture
) -> None:
    called.bench.instead = {**called.bench.instead, "rows": cast("Rows", Unkept())}
    with caplog.at_level(logging.INFO):
        answer = called.call("GET", "/api/rotations", by=AUDITOR)
    assert answer.status == 200
    assert "is not on record: the table is away" in caplog.text
    assert "call GET /api/rotations by ada@contoso.com" in caplog.text
