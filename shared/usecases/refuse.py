"""Remember an event that was let go."""

import logging
from dataclasses import dataclass
from datetime import datetime

from shared.domain.records import Refusal
from shared.domain.steps import Open, Refuse, RotateKey, Watch
from shared.ports import Rows

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberRefusal:
    """Keep one row an event, so that refused events can be counted and looked at."""

    rows: Rows

    def run(self, step: Refuse) -> None:
        """See the class."""
        self.rows.insert(Refusal(event_id=step.event_id, problem=step.problem, at=step.at))


def let_go(rows: Rows, step: Open | RotateKey | Watch, now: datetime) -> str:
    """Count an event for a key that the policy leaves out; return why it is let go."""
    problem = f"the policy does not let Keyturn manage {step.key}: see its `manage`"
    if step.cause.trigger == "event":
        logger.warning("event %s let go: %s", step.cause.id, problem)
        rows.insert(Refusal(event_id=step.cause.id, problem=problem, at=now))
    return problem
