"""The queue of steps: one message, one use case."""

from collections.abc import Callable

import azure.functions as func

from shared.domain.steps import decode
from shared.usecases.run_step import RunStep


def blueprint(run_step: Callable[[], RunStep], *, queue: str) -> func.Blueprint:
    """Build the blueprint.

    Args:
        run_step: Returns the use case; called for a message, not at indexing.
        queue: Name of the queue of steps.
    """
    bp = func.Blueprint()

    @bp.function_name("rotation_steps")
    @bp.queue_trigger(arg_name="message", queue_name=queue, connection="AzureWebJobsStorage")
    def rotation_steps(message: func.QueueMessage) -> None:
        """Run a step. Raises what only another delivery, or a person, can mend."""
        run_step().run(decode(message.get_body()))

    return bp
