"""What an entry of the catalog can say beside its reference: symptoms, secrets, version in use."""

from dataclasses import replace
from typing import Any

import pytest

from shared.catalog.container_instances import CONTAINER_GROUP
from shared.catalog.resource_manager import ASSIGN_IDENTITY, JOIN_SUBNET
from shared.catalog.storage import STORAGE_ACCOUNT
from shared.domain.errors import UnreadableError
from shared.domain.json_paths import Json
from shared.domain.keys import Key, KeyVersion
from shared.domain.kinds import Secret, Symptom
from shared.domain.resources import Reference
from shared.domain.shapes import SplitReference, UrlReference
from tests.domain.values import KEY, OLD, TARGET

URL = UrlReference(place="one", when=("source", "Vault"), url="key.url")
SPLIT = SplitReference(place="one", when=None, vault="v", name="n", version="x")


def url_body(url: object, source: str = "Vault") -> Json:
    return {"source": source, "key": {"url": url, "more": 1}}


@pytest.mark.parametrize(
    ("url", "pinned"),
    [
        pytest.param(str(OLD), OLD, id="a version"),
        pytest.param(f" {OLD}/ ", OLD, id="with a slash and blanks"),
        pytest.param(str(KEY), None, id="the key as such"),
        pytest.param(f"{KEY}/", None, id="the key with a slash"),
    ],
)
def test_a_url_names_a_version_or_follows_the_key(url: str, pinned: KeyVersion | None) -> None:
    assert URL.read(url_body(url)) == (Reference("one", KEY, pinned),)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="nothing"),
        pytest.param(url_body(None), id="null"),
        pytest.param(url_body(""), id="an empty text"),
        pytest.param(url_body(str(OLD), source="Platform"), id="the platform's own key"),
        pytest.param({"source": "Vault", "key": {}}, id="an empty object"),
    ],
)
def test_where_no_key_is_named_there_is_no_reference(body: Json) -> None:
    assert URL.read(body) == ()


@pytest.mark.parametrize("url", ["soon", f"{KEY}/latest", f"{OLD}?x=1"])
def test_a_url_of_another_form_cannot_be_read(url: str) -> None:
    with pytest.raises(UnreadableError, match=r"key\.url"):
        URL.read(url_body(url))


def test_a_url_is_pointed_and_nothing_beside_it() -> None:
    body = url_body(str(KEY))
    (reference,) = URL.read(body)
    URL.point(body, reference, TARGET)
    assert body == url_body(str(TARGET))
    URL.point(body, reference, KeyVersion(Key(KEY.vault, "other"), OLD.version))
    assert body == url_body(str(TARGET))


def test_a_url_gets_the_very_text_back_that_it_had() -> None:
    body = url_body(str(TARGET))
    URL.restore(body, url_body(f"{KEY}/"), again=False)
    assert body == url_body(f"{KEY}/")


@pytest.mark.parametrize(
    "original", [{"x": ""}, {"X": None}, {}], ids=["empty", "null", "left out"]
)
def test_a_split_reference_gets_the_form_back_that_it_had(original: Json) -> None:
    body: Json = {"v": f"https://{KEY.vault}", "n": KEY.name, "x": TARGET.version}
    SPLIT.restore(body, original, again=False)
    assert ("x" in body, body.get("x")) == ("x" in original, original.get("x"))


def test_a_split_reference_without_a_condition_is_read_where_its_fields_are() -> None:
    body = {"v": f"https://{KEY.vault}", "n": KEY.name, "x": OLD.version}
    assert SPLIT.read(body) == (Reference("one", KEY, OLD),)
    assert SPLIT.read({}) == ()


@pytest.mark.parametrize(
    ("status", "shows"),
    [
        ("Access is REVOKED because …", True),
        ("well", False),
        ("", False),
        (None, False),
        (["revoked"], False),
        ({"revoked": 1}, False),
    ],
)
def test_a_symptom_shows_by_its_text_in_any_casing(status: object, *, shows: bool) -> None:
    assert Symptom(path="s", says="Revoked", advice="-").shows({"s": status}) is shows


