"""Whom a person's act is about, and its record."""

import logging
import uuid
from datetime import datetime

from shared.domain.callers import Caller
from shared.domain.errors import NotActiveError, NotFoundError
from shared.domain.records import Act, Action, Request
from shared.domain.rows import Rotation
from shared.ports import Clock, Rows

logger = logging.getLogger(__name__)


def rotation_asked(rows: Rows, asked: str) -> Rotation:
    """Return a rotation by its id, or by that of the request which it serves.

    Raises:
        NotFoundError: There is no such rotation.
        NotActiveError: The request has none yet.
    """
    request = rows.load(Request, asked, "request")
    if request and not request.row.rotation:
        raise NotActiveError(
            f"request {asked} has no rotation yet: see how it stands, and ask again"
        )
    kept = rows.load(Rotation, request.row.rotation if request else asked, "rotation")
    if kept is None:
        raise NotFoundError(f"there is no rotation {asked!r}")
    return kept.row


def keep_act(  # noqa: PLR0913 - the parts of an act
    rows: Rows,
    clock: Clock,
    about: str,
    action: Action,
    *,
    by: Caller,
    reason: str,
    until: datetime | None = None,
) -> None:
    """Keep what somebody did about a rotation, or about a request; both by their ids."""
    logger.info("%s of %s by %s: %s", action, about, by, reason)
    act = Act(
        rotation=about,
        id=str(uuid.uuid4()),
        at=clock.now(),
        action=action,
        by=by,
        reason=reason,
        until=until,
    )
    rows.insert(act)
