"""Event Grid: topics, subscriptions, and delivery to webhooks, at least once and in no order."""

from sandbox.event_grid.delivery import (
    Delivery,
    EventGrid,
    GivenUp,
    HandshakeFailedError,
    Subscription,
)
from sandbox.event_grid.schemas import Schema
from sandbox.event_grid.topics import CustomTopic, CustomTopics

__all__ = [
    "CustomTopic",
    "CustomTopics",
    "Delivery",
    "EventGrid",
    "GivenUp",
    "HandshakeFailedError",
    "Schema",
    "Subscription",
]
