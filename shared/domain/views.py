"""What Keyturn shows of itself, as its HTTP API and the command line have it.

The JSON names are these in camel case. Times are UTC, ISO 8601. The OpenAPI document is made from
these classes, so a docstring here is what a client's author reads.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Meta, Struct

from shared.domain.callers import Caller
from shared.domain.findings import Finding
from shared.domain.policy import Rules
from shared.domain.proofs import Level
from shared.domain.records import Settlement
from shared.domain.rows import Evidence
from shared.domain.verdicts import Verdict

type Time = Annotated[datetime, Meta(tz=True)]


class View(Struct, frozen=True, kw_only=True, rename="camel"):
    """One thing that is shown."""


class State(StrEnum):
    """How a rotation stands, in a word: how it ended, why it waits, or its phase."""

    DISCOVERING = "discovering"
    MOVING = "moving"
    CLOSING = "closing"
    CONFIRMING = "confirming"
    NEEDS_APPROVAL = "needs_approval"
    PAUSED = "paused"
    COMPLETED = "completed"
    NOTHING_FOUND = "nothing_found"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"


class ConsumerView(View, frozen=True, kw_only=True):
    """A reference of a resource to the key, in one rotation.

    Attributes:
        resource: Id of an Azure resource, or URL of a file.
        name: What people call the resource: a scope with its account, a file with its folders.
        place: Which of the resource's references it is: ``account``.
        kind, kind_title: What kind of resource it is, for programs and for people.
        location: Azure region; empty: none is known.
        subscription: Id; empty: it lies in none, or none is known.
        form: ``pinned`` or ``versionless``; null: it was never read.
        before: What it named when it was first read: the URL of a key or of a version.
        in_use_before: The version that the service said it used, then; null: it did not say.
        in_use: The same at the last look.
        verdict: Null while open.
        level: How strong the proof is; null: there is none.
        reason: Of the verdict, or of the last look that gave none.
        advice: What a person has to do; null: nothing.
        settled: Who answers for a ``manual`` by their word, which is no proof; null: nobody.
        found_at: When it was found.
        accepted_at: When the service took the write; null: nothing was written.
        closed_at: When the verdict was given.
        confirmed: Whether the closing scan has seen the verdict again.
        next_look_at: When it is looked at again; null: it is not planned.
        note: What the write does beside re-pointing.
        owed: What the resource is still owed: ``restore`` its versionless form, ``recreate`` it.
        healthy: Whether a blob could be written and read; null: that was not tried, or not told.
        health: What was seen then.
        request_id: Our id of the write, in Azure's activity log.
        correlation_id: Azure's.
    """

    resource: str
    name: str
    place: str
    kind: str
    kind_title: str
    location: str
    subscription: str
    form: Literal["pinned", "versionless"] | None
    before: str | None
    in_use_before: str | None
    in_use: str | None
    verdict: Verdict | None
    level: Level | None
    reason: str | None
    advice: str | None
    settled: Settlement | None
    found_at: Time
    accepted_at: Time | None
    closed_at: Time | None
    confirmed: bool
    next_look_at: Time | None
    note: str | None
    owed: str | None
    healthy: bool | None
    health: str | None
    request_id: str | None
    correlation_id: str | None


class ActView(View, frozen=True, kw_only=True):
    """What somebody did about a rotation.

    Attributes:
        at: When.
        action: ``ask``, ``pause``, ``resume``, ``cancel``, ``retry``, ``approve`` or ``settle``.
        by: Who.
        reason: In their words.
        until: Until when an approval lasts.
    """

    at: Time
    action: str
    by: Caller
    reason: str
    until: Time | None


class RotationSummary(View, frozen=True, kw_only=True):
    """A rotation, in a list.

    Attributes:
        id: Made of the key, the version and the number of the run.
        key: URL of the key.
        target: URL of the version that consumers are moved to.
        state: How it stands.
        trigger: ``event``, ``sweep`` (the timer) or ``operator`` (a call of this API).
        reason: In the words of who asked; null: nobody did.
        opened_at: When it began.
        ended_at: When it ended; null: it has not.
        counts: Consumers by verdict, once it has ended.
        settled_by_hand: How many of the ``manual`` ones a person answers for; none is proven.
    """

    id: str
    key: str
    target: str
    state: State
    trigger: str
    reason: str | None
    opened_at: Time
    ended_at: Time | None
    counts: dict[str, int]
    settled_by_hand: int


class RotationView(View, frozen=True, kw_only=True):
    """How a rotation stands.

    Attributes:
        id: Made of the key, the version and the number of the run.
        request: Id of the request that was asked about; null: the rotation's own was.
        state: How it stands.
        summary: The same in a sentence.
        key: URL of the key.
        target: URL of the version that consumers are moved to.
        target_created: When the vault made it.
        current_version_problem: Why the vault's current version cannot be used, where that is so:
            versionless consumers follow it all the same.
        preflight: What was foreseen, the worst first; null: nobody has looked yet.
        trigger: ``event``, ``sweep`` (the timer) or ``operator`` (a call of this API).
        trigger_id: Id of the event or the request; when the sweep was.
        reason: In the words of who asked; null: nobody did.
        by: Who asked; null: an event or the timer.
        paused_because: Why it is paused; null: it is not.
        waits_for: Why it begins no write now, paused or not; null: it may.
        approved_until: When its approval runs out; null: nobody has approved it.
        policy: Digest of the policy that the rules are from.
        rules: What holds for its key.
        acts: What people did about it, the oldest first.
        opened_at: When it began.
        ended_at: When it ended; null: it has not.
        evidence: The document that is kept about it for auditors; null: it has not ended, or
            ``evidenceProblem`` says why it cannot be kept.
        evidence_problem: Why that cannot be kept so far; null: it can.
        scope: Where consumers were looked for; null: they still are.
        unreadable_subscriptions: Ids of those that had to be searched and could not be read whole.
        problem: Why it cannot succeed whatever the consumers do; null: it can.
        counts: Consumers by verdict; ``open``: without one.
        settled_by_hand: How many of the ``manual`` ones a person answers for; none is proven.
        consumers: A thousand at most, those that need somebody before others.
        consumers_omitted: How many more there are: ``/consumers`` lists them all.
    """

    id: str
    request: str | None
    state: State
    summary: str
    key: str
    target: str
    target_created: Time
    current_version_problem: str | None
    preflight: tuple[Finding, ...] | None
    trigger: str
    trigger_id: str | None
    reason: str | None
    by: Caller | None
    paused_because: str | None
    waits_for: str | None
    approved_until: Time | None
    policy: str | None
    rules: Rules
    acts: tuple[ActView, ...]
    opened_at: Time
    ended_at: Time | None
    evidence: Evidence | None
    evidence_problem: str | None
    scope: str | None
    unreadable_subscriptions: tuple[str, ...]
    problem: str | None
    counts: dict[str, int]
    settled_by_hand: int
    consumers: tuple[ConsumerView, ...]
    consumers_omitted: int


class RequestView(View, frozen=True, kw_only=True):
    """A wish for a rotation that has no rotation yet.

    Attributes:
        id: Answers for the rotation once there is one.
        state: ``failed``, ``cancelled``: there will be no rotation.
        summary: The same in a sentence.
        key: URL of the key.
        reason: In the words of who asked.
        new_version: Whether the vault is to make a version first.
        asked_at: When.
        by: Who asked; null: nobody did, a version nears its end.
        needs_approval: Whether an approver has to agree before the vault is asked.
        waits_for: Why the vault is not asked yet, such as for a change window; null: it may be.
        problem: Why there will be no rotation, or why an approval is needed once more; null: there
            may be, and it is not.
        acts: What people did about it, the oldest first.
    """

    id: str
    state: Literal["requested", "needs_approval", "failed", "cancelled"]
    summary: str
    key: str
    reason: str
    new_version: bool
    asked_at: Time
    by: Caller | None
    needs_approval: bool
    waits_for: str | None
    problem: str | None
    acts: tuple[ActView, ...]


class Accepted(View, frozen=True, kw_only=True):
    """A wish was taken: ``Location`` shows what becomes of it.

    Attributes:
        id: Of the request, or of the rotation.
        state: What was accepted.
    """

    id: str
    state: str


class Page[T](View, frozen=True, kw_only=True):
    """Some of many.

    Attributes:
        items: In an order that stays the same.
        next: Path and query of what comes after; null: nothing does.
    """

    items: tuple[T, ...]
    next: str | None


class InvalidPart(View, frozen=True, kw_only=True):
    """One thing that is wrong with a request.

    Attributes:
        pointer: A JSON pointer into the body, ``#/reason``; ``query/NAME``; or ``policy``.
        detail: What is wrong with it.
    """

    pointer: str
    detail: str


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request was not served: RFC 9457.

    Attributes:
        type: Always ``about:blank``: the status says what kind of problem it is.
        title: The status in words.
        status: That of the answer.
        detail: What is wrong with this request, and what to do.
        instance: Path of what was asked for.
        errors: Every single problem.
    """

    type: str
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: str
    instance: str
    errors: tuple[InvalidPart, ...] = ()
