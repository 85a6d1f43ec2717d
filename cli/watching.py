"""A rotation, watched until it ends: bars on a terminal, a line for each change elsewhere."""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cli.api import AppClient, Json, path_of
from cli.command import Session
from cli.console import Format, shown
from cli.exits import Exit
from cli.output import short_key, short_version
from shared.catalog import find_kind
from shared.domain.errors import PermanentError, TransientError
from shared.domain.verdicts import PROVEN, SETTLED, Verdict

_STYLES = {
    "completed": "green",
    "nothing_found": "green",
    "failed": "red",
    "paused": "yellow",
    "needs_approval": "yellow",
}
_BAR = 24
_LINES_BESIDE = 4
"""What is drawn beside the kinds: the head, all of them, what waits, and the line of the cursor."""
_MANY_LOST = 20
"""Looks after the first that may get no answer, one after the other."""

WELL = {"completed", "nothing_found"}

type _Standing = tuple[str, Counter[str], str]
"""Of a kind: its title, its consumers by verdict, and when the last of them ends."""


@dataclass(slots=True)
class Watch:
    """Asks the app again and again how a rotation stands. Nothing of the rotation depends on it.

    Attributes:
        every: Seconds between two looks.
        now: Returns the time of the app.
    """

    session: Session
    client: AppClient
    rotation: str
    every: float
    now: Callable[[], datetime]
    sleep: Callable[[float], None] = time.sleep
    _told: set[str] = field(default_factory=set)

    def run(self) -> Exit:
        """Watch until it has ended; return what to exit with.

        Raises:
            KeyturnError: The app refuses, or gives no answer any more.
            KeyboardInterrupt: Somebody has seen enough.
        """
        console = self.session.terminal.console
        is_table = self.session.terminal.form is Format.TABLE
        is_live = self.session.terminal.is_interactive and not self.session.terminal.quiet
        if not is_table:
            return self._until_ended(lambda view: self._tell(view, self.session.terminal.say))
        if not is_live:
            return self._until_ended(lambda view: self._tell(view, self._out))
        with Live(console=console, refresh_per_second=4, transient=False) as live:
            width, height = console.size
            return self._until_ended(
                lambda view: live.update(drawn(view, self.now(), width, height))
            )

    def _until_ended(self, show: Callable[[Json], None]) -> Exit:
        lost, seen = 0, False
        while True:
            try:
                view = self.client.get(path_of(self.rotation))
            except TransientError:
                lost += 1
                if not seen or lost == _MANY_LOST:
                    raise
                self.sleep(self.every)
                continue
            lost, seen = 0, True
            show(view)
            if "consumers" not in view and view["state"] in ("failed", "cancelled"):
                why = view["problem"] if view["state"] == "failed" else view["summary"]
                raise PermanentError(f"no rotation came of the request: {why}")
            if view.get("endedAt"):
                return self._ended(view)
            self.sleep(self.every)

    def _ended(self, view: Json) -> Exit:
        say, well = self.session.terminal.say, view["state"] in WELL
        say(f"{view['state']}: {view['summary']}".rstrip("."))
        if not well:
            say(f"See what needs somebody: keyturn status {view['id']}")
        return Exit.FINE if well else Exit.ATTENTION

    def _tell(self, view: Json, put: Callable[[str], None]) -> None:
        """Print what has changed, a line each."""
        for line in map(shown, _lines(view)):
            if line not in self._told:
                self._told.add(line)
                put(line)

    def _out(self, line: str) -> None:
        self.session.terminal.out(f"{line}\n")
        # What is piped somewhere is read there while it comes.
        self.session.terminal.flush()


def _lines(view: Json) -> Iterator[str]:
    places = Counter(consumer["resource"] for consumer in view.get("consumers", ()))
    for consumer in view.get("consumers", ()):
        if consumer["verdict"]:
            level = f" ({consumer['level']})" if consumer["level"] else ""
            is_fine = consumer["verdict"] in {*PROVEN, Verdict.NOT_APPLICABLE}
            why = "" if is_fine or not consumer["reason"] else f": {_one_line(consumer['reason'])}"
            is_one = places[consumer["resource"]] == 1
            place = "" if is_one else f" {consumer['place']}"
            yield f"{consumer['verdict']:<10} {consumer['name']}{place}{level}{why}"
    yield f"{view['state']}{_waiting(view)}"


def _waiting(view: Json) -> str:
    if view["state"] == "needs_approval" or view.get("needsApproval"):
        return f": somebody else runs keyturn approve {view['id']} --reason …"
    if view["state"] == "paused":
        why = _one_line(view["pausedBecause"] or "")
        return f": {why}: keyturn resume {view['id']} --reason …"
    return f": {_one_line(view['waitsFor'])}" if view.get("waitsFor") else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]


