"""The part of the Kusto query language that the sandbox's Resource Graph understands.

``[resources |] where … | project … | order by … | limit …``: all else is refused, never guessed.
A query is compiled into steps; a step that names an unknown column is refused when compiled.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

type Row = dict[str, Any]
type Rows = list[Row]
type Value = Callable[[Row], Any]
type Predicate = Callable[[Row], bool]

_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
      | (?P<text>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")
      | (?P<number>\d+)
      | (?P<operator>==|!=|=~|!~|!in~|in~|!(?:in|contains|startswith|endswith)\b|[|(),.=])
      | (?P<name>[A-Za-z_]\w*)""",
    re.VERBOSE,
)
_END = "<EOF>"


class KqlError(Exception):
    """The query is not one that the sandbox understands.

    Attributes:
        line: Counted from 1.
        position: In the line, counted from 0.
        token: The text that was not expected; ``<EOF>`` at the end.
    """

    def __init__(self, line: int, position: int, token: str) -> None:
        super().__init__(f"line {line}, position {position}: unexpected {token!r}")
        self.line = line
        self.position = position
        self.token = token


@dataclass(frozen=True, slots=True)
class Query:
    """A query, compiled."""

    columns: tuple[str, ...]
    """Of the rows that it returns."""
    limited: bool
    """Whether it says how many rows it wants."""
    steps: tuple[Callable[[Rows], Rows], ...]

    def run(self, rows: Rows) -> Rows:
        """Return what the query selects from ``rows``."""
        for step in self.steps:
            rows = step(rows)
        return rows


def compile_query(text: str, columns: Sequence[str]) -> Query:
    """Compile a query over rows that have ``columns``.

    Raises:
        KqlError: The query is malformed, or outside what is understood.
    """
    return _Parser(text, columns).query()


def as_text(value: object) -> str:
    """Return a value as ``tostring()`` does: objects as JSON without spaces, nothing as ``''``."""
    match value:
        case None:
            return ""
        case str():
            return value
        case _:
            return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            yield _Token("unknown", text[at], at)
            return
        if found.lastgroup and found.lastgroup != "space":
            yield _Token(found.lastgroup, found[0], at)
        at = found.end()


_COMPARE: dict[str, Callable[[str, str], bool]] = {
    "==": str.__eq__,
    "=~": lambda left, right: left.lower() == right.lower(),
    "contains": lambda left, right: right.lower() in left.lower(),
    "startswith": lambda left, right: left.lower().startswith(right.lower()),
    "endswith": lambda left, right: left.lower().endswith(right.lower()),
}
_NEGATED = {"!=": "==", "!~": "=~"}
_FUNCTIONS: dict[str, Callable[[object], Any]] = {
    "tostring": as_text,
    "tolower": lambda value: as_text(value).lower(),
}
_TESTS: dict[str, Callable[[object], bool]] = {
    "isempty": lambda value: not as_text(value),
    "isnotempty": lambda value: bool(as_text(value)),
}


