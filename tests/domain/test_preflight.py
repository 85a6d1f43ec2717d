"""What is foreseen of a rotation, from what was read of its vault and its target."""

from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.catalog.storage import STORAGE_ACCOUNT
from shared.domain.clouds import CLOUDS, Cloud
from shared.domain.errors import AccessDeniedError, GoneError, NotFoundError, PermanentError
from shared.domain.findings import Finding, Severity
from shared.domain.keys import Key
from shared.domain.kinds import Kind
from shared.domain.preflight import Seen, foresee
from shared.domain.vault_settings import RotationPolicy, VaultSettings
from tests.domain.values import NOW, state

ALL = frozenset({"get", "wrapkey", "unwrapkey"})
GOOD = VaultSettings(
    soft_delete=True,
    purge_protection=True,
    rbac=True,
    permissions={},
    is_private=False,
    is_shut=False,
    is_perimeter=False,
    trusts_services=True,
    tenant="t1",
    home_tenant="t1",
)
TARGET = replace(state(), operations=frozenset({"wrapkey", "unwrapkey"}), recovery="Recoverable")
BY_HAND = RotationPolicy(rotates="", expires_after="")
DENIED = AccessDeniedError("could not read it: answered 403 Forbidden")


def held(*permissions: AbstractSet[str]) -> dict[str, frozenset[str]]:
    """Return what some principals may do, one after the other."""
    return {f"{number}/": frozenset(each) for number, each in enumerate(permissions)}


def foreseen(
    *, kinds: tuple[Kind, ...] = (STORAGE_ACCOUNT,), **seen: object
) -> tuple[Finding, ...]:
    """What is foreseen where all is well but for what is named."""
    well: dict[str, Any] = {
        "target": TARGET,
        "policy": BY_HAND,
        "vault": GOOD,
        "current_problem": "",
    }
    return foresee(Seen(**well | seen), kinds, NOW)


def codes(findings: tuple[Finding, ...], severity: Severity) -> list[str]:
    return [finding.code for finding in findings if finding.severity is severity]


def test_where_all_is_well_there_is_nothing_to_do() -> None:
    findings = foreseen()
    assert {finding.severity for finding in findings} == {Severity.NOTE}
    assert {f.code for f in findings} == {"rbac", "never_expires", "never_rotates"}


@pytest.mark.parametrize(
    ("changes", "severity", "code", "said"),
    [
        pytest.param({"soft_delete": False}, "blocker", "soft_delete_off", "lost", id="soft"),
        pytest.param(
            {"purge_protection": False}, "blocker", "purge_protection_off", "refuse", id="purge"
        ),
        pytest.param({"is_shut": True}, "note", "firewall_shut", "trusted services", id="shut"),
        pytest.param(
            {"is_shut": True, "trusts_services": False},
            "blocker",
            "trusted_services_shut_out",
            "keeps",
            id="shut to services too",
        ),
        pytest.param(
            {"is_private": True, "is_shut": True}, "note", "public_access_off", "no rule", id="off"
        ),
        pytest.param(
            {"is_private": True, "is_shut": True, "trusts_services": False},
            "blocker",
            "trusted_services_shut_out",
            "private endpoints only",
            id="off to services too",
        ),
        pytest.param(
            {"is_perimeter": True, "is_shut": True, "trusts_services": True},
            "warning",
            "network_perimeter",
            "not looked at",
            id="a perimeter decides, whatever the firewall says",
        ),
        pytest.param({"tenant": "t2"}, "warning", "other_tenant", "tenant t2", id="tenant"),
        pytest.param({"rbac": True}, "note", "rbac", "role assignment", id="rbac"),
        pytest.param(
            {"rbac": False},
            "blocker",
            "access_policies_lack",
            "allows get or wrapKey or unwrapKey",
            id="no policy at all",
        ),
        pytest.param(
            {"rbac": False, "permissions": held({"get", "unwrapkey"}, {"list"})},
            "blocker",
            "access_policies_lack",
            "allows wrapKey",
            id="one right that nobody has",
        ),
        pytest.param(
            {"rbac": False, "permissions": held({"get", "unwrapkey"}, ALL - {"get"})},
            "warning",
            "access_policies_lack",
            "no principal",
            id="each right, but nobody has all",
        ),
        pytest.param(
            {"rbac": False, "permissions": held(ALL | {"list"}, {"all"}, set())},
            "note",
            "access_policies",
            "2 principals",
            id="two have them all",
        ),
    ],
)
def test_what_a_vaults_settings_foretell(
    changes: dict[str, Any], severity: str, code: str, said: str
) -> None:
    findings = foreseen(vault=replace(GOOD, **changes))
    (finding,) = [each for each in findings if each.code == code]
    assert finding.severity == severity
    assert said in finding.text


