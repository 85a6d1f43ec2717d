"""The timer: look at every managed vault, whatever events were lost."""

import logging
from datetime import UTC, datetime
from typing import List  # noqa: UP035 - see below

import azure.functions as func

from shared.domain.steps import Revive, SweepVault, encode

logger = logging.getLogger(__name__)


def blueprint(*, queue: str, vaults: frozenset[str], schedule: str) -> func.Blueprint:
    """Build the blueprint.

    Args:
        queue: Name of the queue of steps.
        vaults: Hosts of the vaults that are managed.
        schedule: Six NCRONTAB fields, seconds first.
    """
    bp = func.Blueprint()

    @bp.function_name("sweeps")
    @bp.timer_trigger(arg_name="timer", schedule=schedule, run_on_startup=False)
    @bp.queue_output(arg_name="steps", queue_name=queue, connection="AzureWebJobsStorage")
    def sweeps(timer: func.TimerRequest, steps: func.Out[List[str]]) -> None:  # noqa: UP006 - the worker refuses list[str]
        """Queue a look at the rotations that live, and a sweep of each vault."""
        if timer.past_due:
            logger.warning("the sweep runs late")
        sweep = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        looks = [encode(SweepVault(vault=vault, sweep=sweep)) for vault in sorted(vaults)]
        steps.set([encode(Revive()), *looks])

    return bp
