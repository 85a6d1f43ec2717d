"""``keyturn doctor``: whether everything is as it must be, and what mends it."""

from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from cli.arguments import GroupOption, SubscriptionOption, subscriptions_of, vault_of
from cli.command import Session
from cli.exits import Exit
from cli.keys import PolicyOption
from cli.output import Column, Row, builtins, write_rows
from cli.policies import read_policy
from shared.domain.app_views import CheckView, Health
from shared.domain.errors import PolicyError

_COLUMNS = (
    Column("status", lambda row: row["status"], is_status=True),
    Column("what", lambda row: row["name"]),
    Column("finding", lambda row: row["said"], is_prose=True),
)


def doctor(
    session: Session,
    *,
    vault: Annotated[
        list[str] | None,
        typer.Option(
            "--vault",
            help="Look at this vault; can be repeated. All that you may read, if not given.",
            show_default=False,
        ),
    ] = None,
    subscription: SubscriptionOption = None,
    management_group: GroupOption = "",
    policy: PolicyOption = "",
) -> None:
    """Look at identity, rights, vaults, events, audit logs and policy; say what mends each finding.

    Looks with your own eyes: sign in as the app's identity (`az login --identity`) to see what the
    app may do. Ends with 3 if something is to be mended.
    """
    laptop = session.laptop()
    hosts = [vault_of(each, session.cloud) for each in vault or ()]
    statuses: set[Health] = set()
    mends: list[tuple[str, str]] = []

    def rows() -> Iterator[Row]:
        session.terminal.progress.tell("Looking …")
        if policy:
            yield noted(_of_policy(policy))
        subscriptions = subscriptions_of(session, laptop, subscription, management_group)
        for check in laptop.examine.run(hosts, subscriptions):
            yield noted(check)
            session.terminal.progress.tell(f"Looking, after {check.name} …")

    def noted(check: CheckView) -> Row:
        statuses.add(check.status)
        if check.advice:
            mends.append((check.name, check.advice))
        return builtins(check)

    write_rows(session.terminal, rows(), _COLUMNS)
    for name, advice in mends:
        session.terminal.say(f"\nTo mend {name}:\n  {advice}")
    if statuses - {Health.PASS}:
        raise typer.Exit(Exit.ATTENTION)


def _of_policy(file: str) -> CheckView:
    try:
        found = read_policy(Path(file))
    except PolicyError as error:
        said = f"{len(error.problems)} problems, the first: {error.problems[0]}"
        mend = f"keyturn policy check {quote(file)}"
        return CheckView(name="policy", status=Health.FAIL, said=said, advice=mend)
    said = f"it is good ({found.digest[:12]})"
    return CheckView(name="policy", status=Health.PASS, said=said, advice=None)
