"""What was asked of Keyturn and by whom, what came of it, and what was let go."""

from datetime import UTC, datetime
from typing import ClassVar, Literal

from msgspec import Struct, field

from shared.domain.callers import Caller
from shared.domain.findings import Finding, Severity
from shared.domain.resources import digest
from shared.domain.rows import Row
from shared.domain.steps import Open, RotateKey

EXPIRING = "exp-"
"""How the ids of requests begin that nobody made: a version runs out, or is too old."""


class Request(Row, frozen=True, kw_only=True):
    """A wish for a rotation: an operator's, or that of a version which nears its expiry.

    Attributes:
        version_before: The version that a new one is to follow, saved before the vault is asked
            for one, which it does not make idempotently; empty until then. A newer one means that
            this request has had its version.
        vault_asked_at: When the vault was last about to be asked.
        made: URL of the version that the vault made for it; empty: none, or its answer was lost.
        by: Who asked; ``None``: nobody did, a version nears its expiry.
        needs_approval: Whether an approver has to agree before the vault is asked.
        unexpire: Versions that are made valid again first, and until when: saved before the vault
            is told so.
        unexpired_at: When that was done; ``None``: it is yet to be, or need not.
        approved_until: Until when the rotation that serves it may begin writes, where its rules
            ask for an approval; ``None``: nobody has approved it.
        rotation: Id of the rotation that serves it; empty until one is opened.
        problem: Why none can be opened; empty otherwise.
        waits_for: Until when, and why, the vault is not asked yet; empty: it need not wait.
        cancelled: Why somebody has taken it back: nothing serves it any more; empty: nobody has.
    """

    id: str
    key: str
    reason: str
    new_version: bool
    asked_at: datetime
    by: Caller | None = None
    needs_approval: bool = False
    approved_until: datetime | None = None
    version_before: str = ""
    unexpire: dict[str, datetime] = field(default_factory=dict)
    unexpired_at: datetime | None = None
    vault_asked_at: datetime | None = None
    made: str = ""
    rotation: str = ""
    problem: str = ""
    waits_for: str = ""
    cancelled: str = ""

    @property
    def address(self) -> tuple[str, str]:
        """See ``Row.address``."""
        return self.id, "request"

    @property
    def is_waiting(self) -> bool:
        """Whether nothing has come of it yet, and something may: a problem is mended by asking."""
        has_failed = bool(self.problem) and not self.needs_approval
        return not (self.rotation or self.cancelled or has_failed)

    def asks_for(self, step: Open | RotateKey) -> bool:
        """Return whether a step that names this request does what was wished: none else may."""
        return step.key == self.key and (self.new_version or not isinstance(step, RotateKey))


PENDING = "pending"
"""The partition of ``Pending``."""


class Pending(Row, frozen=True, kw_only=True):
    """A request that has no answer yet, all in one partition, for the sweep to look at.

    Kept ahead of what it is about; the sweep removes it when there is an answer.

    Attributes:
        step: What serves the request. To send it once more is safe: what it does is saved on the
            request before.
        at: When that was last sent, or was about to be.
    """

    request: str
    step: Open | RotateKey
    at: datetime

    @property
    def address(self) -> tuple[str, str]:
        """See ``Row.address``."""
        return PENDING, self.request


Action = Literal["ask", "pause", "resume", "cancel", "retry", "approve", "settle"]


class Act(Row, frozen=True, kw_only=True):
    """What somebody did about a rotation; kept as long as its record.

    Attributes:
        rotation: Its id, or that of the request that was approved or taken back.
        id: Tells two acts of the same moment apart.
        until: Until when an approval lasts.
    """

    rotation: str
    id: str
    at: datetime
    action: Action
    by: Caller
    reason: str
    until: datetime | None = None

    @property
    def address(self) -> tuple[str, str]:
        """See ``Row.address``."""
        return self.rotation, f"{self.at:%Y-%m-%dT%H:%M:%S.%f}-{self.id}"


class Settlement(Struct, frozen=True, kw_only=True):
    """Who says that a resource was moved by hand. It is their word, and no proof.

    Attributes:
        by: Who says so.
        at: When they said so.
        reason: In their words, what was done.
    """

    by: Caller
    at: datetime
    reason: str


