"""``keyturn requests``: what was asked for and has no rotation yet."""

from cli.app import AppOption, AudienceOption, KeyStdinOption, client_of
from cli.command import Session
from cli.keys import moment
from cli.output import Column, short_key, write_rows

_REQUESTS = (
    Column("request", lambda row: row["id"]),
    Column("key", lambda row: short_key(row["key"]), rank=1),
    Column("state", lambda row: row["state"], is_status=True),
    Column("asked", lambda row: moment(row["askedAt"]), rank=2),
    Column("by", lambda row: (row["by"] or {}).get("name") or "-", rank=3),
    Column("summary", lambda row: row["summary"], rank=4, is_prose=True),
)


def requests(
    session: Session,
    *,
    app: AppOption = "",
    audience: AudienceOption = "",
    function_key_stdin: KeyStdinOption = False,
) -> None:
    """List the requests that have no rotation yet, such as those that wait for an approval.

    `keyturn approve`, `cancel` and `watch` take the id of one as that of a rotation.
    """
    client = client_of(session, app, audience, key_stdin=function_key_stdin)
    if not write_rows(session.terminal, client.items("/api/requests?limit=1000"), _REQUESTS):
        session.terminal.say("Nothing waits.")
