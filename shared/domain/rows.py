"""What Keyturn remembers, one class per kind of row.

Rows are plain JSON values (key URLs and resource ids as text), so that a person can read them in
any table browser. Each carries the version of its schema: a row of a later schema is never read
by an earlier Keyturn as if it were its own.
"""

from datetime import datetime
from typing import Literal, Self

from msgspec import Struct
from msgspec.structs import replace

from shared.domain.keys import KeyVersion
from shared.domain.proofs import Level
from shared.domain.resources import digest
from shared.domain.verdicts import Outcome, Verdict


class Row(Struct, frozen=True, kw_only=True):
    """One row. ``schema`` is raised whenever an older Keyturn would misread the new form."""

    schema: Literal[1] = 1

    @property
    def address(self) -> tuple[str, str]:
        """Partition and row key."""
        raise NotImplementedError


class KeyHead(Row, frozen=True, kw_only=True):
    """The one row of a key.

    Attributes:
        active: Id of the rotation that may write now; ``None``: none.
        handled: URL of the last version that a rotation was opened for.
        overtaken: Id of the rotation that ``active`` took over from; empty: from none.
        problem: Why the last attempt to open one failed; empty: it did not.
    """

    key: str
    active: str | None = None
    handled: str | None = None
    overtaken: str = ""
    problem: str = ""

    @property
    def address(self) -> tuple[str, str]:
        """See ``Row.address``."""
        return digest(self.key), "head"


class Cause(Struct, frozen=True, kw_only=True):
    """Why something was started.

    Attributes:
        trigger: ``event`` (Event Grid), ``sweep`` (the timer) or ``operator`` (HTTP).
        id: Of the event or the request, or when the sweep was; tells one cause from another.
        reason: An operator's own words; empty otherwise.
    """

    trigger: Literal["event", "sweep", "operator"]
    id: str
    reason: str = ""


class Scope(Struct, frozen=True, kw_only=True):
    """Where consumers were looked for.

    Attributes:
        readable: How many subscriptions our identity may read in whole, and were searched.
        unreadable: How many had to be searched and could not be, or only in part.
        named: Their ids; the first hundred.
    """

    readable: int = 0
    unreadable: int = 0
    named: tuple[str, ...] = ()

    def plus(self, *, readable: int, unreadable: tuple[str, ...]) -> Self:
        """Return the scope with further subscriptions."""
        return replace(
            self,
            readable=self.readable + readable,
            unreadable=self.unreadable + len(unreadable),
            named=(self.named + unreadable)[:100],
        )

    def __str__(self) -> str:
        noun = "subscription" if self.readable == 1 else "subscriptions"
        hidden = f"; {self.unreadable} not readable" if self.unreadable else ""
        return f"{self.readable} readable {noun}{hidden}"


class Rotation(Row, frozen=True, kw_only=True):
    """One run that moves every consumer of a key to one version.

    Attributes:
        id: Made of the key, the target and the run: the same wish gives the same id.
        target: URL of the version.
        key_type, bits: What kind of key the target is.
        starts_at: When consumers may first be read: a rotation that takes over from another waits
            until the last write of that one has ended.
        current_problem: Why the vault's current version is unusable, where it is: versionless
            consumers follow it all the same.
        scope: ``None`` until discovery has seen every page.
        problem: Why consumers could not be looked for; empty: they could.
        outcome: ``None`` until the rotation has ended.
        counts: Consumers by verdict, once ended.
    """

    id: str
    key: str
    target: str
    target_created: datetime
    key_type: str
    bits: int | None = None
    run: int
    cause: Cause
    opened_at: datetime
    starts_at: datetime
    current_problem: str = ""
    scope: Scope | None = None
    problem: str = ""
    outcome: Outcome | None = None
    counts: dict[Verdict, int] = {}
    ended_at: datetime | None = None

    @property
    def address(self) -> tuple[str, str]:
        """See ``Row.address``."""
        return self.id, "rotation"


