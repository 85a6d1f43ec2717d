"""What ``host.json`` and the app settings say."""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any, Self

from sandbox.clock import SandboxClock

_TIME_SPAN = re.compile(r"(?:(?P<days>\d+)\.)?(?P<hours>\d+):(?P<minutes>\d+):(?P<seconds>[\d.]+)")
_SETTING = re.compile(r"%([^%\s]+)%")
_MAX_BATCH = 32  # what one request for messages may ask for


class HostSettingsError(Exception):
    """``host.json`` or the app settings are wrong. Lists every problem."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class MessageEncoding(StrEnum):
    """How the text of a queue message travels (``messageEncoding``)."""

    BASE64 = "base64"
    NONE = "none"

    def to_wire(self, text: str) -> str:
        """Return what is put into the queue for ``text``."""
        if self is MessageEncoding.NONE:
            return text
        return base64.b64encode(text.encode()).decode()

    def from_wire(self, content: str) -> str:
        """Return the text of a message.

        Raises:
            ValueError: ``content`` is not in this encoding.
        """
        if self is MessageEncoding.NONE:
            return content
        try:
            return base64.b64decode(content, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ValueError(f"not base64 of a text: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """``extensions.queues``; the platform's defaults (docs: functions-bindings-storage-queue)."""

    batch_size: int = 16
    """Messages fetched at once, 1 to 32."""
    new_batch_threshold: int = 8
    """The next batch is fetched when no more messages than this are running."""
    max_dequeue_count: int = 5
    visibility_timeout: timedelta = timedelta(0)
    """How long a message stays hidden after it failed."""
    max_polling_interval: timedelta = timedelta(minutes=1)
    message_encoding: MessageEncoding = MessageEncoding.BASE64

    def paced(self, clock: SandboxClock) -> Self:
        """Return the settings in real time, for a host whose time is ``clock``'s."""
        return replace(
            self,
            visibility_timeout=timedelta(seconds=clock.real_seconds(self.visibility_timeout)),
            max_polling_interval=timedelta(seconds=clock.real_seconds(self.max_polling_interval)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    """The part of ``host.json`` that this host heeds."""

    queues: QueueSettings = field(default_factory=QueueSettings)
    route_prefix: str = "api"
    function_timeout: timedelta | None = timedelta(minutes=30)
    """The default is that of Flex Consumption; ``None``: unlimited."""

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read ``host.json``. Keys that this host does not know are accepted.

        Raises:
            HostSettingsError: It is not a JSON object, or a value is malformed.
        """
        try:
            root = json.loads(text)
        except ValueError as error:
            raise HostSettingsError([f"host.json is not JSON: {error}"]) from error
        if not isinstance(root, dict):
            raise HostSettingsError(["host.json is not a JSON object"])
        extensions = root.get("extensions", {})
        reader = _Reader({"functionTimeout": root.get("functionTimeout")} | extensions)
        settings = cls(
            queues=_queues(_Reader(extensions.get("queues", {}), reader.problems)),
            route_prefix=str(extensions.get("http", {}).get("routePrefix", "api")).strip("/"),
            function_timeout=reader.timeout("functionTimeout", timedelta(minutes=30)),
        )
        if reader.problems:
            raise HostSettingsError(reader.problems)
        return settings


class _Reader:
    """Reads values of host.json and collects what is wrong with them."""

    def __init__(self, section: Mapping[str, Any], problems: list[str] | None = None) -> None:
        self._section = section
        self.problems: list[str] = [] if problems is None else problems

    def number(self, name: str, default: int, low: int, high: int) -> int:
        value = self._section.get(name, default)
        if isinstance(value, int) and low <= value <= high:
            return value
        self.problems.append(f"host.json: {name} is {value!r}, not a number from {low} to {high}")
        return default

    def duration(self, name: str, default: timedelta) -> timedelta:
        value = self._section.get(name)
        if value is None:
            return default
        match = _TIME_SPAN.fullmatch(str(value))
        if match is None:
            self.problems.append(f"host.json: {name} is {value!r}, not a time span 'hh:mm:ss'")
            return default
        return timedelta(**{unit: float(text) for unit, text in match.groupdict("0").items()})

    def timeout(self, name: str, default: timedelta) -> timedelta | None:
        return None if self._section.get(name) == "-1" else self.duration(name, default)

    def encoding(self, name: str) -> MessageEncoding:
        value = str(self._section.get(name, MessageEncoding.BASE64))
        try:
            return MessageEncoding(value.lower())
        except ValueError:
            self.problems.append(f"host.json: {name} is {value!r}, not 'base64' or 'none'")
            return MessageEncoding.BASE64


def _queues(section: _Reader) -> QueueSettings:
    default = QueueSettings()
    batch_size = section.number("batchSize", default.batch_size, 1, _MAX_BATCH)
    return QueueSettings(
        batch_size=batch_size,
        new_batch_threshold=section.number("newBatchThreshold", batch_size // 2, 0, 1000),
        max_dequeue_count=section.number("maxDequeueCount", default.max_dequeue_count, 1, 1000),
        visibility_timeout=section.duration("visibilityTimeout", default.visibility_timeout),
        max_polling_interval=section.duration("maxPollingInterval", default.max_polling_interval),
        message_encoding=section.encoding("messageEncoding"),
    )


def resolve(text: str, settings: Mapping[str, str], missing: set[str]) -> str:
    """Replace every ``%NAME%`` in a binding's text by the app setting of that name.

    Names without a setting are added to ``missing`` and stay as they are.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] not in settings:
            missing.add(match[1])
        return settings.get(match[1], match[0])

    return _SETTING.sub(value, text)
