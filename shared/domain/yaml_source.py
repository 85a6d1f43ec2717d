"""YAML, read so that every value knows where it stands in the text.

Only ruamel.yaml's scanner and parser are used: they give events with positions. Nothing is
constructed from tags, and aliases are not expanded, so that a small file cannot become a large one.
Imported when the first YAML file is read: ruamel.yaml takes a tenth of a second at cold start.
"""

from collections.abc import Iterator

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from ruamel.yaml.reader import ReaderError

from shared.domain.errors import UnreadableError
from shared.domain.source_trees import (
    AliasNode,
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    Source,
    Style,
    Tally,
)


def read_yaml(source: Source) -> tuple[Node, ...]:
    """Return the documents of a YAML text.

    Raises:
        UnreadableError: It is no YAML, names something twice in one mapping, uses an alias as a
            name or before its anchor, or is too large.
    """
    try:
        return tuple(_Reader(source).documents())
    except ReaderError as error:
        raise source.error(error.position, f"not YAML: {error.reason}") from None
    except MarkedYAMLError as error:
        raise _malformed(source, error) from None
    except (YAMLError, ValueError):
        # ValueError: an escape beyond Unicode. What either says may quote the file.
        raise UnreadableError(f"{source.name}: not YAML that can be read") from None


def _malformed(source: Source, error: MarkedYAMLError) -> UnreadableError:
    mark = error.problem_mark or error.context_mark
    return source.error(mark.index if mark else 0, f"not YAML: {error.problem or error.context}")


class _Reader:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._tally = Tally(source)
        self._events: Iterator[Event] = YAML(typ="safe", pure=True).parse(source.text)
        self._anchors: dict[str, Node] = {}

    def documents(self) -> Iterator[Node]:
        while not isinstance(event := next(self._events), StreamEndEvent):
            if isinstance(event, DocumentStartEvent):
                self._anchors.clear()
                yield self._node(next(self._events), 1)

    def _node(self, event: Event, depth: int) -> Node:
        start = event.start_mark.index
        self._tally.enter(start, depth)
        assert isinstance(event, NodeEvent)  # noqa: S101 - the parser's grammar has no other here
        if isinstance(event, AliasEvent):
            return self._alias(event)
        # An anchor counts from the end of its node: an alias within it would be endless.
        node = self._content(event, depth)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _content(self, event: NodeEvent, depth: int) -> Node:
        start, anchor = event.start_mark.index, event.anchor or ""
        if isinstance(event, MappingStartEvent):
            return MappingNode(self._entries(depth), start, anchor, event.tag or "")
        if isinstance(event, SequenceStartEvent):
            return SequenceNode(tuple(self._items(depth)), start, anchor, event.tag or "")
        assert isinstance(event, ScalarEvent)  # noqa: S101 - as above
        end = event.end_mark.index
        return ScalarNode(event.value, start, end, _style(event), anchor, event.tag or "")

    def _alias(self, event: AliasEvent) -> AliasNode:
        start = event.start_mark.index
        if event.anchor not in self._anchors:
            raise self._source.error(start, "an alias with no finished anchor before it")
        return AliasNode(event.anchor, self._anchors[event.anchor], start)

    def _entries(self, depth: int) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            name = self._node(event, depth + 1)
            if not isinstance(name, ScalarNode):
                raise self._source.error(
                    name.start, "a name that is no text: {{ }} of a template must be in quotes"
                )
            if name.value in entries:
                raise self._source.error(
                    name.start, f"{name.value!r:.64} is named twice: remove one of the two"
                )
            entries[name.value] = self._node(next(self._events), depth + 1)
        return entries

    def _items(self, depth: int) -> Iterator[Node]:
        while not isinstance(event := next(self._events), SequenceEndEvent):
            yield self._node(event, depth + 1)


def _style(event: ScalarEvent) -> Style:
    if event.style in {"'", '"'}:
        return Style.QUOTED
    return Style.BLOCK if event.style in {"|", ">"} else Style.PLAIN
