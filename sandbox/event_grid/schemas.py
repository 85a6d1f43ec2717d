"""The two forms in which Event Grid takes and delivers events."""

import json
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import uuid4

type Event = Mapping[str, Any]
"""An event in either schema."""


class Schema(StrEnum):
    """How a subscription wants its events (``eventDeliverySchema``)."""

    EVENT_GRID = "EventGridSchema"
    CLOUD_EVENTS = "CloudEventSchemaV1_0"

    @property
    def content_type(self) -> str:
        """The media type of a delivery."""
        if self is Schema.EVENT_GRID:
            return "application/json; charset=utf-8"
        return "application/cloudevents+json; charset=utf-8"

    def body(self, event: Event) -> bytes:
        """Return the body of a delivery: an array of one event, or one CloudEvents object."""
        if self is Schema.EVENT_GRID:
            return json.dumps([event]).encode()
        return json.dumps(event if is_cloud_event(event) else _as_cloud_event(event)).encode()


def is_cloud_event(event: Event) -> bool:
    """Whether an event is in the CloudEvents schema."""
    return "specversion" in event


def type_of(event: Event) -> str:
    """Return the type by which subscriptions choose."""
    return str(event["type" if is_cloud_event(event) else "eventType"])


def timestamp(moment: datetime) -> str:
    """Write a moment as Event Grid does, with seven digits behind the second."""
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}0Z"


def validation_event(topic: str, code: str, moment: datetime) -> Event:
    """Return the event that opens a subscription in the Event Grid schema."""
    return {
        "id": str(uuid4()),
        "topic": topic,
        "subject": "",
        "data": {"validationCode": code},
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "eventTime": timestamp(moment),
        "metadataVersion": "1",
        "dataVersion": "1",
    }


def _as_cloud_event(event: Event) -> Event:
    # docs: Event Grid, "CloudEvents v1.0 schema", how the properties correspond.
    return {
        "specversion": "1.0",
        "id": event["id"],
        "source": event["topic"],
        "subject": event["subject"],
        "type": event["eventType"],
        "time": event["eventTime"],
        "data": event["data"],
    }
