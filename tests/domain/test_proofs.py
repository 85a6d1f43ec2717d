"""When a storage account is proven to use a version: exactly then, and never before."""

from typing import Any

import pytest
from hypothesis import given

from shared.catalog.storage import STORAGE_ACCOUNT
from shared.domain.json_paths import put
from shared.domain.keys import Key, KeyVersion
from shared.domain.proofs import (
    AllOf,
    EchoesTarget,
    FieldIs,
    Finding,
    IsEmpty,
    NamesTarget,
    NoComplaint,
    Unprovable,
    version_at,
)
from shared.domain.shapes import UrlReference
from tests.domain.values import KEY, NEWER, OLD, TARGET, account, any_casing

FIELD = "properties.encryption.keyvaultproperties.currentVersionedKeyIdentifier"


def check(body: dict[str, Any]) -> Finding:
    return STORAGE_ACCOUNT.proof.check(body, TARGET)


def reporting(value: object) -> dict[str, Any]:
    body = account(TARGET.version)
    put(body, FIELD, value)
    return body


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(reporting(str(TARGET)), id="the target"),
        pytest.param(reporting(f"{TARGET}/"), id="the target with a slash"),
        pytest.param(account(None, in_use=TARGET), id="the target, though versionless"),
        pytest.param(account(in_use=TARGET, provisioning="succeeded"), id="succeeded in any case"),
    ],
)
def test_the_target_reported_by_the_service_is_proof(body: dict[str, Any]) -> None:
    assert check(body).holds


@given(any_casing(str(TARGET)))
def test_the_casing_of_what_is_reported_does_not_matter(reported: str) -> None:
    assert check(reporting(reported)).holds


moved_alone = account(TARGET.version)
put(
    moved_alone,
    "properties.encryption.keyvaultproperties.lastKeyRotationTimestamp",
    "2026-11-23T18:00:01.0000000Z",
)
two_versions = f"{TARGET} {OLD}"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(account(TARGET.version), id="the written version is right, an old one in use"),
        pytest.param(moved_alone, id="lastKeyRotationTimestamp has moved"),
        pytest.param(reporting(str(NEWER)), id="a newer version"),
        pytest.param(
            reporting(str(KeyVersion(Key("kv2.vault.azure.net", KEY.name), TARGET.version))),
            id="the same version in another vault",
        ),
        pytest.param(
            reporting(str(KeyVersion(Key(KEY.vault, "other"), TARGET.version))),
            id="the same version of another key",
        ),
        pytest.param(reporting(TARGET.version), id="the version alone"),
        pytest.param(reporting(f"/keys/cmk/{TARGET.version}"), id="the end of the URL"),
        pytest.param(reporting(f"x{TARGET}"), id="a URL that ends so"),
        pytest.param(reporting(str(TARGET)[:-1]), id="a URL cut short"),
        pytest.param(reporting(f"{TARGET}0"), id="a URL that begins so"),
        pytest.param(reporting(two_versions), id="two URLs"),
        pytest.param(reporting(str(KEY)), id="the key without a version"),
        pytest.param(reporting(str(TARGET).replace("https", "http")), id="another scheme"),
        pytest.param(reporting(""), id="an empty text"),
        pytest.param(reporting(None), id="null"),
        pytest.param(reporting([str(TARGET)]), id="a list"),
        pytest.param(account(TARGET.version, in_use=None), id="absent"),
        pytest.param(account(in_use=TARGET, provisioning="Updating"), id="still updating"),
        pytest.param(account(in_use=TARGET, provisioning="Failed"), id="failed"),
        pytest.param(account(in_use=TARGET, provisioning=""), id="no provisioning state"),
        pytest.param({}, id="an empty body"),
    ],
)
def test_nothing_less_is_proof(body: dict[str, Any]) -> None:
    assert not check(body).holds


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        pytest.param(
            account(TARGET.version),
            f"currentVersionedKeyIdentifier is {OLD}",
            id="what is missing, and only that",
        ),
        pytest.param(
            account(in_use=None),
            "currentVersionedKeyIdentifier is absent",
            id="an absent field",
        ),
        pytest.param(
            account(in_use=OLD, provisioning="Updating"),
            f"currentVersionedKeyIdentifier is {OLD}; provisioningState is Updating",
            id="both conditions",
        ),
        pytest.param(
            account(in_use=TARGET),
            f"currentVersionedKeyIdentifier is {TARGET}; provisioningState is Succeeded",
            id="a proof names everything",
        ),
    ],
)
def test_a_finding_says_what_was_seen(body: dict[str, Any], seen: str) -> None:
    assert check(body).seen == seen


