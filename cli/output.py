"""Results as tables, JSON, YAML or CSV: written as they come, whatever their number."""

import csv
import io
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from rich.cells import cell_len, set_cell_size

from cli.console import Format, Terminal, shown

type Row = dict[str, Any]
"""As the HTTP API has it: names in camel case."""

_PAGE = 500
"""Rows of a table that are looked at together, for its widths."""
_GAP = "  "
_PROSE = 20
"""What a column of prose has at least, if there is any room for it."""
_LEAST = 8
"""Columns are not made narrower than that."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        show: Returns what stands in it.
        rank: Columns of the highest go first where there is no room; 0: never.
        is_status: Whether its words have the colours of ``_STYLES``.
        is_prose: Whether it may be cut, and has what room the others leave.
    """

    title: str
    show: Callable[[Row], str]
    rank: int = 0
    is_status: bool = False
    is_prose: bool = False


def builtins(view: msgspec.Struct) -> Row:
    """Return a view as the row that is written."""
    row: Row = msgspec.to_builtins(view)
    return row


def write_rows(terminal: Terminal, rows: Iterable[Row], columns: Sequence[Column]) -> int:
    """Write rows as they come; return how many there were.

    Args:
        terminal: Says how.
        rows: Are held one at a time; for a table, a page at a time.
        columns: Of a table. The other forms have every field.
    """
    writers: dict[Format, Callable[[Iterator[Row]], Iterator[str]]] = {
        Format.JSON: _json,
        Format.YAML: _yaml,
        Format.CSV: _csv,
        Format.TABLE: lambda some: _table(terminal, some, columns),
    }
    number = 0

    def counting() -> Iterator[Row]:
        nonlocal number
        for row in rows:
            number += 1
            yield row

    for text in writers[terminal.form](counting()):
        terminal.out(text)
    return number


def write_one(terminal: Terminal, row: Row, lines: Iterable[str]) -> None:
    """Write one thing: ``lines`` where a person reads it."""
    match terminal.form:
        case Format.JSON:
            terminal.out(in_json(row, indent=2) + "\n")
        case Format.YAML:
            terminal.out("".join(_mapping(row, "")))
        case Format.CSV:
            for text in _csv(iter([row])):
                terminal.out(text)
        case Format.TABLE:
            terminal.out("".join(f"{shown(line, keep='\n')}\n" for line in lines))


_TURNING = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""What JSON leaves as it is, and no terminal should get; each has an escape of four digits."""


def in_json(value: object, indent: int | None = None) -> str:
    """Return a value in JSON, which is YAML's flow style too; on one line without ``indent``.

    YAML has no pairs of surrogates, as JSON's escapes have, and wants what cannot be printed
    escaped (YAML 1.2.2, 5.1 "Character Set" and 5.7 "Escaped Characters").
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return _TURNING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _json(rows: Iterator[Row]) -> Iterator[str]:
    lead = "["
    for row in rows:
        yield f"{lead}\n  {in_json(row)}"
        lead = ","
    yield "[]\n" if lead == "[" else "\n]\n"


def _yaml(rows: Iterator[Row]) -> Iterator[str]:
    """Yield a sequence of mappings; values below them are in YAML's flow style, which is JSON."""
    empty = True
    for row in rows:
        first, *rest = _mapping(row, "  ")
        yield f"- {first.lstrip()}{''.join(rest)}"
        empty = False
    if empty:
        yield "[]\n"


def _mapping(row: Row, indent: str) -> list[str]:
    return [f"{indent}{name}: {in_json(value)}\n" for name, value in row.items()]


