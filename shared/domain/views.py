"""What Keyturn shows of itself, as its HTTP API and the command line have it.

The JSON names are these in camel case. Times are UTC, ISO 8601. The OpenAPI document is made from
these classes, so a docstring here is what a client's author reads.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from shared.domain.callers import Caller
from shared.domain.findings import Finding
from shared.domain.policy import Mode, Rules
from shared.domain.proofs import Level
from shared.domain.rows import Evidence
from shared.domain.verdicts import Verdict


class View(Struct, frozen=True, kw_only=True, rename="camel"):
    """One thing that is shown."""


class ConsumerView(View, frozen=True, kw_only=True):
    """A reference of a resource to the key, in one rotation.

    Attributes:
        name: What people call the resource: a scope with its account, a file with its folders.
        place: Which of the resource's references it is: ``account``.
        form: ``pinned`` or ``versionless``; null: it was never read.
        before: What it named when it was first read: the URL of a key or of a version.
        in_use_before, in_use: The version that the service said it used, then and at the last look.
        verdict: Null while open.
        confirmed: Whether the closing scan has seen the verdict again.
        note: What the write does beside re-pointing.
        owed: What the resource is still owed: ``restore`` its versionless form, ``recreate`` it.
        healthy: Whether a blob could be written and read; null: that was not tried, or not told.
        request_id, correlation_id: Find the write in Azure's activity log.
    """

    resource: str
    name: str
    place: str
    kind: str
    kind_title: str
    location: str
    subscription: str
    form: str | None
    before: str | None
    in_use_before: str | None
    in_use: str | None
    verdict: Verdict | None
    level: Level | None
    reason: str | None
    advice: str | None
    found_at: datetime
    accepted_at: datetime | None
    closed_at: datetime | None
    confirmed: bool
    next_look_at: datetime | None
    note: str | None
    owed: str | None
    healthy: bool | None
    health: str | None
    request_id: str | None
    correlation_id: str | None


class ActView(View, frozen=True, kw_only=True):
    """What somebody did about a rotation.

    Attributes:
        until: Until when an approval lasts.
    """

    at: datetime
    action: str
    by: Caller
    reason: str
    until: datetime | None


class RotationSummary(View, frozen=True, kw_only=True):
    """A rotation, in a list.

    Attributes:
        state: How it ended, or ``paused``, ``waiting`` (for an approval or a change window) or the
            phase that it is in: ``discovering``, ``moving``, ``closing``, ``confirming``.
        counts: Consumers by verdict, once it has ended.
    """

    id: str
    key: str
    target: str
    state: str
    trigger: str
    reason: str | None
    opened_at: datetime
    ended_at: datetime | None
    counts: dict[str, int]


class RotationView(View, frozen=True, kw_only=True):
    """How a rotation stands.

    Attributes:
        request: Id of the request that was asked about; null: the rotation's own was.
        state: As in ``RotationSummary``.
        summary: One sentence.
        current_version_problem: Why the vault's current version cannot be used, where that is so:
            versionless consumers follow it all the same.
        preflight: What was foreseen, the worst first; null: nobody has looked yet.
        by: Who asked; null: an event or the timer.
        waits_for: Why it begins no write now, paused or not; null: it may.
        policy: Digest of the policy that the rules are from.
        rules: What holds for its key.
        evidence: The document that is kept about it for auditors; null: it has not ended, or
            ``evidenceProblem`` says why it cannot be kept.
        counts: Consumers by verdict; ``open``: without one.
        consumers: A thousand at most, those that need somebody first.
    """

    id: str
    request: str | None
    state: str
    summary: str
    key: str
    target: str
    target_created: datetime
    current_version_problem: str | None
    preflight: tuple[Finding, ...] | None
    trigger: str
    trigger_id: str | None
    reason: str | None
    by: Caller | None
    paused_because: str | None
    waits_for: str | None
    approved_until: datetime | None
    policy: str | None
    rules: Rules
    acts: tuple[ActView, ...]
    opened_at: datetime
    ended_at: datetime | None
    evidence: Evidence | None
    evidence_problem: str | None
    scope: str | None
    unreadable_subscriptions: tuple[str, ...]
    problem: str | None
    counts: dict[str, int]
    consumers: tuple[ConsumerView, ...]
    consumers_omitted: int


class RequestView(View, frozen=True, kw_only=True):
    """A wish for a rotation that has no rotation yet.

    Attributes:
        state: ``requested``, ``waiting`` (for an approval), or ``failed``.
    """

    id: str
    state: str
    summary: str
    key: str
    reason: str
    new_version: bool
    asked_at: datetime
    by: Caller | None
    needs_approval: bool
    problem: str | None


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
        next: Path and query of what comes after; null: nothing does.
    """

    items: tuple[T, ...]
    next: str | None