class _Parser:
    """Reads a query from left to right; ``columns`` are those of the current step."""

    def __init__(self, text: str, columns: Sequence[str]) -> None:
        self._text = text
        self._columns = tuple(columns)
        self._tokens = [*_tokens(text), _Token("end", _END, len(text))]
        self._at = 0
        self._limited = False

    def query(self) -> Query:
        steps: list[Callable[[Rows], Rows]] = []
        if self._next.text.lower() == "resources":
            self._take()
        else:
            steps.append(self._operator())
        while self._next.kind != "end":
            self._expect("|")
            steps.append(self._operator())
        return Query(self._columns, self._limited, tuple(steps))

    def _operator(self) -> Callable[[Rows], Rows]:
        token = self._take()
        match token.text:
            case "where":
                predicate = self._either()
                return lambda rows: [row for row in rows if predicate(row)]
            case "project":
                return self._project()
            case "order" | "sort":
                self._expect("by")
                return self._order()
            case "limit" | "take":
                self._limited = True
                count = int(self._of_kind("number").text)
                return lambda rows: rows[:count]
            case _:
                raise self._refuse(token)

    def _project(self) -> Callable[[Rows], Rows]:
        chosen = dict(self._separated(self._projection))
        self._columns = tuple(chosen)
        return lambda rows: [{name: get(row) for name, get in chosen.items()} for row in rows]

    def _projection(self) -> tuple[str, Value]:
        if self._next.kind == "name" and self._tokens[self._at + 1].text == "=":
            name = self._take().text
            self._take()
            return name, self._value()
        path = self._path()
        return "_".join(path), _getter(path)

    def _order(self) -> Callable[[Rows], Rows]:
        keys = self._separated(self._sort_key)

        def ordered(rows: Rows) -> Rows:
            for get, descending in reversed(keys):
                rows = sorted(rows, key=_sort_by(get), reverse=descending)
            return rows

        return ordered

    def _sort_key(self) -> tuple[Value, bool]:
        value = self._value()
        if self._next.text in {"asc", "desc"}:
            return value, self._take().text == "desc"
        return value, True  # Kusto's default is descending.

    def _either(self) -> Predicate:
        left = self._both()
        while self._next.text == "or":
            self._take()
            left = _any(left, self._both())
        return left

    def _both(self) -> Predicate:
        left = self._condition()
        while self._next.text == "and":
            self._take()
            left = _all(left, self._condition())
        return left

    def _condition(self) -> Predicate:
        word = self._next.text
        if word == "(":
            return self._in_brackets(self._either)
        if word == "not":
            self._take()
            inner = self._in_brackets(self._either)
            return lambda row: not inner(row)
        if word in _TESTS:
            self._take()
            value, test = self._in_brackets(self._value), _TESTS[word]
            return lambda row: test(value(row))
        return self._comparison(self._value())

    def _comparison(self, left: Value) -> Predicate:
        token = self._take()
        word = _NEGATED.get(token.text, token.text.removeprefix("!"))
        if word in {"in", "in~"}:
            compare = _COMPARE["=~" if word == "in~" else "=="]
            choices = self._in_brackets(lambda: self._separated(self._value))
        elif word in _COMPARE:
            compare, choices = _COMPARE[word], [self._value()]
        else:
            raise self._refuse(token)
        negative = token.text.startswith("!")

        def predicate(row: Row) -> bool:
            text = as_text(left(row))
            return negative != any(compare(text, as_text(choice(row))) for choice in choices)

        return predicate

    def _value(self) -> Value:
        token = self._next
        if token.kind == "text":
            text = re.sub(r"\\(.)", r"\1", self._take().text[1:-1])
            return lambda _row: text
        if token.text in _FUNCTIONS:
            self._take()
            inner, function = self._in_brackets(self._value), _FUNCTIONS[token.text]
            return lambda row: function(inner(row))
        return _getter(self._path())

    def _path(self) -> list[str]:
        first = self._of_kind("name")
        if first.text not in self._columns:
            raise self._refuse(first)
        path = [first.text]
        while self._next.text == ".":
            self._take()
            path.append(self._of_kind("name").text)
        return path

    def _in_brackets[T](self, read: Callable[[], T]) -> T:
        self._expect("(")
        found = read()
        self._expect(")")
        return found

    def _separated[T](self, read: Callable[[], T]) -> list[T]:
        found = [read()]
        while self._next.text == ",":
            self._take()
            found.append(read())
        return found

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self._next
        if token.kind in {"end", "unknown"}:
            raise self._refuse(token)
        self._at += 1
        return token

    def _of_kind(self, kind: str) -> _Token:
        if self._next.kind != kind:
            raise self._refuse(self._next)
        return self._take()

    def _expect(self, text: str) -> None:
        if self._next.text != text:
            raise self._refuse(self._next)
        self._take()

    def _refuse(self, token: _Token) -> KqlError:
        before = self._text[: token.start]
        position = token.start - (before.rfind("\n") + 1)
        return KqlError(before.count("\n") + 1, position, token.text)


def _getter(path: Sequence[str]) -> Value:
    """Return what reads a path; a step into what is not an object yields nothing."""

    def get(row: Row) -> Any:  # noqa: ANN401 - a cell holds any JSON
        found: Any = row
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        return found

    return get


def _sort_by(get: Value) -> Callable[[Row], str]:
    return lambda row: as_text(get(row))


def _any(left: Predicate, right: Predicate) -> Predicate:
    return lambda row: left(row) or right(row)


def _all(left: Predicate, right: Predicate) -> Predicate:
    return lambda row: left(row) and right(row)
