"""How the demo shows a rotation: live on a terminal, a line for each change elsewhere."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from sandbox.clock import SandboxClock
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

_WIDE = 100
"""From so many columns on, there is room for all that is known."""
_NARROW_COLUMNS = ("", "key version", "verdict", "took")
_LINE = "  {:<28}  {:<12}  {:<19}  {:<10}  {:<8}  {}"
_LINE_COLUMNS = ("as their verdicts come", "key", "version", "proof", "verdict", "took")
_WIDE_COLUMNS = ("", "refers by", "key version", "proof", "verdict", "took")


class LiveView:
    """A bar for each rotation and a line for each consumer. A context manager.

    Args:
        console: Where it is shown.
        clock: The sandbox's.
        expected: How many consumers the rotation of each key will find, by the key's name.
    """

    def __init__(self, console: Console, clock: SandboxClock, expected: Mapping[str, int]) -> None:
        self._console = console
        self._clock = clock
        self._progress = Progress(
            TextColumn("[bold]{task.description}[/] {task.fields[state]}"),
            BarColumn(None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[elapsed]}"),
            console=console,
            expand=True,
        )
        self._tasks = {
            key: self._progress.add_task(key, total=count, state="not begun", elapsed="")
            for key, count in expected.items()
        }
        self._live = Live(self._progress, console=console, refresh_per_second=8)
        self._told: set[tuple[str, str]] = set()
        self._last: Mapping[str, Report] = {}

    def __enter__(self) -> Self:
        """Begin to show."""
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the last picture standing, whole."""
        if self._console.is_terminal:
            if self._last:
                self._live.update(Group(self._progress, self._consumers(self._last)))
            self._live.stop()

    def show(self, reports: Mapping[str, Report]) -> None:
        """Show how the rotations stand that have begun, by the names of their keys."""
        if self._console.is_terminal:
            self._draw(reports)
        else:
            for key, report in reports.items():
                self._tell(key, report)

    def _draw(self, reports: Mapping[str, Report]) -> None:
        self._last = dict(reports)
        for key, report in reports.items():
            consumers = report["consumers"]
            end = _moment(report["endedAt"]) if report["endedAt"] else self._clock.now()
            self._progress.update(
                self._tasks[key],
                state=report["state"],
                completed=sum(c["verdict"] is not None for c in consumers),
                total=len(consumers) or None,
                elapsed=_spoken((end - _moment(report["openedAt"])).total_seconds()),
            )
        table = self._consumers(reports)
        is_high = self._console.height >= table.row_count + len(self._tasks) + 1
        self._live.update(Group(self._progress, table if is_high else counts_table(reports)))

    def _consumers(self, reports: Mapping[str, Report]) -> Table:
        return consumers_table(reports, self._clock.now(), wide=self._console.width >= _WIDE)

    def _tell(self, key: str, report: Report) -> None:
        for consumer in report["consumers"]:
            told = (key, consumer["resource"])
            if consumer["verdict"] and told not in self._told:
                if not self._told:
                    self._console.print(_LINE.format(*_LINE_COLUMNS), style="dim")
                self._told.add(told)
                after = _spoken(_seconds(consumer, self._clock.now()))
                versions = _versions(consumer, report["target"])
                proof, verdict = consumer["level"] or "-", consumer["verdict"]
                self._console.print(
                    _LINE.format(consumer["name"], key, versions, proof, verdict, after)
                )


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
