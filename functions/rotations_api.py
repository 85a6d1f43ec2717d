"""HTTP: ask for a rotation, and see how one stands."""

import json
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import azure.functions as func

from functions.http_answers import accepted, problem, read_json
from shared.domain.clouds import Cloud
from shared.domain.errors import PermanentError
from shared.domain.keys import Key
from shared.usecases.ask import AskForRotation
from shared.usecases.report import ReportRotation

BODY_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "reason": {"type": "string", "minLength": 1, "maxLength": 500, "pattern": r"\S"},
        "newVersion": {"type": "boolean"},
    },
    "required": ["reason"],
    "additionalProperties": False,
}
"""Body of ``POST …/rotate``. ``newVersion`` (default true): have the vault make a version first."""

_ID = re.compile(r"[0-9a-z-]{1,64}")


def blueprint(
    ask: Callable[[], AskForRotation],
    report: Callable[[], ReportRotation],
    *,
    cloud: Cloud,
    vaults: frozenset[str],
) -> func.Blueprint:
    """Build the blueprint.

    Args:
        ask: Returns the use case of POST; called for a request, not at indexing.
        report: Returns that of GET, likewise.
        cloud: Whose vault hosts are vault hosts.
        vaults: Hosts of the vaults that may be managed.
    """
    bp = func.Blueprint()

    @bp.function_name("rotate_key")
    @bp.route("keys/{vault}/{key}/rotate", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
    def rotate_key(req: func.HttpRequest) -> func.HttpResponse:
        """Accept a wish to rotate a key: 202, and where to see what becomes of it."""
        try:
            host = cloud.vault_host(req.route_params["vault"])
            key = Key.parse(f"https://{host}/keys/{req.route_params['key']}")
        except PermanentError as error:
            return problem(HTTPStatus.BAD_REQUEST, str(error))
        if host not in vaults:
            detail = f"{host} is not on the allow-list (KEYTURN_VAULTS)"
            return problem(HTTPStatus.FORBIDDEN, detail)
        body = read_json(req, BODY_SCHEMA)
        if isinstance(body, func.HttpResponse):
            return body
        request = ask().run(
            key, reason=body["reason"].strip(), new_version=body.get("newVersion", True)
        )
        return accepted(request.id, "requested", key=request.key)

    @bp.function_name("get_rotation")
    @bp.route("rotations/{id}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
    def get_rotation(req: func.HttpRequest) -> func.HttpResponse:
        """Say how a rotation, or the request for one, stands.

        ``preflight`` is what was foreseen of the vault and the target: a list of ``severity``
        (``blocker``, ``warning``, ``note``), ``code``, ``text`` and ``advice``, the worst first;
        null as long as nobody has looked.
        """
        asked = req.route_params["id"]
        found = report().run(asked) if _ID.fullmatch(asked) else None
        if found is None:
            return problem(HTTPStatus.NOT_FOUND, f"no rotation and no request has the id {asked!r}")
        return func.HttpResponse(
            json.dumps(found), headers={"Cache-Control": "no-store"}, mimetype="application/json"
        )

    return bp
