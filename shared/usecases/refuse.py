"""Remember an event that was let go."""

from dataclasses import dataclass

from shared.domain.records import Refusal
from shared.domain.steps import Refuse
from shared.ports import Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberRefusal:
    """Keep one row an event, so that refused events can be counted and looked at."""

    rows: Rows

    def run(self, step: Refuse) -> None:
        """See the class."""
        self.rows.insert(Refusal(event_id=step.event_id, problem=step.problem, at=step.at))
