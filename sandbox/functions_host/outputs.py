"""Output bindings: messages that a function returns or sets are put into queues."""

import json
from collections.abc import Iterator, Mapping

from sandbox.functions_host.functions import Function
from sandbox.functions_host.messages import TypedData
from sandbox.functions_host.runtime import Outcome
from sandbox.functions_host.settings import MessageEncoding
from sandbox.functions_host.storage import open_queue


class OutputError(Exception):
    """A value is of a kind that the binding cannot send."""


class QueueOutputs:
    """Sends what functions put out to queues, which it creates where they are missing."""

    def __init__(self, app_settings: Mapping[str, str], encoding: MessageEncoding) -> None:
        self._app_settings = app_settings
        self._encoding = encoding

    def send(self, function: Function, outcome: Outcome) -> None:
        """Send every message of an invocation.

        Raises:
            OutputError: A value is neither text nor a list of texts.
            AzureError: The queue did not take it.
        """
        for binding in function.queue_outputs:
            name = binding["name"]
            value = outcome.returned if name == "$return" else outcome.outputs.get(name)
            if value is None:
                continue
            connection = self._app_settings[binding["connection"]]
            with open_queue(connection, binding["queueName"]) as queue:
                for text in _texts(name, value):
                    queue.send_message(self._encoding.to_wire(text))


def _texts(name: str, value: TypedData) -> Iterator[str]:
    content = value.content
    if isinstance(content, bytes):
        content = content.decode()
    if value.WhichOneof("data") == "json":
        content = json.loads(content)
    for text in content if isinstance(content, list) else [content]:
        if not isinstance(text, str):
            raise OutputError(f"{name}: this host sends texts to queues, not {text!r}")
        yield text
