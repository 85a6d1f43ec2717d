"""What Keyturn remembers, one class per kind of row.

Rows are plain JSON values (key URLs and resource ids as text), so that a person can read them in
any table browser. Each carries the version of its schema: a row of a later schema is never read
by an earlier Keyturn as if it were its own.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Self

from msgspec import Struct
from msgspec.structs import replace

from shared.domain.callers import Caller
from shared.domain.findings import Finding
from shared.domain.keys import KeyVersion
from shared.domain.policy import Rules
from shared.domain.resources import digest
from shared.domain.tallies import Tally
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
        run: Number of the last run to ``handled``.
        handled: URL of the last version that a rotation was opened for.
        told: URL of the newest version when an event last told of the key and that version could
            not be moved to yet; empty: it never came to that.
        overtaken: Id of the rotation that ``active`` took over from; empty: from none.
        paused: Why ``active`` may not write for now; empty: it may.
        paused_itself: Whether it was Keyturn that paused it, and no person.
        approved_until: Until when ``active`` may begin writes, where its rules ask for an
            approval; ``None``: nobody has approved it.
        approval_asked_at: When approvers were told that ``active`` waits for them; ``None``: not
            since the last approval.
        cancelled: Why ``active`` may not write ever again; empty: it may.
        tolerated: How many failures somebody had seen when they last let ``active`` go on.
        recheck_at: When the sweep looks again at what the last rotation left; ``None``: never.
        problem: Why the last attempt to open one failed; empty: it did not.
        trouble: What a step about the key as such last raised; the poison trigger reports it.
    """

    key: str
    active: str | None = None
    handled: str | None = None
    told: str = ""
    run: int = 0
    overtaken: str = ""
    paused: str = ""
    paused_itself: bool = False
    approved_until: datetime | None = None
    approval_asked_at: datetime | None = None
    cancelled: str = ""
    tolerated: int = 0
    recheck_at: datetime | None = None
    problem: str = ""
    trouble: str = ""

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
        by: Who asked; ``None``: nobody did.
    """

    trigger: Literal["event", "sweep", "operator"]
    id: str
    reason: str = ""
    by: Caller | None = None


class Scope(Struct, frozen=True, kw_only=True):
    """Where consumers were looked for.

    Attributes:
        readable: How many subscriptions our identity may read in whole, and were searched.
        unreadable: How many had to be searched and could not be, or only in part.
        named: Their ids; the first hundred.
        lacking: The actions that our identity lacks in them, as far as that is known; the first
            twenty, sorted.
        files: How many files of the registered sources were read.
    """

    readable: int = 0
    unreadable: int = 0
    named: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    files: int = 0

    def plus(
        self, *, readable: int, unreadable: tuple[str, ...], lacking: Iterable[str] = ()
    ) -> Self:
        """Return the scope with further subscriptions."""
        return replace(
            self,
            readable=self.readable + readable,
            unreadable=self.unreadable + len(unreadable),
            named=(self.named + unreadable)[:100],
            lacking=tuple(sorted({*self.lacking, *lacking})[:20]),
        )

    @property
    def is_whole(self) -> bool:
        """Whether all that had to be searched could be read, and there was something."""
        return bool(self.readable) and not self.unreadable and not self.lacking

    def __str__(self) -> str:
        noun = "subscription" if self.readable == 1 else "subscriptions"
        hidden = f"; {self.unreadable} not readable" if self.unreadable else ""
        files = f" and {self.files} deployment files" if self.files else ""
        lacking = f"; lacking {', '.join(self.lacking)}" if self.lacking else ""
        return f"{self.readable} readable {noun}{files}{hidden}{lacking}"


class Evidence(Struct, frozen=True, kw_only=True):
    """Where the document about a concluded rotation is, and what tells that it was not changed.

    Attributes:
        name: Of the blob, in the container ``keyturn-evidence``.
        sha256: Of its bytes, in hex.
    """

    name: str
    sha256: str


class Phase(StrEnum):
    """How far a rotation has come."""

    DISCOVERING = "discovering"
    """Consumers are being looked for; the first of them may be moving already."""
    MOVING = "moving"
    """The inventory has been read to its end."""
    CLOSING = "closing"
    """All is moved: the inventory is read again, and so is each resource."""
    CONFIRMING = "confirming"
    """The inventory has been read again; some resources have not."""


class Rotation(Row, frozen=True, kw_only=True):
    """One run that moves every consumer of a key to one version.

    Attributes:
        id: Made of the key, the target and the run: the same wish gives the same id.
        target: URL of the version.
        key_type, bits: What kind of key the target is.
        expires, operations: When the target ends, and what it may be used for; ``None``: never,
            and not told.
        policy: Digest of the policy that ``rules`` are from.
        rules: What holds for the key. A changed policy takes hold at the supervisor's next look,
            and of what is not written yet at once; a write that was intended before goes on under
            the rules of its intent.
        policy_problem: Why the policy cannot be used now, so that nothing is begun; empty: it can.
        request: Id of the request that it was opened for; empty: for none. Others may have come
            to it since.
        overtaken: Id of the rotation that it took over from, and has concluded; empty: from none.
        recheck: Whether it only looks after what the run before it has moved.
        current_problem: Why the vault's current version is unusable, where it is: versionless
            consumers follow it all the same.
        phase: How far it has come, until it ends.
        discovered_at: When the inventory had been read to its end.
        scope: ``None`` until then.
        problem: Why it cannot succeed whatever the consumers do; empty: it can.
        outcome: ``None`` until the rotation has ended.
        counts: Consumers by verdict, once ended.
        settled_by_hand: How many of the ``manual`` ones a person answers for.
        evidence: The document about it; ``None``: there is none yet.
        replaced: The document before that, if somebody has settled something since it was kept.
        evidence_problem: Why there is none, though it has ended; it is tried again.
        ending_since: When a step last began to announce the end, and to let the key go; another
            one that comes then leaves it to that, for as long as it may take.
        traceparent: W3C trace context of the step that opened it: the parent of every step's span.
            Empty: nothing took spans then.
    """

    id: str
    key: str
    target: str
    target_created: datetime
    key_type: str
    bits: int | None = None
    expires: datetime | None = None
    operations: frozenset[str] | None = None
    run: int
    cause: Cause
    opened_at: datetime
    policy: str = ""
    rules: Rules = Rules()
    policy_problem: str = ""
    request: str = ""
    overtaken: str = ""
    recheck: bool = False
    current_problem: str = ""
    phase: Phase = Phase.DISCOVERING
    discovered_at: datetime | None = None
    scope: Scope | None = None
    problem: str = ""
    outcome: Outcome | None = None
    counts: dict[Verdict, int] = {}
    settled_by_hand: int = 0
    ended_at: datetime | None = None
    evidence: Evidence | None = None
    replaced: Evidence | None = None
    evidence_problem: str = ""
    ending_since: datetime | None = None
    traceparent: str = ""

    @property
    def address(self) -> tuple[str, str]:
        """See ``Row.address``."""
        return self.id, "rotation"


BEATS = "beats"
"""The partition of the beats."""


class Beat(Row, frozen=True, kw_only=True):
    """When a rotation's supervisor last looked. A row of its own, which nobody else changes.

    There is one as long as the rotation lives, all in one partition, for the sweep to look at.

    Attributes:
        at: Until the first look: when the rotation was opened.
        since: Since when it has looked without a long gap: what fell due in the gap is waiting in
            the queue, and is not overdue before it has had its time.
    """

    rotation: str
    at: datetime
    since: datetime

    @property
    def address(self) -> tuple[str, str]:
        """See ``Row.address``."""
        return BEATS, self.rotation


class Place(StrEnum):
    """Where a search looks, one after the other; the first two for each batch of subscriptions."""

    INVENTORY = "inventory"
    """Resource Graph: what names the vault."""
    PARENTS = "parents"
    """Resources whose children Resource Graph does not hold: each is asked for them."""
    FILES = "files"
    """The registered sources of deployment configs."""
    KNOWN = "known"
    """What earlier rotations have seen."""


class Search(Row, frozen=True, kw_only=True):
    """How far one reading of the inventory has come.

    Attributes:
        closing: Whether it is the closing scan's.
        page: Raised by every page; a message with another one is stale.
        at: When the last page was done.
        place: Where it looks now.
        after: What is behind it there: subscriptions up to this id, and sources up to this one,
            are searched or being searched; known resources are added up to this row key.
        batch: The subscriptions being searched; empty: take the next ones after ``after``.
        token: Continues within the batch, or within the source; empty: its first page.
        scope: What has been searched so far, this batch included.
        canaries: Ids of the kinds that have their canary.
        beside: What was counted beside consumers, by the id of its entry.
        trouble: What the page last raised; the poison trigger reports it.
    """

    rotation: str
    closing: bool
    at: datetime
    page: int = 0
    place: Place = Place.INVENTORY
    after: str = ""
    batch: tuple[str, ...] = ()
    token: str = ""
    scope: Scope = Scope()
    canaries: tuple[str, ...] = ()
    beside: dict[str, Tally] = {}
    trouble: str = ""

    @property
    def address(self) -> tuple[str, str]:
        """See ``Row.address``."""
        return self.rotation, "closing-search" if self.closing else "search"


class Foresight(Row, frozen=True, kw_only=True):
    """What a look ahead has found; there is none before it was taken.

    Attributes:
        at: When it was taken.
        tenant: Id of the vault's tenant; empty: it could not be read, or it is a managed HSM.
        findings: The worst first.
    """

    rotation: str
    at: datetime
    tenant: str = ""
    findings: tuple[Finding, ...] = ()

    @property
    def address(self) -> tuple[str, str]:
        """See ``Row.address``."""
        return self.rotation, "preflight"


def rotation_id(target: KeyVersion, run: int) -> str:
    """Return the id of the ``run``-th rotation to ``target``."""
    return f"{digest(str(target))[:20]}-{run}"


class Lease(Row, frozen=True, kw_only=True):
    """The right to write to a resource: one writer at a time, across keys and rotations.

    Attributes:
        holder: Id of the rotation that may write; empty: none.
        target: The version that it writes.
        until: When the lease runs out, should the holder be lost.
        unanswered: Versions that holders who never gave the lease back were about to write, and
            when that was noted: such a write may still arrive.
    """

    resource: str
    holder: str = ""
    target: str = ""
    until: datetime
    unanswered: dict[str, datetime] = {}

    @property
    def address(self) -> tuple[str, str]:
        """See ``Row.address``."""
        return digest(self.resource), "lease"


Owing = Literal["", "restore", "recreate"]
"""A versionless reference that was pinned for a moment has its form to get back; a resource that
was deleted has to be made again."""


class Debt(Row, frozen=True, kw_only=True):
    """What a resource needs of us, whatever becomes of the rotation.

    Kept before the write that makes it necessary, and until it is paid.

    Attributes:
        rotation: Id of the rotation that owes it; its work says so too.
        body: ``restore``: the resource as it was; ``recreate``: the definition to send.
    """

    resource: str
    rotation: str
    owes: Owing
    body: dict[str, Any]
    since: datetime

    @property
    def address(self) -> tuple[str, str]:
        """See ``Row.address``."""
        return debt_address(self.resource)


def debt_address(resource: str) -> tuple[str, str]:
    """Return partition and row key of what a resource is owed."""
    return digest(resource), "debt"


class Known(Row, frozen=True, kw_only=True):
    """A resource that was ever seen to hold a key: the inventory may forget it, we do not.

    Attributes:
        versions: Every version that each of its consumers was seen on, by place; the last one is
            that which it was on when last looked at.
        places: Of its consumers, those that held it when a rotation last looked.
        holds: Whether there were any.
        rotation: That rotation.
        doubted: Whether a write of ours was not seen to end well, where only its operation tells:
            what the resource shows of that version proves nothing.
    """

    key: str
    resource: str
    kind: str
    location: str
    versions: dict[str, tuple[str, ...]] = {}
    places: tuple[str, ...] = ()
    holds: bool = True
    rotation: str = ""
    doubted: bool = False

    @property
    def address(self) -> tuple[str, str]:
        """See ``Row.address``."""
        return digest(self.key), digest(self.resource)


class Lane(Row, frozen=True, kw_only=True):
    """How far the requests to one provider, in one region of one subscription, are planned.

    Attributes:
        reads, writes: State of each budget, see ``pacing``.
        blocked_until: No request before then: the service asked us to wait.
    """

    lane: str
    reads: tuple[datetime, ...] = ()
    writes: tuple[datetime, ...] = ()
    blocked_until: datetime | None = None

    @property
    def address(self) -> tuple[str, str]:
        """See ``Row.address``."""
        return digest(self.lane), "lane"
