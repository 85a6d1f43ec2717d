"""What the use cases need beside Azure and storage: time, the policy, somebody to tell."""

from datetime import datetime
from typing import Protocol

from shared.domain.json_paths import Json
from shared.domain.policy import Policy


class Clock(Protocol):
    """Time, so that tests and the sandbox can own it."""

    def now(self) -> datetime:
        """Return the current time, aware and in UTC."""
        ...


class Policies(Protocol):
    """The policy, ``keyturn.yaml``."""

    def current(self) -> Policy:
        """Return the policy in force, at most a minute old.

        Raises:
            PolicyError: It cannot be read, or is wrong.
        """
        ...


class Announcer(Protocol):
    """Tells others how a rotation goes."""

    def announce(self, event: str, *, id: str, subject: str, facts: Json) -> None:  # noqa: A002 - its name in CloudEvents
        """Publish a CloudEvent.

        Args:
            event: Its type, such as ``Keyturn.RotationStarted``.
            id: The same for the same fact, so that receivers can drop duplicates.
            subject: The key it is about.
            facts: Its data.

        Raises:
            PermanentError: The topic refused it.
        """
        ...
