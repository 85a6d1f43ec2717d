"""``keyturn rotate``, ``status``, ``watch``, ``report`` and what steers a deployed app."""

import itertools
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

import typer

from cli.api import AppClient, Json, UnfitError, path_of
from cli.app import AppOption, AudienceOption, KeyStdinOption, client_of
from cli.arguments import KeyArgument, ReasonOption, RotationArgument, key_of
from cli.command import Session
from cli.console import Format, shown
from cli.exits import Exit
from cli.keys import moment, show_plan
from cli.output import (
    Column,
    Row,
    in_json,
    short_key,
    short_version,
    shortened,
    write_one,
    write_rows,
)
from cli.watching import WELL, Watch, needs_somebody
from shared.domain.errors import RejectedError, TransientError, UnreadableError
from shared.domain.keys import Key
from shared.domain.views import State

IntervalOption = Annotated[
    float, typer.Option("--interval", min=0.1, max=600, help="Seconds between two looks.")
]

ROTATIONS = (
    Column("rotation", lambda row: row["id"]),
    Column("key", lambda row: short_key(row["key"]), rank=1),
    Column("target", lambda row: short_version(row["target"]), rank=3),
    Column("state", lambda row: row["state"], is_status=True),
    Column("opened", lambda row: moment(row["openedAt"]), rank=2),
    Column("ended", lambda row: moment(row["endedAt"]), rank=4),
    Column("consumers", lambda row: counts_of(row["counts"]), rank=5),
)
CONSUMERS = (
    Column("consumer", lambda row: row["name"]),
    Column("kind", lambda row: row["kindTitle"], rank=3, is_prose=True),
    Column("form", lambda row: row["form"] or "-", rank=5),
    Column("before", lambda row: short_version(row["inUseBefore"] or row["before"]), rank=6),
    Column("in use", lambda row: short_version(row["inUse"]), rank=4),
    Column("verdict", lambda row: row["verdict"] or "open", is_status=True),
    Column("level", lambda row: row["level"] or "-", rank=2),
    Column("reason", lambda row: shortened(row["reason"] or ""), rank=1, is_prose=True),
)


def counts_of(counts: dict[str, int]) -> str:
    """Return how many consumers have which verdict."""
    return ", ".join(f"{number:,} {name}" for name, number in sorted(counts.items()) if number)


def rotate(  # noqa: PLR0913 - one for each option
    session: Session,
    *,
    key: KeyArgument,
    reason: ReasonOption,
    no_new_version: Annotated[
        bool,
        typer.Option(
            "--no-new-version",
            help="Make no version: bring consumers that lag behind to the newest one.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done, as the app sees it.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Watch it until it has ended; see `keyturn watch`.")
    ] = False,
    interval: IntervalOption = 2.0,
    idempotency_key: Annotated[
        str,
        typer.Option(
            "--idempotency-key",
            help="Ask for what was asked for under it before, once more: for a wish whose answer"
            " was lost.",
            show_default=False,
        ),
    ] = "",
    app: AppOption = "",
    audience: AudienceOption = "",
    function_key_stdin: KeyStdinOption = False,
) -> None:
    """Have a key rotated: a new version is made, and every consumer moved to it and proven.

    With --wait, ends as `keyturn watch` does. If the app gives no answer, the wish is sent again
    under the same idempotency key, so that it makes one version.
    """
    client = client_of(session, app, audience, key_stdin=function_key_stdin)
    named = key_of(key, session.cloud)
    if dry_run:
        query = "" if no_new_version else "?newVersion=true"
        pages = client.pages(f"/api/keys/{named.vault}/{named.name}/plan{query}")
        show_plan(session, (({**page, "items": []}, page["items"]) for page in pages))
        return
    once = idempotency_key or str(uuid.uuid4())
    again = f"--idempotency-key {once}"
    taken = ask(
        session, client, named, reason, new_version=not no_new_version, once=once, again=again
    )
    accepted(session, taken)
    if wait:
        watch_until_ended(session, client, taken["id"], interval)


def ask(  # noqa: PLR0913 - the parts of a wish
    session: Session,
    client: AppClient,
    key: Key,
    reason: str,
    *,
    new_version: bool,
    once: str,
    again: str,
) -> Row:
    """Ask for a rotation of a key; return what the app accepted.

    ``once`` makes the same wish one wish, ``again`` is how it is typed where no answer came.

    Raises:
        KeyturnError: It was refused, or no answer came.
    """
    body: Json = {"reason": reason, "newVersion": new_version}
    hint = f"to ask once more for the same: {again}"
    try:
        return client.post(f"/api/keys/{key.vault}/{key.name}/rotate", body, once=once)
    except UnfitError:
        raise
    except (TransientError, RejectedError, UnreadableError) as error:
        # It may have been taken, by this try or by one before it.
        raise type(error)(f"{error}; {hint}") from error
    except KeyboardInterrupt:
        session.terminal.warn(f"the wish may have been taken all the same; {hint}")
        raise


