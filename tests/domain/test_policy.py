"""Which settings hold for a key, and which keys are managed at all."""

import json
import re

import msgspec
import pytest
from hypothesis import given
from msgspec.structs import asdict, fields

from shared.domain.keys import Key
from shared.domain.policy import Mode, Policy, Reaction, Rule, Rules, Settings, Window
from tests.domain import policies

PROD = Key("kv-prod.vault.azure.net", "cmk-payments")
TEST = Key("kv-test.vault.azure.net", "cmk-payments")


def read(document: object) -> Policy:
    return msgspec.convert(document, Policy)


def test_what_no_policy_says_is_done_at_once_and_deletes_and_makes_nothing() -> None:
    rules = Policy().rules_for(PROD)
    assert rules == Rules()
    assert (rules.mode, rules.windows, rules.subscriptions) == (Mode.AUTO, (), ())
    assert rules.recreate_container_groups is False
    assert rules.versionless == "verify"
    assert (rules.near_expiry, rules.expired, rules.overage) == (Reaction.ALARM,) * 3
    assert (rules.unexpire_days, rules.max_age_days) == (0, 0)
    assert Policy().manages(PROD)


def test_of_each_setting_the_last_rule_that_matches_and_has_it_wins() -> None:
    policy = read(
        {
            "defaults": {"mode": "observe", "failureLimit": 7},
            "rules": [
                {"keys": ["kv-prod/*"], "mode": "approve", "approvalHours": 2},
                {"keys": ["*/cmk-payments"], "mode": "auto"},
                {"keys": ["kv-prod/cmk-payments"], "recheckHours": 0},
                {"keys": ["kv-prod/cmk-other", "kv-test/x"], "mode": "observe"},
            ],
        }
    )
    assert policy.rules_for(PROD) == Rules(
        mode=Mode.AUTO, failure_limit=7, approval_hours=2, recheck_hours=0
    )
    assert policy.rules_for(TEST) == Rules(mode=Mode.AUTO, failure_limit=7)
    other = Key(PROD.vault, "cmk-other")
    assert policy.rules_for(other).mode is Mode.OBSERVE


def test_a_rule_may_take_back_what_the_defaults_say() -> None:
    nights = {"opens": "22:00", "closes": "04:00"}
    policy = read(
        {
            "defaults": {"windows": [nights], "recreateContainerGroups": True},
            "rules": [{"keys": ["kv-test/*"], "windows": [], "recreateContainerGroups": False}],
        }
    )
    assert policy.rules_for(PROD).windows == (Window(opens="22:00", closes="04:00"),)
    assert policy.rules_for(TEST) == Rules()


@pytest.mark.parametrize(
    ("patterns", "managed"),
    [
        (["*/*"], True),
        (["kv-prod/cmk-payments"], True),
        (["KV-Prod/CMK-*"], True),
        (["kv-pro?/cmk-payment?"], True),
        (["kv-test/*", "kv-prod/*"], True),
        ([], False),
        (["kv-test/*"], False),
        (["kv-prod/cmk"], False),
        (["prod/cmk-payments"], False),
        (["kv-prod/payments"], False),
        (["kv-prod/cmk-payments-?"], False),
        (["kv-prod?/cmk-payments"], False),
    ],
)
def test_a_pattern_is_of_the_whole_name_in_any_casing(
    patterns: list[str], *, managed: bool
) -> None:
    assert read({"manage": patterns}).manages(PROD) is managed
    if patterns:
        rule = {"keys": patterns, "mode": "observe"}
        observed = read({"rules": [rule]}).rules_for(PROD).mode is Mode.OBSERVE
        assert observed is managed


def test_a_key_is_matched_as_it_is_known_whatever_the_casing_of_its_url() -> None:
    key = Key.parse("HTTPS://KV-PROD.vault.azure.net/keys/CMK-Payments")
    assert read({"manage": ["kv-prod/cmk-payments"]}).manages(key)


def test_a_managed_hsm_is_named_as_a_vault_is() -> None:
    key = Key("hsm-prod.managedhsm.azure.net", "cmk")
    assert read({"manage": ["hsm-prod/*"]}).manages(key)


def test_there_is_a_setting_for_everything_that_holds_for_a_key() -> None:
    names = {field.name for field in fields(Rules)}
    assert {field.name for field in fields(Settings)} == names
    assert {field.name for field in fields(Rule)} == names | {"keys"}
    assert asdict(Settings()) == dict.fromkeys(names, msgspec.UNSET)


def test_the_digest_is_that_of_what_is_said_however_it_is_said() -> None:
    one = read({"defaults": {"mode": "auto", "failureLimit": 2}, "version": 1})
    other = read({"defaults": {"failureLimit": 2, "mode": "auto"}})
    assert one.digest == other.digest
    assert re.fullmatch("[0-9a-f]{64}", one.digest)
    # As it stands in records of earlier versions, so it may never come out otherwise.
    assert Policy().digest == "3d605513b0d480c957e6107da0a931c2b8a3ce038b6ccd4ef31a7088d82b7788"


@given(policies.documents, policies.documents)
def test_different_settings_have_different_digests_and_the_same_the_same(
    one: dict[str, object], other: dict[str, object]
) -> None:
    said, also = read(one), read(other)
    assert (said.digest == also.digest) is (said == also)
    assert read(json.loads(json.dumps(one))).digest == said.digest


@given(policies.documents)
def test_what_is_read_is_written_as_it_was(document: dict[str, object]) -> None:
    policy = read(document)
    written = json.loads(msgspec.json.encode(policy))
    assert read(written) == policy
    assert written.get("defaults") == _complete(document.get("defaults", {}))


@given(policies.documents)
def test_each_setting_is_that_of_the_last_who_says_it(document: dict[str, object]) -> None:
    """The same told the other way round: from the last rule back."""
    policy = read(document)
    found = policy.rules_for(PROD)
    sayers = [r for r in reversed(policy.rules) if _is_for_prod(r.keys)]  # type: ignore[attr-defined] # made from the fields of Rules
    for field in fields(Rules):
        said = (getattr(sayer, field.name) for sayer in [*sayers, policy.defaults, Rules()])
        assert getattr(found, field.name) == next(v for v in said if v is not msgspec.UNSET)


def _is_for_prod(patterns: tuple[str, ...]) -> bool:
    regexes = (p.lower().replace("*", ".*").replace("?", ".") for p in patterns)
    return any(re.fullmatch(regex, "kv-prod/cmk-payments") for regex in regexes)


def _complete(settings: object) -> object:
    """Return settings with what their windows leave out."""
    assert isinstance(settings, dict)
    whole = {"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "zone": "UTC"}
    found = dict(settings)
    if "windows" in found:
        found["windows"] = [{**whole, **window} for window in found["windows"]]
    return found