def test_a_shut_vault_that_trusts_services_is_no_trouble_and_an_open_one_no_news() -> None:
    assert codes(foreseen(vault=replace(GOOD, is_shut=True)), Severity.BLOCKER) == []
    open_to_all = foreseen(vault=replace(GOOD, trusts_services=False))
    assert {f.code for f in open_to_all} == {"rbac", "never_expires", "never_rotates"}


@pytest.mark.parametrize("trusts_services", [True, False])
def test_where_no_rule_is_honoured_none_is_advised(trusts_services: bool) -> None:  # noqa: FBT001 - a table
    shut = replace(GOOD, is_private=True, is_shut=True, trusts_services=trusts_services)
    (told,) = [f for f in foreseen(vault=shut) if "private endpoint" in f.advice]
    assert "a rule" not in told.advice
    assert "no rule" in f"{told.text} {told.advice}"


def test_a_tenant_that_is_not_known_is_no_other_one() -> None:
    findings = foreseen(vault=replace(GOOD, home_tenant="", tenant="t2"))
    assert "other_tenant" not in {f.code for f in findings}


@pytest.mark.parametrize(
    ("target", "severity", "code"),
    [
        pytest.param({"enabled": False}, "blocker", "target_unusable", id="disabled"),
        pytest.param({"expires": NOW}, "blocker", "target_unusable", id="expired"),
        pytest.param({"not_before": NOW + timedelta(1)}, "blocker", "target_unusable", id="early"),
        pytest.param({"expires": NOW + timedelta(30)}, "warning", "expires_soon", id="30 days"),
        pytest.param({"expires": NOW + timedelta(31)}, "note", "expires", id="31 days"),
        pytest.param({"expires": None}, "note", "never_expires", id="never"),
        pytest.param(
            {"operations": frozenset({"sign"})}, "blocker", "operations_lack", id="no wrapping"
        ),
        pytest.param(
            {"operations": frozenset({"wrapkey"})}, "blocker", "operations_lack", id="no unwrapping"
        ),
        pytest.param({"operations": frozenset()}, "blocker", "operations_lack", id="no use"),
        pytest.param({"operations": None}, "warning", "not_looked_at", id="not said"),
        pytest.param({"key_type": "EC", "bits": None}, "blocker", "key_unfit", id="type"),
        pytest.param({"bits": 8192}, "blocker", "key_unfit", id="size"),
    ],
)
def test_what_the_target_foretells(target: dict[str, Any], severity: str, code: str) -> None:
    findings = foreseen(target=replace(TARGET, **target))
    (finding,) = [each for each in findings if each.code == code]
    assert finding.severity == severity


def test_a_key_that_some_kinds_can_use_holds_up_the_others_only() -> None:
    picky = replace(STORAGE_ACCOUNT, title="picky thing", key_bits=frozenset({4096}))
    (finding,) = [f for f in foreseen(kinds=(STORAGE_ACCOUNT, picky)) if f.code == "key_unfit"]
    assert finding.severity is Severity.WARNING
    assert "picky thing" in finding.text
    assert "storage account" not in finding.text


def test_a_current_version_that_cannot_be_used_is_a_blocker_though_the_target_can() -> None:
    problem = "the current version 12 is disabled"
    findings = foreseen(current_problem=problem)
    assert findings[0].code == "current_version_unusable"
    assert findings[0].severity is Severity.BLOCKER
    assert problem in findings[0].text


