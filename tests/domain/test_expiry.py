"""What a key has coming, and what is wrong with the versions that consumers use."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.catalog import KINDS, find_kind
from shared.domain.expiry import (
    MOST_FINDINGS,
    Trouble,
    concern_of,
    findings_of,
    key_gone,
    not_looked_at,
)
from shared.domain.findings import Finding, Severity
from shared.domain.keys import Key, KeyVersion, VersionState
from shared.domain.policy import Mode, Reaction, Rules
from shared.domain.rows import Known
from shared.domain.usage import MOST_NAMED, Usage, Users
from tests.domain.values import KEY, NEWER, NOW, OLD, TARGET, moments, state

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
ALARM, ASK, ROTATE, IGNORE = Reaction.ALARM, Reaction.ASK, Reaction.ROTATE, Reaction.IGNORE


def concern(rules: Rules, **fields: Any) -> tuple[Trouble, Reaction] | None:  # noqa: ANN401 - of a version
    found = concern_of(state(**fields), rules, NOW)
    return (found.trouble, found.reaction) if found else None


@pytest.mark.parametrize(
    ("expires", "trouble"),
    [
        (None, None),
        (NOW + 30 * DAY + SECOND, None),
        (NOW + 30 * DAY, Trouble.NEAR_EXPIRY),
        (NOW + SECOND, Trouble.NEAR_EXPIRY),
        (NOW, Trouble.EXPIRED),
        (NOW - 400 * DAY, Trouble.EXPIRED),
    ],
)
def test_a_key_is_near_its_end_or_past_it(expires: datetime | None, trouble: Trouble) -> None:
    found = concern_of(state(expires=expires), Rules(), NOW)
    assert (found.trouble if found else None) == trouble


def test_an_end_that_has_come_is_worse_than_one_that_is_near() -> None:
    near = concern_of(state(expires=NOW + DAY), Rules(), NOW)
    past = concern_of(state(expires=NOW - DAY), Rules(), NOW)
    assert near
    assert past
    assert (near.severity, past.severity) == (Severity.WARNING, Severity.BLOCKER)
    assert near.text == f"{TARGET} expires on 2026-11-24 18:00 UTC"
    assert past.text == f"{TARGET} expired on 2026-11-22 18:00 UTC"


@pytest.mark.parametrize(
    ("days", "age", "is_old"),
    [(0, 9999 * DAY, False), (365, 365 * DAY, False), (365, 365 * DAY + SECOND, True)],
)
def test_a_cryptoperiod_may_not_be_exceeded(days: int, age: timedelta, is_old: bool) -> None:  # noqa: FBT001 - a table
    found = concern(Rules(max_age_days=days), created=NOW - age)
    assert (found == (Trouble.OVERAGE, ALARM)) == is_old


@pytest.mark.parametrize(
    ("mode", "asked", "done"),
    [
        (Mode.AUTO, ROTATE, ROTATE),
        (Mode.AUTO, ASK, ASK),
        (Mode.AUTO, ALARM, ALARM),
        (Mode.APPROVE, ROTATE, ASK),
        (Mode.APPROVE, ASK, ASK),
        (Mode.APPROVE, ALARM, ALARM),
        (Mode.OBSERVE, ROTATE, ALARM),
        (Mode.OBSERVE, ASK, ALARM),
        (Mode.OBSERVE, ALARM, ALARM),
    ],
)
@pytest.mark.parametrize(
    ("setting", "fields"),
    [
        ("near_expiry", {"expires": NOW + DAY}),
        ("expired", {"expires": NOW - DAY}),
        ("overage", {"created": NOW - 800 * DAY}),
    ],
)
def test_the_mode_bounds_what_is_done(
    mode: Mode, asked: Reaction, done: Reaction, setting: str, fields: dict[str, Any]
) -> None:
    named: dict[str, Any] = {setting: asked}
    rules = Rules(mode=mode, max_age_days=365, **named)
    found = concern(rules, **{"created": NOW - 90 * DAY, **fields})
    assert found
    assert found[1] is done


def test_what_is_to_be_ignored_is_no_concern() -> None:
    rules = Rules(near_expiry=IGNORE, expired=IGNORE, overage=IGNORE, max_age_days=1)
    for expires in (None, NOW + DAY, NOW - DAY):
        assert concern(rules, created=NOW - 9 * DAY, expires=expires) is None


@pytest.mark.parametrize(
    ("life", "age", "reaction"),
    [
        (30 * DAY, 0 * DAY, ALARM),
        (30 * DAY, 29 * DAY, ALARM),
        (30 * DAY + SECOND, DAY, None),
        (30 * DAY, 30 * DAY, None),  # once it has ended, it is followed
    ],
)
@pytest.mark.parametrize("asked", [ASK, ROTATE])
def test_a_version_that_was_near_its_end_when_made_is_not_followed_by_another_such(
    life: timedelta, age: timedelta, reaction: Reaction | None, asked: Reaction
) -> None:
    version = state(created=NOW - age, expires=NOW - age + life)
    found = concern_of(version, Rules(near_expiry=asked, expired=asked), NOW)
    assert found
    assert found.reaction is (reaction or asked)
    assert ("no longer than nearExpiryDays (30): lower that" in found.text) == bool(reaction)


def test_of_two_concerns_the_stronger_reaction_counts_and_of_equals_the_expiry() -> None:
    both = {"created": NOW - 9 * DAY, "expires": NOW + DAY}
    assert concern(Rules(max_age_days=1, overage=ROTATE), **both) == (Trouble.OVERAGE, ROTATE)
    assert concern(Rules(max_age_days=1), **both) == (Trouble.NEAR_EXPIRY, ALARM)
    ignoring = Rules(max_age_days=1, near_expiry=IGNORE)
    assert concern(ignoring, **both) == (Trouble.OVERAGE, ALARM)


@given(
    expires=st.none() | moments,
    created=moments,
    mode=st.sampled_from(Mode),
    reactions=st.tuples(*[st.sampled_from(Reaction)] * 3),
    days=st.integers(0, 3650),
)
def test_a_version_is_made_only_where_rules_and_mode_let_it(
    expires: datetime | None,
    created: datetime,
    mode: Mode,
    reactions: tuple[Reaction, Reaction, Reaction],
    days: int,
) -> None:
    near, past, old = reactions
    rules = Rules(mode=mode, near_expiry=near, expired=past, overage=old, max_age_days=days)
    found = concern_of(state(expires=expires, created=created), rules, NOW)
    assert found is None or found.reaction is not IGNORE
    if found and found.reaction is ROTATE:
        assert mode is Mode.AUTO
        assert ROTATE in reactions
    disabled = state(expires=expires, created=created, enabled=False)
    assert concern_of(disabled, rules, NOW) is None


# -- the versions in use -------------------------------------------------------------------------


def known(name: str, *versions: KeyVersion, kind: str = "storage_account", **more: Any) -> Known:  # noqa: ANN401 - fields of a row
    seen = {"account": tuple(map(str, versions))}
    fields = {"versions": seen if versions else {}, **more}
    return Known(key=str(KEY), resource=f"/r/{name}", kind=kind, location="x", **fields)


def usage_of(*rows: Known) -> Usage:
    usage = Usage()
    for row in rows:
        usage.note(row, find_kind(row.kind))
    return usage


def found(usage: Usage, *versions: VersionState, newest: VersionState | None = None) -> list[str]:
    return [f.code for f in findings(usage, *versions, newest=newest)]


def findings(
    usage: Usage, *versions: VersionState, newest: VersionState | None = None
) -> tuple[Finding, ...]:
    newest = newest or state(NEWER)
    states = {str(each.id): each for each in (newest, *versions)}
    return findings_of(newest, states, usage, Rules(), NOW, is_searched=True)


def test_what_is_in_use_is_the_last_version_that_each_consumer_was_seen_on() -> None:
    usage = usage_of(
        known("a", OLD, TARGET),
        known("b", OLD),
        known("c", TARGET, OLD),
        known("two", versions={"one": (str(OLD),), "other": (str(TARGET),)}),
        known("left", OLD, holds=False),
    )
    assert {url: users.named for url, users in usage.by_version.items()} == {
        str(OLD): ["/r/b", "/r/c", "/r/two"],
        str(TARGET): ["/r/a", "/r/two"],
    }
    assert usage.all.total == 5


@pytest.mark.parametrize(
    "versions",
    [{}, {"account": ()}, {"account": ("https://kv9.vault.azure.net/keys/cmk/" + "1" * 32,)}],
    ids=["never seen", "no version seen", "one of another key"],
)
def test_no_data_is_unknown_and_not_fine(versions: dict[str, tuple[str, ...]]) -> None:
    usage = usage_of(known("a", versions=versions))
    assert (usage.untold.total, usage.by_version) == (1, {})
    assert found(usage) == ["in_use_unknown"]


def test_a_key_whose_consumers_nobody_has_looked_for_is_unknown_too() -> None:
    newest = state(NEWER)
    states = {str(NEWER): newest}
    unsearched = findings_of(newest, states, Usage(), Rules(), NOW, is_searched=False)
    assert [f.code for f in unsearched] == ["consumers_unknown"]
    assert found(Usage()) == []


@pytest.mark.parametrize(
    ("used", "codes"),
    [
        pytest.param(state(OLD), [], id="usable"),
        pytest.param(state(OLD, expires=NOW + 31 * DAY), [], id="long before its end"),
        pytest.param(state(OLD, enabled=False), ["in_use_disabled"], id="disabled"),
        pytest.param(None, ["in_use_gone"], id="deleted"),
        pytest.param(state(OLD, expires=NOW + 29 * DAY), ["in_use_near_expiry"], id="near its end"),
        pytest.param(state(OLD, expires=NOW), ["in_use_expired"], id="expired"),
        pytest.param(
            state(OLD, expires=NOW - DAY, enabled=False),
            ["in_use_disabled"],
            id="disabled, expired",
        ),
    ],
)
def test_a_version_in_use_that_cannot_serve_is_a_finding(
    used: VersionState | None, codes: list[str]
) -> None:
    assert found(usage_of(known("a", OLD)), *([used] if used else [])) == codes


def test_who_will_refuse_a_new_version_is_named_with_the_command_that_mends_it() -> None:
    usage = usage_of(known("cos", OLD, kind="cosmosdb_account"), known("st", OLD))
    told = findings(usage, state(OLD, expires=NOW - DAY))
    refusal = next(f for f in told if f.code == "refused_while_expired")
    assert refusal.severity is Severity.BLOCKER
    assert "1 consumer (/r/cos)" in refusal.text
    assert "/r/st" not in refusal.text
    command = (
        "az keyvault key set-attributes --vault-name kv1 --name cmk"
        f" --version {OLD.version} --expires 2026-11-30T18:00:00Z"
    )
    assert command in refusal.advice


def test_only_cosmos_db_is_known_to_refuse() -> None:
    assert [kind.id for kind in KINDS if kind.refuses_while_expired] == ["cosmosdb_account"]


def test_a_newest_version_that_is_disabled_is_worse_where_it_has_consumers() -> None:
    newest = state(NEWER, enabled=False)
    (alone,) = findings(Usage(), newest=newest)
    used = findings(usage_of(known("a", OLD)), state(OLD), newest=newest)
    assert (alone.code, alone.severity) == ("newest_disabled", Severity.WARNING)
    assert [(f.code, f.severity) for f in used] == [("newest_disabled", Severity.BLOCKER)]


def test_of_many_consumers_the_first_are_named_and_all_are_counted() -> None:
    usage = usage_of(*(known(f"st{n:04}", OLD) for n in range(5000)))
    (finding,) = findings(usage)
    assert "5000 consumers (/r/st0000, /r/st0001, " in finding.text
    assert f"/r/st{MOST_NAMED - 1:04} and {5000 - MOST_NAMED} more)" in finding.text
    assert len(finding.text) < 1000


def test_of_many_findings_the_worst_stand_first_and_the_rest_is_counted() -> None:
    versions = [KeyVersion(KEY, f"{n:032x}") for n in range(10, 60)]
    usage = usage_of(*(known(f"st{n}", version) for n, version in enumerate(versions)))
    near = state(versions[0], expires=NOW + DAY)
    told = findings(usage, near)
    assert len(told) == MOST_FINDINGS
    assert {f.code for f in told[:-1]} == {"in_use_gone"}
    assert told[-1].text == "and 31 findings more"


@pytest.mark.parametrize(
    ("key", "flags"),
    [
        (KEY, "--vault-name kv1 --name cmk"),
        (Key("h1.managedhsm.azure.net", "cmk"), "--hsm-name h1 --name cmk"),
    ],
)
def test_a_key_that_is_gone_can_be_recovered(key: Key, flags: str) -> None:
    users = Users(1, ["/r/a"])
    assert f"az keyvault key recover {flags}" in key_gone(key, users).advice
    assert "unknown" in not_looked_at(key, users, ValueError("no right")).text
