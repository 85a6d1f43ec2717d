"""Errors, as callers of the HTTP API get to see them: RFC 9457."""

from http import HTTPStatus

from shared.domain import errors
from shared.domain.errors import KeyturnError, PolicyError, RowConflictError
from shared.domain.views import InvalidPart, Problem


class RequestError(Exception):
    """The request itself is at fault."""

    def __init__(
        self, status: HTTPStatus, detail: str, parts: tuple[InvalidPart, ...] = ()
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.parts = parts


# The first that fits. What is not here is a service's own refusal: we are its client.
_STATUS: tuple[tuple[type[KeyturnError], HTTPStatus], ...] = (
    (errors.InvalidKeyUrlError, HTTPStatus.BAD_REQUEST),
    (errors.NotAllowedError, HTTPStatus.FORBIDDEN),
    (errors.NotPermittedError, HTTPStatus.FORBIDDEN),
    (errors.NotFoundError, HTTPStatus.NOT_FOUND),
    (errors.NotActiveError, HTTPStatus.CONFLICT),
    (errors.NotSettledError, HTTPStatus.CONFLICT),
    # As draft-ietf-httpapi-idempotency-key-header has it.
    (errors.AlreadyUsedError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (errors.TransientError, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.PermanentError, HTTPStatus.BAD_GATEWAY),
)


def as_problem(error: RequestError | KeyturnError, instance: str) -> Problem:
    """Return the problem that an error is; ``instance``: the path of what was asked for."""
    detail = str(error)
    parts: tuple[InvalidPart, ...] = ()
    if isinstance(error, RequestError):
        status, parts = error.status, error.parts
    else:
        status = next(status for kind, status in _STATUS if isinstance(error, kind))
    if isinstance(error, PolicyError):
        parts = tuple(InvalidPart(pointer="policy", detail=each) for each in error.problems)
    if isinstance(error, RowConflictError):
        detail = "something else happened to it at this moment: ask again"
    return Problem(
        type="about:blank",
        title=status.phrase,
        status=status.value,
        detail=detail,
        instance=instance,
        errors=parts,
    )
