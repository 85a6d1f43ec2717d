"""How the demo shows rotations: a line for each consumer."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from typing import Any

from rich.table import Table

from sandbox.demo_members import Family

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
FAMILIES = {
    "storage_account": Family.ACCOUNTS,
    "storage_encryption_scope": Family.SCOPES,
    "cosmosdb_account": Family.COSMOS,
    "container_group": Family.GROUPS,
    "deployment_config": Family.FILES,
}
"""By the report's ``kind``, in the order in which they are shown."""

WIDE = 100
"""From so many columns on, there is room for all that is known."""
_NARROW_COLUMNS = ("", "key version", "verdict", "took")
_WIDE_COLUMNS = ("", "refers by", "key version", "proof", "verdict", "took")


def consumers_table(reports: Mapping[str, Report], now: datetime, *, wide: bool) -> Table:
    """Return a line for each consumer: version before → now, proof, verdict, time.

    The time is that from the write, or from being found, to the verdict.

    Args:
        reports: How the rotations stand, by the names of their keys.
        now: The sandbox's time.
        wide: Whether there is room for all of it.
    """
    columns = _WIDE_COLUMNS if wide else _NARROW_COLUMNS
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, no_wrap=True, justify="right" if column == "took" else "left")
    for key, report, family, consumers in _families(reports):
        table.add_row(f"[bold]{family}[/] [dim]on {key}[/]")
        for consumer in consumers:
            cells = {
                "": f"  {consumer['name']}",
                "refers by": consumer["form"] or "-",
                "key version": _versions(consumer, report["target"]),
                "proof": consumer["level"] or "-",
                "verdict": _verdict(consumer),
                "took": _spoken(_seconds(consumer, now)),
            }
            table.add_row(*(cells[column] for column in columns))
    return table


def counts_table(reports: Mapping[str, Report]) -> Table:
    """Return a line for each kind: how many of which verdict. For terminals of few lines."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for key, _, family, consumers in _families(reports):
        counts = Counter(consumer["verdict"] for consumer in consumers)
        said = [
            f"[{STYLES.get(verdict or '', 'dim')}]{count} {verdict or 'open'}[/]"
            for verdict, count in sorted(counts.items(), key=lambda each: each[0] or "~")
        ]
        table.add_row(f"[bold]{family}[/] [dim]on {key}[/]", ", ".join(said))
    return table


def _families(
    reports: Mapping[str, Report],
) -> Iterator[tuple[str, Report, Family, list[Report]]]:
    for key, report in reports.items():
        for family, consumers in by_family(report["consumers"]):
            yield key, report, family, consumers


def by_family(consumers: Iterable[Report]) -> Iterator[tuple[Family, list[Report]]]:
    """Return the consumers of each kind, with what people call it."""
    order = list(FAMILIES)
    ordered = sorted(consumers, key=lambda c: order.index(c["kind"]))
    for kind, some in groupby(ordered, key=lambda c: c["kind"]):
        yield FAMILIES[kind], list(some)


def _verdict(consumer: Report) -> str:
    if verdict := consumer["verdict"]:
        return f"[{STYLES.get(verdict, 'dim')}]{verdict}[/]"
    if consumer["owed"]:
        return "[dim]made again …[/]"
    if consumer["acceptedAt"]:
        return "[dim]accepted …[/]"
    return f"[dim]{'following' if consumer['form'] == 'versionless' else 'found'} …[/]"


def _versions(consumer: Report, target: str) -> str:
    """Return which version it used and uses; where it does not say, which one it names."""
    before, now = consumer["inUseBefore"], consumer["inUse"]
    if consumer["level"] == "configured":
        before, now = consumer["before"], target
    elif not before and not now:
        before = now = consumer["before"] if consumer["form"] == "pinned" else None
        if consumer["acceptedAt"]:
            return f"{_short(before)} → ?"
    return _short(before) if before == now else f"{_short(before)} → {_short(now)}"


def _short(kid: str | None) -> str:
    return kid.rpartition("/")[2][:8] if kid else "-"


def _seconds(consumer: Report, now: datetime) -> float:
    start = _moment(consumer["acceptedAt"] or consumer["foundAt"])
    end = _moment(consumer["closedAt"]) if consumer["closedAt"] else now
    return (end - start).total_seconds()


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _spoken(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
