"""How the demo shows a rotation: live on a terminal, a line for each change elsewhere."""

from datetime import datetime
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from sandbox.clock import SandboxClock

type Report = dict[str, Any]
"""What ``GET /api/rotations/{id}`` answers."""

_STYLES = {
    "verified": "green",
    "already": "green",
    "late": "yellow",
    "stuck": "red",
    "failed": "red",
    "unknown": "red",
    "manual": "yellow",
}


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
        """Leave the last picture standing."""
        if self._console.is_terminal:
            self._live.stop()

    def show(self, report: Report) -> None:
        """Show how the rotation stands."""
        if self._console.is_terminal:
            self._draw(report)
        else:
            self._tell(report)

    def _draw(self, report: Report) -> None:
        consumers = report["consumers"]
        closed = sum(c["verdict"] is not None for c in consumers)
        self._progress.update(
            self._task,
            description=report["state"],
            completed=closed,
            total=len(consumers) or None,
            elapsed=_spoken((self._clock.now() - _moment(report["openedAt"])).total_seconds()),
        )
        self._live.update(Group(self._progress, consumers_table(report, self._clock.now())))

    def _tell(self, report: Report) -> None:
        for consumer in report["consumers"]:
            name = consumer["name"]
            if consumer["verdict"] and name not in self._told:
                self._told.add(name)
                after = _spoken(_seconds(consumer, self._clock.now()))
                self._console.print(
                    f"  {name:<20} {_versions(consumer)}  {consumer['level'] or '-':<9}"
                    f" {consumer['verdict']:<9} {after}"
                )


def consumers_table(report: Report, now: datetime) -> Table:
    """Return a line for each consumer: version before → in use, proof, verdict, time."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("storage account", "refers by", "version in use", "proof", "verdict", "after"):
        table.add_column(column, no_wrap=True, justify="right" if column == "after" else "left")
    for consumer in report["consumers"]:
        verdict = consumer["verdict"]
        waiting = "accepted" if consumer["acceptedAt"] else "found"
        if not consumer["acceptedAt"] and consumer["form"] == "versionless":
            waiting = "following"
        style = _STYLES.get(verdict or "", "dim")
        table.add_row(
            consumer["name"],
            consumer["form"],
            _versions(consumer),
            consumer["level"] or "-",
            f"[{style}]{verdict or waiting + ' …'}[/]",
            _spoken(_seconds(consumer, now)),
        )
    return table


def print_report(console: Console, report: Report) -> None:
    """Print the end of a rotation: what it says of itself, and what a person must do."""
    colour = "red" if report["state"] == "failed" else "green"
    console.print(f"\n[bold]Report[/] of rotation {report['id']}")
    console.print(f"  [{colour}]{report['state']}[/]: {report['summary']}")
    for consumer in report["consumers"]:
        if consumer["verdict"] in {"verified", "already"}:
            continue
        style = _STYLES.get(consumer["verdict"] or "", "dim")
        console.print(f"  [{style}]{consumer['verdict']}[/] {consumer['name']}")
        for line in (f"seen: {consumer['reason']}", f"to do: {consumer['advice']}"):
            console.print(Padding(line, (0, 0, 0, 4)))
    console.print("  A rotation re-wraps data-encryption keys; data is not re-encrypted.\n")


def _versions(consumer: Report) -> str:
    before, now = consumer["inUseBefore"], consumer["inUse"]
    if before == now:
        return f"{_short(now):<19}"
    return f"{_short(before)} → {_short(now)}"


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
