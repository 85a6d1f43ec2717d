"""The OpenAPI document, made of the operations and of the classes that they take and give."""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from types import UnionType
from typing import Any, get_args

import msgspec

from functions.operations import NoBody, Operation
from shared.domain.callers import Role
from shared.domain.tool import VERSION
from shared.domain.views import Problem

type Json = dict[str, Any]

_REFERENCE = "#/components/schemas/{name}"
_DESCRIPTION = (
    "Moves every resource that is encrypted with a Key Vault key to the key's new version, proves"
    " it, and says which are not there. A rotation re-wraps data-encryption keys; the data itself"
    " is not re-encrypted. Times are UTC. Every GET has an ETag. `x-keyturn-role` is the app role"
    " that a caller needs where App Service authentication is on; whoever has one may read."
)
_TEXT: Json = {"type": "string"}
_PROBLEMS: Mapping[HTTPStatus, tuple[str, str]] = {
    HTTPStatus.BAD_REQUEST: ("BadRequest", "The request is not what the operation takes."),
    HTTPStatus.FORBIDDEN: ("Forbidden", "The caller, or the policy, does not allow it."),
    HTTPStatus.NOT_FOUND: ("NotFound", "There is no such thing."),
    HTTPStatus.CONFLICT: ("Conflict", "It is not, or no more, in a state for that."),
    HTTPStatus.UNPROCESSABLE_ENTITY: (
        "KeyAlreadyUsed",
        "The Idempotency-Key was used for another request.",
    ),
    HTTPStatus.BAD_GATEWAY: ("BadGateway", "A service of Azure refused what we asked of it."),
    HTTPStatus.SERVICE_UNAVAILABLE: ("NotNow", "Ask again after `Retry-After` seconds."),
}
_ETAG = {
    "name": "If-None-Match",
    "in": "header",
    "schema": _TEXT,
    "description": "An ETag that was answered before: 304 if nothing has changed since.",
}
_ONCE = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "maxLength": 200},
    "description": "Makes a wish that is sent again the same wish: one version, one rotation.",
}


def document(operations: Sequence[Operation[Any, Any]]) -> bytes:
    """Return the document, OpenAPI 3.1, as JSON."""
    types = list(_types(operations))
    _, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    paths: dict[str, Json] = {}
    for operation in operations:
        paths.setdefault(f"/api/{operation.route}", {})[operation.method.lower()] = _of(operation)
    whole = {
        "openapi": "3.1.0",
        "info": {
            "title": "Keyturn",
            "version": VERSION,
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {name: _told(schema) for name, schema in sorted(components.items())},
            "responses": dict(_shared_responses()),
            "securitySchemes": {
                "functionKey": {"type": "apiKey", "in": "header", "name": "x-functions-key"},
                "entra": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            },
        },
    }
    return msgspec.json.encode(whole)


def _types(operations: Sequence[Operation[Any, Any]]) -> Iterator[Any]:
    yield Problem
    for operation in operations:
        for kind in operation.answers.values():
            yield from get_args(kind) if isinstance(kind, UnionType) else (kind,)
        if operation.body is not NoBody:
            yield operation.body


def _of(operation: Operation[Any, Any]) -> Json:
    summary, _, more = inspect.cleandoc(operation.run.__doc__ or "").partition("\n\n")
    found: Json = {
        "operationId": operation.name,
        "summary": _plain(summary),
        "parameters": [*_path(operation), *_query(operation), *_headers(operation)],
        "responses": dict(_responses(operation)),
        "security": _security(operation.needs),
    }
    if more:
        found["description"] = _plain(more)
    if operation.needs:
        found["x-keyturn-role"] = operation.needs.value
    if operation.body is not NoBody:
        found["requestBody"] = {"required": True, "content": _json(_schema(operation.body))}
    return found


def _security(needs: Role | None) -> list[Json]:
    if needs is None:
        return []
    signed_in: Json = {"entra": []}
    return [signed_in] if needs is Role.APPROVER else [{"functionKey": []}, signed_in]


def _path(operation: Operation[Any, Any]) -> Iterator[Json]:
    for name in re.findall(r"\{(\w+)\}", operation.route):
        pattern, said = _PATHS[name]
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": pattern},
            "description": said,
        }