def test_what_the_vault_does_by_itself_is_told() -> None:
    policy = RotationPolicy(rotates="P90D after the one before", expires_after="P2Y")
    told = {f.code: f.text for f in foreseen(policy=policy)}
    assert "P90D after the one before" in told["rotates_itself"]
    assert "P2Y" in told["new_versions_expire"]
    assert "never_rotates" not in told


@pytest.mark.parametrize("part", ["target", "policy", "vault"])
def test_what_cannot_be_read_is_a_finding_with_its_cause(part: str) -> None:
    unread: dict[str, Any] = {part: DENIED}
    findings = foreseen(**unread)
    (finding,) = [f for f in findings if str(DENIED) in f.text]
    assert (finding.severity, finding.code) == (Severity.WARNING, "not_looked_at")
    assert finding.text.startswith("not looked at")


def test_a_deleted_vault_and_a_deleted_version_are_blockers() -> None:
    assert codes(foreseen(vault=GoneError("gone")), Severity.BLOCKER) == ["vault_gone"]
    assert codes(foreseen(target=NotFoundError("404")), Severity.BLOCKER) == ["target_gone"]


@pytest.mark.parametrize("vault", [None, DENIED], ids=["a managed HSM", "unreadable"])
@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("Purgeable", "soft_delete_off"),
        ("Recoverable+Purgeable", "purge_protection_off"),
        ("CustomizedRecoverable+Purgeable", "purge_protection_off"),
        ("Recoverable", ""),
        ("CustomizedRecoverable+ProtectedSubscription", ""),
        ("", "not_looked_at"),
    ],
)
def test_without_its_settings_the_key_itself_tells_whether_it_can_be_destroyed(
    vault: PermanentError | None, level: str, expected: str
) -> None:
    findings = foreseen(vault=vault, target=replace(TARGET, recovery=level))
    found = {f.code for f in findings if "delet" in f.text and f.code != "target_gone"}
    assert found == ({expected} if expected else set())


def test_of_a_managed_hsm_is_said_what_is_not_looked_at_and_who_finds_its_versions() -> None:
    findings = foreseen(vault=None)
    told = {f.code: f for f in findings}
    assert "sweep" in told["managed_hsm"].text
    assert told["not_looked_at"].severity is Severity.WARNING
    assert "local roles" in told["not_looked_at"].text
    assert codes(findings, Severity.BLOCKER) == []


@pytest.mark.parametrize("cloud", CLOUDS.values(), ids=list(CLOUDS))
def test_a_managed_hsm_is_told_from_a_vault_in_every_cloud(cloud: Cloud) -> None:
    vault, hsm = cloud.vault_suffixes
    assert Key(f"one.{hsm}", "cmk").is_managed_hsm
    assert not Key(f"managedhsm.{vault}", "cmk").is_managed_hsm


@given(
    st.builds(
        VaultSettings,
        soft_delete=st.booleans(),
        purge_protection=st.booleans(),
        rbac=st.booleans(),
        permissions=st.dictionaries(
            st.text(), st.frozensets(st.sampled_from([*sorted(ALL), "all"]))
        ),
        is_private=st.booleans(),
        is_shut=st.booleans(),
        is_perimeter=st.booleans(),
        trusts_services=st.booleans(),
        tenant=st.sampled_from("ab"),
        home_tenant=st.sampled_from(["a", "b", ""]),
    )
    | st.just(DENIED)
    | st.none(),
    st.just(DENIED) | st.just(TARGET),
    st.sampled_from(["", "the current version 12 is disabled"]),
)
def test_the_worst_comes_first_and_each_blocker_says_what_to_do(
    vault: VaultSettings | PermanentError | None,
    target: PermanentError,
    problem: str,
) -> None:
    findings = foreseen(vault=vault, target=target, current_problem=problem)
    ranks = [list(Severity).index(finding.severity) for finding in findings]
    assert ranks == sorted(ranks)
    assert all(f.advice for f in findings if f.severity is Severity.BLOCKER)
    assert foreseen(vault=vault, target=target, current_problem=problem) == findings
