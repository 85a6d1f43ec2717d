"""The timer: look at every managed vault, whatever events were lost."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import List  # noqa: UP035 - see below

import azure.functions as func

from shared.domain.steps import Revive, SweepVault, encode

logger = logging.getLogger(__name__)


def blueprint(
    *, queue: str, vaults: frozenset[str], schedule: str, now: Callable[[], datetime]
) -> func.Blueprint:
    """Build the blueprint.

    Args:
        queue: Name of the queue of steps.
        vaults: Hosts of the vaults that are managed.
        schedule: Six NCRONTAB fields, seconds first.
        now: Returns the current time.
    """
    bp = func.Blueprint()

    @bp.function_name("sweeps")
    @bp.timer_trigger(arg_name="timer", schedule=schedule, run_on_startup=False)
    @bp.queue_output(arg_name="steps", queue_name=queue, connection="AzureWebJobsStorage")
    def sweeps(timer: func.TimerRequest, steps: func.Out[List[str]]) -> None:  # noqa: UP006 - the worker refuses list[str]
        """Queue a look at the rotations that live, and a sweep of each vault."""
        if timer.past_due:
            logger.warning("the sweep runs late")
        logger.info("the timer has fired: %d vaults are looked at", len(vaults))
        at = now()
        sweep = f"{at:%Y-%m-%dT%H:%M:%SZ}"
        looks = [encode(SweepVault(vault=vault, sweep=sweep)) for vault in sorted(vaults)]
        steps.set([encode(Revive(at=at, next_at=_next(timer, at))), *looks])

    return bp


def _next(timer: func.TimerRequest, at: datetime) -> datetime | None:
    """Return when the timer comes next, by its own word: ``ScheduleStatus``, in real time."""
    said = getattr(timer, "schedule_status", {}).get("Next")
    try:
        real = datetime.fromisoformat(str(said))
    except ValueError:
        return None
    return at + max(real - datetime.now(real.tzinfo), timedelta())
