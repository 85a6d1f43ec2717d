"""How the demo shows a rotation: live on a terminal, a line for each change elsewhere."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from sandbox.clock import SandboxClock
from sandbox.demo_estate import Family

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
_NARROW_COLUMNS = ("", "key version", "verdict", "after")
_WIDE_COLUMNS = ("", "refers by", "key version", "proof", "verdict", "after")


class LiveView:
    """A bar for the whole and a line for each consumer. A context manager."""

    def __init__(self, console: Console, clock: SandboxClock, expected: int) -> None:
        self._console = console
        self._clock = clock
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[elapsed]}"),
            console=console,
            expand=True,
        )
        self._task = self._progress.add_task("waiting for the event", total=expected, elapsed="")
        self._live = Live(self._progress, console=console, refresh_per_second=8)
        self._told: set[str] = set()
        self._last: Report | None = None

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

    def show(self, report: Report) -> None:
        """Show how the rotation stands."""
        if self._console.is_terminal:
            self._draw(report)
        else:
            self._tell(report)

    def _draw(self, report: Report) -> None:
        self._last, consumers = report, report["consumers"]
        self._progress.update(
            self._task,
            description=report["state"],
            completed=sum(c["verdict"] is not None for c in consumers),
            total=len(consumers) or None,
            elapsed=_spoken((self._clock.now() - _moment(report["openedAt"])).total_seconds()),
        )
        lines = len(consumers) + len(FAMILIES) + 3
        is_high = self._console.height >= lines
        shown = self._consumers(report) if is_high else counts_table(report)
        self._live.update(Group(self._progress, shown))

    def _consumers(self, report: Report) -> Table:
        return consumers_table(report, self._clock.now(), wide=self._console.width >= _WIDE)

    def _tell(self, report: Report) -> None:
        for consumer in report["consumers"]:
            if consumer["verdict"] and consumer["resource"] not in self._told:
                self._told.add(consumer["resource"])
                after = _spoken(_seconds(consumer, self._clock.now()))
                versions = _versions(consumer, report["target"])
                self._console.print(
                    f"  {consumer['name']:<31} {versions:<19} "
                    f" {consumer['level'] or '-':<10} {consumer['verdict']:<9} {after}"
                )


def consumers_table(report: Report, now: datetime, *, wide: bool) -> Table:
    """Return a line for each consumer: version before → now, proof, verdict, time.

    Args:
        report: How the rotation stands.
        now: The sandbox's time.
        wide: Whether there is room for all of it.
    """
    columns = _WIDE_COLUMNS if wide else _NARROW_COLUMNS
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, no_wrap=True, justify="right" if column == "after" else "left")
    for family, consumers in by_family(report["consumers"]):
        table.add_row(f"[bold]{family}[/]")
        for consumer in consumers:
            cells = {
                "": f"  {consumer['name']}",
                "refers by": consumer["form"] or "-",
                "key version": _versions(consumer, report["target"]),
                "proof": consumer["level"] or "-",
                "verdict": _verdict(consumer),
                "after": _spoken(_seconds(consumer, now)),
            }
            table.add_row(*(cells[column] for column in columns))
    return table


def counts_table(report: Report) -> Table:
    """Return a line for each kind: how many of which verdict. For terminals of few lines."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for family, consumers in by_family(report["consumers"]):
        counts = Counter(consumer["verdict"] for consumer in consumers)
        said = [
            f"[{STYLES.get(verdict or '', 'dim')}]{count} {verdict or 'open'}[/]"
            for verdict, count in sorted(counts.items(), key=lambda each: each[0] or "~")
        ]
        table.add_row(f"[bold]{family}[/]", ", ".join(said))
    return table


def by_family(consumers: Iterable[Report]) -> Iterator[tuple[str, list[Report]]]:
    """Return the consumers of each kind, with what people call it."""
    order = list(FAMILIES)
    ordered = sorted(consumers, key=lambda c: order.index(c["kind"]))
    for kind, some in groupby(ordered, key=lambda c: c["kind"]):
        yield FAMILIES[kind], list(some)


def _verdict(consumer: Report) -> str:
    if verdict := consumer["verdict"]:
        return f"[{STYLES.get(verdict, 'dim')}]{verdict}[/]"
    if consumer["owed"]:
        return "[dim]deleted …[/]"
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