_PATHS = {
    "vault": (r"^[0-9A-Za-z-]{3,24}(\.[0-9a-z.]+)?$", "Name or host of a vault."),
    "key": (r"^[0-9A-Za-z-]{1,127}$", "Name of a key."),
    "id": (r"^[0-9A-Za-z-]{1,64}$", "Id of a rotation, or of the request for one."),
}


def _query(operation: Operation[Any, Any]) -> Iterator[Json]:
    schema = msgspec.json.schema_components([operation.query], ref_template=_REFERENCE)[1]
    for name, parameter in schema[operation.query.__name__]["properties"].items():
        plain = {key: value for key, value in parameter.items() if key != "description"}
        if "anyOf" in plain:  # or null, which is to leave it out
            plain = plain["anyOf"][0]
        said = parameter["description"]
        yield {"name": name, "in": "query", "schema": plain, "description": said}


def _headers(operation: Operation[Any, Any]) -> Iterator[Json]:
    if operation.method == "GET":
        yield _ETAG
    if operation.takes_once:
        yield _ONCE


def _responses(operation: Operation[Any, Any]) -> Iterator[tuple[str, Json]]:
    for status, kind in operation.answers.items():
        answer: Json = {"description": status.phrase, "content": _json(_schema(kind))}
        if operation.method == "GET":
            answer["headers"] = {"ETag": _header("Changes whenever the answer does.")}
        if status is HTTPStatus.ACCEPTED:
            answer["headers"] = {"Location": _header("Where to see what becomes of it.")}
        yield str(status.value), answer
    if operation.method == "GET":
        yield "304", {"description": "Nothing has changed since the ETag."}
    if operation.needs is None:
        yield "400", {"$ref": "#/components/responses/BadRequest"}
        return
    yield "401", {"$ref": "#/components/responses/Unauthorized"}
    for status, (name, _) in _PROBLEMS.items():
        if _may_answer(operation, status):
            yield str(status.value), {"$ref": f"#/components/responses/{name}"}


def _may_answer(operation: Operation[Any, Any], problem: HTTPStatus) -> bool:
    if problem is HTTPStatus.CONFLICT:
        return operation.method == "POST"
    if problem is HTTPStatus.UNPROCESSABLE_ENTITY:
        return operation.takes_once
    return problem not in operation.answers


def _shared_responses() -> Iterator[tuple[str, Json]]:
    content = {"application/problem+json": {"schema": _schema(Problem)}}
    # The Functions host answers with nothing, App Service and Keyturn with a problem.
    said = "Nobody that we know: no key, or not signed in."
    yield "Unauthorized", {"description": said, "content": content}
    for status, (name, said) in _PROBLEMS.items():
        answer: Json = {"description": said, "content": content}
        if status is HTTPStatus.SERVICE_UNAVAILABLE:
            answer["headers"] = {"Retry-After": _header("Seconds to wait.", {"type": "integer"})}
        yield name, answer


def _header(said: str, schema: Json = _TEXT) -> Json:
    return {"schema": schema, "description": said}


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _schema(kind: Any) -> Json:  # noqa: ANN401 - a class, or a union of some
    if isinstance(kind, UnionType):
        return {"oneOf": [_schema(each) for each in get_args(kind)]}
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=_REFERENCE)
    return schema


def _told(schema: Json) -> Json:
    """Return a schema whose properties are described by the lines of its class's docstring."""
    text = inspect.cleandoc(schema.get("description", ""))
    whole, _, attributes = text.partition("\n\nAttributes:\n")
    told = {**schema, "description": _plain(whole)}
    if "properties" in schema:
        said = dict(_attributes(attributes))
        told["properties"] = {
            name: {"description": said[name], **each} if name in said else each
            for name, each in schema["properties"].items()
        }
    return told


def _attributes(text: str) -> Iterator[tuple[str, str]]:
    """Yield the name, as JSON has it, and the text of each of a docstring's ``Attributes``."""
    for entry in re.split(r"\n(?=    \w)", text):
        names, _, said = entry.strip().partition(": ")
        for name in names.split(", "):
            yield re.sub(r"_(\w)", lambda m: m[1].upper(), name), _plain(said)


def _plain(text: str) -> str:
    return " ".join(text.replace("``", "`").split())
