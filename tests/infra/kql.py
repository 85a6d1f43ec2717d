"""As much of KQL as the alerts use, asked of rows that are at hand.

Comparisons of text are case-insensitive except for ``==``, as Microsoft's reference of string
operators has them.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

type Row = Mapping[str, object]

_TOKEN = re.compile(r'"[^"]*"|==|[()]|\w+')


class KqlError(ValueError):
    """The query is none that this reads."""


@dataclass
class Query:
    """A query, and the columns that it has named."""

    text: str
    columns: set[str] = field(default_factory=set)

    def found(self, tables: Mapping[str, Sequence[Row]]) -> int:
        """Return what ``Found`` counts.

        Raises:
            KqlError: See the class; a table that is not among ``tables`` is none.
        """
        lines = (line for line in self.text.splitlines() if not line.startswith("//"))
        source, *operators = re.split(r"^\| ", "\n".join(lines), flags=re.MULTILINE)
        if source.strip() not in tables:
            raise KqlError(f"no table {source.strip()!r}")
        rows = [dict(row) for row in tables[source.strip()]]
        if operators.pop().strip() != "summarize Found = count()":
            raise KqlError("the last operator counts nothing")
        for operator in operators:
            word, _, rest = operator.partition(" ")
            if word == "where":
                rows = [row for row in rows if self._holds(rest, row)]
            elif word == "parse":
                rows = [row | self._parsed(rest, row) for row in rows]
            else:
                raise KqlError(f"no operator {word!r}")
        return len(rows)

    def _parsed(self, operator: str, row: Row) -> dict[str, object]:
        """Return the columns of ``parse COLUMN with "text" Name "text" Name``."""
        column, _, pattern = operator.partition(" with ")
        self.columns.add(column)
        parts = re.findall(r'"([^"]*)"|(\w+)', pattern)
        names = [name for _, name in parts if name]
        expression = "".join(
            re.escape(text) if text else f"(?P<{name}>.*?)" for text, name in parts
        )
        match = re.fullmatch(expression, str(row[column]), re.DOTALL)
        return {**match.groupdict()} if match else dict.fromkeys(names, "")

    def _holds(self, condition: str, row: Row) -> bool:
        tokens = iter([*_TOKEN.findall(condition), ""])
        return _Condition(tokens, row, self.columns).whole()


class _Condition:
    """Reads a condition by recursive descent, and judges a row on the way."""

    def __init__(self, tokens: Iterator[str], row: Row, columns: set[str]) -> None:
        self._tokens, self._row, self._columns = tokens, row, columns
        self._next = next(tokens)

    def whole(self) -> bool:
        result = self._any()
        if self._next:
            raise KqlError(f"{self._next!r} is left over")
        return result

    def _take(self) -> str:
        token, self._next = self._next, next(self._tokens, "")
        return token

    def _any(self) -> bool:
        result = self._all()
        while self._next == "or":
            self._take()
            result = self._all() or result
        return result

    def _all(self) -> bool:
        result = self._one()
        while self._next == "and":
            self._take()
            result = self._one() and result
        return result

    def _one(self) -> bool:
        if self._next == "(":
            self._take()
            result = self._any()
            self._take()
            return result
        column, operator, text = self._take(), self._take(), self._take()
        self._columns.add(column)
        if column not in self._row:
            raise KqlError(f"no column {column!r}")
        value, wanted = str(self._row[column]), text.strip('"')
        if operator == "==":
            return value == wanted
        value, wanted = value.lower(), wanted.lower()
        if operator == "startswith":
            return value.startswith(wanted)
        if operator == "endswith":
            return value.endswith(wanted)
        if operator == "contains":
            return wanted in value
        raise KqlError(f"no comparison {operator!r}")
