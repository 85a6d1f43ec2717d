"""What the HTTP functions share: JSON bodies in, JSON and problems (RFC 9457) out."""

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import azure.functions as func


def problem(
    status: HTTPStatus, detail: str, errors: Sequence[dict[str, str]] = ()
) -> func.HttpResponse:
    """Return a problem as ``application/problem+json``.

    Args:
        status: Its status; its phrase is the title.
        detail: What is wrong with this request, and what to do.
        errors: Every single problem: ``{"pointer": "#/reason", "detail": "…"}``.
    """
    body: dict[str, object] = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
    }
    if errors:
        body["errors"] = list(errors)
    return func.HttpResponse(
        json.dumps(body), status_code=status, mimetype="application/problem+json"
    )


def accepted(asked: str, state: str, **more: str) -> func.HttpResponse:
    """Return 202: the id under which to see what becomes of a wish, and where."""
    return func.HttpResponse(
        json.dumps({"id": asked, "state": state, **more}),
        status_code=HTTPStatus.ACCEPTED,
        headers={"Location": f"/api/rotations/{asked}"},
        mimetype="application/json",
    )


def read_json(req: func.HttpRequest, schema: dict[str, Any]) -> dict[str, Any] | func.HttpResponse:
    """Return a request's body if ``schema`` takes it, or else the answer that says why not."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - 97 ms that no event needs

    try:
        found: dict[str, Any] = json.loads(req.get_body())
    except (ValueError, RecursionError) as error:
        return _bad([{"pointer": "#", "detail": f"no JSON: {error}"}])
    errors = [
        {"pointer": "/".join(["#", *map(str, e.absolute_path)]), "detail": e.message[:200]}
        for e in Draft202012Validator(schema).iter_errors(found)
    ]
    return _bad(errors) if errors else found


def _bad(errors: list[dict[str, str]]) -> func.HttpResponse:
    detail = "the body is not what this operation takes; see errors"
    return problem(HTTPStatus.BAD_REQUEST, detail, errors)
