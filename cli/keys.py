"""``keyturn versions``, ``plan`` and ``verify``: one key, read from its vault and its consumers."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import replace

from cli.arguments import (
    GroupOption,
    KeyArgument,
    SourceOption,
    SubscriptionOption,
    key_of,
    sources_of,
    subscriptions_of,
)
from cli.command import Session
from cli.estate import Searched
from cli.exits import Exit
from cli.output import Column, Row, builtins, counted, short_version, shortened, write_rows
from shared.domain.key_views import PlanView
from shared.domain.keys import Key
from shared.usecases.plan_key import Place
from shared.wiring.laptop import Laptop

PolicyOption = Annotated[
    str,
    typer.Option(
        "--policy",
        metavar="FILE",
        help="The policy that holds; if there is none, the defaults do.",
        show_default=False,
    ),
]

_VERSIONS = (
    Column("version", lambda row: row["version"].rpartition("/")[2]),
    Column("created", lambda row: moment(row["created"])),
    Column("expires", lambda row: moment(row["expires"]) or "never", rank=2),
    Column("not before", lambda row: moment(row["notBefore"]), rank=3),
    Column("current", lambda row: "current" if row["current"] else "", rank=1),
    Column("usable", lambda row: row["problem"] or "yes"),
)
_PROOF = {True: "proven", False: "not proven", None: "not applicable"}
_PROVEN = (
    Column("consumer", lambda row: row["name"]),
    Column("kind", lambda row: row["kindTitle"], rank=3, is_prose=True),
    Column("location", lambda row: row["location"], rank=4),
    Column("proven", lambda row: _PROOF[row["proven"]], is_status=True),
    Column("level", lambda row: row["level"] or "-", rank=1),
    Column("seen", lambda row: shortened(row["seen"]), rank=2, is_prose=True),
)
PLANNED = (
    Column("consumer", lambda row: row["name"]),
    Column("kind", lambda row: row["kindTitle"], rank=3, is_prose=True),
    Column("location", lambda row: row["location"], rank=5),
    Column(
        "names", lambda row: ", ".join(short_reference(each) for each in row["references"]), rank=4
    ),
    Column("in use", lambda row: short_version(row["inUse"]), rank=2),
    Column("action", lambda row: row["action"], is_status=True),
    Column(
        "because", lambda row: shortened(row["reason"] or row["note"] or ""), rank=1, is_prose=True
    ),
)
_FOR_PEOPLE = {"manual", "unknown", "outrun"}
"""What a rotation would not do by itself."""


def moment(text: str | None) -> str:
    """Return a time as it stands in tables; empty: there is none."""
    return text[:16].replace("T", " ") if text else ""


def short_reference(url: str) -> str:
    """Return the version that a reference names; ``any``: it names none."""
    is_version = url.count("/") == 5  # noqa: PLR2004 - https://HOST/keys/NAME/VERSION
    return short_version(url) if is_version else "any"


def versions(session: Session, *, key: KeyArgument) -> None:
    """List the versions of a key, the newest first, and which of them can be used.

    Ends with 3 if the current version, which consumers that name none follow, cannot be used.
    """
    view = session.laptop().show_keys.one(key_of(key, session.cloud))
    rows = [
        {name: value for name, value in builtins(each).items() if name != "consumers"}
        for each in view.versions
    ]
    write_rows(session.terminal, iter(rows), _VERSIONS)
    expires = f", expires {view.expires:%Y-%m-%d}" if view.expires else ", never expires"
    session.terminal.say(
        f"{counted(len(rows), 'version')}; the newest is {view.age_days} days old{expires}."
    )
    if any(each.current and each.problem for each in view.versions):
        session.terminal.say("Consumers that name no version follow the current one all the same.")
        raise typer.Exit(Exit.ATTENTION)


def verify(
    session: Session,
    *,
    key: KeyArgument,
    subscription: SubscriptionOption = None,
    management_group: GroupOption = "",
    config_source: SourceOption = None,
) -> None:
    """Prove of each consumer whether it uses the newest usable version of a key.

    Every resource is read afresh and judged by the proof rule of its kind. A level of `configured`
    means that its service only echoes what was written; `reported`, that a field which it computes
    says so. What lies beside consumers, see `keyturn inventory`, is not applicable. Ends with 3 if
    one is not proven, or a subscription could not be read whole.
    """
    named = key_of(key, session.cloud)
    laptop = session.laptop(config_sources=sources_of(config_source, session.cloud))
    subscriptions = subscriptions_of(session, laptop, subscription, management_group)
    searched, proven = Searched(session, "consumer"), Counter[bool]()

    def rows() -> Iterator[Row]:
        for line in laptop.take_inventory.prove(named, subscriptions, progress=searched.page):
            if line.proven is None:
                searched.beside += 1
            else:
                searched.found += 1
                proven[line.proven] += 1
            yield builtins(line)

    session.terminal.progress.tell("Reading …")
    write_rows(session.terminal, rows(), _PROVEN)
    searched.say(f": {proven[True]:,} proven, {proven[False]:,} not" if searched.found else "")
    if proven[False] or not searched.is_whole:
        raise typer.Exit(Exit.ATTENTION)


def plan(
    session: Session,
    *,
    key: KeyArgument,
    new_version: Annotated[
        bool,
        typer.Option(
            "--new-version", help="Plan for a version that is yet to be made, not for the newest."
        ),
    ] = False,
    policy: PolicyOption = "",
    config_source: SourceOption = None,
) -> None:
    """Say what a rotation of a key would do, resource by resource. Nothing is written.

    Every resource is read afresh and planned for as a rotation would: `repoint`, `recreate`,
    `nudge`, `verify` (nothing is written), or left to a person: `manual`, `unknown`, `outrun`. Ends
    with 3 if something is left to a person, there is no version to move to, or a subscription could
    not be read whole.
    """
    place = str(Path(policy).resolve()) if policy else ""
    laptop = session.laptop(policy=place, config_sources=sources_of(config_source, session.cloud))
    named = key_of(key, session.cloud)
    show_plan(session, _pages(session, laptop, named, new_version=new_version))


def _pages(
    session: Session, laptop: Laptop, key: Key, *, new_version: bool
) -> Iterator[tuple[Row, list[Row]]]:
    """Yield each page of the plan: what holds for all of it, and its items."""
    place: Place | None = None
    while True:
        session.terminal.progress.tell("Planning …")
        view, place = laptop.plan_key.run(key, new_version=new_version, place=place)
        yield _page(view)
        if place is None:
            return


def _page(view: PlanView) -> tuple[Row, list[Row]]:
    return builtins(replace(view, items=())), [builtins(each) for each in view.items]


def show_plan(session: Session, pages: Iterator[tuple[Row, list[Row]]]) -> None:
    """Write a plan as its pages come.

    Raises:
        typer.Exit: It leaves something to a person.
    """
    last: Row = {}
    actions = Counter[str]()

    def rows() -> Iterator[Row]:
        for head, items in pages:
            last.update(head)
            for item in items:
                actions[item["action"]] += 1
                yield item

    write_rows(session.terminal, rows(), PLANNED)
    if last["problem"]:
        session.terminal.say(f"{last['problem']}.")
        raise typer.Exit(Exit.ATTENTION)
    told = ", ".join(f"{count:,} {action}" for action, count in sorted(actions.items()))
    target = f"to {short_version(last['target'])}" if last["target"] else "to a new version"
    found = counted(actions.total(), "resource") if actions else "No resource found"
    session.terminal.say(
        f"{found} in {last['scope']}, {target}: {told or 'nothing to do'} (mode {last['mode']})."
    )
    if last["waitsFor"]:
        session.terminal.say(f"A rotation would begin no write now: {last['waitsFor']}.")
    is_whole = last.get("searchedWhole")
    if not is_whole:
        session.terminal.say(
            "What cannot be read may use the key all the same; `keyturn doctor` says what is"
            " missing."
        )
    if _FOR_PEOPLE & set(actions) or not is_whole:
        raise typer.Exit(Exit.ATTENTION)
