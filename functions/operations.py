"""The HTTP API's operations: each is declared once, with who may call it and what goes in and out.

The functions of the host and the OpenAPI document are both made of the declarations.
"""

import hashlib
import logging
import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any, Literal
from urllib.parse import urlencode, urlsplit

import azure.functions as func
import msgspec
from msgspec import Meta, Struct

from functions.access import WITH_KEY, NobodyError, Principal, principal_of
from functions.problems import RequestError, as_problem
from shared.domain.callers import NOBODY, Caller, Role
from shared.domain.errors import KeyturnError, TransientError
from shared.domain.records import Call
from shared.domain.views import InvalidPart
from shared.usecases.audit import AuditCall

logger = logging.getLogger(__name__)

_OF_THE_HOST = {"code", "clientId"}
"""Query parameters by which the Functions host takes a key; they are not ours to look at."""

_ASK_AGAIN_AFTER = timedelta(seconds=10)


class NoQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Takes no parameters."""


class Paging(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Which page. An ``after`` is of a form of its own in each list: it stands in filters."""

    after: str = ""
    limit: Annotated[int, Meta(ge=1, le=1000, description="How many items a page has.")] = 100


AFTER = "Where the page begins: `next` of the page before has it."


class NoBody(Struct, frozen=True):
    """Takes no body."""


@dataclass(frozen=True, slots=True)
class Asked[Q: Struct, B: Struct]:
    """A request that has passed every check of its operation.

    Attributes:
        by: Who asks.
        path: Parameters of the route, as they came.
        once: The ``Idempotency-Key``; empty: none.
        url: Path of the request, for links to its next page.
    """

    by: Caller
    path: Mapping[str, str]
    query: Q
    body: B
    once: str
    url: str

    def next(self, after: str) -> str | None:
        """Return the link to the page that begins after ``after``; ``None`` if that is empty."""
        if not after:
            return None
        said = {name: value for name, value in msgspec.to_builtins(self.query).items() if value}
        written = {name: "true" if value is True else value for name, value in said.items()}
        return f"{self.url}?{urlencode(written | {'after': after})}"


