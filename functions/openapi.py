"""The OpenAPI document, made of the operations and of the classes that they take and give."""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from types import UnionType
from typing import Any, get_args

import msgspec

from functions.operations import NoBody, Operation
from shared import VERSION
from shared.domain.callers import Role
from shared.domain.views import Problem

type Json = dict[str, Any]

_REFERENCE = "#/components/schemas/{name}"
_DESCRIPTION = (
    "Moves every resource that is encrypted with a Key Vault key to the key's new version, proves"
    " it, and says which are not there. A rotation re-wraps data-encryption keys; the data itself"
    " is not re-encrypted. Times are UTC. Every GET has an ETag."
)
_PROBLEMS: Mapping[HTTPStatus, str] = {
    HTTPStatus.BAD_REQUEST: "The request is not what the operation takes.",
    HTTPStatus.FORBIDDEN: "The caller, or the policy, does not allow it.",
    HTTPStatus.NOT_FOUND: "There is no such thing.",
    HTTPStatus.CONFLICT: "It is not, or no more, in a state for that.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The Idempotency-Key was used for another request.",
    HTTPStatus.BAD_GATEWAY: "A service of Azure refused what we asked of it.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Not now: ask again after `Retry-After` seconds.",
}
_CHANGES_ONLY = {HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY}
_ETAG = {
    "name": "If-None-Match",
    "in": "header",
    "schema": {"type": "string"},
    "description": "An ETag: 304 if nothing has changed.",
}
_ONCE = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "maxLength": 200},
    "description": "Makes a wish that is sent again the same wish.",
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
    summary, _, description = inspect.cleandoc(operation.run.__doc__ or "").partition("\n\n")
    found: Json = {
        "operationId": operation.name,
        "summary": " ".join(summary.split()),
        "parameters": [*_path(operation), *_query(operation), *_headers(operation)],
        "responses": dict(_responses(operation)),
        "security": [{"functionKey": []}, {"entra": []}] if operation.needs else [],
    }
    if description:
        found["description"] = " ".join(description.split())
    if operation.needs:
        found["x-keyturn-role"] = operation.needs.value
        if operation.needs is Role.APPROVER:
            found["security"] = [{"entra": []}]
    if operation.body is not NoBody:
        found["requestBody"] = {"required": True, "content": _json(_schema(operation.body))}
    return found


def _path(operation: Operation[Any, Any]) -> Iterator[Json]:
    for name in re.findall(r"\{(\w+)\}", operation.route):
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1},
            "description": _PATHS[name],
        }


_PATHS = {
    "vault": "Name or host of a vault.",
    "key": "Name of a key.",
    "id": "Of a rotation, or of the request for one.",
}


def _query(operation: Operation[Any, Any]) -> Iterator[Json]:
    schema = msgspec.json.schema_components([operation.query], ref_template=_REFERENCE)[1]
    for name, parameter in schema[operation.query.__name__]["properties"].items():
        plain = {key: value for key, value in parameter.items() if key != "description"}
        yield {
            "name": name,
            "in": "query",
            "schema": plain,
            "description": parameter.get("description", ""),
        }


def _headers(operation: Operation[Any, Any]) -> Iterator[Json]:
    if operation.method == "GET":
        yield _ETAG
    if operation.takes_once:
        yield _ONCE


def _responses(operation: Operation[Any, Any]) -> Iterator[tuple[str, Json]]:
    for status, kind in operation.answers.items():
        answer: Json = {"description": status.phrase, "content": _json(_schema(kind))}
        if operation.method == "GET":
            answer["headers"] = {"ETag": {"schema": {"type": "string"}}}
        if status is HTTPStatus.ACCEPTED:
            said = "Where to see what becomes of it."
            answer["headers"] = {"Location": {"schema": {"type": "string"}, "description": said}}
        yield str(status.value), answer
    if operation.method == "GET":
        yield "304", {"description": "Nothing has changed since the ETag."}
    if operation.needs is not None:
        yield "401", {"description": "Nobody that we know: no key, or not signed in."}
    for status, said in _PROBLEMS.items():
        if status in operation.answers or (operation.method == "GET" and status in _CHANGES_ONLY):
            continue
        content = {"application/problem+json": {"schema": _schema(Problem)}}
        yield str(status.value), {"description": said, "content": content}


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
    properties = schema.get("properties", {})
    for names, said in _attributes(attributes):
        for name in names:
            camel = re.sub(r"_(\w)", lambda m: m[1].upper(), name)
            key = camel if camel in properties else name
            if key in properties:
                properties[key] = {"description": said, **properties[key]}
    return (
        {**schema, "description": " ".join(whole.split()), "properties": properties}
        if (properties)
        else schema
    )


def _attributes(text: str) -> Iterator[tuple[list[str], str]]:
    """Yield the names and the text of each entry of a docstring's ``Attributes``."""
    entries = re.split(r"\n(?=    \w)", text)
    for entry in entries:
        names, colon, said = entry.strip().partition(":")
        if colon:
            yield [n.strip() for n in names.split(",")], " ".join(said.replace("``", "`").split())
