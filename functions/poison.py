"""The poison queues: steps, and events that waited in a queue, that failed five times."""

import logging
from collections.abc import Callable

import azure.functions as func

from shared.domain.errors import UnreadableError
from shared.domain.steps import decode
from shared.usecases.bury import BuryStep

logger = logging.getLogger(__name__)


def blueprint(bury_step: Callable[[], BuryStep], *, queue: str, events: str) -> func.Blueprint:
    """Build the blueprint.

    Args:
        bury_step: Returns the use case; called for a message, not at indexing.
        queue: Name of the queue of steps, without ``-poison``.
        events: Name of the queue of events, without ``-poison``.
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

    @bp.function_name("poison_events")
    @bp.queue_trigger(
        arg_name="message", queue_name=f"{events}-poison", connection="AzureWebJobsStorage"
    )
    def poison_events(message: func.QueueMessage) -> None:
        """Keep an event that no step was queued for; the timer finds what it told of."""
        try:
            bury_step().run_unreadable(message.get_body(), "a queued event failed five times")
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
