"""``keyturn policy``: check one, or begin one from what is there."""

import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from cli.arguments import (
    GroupOption,
    SourceOption,
    SubscriptionOption,
    keys_of,
    sources_of,
    subscriptions_of,
)
from cli.command import Session
from cli.console import shown
from cli.estate import Searched
from cli.exits import Exit
from cli.output import Column, counted, write_rows
from shared.domain.errors import PolicyError
from shared.domain.estate_views import InventoryLine, Standing
from shared.domain.policy import Policy
from shared.domain.rows import Scope
from shared.wiring.laptop import parse_policy

_MOST_NAMED = 20
_LONGEST = 400
"""Characters of a comment."""

_PROBLEMS = (Column("problem", lambda row: row["problem"]),)


def read_policy(file: Path) -> Policy:
    """Return the policy in a file.

    Raises:
        PolicyError: It cannot be read, or is wrong.
    """
    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        said = f"it cannot be read: {error.strerror or error}"
        raise PolicyError(f"the policy {file}: {said}", [said]) from None
    return parse_policy(str(file), content)


def check(
    session: Session,
    *,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A policy; - reads stdin.", show_default=False)
    ],
) -> None:
    """Check a policy as the app does, and list every problem.

    Needs no network. Ends with 1 if there is a problem.
    """
    try:
        policy = read_policy(file)
    except PolicyError as error:
        rows = ({"problem": each} for each in error.problems)
        write_rows(session.terminal, rows, _PROBLEMS)
        session.terminal.say(f"{file} cannot be used: {counted(len(error.problems), 'problem')}.")
        raise typer.Exit(Exit.ERROR) from None
    write_rows(session.terminal, iter(()), _PROBLEMS)
    session.terminal.say(
        f"{file} is good: {counted(len(policy.rules), 'rule')}, digest {policy.digest[:12]}."
    )


def init(
    session: Session,
    *,
    subscription: SubscriptionOption = None,
    management_group: GroupOption = "",
    vault: Annotated[
        str, typer.Option("--vault", help="Only keys of this vault.", show_default=False)
    ] = "",
    config_source: SourceOption = None,
) -> None:
    """Write a commented policy to begin with, for the keys that the inventory finds in use.

    It lets Keyturn observe and no more. It goes to stdout: `keyturn policy init > keyturn.yaml`.
    What could not be read stands in its comments, and on stderr: it may use a key that the policy
    does not name. Ends with 3 then.
    """
    wanted = keys_of("", vault, session.cloud)
    laptop = session.laptop(config_sources=sources_of(config_source, session.cloud))
    subscriptions = subscriptions_of(session, laptop, subscription, management_group)
    searched, begun = Searched(session, "consumer"), _Begun()
    lines = laptop.take_inventory.run(
        wanted, subscriptions, fresh=False, disabled="", progress=searched.page
    )
    for line in lines:
        if line.state is Standing.NOT_APPLICABLE:
            searched.beside += 1
            continue
        searched.found += 1
        begun.note(line)
    text = "".join(_policy(begun, subscriptions, searched.scope))
    parse_policy("what `policy init` wrote", text.encode())
    session.terminal.out(text)
    searched.say(f", of {counted(len(begun.used), 'key')}")
    if begun.unread:
        session.terminal.warn(
            f"{counted(begun.unread, 'consumer')} could not be read, and may use a key that the"
            f" policy does not name; its comments say which, the first: {begun.named[0]}"
        )
    if begun.unread or not searched.is_whole:
        raise typer.Exit(Exit.ATTENTION)


@dataclass(slots=True)
class _Begun:
    """What a policy is begun from.

    Attributes:
        used: How many consumers each key has, by its URL.
        unread: How many consumers could not be read, so that their keys are not known.
        named: The first of these, each with why.
    """

    used: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    unread: int = 0
    named: list[str] = field(default_factory=list)

    def note(self, line: InventoryLine) -> None:
        """Take a consumer into account."""
        if line.key:
            self.used[line.key] += 1
        elif line.problem:
            self.unread += 1
            if len(self.named) < _MOST_NAMED:
                self.named.append(f"{line.resource}: {line.problem}")


def _missing(begun: _Begun, scope: Scope) -> Iterator[str]:
    """Yield, as comments, what may use a key that the policy does not name."""
    if not scope.is_whole:
        yield "# What could not be searched may use keys that are not named here: keyturn doctor\n"
    if begun.unread:
        yield f"# {counted(begun.unread, 'consumer')} could not be read, and may use a key that\n"
        yield "# is not named here. Mend what is said, and begin anew:\n"
    for each in begun.named:
        yield f"#   {shown(each)[:_LONGEST]}\n"
    if begun.unread > len(begun.named):
        yield f"#   and {begun.unread - len(begun.named):,} more: keyturn inventory\n"


def _policy(begun: _Begun, subscriptions: tuple[str, ...], scope: Scope) -> Iterator[str]:
    used = begun.used
    yield "# What Keyturn may do, key by key. Check it: keyturn policy check keyturn.yaml\n"
    yield f"# Begun from the consumers in {scope}.\n"
    yield from _missing(begun, scope)
    yield "version: 1\n\n# The only keys that Keyturn acts on, as VAULT/KEY with * and ?.\n"
    yield "# The number is that of the consumers found.\nmanage:\n" if used else 'manage: ["*/*"]\n'
    for key, count in sorted(used.items()):
        yield f'  - "{_pattern(key)}"  # {counted(count, "consumer")}\n'
    yield "\ndefaults:\n"
    yield "  # observe: report what would have to be moved. approve: move once somebody agreed.\n"
    yield "  # auto: move at once.\n  mode: observe\n"
    if subscriptions:
        yield "  # One of these that cannot be read fails the rotation.\n  subscriptions:\n"
        for each in subscriptions:
            yield f"    - {each}\n"
    yield "  # How many resources may fail before a rotation pauses for a person.\n"
    yield "  failureLimit: 5\n"
    yield "  # When writes may begin; without windows, at any time.\n  # windows:\n"
    yield '  #   - {days: [sat, sun], opens: "22:00", closes: "04:00", zone: UTC}\n'
    yield "  # What is done when the newest version nears its expiry: ignore, alarm, ask, rotate.\n"
    yield "  nearExpiry: alarm\n"
    yield "\n# For some keys; of each setting the last rule that has it wins.\n# rules:\n"
    yield f'#   - keys: ["{_pattern(next(iter(sorted(used)), ""))}"]\n#     mode: auto\n'


def _pattern(key: str) -> str:
    host, _, name = key.removeprefix("https://").partition("/keys/")
    return f"{host.partition('.')[0]}/{name}" if name else "kv-example/cmk-*"
