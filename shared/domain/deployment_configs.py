"""Deployment config files: the references to keys in them, read and re-pointed in place.

A file is JSON or YAML, with any number of documents. What counts as a reference: see
``deployment_references``. Nothing is ever dumped: the text of a version is replaced where it
stands, and every other byte stays.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

from shared.domain.deployment_references import Found, find
from shared.domain.errors import RefusedWriteError, UnreadableError
from shared.domain.json_paths import Json, text_at
from shared.domain.json_source import read_json
from shared.domain.keys import KeyVersion
from shared.domain.resources import Reference
from shared.domain.source_trees import Node, Source, Style, differences

MAX_BYTES = 1 << 20
"""Of a file: a deployment config has a few thousand; what is larger is something else."""

_BOM = "\ufeff"
# Without quotes, YAML 1.2 reads the first form as a number, and YAML 1.1 (az) the second.
_NUMBER = re.compile(r"[0-9]+(?:e[0-9]+)?|0b[01]+")


@dataclass(frozen=True, slots=True)
class Config:
    """A deployment config file, read.

    Attributes:
        references: Outer ones before those within them. The ``place`` of each is the object that
            holds it, such as ``document 2: resources[0].properties.encryptionProperties``; it
            stays the same when versions change.
    """

    references: tuple[Reference, ...]


def parse(content: bytes, name: str) -> Config:
    """Read a file.

    Args:
        content: As it is stored: UTF-8, with or without a byte order mark.
        name: The file's, for messages; one that ends in ``.json`` must hold JSON.

    Raises:
        UnreadableError: The file is malformed or beyond a limit, or holds a reference that
            cannot be read in one way only (see ``deployment_references.find``). The message says
            where, and what to do.
    """
    return Config(tuple(_references(_read(content, name))))


def repointed(content: bytes, name: str, places: Collection[str], target: KeyVersion) -> bytes:
    """Return the file with the references at ``places`` naming ``target``.

    Every byte outside the versions is the same. A version that stood in YAML without quotes gets
    them where programs would otherwise read a number.

    Raises:
        UnreadableError: See ``parse``.
        RefusedWriteError: A place holds no pinned reference to the target's key, or more than the
            versions would change.
    """
    file = _read(content, name)
    found = find(file.source, file.roots)
    _refuse_strangers(found, name, places, target)
    moving = [
        one for one in found if one.reference.place in places and one.reference.pinned != target
    ]
    text = file.source.text
    for one in sorted(moving, key=_start, reverse=True):
        text = _replaced(text, one, target)
    changed = (file.bom + text).encode()
    after = _read(changed, name)
    expected = [
        replace(one.reference, pinned=target) if one in moving else one.reference for one in found
    ]
    if differences(file.roots, after.roots) != {one.path for one in moving} or (
        _references(after) != expected
    ):
        raise RefusedWriteError(f"{name}: more than the versions would change: not written")
    return changed


@dataclass(frozen=True, slots=True)
class DeploymentConfig:
    """The shape of a deployment config file (see ``Shape`` of ``resources``).

    The body has the file's ``name`` and its ``text``: the bytes decoded as UTF-8, a byte order
    mark included, so that encoding it gives the same bytes.
    """

    def read(self, body: Json) -> tuple[Reference, ...]:
        """See ``Shape.read``."""
        return parse(_content(body), text_at(body, "name")).references

    def point(self, body: Json, reference: Reference, target: KeyVersion) -> None:
        """See ``Shape.point``."""
        if reference.key == target.key:
            name = text_at(body, "name")
            body["text"] = repointed(_content(body), name, [reference.place], target).decode()

    def restore(self, body: Json, original: Json, *, again: bool) -> None:  # noqa: ARG002 - the shape of Shape
        """See ``Shape.restore``. No file follows a vault by itself, so none is ever nudged.

        Raises:
            RefusedWriteError: Always.
        """
        raise RefusedWriteError(f"{text_at(body, 'name')}: a file is never nudged: not written")


def _content(body: Json) -> bytes:
    return text_at(body, "text").encode()


@dataclass(frozen=True, slots=True)
class _File:
    source: Source
    bom: str
    roots: tuple[Node, ...]


def _read(content: bytes, name: str) -> _File:
    if len(content) > MAX_BYTES:
        raise UnreadableError(f"{name}: {len(content)} bytes, more than {MAX_BYTES}: not read")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise UnreadableError(f"{name}: no UTF-8 at byte {error.start}: save it as UTF-8") from None
    bom = _BOM if text.startswith(_BOM) else ""
    source = Source(name, text.removeprefix(bom))
    return _File(source, bom, _roots(source))


def _roots(source: Source) -> tuple[Node, ...]:
    if source.name.lower().endswith(".json"):
        return read_json(source)
    if source.text.lstrip().startswith(("{", "[")):
        try:
            return read_json(source)
        except UnreadableError:
            pass  # or YAML's flow style, which looks like it
    from shared.domain.yaml_source import read_yaml  # noqa: PLC0415 - 0.1 s at cold start

    return read_yaml(source)


def _references(file: _File) -> list[Reference]:
    return [one.reference for one in find(file.source, file.roots)]


def _refuse_strangers(
    found: list[Found], name: str, places: Collection[str], target: KeyVersion
) -> None:
    ours = {r.place for one in found if (r := one.reference).key == target.key and r.pinned}
    if strangers := set(places) - ours:
        raise RefusedWriteError(
            f"{name}: no pinned reference to {target.key} at {', '.join(sorted(strangers))}:"
            " not written"
        )


def _start(found: Found) -> int:
    return found.version.start if found.version else 0


def _replaced(text: str, found: Found, target: KeyVersion) -> str:
    version = found.version
    assert version is not None  # noqa: S101 - only what is pinned is moved
    quote = text[version.start] if version.style is Style.QUOTED else ""
    if not quote and _NUMBER.fullmatch(target.version):
        quote = '"'
    return f"{text[: version.start]}{quote}{target.version}{quote}{text[version.end :]}"