def _shown(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return a view whose texts may be drawn; see ``shown``."""
    match value:
        case str():
            return shown(value)
        case dict():
            return {name: _shown(each) for name, each in value.items()}
        case list():
            return [_shown(each) for each in value]
    return value


def drawn(view: Json, now: datetime, width: int, height: int = 0) -> Group:
    """Return how a rotation stands, as it is drawn: a bar for the whole, and for each kind.

    Args:
        view: What the app answers.
        now: Its time.
        width: Of the terminal, in columns.
        height: Of the terminal, in lines: where not all kinds fit, those that are done are one
            line. 0: there is room for all.
    """
    view = _shown(view)
    style = _STYLES.get(view["state"], "bold")
    if "consumers" not in view:
        return Group(Text.assemble((view["state"], style), f"  {view['summary']}"))
    counts = Counter({name: n for name, n in view["counts"].items() if n})
    done = counts.total() - counts["open"]
    head = Text.assemble(
        (view["state"], style),
        f"  {short_key(view['key'])} → {short_version(view['target'])}",
        (f"  {_spoken(_until(view, now) - _moment(view['openedAt']))}", "dim"),
    )
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=max(width // 3, _BAR))
    table.add_column(width=_BAR if width >= 3 * _BAR else _BAR // 2)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(overflow="fold")
    table.add_row("all", _bar(done, counts.total()), f"{done:,}/{counts.total():,}", _told(counts))
    kinds = list(by_kind(view, now))
    room = height - _LINES_BESIDE if height else len(kinds) + 1
    for title, of_kind, eta in _fitting(kinds, room):
        closed = of_kind.total() - of_kind["open"]
        number = f"{closed:,}/{of_kind.total():,}"
        table.add_row(title, _bar(closed, of_kind.total()), number, f"{_told(of_kind)}{eta}")
    parts: list[Text | Table] = [head, table]
    if view["consumersOmitted"]:
        said = f"(kinds: of the first {len(view['consumers']):,} consumers)"
        parts.append(Text(said, "dim"))
    if waiting := _waiting(view):
        parts.append(Text(waiting.removeprefix(": "), "yellow"))
    return Group(*parts)


def _fitting(kinds: list[_Standing], room: int) -> Iterator[_Standing]:
    """Yield how kinds stand, in so many lines: the open ones first to be seen.

    Those without a key are one line anyhow.
    """
    keyless = [each for each in kinds if set(+each[1]) == {Verdict.NOT_APPLICABLE.value}]
    kinds = [each for each in kinds if each not in keyless]
    if len(kinds) + bool(keyless) <= room:
        yield from kinds
        yield from _as_one(keyless, "kinds without a key")
        return
    open_ones = [each for each in kinds if each[1]["open"]]
    done = [each for each in kinds if not each[1]["open"]]
    shown = max(room - 2, 1)
    yield from open_ones[:shown]
    yield from _as_one(open_ones[shown:], "more kinds")
    yield from _as_one([*done, *keyless], "kinds, done")


def _as_one(kinds: list[_Standing], said: str) -> Iterator[_Standing]:
    if len(kinds) < 2:  # noqa: PLR2004 - one needs no summing up
        yield from kinds
        return
    yield f"{len(kinds)} {said}", sum((counts for _, counts, _ in kinds), Counter[str]()), ""


def by_kind(view: Json, now: datetime) -> Iterator[_Standing]:
    """Yield for each kind of resource its title, its consumers by verdict, and its last end."""
    kinds = sorted({(c["kindTitle"], c["kind"]) for c in view["consumers"]})
    for title, kind in kinds:
        mine = [consumer for consumer in view["consumers"] if consumer["kind"] == kind]
        counts = Counter(consumer["verdict"] or "open" for consumer in mine)
        yield title, counts, _eta(view, kind, [c for c in mine if not c["verdict"]], now)


def _eta(view: Json, kind_id: str, waiting: list[Json], now: datetime) -> str:
    """Return until when the last of some consumers has to show the version; empty: not known.

    A window runs from the accepted write, or from the version's creation where it names none.
    """
    kind = find_kind(kind_id)
    ends: list[tuple[datetime, bool]] = []
    for consumer in waiting if kind else ():
        assert kind is not None  # noqa: S101 - the line above
        follows = consumer["form"] == "versionless" and not consumer["acceptedAt"]
        window = kind.versionless if follows else kind.pinned
        start = view["targetCreated"] if follows else consumer["acceptedAt"]
        if window and start:
            ends.append((_moment(start) + window.length, bool(window.source)))
    if not ends:
        return ""
    last, is_documented = max(ends)
    assumed = "" if is_documented else " (assumed)"
    left = _spoken(last - now) if last > now else "a moment"
    day = "" if last.date() == now.date() else f"{last:%b %-d} "
    return f"; at the latest in {left}, {day}{last:%H:%M} UTC{assumed}"


def _told(counts: Counter[str]) -> str:
    order = [*(each.value for each in Verdict), "open"]
    found = sorted(counts, key=lambda name: order.index(name) if name in order else len(order))
    return ", ".join(f"{counts[name]:,} {name}" for name in found if counts[name])


def _bar(done: int, total: int) -> ProgressBar:
    return ProgressBar(total=max(total, 1), completed=done, width=None)


def _until(view: Json, now: datetime) -> datetime:
    return _moment(view["endedAt"]) if view["endedAt"] else now


def _moment(text: str) -> datetime:
    # Python reads no more than six digits of a second.
    found = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _spoken(duration: timedelta) -> str:
    seconds = max(int(duration.total_seconds()), 0)
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {seconds % 60:02} s" if minutes else f"{seconds} s"


def needs_somebody(view: Json) -> list[Json]:
    """Return the consumers of a report that are closed and not settled, by a read or by hand."""
    settled = {verdict.value for verdict in SETTLED}
    closed = [c for c in view["consumers"] if c["verdict"] and c["verdict"] not in settled]
    return [c for c in closed if not c.get("settled")]
