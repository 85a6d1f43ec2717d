"""Event Grid again: events that waited in a queue, for an app that may be stopped."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any, List  # noqa: UP035 - see below

import azure.functions as func

from functions.key_events import step_for
from shared.domain.clouds import Cloud
from shared.domain.steps import encode

logger = logging.getLogger(__name__)


def blueprint(
    *,
    queue: str,
    events: str,
    cloud: Cloud,
    vaults: frozenset[str],
    now: Callable[[], datetime],
) -> func.Blueprint:
    """Build the blueprint.

    Args:
        queue: Name of the queue of steps.
        events: Name of the queue into which Event Grid puts events.
        cloud: Whose vault hosts are vault hosts.
        vaults: Hosts of the vaults that may be managed.
        now: Returns the current time.
    """
    bp = func.Blueprint()

    @bp.function_name("queued_events")
    @bp.queue_trigger(arg_name="message", queue_name=events, connection="AzureWebJobsStorage")
    @bp.queue_output(arg_name="steps", queue_name=queue, connection="AzureWebJobsStorage")
    def queued_events(message: func.QueueMessage, steps: func.Out[List[str]]) -> None:  # noqa: UP006 - the worker refuses list[str]
        """Queue what ``key_events`` would, for an event of either schema."""
        found = [
            step_for(
                event.get("eventType") or event.get("type"),
                event.get("id"),
                partial(event.get, "data"),
                cloud=cloud,
                vaults=vaults,
                now=now,
            )
            for event in _events_in(message)
        ]
        steps.set([encode(step) for step in found if step])

    return bp


def _events_in(message: func.QueueMessage) -> Iterator[Mapping[str, Any]]:
    """Yield the events of a message: one, or an array of them, as functions get them.

    What is no event is logged and let go: it would be none the next time.
    """
    try:
        said = json.loads(message.get_body())
    except (ValueError, RecursionError):
        said = None
    for event in said if isinstance(said, list) else [said]:
        if isinstance(event, Mapping):
            yield event
        else:
            logger.error("message %s among the queued events is no event; let go", message.id)
