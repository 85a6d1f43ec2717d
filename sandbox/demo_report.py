"""How the demo shows the end of a rotation: its report, and what the sandbox itself knows."""

import re
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from sandbox.demo_judge import Judge, name_of
from sandbox.demo_kinds import Service
from sandbox.demo_members import Member
from sandbox.demo_view import PROVEN, STYLES, Report, by_family

_MEANINGS = {
    "late": "proven, but only after its window had closed",
    "stuck": "its window closed without a proof",
    "failed": "it could not be moved",
    "unknown": "it could not be read",
    "manual": "a person must act",
}
_SEVERITIES = {"blocker": "red", "warning": "yellow", "note": "dim"}
_BY_HAND = "Keyturn does not change it: "
_VERSION = re.compile(r"https://[^/\s]+/keys/([^/\s]+)/([0-9a-f]{8})[0-9a-f]{24}")
_RESOURCE = re.compile(r"/subscriptions/[^/\s]+/resourceGroups/[^/\s]+/providers(?:/[^/\s]+)+/")


def print_reports(console: Console, reports: Mapping[str, Report]) -> None:
    """Print what rotations say of themselves, and what a person must do.

    Versions and resources are named shortly; the reports themselves have their URLs and ids.

    Args:
        console: Where to.
        reports: By the name of the key.
    """
    for key, report in reports.items():
        _print_report(console, key, report)
    print_not_applicable(console, reports)
    console.print()
    _print(console, 0, "A rotation re-wraps data-encryption keys; data is not re-encrypted.")
    console.print()


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
    for alike in _alike(report):
        _print_alike(console, report, alike)
    _print_by_hand(console, report)


def _alike(report: Report) -> list[list[Report]]:
    """Return the consumers that are not proven in time, those alike together.

    Of those that are late nothing is said but that: there is nothing to do.
    """
    alike: dict[tuple[str, str, str], list[Report]] = {}
    for _, consumers in by_family(report["consumers"]):
        for consumer in consumers:
            verdict = consumer["verdict"]
            if verdict in {"verified", "already", "not_applicable"} or _is_by_hand(consumer):
                continue
            seen = "" if verdict in PROVEN else consumer["reason"]
            said = (verdict, seen, consumer["advice"])
            alike.setdefault(said, []).append(consumer)
    return sorted(alike.values(), key=lambda some: list(STYLES).index(some[0]["verdict"]))


def _is_by_hand(consumer: Report) -> bool:
    return _BY_HAND in (consumer["reason"] or "")


def _print_alike(console: Console, report: Report, alike: list[Report]) -> None:
    consumer = alike[0]
    verdict = consumer["verdict"]
    style = STYLES.get(verdict or "", "dim")
    names = ", ".join(f"[bold]{c['name']}[/] [dim]({c['kindTitle']})[/]" for c in alike)
    _print(console, 2, f"[{style}]{verdict}[/] ({_MEANINGS.get(verdict, 'see below')}): {names}")
    if verdict in PROVEN:
        return
    _print(console, 4, f"seen: {_short(consumer['reason'])}", markup=False)
    first, *more = (consumer["advice"] or "nothing").splitlines()
    _print(console, 4, f"to do: {_short(first)}", markup=False)
    if more:
        where = f"GET /api/rotations/{report['id']}"
        _print(console, 4, f"[dim]… and {len(more)} more lines, in the answer of {where}[/]")


def _print_by_hand(console: Console, report: Report) -> None:
    """Print what is of a kind that Keyturn reads and reports, and never writes to."""
    found = [
        consumer
        for _, consumers in by_family(report["consumers"])
        for consumer in consumers
        if _is_by_hand(consumer)
    ]
    if not found:
        return
    console.print()
    said = "of kinds that Keyturn finds and never writes to. Why, and the first of the steps:"
    _print(console, 2, f"[yellow]reported only[/]: {len(found)} resources {said}")
    for consumer in found:
        _print(console, 4, f"[bold]{consumer['name']}[/] [dim]({consumer['kindTitle']})[/]")
        _, _, why = consumer["reason"].partition(_BY_HAND)
        _print(console, 6, f"why: {_short(why)}", markup=False)
        first = consumer["advice"].splitlines()[0].removeprefix("# ")
        _print(console, 6, f"next: {_short(first)}", markup=False)


def print_not_applicable(console: Console, reports: Mapping[str, Report]) -> None:
    """Print in one line what is told of so that nobody wonders."""
    names: dict[str, None] = {}
    for report in reports.values():
        for _, consumers in by_family(report["consumers"]):
            names |= {c["name"]: None for c in consumers if c["verdict"] == "not_applicable"}
    console.print()
    if names:
        why = "(no key of their own that Azure Resource Manager shows)"
        _print(console, 0, f"[dim]not applicable[/] {why}: {', '.join(names)}")


def _short(text: str) -> str:
    """Return a text with versions as ``key/12345678``, and resources as ``…/name``."""
    return _RESOURCE.sub("…/", _VERSION.sub(r"\1/\2", text))


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
    """Print, for each service, how many have moved, and what was done so that others have not."""
    writes, reads = judge.calls()
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column()
    for service in Service:
        members = [each for each in judge.members if each.family.service is service]
        holding = [each for each in members if not each.fate.is_keyless]
        moved = sum(map(judge.uses_target, holding))
        table.add_row(
            f"  {service}",
            f"{moved} of {len(holding)}",
            f"[dim]{'; '.join(_told(judge, members))}[/]",
        )
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
    )
    console.print()


def print_verdict(console: Console, problems: Sequence[str]) -> None:
    """Print whether all was as the scenario says, else what was not."""
    for problem in problems:
        console.print(f"[red]✗ {problem}[/]")
    if not problems:
        console.print("[green]✓ Everything happened as the scenario says it must.[/]")


def _told(judge: Judge, members: list[Member]) -> Iterator[str]:
    if again := sum(map(judge.made_again, members)):
        yield f"{again} were deleted and made again"
    if by_hand := sum(each.fate.is_reported_only for each in members):
        yield f"{by_hand} {'is' if by_hand == 1 else 'are'} left to a person"
    for each in members:
        is_told = not each.fate.is_reported_only and "not_applicable" not in each.fate.verdicts
        if is_told and not _in_time(each):
            yield f"{name_of(each.id)} {each.made_to}"


def _in_time(member: Member) -> bool:
    return member.fate.moves and "late" not in member.fate.verdicts


def _print(console: Console, indent: int, text: str, *, markup: bool = True) -> None:
    shown = console.render_str(text, markup=markup, highlight=False)
    console.print(Padding(shown, (0, 0, 0, indent), expand=False))