@pytest.mark.parametrize(
    ("path", "says", "body", "seen"),
    [
        ("flag", "true", {"Flag": True}, "true"),
        ("flag", "true", {"flag": False}, ""),
        ("flag", "true", {"flag": None}, ""),
        ("error.code", "", {"error": {"code": "NoIdentity"}}, "NoIdentity"),
        ("error.code", "", {"error": {"code": ""}}, ""),
        ("error.code", "", {"error": None}, ""),
        ("pools.*.disk", "ephemeral", {"pools": [{"disk": "Managed"}, {"disk": "Ephemeral"}]},
         "Ephemeral"),
        ("pools.*.disk", "ephemeral", {"pools": [{"disk": "Managed"}]}, ""),
    ],
)  # fmt: skip
def test_a_symptom_may_be_a_flag_any_text_or_one_of_a_list(
    path: str, says: str, body: Json, seen: str
) -> None:
    symptom = Symptom(path=path, says=says, advice="-")
    assert symptom.seen(body) == seen
    assert symptom.shows(body) is bool(seen)


@pytest.mark.parametrize(
    ("title", "one"), [("registry", "a registry"), ("Automation account", "an Automation account")]
)
def test_a_kind_is_named_with_its_article(title: str, one: str) -> None:
    assert replace(STORAGE_ACCOUNT, title=title).one == one


SECRET = Secret(each="items.*", unless=("value", "ref.name"), fields=("value",), title="passwords")


@pytest.mark.parametrize(
    ("items", "hides"),
    [
        pytest.param([], False, id="no item"),
        pytest.param(None, False, id="null"),
        pytest.param([{"value": "a"}, {"ref": {"name": "r"}}], False, id="each has one of them"),
        pytest.param([{"value": "a"}, {}], True, id="the second has none"),
        pytest.param([{"value": ""}], True, id="empty"),
        pytest.param([{"value": None}], True, id="null value"),
        pytest.param([{"Value": 0}], False, id="any value that is one"),
        pytest.param({"one": {"ref": {}}}, True, id="names instead of items"),
    ],
)
def test_a_secret_is_hidden_where_nothing_stands_for_it(items: Any, *, hides: bool) -> None:  # noqa: ANN401 - JSON
    assert SECRET.hides({"items": items}) is hides


def test_a_secret_of_which_nothing_tells_is_hidden_wherever_its_object_is() -> None:
    always = replace(SECRET, each="log", unless=())
    assert always.hides({"log": {"value": "a"}})
    assert not always.hides({})


@pytest.mark.parametrize(("sku", "hides"), [("Strict", True), ("strict", True), ("Loose", False)])
def test_a_secret_may_be_there_only_on_a_condition(sku: str, *, hides: bool) -> None:
    assert replace(SECRET, each="", when=("sku", "Strict")).hides({"sku": sku}) is hides


def test_a_kind_without_a_field_for_it_says_no_version_in_use() -> None:
    assert replace(STORAGE_ACCOUNT, in_use="").version_in_use({"": str(OLD)}) is None


GROUP = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.ContainerInstance/containerGroups/g"
REMAKE = ("write", "delete")
RIGHTS = tuple(f"Microsoft.ContainerInstance/containerGroups/{each}" for each in REMAKE)


@pytest.mark.parametrize(
    ("body", "others"),
    [
        pytest.param({}, (), id="nothing else"),
        pytest.param({"identity": None, "properties": {"subnetIds": None}}, (), id="nulls"),
        pytest.param(
            {"properties": {"encryptionProperties": {"identity": "/ids/a"}}},
            (("/ids/a", (ASSIGN_IDENTITY,)),),
            id="the identity of the key alone",
        ),
        pytest.param(
            {
                "Identity": {"userAssignedIdentities": {"/ids/A": {}, "/ids/b": {}}},
                "properties": {"encryptionProperties": {"identity": "/IDS/a"}},
            },
            (("/ids/A", (ASSIGN_IDENTITY,)), ("/ids/b", (ASSIGN_IDENTITY,))),
            id="an identity in two casings is one",
        ),
        pytest.param(
            {"properties": {"subnetIds": [{"id": "/net/1"}, {"id": ""}, {}, {"id": "/net/2"}]}},
            (("/net/1", (JOIN_SUBNET,)), ("/net/2", (JOIN_SUBNET,))),
            id="subnets",
        ),
    ],
)
def test_what_it_takes_to_make_a_group_again_is_told_from_its_definition(
    body: Json, others: tuple[tuple[str, tuple[str, ...]], ...]
) -> None:
    assert CONTAINER_GROUP.recreation is not None
    assert CONTAINER_GROUP.recreation.takes(GROUP, body) == ((GROUP, RIGHTS), *others)