def accepted(session: Session, answer: Row) -> None:
    """Tell what was accepted; a bare id for scripts."""
    state, request = answer["state"], answer["id"]
    if session.terminal.form is Format.TABLE:
        session.terminal.out(f"{shown(request)}\n")
    else:
        write_one(session.terminal, answer, ())
    session.terminal.flush()
    session.terminal.say(f"{state.replace('_', ' ')}. Watch it: keyturn watch {request}")
    if state == "needs_approval":
        session.terminal.say(f"Somebody else agrees by: keyturn approve {request} --reason …")


def watch(  # noqa: PLR0913 - one for each option
    session: Session,
    *,
    rotation: RotationArgument,
    interval: IntervalOption = 2.0,
    app: AppOption = "",
    audience: AudienceOption = "",
    function_key_stdin: KeyStdinOption = False,
) -> None:
    """Watch a rotation until it has ended. Ctrl-C stops watching, and nothing else.

    Bars on a terminal, with the time by which each kind of resource must have followed; a line for
    each change elsewhere. Ends with 0 if every consumer is settled, with 3 if not.
    """
    client = client_of(session, app, audience, key_stdin=function_key_stdin)
    watch_until_ended(session, client, rotation, interval)


def watch_until_ended(session: Session, client: AppClient, rotation: str, every: float) -> None:
    """Watch.

    Raises:
        typer.Exit: It has not ended well, or somebody has seen enough.
    """
    now = session.laptop().now
    try:
        code = Watch(session, client, rotation, every, now).run()
    except KeyboardInterrupt:
        session.terminal.say(
            f"\nNo longer watched; the rotation goes on. Come back by: keyturn watch {rotation}"
        )
        raise typer.Exit(Exit.INTERRUPTED) from None
    if code is not Exit.FINE:
        raise typer.Exit(code)


def status(  # noqa: PLR0913 - one for each option
    session: Session,
    *,
    rotation: Annotated[
        str,
        typer.Argument(
            metavar="ROTATION",
            help="Id of a rotation, or of the request for one; all of them, if not given.",
            show_default=False,
        ),
    ] = "",
    key: Annotated[
        str, typer.Option("--key", help="Only rotations of this key.", show_default=False)
    ] = "",
    state: Annotated[
        State | None,
        typer.Option("--state", help="Only those in this state.", show_default=False),
    ] = None,
    top: Annotated[
        int, typer.Option("--top", min=0, help="How many at most, the newest first; 0: all.")
    ] = 50,
    app: AppOption = "",
    audience: AudienceOption = "",
    function_key_stdin: KeyStdinOption = False,
) -> None:
    """Show how a rotation stands and what needs somebody, or list the rotations.

    Of one rotation, ends with 3 if it has failed, is paused or waits for an approval.
    """
    client = client_of(session, app, audience, key_stdin=function_key_stdin)
    if not rotation:
        query = f"?limit={min(top or 1000, 1000)}"
        query += f"&key={key_of(key, session.cloud)}" if key else ""
        query += f"&state={state}" if state else ""
        found = client.items(f"/api/rotations{query}")
        number = write_rows(session.terminal, itertools.islice(found, top or None), ROTATIONS)
        if not number:
            session.terminal.say("No rotation found.")
        return
    view = client.get(path_of(rotation))
    write_one(session.terminal, view, _described(view))
    if view["state"] in ("paused", "needs_approval", "waiting", "failed"):
        raise typer.Exit(Exit.ATTENTION)


def _described(view: Row) -> Iterator[str]:
    yield f"{view['id']}  {view['state']}"
    yield f"key        {short_key(view['key'])}"
    if "consumers" not in view:
        yield f"reason     {view['reason']}"
        yield view["summary"]
        if view["problem"]:
            yield f"problem    {view['problem']}"
        return
    yield f"target     {short_version(view['target'])}"
    yield f"opened     {moment(view['openedAt'])}, by {_opened_by(view)}"
    if view["endedAt"]:
        yield f"ended      {moment(view['endedAt'])}"
    yield f"consumers  {counts_of(view['counts']) or 'none'}"
    yield f"searched   {view['scope'] or 'not to the end yet'}"
    yield view["summary"]
    yield from _urgent(view)


