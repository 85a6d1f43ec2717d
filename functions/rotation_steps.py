"""The queue of steps: one message, one use case."""

from collections.abc import Callable

import azure.functions as func

from shared.domain.steps import decode
from shared.ports import Steps


def blueprint(steps: Callable[[], Steps], *, queue: str) -> func.Blueprint:
    """Build the blueprint.

    Args:
        steps: Returns what runs steps; called for a message, not at indexing.
        queue: Name of the queue of steps.
    """
    bp = func.Blueprint()

    @bp.function_name("rotation_steps")
    @bp.queue_trigger(arg_name="message", queue_name=queue, connection="AzureWebJobsStorage")
    def rotation_steps(message: func.QueueMessage) -> None:
        """Run a step. Raises what only another delivery, or a person, can mend."""
        steps().run(decode(message.get_body()), message=message.id or "")

    return bp
