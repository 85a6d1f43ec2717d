"""Dotted paths in JSON bodies, whose names real ARM compares without regard to case."""

from copy import deepcopy
from typing import Any

from sandbox.arm.resources import Body


def at(body: Body, path: str) -> Any:  # noqa: ANN401 - any JSON
    """Return what lies at a path; ``None`` where there is nothing."""
    found: Any = body
    for name in path.split("."):
        found = _step(found, name)
    return found


def text(body: Body, path: str) -> str:
    """Return the text at a path; empty where there is none."""
    found = at(body, path)
    return found if isinstance(found, str) else ""


def put(body: Body, path: str, value: object) -> None:
    """Set what lies at a path, making the objects on the way; items of lists must be there."""
    *parents, last = path.split(".")
    place: Any = body
    for name in parents:
        inner = _step(place, name)
        if not isinstance(inner, dict | list):
            inner = place[_actual(place, name)] = {}
        place = inner
    place[_actual(place, last)] = value


def drop(body: Body, path: str) -> None:
    """Remove what lies at a path, if anything."""
    parent, _, last = path.rpartition(".")
    place = at(body, parent) if parent else body
    if isinstance(place, dict):
        place.pop(_actual(place, last), None)


def merged(old: Body, new: Body, whole: frozenset[str], path: str = "") -> Body:
    """Return ``old`` as a PATCH with ``new`` changes it: objects by name, all else as a whole.

    Args:
        old: As it is.
        new: The request.
        whole: Paths in lower case of the objects that are replaced as a whole too.
        path: Where the two lie.
    """
    found = deepcopy(old)
    for name, value in new.items():
        actual, place = _actual(found, name), f"{path}.{name}".lstrip(".").lower()
        before = found.get(actual)
        if isinstance(value, dict) and isinstance(before, dict) and place not in whole:
            found[actual] = merged(before, value, whole, place)
        else:
            found[actual] = deepcopy(value)
    return found


def _step(place: Any, name: str) -> Any:  # noqa: ANN401 - any JSON
    """Return what is in an object by its name, or in a list by its number; else ``None``."""
    if isinstance(place, list):
        return place[int(name)] if name.isdigit() and int(name) < len(place) else None
    return place.get(_actual(place, name)) if isinstance(place, dict) else None


def _actual(body: Body, name: str) -> str:
    return next((key for key in body if key.lower() == name.lower()), name)
