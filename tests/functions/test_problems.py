"""Errors as callers of the HTTP API see them."""

import json
from collections.abc import Iterator

import msgspec
import pytest

from functions.problems import as_problem
from shared.domain import errors
from shared.domain.errors import KeyturnError, PermanentError, PolicyError, TransientError
from shared.domain.views import InvalidPart

STATUS = {
    errors.ThrottledError: 503,
    errors.BusyError: 503,
    errors.ChangedError: 503,
    errors.UnavailableError: 503,
    errors.UnansweredError: 503,
    errors.RowConflictError: 503,
    errors.PolicyError: 503,
    errors.EvidenceError: 503,
    errors.InvalidKeyUrlError: 400,
    errors.InvalidEventError: 502,
    errors.InvalidResourceIdError: 502,
    errors.NotAllowedError: 403,
    errors.AccessDeniedError: 502,
    errors.NotSignedInError: 502,
    errors.NotPermittedError: 403,
    errors.AlreadyUsedError: 422,
    errors.NotActiveError: 409,
    errors.NotSettledError: 409,
    errors.NotFoundError: 404,
    errors.GoneError: 502,
    errors.RejectedError: 502,
    errors.UnreadableError: 502,
    errors.RefusedWriteError: 502,
}


def _leaves(kind: type[KeyturnError]) -> Iterator[type[KeyturnError]]:
    ours = [each for each in kind.__subclasses__() if each.__module__ == errors.__name__]
    for each in ours:
        yield from _leaves(each)
    if not ours:
        yield kind


def test_the_table_has_every_error_there_is() -> None:
    assert set(_leaves(KeyturnError)) == set(STATUS)


@pytest.mark.parametrize("kind", [*STATUS, TransientError, PermanentError])
def test_every_error_is_a_problem_with_its_status_and_says_what_it_says(
    kind: type[TransientError | PermanentError],
) -> None:
    error = kind("the vault said no")
    problem = as_problem(error, "/api/keys")
    wanted = {**STATUS, TransientError: 503, PermanentError: 502}
    assert problem.status == wanted[kind]
    assert problem.instance == "/api/keys"
    conflict = kind is errors.RowConflictError  # its message names a row, which is ours
    assert problem.detail == (
        "something else happened to it at this moment: ask again" if conflict else str(error)
    )


def test_a_problem_is_as_rfc_9457_has_it() -> None:
    problem = as_problem(PolicyError("it is wrong", ["#/a: no", "#/b: no"]), "/api/keys")
    assert json.loads(msgspec.json.encode(problem)) == {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": "it is wrong",
        "instance": "/api/keys",
        "errors": [
            {"pointer": "policy", "detail": "#/a: no"},
            {"pointer": "policy", "detail": "#/b: no"},
        ],
    }
    assert "errors" not in msgspec.to_builtins(as_problem(PolicyError("x"), "/"))
    assert problem.errors[0] == InvalidPart(pointer="policy", detail="#/a: no")
