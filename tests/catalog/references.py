"""References of any shape, written into bodies as their services show them."""

from collections.abc import Iterator

from shared.domain.json_paths import Json, look_up, put, text_at
from shared.domain.keys import Key, KeyVersion
from shared.domain.kinds import Kind
from shared.domain.resources import Shape
from shared.domain.shapes import (
    NamedReference,
    OneReference,
    ReferenceList,
    References,
    SplitReference,
    UrlReference,
)

OTHER = KeyVersion(Key("kv9.vault.azure.net", "other"), "9" * 32)
"""What is in a list beside the key that rotates."""


def parts(shape: Shape) -> list[OneReference | ReferenceList]:
    """Return the single references and lists of a shape; none for one that is no path."""
    if isinstance(shape, References):
        return list(shape.parts)
    return [shape] if isinstance(shape, OneReference | ReferenceList) else []


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
    match one:
        case SplitReference():
            named = [one.vault, one.name, one.version, one.follows]
        case UrlReference():
            named = [one.url, one.follows]
        case NamedReference():
            named = [one.url, one.name, one.follows]
    yield from filter(None, named)


def version_path(one: OneReference) -> str:
    """Return the path of the text by which a write changes a reference."""
    match one:
        case SplitReference():
            return one.version
        case UrlReference():
            return one.url
        case NamedReference():
            return one.name


Leaf = tuple[tuple[str, ...], str]


def written(shape: Shape, target: KeyVersion) -> set[Leaf]:
    """Return what a write to ``target`` leaves where the references are, as leaves of a body."""
    found = set()
    for part in parts(shape):
        one = part.each if isinstance(part, ReferenceList) else part
        before = f"{part.entries}.[0]." if isinstance(part, ReferenceList) else ""
        match one:
            case SplitReference():
                text = target.version
            case UrlReference():
                text = str(target)
            case NamedReference():
                text = _made_of(target.key, target.version)
        found.add((tuple(f"{before}{version_path(one)}".lower().split(".")), repr(text)))
    return found


def _made_of(key: Key, version: str | None) -> str:
    """Return the name of a server key (recorded: vault, key and version)."""
    return f"{key.vault.partition('.')[0]}_{key.name}_{version}"


def refer(shape: Shape, body: Json, key: Key, version: str | None) -> None:
    """Make every reference of ``body`` name a key, and a version unless that is ``None``."""
    for part in parts(shape):
        if part.when:
            field, text = part.when
            put(body, field, {"true": True, "false": False}.get(text, text))
        if isinstance(part, ReferenceList):
            held = look_up(body, part.entries)
            entry: Json = held[0] if isinstance(held, list) and held[:1] and held[0] else {}
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
    if isinstance(one, NamedReference):
        put(body, one.url, f"{key}/{version}" if version is not None else str(key))
        put(body, one.name, _made_of(key, version))
        return
    put(body, one.vault, f"https://{key.vault}/")
    put(body, one.name, key.name)
    if one.version:
        put(body, one.version, version)


def pinned(kind: Kind, body: Json, version: KeyVersion) -> Json:
    """Make ``body`` hold references to a version, and what its write is guarded by; return it."""
    refer(kind.shape, body, version.key, version.version)
    for part in parts(kind.shape):
        if isinstance(part, ReferenceList):
            other: Json = {"identity": {"userAssignedIdentity": "id2"}}
            _refer_one(part.each, other, OTHER.key, OTHER.version)
            look_up(body, part.entries).append(other)
    if kind.write.guard and not text_at(body, kind.write.guard):
        put(body, kind.write.guard, "Enabled")
    return body