class SettledByHand(Row, frozen=True, kw_only=True):
    """A settlement, for every run to the same version: the next version has none.

    Attributes:
        target: URL of the version.
        rotation: Id of the rotation in which it was given.
        answers: What was answered for, see ``settling.asked_of``: it holds for nothing else.
    """

    target: str
    resource: str
    rotation: str
    answers: tuple[str, ...]
    settlement: Settlement

    @property
    def address(self) -> tuple[str, str]:
        """See ``Row.address``."""
        return digest(self.target), digest(self.resource)


OPENED = "opened"
"""The partition of ``Opened``."""

_END = datetime(9999, 1, 1, tzinfo=UTC)


class Opened(Row, frozen=True, kw_only=True):
    """The index of all rotations, the newest first."""

    rotation: str
    key: str
    at: datetime

    @property
    def address(self) -> tuple[str, str]:
        """See ``Row.address``."""
        return OPENED, f"{int((_END - self.at).total_seconds() * 1000):015}-{self.rotation}"


class Call(Row, frozen=True, kw_only=True):
    """One call of the HTTP API, for the audit.

    Attributes:
        id: Of the invocation; tells two calls of the same moment apart.
        operation: Name of the operation, such as ``pause_rotation``.
        path: Path of the URL, without its query.
        by: Who called; ``None``: nobody that we could name, and nobody that a key let in.
        status: Of the answer.
        outcome: What became of it, in a few words.
    """

    id: str
    at: datetime
    operation: str
    method: str
    path: str
    by: Caller | None = None
    reason: str = ""
    status: int
    outcome: str = ""

    @property
    def address(self) -> tuple[str, str]:
        """See ``Row.address``."""
        return f"{self.at:%Y-%m-%d}", f"{self.at:%H:%M:%S.%f}-{self.id}"


class Pulse(Row, frozen=True, kw_only=True):
    """When the timer last queued its sweep, and when that was run.

    Attributes:
        next_at: When the timer comes next, as it said; ``None``: it did not say.
    """

    PLACE: ClassVar[tuple[str, str]] = "sweeps", "pulse"

    at: datetime
    ran_at: datetime
    next_at: datetime | None = None

    @property
    def address(self) -> tuple[str, str]:
        """See ``Row.address``."""
        return self.PLACE


class Probe(Row, frozen=True, kw_only=True):
    """That rows can be written was tried; the row itself is the try.

    Attributes:
        at: When.
        since: When somebody first asked after our health.
        problem: Why evidence could not be kept then; empty: its place answers.
    """

    PLACE: ClassVar[tuple[str, str]] = "health", "probe"

    at: datetime
    since: datetime
    problem: str = ""

    @property
    def address(self) -> tuple[str, str]:
        """See ``Row.address``."""
        return self.PLACE


class Unheard(Row, frozen=True, kw_only=True):
    """The last announcement that nobody took; there is none once one was heard again.

    Attributes:
        event: The announcement's id.
    """

    PLACE: ClassVar[tuple[str, str]] = "announcements", "unheard"

    event: str
    at: datetime
    problem: str

    @property
    def address(self) -> tuple[str, str]:
        """See ``Row.address``."""
        return self.PLACE


def watched_partition(vault: str) -> str:
    """Return the partition of what was found about the keys of a vault, given by its host."""
    return f"watched-{vault}"


class Watched(Row, frozen=True, kw_only=True):
    """What the last look at a key's expiry, age and versions in use has found.

    Attributes:
        version: URL of the version that was the newest then; empty: it could not be read.
        created: When that was made.
        problem: Why it runs out or is too old; empty: it does not, and is not.
        severity: How bad that is; ``None``: there is no problem.
        done: What was done about that, such as ``rotate``; empty: nothing.
        request: Id of the request for a new version; empty: there is none.
        announced: What has been announced about it, so that it is once.
        findings: What is wrong with versions that consumers use; the worst first.
    """

    key: str
    at: datetime
    version: str = ""
    created: datetime | None = None
    expires: datetime | None = None
    problem: str = ""
    severity: Severity | None = None
    done: str = ""
    request: str = ""
    announced: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def address(self) -> tuple[str, str]:
        """See ``Row.address``."""
        return watched_partition(self.key.split("/")[2]), digest(self.key)


GAPS = "gaps"
"""The partition of ``Gap``."""


class Gap(Row, frozen=True, kw_only=True):
    """A version that no event has told of: the sweep found it.

    Attributes:
        created: When the vault made it.
        at: When it was found.
    """

    key: str
    version: str
    created: datetime
    at: datetime

    @property
    def address(self) -> tuple[str, str]:
        """See ``Row.address``."""
        return GAPS, digest(self.version)


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
