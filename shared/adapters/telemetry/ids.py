"""What tells a step from all others, on spans and on log lines."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from shared.domain.steps import Step

MESSAGE = "messaging.message.id"
_STEP = "keyturn.step"
_NAMES = {"rotation": "keyturn.rotation", "resource": "keyturn.work", "key": "keyturn.key"}
"""What a step names, and how that is called. ``keyturn.work``: the row key of the work."""

_SPOKEN = {
    name: name.removesuffix(".id").rpartition(".")[2] for name in (_STEP, *_NAMES.values(), MESSAGE)
}
"""What they are called in a line of text."""

_OURS = ("shared.", "functions.")
_running: ContextVar[Mapping[str, str] | None] = ContextVar("running", default=None)


def name_of(step: Step) -> str:
    """Return a step's name, as its messages have it."""
    return str(step.__struct_config__.tag)


def ids_of(step: Step) -> dict[str, str]:
    """Return what a step is about, by the names of OpenTelemetry attributes."""
    named = {name: getattr(step, field, "") for field, name in _NAMES.items()}
    return {_STEP: name_of(step)} | {name: value for name, value in named.items() if value}


@contextmanager
def naming(ids: Mapping[str, str]) -> Iterator[None]:
    """Name these ids on every line that our own code logs inside."""
    token = _running.set(ids)
    try:
        yield
    finally:
        _running.reset(token)


def name_ids_on_log_lines() -> None:
    """Have every record of ours carry the ids of the step that is running, as ``naming`` has them.

    As attributes of the record, for a handler that keeps them; and at the end of its message,
    since the Functions worker hands the host nothing but the text.
    """
    make = logging.getLogRecordFactory()
    if not isinstance(make, _WithIds):
        logging.setLogRecordFactory(_WithIds(make))


class _WithIds:
    """Makes log records."""

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make

    def __call__(self, *arguments: Any, **named: Any) -> logging.LogRecord:  # noqa: ANN401 - as logging's
        record, ids = self._make(*arguments, **named), _running.get()
        if ids and record.name.startswith(_OURS):
            vars(record).update(ids)
            told = " ".join(f"{_SPOKEN[name]}={value}" for name, value in ids.items())
            record.msg, record.args = f"{record.getMessage()} [{told}]", None
        return record