class Beat(Row, frozen=True, kw_only=True):
    """When a rotation's supervisor last looked. A row of its own, which nobody else changes."""

    rotation: str
    at: datetime

    @property
    def address(self) -> tuple[str, str]:
        """See ``Row.address``."""
        return self.rotation, "beat"


def rotation_id(target: KeyVersion, run: int) -> str:
    """Return the id of the ``run``-th rotation to ``target``."""
    return f"{digest(str(target))[:20]}-{run}"


class Consumer(Struct, frozen=True, kw_only=True):
    """One reference of a resource, in one rotation.

    Attributes:
        pinned: Whether it named a version then; a versionless one follows the vault by itself.
            ``None``: it was never read.
        before: What it named when we first read it: a key URL, with or without a version.
        in_use_before: Version that the service then said it used; ``None``: it did not say.
        in_use: The same at the last look.
        verdict: ``None`` while open. Then ``reason`` says why, and ``advice`` what to do.
        level: What the proof is worth, where there is one.
    """

    place: str
    before: str
    pinned: bool | None
    in_use_before: str | None = None
    in_use: str | None = None
    verdict: Verdict | None = None
    level: Level | None = None
    reason: str = ""
    advice: str = ""


class Intent(Struct, frozen=True, kw_only=True):
    """We are about to write, or have: saved before every write, kept ever after.

    Attributes:
        request_id: Sent as ``x-ms-client-request-id``; finds the write in Azure's activity log.
    """

    request_id: str
    at: datetime


class Work(Row, frozen=True, kw_only=True):
    """One resource in one rotation: the unit of work.

    Attributes:
        seq: Raised by every step; a message with another one is stale.
        open: Whether anything is left to do.
        next: The step that is due.
        due_at: When it is; ``None``: not until somebody releases the work.
        nudged_at: When its message was last sent again because it was overdue.
        accepted_at: When the service accepted our write; ``None``: nothing was written.
        correlation_id: The write's ``x-ms-correlation-request-id``.
        trouble: What the last failed step raised; the poison trigger reports it.
    """

    rotation: str
    resource: str
    kind: str
    location: str
    found_at: datetime
    seq: int = 0
    wave: int = 0
    open: bool = True
    next: Literal["repoint", "verify"] = "repoint"
    due_at: datetime | None = None
    nudged_at: datetime | None = None
    intent: Intent | None = None
    accepted_at: datetime | None = None
    correlation_id: str = ""
    consumers: tuple[Consumer, ...] = ()
    closed_at: datetime | None = None
    trouble: str = ""

    @property
    def address(self) -> tuple[str, str]:
        """See ``Row.address``."""
        return self.rotation, digest(self.resource)


class Request(Row, frozen=True, kw_only=True):
    """What an operator asked for over HTTP.

    Attributes:
        version_before: The version that was current when the vault was about to be asked for a
            new one, which it does not make idempotently; empty until then. A newer one means that
            this request has had its version.
        vault_asked_at: When that was.
        rotation: Id of the rotation that serves it; empty until one is opened.
        problem: Why none can be opened; empty otherwise.
    """

    id: str
    key: str
    reason: str
    new_version: bool
    asked_at: datetime
    version_before: str = ""
    vault_asked_at: datetime | None = None
    rotation: str = ""
    problem: str = ""

    @property
    def address(self) -> tuple[str, str]:
        """See ``Row.address``."""
        return self.id, "request"


class Refusal(Row, frozen=True, kw_only=True):
    """An event that was let go: malformed, or for a vault that is not ours to manage.

    One row an event id, however often it is delivered, so that counting rows counts events.
    """

    event_id: str
    problem: str
    at: datetime

    @property
    def address(self) -> tuple[str, str]:
        """See ``Row.address``."""
        return f"{self.at:%Y-%m}", digest(self.event_id)
