"""What Keyturn shows of keys: how they stand, and what a rotation of one would do."""

from typing import Literal

from shared.domain.findings import Finding
from shared.domain.policy import Mode, Rules
from shared.domain.views import Page, Time, View


class UnlistedVault(View, frozen=True, kw_only=True):
    """A vault whose keys could not be listed.

    Attributes:
        vault: Its host.
        problem: Why.
    """

    vault: str
    problem: str


class KeyPage[T](Page[T], frozen=True, kw_only=True):
    """Some keys.

    Attributes:
        items: By vault and name.
        next: Path and query of what comes after; null: nothing does.
        unlisted: Vaults whose keys are missing here.
    """

    unlisted: tuple[UnlistedVault, ...]


class KeySummary(View, frozen=True, kw_only=True):
    """A managed key, in a list.

    Attributes:
        key: Its URL.
        vault: Its vault's host.
        name: Its name in the vault.
        mode: How far Keyturn may go with it by itself.
        handled: URL of the last version that a rotation was opened for; null: none was.
        rotation: Id of the rotation that is under way; null: none is.
        problem: Why the last try to open one failed, or what the last watch found.
        current: URL of its newest version when it was last watched; null: it was not yet.
        created: When that was made.
        expires: When that expires; null: never, or it was not watched yet.
        watched_at: When it was last watched.
    """

    key: str
    vault: str
    name: str
    mode: Mode
    handled: str | None
    rotation: str | None
    problem: str | None
    current: str | None
    created: Time | None
    expires: Time | None
    watched_at: Time | None


class VersionView(View, frozen=True, kw_only=True):
    """A version of a key.

    Attributes:
        version: Its URL.
        created: When the vault made it.
        enabled: Whether it is.
        not_before: Before which it cannot be used; null: it always could.
        expires: When it expires; null: never.
        current: Whether the vault gives it to who names no version.
        problem: Why it cannot be used now: ``disabled``; null: it can.
        consumers: How many of the known consumers use it, as their services last said.
    """

    version: str
    created: Time
    enabled: bool
    not_before: Time | None
    expires: Time | None
    current: bool
    problem: str | None
    consumers: int


class KeyView(View, frozen=True, kw_only=True):
    """A managed key, read from its vault.

    Attributes:
        key: Its URL.
        vault: Its vault's host.
        name: Its name in the vault.
        mode: How far Keyturn may go with it by itself.
        rules: What the policy says about it.
        policy: Digest of the policy.
        age_days: Whole days since its newest version was made.
        expires: When its newest version expires; null: never.
        target: The version that a rotation would move consumers to; null: none is usable.
        handled: URL of the last version that a rotation was opened for; null: none was.
        rotation: Id of the rotation that is under way; null: none is.
        problem: Why the last try to open one failed, or what is wrong with the newest version.
        versions: The newest first.
        consumers: Known ones; they are counted by version in ``versions``.
        consumers_elsewhere: Those on a version that the vault does not know.
        consumers_unknown: Those whose services do not say which version they use.
        watched_at: When its age and its end were last looked at; null: not yet.
        findings: What the last watch found, the worst first; null: it was not watched yet.
    """

    key: str
    vault: str
    name: str
    mode: Mode
    rules: Rules
    policy: str
    age_days: int
    expires: Time | None
    target: str | None
    handled: str | None
    rotation: str | None
    problem: str | None
    versions: tuple[VersionView, ...]
    consumers: int
    consumers_elsewhere: int
    consumers_unknown: int
    watched_at: Time | None
    findings: tuple[Finding, ...] | None


PlannedAction = Literal[
    "repoint", "recreate", "nudge", "verify", "manual", "outrun", "unknown", "not_applicable"
]


class PlannedConsumer(View, frozen=True, kw_only=True):
    """What a rotation would do about one resource, read just now.

    Attributes:
        resource: Id of an Azure resource, or URL of a file; the title of what is only counted.
        name: What people call the resource: a scope with its account, a file with its folders.
        kind, kind_title: What kind of resource it is, for programs and for people.
        location: Azure region; empty: none is known.
        action: ``verify``: nothing is written; ``outrun``: it is on a newer version; ``unknown``:
            it could not be read; ``not_applicable``: it has no reference that could be moved.
        references: What it names: URLs of keys or versions.
        in_use: The version that the service says it uses; null: it does not say.
        reason: Of the action.
        advice: What a person has to do; null: nothing.
        note: What the write does beside re-pointing.
    """

    resource: str
    name: str
    kind: str
    kind_title: str
    location: str
    action: PlannedAction
    references: tuple[str, ...]
    in_use: str | None
    reason: str | None
    advice: str | None
    note: str | None


class PlanView(View, frozen=True, kw_only=True):
    """What a rotation would do, a page of it. Nothing is written.

    Attributes:
        key: URL of the key.
        target: The version that consumers would be moved to; null: one that is yet to be made.
        mode: How far Keyturn may go with the key by itself.
        problem: Why there is none to move them to; null: there is.
        waits_for: Why a rotation would begin no write now; null: it would.
        scope: What has been searched, once that is all; null: there are more pages.
        searched_whole: Whether all that had to be searched could be read; null: as ``scope``.
        items: What would be done, by resource.
        next: Path and query of the next page; null: this is the last.
    """

    key: str
    target: str | None
    mode: Mode
    problem: str | None
    waits_for: str | None
    scope: str | None
    searched_whole: bool | None
    items: tuple[PlannedConsumer, ...]
    next: str | None
