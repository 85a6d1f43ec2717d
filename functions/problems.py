"""Errors over HTTP, as RFC 9457 has them."""

import json
from collections.abc import Sequence
from http import HTTPStatus

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
