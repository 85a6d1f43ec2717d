"""Resource Manager, Resource Graph and the vaults: what is sent where, and what is believed."""

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress

import pytest
from azure.identity import ManagedIdentityCredential

from sandbox.faults import Answer, Fault, server_error_html
from sandbox.identity import APP_PRINCIPAL
from shared.adapters.arm.client import ArmClient
from shared.adapters.arm.resources import ArmResources
from shared.adapters.key_vault.vaults import AzureVaults
from shared.adapters.resource_graph.inventory import GraphInventory, query
from shared.catalog import KINDS
from shared.catalog.kubernetes import AKS_CLUSTER
from shared.catalog.storage import STORAGE_ACCOUNT
from shared.domain import errors
from shared.domain.clouds import AZURE_PUBLIC
from shared.domain.keys import Key, KeyVersion
from shared.domain.kinds import Plane
from shared.ports import Accepted
from tests.adapters.conftest import Served
from tests.domain.values import ACCOUNT

ARM = "management.azure.com"
VAULT = "kv-one.vault.azure.net"


def answering(served: Served, answer: Answer, path: str = "*") -> None:
    served.azure.faults.add(Fault(host=ARM, path=path, times=None, answer=answer))


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/subscriptions",
        "https://management.azure.com.evil.example/subscriptions",
        "https://management.azure.com@evil.example/subscriptions",
        "https://management.azure.com:8443/subscriptions",
        "https://me@management.azure.com/subscriptions",
        "http://management.azure.com/subscriptions",
        "//evil.example@management.azure.com:1/x",
        "ftp://management.azure.com/",
        "management.azure.com/subscriptions",
    ],
)
def test_a_link_to_another_host_gets_no_request_and_no_token(served: Served, link: str) -> None:
    page = Answer(200, {"value": [], "nextLink": link})
    served.azure.faults.add(Fault(host=ARM, path="/subscriptions", answer=page))
    with suppress(errors.PermanentError):
        ArmResources(served.arm).subscriptions()
    strangers = {c.host for c in served.azure.front_door.traffic() if c.host != ARM}
    assert strangers == set()
    if not link.startswith("//"):
        with pytest.raises(errors.NotAllowedError, match="link of another host"):
            served.arm.send("GET", link, doing="follow a link")


def test_pages_of_subscriptions_are_followed_and_sorted(served: Served) -> None:
    page = Answer(
        200,
        {
            "value": [{"subscriptionId": "BBBB"}, {"subscriptionId": "aaaa"}],
            "nextLink": f"https://{ARM}:443/subscriptions?api-version=2022-12-01&page=2",
        },
    )
    served.azure.faults.add(Fault(host=ARM, path="/subscriptions", answer=page))
    last = Answer(200, {"value": [{"subscriptionId": "abab"}]})
    served.azure.faults.add(Fault(host=ARM, path="/subscriptions", answer=last))
    assert ArmResources(served.arm).subscriptions() == ["aaaa", "abab", "bbbb"]


@pytest.mark.parametrize("content", [b"<html>", b"[1]", b'"text"', b"{"])
def test_an_answer_that_is_no_json_object_is_not_believed(served: Served, content: bytes) -> None:
    answering(served, Answer(200, content))
    with pytest.raises(errors.UnreadableError, match="no JSON"):
        served.arm.send("GET", "/x", doing="read it")


def test_a_redirect_is_not_followed_and_is_no_answer(served: Served) -> None:
    away = {"Location": "https://evil.example/x"}
    answering(served, Answer(307, b"", away))
    resource = ACCOUNT
    with pytest.raises(errors.RejectedError, match="answered 307"):
        ArmResources(served.arm).write(STORAGE_ACCOUNT, resource, {}, request_id="r", etag="")
    assert {call.host for call in served.azure.front_door.traffic()} == {ARM}


def test_a_resource_must_be_the_one_that_was_asked_for(served: Served) -> None:
    wanted = ACCOUNT
    read = ArmResources(served.arm).read
    for wrong in (f"{ACCOUNT}x", "", None):
        served.azure.faults.add(Fault(host=ARM, answer=Answer(200, {"id": wrong})))
        with pytest.raises(errors.UnreadableError, match="of another resource"):
            read(STORAGE_ACCOUNT, wanted)
    served.azure.faults.add(Fault(host=ARM, answer=Answer(200, {"id": ACCOUNT.upper()})))
    assert read(STORAGE_ACCOUNT, wanted).body == {"id": ACCOUNT.upper()}


