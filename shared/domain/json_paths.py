"""Looking things up in the JSON of a resource.

Property names differ in case between services, and between request and answer (recorded:
``keyvaultproperties``, ``KeyName``), so names are matched without regard to case.
"""

from typing import Any

Json = dict[str, Any]


def look_up(body: object, path: str) -> Any:  # noqa: ANN401 - JSON
    """Return what lies at a dotted path; ``None`` where there is nothing."""
    found = body
    for name in path.split("."):
        found = found.get(_actual(found, name)) if isinstance(found, dict) else None
    return found


def text_at(body: object, path: str) -> str:
    """Return the text at a dotted path; empty where there is none."""
    found = look_up(body, path)
    return found if isinstance(found, str) else ""


def told_at(body: object, path: str) -> str:
    """Return the text at a dotted path, or a flag as ``true`` or ``false``; else empty."""
    return told(look_up(body, path))


def told(value: object) -> str:
    """Return a text, or a flag, as text; anything else, like nothing, is empty."""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else ""


def every(body: object, path: str) -> list[Any]:
    """Return all that lies at a dotted path, in which ``*`` stands for every name or item."""
    if not path:
        return [] if body is None else [body]
    first, _, rest = path.partition(".")
    if first != "*":
        return every(look_up(body, first), rest)
    inside = body.values() if isinstance(body, dict) else body if isinstance(body, list) else ()
    return [found for each in inside for found in every(each, rest)]


def put(body: Json, path: str, value: object) -> None:
    """Set what lies at a dotted path, keeping the spelling of names that are there."""
    *parents, last = path.split(".")
    place = body
    for name in parents:
        place = place.setdefault(_actual(place, name), {})
    place[_actual(place, last)] = value


def drop(body: object, path: str) -> None:
    """Remove what lies at a dotted path, if anything; ``*`` stands for every name or item."""
    first, _, rest = path.partition(".")
    if first == "*" and rest and isinstance(body, list):
        for item in body:
            drop(item, rest)
    if not isinstance(body, dict):
        return
    for name in [*body] if first == "*" else [_actual(body, first)]:
        if rest:
            drop(body.get(name), rest)
        else:
            body.pop(name, None)


def _actual(body: Json, name: str) -> str:
    return next((key for key in body if key.lower() == name.lower()), name)
