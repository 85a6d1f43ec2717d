"""How references lie in a body: one, a list, several; with a flag that follows the vault."""

import copy

import pytest

from shared.domain.errors import UnreadableError
from shared.domain.json_paths import Json
from shared.domain.keys import Key, KeyVersion
from shared.domain.resources import Reference
from shared.domain.shapes import (
    NoReference,
    ReferenceList,
    References,
    SplitReference,
    UrlReference,
)
from tests.domain.values import KEY, NEWER, OLD, TARGET

OTHER = Key(KEY.vault, "other")
THIRD = Key("kv2.vault.azure.net", KEY.name)
SPLIT = SplitReference(place="key", when=None, vault="keyVaultUri", name="keyName", version="ver")
LIST = ReferenceList(when=("source", "Microsoft.KeyVault"), entries="keys", each=SPLIT)
BOTH = References(
    parts=(
        UrlReference(place="primary", when=("type", "Vault"), url="primaryURI"),
        UrlReference(place="geo-backup", when=("type", "Vault"), url="geoURI"),
    )
)


def entry(key: Key, version: KeyVersion | str | None, **more: object) -> Json:
    body = {"keyVaultUri": f"https://{key.vault}", "keyName": key.name, **more}
    if version is not None:
        body["ver"] = version.version if isinstance(version, KeyVersion) else version
    return body


def listed(*entries: Json, source: str = "Microsoft.KeyVault") -> Json:
    return {"source": source, "keys": list(entries)}


# -- a flag that follows the vault -----------------------------------------------------------------


@pytest.mark.parametrize(("flag", "pinned"), [(True, None), (False, OLD), (None, OLD)])
def test_a_flag_lets_the_service_follow_though_a_version_is_named(
    flag: object, pinned: KeyVersion | None
) -> None:
    url = UrlReference(place="one", when=None, url="u", follows="auto")
    split = SplitReference(place="one", when=None, vault="v", name="n", version="x", follows="auto")
    wanted = (Reference("one", KEY, pinned),)
    assert url.read({"u": str(OLD), "auto": flag}) == wanted
    body = {"v": f"https://{KEY.vault}/", "n": KEY.name, "x": OLD.version, "auto": flag}
    assert split.read(body) == wanted


# -- lists -----------------------------------------------------------------------------------------

HSM = Key(f"{KEY.vault.partition('.')[0]}.managedhsm.azure.net", KEY.name)
CLOUDS = Key(f"{KEY.vault.partition('.')[0]}.vault.azure.cn", KEY.name)


def test_a_vault_and_a_managed_hsm_of_the_same_name_are_two_places() -> None:
    body = listed(entry(KEY, OLD), entry(HSM, OLD.version))
    ours, theirs = LIST.read(body)
    assert ours.place != theirs.place
    assert [r.place for r in LIST.read(listed(entry(HSM, None)))] == [theirs.place]


@pytest.mark.parametrize("twin", [HSM, CLOUDS, OTHER, THIRD])
@pytest.mark.parametrize("is_first", [True, False])
def test_of_two_entries_only_that_of_the_key_itself_is_changed(
    twin: Key,
    is_first: bool,  # noqa: FBT001 - a table
) -> None:
    entries = [entry(KEY, OLD), entry(twin, OLD.version)]
    body = listed(*(entries if is_first else reversed(entries)))
    before = copy.deepcopy(entries[1])
    (reference,) = (r for r in LIST.read(body) if r.key == KEY)
    LIST.point(body, reference, TARGET)
    assert entries[1] == before
    assert {r.key: r.pinned for r in LIST.read(body)}[KEY] == TARGET


@pytest.mark.parametrize("twin", [HSM, CLOUDS])
def test_what_a_twin_named_is_not_given_to_the_key(twin: Key) -> None:
    body = listed(entry(KEY, TARGET))
    LIST.restore(body, listed(entry(twin, None)), again=False)
    assert body == listed(entry(KEY, TARGET))


def test_each_entry_of_a_list_is_a_consumer_named_by_its_key() -> None:
    body = listed(entry(KEY, OLD), entry(OTHER, ""), entry(THIRD, None))
    assert LIST.read(body) == (
        Reference("key kv1/cmk", KEY, OLD),
        Reference("key kv1/other", OTHER, None),
        Reference("key kv2/cmk", THIRD, None),
    )


