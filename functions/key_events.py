"""Event Grid: something happens to a key. Queue a look at it, and acknowledge."""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime

import azure.functions as func

from shared.domain.clouds import Cloud
from shared.domain.errors import PermanentError
from shared.domain.events import (
    ACCESS_POLICY_CHANGED,
    KEY_EXPIRED,
    KEY_NEAR_EXPIRY,
    KEY_NEW_VERSION_CREATED,
    KeyEvent,
    VaultEvent,
)
from shared.domain.rows import Cause
from shared.domain.steps import Open, Refuse, SweepVault, Watch, encode

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
        """Queue a look at the key, or at the vault, that an event names.

        An event that cannot be used is logged, queued to be counted, and acknowledged: Event Grid
        would only send it again. What raises here is sent again for a day.
        """
        said = event.get_json
        if step := step_for(_type_of(event), event.id, said, cloud=cloud, vaults=vaults, now=now):
            steps.set(encode(step))

    return bp


def step_for(  # noqa: PLR0913 - each is a part of the event, or of the settings
    kind: object,
    id_: object,
    payload: Callable[[], object],
    *,
    cloud: Cloud,
    vaults: frozenset[str],
    now: Callable[[], datetime],
) -> Open | Watch | SweepVault | Refuse | None:
    """Return what an event queues; ``None``: it is let go, since its type is none of ours.

    ``kind`` and ``id_`` are as they came; ``payload`` returns the event's ``data``, and is not
    called for a type that is none of ours. The rest is as ``blueprint`` has it.
    """
    event_type = str(kind).strip().lower()
    # No message may hold the half of a character, which JSON can.
    event_id = str(id_).encode(errors="replace").decode()[:200]
    if event_type not in {*_STEPS, ACCESS_POLICY_CHANGED.lower()}:
        logger.info("event %s let go: its type is %r", event_id, event_type[:100])
        return None
    try:
        return _step(event_type, event_id, payload(), cloud, vaults)
    except PermanentError as error:
        logger.error("event %s refused: %s", event_id, error)  # noqa: TRY400 - theirs, not ours
        return Refuse(event_id=event_id, problem=str(error)[:500], at=now())


def _step(
    event_type: str, event_id: str, payload: object, cloud: Cloud, vaults: frozenset[str]
) -> Open | Watch | SweepVault:
    """Return what an event queues.

    Raises:
        PermanentError: It cannot be used.
    """
    if event_type == ACCESS_POLICY_CHANGED.lower():
        vault = VaultEvent.from_payload(event_id, payload, cloud=cloud, vaults=vaults).vault
        logger.info("event %s (%s): %s", event_id, event_type, vault)
        return SweepVault(vault=vault, sweep=event_id, recheck=True)
    said = KeyEvent.from_payload(event_id, payload, cloud=cloud, vaults=vaults)
    logger.info("event %s (%s): %s", event_id, event_type, said.announced or said.key)
    cause = Cause(trigger="event", id=event_id)
    return _STEPS[event_type](key=str(said.key), cause=cause)


def _type_of(event: func.EventGridEvent | func.CloudEvent) -> str:
    # The worker's decoder chooses the class by the payload, whatever the annotation says.
    if isinstance(event, func.CloudEvent):
        return str(event.type)
    return str(event.event_type)
