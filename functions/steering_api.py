"""HTTP: pause a rotation, let it go on, cancel it, or have it try again."""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import azure.functions as func

from functions.http_answers import accepted, problem, read_json
from functions.rotations_api import BODY_SCHEMA as ROTATE_SCHEMA
from shared.domain.callers import NOBODY
from shared.domain.errors import NotActiveError, NotFoundError, RowConflictError
from shared.usecases.steer import SteerRotation

BODY_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"reason": ROTATE_SCHEMA["properties"]["reason"]},
    "required": ["reason"],
    "additionalProperties": False,
}
"""A reason is required: it stands in the log beside what was done."""

_ACTIONS = {
    "pause": SteerRotation.pause,
    "resume": SteerRotation.resume,
    "cancel": SteerRotation.cancel,
    "retry": SteerRotation.retry,
}


_ID = re.compile(r"[0-9a-z-]{1,64}")


def blueprint(steer: Callable[[], SteerRotation]) -> func.Blueprint:
    """Build the blueprint.

    Args:
        steer: Returns the use case; called for a request, not at indexing.
    """
    bp = func.Blueprint()

    @bp.function_name("steer_rotation")
    @bp.route("rotations/{id}/{action}", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
    def steer_rotation(req: func.HttpRequest) -> func.HttpResponse:
        """Pause a rotation, let it go on, cancel it, or have it try again what failed."""
        rotation, action = req.route_params["id"], req.route_params["action"]
        if action not in _ACTIONS or not _ID.fullmatch(rotation):
            detail = f"a rotation can be told to {', '.join(_ACTIONS)}; not to {action[:20]!r}"
            return problem(HTTPStatus.NOT_FOUND, detail)
        body = read_json(req, BODY_SCHEMA)
        if isinstance(body, func.HttpResponse):
            return body
        try:
            asked = _ACTIONS[action](steer(), rotation, body["reason"].strip(), NOBODY)
        except NotFoundError as error:
            return problem(HTTPStatus.NOT_FOUND, str(error))
        except NotActiveError as error:
            return problem(HTTPStatus.CONFLICT, str(error))
        except RowConflictError:
            detail = "something else happened to the key at this moment: ask again"
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, detail)
        return accepted(asked, f"{action} accepted")

    return bp
