"""What a key has coming: its newest version runs out or is too old, or one in use cannot serve."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.findings import Finding, Severity
from shared.domain.keys import Key, KeyVersion, VersionState
from shared.domain.policy import Mode, Reaction, Rules
from shared.domain.usage import Usage, Users

MOST_FINDINGS = 20

RECOVERY = timedelta(hours=1)
"""How long an account that had lost its key may take to see that it is back, and until then takes
up no version. Source: Cosmos DB, "Troubleshoot customer-managed keys": up to an hour."""

_MENDED_FOR = timedelta(days=7)
"""For how long a command that we propose makes an expired version valid again."""

_STRONGEST_FIRST = (Reaction.ROTATE, Reaction.ASK, Reaction.ALARM)


class Trouble(StrEnum):
    """What the newest version of a key has."""

    EXPIRED = "expired"
    NEAR_EXPIRY = "near_expiry"
    OVERAGE = "overage"
    """It is older than the cryptoperiod."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """Why something has to be done about a key.

    Attributes:
        text: For people: ``https://… expires on 2026-12-23 18:00 UTC``.
        reaction: What the rules want done; never ``ignore``.
    """

    trouble: Trouble
    severity: Severity
    text: str
    reaction: Reaction


def concern_of(newest: VersionState, rules: Rules, now: datetime) -> Concern | None:
    """Return what has to be done about a key, the first of ``concerns_of``; ``None``: nothing."""
    return next(iter(concerns_of(newest, rules, now)), None)


def concerns_of(newest: VersionState, rules: Rules, now: datetime) -> tuple[Concern, ...]:
    """Return why something has to be done about a key, the strongest reaction first.

    Of equal reactions that of the expiry is the first. A newest version that is disabled has no
    concern: whoever did that does not want another one. One that was near its end from its first
    moment is not followed before it ends, since its successor may be so too.

    Args:
        newest: The version that the vault names when none is asked for.
        rules: What holds for the key. Their mode bounds the reaction: who may only observe makes
            no version, and who needs an approval asks for it.
        now: The moment.
    """
    if not newest.enabled:
        return ()
    found = [*_of_expiry(newest, rules, now), *_of_age(newest, rules, now)]
    wanted = [concern for concern in found if concern.reaction is not Reaction.IGNORE]
    return tuple(sorted(wanted, key=lambda c: _STRONGEST_FIRST.index(c.reaction)))


def _of_expiry(newest: VersionState, rules: Rules, now: datetime) -> Iterator[Concern]:
    if newest.expires is None:
        return
    when = _at(newest.expires)
    if newest.expires <= now:
        yield Concern(
            trouble=Trouble.EXPIRED,
            severity=Severity.BLOCKER,
            text=f"{newest.id} expired on {when}",
            reaction=_within(rules.mode, rules.expired),
        )
    elif newest.expires - now <= timedelta(days=rules.near_expiry_days):
        text, reaction = f"{newest.id} expires on {when}", _within(rules.mode, rules.near_expiry)
        if reaction in (Reaction.ASK, Reaction.ROTATE) and _lives_briefly(newest, rules):
            # The next one may live no longer, and would be followed at once, without end.
            days, reaction = rules.near_expiry_days, Reaction.ALARM
            text += f"; it was made to live no longer than nearExpiryDays ({days}): lower that"
        yield Concern(
            trouble=Trouble.NEAR_EXPIRY, severity=Severity.WARNING, text=text, reaction=reaction
        )


def _lives_briefly(newest: VersionState, rules: Rules) -> bool:
    """Return whether a version was near its end from its first moment."""
    life = newest.expires - newest.created if newest.expires else timedelta.max
    return life <= timedelta(days=rules.near_expiry_days)


def _of_age(newest: VersionState, rules: Rules, now: datetime) -> Iterator[Concern]:
    age = now - newest.created
    if rules.max_age_days and age > timedelta(days=rules.max_age_days):
        text = f"{newest.id} is {age.days} days old, and its cryptoperiod {rules.max_age_days} days"
        yield Concern(
            trouble=Trouble.OVERAGE,
            severity=Severity.WARNING,
            text=text,
            reaction=_within(rules.mode, rules.overage),
        )


def _within(mode: Mode, reaction: Reaction) -> Reaction:
    if mode is Mode.OBSERVE and reaction in (Reaction.ASK, Reaction.ROTATE):
        return Reaction.ALARM
    if mode is Mode.APPROVE and reaction is Reaction.ROTATE:
        return Reaction.ASK
    return reaction


# -- the versions in use -------------------------------------------------------------------------


def findings_of(  # noqa: PLR0913 - all that was seen
    newest: VersionState,
    versions: Mapping[str, VersionState],
    usage: Usage,
    rules: Rules,
    now: datetime,
    *,
    is_searched: bool,
) -> tuple[Finding, ...]:
    """Return what is wrong with the versions that consumers use, the worst first.

    Args:
        newest: The version that the vault names when none is asked for.
        versions: Every version that the vault knows, by its URL.
        usage: Who uses which.
        rules: What holds for the key.
        now: The moment.
        is_searched: Whether a rotation has looked for consumers at all.
    """
    found = list(_of_newest(newest, usage.all))
    for url, users in usage.by_version.items():
        version, state = KeyVersion.parse(url), versions.get(url)
        found += _of_version(version, state, users, rules, now)
        refusing = usage.refusing.get(url)
        if refusing and state and state.enabled and state.expires and state.expires <= now:
            found.append(_refusal(version, refusing, now))
    if usage.untold.total:
        text = f"unknown: the version that is used by {usage.untold}"
        advice = "their services do not say, or have not been read: keep every version they named"
        found.append(_finding(Severity.NOTE, "in_use_unknown", text, advice))
    if not is_searched and not usage.all.total:
        text = f"unknown: the consumers of {newest.id.key}: no rotation has looked for them"
        found.append(_finding(Severity.NOTE, "consumers_unknown", text, "rotate it once"))
    return _bounded(found)


def key_gone(key: Key, users: Users) -> Finding:
    """Return the finding that a vault does not know a key that consumers use."""
    text = f"the vault knows no key {key}, which is used by {users}"
    advice = f"recover it while that can be done: az keyvault key recover {_named(key)}"
    return _finding(Severity.BLOCKER, "key_gone", text, advice)


def not_looked_at(key: Key, users: Users, why: Exception) -> Finding:
    """Return the finding that a key could not be read: nothing is known of it now."""
    text = f"unknown: how it stands with {key}, which is used by {users}: {why}"
    advice = "give the app the right to read it, or look at it by hand"
    return _finding(Severity.WARNING, "not_looked_at", text, advice)


def _of_newest(newest: VersionState, users: Users) -> Iterator[Finding]:
    if not newest.enabled:
        severity = Severity.BLOCKER if users.total else Severity.WARNING
        text = f"the newest version {newest.id} is disabled: what names no version follows it"
        advice = f"enable it ({_set(newest.id)} --enabled true), or make another one"
        yield _finding(severity, "newest_disabled", text, advice)


def _of_version(
    version: KeyVersion, state: VersionState | None, users: Users, rules: Rules, now: datetime
) -> Iterator[Finding]:
    if state is None:
        text = f"the vault does not know {version}, which is used by {users}"
        advice = "restore the key from a backup that has it, or see what the consumers still read"
        yield _finding(Severity.BLOCKER, "in_use_gone", text, advice)
    elif not state.enabled:
        text = f"{version} is disabled, and used by {users}"
        advice = f"enable it until they are on another one: {_set(version)} --enabled true"
        yield _finding(Severity.BLOCKER, "in_use_disabled", text, advice)
    elif state.expires is not None and state.expires <= now:
        text = f"{version} expired on {_at(state.expires)}, and is used by {users}"
        advice = "move them to a version that is valid: rotate the key"
        yield _finding(Severity.BLOCKER, "in_use_expired", text, advice)
    elif state.expires is not None and state.expires - now <= timedelta(
        days=rules.near_expiry_days
    ):
        text = f"{version} expires on {_at(state.expires)}, and is used by {users}"
        advice = "move them to another version before: rotate the key"
        yield _finding(Severity.WARNING, "in_use_near_expiry", text, advice)


def _refusal(version: KeyVersion, refusing: Users, now: datetime) -> Finding:
    text = f"these will refuse a new version while {version} is expired: {refusing}"
    until = f"{now + _MENDED_FOR:%Y-%m-%dT%H:%M:%SZ}"
    advice = (
        f"put its expiry off first: {_set(version)} --expires {until}; then wait up to an hour"
        " until they can use it again, and only then rotate the key"
    )
    return _finding(Severity.BLOCKER, "refused_while_expired", text, advice)


def _bounded(found: list[Finding]) -> tuple[Finding, ...]:
    order = list(Severity)
    found = sorted(found, key=lambda finding: order.index(finding.severity))
    if len(found) <= MOST_FINDINGS:
        return tuple(found)
    kept, left = found[: MOST_FINDINGS - 1], len(found) - MOST_FINDINGS + 1
    return (*kept, _finding(kept[-1].severity, "more", f"and {left} findings more", ""))


def _finding(severity: Severity, code: str, text: str, advice: str) -> Finding:
    return Finding(severity=severity, code=code, text=text, advice=advice)


def _set(version: KeyVersion) -> str:
    return f"az keyvault key set-attributes {_named(version.key)} --version {version.version}"


def _named(key: Key) -> str:
    holder = "--hsm-name" if key.is_managed_hsm else "--vault-name"
    return f"{holder} {key.vault.partition('.')[0]} --name {key.name}"


def _at(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"
