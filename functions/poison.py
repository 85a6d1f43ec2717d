"""The poison queue: steps that failed five times."""

import logging
from collections.abc import Callable

import azure.functions as func

from shared.domain.errors import UnreadableError
from shared.domain.steps import decode
from shared.usecases.bury import BuryStep

logger = logging.getLogger(__name__)


def blueprint(bury_step: Callable[[], BuryStep], *, queue: str) -> func.Blueprint:
    """Build the blueprint.

    Args:
        bury_step: Returns the use case; called for a message, not at indexing.
        queue: Name of the queue of steps, without ``-poison``.
    """
    bp = func.Blueprint()

    @bp.function_name("poison")
    @bp.queue_trigger(
        arg_name="message", queue_name=f"{queue}-poison", connection="AzureWebJobsStorage"
    )
    def poison(message: func.QueueMessage) -> None:
        """Close what the message stood for; keep one that is no step of ours."""
        try:
            _bury(bury_step(), message.get_body())
        except Exception:
            logger.exception("what was given up is not closed")
            raise

    return bp


def _bury(bury_step: BuryStep, body: bytes) -> None:
    try:
        step = decode(body)
    except UnreadableError as error:
        bury_step.run_unreadable(body, str(error))
    else:
        bury_step.run(step)