class KeySummary(View, frozen=True, kw_only=True):
    """A managed key, in a list.

    Attributes:
        rotation: Id of the rotation that is under way; null: none is.
        problem: Why the last try to open one failed, or what the last watch found.
        current, created, expires, watched_at: The newest version, as the last watch saw it; null:
            it was not watched yet.
    """

    key: str
    vault: str
    name: str
    mode: Mode
    handled: str | None
    rotation: str | None
    problem: str | None
    current: str | None
    created: datetime | None
    expires: datetime | None
    watched_at: datetime | None


class VersionView(View, frozen=True, kw_only=True):
    """A version of a key.

    Attributes:
        problem: Why it cannot be used now: ``disabled``; null: it can.
        consumers: How many of the known consumers use it, as their services last said.
    """

    version: str
    created: datetime
    enabled: bool
    not_before: datetime | None
    expires: datetime | None
    current: bool
    problem: str | None
    consumers: int


class KeyView(View, frozen=True, kw_only=True):
    """A managed key, read from its vault.

    Attributes:
        age_days: Of its newest version.
        target: The version that a rotation would move consumers to; null: none is usable.
        versions: The newest first.
        consumers: Known ones; they are counted by version in ``versions``.
        consumers_elsewhere: Those on a version that the vault does not know.
        consumers_unknown: Those whose services do not say which version they use.
        findings: What the last watch found, the worst first; null: it was not watched yet.
    """

    key: str
    vault: str
    name: str
    mode: Mode
    rules: Rules
    policy: str | None
    age_days: int
    expires: datetime | None
    target: str | None
    handled: str | None
    rotation: str | None
    problem: str | None
    versions: tuple[VersionView, ...]
    consumers: int
    consumers_elsewhere: int
    consumers_unknown: int
    watched_at: datetime | None
    findings: tuple[Finding, ...] | None


class PlannedConsumer(View, frozen=True, kw_only=True):
    """What a rotation would do about one resource, read just now.

    Attributes:
        action: ``repoint``, ``recreate``, ``nudge``, ``verify`` (nothing is written), ``manual``,
            ``outrun`` (it is on a newer version) or ``unknown`` (it could not be read).
        references: What it names: URLs of keys or versions.
    """

    resource: str
    name: str
    kind: str
    kind_title: str
    location: str
    action: str
    references: tuple[str, ...]
    in_use: str | None
    reason: str | None
    advice: str | None
    note: str | None


class PlanView(View, frozen=True, kw_only=True):
    """What a rotation would do, a page of it. Nothing is written.

    Attributes:
        target: The version that consumers would be moved to; null: one that is yet to be made.
        problem: Why there is none to move them to; null: there is.
        waits_for: Why a rotation would begin no write now; null: it would.
        scope: What has been searched, once that is all.
        next: Path and query of the next page; null: this is the last.
    """

    key: str
    target: str | None
    mode: Mode
    problem: str | None
    waits_for: str | None
    scope: str | None
    items: tuple[PlannedConsumer, ...]
    next: str | None


class SubscriptionView(View, frozen=True, kw_only=True):
    """A subscription that is searched.

    Attributes:
        declared: Whether the policy names it.
        readable: Whether every resource of the catalog's kinds may be read in it.
    """

    id: str
    declared: bool
    readable: bool
    problem: str | None


class ScopeView(View, frozen=True, kw_only=True):
    """Where consumers are looked for, asked just now.

    Attributes:
        statement: ``3 readable subscriptions; 1 not readable``, of this page.
        vaults: Those that may be managed.
        kinds: Titles of the kinds of resource that are looked for.
        config_sources: Places of deployment configs.
    """

    statement: str
    vaults: tuple[str, ...]
    kinds: tuple[str, ...]
    config_sources: tuple[str, ...]
    items: tuple[SubscriptionView, ...]
    next: str | None


class Health(StrEnum):
    """How a part of Keyturn is."""

    PASS = "pass"  # noqa: S105 - no password
    WARN = "warn"
    """It works; somebody should look."""
    FAIL = "fail"
    """Rotations cannot go on."""


class CheckView(View, frozen=True, kw_only=True):
    """One part that was looked at.

    Attributes:
        name: Such as ``storage``, ``queue``, ``vault kv1.vault.azure.net``.
        said: What was seen.
        advice: What to do; null: nothing.
    """

    name: str
    status: Health
    said: str
    advice: str | None


class HealthView(View, frozen=True, kw_only=True):
    """Whether Keyturn can do its work now.

    Attributes:
        status: The worst of the checks.
        version: Of Keyturn.
    """

    status: Health
    version: str
    checks: tuple[CheckView, ...]


class Alive(View, frozen=True, kw_only=True):
    """The app runs; what it needs may not."""

    status: str


class InvalidPart(View, frozen=True, kw_only=True):
    """One thing that is wrong with a request.

    Attributes:
        pointer: A JSON pointer into the body, ``#/reason``, or ``query/NAME``.
    """

    pointer: str
    detail: str


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request was not served: RFC 9457.

    Attributes:
        detail: What is wrong with this request, and what to do.
        errors: Every single problem.
    """

    type: str
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: str
    instance: str
    errors: tuple[InvalidPart, ...] = ()
