"""The unit of work: one resource in one rotation, and the pure steps from one row to the next."""

from collections.abc import Iterable
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Literal, Self

from msgspec import Struct
from msgspec.structs import replace

from shared.domain.errors import InvalidKeyUrlError, PermanentError
from shared.domain.keys import KeyVersion, parse_key_url
from shared.domain.kinds import Kind
from shared.domain.proofs import Level
from shared.domain.records import Settlement
from shared.domain.resources import Reference, digest
from shared.domain.rows import Owing, Row
from shared.domain.verdicts import CONFIRMED, FAILURES, PROVEN, SETTLED, Verdict


class Consumer(Struct, frozen=True, kw_only=True):
    """One reference of a resource, in one rotation.

    Attributes:
        pinned: Whether it named a version then; a versionless one follows the vault by itself.
            ``None``: it was never read.
        before: What it named when we first read it: a key URL, with or without a version.
        in_use_before: Version that the service then said it used; ``None``: it did not say.
        in_use: The same at the last look.
        after: What it named at the last look; empty: it did not refer to the key any more.
        verdict: ``None`` while open. Then ``reason`` says why, and ``advice`` what to do.
        level: What the proof is worth, where there is one.
    """

    place: str
    before: str
    pinned: bool | None
    in_use_before: str | None = None
    in_use: str | None = None
    after: str = ""
    verdict: Verdict | None = None
    level: Level | None = None
    reason: str = ""
    advice: str = ""

    @property
    def seen_on(self) -> tuple[str, ...]:
        """URLs of the versions it was seen on, the later last.

        Where the service does not say which it uses, those that the reference names.
        """
        reported = tuple(version for version in (self.in_use_before, self.in_use) if version)
        return reported or tuple(url for url in (self.before, self.after) if _names_version(url))


def _names_version(url: str) -> bool:
    try:
        return isinstance(parse_key_url(url), KeyVersion)
    except InvalidKeyUrlError:
        return False


class Intent(Struct, frozen=True, kw_only=True):
    """We are about to write, or have: saved before every write, kept ever after.

    Attributes:
        request_id: Sent as ``x-ms-client-request-id``; finds the write in Azure's activity log.
        policy: Digest of the policy under which it was decided.
    """

    request_id: str
    at: datetime
    policy: str = ""


class Wave(IntEnum):
    """In which order the resources of a rotation are let go."""

    NO_WRITE = 0
    """By the inventory nothing has to be written: it is on the target, or versionless."""
    CANARY = 1
    """The first of its kind."""
    REST = 2
    """Once the canaries have ended well."""


class Stage(StrEnum):
    """What a resource of a rotation still waits for."""

    OPEN = "open"
    """To be moved and proven."""
    CONFIRM = "confirm"
    """It has its verdict, and is read once more by the closing scan."""
    UNSETTLED = "unsettled"
    """It ended with a verdict that somebody must look at."""
    DONE = "done"
    """Nothing."""


Next = Literal["repoint", "verify", "confirm", "pay"]
"""The step that a resource waits for."""

SHARDS = 4
"""Partitions of one rotation's work: a partition takes some 2,000 operations a second."""


def work_address(rotation: str, resource: str) -> tuple[str, str]:
    """Return partition and row key of a rotation's work on a resource, given by its digest."""
    return f"{rotation}-{int(resource[:1] or '0', 16) % SHARDS}", resource


def lane_of(resource: str, location: str) -> str:
    """Return what shares a budget of requests: subscription, region and provider, or a host."""
    parts = resource.lower().split("/")
    if not resource.startswith("/"):
        return "".join(parts[2:3])
    subscription, provider = "".join(parts[2:3]), "".join(parts[6:7])
    return f"{subscription}/{location.lower()}/{provider}"


