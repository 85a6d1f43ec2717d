"""``keyturn replay``: what failed for good, taken up again through the app."""

import json
import shlex
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.api import AppClient, path_of
from cli.app import AppOption, AudienceOption, KeyStdinOption, client_of
from cli.arguments import key_of
from cli.command import Session
from cli.exits import Exit
from cli.keys import moment
from cli.output import Column, Row, counted, short_key, write_rows
from cli.rotations import ROTATIONS, accepted, ask
from shared.domain.clouds import Cloud
from shared.domain.errors import KeyturnError
from shared.domain.keys import Key, KeyVersion, parse_key_url

_EVENTS = (
    Column("key", lambda row: short_key(row["key"])),
    Column("event", lambda row: row["type"] or "-", rank=1),
    Column("at", lambda row: moment(row["at"]), rank=2),
    Column("undelivered because", lambda row: row["because"] or "-", rank=3, is_prose=True),
    Column("asked as", lambda row: row["request"] or "-"),
)


def replay(  # noqa: PLR0913 - one for each option
    session: Session,
    *,
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="Id of a rotation, whose failed work is taken up again; or VAULT/KEY, which is"
            " looked at as if its event had come.",
            show_default=False,
        ),
    ] = "",
    reason: Annotated[
        str,
        typer.Option(
            "--reason",
            help="Why, for whoever reads the record later; without it, nothing is done.",
            show_default=False,
        ),
    ] = "",
    dead_letter: Annotated[
        str,
        typer.Option(
            "--dead-letter",
            metavar="FILE",
            help="A blob of the dead-letter container, as it was downloaded; - reads stdin. The"
            " keys that its events name are shown, and with --reason looked at.",
            show_default=False,
        ),
    ] = "",
    app: AppOption = "",
    audience: AudienceOption = "",
    function_key_stdin: KeyStdinOption = False,
) -> None:
    """Show what failed for good, or take it up again.

    Without arguments, what failed is listed. A step that fails five times is closed with its cause,
    so its message is never sent again: `keyturn replay ROTATION --reason …` has the resource
    planned and moved anew, as `keyturn retry` does. An event that Event Grid could not deliver is
    not delivered again either: `keyturn replay VAULT/KEY --reason …` brings the key's consumers to
    its newest version, whatever the event said; no version is made. Ends with 3 if something is
    left that nobody has taken up.
    """
    if what and not reason:
        raise typer.BadParameter("say why it is taken up again", param_hint="'--reason'")
    if what and dead_letter:
        raise typer.BadParameter("name ROTATION or KEY, or --dead-letter, not both")
    if reason and not (what or dead_letter):
        raise typer.BadParameter("say what is taken up again: ROTATION, KEY or --dead-letter FILE")
    if dead_letter:
        events = _events(dead_letter)
        client = client_of(session, app, audience, key_stdin=function_key_stdin) if reason else None
        _undelivered(session, client, events, reason)
        return
    client = client_of(session, app, audience, key_stdin=function_key_stdin)
    if not what:
        _failed(session, client)
    elif "/" in what:
        accepted(session, _looked_at(session, client, key_of(what, session.cloud), reason))
    else:
        accepted(session, client.post(f"{path_of(what)}/retry", {"reason": reason}))


def _failed(session: Session, client: AppClient) -> None:
    """List what failed for good.

    Raises:
        typer.Exit: There is something.
    """
    failed = client.items("/api/rotations?state=failed&limit=100")
    number = write_rows(session.terminal, failed, ROTATIONS)
    checks = {check["name"]: check for check in client.get("/api/health")["checks"]}
    looked = (checks[name] for name in ("poison", "events", "timer") if name in checks)
    bad = [check for check in looked if check["status"] != "pass"]
    for check in bad:
        session.terminal.say(f"{check['name']}: {check['said']}; {check['advice']}")
    if number:
        session.terminal.say("Take one up again: keyturn replay ROTATION --reason …")
    if "events" in {check["name"] for check in bad}:
        session.terminal.say("Look at a key again: keyturn replay VAULT/KEY --reason …")
    if number or bad:
        raise typer.Exit(Exit.ATTENTION)
    session.terminal.say("Nothing failed for good.")


def _looked_at(session: Session, client: AppClient, key: Key, reason: str) -> Row:
    once = str(uuid.uuid4())
    said = shlex.quote(reason)  # under the same key the app takes the very same wish alone
    again = f"keyturn rotate {key} --no-new-version --reason {said} --idempotency-key {once}"
    return ask(session, client, key, reason, new_version=False, once=once, again=again)


def _undelivered(
    session: Session, client: AppClient | None, events: list[Mapping[str, Any]], reason: str
) -> None:
    """Show events; with a client, have each key that they name looked at, once.

    Raises:
        typer.Exit: There is something that nobody has taken up.
    """
    asked: dict[Key, str] = {}
    keys = [_key_of(event, session.cloud) for event in events]

    def rows() -> Iterator[Row]:
        for event, key in zip(events, keys, strict=True):
            if key and client and key not in asked:
                asked[key] = _looked_at(session, client, key, reason)["id"]
            yield {
                "key": str(key) if key else None,
                "type": _text(event, "eventtype", "type"),
                "at": _text(event, "eventtime", "time"),
                "because": _text(event, "deadletterreason"),
                "request": asked.get(key) if key else None,
            }

    write_rows(session.terminal, rows(), _EVENTS)
    named = {key for key in keys if key}
    told = f"{counted(len(events), 'event')}, of {counted(len(named), 'key')}"
    session.terminal.say(f"{told}; {len(asked):,} looked at." if client else f"{told}.")
    if unnamed := keys.count(None):
        session.terminal.say(
            f"{unnamed:,} that name no key are no loss: the timer looks at every vault."
        )
    if named and not client:
        session.terminal.say("Have them looked at: --dead-letter FILE --reason …")
        raise typer.Exit(Exit.ATTENTION)


def _events(file: str) -> list[Mapping[str, Any]]:
    """Return the events of a blob of the dead-letter container: an array of either schema.

    Their own fields are beside ``deadLetterReason`` and the like (docs: "Azure Event Grid delivery
    and retry", dead-letter events), in lower case in CloudEvents: names are matched in any casing.

    Raises:
        typer.BadParameter: It cannot be read, or is none.
    """
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        found = json.loads(content)
    except (OSError, ValueError, RecursionError) as error:
        said = getattr(error, "strerror", None) or "it is no JSON"
        raise typer.BadParameter(f"{file}: {said}", param_hint="'--dead-letter'") from None
    events = found if isinstance(found, list) else [found]
    if not all(isinstance(each, dict) and isinstance(each.get("data"), dict) for each in events):
        raise typer.BadParameter(
            f"{file} holds no events: name a blob of the container keyturn-dead-letters",
            param_hint="'--dead-letter'",
        )
    return events


def _key_of(event: Mapping[str, Any], cloud: Cloud) -> Key | None:
    """Return the key that an event is about; ``None``: it names none, or none of this cloud's."""
    try:
        named = parse_key_url(_text(event["data"], "id") or "")
        key = named.key if isinstance(named, KeyVersion) else named
        cloud.vault_host(key.vault)
    except KeyturnError:
        return None
    return key


def _text(fields: Mapping[str, Any], *names: str) -> str | None:
    """Return the first field of some names that is a text; these are in lower case."""
    for name, value in fields.items():
        if name.strip().lower() in names and isinstance(value, str):
            return value
    return None
