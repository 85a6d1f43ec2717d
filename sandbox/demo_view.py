"""How the demo shows rotations: by services and kinds, with how many of which verdict."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from typing import Any

from rich.table import Table

from sandbox.demo_kinds import FAMILIES, Family

type Report = dict[str, Any]
"""What ``GET /api/rotations/{id}`` answers."""

STYLES = {
    "verified": "green",
    "already": "green",
    "late": "yellow",
    "stuck": "red",
    "failed": "red",
    "unknown": "red",
    "manual": "yellow",
}
PROVEN = {"verified", "already", "late"}
_ORDER = (*STYLES, "not_applicable")

WIDE = 106
"""From so many columns on, there is room for all that is known."""
_NARROW_COLUMNS = ("", "what became of them")
_WIDE_COLUMNS = ("", "what became of them", "proof", "the last took")


def services_table(reports: Mapping[str, Report], now: datetime, *, wide: bool) -> Table:
    """Return, for each key and service, a line for each kind: how many of which verdict.

    What holds no key is left out: see ``not_applicable``.

    Args:
        reports: How the rotations stand, by the names of their keys.
        now: The sandbox's time.
        wide: Whether there is room for all of it.
    """
    columns = _WIDE_COLUMNS if wide else _NARROW_COLUMNS
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        is_last = column == columns[-1] and wide
        table.add_column(column, no_wrap=not column, justify="right" if is_last else "left")
    for key, report in reports.items():
        holding = [each for each in report["consumers"] if each["verdict"] != "not_applicable"]
        table.add_row(f"[bold underline]on {key}[/]", f"[bold]{_proven(holding)}[/]")
        for service, families in groupby(by_family(holding), key=lambda each: each[0].service):
            kinds = list(families)
            of_service = [consumer for _, consumers in kinds for consumer in consumers]
            table.add_row(f"[bold]{service}[/]", f"[dim]{_proven(of_service)}[/]")
            for family, consumers in kinds:
                cells = {
                    "": f"  {family.title}",
                    "what became of them": _counted(consumers),
                    "proof": ", ".join(sorted({c["level"] for c in consumers if c["level"]})),
                    "the last took": _spoken(max(_seconds(each, now) for each in consumers)),
                }
                table.add_row(*(cells[column] for column in columns))
    return table


def by_family(consumers: Iterable[Report]) -> Iterator[tuple[Family, list[Report]]]:
    """Return the consumers of each kind, with what people call it."""
    order = list(Family)
    ordered = sorted(consumers, key=lambda c: order.index(FAMILIES[c["kind"]]))
    for family, some in groupby(ordered, key=lambda c: FAMILIES[c["kind"]]):
        yield family, list(some)


def _proven(consumers: list[Report]) -> str:
    proven = sum(consumer["verdict"] in PROVEN for consumer in consumers)
    return f"{proven} of {len(consumers)} proven"


def _counted(consumers: list[Report]) -> str:
    counts = Counter(consumer["verdict"] or "open" for consumer in consumers)
    known = [verdict for verdict in _ORDER if counts[verdict]]
    return ", ".join(
        f"[{STYLES.get(verdict, 'dim')}]{counts[verdict]} {verdict}[/]"
        for verdict in (*known, *sorted(set(counts) - set(known)))
    )


def _seconds(consumer: Report, now: datetime) -> float:
    start = _moment(consumer["acceptedAt"] or consumer["foundAt"])
    end = _moment(consumer["closedAt"]) if consumer["closedAt"] else now
    return (end - start).total_seconds()


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _spoken(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
