"""How a resource's JSON refers to keys: read, and pointed elsewhere with nothing else changed."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.catalog.storage import STORAGE_ACCOUNT
from shared.domain.errors import UnreadableError
from shared.domain.json_paths import drop, look_up, put, text_at
from shared.domain.keys import Key, KeyVersion
from shared.domain.resources import Reference
from tests.domain.values import KEY, OLD, TARGET, account, any_casing, versions

SHAPE = STORAGE_ACCOUNT.shape

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
extras = st.dictionaries(st.from_regex(r"x-[a-z]{1,5}", fullmatch=True), json_values, max_size=3)


@st.composite
def accounts(draw: st.DrawFn) -> tuple[KeyVersion, str | None, dict[str, Any]]:
    """A reference, the version as it is written, and an account that holds it somehow."""
    held = draw(versions)
    written = draw(st.sampled_from([held.version, held.version.upper(), "", None]))
    reference: dict[str, Any] = draw(extras)
    uri = draw(any_casing(f"https://{held.key.vault}")) + draw(st.sampled_from(["", "/"]))
    reference[draw(any_casing("keyvaulturi"))] = uri
    reference[draw(any_casing("keyname"))] = draw(any_casing(held.key.name))
    if written is not None:
        reference[draw(any_casing("keyversion"))] = written
    encryption = draw(extras)
    encryption[draw(any_casing("keySource"))] = draw(any_casing("Microsoft.Keyvault"))
    encryption[draw(any_casing("keyvaultproperties"))] = reference
    properties = {**draw(extras), draw(any_casing("encryption")): encryption}
    return held, written, {**draw(extras), draw(any_casing("properties")): properties}


def without_version(body: dict[str, Any]) -> dict[str, Any]:
    bare = copy.deepcopy(body)
    drop(bare, "properties.encryption.keyvaultproperties.keyversion")
    return bare


@given(accounts())
def test_a_reference_is_read_however_its_names_are_written(
    account: tuple[KeyVersion, str | None, dict[str, Any]],
) -> None:
    held, written, body = account
    assert SHAPE.read(body) == (Reference("account", held.key, held if written else None),)


@given(accounts(), st.from_regex(r"[0-9a-f]{32}", fullmatch=True))
def test_a_reference_that_was_pointed_names_the_target_and_nothing_else_has_changed(
    account: tuple[KeyVersion, str | None, dict[str, Any]], version: str
) -> None:
    held, _, body = account
    target, (reference,) = KeyVersion(held.key, version), SHAPE.read(body)
    before = copy.deepcopy(body)

    SHAPE.point(body, reference, target)

    assert SHAPE.read(body) == (Reference("account", held.key, target),)
    assert without_version(body) == without_version(before)


def test_a_reference_to_another_key_is_not_pointed() -> None:
    body = account()
    (reference,) = SHAPE.read(body)
    SHAPE.point(body, reference, KeyVersion(Key(KEY.vault, "other"), TARGET.version))
    assert body == account()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"properties": None}, id="properties are null"),
        pytest.param({"properties": {"encryption": "on"}}, id="encryption is no object"),
        pytest.param(account(keySource="Microsoft.Storage"), id="the platform's own key"),
        pytest.param(account(keySource=None), id="no key source"),
        pytest.param(account(keyvaultproperties={}), id="an empty object is no reference"),
        pytest.param(account(keyvaultproperties=None), id="null is no reference"),
    ],
)
def test_what_names_no_vault_key_holds_no_reference(body: dict[str, Any]) -> None:
    assert SHAPE.read(body) == ()


@pytest.mark.parametrize("version", ["latest", "a" * 31, f"{'a' * 32}?x=1", "../" + "a" * 32])
def test_a_version_of_unknown_form_is_not_read_as_versionless(version: str) -> None:
    with pytest.raises(UnreadableError, match="no version"):
        SHAPE.read(account(version))


def test_a_version_that_is_no_text_is_not_read_as_versionless() -> None:
    body = account()
    body["properties"]["encryption"]["keyvaultproperties"]["keyversion"] = 7
    with pytest.raises(UnreadableError, match="no version"):
        SHAPE.read(body)


@pytest.mark.parametrize(
    ("named", "version"),
    [
        pytest.param(str(OLD), OLD, id="a version"),
        pytest.param(str(KEY), None, id="a key as such"),
        pytest.param("soon", None, id="no URL"),
        pytest.param(None, None, id="nothing"),
    ],
)
def test_the_version_in_use_is_what_the_service_says(
    named: str | None, version: KeyVersion | None
) -> None:
    body = account()
    put(body, STORAGE_ACCOUNT.in_use, named)
    assert STORAGE_ACCOUNT.version_in_use(body) == version


def test_names_are_found_in_any_casing_and_keep_their_spelling() -> None:
    body = {"Properties": {"KeyName": "cmk"}}
    assert text_at(body, "properties.keyname") == "cmk"
    put(body, "properties.keyname", "other")
    assert body == {"Properties": {"KeyName": "other"}}


@pytest.mark.parametrize("path", ["a", "a.b", "a.b.c", "a.b.c.d", "z"])
def test_what_is_not_there_is_none_and_dropping_it_does_nothing(path: str) -> None:
    body: dict[str, Any] = {"a": {"b": 1}} if path.startswith("a.b.") else {}
    kept = copy.deepcopy(body)
    assert look_up(body, path) is None
    drop(body, path)
    assert body == kept
    assert text_at({"a": 1}, "a") == ""


def test_a_star_drops_from_every_name() -> None:
    body = {"services": {"blob": {"t": 1, "on": True}, "file": {"T": 2}, "odd": 3}}
    drop(body, "services.*.t")
    assert body == {"services": {"blob": {"on": True}, "file": {}, "odd": 3}}
