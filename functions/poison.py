"""The poison queue: steps that failed five times."""

from collections.abc import Callable

import azure.functions as func

from shared.domain.errors import UnreadableError
from shared.domain.steps import decode
from shared.usecases.bury import BuryStep


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
        body = message.get_body()
        try:
            step = decode(body)
        except UnreadableError as error:
            bury_step().run_unreadable(body, str(error))
        else:
            bury_step().run(step)

    return bp
