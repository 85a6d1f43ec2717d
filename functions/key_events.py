"""Event Grid: something happens to a key. Queue a look at it, and acknowledge."""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime

import azure.functions as func

from shared.domain.clouds import Cloud
from shared.domain.errors import PermanentError
from shared.domain.events import KEY_EXPIRED, KEY_NEAR_EXPIRY, KEY_NEW_VERSION_CREATED, KeyEvent
from shared.domain.rows import Cause
from shared.domain.steps import Open, Refuse, Watch, encode

logger = logging.getLogger(__name__)


_STEPS: Mapping[str, type[Open | Watch]] = {
    KEY_NEW_VERSION_CREATED.lower(): Open,
    KEY_NEAR_EXPIRY.lower(): Watch,
    KEY_EXPIRED.lower(): Watch,
}


def blueprint(
    *, queue: str, cloud: Cloud, vaults: frozenset[str], now: Callable[[], datetime]
) -> func.Blueprint:
    """Build the blueprint.

    Args:
        queue: Name of the queue of steps.
        cloud: Whose vault hosts are vault hosts.
        vaults: Hosts of the vaults that may be managed.
        now: Returns the current time.
    """
    bp = func.Blueprint()

    @bp.function_name("key_events")
    @bp.event_grid_trigger(arg_name="event")
    @bp.queue_output(arg_name="steps", queue_name=queue, connection="AzureWebJobsStorage")
    def key_events(event: func.EventGridEvent, steps: func.Out[str]) -> None:
        """Queue a look at the key that an event names.

        An event that cannot be used is logged, queued to be counted, and acknowledged: Event Grid
        would only send it again. What raises here is sent again for a day.
        """
        event_type, event_id = _type_of(event).strip().lower(), str(event.id)[:200]
        if event_type not in _STEPS:
            logger.info("event %s let go: its type is %r", event_id, event_type[:100])
            return
        try:
            said = KeyEvent.from_payload(event_id, event.get_json(), cloud=cloud, vaults=vaults)
        except PermanentError as error:
            logger.error("event %s refused: %s", event_id, error)  # noqa: TRY400 - theirs, not ours
            steps.set(encode(Refuse(event_id=event_id, problem=str(error)[:500], at=now())))
            return
        logger.info("event %s (%s): %s", said.id, event_type, said.announced or said.key)
        cause = Cause(trigger="event", id=event_id)
        steps.set(encode(_STEPS[event_type](key=str(said.key), cause=cause)))

    return bp


def _type_of(event: func.EventGridEvent | func.CloudEvent) -> str:
    # The worker's decoder chooses the class by the payload, whatever the annotation says.
    if isinstance(event, func.CloudEvent):
        return str(event.type)
    return str(event.event_type)
