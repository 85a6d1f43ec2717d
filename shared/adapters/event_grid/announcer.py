"""The announcer behind ``shared.ports.Announcer``."""

from dataclasses import dataclass

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
        announcement = {
            "specversion": "1.0",
            "id": id,
            "source": self.source,
            "type": event,
            "subject": subject,
            "time": f"{self.clock.now():%Y-%m-%dT%H:%M:%S.%fZ}",
            "data": facts,
        }
        with translated(f"announce {event}"):
            # Once and briefly: a rotation never waits for being heard of. Options given to the
            # client's constructor are dropped by the SDK, and options given here reach its own
            # CloudEvent class as well, which warns of each: hence the plain form.
            self.client.send(
                announcement,
                retry_total=0,
                permit_redirects=False,
                connection_timeout=5,
                read_timeout=10,
            )


@dataclass(frozen=True, slots=True)
class NoAnnouncer:
    """Tells nobody: no topic is set."""

    def announce(self, event: str, *, id: str, subject: str, facts: Json) -> None:  # noqa: A002 - its name in CloudEvents
        """See ``Announcer.announce``."""
