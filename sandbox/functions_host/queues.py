"""Queue triggers: fetch, run, and delete, release or set aside, as the real host does.

Source: ``QueueProcessor`` and ``QueuesServiceClientProvider`` of the extension
Microsoft.Azure.WebJobs.Extensions.Storage.Queues.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from math import ceil

from azure.core.exceptions import AzureError
from azure.storage.queue import QueueClient, QueueMessage

from sandbox.functions_host.functions import Function
from sandbox.functions_host.invocations import Invoker
from sandbox.functions_host.messages import TypedData, json_value
from sandbox.functions_host.settings import QueueSettings
from sandbox.functions_host.storage import open_queue

_SHORTEST_WAIT = 0.1  # seconds; the real host's first back-off too
_POISON = "-poison"

_log = logging.getLogger("host")


class QueueListener:
    """Listens to the queue of one function.

    A message is hidden for the lease, which is renewed at half time while it runs. If the host
    dies, it comes back when the lease is over, with its dequeue count raised.
    """

    def __init__(
        self,
        function: Function,
        connection: str,
        settings: QueueSettings,
        invoker: Invoker,
        lease_seconds: int,
    ) -> None:
        self._function = function
        self._name: str = function.trigger["queueName"]
        self._connection = connection
        self._settings = settings
        self._invoker = invoker
        self._lease_seconds = lease_seconds
        self._running: set[asyncio.Task[None]] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Listen until told to stop, then wait for what is running."""
        queue = await self._open(stopping)
        wait = _SHORTEST_WAIT
        while queue is not None and not stopping.is_set():
            messages = await self._fetch(queue)
            for message in messages:
                task = asyncio.create_task(self._complete(queue, message))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            if messages:
                wait = _SHORTEST_WAIT
                await self._until_room()
            else:
                await _pause(stopping, wait)
                longest = self._settings.max_polling_interval.total_seconds()
                wait = max(min(wait * 2, longest), _SHORTEST_WAIT)
        if self._running:
            await asyncio.wait(self._running)

    async def _open(self, stopping: asyncio.Event) -> QueueClient | None:
        while not stopping.is_set():
            try:
                return await asyncio.to_thread(open_queue, self._connection, self._name)
            except AzureError as error:
                _log.warning("queue %s cannot be opened yet: %s", self._name, error)
                await _pause(stopping, _SHORTEST_WAIT)
        return None

    async def _until_room(self) -> None:
        while len(self._running) > self._settings.new_batch_threshold:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)

    async def _fetch(self, queue: QueueClient) -> list[QueueMessage]:
        size = self._settings.batch_size

        def fetch() -> list[QueueMessage]:
            return list(
                queue.receive_messages(
                    messages_per_page=size,
                    max_messages=size,
                    visibility_timeout=self._lease_seconds,
                )
            )

        try:
            return await asyncio.to_thread(fetch)
        except AzureError as error:
            _log.warning("queue %s cannot be read: %s", self._name, error)
            return []

    async def _complete(self, queue: QueueClient, message: QueueMessage) -> None:
        ended = asyncio.Event()
        renewing = asyncio.create_task(self._renew(queue, message, ended))
        try:
            settle = await self._run(message)
        finally:
            ended.set()
            await renewing
        try:
            await asyncio.to_thread(settle, queue, message)
        except AzureError as error:
            # It comes back when its lease is over, as after a crash.
            _log.warning("message %s of %s could not be settled: %s", message.id, self._name, error)

    async def _renew(self, queue: QueueClient, message: QueueMessage, ended: asyncio.Event) -> None:
        """Keep a message hidden until its run has ended, and its receipt up to date."""
        lease = self._lease_seconds
        while True:
            await _pause(ended, lease / 2)
            if ended.is_set():
                return
            renew = partial(queue.update_message, message.id, visibility_timeout=lease)
            try:
                renewed = await asyncio.to_thread(renew, message.pop_receipt)
            except AzureError as error:
                _log.warning("message %s of %s is not ours now: %s", message.id, self._name, error)
                return
            message.pop_receipt = renewed.pop_receipt

    async def _run(self, message: QueueMessage) -> Callable[[QueueClient, QueueMessage], None]:
        """Run the function for a message and return what is to become of the message."""
        try:
            text = self._settings.message_encoding.from_wire(message.content)
        except ValueError as error:
            _log.warning("message %s of %s: %s", message.id, self._name, error)
            return self._set_aside
        attempts = message.dequeue_count or 0
        if attempts > self._settings.max_dequeue_count and not self._is_poison:
            # The host died in its last attempt.
            return self._set_aside
        outcome = await self._invoker.invoke(
            self._function, TypedData(string=text), _metadata(message, text)
        )
        if outcome.succeeded:
            return _delete
        if self._is_poison:
            # Has no poison queue of its own: left until its lease is over, against a fast loop.
            return _leave
        if attempts >= self._settings.max_dequeue_count:
            return self._set_aside
        return self._release

    @property
    def _is_poison(self) -> bool:
        return self._name.endswith(_POISON)

    def _release(self, queue: QueueClient, message: QueueMessage) -> None:
        hidden = ceil(self._settings.visibility_timeout.total_seconds())
        queue.update_message(message.id, message.pop_receipt, visibility_timeout=hidden)

    def _set_aside(self, queue: QueueClient, message: QueueMessage) -> None:
        name = self._name + _POISON
        with open_queue(self._connection, name) as poison:
            poison.send_message(message.content)
        queue.delete_message(message.id, message.pop_receipt)
        _log.error(
            "message %s was moved to %s after %s attempts", message.id, name, message.dequeue_count
        )


def _delete(queue: QueueClient, message: QueueMessage) -> None:
    queue.delete_message(message.id, message.pop_receipt)


def _leave(_queue: QueueClient, _message: QueueMessage) -> None:
    pass


def _metadata(message: QueueMessage, text: str) -> dict[str, TypedData]:
    return {
        "QueueTrigger": TypedData(string=text),
        "DequeueCount": json_value(message.dequeue_count),
        "ExpirationTime": json_value(_moment(message.expires_on)),
        "Id": json_value(message.id),
        "InsertionTime": json_value(_moment(message.inserted_on)),
        "NextVisibleTime": json_value(_moment(message.next_visible_on)),
        "PopReceipt": json_value(message.pop_receipt),
    }


def _moment(value: datetime | None) -> str | None:
    return None if value is None else value.astimezone(UTC).isoformat()


async def _pause(stopping: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        pass