def _csv(rows: Iterator[Row]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for number, row in enumerate(rows):
        if number == 0:
            writer.writerow(row)
        writer.writerow(_cell(value) for value in row.values())
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        # Spreadsheets take such a text for a formula.
        told = shown(value, keep="\t\n")
        return f"'{told}" if told[:1] in ("=", "+", "-", "@", "\t") else told
    return json.dumps(value)


# -- tables --------------------------------------------------------------------------------------


def _table(terminal: Terminal, rows: Iterator[Row], columns: Sequence[Column]) -> Iterator[str]:
    console = terminal.console
    room = console.width if terminal.is_interactive else None
    kept: dict[Column, int] = {}
    left_out: list[str] = []
    for page in itertools.batched(rows, _PAGE, strict=False):
        cells = {column: [_plain(column.show(row)) for row in page] for column in columns}
        if not kept:
            # A column that says nothing at all is no column.
            said = {c: texts for c, texts in cells.items() if any(texts) or not c.rank}
            kept = _fitted(said, room)
            left_out = [column.title for column in said if column not in kept]
            yield _line({column: column.title.upper() for column in kept}, kept, room)
        for number in range(len(page)):
            line = {column: cells[column][number] for column in kept}
            yield _line(line, kept, room, None if console.no_color else console.color_system)
    if left_out:
        terminal.say(f"(no room here for {', '.join(left_out)}; -o json has everything)")


def _fitted(cells: dict[Column, list[str]], room: int | None) -> dict[Column, int]:
    """Return which columns there is room for, and how wide each is."""
    widths = {
        column: max(cell_len(text) for text in [column.title, *texts])
        for column, texts in cells.items()
    }
    if room is None:
        return widths
    whole = dict(widths)
    widths = {c: min(w, _PROSE) if c.is_prose else w for c, w in widths.items()}
    by_rank = sorted((c for c in widths if c.rank), key=lambda c: c.rank, reverse=True)
    for column in by_rank:
        if _total(widths) <= room:
            break
        del widths[column]
    while _total(widths) > room and max(widths.values()) > _LEAST:
        widest = max(widths, key=lambda c: widths[c])
        widths[widest] -= min(_total(widths) - room, widths[widest] - _LEAST)
    for column in (c for c in reversed(widths) if c.is_prose):
        widths[column] += max(min(room - _total(widths), whole[column] - widths[column]), 0)
    return widths


def _total(widths: dict[Column, int]) -> int:
    return sum(widths.values()) + len(_GAP) * (len(widths) - 1)


def _line(
    cells: dict[Column, str],
    widths: dict[Column, int],
    room: int | None,
    colours: str | None = None,
) -> str:
    texts = []
    for column, text in cells.items():
        width = widths[column]
        is_long = room is not None and cell_len(text) > width
        cut = f"{set_cell_size(text, width - 1)}…" if is_long else text
        padding = " " * max(width - cell_len(cut), 0)
        style = _STYLES.get(text) if column.is_status and colours else None
        texts.append((f"\x1b[{style}m{cut}\x1b[0m" if style else cut) + padding)
    return _GAP.join(texts).rstrip() + "\n"


_GREEN, _YELLOW, _RED = "32", "33", "31"
_STYLES = {
    **dict.fromkeys(("current", "proven", "pass", "verified", "already", "completed"), _GREEN),
    **dict.fromkeys(("stale", "warn", "manual", "late", "paused", "needs_approval"), _YELLOW),
    **dict.fromkeys(("breaks", "fail", "failed", "stuck", "reverted", "not proven"), _RED),
    "unknown": _RED,
}
"""By the word; the terminal's own colours."""


_BREAKS = re.compile(r"[\t\n\r]+")


def _plain(text: str) -> str:
    """Return a text as one line."""
    return shown(_BREAKS.sub(" ", text))


# -- words ---------------------------------------------------------------------------------------


def short_version(url: str | None) -> str:
    """Return the first digits of a version's id; ``-``: there is none."""
    return url.rpartition("/")[2][:8] if url else "-"


_VERSION_URL = re.compile(r"https://[a-z0-9.-]+/keys/[a-z0-9-]+/([0-9a-f]{8})[0-9a-f]{24}")


def shortened(text: str) -> str:
    """Return a text in which versions of keys are short; as they came, they are in other forms."""
    return _VERSION_URL.sub(r"\1", text)


def short_key(url: str | None) -> str:
    """Return a key as ``VAULT/KEY``; ``-``: there is none."""
    if not url:
        return "-"
    host, _, name = url.removeprefix("https://").partition("/keys/")
    return f"{host.partition('.')[0]}/{name.partition('/')[0]}"


def counted(number: int, noun: str) -> str:
    """Return ``1 consumer`` or ``2,000 consumers``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
