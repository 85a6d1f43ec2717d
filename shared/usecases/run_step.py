"""Run one message of the queue of steps, and put it back if its time has not come."""

import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import assert_never

from msgspec.structs import replace

from shared.domain.errors import RowConflictError, ThrottledError, TransientError
from shared.domain.steps import (
    Discover,
    Open,
    Pay,
    Preflight,
    Refuse,
    Repoint,
    Revive,
    RotateKey,
    Step,
    Supervise,
    SweepVault,
    Verify,
    Watch,
)
from shared.domain.work import Work
from shared.ports import Clock, Kept, Queue, Rows
from shared.usecases import trouble
from shared.usecases.discover import DiscoverConsumers
from shared.usecases.ledger import Ledger
from shared.usecases.open_rotation import OpenRotation
from shared.usecases.pace import Pace
from shared.usecases.preflight import LookAhead
from shared.usecases.refuse import RememberRefusal
from shared.usecases.repoint import HeldBackError, RepointResource
from shared.usecases.revive import ReviveSupervisors
from shared.usecases.rotate_key import MakeVersion
from shared.usecases.settle import SettleDebt
from shared.usecases.supervise import SuperviseRotation
from shared.usecases.sweep import SweepOneVault
from shared.usecases.verify import VerifyResource
from shared.usecases.watch import WatchKey

logger = logging.getLogger(__name__)

FIRST_DELAY = timedelta(seconds=5)
LONGEST_DELAY = timedelta(minutes=5)
LONGEST_WAIT = timedelta(hours=1)
"""Whatever a service asks for: budgets refill within the hour."""

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
    watch: WatchKey
    rotate_key: MakeVersion
    preflight: LookAhead
    discover: DiscoverConsumers
    repoint: RepointResource
    verify: VerifyResource
    settle: SettleDebt
    supervise: SuperviseRotation
    sweep: SweepOneVault
    revive: ReviveSupervisors
    refuse: RememberRefusal
    rows: Rows
    queue: Queue
    clock: Clock
    ledger: Ledger
    pace: Pace

    def run(self, step: Step) -> None:
        """See the class."""
        try:
            self._dispatch(step)
        except TransientError as error:
            if step.attempt >= MOST_ATTEMPTS:
                self._note(step, error)
                raise
            self._put_back(step, error)
        except HeldBackError:
            raise  # what it waits for is noted already
        except Exception as error:
            self._note(step, error)
            raise

    def _dispatch(self, step: Step) -> None:
        match step:
            case Open() | Watch() | RotateKey():
                self._run_on_key(step)
            case Preflight():
                self.preflight.run(step)
            case Discover():
                self.discover.run(step)
            case Repoint() | Verify() | Pay():
                self._run_on_resource(step)
            case Supervise():
                self.supervise.run(step)
            case SweepVault():
                self.sweep.run(step)
            case Revive():
                self.revive.run(step)
            case Refuse():
                self.refuse.run(step)
            case _:
                assert_never(step)

    def _run_on_key(self, step: Open | Watch | RotateKey) -> None:
        match step:
            case Open():
                self.open.run(step)
            case Watch():
                self.watch.run(step)
            case RotateKey():
                self.rotate_key.run(step)

    def _run_on_resource(self, step: Repoint | Verify | Pay) -> None:
        match step:
            case Repoint():
                self.repoint.run(step)
            case Verify():
                self.verify.run(step)
            case Pay():
                self.settle.run(step)

    def _put_back(self, step: Step, error: TransientError) -> None:
        asked = error.retry_after or timedelta()
        wait = min(max(asked, _delay(step.attempt)), LONGEST_WAIT)
        when = self.clock.now() + wait
        logger.info("%s again at %s: %s", type(step).__name__, when, error)
        again = replace(step, attempt=step.attempt + 1)
        work = self._work(step)
        if work and isinstance(again, Repoint | Verify | Pay):
            if isinstance(error, ThrottledError):
                when = max(when, self.pace.throttled(work.row.lane, error.retry_after))
            with suppress(RowConflictError):  # another step has moved it on
                self.ledger.put_off(work.row, when)
        if isinstance(step, Discover):
            self.discover.put_off(step, when)
        self.queue.send(again, at=when)

    def _work(self, step: Step) -> Kept[Work] | None:
        """Return the work that a step is about, if the step is not stale."""
        if not isinstance(step, Repoint | Verify | Pay):
            return None
        return trouble.work_of(self.ledger, step)

    def _note(self, step: Step, error: Exception) -> None:
        """Note what a step raised, where the poison trigger finds it."""
        with suppress(RowConflictError):  # another step has moved on what it is about
            trouble.note(self.rows, self.ledger, step, error)


def _delay(attempt: int) -> timedelta:
    return min(FIRST_DELAY * (1 << min(attempt, 10)), LONGEST_DELAY)
