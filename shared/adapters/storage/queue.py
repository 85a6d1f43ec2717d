"""The queue behind ``shared.ports.Queue``."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import QueueClient

from shared.adapters.clock import RealClock
from shared.adapters.http_errors import translated
from shared.domain.steps import Step, encode
from shared.ports import QueueState

_LONGEST = timedelta(hours=24)
"""A step that is due later runs then, finds that its time has not come, and is put back."""


@dataclass(frozen=True, slots=True)
class StepQueue:
    """Sends steps that never expire, hidden until they are due.

    Attributes:
        client: The queue of steps.
        poison: Where steps lie that failed five times, and where events do.
    """

    client: QueueClient
    poison: tuple[QueueClient, ...]
    clock: RealClock

    def send(self, step: Step, *, at: datetime | None = None) -> None:
        """See ``Queue.send``."""
        delay = self.clock.real(at - self.clock.now()) if at else timedelta()
        seconds = math.ceil(max(min(delay, _LONGEST), timedelta()).total_seconds())
        with translated(f"queue {type(step).__name__}"):
            try:
                self._send(step, seconds)
            except ResourceNotFoundError:
                self._make()
                self._send(step, seconds)

    def state(self) -> QueueState:
        """See ``Queue.state``."""
        with translated("look at the queue of steps"):
            return QueueState(_count(self.client), sum(map(_count, self.poison)))

    def has_due(self) -> bool:
        """See ``Queue.has_due``. A step that runs, or waits for its time, is not shown."""
        with translated("look at the queue of steps"):
            try:
                return bool(self.client.peek_messages(max_messages=1))
            except ResourceNotFoundError:
                return False  # nobody has made it

    def _send(self, step: Step, seconds: int) -> None:
        self.client.send_message(encode(step), visibility_timeout=seconds, time_to_live=-1)

    def _make(self) -> None:
        try:
            self.client.create_queue()
        except ResourceExistsError:
            return  # another step made it meanwhile


def _count(queue: QueueClient) -> int:
    try:
        return queue.get_queue_properties().approximate_message_count or 0
    except ResourceNotFoundError:
        return 0  # nobody has made it: nothing was ever in it