def test_places_stay_when_entries_come_and_change_places() -> None:
    places = {r.key: r.place for r in LIST.read(listed(entry(KEY, OLD), entry(OTHER, OLD.version)))}
    later = listed(entry(THIRD, None), entry(OTHER, OLD.version), entry(KEY, TARGET))
    assert {r.key: r.place for r in LIST.read(later) if r.key in places} == places


def test_two_entries_of_one_key_are_told_apart() -> None:
    body = listed(entry(KEY, OLD, identity="a"), entry(KEY, NEWER, identity="b"))
    first, second = LIST.read(body)
    assert (first.place, second.place) == ("key kv1/cmk", "key kv1/cmk (2)")
    LIST.point(body, first, TARGET)
    assert body == listed(entry(KEY, TARGET, identity="a"), entry(KEY, NEWER, identity="b"))


def test_only_the_entry_of_the_key_is_pointed() -> None:
    body = listed(entry(OTHER, OLD.version), entry(KEY, OLD, identity={"x": 1}), entry(THIRD, None))
    before = copy.deepcopy(body)
    (reference,) = [r for r in LIST.read(body) if r.key == KEY]
    LIST.point(body, reference, TARGET)
    before["keys"][1]["ver"] = TARGET.version
    assert body == before


def test_a_list_gets_the_versionless_forms_back_that_it_had() -> None:
    original = listed(entry(KEY, ""), entry(OTHER, OLD.version), entry(THIRD, None))
    body = listed(entry(THIRD, OLD), entry(KEY, TARGET), entry(OTHER, TARGET.version))
    LIST.restore(body, original, again=False)
    assert body == listed(entry(THIRD, None), entry(KEY, ""), entry(OTHER, TARGET.version))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="nothing"),
        pytest.param(listed(entry(KEY, OLD), source="Microsoft.EventHub"), id="the platform's"),
        pytest.param(listed(), id="an empty list"),
        pytest.param({"source": "Microsoft.KeyVault", "keys": None}, id="null"),
        pytest.param(listed({}), id="an empty entry"),
    ],
)
def test_where_no_entry_names_a_key_there_is_no_reference(body: Json) -> None:
    assert LIST.read(body) == ()


@pytest.mark.parametrize("keys", [{"a": 1}, "x", [entry(KEY, "latest")]])
def test_a_list_of_another_form_cannot_be_read(keys: object) -> None:
    with pytest.raises(UnreadableError):
        LIST.read({"source": "Microsoft.KeyVault", "keys": keys})


# -- several ---------------------------------------------------------------------------------------


def both(primary: object, geo: object = None) -> Json:
    return {"type": "Vault", "primaryURI": primary, "geoURI": geo}


def test_several_references_are_read_at_their_places() -> None:
    body = both(str(OLD), str(KeyVersion(OTHER, OLD.version)))
    assert BOTH.read(body) == (
        Reference("primary", KEY, OLD),
        Reference("geo-backup", OTHER, KeyVersion(OTHER, OLD.version)),
    )
    assert BOTH.read(both(str(OLD))) == (Reference("primary", KEY, OLD),)
    assert BOTH.read(both("", "")) == ()


def test_of_several_only_the_one_that_is_asked_for_is_pointed() -> None:
    body = both(str(OLD), str(OLD))
    BOTH.point(body, BOTH.read(body)[1], TARGET)
    assert body == both(str(OLD), str(TARGET))
    BOTH.point(body, BOTH.read(body)[0], TARGET)
    assert body == both(str(TARGET), str(TARGET))


def test_several_get_back_only_what_was_versionless() -> None:
    body = both(str(TARGET), str(TARGET))
    BOTH.restore(body, both(f"{KEY}/", str(OLD)), again=False)
    assert body == both(f"{KEY}/", str(TARGET))


def test_a_resource_without_a_reference_of_its_own_has_none() -> None:
    body = {"diskEncryptionSetID": "/x", "url": str(OLD)}
    shape = NoReference()
    shape.point(body, Reference("one", KEY, OLD), TARGET)
    shape.restore(body, {}, again=False)
    assert (shape.read(body), body) == ((), {"diskEncryptionSetID": "/x", "url": str(OLD)})
