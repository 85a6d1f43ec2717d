"""How the demo shows the end of a rotation: its report, and what the sandbox itself knows."""

from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from sandbox.demo_judge import Judge, name_of
from sandbox.demo_members import Family, Member
from sandbox.demo_view import STYLES, Report, by_family

_MEANINGS = {
    "late": "proven, but only after its window had closed",
    "stuck": "its window closed without a proof",
    "failed": "it could not be moved",
    "unknown": "it could not be read",
    "manual": "a person must act",
}
_SEVERITIES = {"blocker": "red", "warning": "yellow", "note": "dim"}


def print_reports(console: Console, reports: Mapping[str, Report]) -> None:
    """Print what rotations say of themselves, and what a person must do.

    Args:
        console: Where to.
        reports: By the name of the key.
    """
    for key, report in reports.items():
        _print_report(console, key, report)
    console.print()
    _print(console, 0, "A rotation re-wraps data-encryption keys; data is not re-encrypted.", end=1)


def print_outcome(console: Console, key: str, report: Report) -> None:
    """Print how a rotation ended."""
    colour = "red" if report["state"] == "failed" else "green"
    console.print(f"\n[bold]Report[/] on {key}, rotation {report['id']}")
    _print(console, 2, f"[{colour}]{report['state']}[/]: {report['summary']}")


def _print_report(console: Console, key: str, report: Report) -> None:
    print_outcome(console, key, report)
    for finding in report["preflight"] or ():
        style = _SEVERITIES[finding["severity"]]
        _print(console, 2, f"[{style}]foreseen, {finding['severity']}: {finding['text']}[/]")
    for note, names in _gathered(report, "note"):
        _print(console, 2, f"[bold]note[/] on {', '.join(names)}:")
        _print(console, 4, note)
    for said, names in _gathered(report, "health"):
        _print(console, 2, f"[bold]blobs tried[/] in {_counted(names)}: {said}")
    console.print()
    for alike in _unproven(report):
        _print_unproven(console, report, alike)


def _unproven(report: Report) -> list[list[Report]]:
    """Return the consumers that are not proven in time, those alike together."""
    alike: dict[tuple[str, str, str], list[Report]] = {}
    for _, consumers in by_family(report["consumers"]):
        for consumer in consumers:
            if consumer["verdict"] not in {"verified", "already"}:
                said = (consumer["verdict"], consumer["reason"], consumer["advice"])
                alike.setdefault(said, []).append(consumer)
    return list(alike.values())


def _print_unproven(console: Console, report: Report, alike: list[Report]) -> None:
    consumer = alike[0]
    style = STYLES.get(consumer["verdict"] or "", "dim")
    names = ", ".join(f"[bold]{c['name']}[/] [dim]({c['kindTitle']})[/]" for c in alike)
    verdict = consumer["verdict"]
    _print(console, 2, f"[{style}]{verdict}[/] ({_MEANINGS.get(verdict, 'see below')}): {names}")
    _print(console, 4, f"seen: {consumer['reason']}", markup=False)
    first, *more = (consumer["advice"] or "nothing").splitlines()
    _print(console, 4, f"to do: {first}", markup=False)
    if more:
        where = f"GET /api/rotations/{report['id']}"
        _print(console, 4, f"[dim]… and {len(more)} more lines, in the answer of {where}[/]")


def _gathered(report: Report, field: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each text that consumers have in a field, and the names of those that have it."""
    names: dict[str, list[str]] = {}
    for consumer in report["consumers"]:
        if consumer[field]:
            names.setdefault(consumer[field], []).append(consumer["name"])
    yield from names.items()


def _counted(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} storage accounts"


def print_truth(console: Console, judge: Judge) -> None:
    """Print, for each kind, how many have moved, and what was done so that others have not."""
    writes, reads = judge.calls()
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column()
    for family in Family:
        members = [each for each in judge.members if each.family is family]
        moved = sum(map(judge.uses_target, members))
        made_to = [f"{name_of(each.id)} {each.made_to}" for each in members if not _in_time(each)]
        if again := sum(map(judge.made_again, members)):
            made_to.insert(0, f"{again} were deleted and made again")
        table.add_row(f"  {family}", f"{moved} of {len(members)}", f"[dim]{'; '.join(made_to)}[/]")
    console.print(
        "[bold]Ground truth[/]: what the sandbox itself knows. It unwraps each resource's data key"
        " to see which version wrapped it, and compares each file byte by byte. The new version of"
        " its key is used by:"
    )
    console.print(table)
    others, changed = judge.left_alone()
    _print(
        console,
        2,
        f"Of the {others} resources and files on other keys, {changed} were changed."
        f" Resource Manager got {writes} writes and {reads} reads in all.",
        end=1,
    )


def _in_time(member: Member) -> bool:
    return member.fate.moves and "late" not in member.fate.verdicts


def _print(console: Console, indent: int, text: str, *, markup: bool = True, end: int = 0) -> None:
    shown = console.render_str(text, markup=markup, highlight=False)
    console.print(Padding(shown, (0, 0, end, indent)))
