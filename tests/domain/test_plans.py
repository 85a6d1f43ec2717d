"""What is done with a resource, and what exactly is sent."""

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.catalog.storage import STORAGE_ACCOUNT
from shared.domain.errors import RefusedWriteError, UnreadableError
from shared.domain.json_paths import Json, text_at
from shared.domain.keys import Key, KeyVersion
from shared.domain.kinds import NO_WRITE, ByHand, Kind
from shared.domain.plans import (
    Age,
    Allowed,
    Manual,
    Outrun,
    Plan,
    Repoint,
    Skip,
    VerifyOnly,
    plan,
    references_to,
    request_body,
)
from shared.domain.resources import Reference
from shared.domain.shapes import ReferenceList, SplitReference
from tests.domain.values import KEY, NEWER, NOW, OLD, TARGET, account, state

AGES = {OLD: Age.OLDER, NEWER: Age.NEWER}
ELSEWHERE = Key("kv2.vault.azure.net", KEY.name)


def planned(body: dict[str, Any], **target: Any) -> Plan:  # noqa: ANN401 - fields of a state
    return plan(STORAGE_ACCOUNT, body, state(TARGET, **target), AGES, Allowed())


@pytest.mark.parametrize(
    ("body", "branch"),
    [
        pytest.param(account(OLD.version), Repoint, id="pinned to an older version"),
        pytest.param(account(OLD.version.upper()), Repoint, id="the same in capitals"),
        pytest.param(account(TARGET.version), VerifyOnly, id="pinned to the target"),
        pytest.param(account(TARGET.version.upper()), VerifyOnly, id="the target in capitals"),
        pytest.param(account(None), VerifyOnly, id="versionless: no version"),
        pytest.param(account(""), VerifyOnly, id="versionless: an empty version"),
        pytest.param(account(NEWER.version), Outrun, id="pinned to a newer version"),
        pytest.param(account(key=ELSEWHERE), Skip, id="a key of that name in another vault"),
        pytest.param(account(key=Key(KEY.vault, "other")), Skip, id="another key of the vault"),
        pytest.param(account(keySource="Microsoft.Storage"), Skip, id="the platform's own key"),
    ],
)
def test_what_is_done_follows_from_what_is_referred_to(
    body: dict[str, Any], branch: type[Plan]
) -> None:
    assert isinstance(planned(body), branch)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        pytest.param({"key_type": "EC", "bits": None}, "takes no EC key", id="an EC key"),
        pytest.param({"key_type": None}, "takes no None key", id="a type that was not told"),
        pytest.param({"bits": 1024}, "no key of 1024 bits", id="1024 bits"),
    ],
)
@pytest.mark.parametrize("version", [OLD.version, "", TARGET.version])
def test_a_key_that_the_service_does_not_take_is_left_to_a_person(
    version: str, target: dict[str, Any], reason: str
) -> None:
    found = planned(account(version), **target)
    assert isinstance(found, Manual)
    assert reason in found.reason
    assert found.advice


@pytest.mark.parametrize("bits", [2048, 3072, 4096, None])
@pytest.mark.parametrize("key_type", ["RSA", "RSA-HSM"])
def test_a_key_that_the_service_takes_is_no_obstacle(key_type: str, bits: int | None) -> None:
    assert isinstance(planned(account(), key_type=key_type, bits=bits), Repoint)


def test_a_version_of_untold_age_is_left_to_a_person() -> None:
    found = plan(STORAGE_ACCOUNT, account(), state(TARGET), {OLD: Age.UNTOLD}, Allowed())
    assert isinstance(found, Manual)
    assert str(OLD) in found.reason


def test_a_newer_version_is_named_in_the_reason() -> None:
    found = planned(account(NEWER.version))
    assert isinstance(found, Outrun)
    assert str(NEWER) in found.reason


def test_a_reference_of_unknown_form_stops_the_plan() -> None:
    with pytest.raises(UnreadableError):
        planned(account("latest"))