def _urgent(view: Row) -> Iterator[str]:
    if view["pausedBecause"] or view["waitsFor"]:
        yield f"It begins no write: {view['pausedBecause'] or view['waitsFor']}"
    for finding in view["preflight"] or ():
        if finding["severity"] == "blocker":
            yield f"Foreseen: {finding['text']}; {finding['advice']}"
    for consumer in needs_somebody(view):
        yield f"\n{consumer['verdict']}  {consumer['name']} ({consumer['kindTitle']})"
        yield f"  {consumer['reason'] or 'no reason is on record'}"
        if consumer["advice"]:
            yield f"  → {consumer['advice']}"


def _opened_by(view: Row) -> str:
    by = (view["by"] or {}).get("name") or view["trigger"]
    return f"{by}: {view['reason']}" if view["reason"] else str(by)


def report(
    session: Session,
    *,
    rotation: RotationArgument,
    app: AppOption = "",
    audience: AudienceOption = "",
    function_key_stdin: KeyStdinOption = False,
) -> None:
    """Write all that is on record about a rotation, with every consumer.

    As a table or CSV, the consumers; as JSON or YAML, the rotation with its consumers. Ends with 3
    if a consumer is not settled.
    """
    client = client_of(session, app, audience, key_stdin=function_key_stdin)
    view = client.get(path_of(rotation))
    consumers = client.items(f"{path_of(view['id'])}/consumers?limit=500")
    terminal = session.terminal
    if terminal.form in (Format.TABLE, Format.CSV):
        write_rows(terminal, consumers, CONSUMERS)
        terminal.say(f"{view['state']}: {view['summary']}".rstrip("."))
    else:
        for text in _whole(view, consumers, indent=terminal.form is Format.JSON):
            terminal.out(text)
    if view["state"] not in WELL:
        raise typer.Exit(Exit.ATTENTION)


def _whole(view: Row, consumers: Iterator[Row], *, indent: bool) -> Iterator[str]:
    """Yield the rotation with all its consumers, one after the other."""
    kept = {k: v for k, v in view.items() if k not in ("consumers", "consumersOmitted")}
    yield "{\n" if indent else ""
    for name, value in kept.items():
        text = in_json(value)
        yield f'  "{name}": {text},\n' if indent else f"{name}: {text}\n"
    yield '  "consumers": [' if indent else "consumers:\n"
    lead = "\n"
    for consumer in consumers:
        text = in_json(consumer)
        yield f"{lead}    {text}" if indent else f"  - {text}\n"
        lead = ",\n"
    yield "\n  ]\n}\n" if indent else ("  []\n" if lead == "\n" else "")


@dataclass(frozen=True, slots=True)
class Action:
    """What somebody may do about a rotation.

    Attributes:
        text: Of the command's help.
    """

    name: str
    text: str

    def command(self) -> Callable[..., None]:
        """Return the function behind the command."""

        def steer(  # noqa: PLR0913 - one for each option
            session: Session,
            *,
            rotation: RotationArgument,
            reason: ReasonOption,
            app: AppOption = "",
            audience: AudienceOption = "",
            function_key_stdin: KeyStdinOption = False,
        ) -> None:
            client = client_of(session, app, audience, key_stdin=function_key_stdin)
            path = f"{path_of(rotation)}/{self.name}"
            accepted(session, client.post(path, {"reason": reason}))

        steer.__doc__ = self.text
        steer.__name__ = self.name
        return steer


ACTIONS = (
    Action(
        "approve",
        "Let a rotation begin its writes, or a request have its version made.\n\n"
        "Needs Entra ID and the role Keyturn.Approver; who asked may not approve.",
    ),
    Action("pause", "Let nothing more be written; what was written is still proven."),
    Action("resume", "Let a paused rotation go on, whatever has failed so far."),
    Action("cancel", "Stop a rotation for good. Nothing is rolled back: what has moved stays."),
    Action(
        "retry",
        "Take up again what ended unsettled: in the rotation, or in a new run if it has ended.",
    ),
)


def settle(  # noqa: PLR0913 - one for each option
    session: Session,
    *,
    rotation: RotationArgument,
    resource: Annotated[
        str,
        typer.Argument(
            metavar="RESOURCE",
            help="Id of a resource that is `manual`, as `keyturn report` has it.",
            show_default=False,
        ),
    ],
    reason: ReasonOption,
    app: AppOption = "",
    audience: AudienceOption = "",
    function_key_stdin: KeyStdinOption = False,
) -> None:
    """Record that a resource was moved by hand, where no read can prove it.

    It stays `manual` and is not proven; the rotation counts it as answered for, by your name. What
    is proven by now is taken up by `keyturn retry`; what is read on an older version is refused.
    Needs Entra ID and the role Keyturn.Operator.
    """
    client = client_of(session, app, audience, key_stdin=function_key_stdin)
    body: Json = {"resource": resource, "reason": reason}
    accepted(session, client.post(f"{path_of(rotation)}/settle", body))
