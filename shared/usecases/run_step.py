"""Run one message of the queue of steps, and put it back if its time has not come."""

import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import assert_never

from msgspec.structs import replace

from shared.domain.errors import RowConflictError, TransientError
from shared.domain.rows import Work
from shared.domain.steps import (
    Discover,
    Open,
    Refuse,
    Repoint,
    RotateKey,
    Step,
    Supervise,
    SweepVault,
    Verify,
)
from shared.ports import Clock, Queue, Rows
from shared.usecases.discover import DiscoverConsumers
from shared.usecases.open_rotation import OpenRotation
from shared.usecases.refuse import RememberRefusal
from shared.usecases.repoint import RepointResource
from shared.usecases.rotate_key import MakeVersion
from shared.usecases.supervise import SuperviseRotation
from shared.usecases.sweep import SweepOneVault
from shared.usecases.verify import VerifyResource

logger = logging.getLogger(__name__)

FIRST_DELAY = timedelta(seconds=5)
LONGEST_DELAY = timedelta(minutes=5)
MOST_ATTEMPTS = 300
"""About a day of delays. What is still transient then is raised, and ends in the poison queue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStep:
    """Run a step.

    "Not yet" is a new message at a stated time, and a success: raising would burn the message's
    five deliveries. What is no error of ours is raised to the host, which delivers again and, the
    fifth time, hands it to the poison trigger.
    """

    open: OpenRotation
    rotate_key: MakeVersion
    discover: DiscoverConsumers
    repoint: RepointResource
    verify: VerifyResource
    supervise: SuperviseRotation
    sweep: SweepOneVault
    refuse: RememberRefusal
    rows: Rows
    queue: Queue
    clock: Clock

    def run(self, step: Step) -> None:
        """See the class."""
        try:
            self._dispatch(step)
        except TransientError as error:
            if step.attempt >= MOST_ATTEMPTS:
                self._note(step, error)
                raise
            self._put_back(step, error)
        except Exception as error:
            self._note(step, error)
            raise

    def _dispatch(self, step: Step) -> None:
        match step:
            case Open():
                self.open.run(step)
            case RotateKey():
                self.rotate_key.run(step)
            case Discover():
                self.discover.run(step)
            case Repoint():
                self.repoint.run(step)
            case Verify():
                self.verify.run(step)
            case Supervise():
                self.supervise.run(step)
            case SweepVault():
                self.sweep.run(step)
            case Refuse():
                self.refuse.run(step)
            case _:
                assert_never(step)

    def _put_back(self, step: Step, error: TransientError) -> None:
        delay = error.retry_after or _delay(step.attempt)
        when = self.clock.now() + delay
        logger.info("%s again in %s: %s", type(step).__name__, delay, error)
        self.queue.send(replace(step, attempt=step.attempt + 1), at=when)
        if isinstance(step, Repoint | Verify):
            # Not overdue before then: a nudge would start a second chain of messages.
            kept = self.rows.load(Work, step.rotation, step.resource)
            if kept and kept.row.open and kept.row.seq == step.seq:
                with suppress(RowConflictError):
                    self.rows.replace(kept, replace(kept.row, due_at=when))

    def _note(self, step: Step, error: Exception) -> None:
        """Note what a step raised on its work, where the poison trigger finds it."""
        if not isinstance(step, Repoint | Verify):
            return
        kept = self.rows.load(Work, step.rotation, step.resource)
        if kept and kept.row.open:
            trouble = f"{type(error).__name__}: {error}"[:1000]
            self.rows.replace(kept, replace(kept.row, trouble=trouble))


def _delay(attempt: int) -> timedelta:
    return min(FIRST_DELAY * (1 << min(attempt, 10)), LONGEST_DELAY)
