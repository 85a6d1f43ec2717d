"""Configuration files as trees in which every value knows where it stands in the text.

Nothing is ever written from such a tree: it says which characters of the text to replace, and
whether two texts differ only where they should.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from shared.domain.errors import UnreadableError

MAX_DEPTH = 64
MAX_VALUES = 10_000
"""Reading so many in YAML takes about a second; real deployment configs have some hundred."""

Path = tuple[str | int, ...]
"""The way to a value: the document's number from 0, then names and positions."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file's text, and the name by which people know the file.

    Attributes:
        text: Without a byte order mark.
    """

    name: str
    text: str

    def error(self, index: int, what: str) -> UnreadableError:
        """Return the error that says ``what`` is wrong at a position of the text.

        ``what`` must not quote text that may be a secret: files hold passwords.
        """
        line = self.text.count("\n", 0, index) + 1
        column = index - self.text.rfind("\n", 0, index)
        return UnreadableError(f"{self.name}, line {line}, column {column}: {what}")


class Style(StrEnum):
    """How a scalar is written."""

    QUOTED = "quoted"
    PLAIN = "plain"
    """YAML without quotes: what it means to a program depends on its characters."""
    BLOCK = "block"
    LITERAL = "literal"
    """JSON's numbers, ``true``, ``false`` and ``null``."""


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """A text, number or the like.

    Attributes:
        value: Without quotes and escapes, but never made a number.
        start, end: Where it stands; quotes, anchor and tag included.
        anchor: The name by which YAML's aliases repeat it; empty: it has none.
        tag: YAML's explicit type, such as ``!Ref``; empty: it has none.
    """

    value: str
    start: int
    end: int
    style: Style
    anchor: str = ""
    tag: str = ""

    @property
    def blank(self) -> bool:
        """Whether it is null or an empty text."""
        nulls = {Style.PLAIN: {"", "~", "null", "Null", "NULL"}, Style.LITERAL: {"null"}}
        return self.value in nulls.get(self.style, {""})


@dataclass(frozen=True, slots=True)
class MappingNode:
    """Names with their values, each name once. For the other fields see ``ScalarNode``."""

    entries: dict[str, "Node"]
    start: int
    anchor: str = ""
    tag: str = ""


@dataclass(frozen=True, slots=True)
class SequenceNode:
    """A list. For the other fields see ``ScalarNode``."""

    items: tuple["Node", ...]
    start: int
    anchor: str = ""
    tag: str = ""


@dataclass(frozen=True, slots=True)
class AliasNode:
    """YAML's ``*name``: the same value as the node that carries the anchor."""

    name: str
    target: "Node"
    start: int


Node = ScalarNode | MappingNode | SequenceNode | AliasNode


class Tally:
    """Counts the values of one file, and refuses those too many or too deep."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._values = 0

    def enter(self, index: int, depth: int) -> None:
        """Count the value that begins at ``index``.

        Raises:
            UnreadableError: The file goes beyond a limit.
        """
        self._values += 1
        if depth > MAX_DEPTH:
            raise self._source.error(index, f"nested more than {MAX_DEPTH} deep: not read")
        if self._values > MAX_VALUES:
            raise self._source.error(index, f"holds more than {MAX_VALUES} values: not read")


def differences(before: tuple[Node, ...], after: tuple[Node, ...]) -> set[Path]:
    """Return where two files differ in anything but where their values stand, and comments."""
    one, other = _outline(before), _outline(after)
    return {path for path in one.keys() | other.keys() if one.get(path) != other.get(path)}


def _outline(roots: tuple[Node, ...]) -> dict[Path, tuple[object, ...]]:
    return dict(entry for number, root in enumerate(roots) for entry in _entries((number,), root))


def _entries(path: Path, node: Node) -> Iterator[tuple[Path, tuple[object, ...]]]:
    match node:
        case ScalarNode():
            yield path, (node.value, node.style, node.anchor, node.tag)
        case AliasNode():
            yield path, ("*", node.name)
        case MappingNode():
            yield path, (tuple(node.entries), node.anchor, node.tag)
            for name, value in node.entries.items():
                yield from _entries((*path, name), value)
        case SequenceNode():
            yield path, (len(node.items), node.anchor, node.tag)
            for position, item in enumerate(node.items):
                yield from _entries((*path, position), item)