BODIES = st.builds(
    account,
    st.sampled_from([OLD.version, TARGET.version, NEWER.version, "", None]),
    key=st.sampled_from([KEY, ELSEWHERE, Key(KEY.vault, "other")]),
    in_use=st.sampled_from([OLD, TARGET, NEWER, None]),
    identity=st.sampled_from([{}, {"userAssignedIdentity": "/subscriptions/s/…/id1"}]),
    requireInfrastructureEncryption=st.booleans(),
)


@given(BODIES)
def test_a_plan_leaves_the_body_alone(body: dict[str, Any]) -> None:
    before = copy.deepcopy(body)
    planned(body)
    assert body == before


@given(BODIES)
def test_a_plan_that_was_carried_out_leaves_nothing_to_do(body: dict[str, Any]) -> None:
    found = planned(body)
    if isinstance(found, Repoint):
        body["properties"]["encryption"] = found.body["properties"]["encryption"]
        assert isinstance(planned(body), VerifyOnly)


@given(BODIES, st.sampled_from(Age))
def test_only_a_surely_older_version_is_ever_replaced(body: dict[str, Any], age: Age) -> None:
    ages = {OLD: age, NEWER: age}
    if isinstance(plan(STORAGE_ACCOUNT, body, state(TARGET), ages, Allowed()), Repoint):
        assert age is Age.OLDER


@given(BODIES)
def test_what_is_sent_is_the_encryption_as_it_was_but_for_the_version(
    body: dict[str, Any],
) -> None:
    found = planned(body)
    if not isinstance(found, Repoint):
        return
    assert list(found.body) == ["properties"]
    assert list(found.body["properties"]) == ["encryption"]
    was, sent = body["properties"]["encryption"], found.body["properties"]["encryption"]
    reference = was["keyvaultproperties"]
    assert sent.pop("keyvaultproperties") == {
        "keyvaulturi": reference["keyvaulturi"],
        "keyname": reference["keyname"],
        "keyversion": TARGET.version,
    }
    assert sent.pop("services") == {"blob": {"enabled": True, "keyType": "Account"}}
    assert sent == {k: v for k, v in was.items() if k not in ("keyvaultproperties", "services")}


def keyless(body: dict[str, Any]) -> None:
    del body["properties"]["encryption"]["keySource"]


def the_platforms(body: dict[str, Any]) -> None:
    body["properties"]["encryption"]["keySource"] = "Microsoft.Storage"


@pytest.mark.parametrize("spoil", [keyless, the_platforms])
def test_a_body_without_its_customer_managed_key_is_not_sent(
    spoil: Callable[[dict[str, Any]], None],
) -> None:
    body = account()
    references = references_to(STORAGE_ACCOUNT, body, KEY)
    spoil(body)
    with pytest.raises(RefusedWriteError, match="not sent"):
        request_body(STORAGE_ACCOUNT, body, references, TARGET)


def test_without_anything_to_move_a_body_without_key_source_is_refused_all_the_same() -> None:
    body = account()
    keyless(body)
    with pytest.raises(RefusedWriteError, match=r"lacks properties\.encryption\.keySource"):
        request_body(STORAGE_ACCOUNT, body, (), TARGET)


def test_a_reference_that_cannot_name_the_target_is_not_sent() -> None:
    body = account()
    references = references_to(STORAGE_ACCOUNT, body, KEY)
    foreign = KeyVersion(ELSEWHERE, TARGET.version)
    with pytest.raises(RefusedWriteError, match="account would not name"):
        request_body(STORAGE_ACCOUNT, body, references, foreign)


def test_the_key_source_is_sent_as_the_service_wrote_it() -> None:
    body = account(keySource="MICROSOFT.keyvault")
    sent = request_body(STORAGE_ACCOUNT, body, references_to(STORAGE_ACCOUNT, body, KEY), TARGET)
    assert text_at(sent, "properties.encryption.keySource") == "MICROSOFT.keyvault"


REPORTED = replace(
    STORAGE_ACCOUNT,
    write=NO_WRITE,
    by_hand=ByHand(why="a person must", steps="set {resource} to {target}"),
)