@dataclass(frozen=True, slots=True)
class Answered:
    """What a handler answers, where it is more than a body with the operation's status.

    Attributes:
        body: A view, or a document that is sent as it is.
        location: Where to see what becomes of it; empty: nowhere.
    """

    body: Any
    status: HTTPStatus = HTTPStatus.OK
    location: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation[Q: Struct, B: Struct]:
    """One operation.

    Attributes:
        name: Of the function; the operation's id in the OpenAPI document.
        route: Without the prefix ``/api``.
        needs: The app role that its callers need; ``None``: anybody may call it.
        answers: What it answers with, by status; a class, or a union of classes.
        run: Its handler. Its docstring is the operation's documentation. Raises ``KeyturnError``
            or ``RequestError``.
    """

    name: str
    method: Literal["GET", "POST"]
    route: str
    needs: Role | None
    run: Callable[[Asked[Q, B]], Any]
    answers: Mapping[HTTPStatus, Any]
    query: type[Q]
    body: type[B]
    takes_once: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """What all operations share.

    Attributes:
        app_service_auth: Whether App Service authentication is on.
        audit: Returns the use case that keeps calls; called for a request, not at indexing.
        now: Returns the current time.
    """

    app_service_auth: bool
    audit: Callable[[], AuditCall]
    now: Callable[[], datetime]
    operations: list[Operation[Any, Any]] = field(default_factory=list)

    def blueprint(self, operations: Iterable[Operation[Any, Any]]) -> func.Blueprint:
        """Return a function for each operation."""
        bp = func.Blueprint()
        for operation in operations:
            self.operations.append(operation)
            self._add(bp, operation)
        return bp

    def _add(self, bp: func.Blueprint, operation: Operation[Any, Any]) -> None:
        is_open = self.app_service_auth or operation.needs is None
        level = func.AuthLevel.ANONYMOUS if is_open else func.AuthLevel.FUNCTION

        @bp.function_name(operation.name)
        @bp.route(operation.route, methods=[operation.method], auth_level=level)
        def serve(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
            return self.serve(operation, req, context.invocation_id)

    def serve(
        self, operation: Operation[Any, Any], req: func.HttpRequest, invocation: str
    ) -> func.HttpResponse:
        """Answer a request, and keep who asked and what came of it."""
        call = _Call(operation, req)
        status, outcome = HTTPStatus.INTERNAL_SERVER_ERROR, "it failed; see the log"
        try:
            answer = self._answer(call)
            status, outcome = HTTPStatus(answer.status_code), call.outcome
        finally:
            if operation.needs is not None:
                self._keep(call, status, outcome, invocation)
        return answer

    def _answer(self, call: "_Call") -> func.HttpResponse:
        try:
            if call.operation.needs is not None:
                call.principal = principal_of(
                    call.req.headers, app_service_auth=self.app_service_auth
                )
                call.check_role()
            return call.answered(call.operation.run(call.asked()))
        except NobodyError as error:
            return call.refused(RequestError(HTTPStatus.UNAUTHORIZED, str(error)))
        except (RequestError, KeyturnError) as error:
            return call.refused(error)

    def _keep(self, call: "_Call", status: HTTPStatus, outcome: str, invocation: str) -> None:
        self.audit().run(
            Call(
                id=invocation,
                at=self.now(),
                operation=call.operation.name,
                method=call.operation.method,
                path=call.url[:1000],
                by=call.principal.caller if call.principal else None,
                reason=call.reason,
                status=status,
                outcome=outcome[:1000],
            )
        )


@dataclass(slots=True)
class _Call:
    """One request on its way."""

    operation: Operation[Any, Any]
    req: func.HttpRequest
    principal: Principal | None = None
    reason: str = ""
    outcome: str = ""

    @property
    def url(self) -> str:
        return str(urlsplit(self.req.url).path)

    def check_role(self) -> None:
        """Raise unless the caller has the role that the operation needs."""
        needs = self.operation.needs
        if needs and not (self.principal and self.principal.may(needs)):
            with suppress(RequestError):  # the audit has what was wanted, where it can be read
                self.reason = str(getattr(self._body(), "reason", ""))
            hint = ", and a function key names nobody" if self.principal == WITH_KEY else ""
            raise RequestError(HTTPStatus.FORBIDDEN, f"this needs the app role {needs}{hint}")

    def asked(self) -> Asked[Any, Any]:
        """Return the request, read and checked."""
        once = self.req.headers.get("Idempotency-Key", "") if self.operation.takes_once else ""
        if len(once) > 200:  # noqa: PLR2004 - said in the message
            raise RequestError(HTTPStatus.BAD_REQUEST, "the Idempotency-Key is over 200 characters")
        given = {n: v for n, v in self.req.params.items() if n not in _OF_THE_HOST}
        query, body = read_query(given, self.operation.query), self._body()
        self.reason = str(getattr(body, "reason", ""))
        return Asked(
            by=self.principal.caller if self.principal else NOBODY,
            path=self.req.route_params,
            query=query,
            body=body,
            once=once,
            url=self.url,
        )

    def _body(self) -> Struct:
        if self.operation.body is NoBody:
            return NoBody()
        body: Struct = read_body(self.req.get_body(), self.operation.body)
        return body

    def answered(self, result: Any) -> func.HttpResponse:  # noqa: ANN401 - a view
        """Return the answer of a handler."""
        answer = result if isinstance(result, Answered) else Answered(result)
        body = answer.body if isinstance(answer.body, bytes) else msgspec.json.encode(answer.body)
        headers = {"Cache-Control": "no-store"}
        self.outcome = str(getattr(answer.body, "state", "") or answer.status.phrase)
        if answer.location:
            headers["Location"] = answer.location
        if self.operation.method == "GET":
            headers["Cache-Control"] = "no-cache"  # kept by a client, and asked for each time
            headers["ETag"] = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
            wanted = self.req.headers.get("If-None-Match", "")
            if answer.status is HTTPStatus.OK and _matches(wanted, headers["ETag"]):
                return func.HttpResponse(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return func.HttpResponse(
            body, status_code=answer.status, headers=headers, mimetype="application/json"
        )

    def refused(self, error: RequestError | KeyturnError) -> func.HttpResponse:
        """Return an error as the answer."""
        problem = as_problem(error, self.url[:1000])
        self.outcome = problem.detail
        headers = {"Cache-Control": "no-store"}
        if problem.status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        if isinstance(error, TransientError):
            wait = error.retry_after or _ASK_AGAIN_AFTER
            headers["Retry-After"] = str(math.ceil(wait.total_seconds()))
        return func.HttpResponse(
            msgspec.json.encode(problem),
            status_code=problem.status,
            headers=headers,
            mimetype="application/problem+json",
        )


def read_query[Q: Struct](given: Mapping[str, str], kind: type[Q]) -> Q:
    """Read a request's query.

    Raises:
        RequestError: It is not what ``kind`` says.
    """
    for name, value in given.items():
        if not value.isprintable():  # the ``$`` of a pattern lets a line's end pass
            raise _bad_query(name, "Expected printable text")
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$.")
        raise _bad_query(place.rstrip("`"), message) from None


def _bad_query(name: str, said: str) -> RequestError:
    part = InvalidPart(pointer=f"query/{name}".rstrip("/"), detail=said)
    detail = "the query is not what this operation takes; see errors"
    return RequestError(HTTPStatus.BAD_REQUEST, detail, (part,))


def read_body[B: Struct](content: bytes, kind: type[B]) -> B:
    """Read a request's body.

    Raises:
        RequestError: It is not what ``kind`` says; with every problem, not only the first.
    """
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - 97 ms that no event needs

    try:
        found = msgspec.json.decode(content)
    except (ValueError, RecursionError) as error:
        raise _bad_body([InvalidPart(pointer="#", detail=f"no JSON: {error}")]) from None
    problems = [
        InvalidPart(
            pointer="/".join(["#", *map(str, error.absolute_path)]), detail=error.message[:200]
        )
        for error in Draft202012Validator(msgspec.json.schema(kind)).iter_errors(found)
    ]
    if problems:
        raise _bad_body(problems)
    return msgspec.convert(found, kind)


def _bad_body(problems: list[InvalidPart]) -> RequestError:
    detail = "the body is not what this operation takes; see errors"
    return RequestError(HTTPStatus.BAD_REQUEST, detail, tuple(problems))


def _matches(wanted: str, etag: str) -> bool:
    return wanted.strip() == "*" or etag in (
        each.strip().removeprefix("W/") for each in wanted.split(",")
    )