class Work(Row, frozen=True, kw_only=True):
    """One resource in one rotation: the unit of work.

    Attributes:
        twice: Whether to move it takes two writes: the second gives back what the first took.
        seq: Raised by every step; a message with another one is stale.
        next: The step that is due.
        due_at: When it is, as far as the last step said; see ``Outstanding``.
        read_at: When it was first read, in this try and since it could be written to: a window
            without a write begins then.
        decided: Whether a write was intended in this try, and has got no answer: it goes on under
            the rules of its intent.
        accepted_at: When the service accepted our write; ``None``: nothing was written.
        correlation_id: The write's ``x-ms-correlation-request-id``.
        writes: How many writes in a row got no answer, the one under way included.
        sent: How many writes were sent in all, but for those that were surely not taken because
            the service was busy.
        operation: Where ARM says how a long-running write goes; empty: the answer was final.
        prepared_at: When the service accepted to make what must be there before the write.
        preparing: The same as ``operation``, of that.
        doubts: How often a look since the write has shown what was there before it.
        rounds: How often it was moved again because a late write of ours had undone it.
        owes: What the resource needs of us whatever becomes of the rotation, see ``rows.Debt``;
            empty: nothing. Work that owes stays open, even with a verdict.
        owed: What it has owed, and owes no longer: it was given back, or there is nothing any more
            that it could be given back to.
        payments: How many writes for that were accepted.
        note: What the write does beside re-pointing, for people.
        healthy, health: What came of trying the resource out once it was proven, see ``Health``;
            an empty ``health``: it was not tried.
        settlement: Who answers for its ``manual``; ``None``: nobody does.
        through: Id of the resource through which it depends on the key; empty: it has, or had, a
            reference of its own.
        trouble: What the last failed step raised; the poison trigger reports it.
    """

    rotation: str
    key: str
    resource: str
    kind: str
    location: str
    found_at: datetime
    through: str = ""
    wave: Wave = Wave.REST
    twice: bool = False
    seq: int = 0
    stage: Stage = Stage.OPEN
    next: Next = "repoint"
    due_at: datetime | None = None
    read_at: datetime | None = None
    intent: Intent | None = None
    decided: bool = False
    accepted_at: datetime | None = None
    writes: int = 0
    sent: int = 0
    correlation_id: str = ""
    operation: str = ""
    prepared_at: datetime | None = None
    preparing: str = ""
    doubts: int = 0
    rounds: int = 0
    owes: Owing = ""
    owed: Owing = ""
    payments: int = 0
    note: str = ""
    healthy: bool | None = None
    health: str = ""
    consumers: tuple[Consumer, ...] = ()
    closed_at: datetime | None = None
    settlement: Settlement | None = None
    trouble: str = ""

    @property
    def address(self) -> tuple[str, str]:
        """See ``Row.address``."""
        return work_address(self.rotation, digest(self.resource))

    @property
    def lane(self) -> str:
        """See ``lane_of``."""
        return lane_of(self.resource, self.location)


class Outstanding(Row, frozen=True, kw_only=True):
    """The index of work that is not done: what the supervisor reads, beside the work itself.

    Changed together with its work in one transaction, so that it exists exactly while the work is
    not done.

    Attributes:
        resource: Digest of the resource's id.
        twice: See ``Work``.
        written: Whether it ended after a write was begun.
        moved: Whether it was written to, and then proven.
        due_at: When the next step is to run; ``None``: not until the supervisor releases it.
        nudged_at: When its message was last sent again because it was overdue.
        nudges: How often that was.
        failed: Whether it ended with a verdict that counts against the failure limit.
    """

    rotation: str
    resource: str
    stage: Stage
    wave: Wave
    lane: str
    kind: str
    next: Next
    seq: int
    due_at: datetime | None = None
    nudged_at: datetime | None = None
    nudges: int = 0
    failed: bool = False
    twice: bool = False
    written: bool = False
    moved: bool = False

    @classmethod
    def of(cls, work: Work) -> Self:
        """Return the entry of ``work``, which is not done."""
        return cls(
            rotation=work.rotation,
            resource=digest(work.resource),
            stage=work.stage,
            wave=work.wave,
            lane=work.lane,
            kind=work.kind,
            next=work.next,
            seq=work.seq,
            due_at=work.due_at,
            failed=any(c.verdict in FAILURES for c in work.consumers),
            twice=work.twice,
            written=work.intent is not None and any(c.verdict for c in work.consumers),
            moved=work.accepted_at is not None and any(c.verdict in PROVEN for c in work.consumers),
        )

    @property
    def address(self) -> tuple[str, str]:
        """See ``Row.address``."""
        partition, resource = work_address(self.rotation, self.resource)
        return partition, f"{outstanding_prefix(self.stage, self.wave)}{resource}"


def outstanding_prefix(stage: Stage, wave: Wave | None = None) -> str:
    """Return how the row keys of a stage, or of a wave in it, begin; none can be a digest's."""
    return f"todo-{stage}-" if wave is None else f"todo-{stage}-{wave:d}-"