def test_a_read_and_a_write_name_the_catalogs_version_and_carry_their_id(served: Served) -> None:
    headers = {"x-ms-correlation-request-id": "c-1"}
    answering(served, Answer(200, {"id": ACCOUNT}, headers))
    resources, wanted = ArmResources(served.arm), ACCOUNT
    assert resources.read(STORAGE_ACCOUNT, wanted).etag == ""
    accepted = resources.write(STORAGE_ACCOUNT, wanted, {"a": 1}, request_id="r-1", etag="")
    assert accepted == Accepted(correlation_id="c-1", operation="")
    read, write = served.azure.front_door.traffic()
    assert (read.method, write.method) == ("GET", STORAGE_ACCOUNT.write.verb)
    assert read.query == write.query == f"api-version={STORAGE_ACCOUNT.api_version}"
    assert read.path == write.path == ACCOUNT
    assert json.loads(write.request_body) == {"a": 1}
    assert write.request_headers["x-ms-client-request-id"] == "r-1"
    assert "if-match" not in write.request_headers
    assert read.bearer
    assert write.bearer


SUBNET = (
    "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/net/subnets/one"
)


def test_what_we_may_not_do_is_asked_at_the_resource_itself(served: Served) -> None:
    granted = [
        {"actions": ["Microsoft.Network/*/read", "a/B/write"], "notActions": ["a/b/Write"]},
        {"actions": ["x/y/*"], "notActions": ["x/y/delete"]},
        {"actions": ["X/Y/Delete"]},
    ]
    answering(served, Answer(200, {"value": granted}))
    wanted = ["a/b/write", "x/y/join/action", "x/y/delete", "microsoft.network/v/read", "x/z"]

    assert ArmResources(served.arm).denied(SUBNET, wanted) == ["a/b/write", "x/z"]
    (call,) = served.azure.front_door.traffic()
    assert (call.method, call.query) == ("GET", "api-version=2022-04-01")
    assert call.path == f"{SUBNET}/providers/Microsoft.Authorization/permissions"


@pytest.mark.parametrize(
    ("status", "code", "denied"),
    [
        (403, "AuthorizationFailed", ["Microsoft.Authorization/permissions/read"]),
        (404, "ResourceNotFound", ["a/join/action", "a/write"]),
    ],
)
def test_where_rights_cannot_be_asked_nothing_is_taken_for_granted(
    served: Served, status: int, code: str, denied: list[str]
) -> None:
    answering(served, Answer(status, {"error": {"code": code, "message": "no"}}))

    assert ArmResources(served.arm).denied(SUBNET, ["a/join/action", "a/write"]) == denied


def test_of_what_is_no_resource_no_rights_are_asked(served: Served) -> None:
    with pytest.raises(errors.InvalidResourceIdError):
        ArmResources(served.arm).denied(f"{SUBNET}/../../other", ["a/write"])
    assert served.azure.front_door.traffic() == []


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(Fault(answer=server_error_html()), errors.UnavailableError, id="503"),
        pytest.param(Fault(lose_request=True), errors.UnavailableError, id="a reset"),
        pytest.param(Fault(lose_answer=True), errors.UnavailableError, id="a lost answer"),
    ],
)
def test_nothing_is_repeated_within_a_step(
    served: Served, fault: Fault, error: type[errors.KeyturnError]
) -> None:
    served.azure.faults.add(fault)
    with pytest.raises(error, match="could not read it"):
        served.arm.send("GET", "/subscriptions", doing="read it", query={"api-version": "1"})
    assert served.seen(ARM) == 1