def planned_as(kind: Kind, body: dict[str, Any], **target: Any) -> Plan:  # noqa: ANN401 - as above
    return plan(kind, body, state(TARGET, **target), AGES, Allowed(nudge=True, recreate=True))


def test_what_is_only_reported_is_left_to_a_person_with_the_steps() -> None:
    body = account(OLD.version)
    match planned_as(REPORTED, body):
        case Manual(_, reason, advice):
            assert reason == "Keyturn does not change it: a person must"
            assert advice == f"set {body['id']} to {TARGET}"
        case other:
            raise AssertionError(other)
    references = references_to(REPORTED, body, KEY)
    with pytest.raises(RefusedWriteError, match="only read"):
        request_body(REPORTED, body, references, TARGET)


def test_what_is_only_reported_is_verified_where_it_names_the_target_and_never_lowered() -> None:
    assert isinstance(planned_as(REPORTED, account(TARGET.version)), VerifyOnly)
    assert isinstance(planned_as(REPORTED, account(NEWER.version)), Outrun)
    assert isinstance(planned_as(REPORTED, account(key=ELSEWHERE)), Skip)


def test_what_follows_the_vault_and_shows_no_version_is_left_to_a_person() -> None:
    silent = replace(STORAGE_ACCOUNT, in_use="", may_nudge=False)
    planned = planned_as(silent, account(None))
    assert isinstance(planned, Manual)
    assert "Azure shows nowhere which version" in planned.reason
    assert "audit log" in planned.advice
    assert isinstance(planned_as(silent, account(TARGET.version)), VerifyOnly)
    by_hand = planned_as(replace(REPORTED, in_use="", may_nudge=False), account(None))
    assert isinstance(by_hand, Manual)
    assert "audit log" in by_hand.advice
    assert str(TARGET) not in by_hand.advice


@pytest.mark.parametrize(
    ("operations", "fits"),
    [
        (None, True),
        (frozenset({"wrapkey", "unwrapkey"}), True),
        (frozenset({"wrapkey", "unwrapkey", "sign"}), True),
        (frozenset({"wrapkey"}), False),
        (frozenset({"sign", "verify"}), False),
        (frozenset(), False),
    ],
)
def test_a_key_that_may_not_do_what_the_service_needs_is_not_written(
    operations: frozenset[str] | None, *, fits: bool
) -> None:
    planned = planned_as(STORAGE_ACCOUNT, account(OLD.version), operations=operations)
    assert isinstance(planned, Repoint if fits else Manual)
    if isinstance(planned, Manual):
        assert "unwrapkey" in planned.reason


@pytest.mark.parametrize("expires", [None, NOW + timedelta(days=90)])
def test_a_version_that_expires_is_not_written_where_the_service_takes_none(
    expires: object,
) -> None:
    strict = replace(STORAGE_ACCOUNT, takes_expiry=False)
    planned = planned_as(strict, account(OLD.version), expires=expires)
    assert isinstance(planned, Manual if expires else Repoint)
    assert isinstance(planned_as(STORAGE_ACCOUNT, account(OLD.version), expires=expires), Repoint)


class _MovesAll(ReferenceList):
    """A shape at fault: it moves every entry, whichever it is asked to move."""

    def point(self, body: Json, reference: Reference, target: KeyVersion) -> None:  # noqa: ARG002
        for found in self.read(body):
            super().point(body, found, KeyVersion(found.key, target.version))


def test_a_write_that_would_change_another_reference_is_not_sent() -> None:
    one = SplitReference(place="key", when=None, vault="uri", name="name", version="version")
    kind = replace(STORAGE_ACCOUNT, shape=_MovesAll(when=None, entries="keys", each=one))
    keys = (KEY, Key(KEY.vault, "another"))
    held = [{"uri": f"https://{k.vault}", "name": k.name, "version": OLD.version} for k in keys]
    body = account(OLD.version) | {"keys": held}
    with pytest.raises(RefusedWriteError, match="not to be moved would change"):
        request_body(kind, body, references_to(kind, body, KEY), TARGET)
