"""Queues of the storage account that a connection setting names."""

import contextlib

from azure.core.exceptions import ResourceExistsError
from azure.storage.queue import QueueClient


def open_queue(connection: str, name: str) -> QueueClient:
    """Return a client for a queue, which is created if it is missing.

    Messages are left as they are: the host's own encoding shows which cannot be read.
    """
    queue = QueueClient.from_connection_string(connection, name)
    with contextlib.suppress(ResourceExistsError):
        queue.create_queue()
    return queue