def test_without_a_token_nothing_is_sent(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_HEADER", "wrong")
    with ManagedIdentityCredential() as credential:
        client = ArmClient(AZURE_PUBLIC, credential)
        with pytest.raises(errors.UnavailableError, match="no token"):
            client.send("GET", "/x", doing="read it")
    assert served.seen(ARM) == 0


def test_the_query_asks_for_every_type_of_the_catalog_that_resource_graph_holds() -> None:
    text = query(VAULT)
    begin, types, end = re.fullmatch(r"(.* in~ )\((.*?)\)( .*)", text).groups()  # type: ignore[union-attr]
    assert begin == "resources | where type in~ "
    assert end == (
        " | where tostring(properties) contains 'kv-one.vault.azure.net'"
        " | project id, type, location, tags, properties | order by id asc"
    )
    asked = [word.strip("'") for word in types.split(", ")]
    assert asked == [word.lower() for word in asked]
    assert "microsoft.storage/storageaccounts/encryptionscopes" not in asked
    assert "deployment_config" not in asked
    held = {k.resource_type for k in KINDS if k.plane is Plane.ARM and not k.listed_under}
    singular = "microsoft.containerinstance/containergroupprofile"
    assert set(asked) == {name.lower() for name in held} | {singular}


@pytest.mark.parametrize("vault", ["", "kv' or true", "kv\n", "KV", "kv|count", "kv'", "kv\\"])
def test_a_vault_that_would_change_the_query_is_refused(vault: str) -> None:
    with pytest.raises(errors.NotAllowedError, match="not the host of a vault"):
        query(vault)


def test_what_names_a_resource_is_asked_for_by_its_id_alone(served: Served) -> None:
    body = {"data": [{"id": "/a"}], "resultTruncated": "false"}
    answering(served, Answer(200, body), "*/resources")
    inventory, names = GraphInventory(served.arm), [ACCOUNT, "/subscriptions/s/x(1).y_z-1"]
    page = inventory.naming(kind=AKS_CLUSTER, names=names, subscriptions=["s1"], token="")
    assert page.resources == [{"id": "/a"}]
    (call,) = served.azure.front_door.traffic()
    text = json.loads(call.request_body)["query"]
    assert text == (
        "resources | where type in~ ('microsoft.containerservice/managedclusters')"
        f" | where tostring(properties) contains '{names[0]}'"
        f" or tostring(properties) contains '{names[1]}'"
        " | project id, type, location, tags, properties | order by id asc"
    )


@pytest.mark.parametrize("name", ["", "/a' or true", "/a\n", "/a|count", "/a'", "/a\\", "/a b"])
def test_an_id_that_would_change_the_query_is_refused(served: Served, name: str) -> None:
    with pytest.raises(errors.NotAllowedError, match="not the id of a resource"):
        GraphInventory(served.arm).naming(
            kind=AKS_CLUSTER, names=[ACCOUNT, name], subscriptions=[], token=""
        )
    assert served.seen(ARM) == 0


def graph(served: Served, answer: Mapping[str, object], after: str = "") -> tuple[int, str]:
    answering(served, Answer(200, answer), "*/resources")
    page = GraphInventory(served.arm).page(vault=VAULT, subscriptions=["s1", "s2"], token=after)
    return len(page.resources), page.token


def test_a_page_names_its_subscriptions_and_where_it_continues(served: Served) -> None:
    answer = {"data": [{}, {}], "resultTruncated": "true", "$skipToken": "next"}
    assert graph(served, answer, after="here") == (2, "next")
    (call,) = served.azure.front_door.traffic()
    assert json.loads(call.request_body) == {
        "subscriptions": ["s1", "s2"],
        "query": query(VAULT),
        "options": {"resultFormat": "objectArray", "$top": 500, "$skipToken": "here"},
    }


def test_a_last_page_has_no_token(served: Served) -> None:
    assert graph(served, {"data": [], "resultTruncated": "false"}) == (0, "")
    (call,) = served.azure.front_door.traffic()
    assert "$skipToken" not in json.loads(call.request_body)["options"]


@pytest.mark.parametrize("truncated", ["true", "True", True])
def test_an_answer_that_was_cut_short_without_a_way_on_is_not_believed(
    served: Served, truncated: object
) -> None:
    with pytest.raises(errors.UnreadableError, match="cut its answer short"):
        graph(served, {"data": [{}], "resultTruncated": truncated})


@pytest.mark.parametrize("answer", [{}, {"data": None}, {"data": {"rows": []}}])
def test_an_answer_without_rows_is_not_an_empty_one(
    served: Served, answer: dict[str, object]
) -> None:
    with pytest.raises(errors.UnreadableError, match="no rows"):
        graph(served, answer)


def vaults(served: Served) -> AzureVaults:
    return AzureVaults(frozenset({VAULT}), served.credential)


def test_a_vault_off_the_list_gets_no_request(served: Served) -> None:
    served.azure.estate.vault("kv-two").create_key("cmk")
    stranger = Key("kv-two.vault.azure.net", "cmk")
    calls: list[Callable[[], object]] = [
        lambda: vaults(served).current(stranger),
        lambda: vaults(served).versions(stranger),
        lambda: vaults(served).version(KeyVersion(stranger, "0" * 32)),
        lambda: vaults(served).created(KeyVersion(stranger, "0" * 32)),
        lambda: list(vaults(served).keys(stranger.vault)),
        lambda: vaults(served).rotates_itself(stranger),
        lambda: vaults(served).rotate(stranger),
    ]
    for call in calls:
        with pytest.raises(errors.NotAllowedError, match="KEYTURN_VAULTS"):
            call()
    assert served.azure.front_door.traffic() == []


def test_a_key_is_read_whole(served: Served) -> None:
    vault = served.azure.estate.vault("kv-one")
    vault.grant(APP_PRINCIPAL, {"get", "list", "rotate"})
    first = vault.create_key("CMK")
    vault.set_enabled(first, enabled=False)
    ours, key = vaults(served), Key(VAULT, "cmk")
    current = ours.current(key)
    assert str(current.id) == first.lower()
    assert (current.key_type, current.bits, current.enabled) == ("RSA", 2048, False)
    assert current.created.microsecond == 0
    made = ours.rotate(key)
    assert {v.id for v in ours.versions(key)} == {current.id, made.id}
    assert ours.current(key).id == made.id
    assert ours.version(current.id) == current
    assert list(ours.keys(VAULT)) == [key]


def test_when_a_version_was_made_is_asked_once(served: Served) -> None:
    vault = served.azure.estate.vault("kv-one")
    vault.grant(APP_PRINCIPAL, {"get"})
    version, ours = KeyVersion.parse(vault.create_key("cmk")), vaults(served)
    created = ours.created(version)
    seen = served.seen(VAULT)
    assert ours.created(version) == created
    assert served.seen(VAULT) == seen


def test_a_rotate_is_never_repeated(served: Served) -> None:
    vault = served.azure.estate.vault("kv-one")
    vault.grant(APP_PRINCIPAL, {"get", "rotate"})
    vault.create_key("cmk")
    ours = vaults(served)
    ours.current(Key(VAULT, "cmk"))
    served.azure.faults.add(Fault(method="POST", path="*/rotate", lose_answer=True))
    with pytest.raises(errors.UnavailableError):
        ours.rotate(Key(VAULT, "cmk"))
    assert len(vault.versions("cmk")) == 2
    served.azure.faults.add(Fault(method="POST", path="*/rotate", answer=server_error_html()))
    with pytest.raises(errors.UnavailableError, match="503"):
        ours.rotate(Key(VAULT, "cmk"))
    assert len(vault.versions("cmk")) == 2


def test_another_key_than_was_asked_for_is_not_believed(served: Served) -> None:
    vault = served.azure.estate.vault("kv-one")
    vault.grant(APP_PRINCIPAL, {"get"})
    other, ours = vault.create_key("other"), vaults(served)
    ours.current(Key(VAULT, "other"))
    found = served.azure.front_door.traffic()[-1].response_body
    wrong = Answer(200, found, {"content-type": "application/json"})
    served.azure.faults.add(Fault(host=VAULT, path="/keys/cmk/*", answer=wrong))
    with pytest.raises(errors.UnreadableError, match=other):
        ours.current(Key(VAULT, "cmk"))


def test_a_right_that_is_missing_and_a_key_that_is_not_there(served: Served) -> None:
    vault = served.azure.estate.vault("kv-one")
    vault.create_key("cmk")
    with pytest.raises(errors.AccessDeniedError, match="403"):
        vaults(served).current(Key(VAULT, "cmk"))
    vault.grant(APP_PRINCIPAL, {"get"})
    with pytest.raises(errors.NotFoundError, match="404"):
        vaults(served).current(Key(VAULT, "none"))


@pytest.mark.parametrize("content", [b"<html>sign in</html>", b"{"])
def test_a_vaults_answer_that_is_no_key_is_not_believed(served: Served, content: bytes) -> None:
    vault = served.azure.estate.vault("kv-one")
    vault.grant(APP_PRINCIPAL, {"get"})
    vault.create_key("cmk")
    ours = vaults(served)
    ours.current(Key(VAULT, "cmk"))
    odd = Answer(200, content, {"content-type": "application/json"})
    served.azure.faults.add(Fault(host=VAULT, answer=odd))
    with pytest.raises(errors.KeyturnError):
        ours.current(Key(VAULT, "cmk"))
