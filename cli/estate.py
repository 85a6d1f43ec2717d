"""``keyturn inventory``: who uses which key."""

from collections import Counter
from collections.abc import Iterator
from typing import Annotated

import typer

from cli.arguments import (
    GroupOption,
    SourceOption,
    SubscriptionOption,
    keys_of,
    sources_of,
    subscriptions_of,
    version_of,
)
from cli.command import Session
from cli.exits import Exit
from cli.output import Column, Row, builtins, counted, short_key, short_version, write_rows
from shared.domain.estate_views import Impact, Standing
from shared.domain.keys import Key
from shared.domain.rows import Scope, Search

_COLUMNS = (
    Column("key", lambda row: short_key(row["key"]), rank=3),
    Column("consumer", lambda row: row["name"]),
    Column("kind", lambda row: row["kindTitle"], rank=5, is_prose=True),
    Column("subscription", lambda row: row["subscription"], rank=8),
    Column("location", lambda row: row["location"], rank=7),
    Column("form", lambda row: row["form"] or "-", rank=4),
    Column("names", lambda row: short_version(row["names"]), rank=6),
    Column("in use", lambda row: short_version(row["inUse"])),
    Column("newest", lambda row: short_version(row["newest"]), rank=2),
    Column("state", lambda row: row["state"], is_status=True),
    Column("if disabled", lambda row: row["ifDisabled"] or "", rank=1, is_status=True),
    Column("problem", lambda row: row["problem"] or row["reason"] or "", rank=9, is_prose=True),
)


_WOULD = {
    Impact.BREAKS: "would break",
    Impact.UNAFFECTED: "would not",
    Impact.UNKNOWN: "cannot be told",
}


class Searched:
    """How far a search has come; shows it while it goes on."""

    def __init__(self, session: Session, noun: str) -> None:
        self._terminal = session.terminal
        self._noun = noun
        self.found = 0
        self.beside = 0
        self.scope = Scope()

    def page(self, search: Search) -> None:
        """Take note of another page."""
        self.scope = search.scope
        said = counted(self.found, self._noun)
        self._terminal.progress.tell(f"Searching {self.scope}: {said} so far …")

    @property
    def is_whole(self) -> bool:
        """Whether all that had to be searched could be read."""
        return self.scope.is_whole

    def say(self, findings: str) -> None:
        """Tell what the search was of, and what came of it."""
        found = counted(self.found, self._noun) if self.found else f"No {self._noun} found"
        beside = f"; beside them {self.beside:,} not applicable" if self.beside else ""
        self._terminal.say(f"{found} in {self.scope}{findings}{beside}.")
        if not self.is_whole:
            self._terminal.say(
                "What cannot be read may use a key all the same; `keyturn doctor` says what is"
                " missing."
            )


def inventory(  # noqa: PLR0913 - one for each option
    session: Session,
    *,
    subscription: SubscriptionOption = None,
    management_group: GroupOption = "",
    vault: Annotated[
        str, typer.Option("--vault", help="Only keys of this vault.", show_default=False)
    ] = "",
    key: Annotated[
        str,
        typer.Option(
            "--key", help="Only this key: VAULT/KEY, or NAME beside --vault.", show_default=False
        ),
    ] = "",
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh",
            help="Read every resource that Azure Resource Graph shows; if not, what it has of it is"
            " believed, which lags by minutes.",
        ),
    ] = False,
    if_disabled: Annotated[
        str,
        typer.Option(
            "--if-disabled",
            metavar="VERSION",
            help="Say what would break if this version were disabled.",
            show_default=False,
        ),
    ] = "",
    config_source: SourceOption = None,
) -> None:
    """Show who uses which key, pinned or following, on which version, and what is stale.

    Reads only, under your own rights. A consumer is `stale` if it names or uses another version
    than the newest usable one, and `unknown` if its service does not say. One that is `current` as
    configured names it, and its service does not say what is in use. `not_applicable` is what lies
    beside consumers: it depends on a key through one of them, or names its keys where no inventory
    shows it. Ends with 3 if a consumer is not `current`, or a subscription could not be read whole.
    """
    wanted, version = keys_of(key, vault, session.cloud), version_of(if_disabled)
    laptop = session.laptop(config_sources=sources_of(config_source, session.cloud))
    searched, states, impacts = Searched(session, "consumer"), Counter[str](), Counter[str]()
    as_configured = 0
    subscriptions = subscriptions_of(session, laptop, subscription, management_group)

    def rows() -> Iterator[Row]:
        nonlocal as_configured
        lines = laptop.take_inventory.run(
            wanted, subscriptions, fresh=fresh, disabled=version, progress=searched.page
        )
        for line in lines:
            if line.state is Standing.NOT_APPLICABLE:
                searched.beside += 1
                yield builtins(line)
                continue
            searched.found += 1
            states[line.state] += 1
            as_configured += line.state is Standing.CURRENT and line.in_use is None
            impacts[line.if_disabled or ""] += 1
            yield builtins(line)

    session.terminal.progress.tell("Searching …")
    write_rows(session.terminal, rows(), _COLUMNS)
    searched.say(_said(states, as_configured, impacts, version))
    if isinstance(wanted, Key) and not searched.found:
        laptop.take_inventory.look_at(wanted)
    if version and not impacts[Impact.BREAKS] and not laptop.take_inventory.knows(version):
        session.terminal.say("No key that was looked at has this version.")
        raise typer.Exit(Exit.ATTENTION)
    if states.total() != states[Standing.CURRENT] or not searched.is_whole:
        raise typer.Exit(Exit.ATTENTION)


def _said(states: Counter[str], as_configured: int, impacts: Counter[str], version: str) -> str:
    only = {Standing.CURRENT: f" ({as_configured:,} as configured)" if as_configured else ""}
    parts = [f"{states[each]:,} {each}{only.get(each, '')}" for each in Standing if states[each]]
    said = f": {', '.join(parts)}" if parts else ""
    if version:
        told = ", ".join(f"{impacts[each]:,} {_WOULD[each]}" for each in Impact if impacts[each])
        said += f"; if {short_version(version)} were disabled: {told or 'nothing would break'}"
    return said