def observe(
    work: Work, references: Iterable[Reference], in_use: KeyVersion | None, now: datetime
) -> Work:
    """Record what the resource shows now.

    The first time this is the *before* of its consumers, and stays so: after a crash behind a
    write, a second reading must not turn "moved" into "already".
    """
    now_in_use = str(in_use) if in_use else None
    work = replace(work, read_at=work.read_at or now)
    if work.consumers:
        named = {r.place: str(r) for r in references}
        seen = (replace(c, in_use=now_in_use, after=named.get(c.place, "")) for c in work.consumers)
        return replace(work, consumers=tuple(seen))
    consumers = tuple(
        Consumer(
            place=r.place,
            before=str(r),
            pinned=r.pinned is not None,
            in_use_before=now_in_use,
            in_use=now_in_use,
            after=str(r),
        )
        for r in references
    )
    return replace(work, consumers=consumers)


def look_at(work: Work, when: datetime) -> Work:
    """Set the next look, and make every earlier message stale."""
    return replace(work, seq=work.seq + 1, next="verify", due_at=when, trouble="")


def pay_at(work: Work, when: datetime) -> Work:
    """Set the next try to pay what the work owes; every earlier message is stale."""
    return replace(work, seq=work.seq + 1, next="pay", due_at=when, trouble="")


def paid(work: Work) -> Work:
    """Owe nothing any more; a verdict that was waiting for that stands from now on."""
    work = replace(work, owes="", owed=work.owes, payments=0, doubts=0, trouble="")
    work = replace(work, seq=work.seq + 1, due_at=None)
    verdicts = {c.verdict for c in work.consumers if c.verdict}
    if not verdicts:
        return work
    return replace(work, stage=_stage_after(work, verdicts.pop()), next="confirm")


def hold(work: Work) -> Work:
    """Set the work aside until the supervisor releases it; every earlier message is stale."""
    return replace(work, seq=work.seq + 1, due_at=None, trouble="")


def set_aside(work: Work) -> Work:
    """Hold the work while its rotation may not write; a window without a write begins after that.

    Else it would close while nobody may move anything, its owner as little as we.
    """
    return replace(hold(work), read_at=work.read_at if work.intent else None)


def promote(work: Work) -> Work:
    """Let the work go ahead of its kind's others: no canary before it was moved."""
    return replace(work, wave=Wave.CANARY)


def reopen(work: Work) -> Work:
    """Take back the verdict, to be moved again once released; the *before* stays.

    That is another try, under the rules that hold by then.
    """
    return replace(
        work,
        seq=work.seq + 1,
        stage=Stage.OPEN,
        wave=Wave.CANARY if work.wave is Wave.CANARY else Wave.REST,
        next="repoint",
        due_at=None,
        read_at=None,
        decided=False,
        consumers=tuple(
            replace(c, verdict=None, level=None, reason="", advice="")
            for c in work.consumers
            if c.pinned is not None
        ),
        closed_at=None,
        settlement=None,
        trouble="",
    )


def confirm(work: Work) -> Work:
    """Let the verdict stand: the closing scan has seen it again."""
    return replace(work, seq=work.seq + 1, stage=Stage.DONE, due_at=None)


def close(  # noqa: PLR0913 - the parts of a verdict
    work: Work,
    verdict: Verdict,
    now: datetime,
    *,
    reason: str,
    advice: str = "",
    level: Level | None = None,
) -> Work:
    """Give every consumer its verdict; a resource that was never read gets one for itself.

    What the work owes is paid first: until then it stays open.
    """
    consumers = work.consumers or (Consumer(place="resource", before="", pinned=None),)
    closed = replace(
        work,
        consumers=tuple(
            replace(c, verdict=verdict, reason=reason, advice=advice, level=level)
            for c in consumers
        ),
        seq=work.seq + 1,
        stage=_stage_after(work, verdict),
        next="confirm",
        due_at=None,
        closed_at=now,
    )
    return replace(closed, stage=Stage.OPEN, next="pay", due_at=now) if work.owes else closed


def _stage_after(work: Work, verdict: Verdict) -> Stage:
    if verdict not in SETTLED:
        return Stage.UNSETTLED
    is_confirmed = work.next == "confirm" or verdict not in CONFIRMED
    return Stage.DONE if is_confirmed else Stage.CONFIRM


def close_with_error(
    work: Work, kind: Kind, verdict: Verdict, now: datetime, error: PermanentError
) -> Work:
    """Close with an error's text, and with the catalog's advice on its code."""
    advice = kind.advice.get(error.code, "see the message; when it is mended, rotate again")
    return close(work, verdict, now, reason=str(error), advice=advice)
