"""References of any shape, written into bodies as their services show them."""

from collections.abc import Iterator

from shared.domain.json_paths import Json, put, text_at
from shared.domain.keys import Key, KeyVersion
from shared.domain.kinds import Kind
from shared.domain.resources import Shape
from shared.domain.shapes import (
    OneReference,
    ReferenceList,
    References,
    SplitReference,
    UrlReference,
)


def parts(shape: Shape) -> list[OneReference | ReferenceList]:
    """Return the single references and lists of a shape; none for one that is no path."""
    if isinstance(shape, References):
        return list(shape.parts)
    return [shape] if isinstance(shape, SplitReference | UrlReference | ReferenceList) else []


def paths(shape: Shape) -> Iterator[str]:
    """Yield every path that a shape uses, in an entry of a list with ``*``."""
    for part in parts(shape):
        if part.when:
            yield part.when[0]
        if isinstance(part, ReferenceList):
            yield from (f"{part.entries}.*.{path}" for path in _of_one(part.each))
        else:
            yield from _of_one(part)


def _of_one(one: OneReference) -> Iterator[str]:
    named = (one.url,) if isinstance(one, UrlReference) else (one.vault, one.name, one.version)
    yield from (*named, one.follows) if one.follows else named


def refer(shape: Shape, body: Json, key: Key, version: str | None) -> None:
    """Make every reference of ``body`` name a key, and a version unless that is ``None``."""
    for part in parts(shape):
        if part.when:
            field, text = part.when
            put(body, field, {"true": True, "false": False}.get(text, text))
        if isinstance(part, ReferenceList):
            entry: Json = {}
            _refer_one(part.each, entry, key, version)
            put(body, part.entries, [entry])
        else:
            _refer_one(part, body, key, version)


def _refer_one(one: OneReference, body: Json, key: Key, version: str | None) -> None:
    if one.follows:
        put(body, one.follows, value=False)
    if isinstance(one, UrlReference):
        put(body, one.url, f"{key}/{version}" if version is not None else str(key))
        return
    put(body, one.vault, f"https://{key.vault}/")
    put(body, one.name, key.name)
    put(body, one.version, version)


def pinned(kind: Kind, body: Json, version: KeyVersion) -> Json:
    """Make ``body`` hold references to a version, and what its write is guarded by; return it."""
    refer(kind.shape, body, version.key, version.version)
    if kind.write.guard and not text_at(body, kind.write.guard):
        put(body, kind.write.guard, "Enabled")
    return body
