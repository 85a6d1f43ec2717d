"""The functions of an app, as the host sees them once they are indexed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.functions_host.settings import HostSettingsError, resolve

Binding = Mapping[str, Any]
"""A binding as the app declares it: ``type``, ``name``, ``direction`` and the type's own keys."""


@dataclass(frozen=True, slots=True)
class Function:
    """One function of the app."""

    name: str
    id: str
    """What the runtime calls it."""
    bindings: tuple[Binding, ...]

    @property
    def trigger(self) -> Binding:
        """The one binding that starts it."""
        return next(b for b in self.bindings if str(b["type"]).lower().endswith("trigger"))

    def is_triggered_by(self, kind: str) -> bool:
        """Whether its trigger is of a type such as ``queueTrigger``."""
        return bool(self.trigger["type"] == kind)

    @property
    def queue_outputs(self) -> tuple[Binding, ...]:
        """The bindings that put messages into queues."""
        return tuple(b for b in self.bindings if b["type"] == "queue")


def resolved(functions: Iterable[Function], settings: Mapping[str, str]) -> list[Function]:
    """Return the functions with every ``%NAME%`` and every connection looked up.

    Raises:
        HostSettingsError: App settings are missing. Names all of them.
    """
    missing: set[str] = set()
    found = [
        Function(
            function.name,
            function.id,
            tuple(_resolved(binding, settings, missing) for binding in function.bindings),
        )
        for function in functions
    ]
    if missing:
        raise HostSettingsError(
            [f"no app setting named {name}, which a binding needs" for name in sorted(missing)]
        )
    return found


def _resolved(binding: Binding, settings: Mapping[str, str], missing: set[str]) -> Binding:
    texts = {
        key: resolve(value, settings, missing)
        for key, value in binding.items()
        if isinstance(value, str)
    }
    connection = texts.get("connection")
    if connection is not None and not settings.get(connection):
        missing.add(connection)
    return {**binding, **texts}
