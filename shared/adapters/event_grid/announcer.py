"""The announcer behind ``shared.ports.Announcer``."""

from dataclasses import dataclass

from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridPublisherClient

from shared.adapters.http_errors import translated
from shared.domain.json_paths import Json
from shared.ports import Clock


@dataclass(frozen=True, slots=True)
class TopicAnnouncer:
    """Publishes CloudEvents to a custom topic under our identity."""

    client: EventGridPublisherClient
    source: str
    clock: Clock

    def announce(self, event: str, *, id: str, subject: str, facts: Json) -> None:  # noqa: A002 - its name in CloudEvents
        """See ``Announcer.announce``."""
        announcement = CloudEvent(
            source=self.source,
            type=event,
            data=facts,
            id=id,
            subject=subject,
            time=self.clock.now(),
        )
        with translated(f"announce {event}"):
            self.client.send(announcement)


@dataclass(frozen=True, slots=True)
class NoAnnouncer:
    """Tells nobody: no topic is set."""

    def announce(self, event: str, *, id: str, subject: str, facts: Json) -> None:  # noqa: A002 - its name in CloudEvents
        """See ``Announcer.announce``."""
