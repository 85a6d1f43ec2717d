"""The policies behind ``shared.ports.Policies``: none, a file of the app, or a blob."""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from shared.domain.errors import KeyturnError, PolicyError
from shared.domain.file_sources import BlobName
from shared.domain.policy import Policy, Window
from shared.domain.policy_schema import schema
from shared.ports import Clock

MOST_BYTES = 256 * 1024

KEPT_FOR = timedelta(minutes=1)
"""How long a policy is used before it is looked at again."""

_MENDED_WITHIN = timedelta(minutes=5)
_MOST_PROBLEMS = 50
_MOST_LEVELS = 20


class NoPolicy:
    """No policy is set: the defaults hold for every key."""

    def current(self) -> Policy:
        """See ``Policies.current``."""
        return Policy()


@dataclass(slots=True)
class ReadPolicy:
    """A policy that is read again when it is a minute old, and parsed when it has changed.

    Attributes:
        name: Where it lies, for messages.
        read: Returns its content. Raises ``KeyturnError`` or ``OSError``.
        clock: Tells its age.
    """

    name: str
    read: Callable[[], bytes]
    clock: Clock
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _read_at: datetime | None = None
    _content: bytes | None = None
    _parsed: Policy | PolicyError | None = None

    def current(self) -> Policy:
        """See ``Policies.current``."""
        with self._lock:
            if self._read_at is None or self.clock.now() - self._read_at >= KEPT_FOR:
                self._look()
            found = self._parsed
        if isinstance(found, Policy):
            return found
        assert found is not None  # noqa: S101 - set by the look
        raise PolicyError(str(found), found.problems, retry_after=found.retry_after)

    def _look(self) -> None:
        try:
            content = self.read()
        except (KeyturnError, OSError) as error:
            self._content = self._read_at = None  # looked for again at once
            self._parsed = _unusable(self.name, [f"it cannot be read: {error}"])
            return
        self._read_at = self.clock.now()
        if content != self._content:
            self._content = content
            self._parsed = _parsed(self.name, content)


def read_file(path: Path) -> Callable[[], bytes]:
    """Return what reads a file of the app."""
    return path.read_bytes


def read_blob(blob: BlobName, connect: Callable[[str, str], Any]) -> Callable[[], bytes]:
    """Return what reads a blob, with a client that ``connect`` makes for its container."""

    def read() -> bytes:
        from shared.adapters.storage.containers import translated_blob  # noqa: PLC0415 - ADR 0003

        with translated_blob(f"read the policy {blob.url}"):
            found = connect(blob.host, blob.container).get_blob_client(blob.path)
            content: bytes = found.download_blob(length=MOST_BYTES + 1, offset=0).readall()
        return content

    return read


def parse(name: str, content: bytes) -> Policy:
    """Read a policy, whole.

    Raises:
        PolicyError: Its ``problems`` are all that is wrong with it.
    """
    found = _parsed(name, content)
    if isinstance(found, PolicyError):
        raise found
    return found


def _parsed(name: str, content: bytes) -> Policy | PolicyError:
    if len(content) > MOST_BYTES:
        return _unusable(name, [f"it has more than {MOST_BYTES} bytes"])
    try:
        document = _load(content.decode())
    except UnicodeDecodeError as error:
        return _unusable(name, [f"it is no UTF-8: {error.reason} at byte {error.start}"])
    except _NotYamlError as error:
        return _unusable(name, [str(error)])
    return _understood(name, document)


def _understood(name: str, document: object) -> Policy | PolicyError:
    if problems := [*_by_schema(document)]:
        return _unusable(name, problems)
    try:
        policy = msgspec.convert(document, Policy)
    except msgspec.ValidationError as error:  # 24.0 is an integer to JSON Schema alone
        return _unusable(name, [str(error)])
    if problems := [*_beyond_schema(policy)]:
        return _unusable(name, problems)
    return policy


class _NotYamlError(Exception):
    """With the line, where there is one."""


def _load(text: str) -> Any:  # noqa: ANN401 - whatever the document is
    from ruamel.yaml import YAML  # noqa: PLC0415 - a tenth of a second that no event needs
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415

    try:
        _check_form(YAML(pure=True).parse(text))
        document = YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}: " if mark else ""
        raise _NotYamlError(f"{line}{error.problem or error.context}") from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise _NotYamlError(f"no YAML: {error}") from None
    if document is None:  # as one is while it is being written
        raise _NotYamlError("it is empty: if the defaults shall hold, say `version: 1`")
    return document


def _check_form(events: Iterable[object]) -> None:
    """Refuse what would take long to load: aliases of aliases, and depths.

    Raises:
        _NotYamlError: It is there.
    """
    from ruamel.yaml.events import (  # noqa: PLC0415 - as above
        AliasEvent,
        CollectionEndEvent,
        CollectionStartEvent,
    )

    level = 0
    for event in events:
        if isinstance(event, AliasEvent):
            raise _NotYamlError("it has aliases (*name), which a policy may not")
        level += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if level > _MOST_LEVELS:
            raise _NotYamlError(f"it has more than {_MOST_LEVELS} levels")


def _by_schema(document: object) -> Iterator[str]:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - a tenth of a second, likewise

    for error in Draft202012Validator(schema()).iter_errors(document):
        place = "/".join(["#", *map(str, error.absolute_path)])
        yield f"{place}: {error.message[:300]}"


def _beyond_schema(policy: Policy) -> Iterator[str]:
    places = [("#/defaults", policy.defaults)]
    places += [(f"#/rules/{number}", rule) for number, rule in enumerate(policy.rules)]
    for place, settings in places:
        windows: object = getattr(settings, "windows", ())
        if isinstance(windows, tuple):
            for number, window in enumerate(windows):
                yield from _of_window(f"{place}/windows/{number}", window)


def _of_window(place: str, window: Window) -> Iterator[str]:
    try:
        ZoneInfo(window.zone)
    except (OSError, ValueError, KeyError):
        yield f"{place}/zone: there is no time zone {window.zone!r}"
    if window.opens == window.closes:
        yield f"{place}: it closes when it opens; for whole days leave the window out"


def _unusable(name: str, problems: list[str]) -> PolicyError:
    more = f" (and {len(problems) - _MOST_PROBLEMS} more)" if len(problems) > _MOST_PROBLEMS else ""
    told = problems[:_MOST_PROBLEMS]
    return PolicyError(
        f"the policy {name} cannot be used: {'; '.join(told)}{more}",
        told,
        retry_after=_MENDED_WITHIN,
    )
