"""JSON, read so that every value knows where it stands in the text."""

import json
import re

from shared.domain.source_trees import (
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    Source,
    Style,
    Tally,
)

_SPACE = re.compile(r"[ \t\n\r]*")
_LITERAL = re.compile(
    r"(?:true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)(?![\w.+-])"
)
_STRING = json.JSONDecoder()


def read_json(source: Source) -> tuple[Node, ...]:
    """Return the one document of a JSON text (RFC 8259; no comments, no trailing commas).

    Raises:
        UnreadableError: It is no JSON, names something twice in one object, or is too large.
    """
    return (_Reader(source).document(),)


class _Reader:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._text = source.text
        self._tally = Tally(source)
        self._at = 0

    def document(self) -> Node:
        root = self._value(1)
        if self._next():
            raise self._source.error(self._at, "not JSON: more text after the end of the value")
        return root

    def _value(self, depth: int) -> Node:
        first = self._next()
        self._tally.enter(self._at, depth)
        if first == "{":
            return self._object(depth)
        if first == "[":
            return self._array(depth)
        if first == '"':
            return self._string()
        if literal := _LITERAL.match(self._text, self._at):
            start, self._at = literal.span()
            return ScalarNode(literal[0], start, self._at, Style.LITERAL)
        raise self._source.error(self._at, "not JSON: a value was expected")

    def _object(self, depth: int) -> MappingNode:
        start, entries = self._at, dict[str, Node]()
        self._at += 1
        while self._goes_on(bool(entries), "}"):
            if self._next() != '"':
                raise self._source.error(self._at, "not JSON: a name in double quotes was expected")
            name = self._string()
            if name.value in entries:
                raise self._source.error(
                    name.start, f"{name.value!r:.64} is named twice: remove one of the two"
                )
            if self._next() != ":":
                raise self._source.error(self._at, "not JSON: a colon was expected")
            self._at += 1
            entries[name.value] = self._value(depth + 1)
        return MappingNode(entries, start)

    def _array(self, depth: int) -> SequenceNode:
        start, items = self._at, list[Node]()
        self._at += 1
        while self._goes_on(bool(items), "]"):
            items.append(self._value(depth + 1))
        return SequenceNode(tuple(items), start)

    def _goes_on(self, begun: bool, end: str) -> bool:  # noqa: FBT001 - private, and read aloud it is clear
        """Step over the comma or the closing bracket; return whether another element follows."""
        if (found := self._next()) == end:
            self._at += 1
            return False
        if begun:
            if found != ",":
                raise self._source.error(self._at, f"not JSON: a comma or {end} was expected")
            self._at += 1
        return True

    def _string(self) -> ScalarNode:
        start = self._at
        try:
            value, self._at = _STRING.raw_decode(self._text, start)
        except json.JSONDecodeError as error:
            raise self._source.error(
                error.pos, f"not JSON: {error.msg.removesuffix(' at')}"
            ) from None
        return ScalarNode(value, start, self._at, Style.QUOTED)

    def _next(self) -> str:
        """Step over white space; return the character there, empty at the end."""
        if found := _SPACE.match(self._text, self._at):
            self._at = found.end()
        return self._text[self._at : self._at + 1]