def test_a_proof_of_no_condition_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one rule"):
        AllOf(())


def test_an_absent_field_is_no_other_text() -> None:
    finding = FieldIs("a.b", "Succeeded").check({}, TARGET)
    assert finding == Finding(holds=False, seen="b is absent")


def test_a_strange_text_is_quoted_no_further_than_200_characters() -> None:
    finding = NamesTarget("a").check({"a": "x" * 5000}, TARGET)
    assert len(finding.seen) < 300


@pytest.mark.parametrize(
    ("text", "key", "version"),
    [
        pytest.param(TARGET.version, str(KEY), TARGET, id="a bare version"),
        pytest.param(TARGET.version, str(OLD), TARGET, id="a key that names a version itself"),
        pytest.param(str(TARGET), f"{KEY}/", TARGET, id="a URL of that key"),
        pytest.param(str(TARGET), "https://kv2.vault.azure.net/keys/cmk", None, id="of another"),
        pytest.param(TARGET.version, "soon", None, id="no key"),
        pytest.param(TARGET.version, None, None, id="no key at all"),
        pytest.param("", str(OLD), None, id="no version"),
        pytest.param("latest", str(KEY), None, id="another word"),
        pytest.param(f"{TARGET.version}/{OLD.version}", str(KEY), None, id="two versions"),
    ],
)
def test_a_bare_version_is_one_of_the_key_beside_it(
    text: str, key: str | None, version: KeyVersion | None
) -> None:
    assert version_at({"v": text, "k": key}, "v", "k") == version


def test_a_bare_version_with_no_key_beside_it_is_none() -> None:
    assert version_at({"v": TARGET.version}, "v") is None


def test_a_refusal_of_a_bare_version_names_the_key_beside_it() -> None:
    finding = NamesTarget("v", key="k").check({"v": "latest", "k": str(KEY)}, TARGET)
    assert finding == Finding(holds=False, seen=f"v is 'latest', k is '{KEY}'")


@pytest.mark.parametrize(
    ("said", "clean"),
    [
        pytest.param("All is well.", True, id="the good word"),
        pytest.param(" ALL IS WELL. ", True, id="in other casing"),
        pytest.param("", True, id="nothing"),
        pytest.param(None, True, id="null"),
        pytest.param("All is well. Or not.", False, id="more than it"),
        pytest.param("Revoked", False, id="a complaint"),
        pytest.param({"code": 1}, False, id="no text"),
        pytest.param(False, False, id="a flag"),
    ],
)
def test_whatever_else_is_said_is_a_complaint(said: object, *, clean: bool) -> None:
    finding = NoComplaint("a.b", well="All is well.").check({"a": {"b": said}}, TARGET)
    assert finding.holds is clean
    assert finding.seen.startswith("b is ")


def test_an_echo_names_the_references_that_are_not_there_yet() -> None:
    rule = EchoesTarget(UrlReference(place="one", when=None, url="u"))
    assert rule.check({"u": str(TARGET)}, TARGET) == Finding(holds=True, seen=f"one is {TARGET}")
    assert rule.check({"u": str(OLD)}, TARGET) == Finding(holds=False, seen=f"one is {OLD}")
    assert rule.check({"u": str(KEY)}, TARGET) == Finding(holds=False, seen=f"one is {KEY}")
    assert rule.check({}, TARGET) == Finding(holds=False, seen=f"none is {KEY}")
    assert not rule.check({"u": "soon"}, TARGET).holds


@pytest.mark.parametrize(
    ("value", "is_empty"),
    [
        (None, True),
        ("", True),
        ([], True),
        ({}, True),
        ([{"keyUrl": str(OLD)}], False),
        ({"code": "X"}, False),
        ("no", False),
        (0, False),
        (False, False),
    ],
)
def test_a_field_is_empty_only_if_it_holds_nothing(value: object, *, is_empty: bool) -> None:
    finding = IsEmpty("a.previous").check({"a": {"Previous": value}}, TARGET)
    assert finding.holds is is_empty
    assert finding.seen.startswith("previous is ")
    assert IsEmpty("a.previous").check({}, TARGET).holds


def test_what_cannot_be_proven_is_never_proven() -> None:
    assert Unprovable("Azure shows none").check({"x": str(TARGET)}, TARGET) == Finding(
        holds=False, seen="Azure shows none"
    )
