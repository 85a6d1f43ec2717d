"""Keep who called the HTTP API, and what came of it."""

import logging
from dataclasses import dataclass

from shared.domain.errors import KeyturnError
from shared.domain.records import Call
from shared.ports import Rows

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AuditCall:
    """Log a call, and keep it as a row.

    What a call *did* is kept with it: an ``Act`` or a ``Request``, before the answer. So a call
    whose row cannot be kept is answered all the same, and the log says so.
    """

    rows: Rows

    def run(self, call: Call) -> None:
        """See the class."""
        by = call.by or "nobody that we know"
        logger.info(
            "call %s %s by %s: %s %s", call.method, call.path, by, call.status, call.outcome
        )
        try:
            self.rows.insert(call)
        except KeyturnError as error:
            logger.error("call %s is not on record: %s", call.id, error)  # noqa: TRY400 - no bug of ours
