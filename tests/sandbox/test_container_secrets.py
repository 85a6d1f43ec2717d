"""Secrets of container groups: what comes back, what is lost, and what only refers to them."""

import json
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.arm.container_bodies import new_body, take_secrets
from sandbox.arm.resource_ids import ResourceId
from sandbox.container_estate import ContainerGroup, group_request
from sandbox.key_vault import Vault
from sandbox.testing import Rig, rig
from tests.sandbox.container_calls import (
    NEWEST,
    TYPE,
    delete,
    get,
    moved,
    put,
    repeatable,
    settled,
)

numbers = count()


@pytest.fixture(scope="module", name="served")
def _served() -> Iterator[Rig]:
    with rig(600) as served:
        yield served


@pytest.fixture(name="subscription")
def _subscription(served: Rig, request: pytest.FixtureRequest) -> str:
    subscription = served.estate.subscription(request.node.name)
    served.allow_all(subscription)
    return subscription


@pytest.fixture(name="vault")
def _vault(served: Rig) -> Vault:
    return served.estate.vault(f"kv-groups-{next(numbers)}")


@pytest.fixture(name="identity")
def _identity(served: Rig, subscription: str) -> str:
    return served.estate.user_assigned_identity(subscription, "rg-containers", "id-groups")


@pytest.fixture(name="make")
def _make(served: Rig, subscription: str, vault: Vault) -> Callable[..., ContainerGroup]:
    """Makes a group on the key ``cmk`` of the test's own vault."""
    vault.create_key("cmk")

    def make(name: str = "app", **options: Any) -> ContainerGroup:  # noqa: ANN401 - any setting
        options.setdefault("key", f"{vault.uri}/keys/cmk")
        return served.estate.container_group(name, subscription=subscription, **options)

    return make


def test_no_secret_comes_back(
    served: Rig, make: Callable[..., ContainerGroup], subscription: str
) -> None:
    group = make(secrets="hidden")
    collection = f"/subscriptions/{subscription}/providers/{TYPE}"

    answers = [
        get(served, group),
        served.send("PATCH", group.id, {"tags": {}}, version=NEWEST),
        served.send("GET", collection, version=NEWEST),
        served.query("resources | where type =~ 'microsoft.containerinstance/containergroups'"),
        delete(served, group),
    ]

    for answer in answers:
        assert answer.status == 200
        assert "hidden-" not in json.dumps(answer.body)
        assert "aGlkZGVu" not in json.dumps(answer.body)
    shown = answers[0].body["properties"]
    assert shown["volumes"][1] == {"name": "files", "secret": {}}
    variables = shown["containers"][0]["properties"]["environmentVariables"]
    assert variables == [{"name": "LOG_LEVEL", "value": "info"}, {"name": "TOKEN"}]


def test_what_a_get_shows_lacks_what_a_put_needs(
    served: Rig, make: Callable[..., ContainerGroup]
) -> None:
    group = make(secrets="hidden")
    kept = served.estate.containers.secrets(group.id)
    request = repeatable(get(served, group).body)
    sent = request["properties"]

    codes = [put(served, group.id, request).code]
    sent["volumes"].pop(0)
    codes.append(put(served, group.id, request).code)
    del sent["imageRegistryCredentials"]
    codes.append(put(served, group.id, request).code)

    assert codes == [
        "InvalidStorageAccountKey",
        "InvalidImageRegistryCredential",
        "InvalidRequestContent",
    ]
    assert served.estate.containers.secrets(group.id) == kept
    assert set(kept) == {
        "containers/app/TOKEN/secureValue",
        "imageRegistryCredentials/contoso.azurecr.io/password",
        "volumes/share/azureFile/storageAccountKey",
        "volumes/files/secret/tls.pem",
        "diagnostics/logAnalytics/workspaceKey",
    }


def test_a_naive_second_put_loses_secrets_without_a_word(
    served: Rig, make: Callable[..., ContainerGroup]
) -> None:
    group = make(secrets="hidden")
    request = repeatable(get(served, group).body)
    for name in ("volumes", "imageRegistryCredentials", "diagnostics"):
        del request["properties"][name]

    delete(served, group)
    answer = put(served, group.id, request)

    assert answer.status == 201
    assert settled(served, group)["properties"]["provisioningState"] == "Succeeded"
    assert served.estate.containers.secrets(group.id) == {}


def test_references_come_back_and_a_group_can_be_made_again_from_what_is_shown(
    served: Rig, make: Callable[..., ContainerGroup], identity: str, vault: Vault
) -> None:
    group = make(secrets="references", user_assigned=identity)
    before = get(served, group).body
    new = vault.rotate("cmk")

    delete(served, group)
    answer = put(served, group.id, moved(before, new))
    after = settled(served, group)

    assert answer.status == 201
    assert {each["name"] for each in after["properties"]["secretReferences"]} == {
        "token",
        "share-key",
    }
    for name in ("secretReferences", "volumes", "imageRegistryCredentials", "osType"):
        assert after["properties"][name] == before["properties"][name]
    assert after["identity"] == before["identity"]
    assert served.estate.truth.version_in_use(group.id) == new


@pytest.mark.parametrize("version", ["2022-09-01", "2023-05-01"])
def test_an_older_api_version_knows_no_secret_references(
    served: Rig, make: Callable[..., ContainerGroup], identity: str, version: str
) -> None:
    group = make(secrets="references", user_assigned=identity)
    whole = get(served, group).body

    older = get(served, group, version).body
    answer = put(served, f"{group.id}2", repeatable(whole), version)

    assert "Reference" not in json.dumps(older["properties"])
    assert "secretReferences" not in older["properties"]
    assert "isCreatedFromStandbyPool" not in older["properties"]
    assert (answer.status, answer.code) == (400, "InvalidRequestContent")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param({"secretReferences": []}, "InvalidSecretReference", id="no such reference"),
        pytest.param(
            {
                "secretReferences": [
                    {"name": "token", "identity": "/other", "secretReferenceUri": "u"}
                ]
            },
            "InvalidIdentity",
            id="an identity that the group has not",
        ),
    ],
)
def test_a_reference_that_leads_nowhere_is_refused(
    served: Rig,
    make: Callable[..., ContainerGroup],
    identity: str,
    change: dict[str, Any],
    code: str,
) -> None:
    request = repeatable(get(served, make(secrets="references", user_assigned=identity)).body)
    request["properties"] |= change

    answer = put(served, request["id"] + "2", request)

    assert (answer.status, answer.code) == (400, code)


TEXT = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)


SECRET = st.uuids().map(lambda each: f"secret-{each}")


SHARES = st.fixed_dictionaries(
    {"shareName": TEXT, "storageAccountName": TEXT, "storageAccountKey": SECRET}
)


VOLUMES: st.SearchStrategy[list[dict[str, Any]]] = st.lists(
    st.one_of(
        st.fixed_dictionaries({"name": TEXT, "azureFile": SHARES}),
        st.fixed_dictionaries({"name": TEXT, "secret": st.dictionaries(TEXT, SECRET)}),
        st.fixed_dictionaries({"name": TEXT, "emptyDir": st.just({})}),
    ),
    max_size=3,
    unique_by=lambda each: str(each["name"]),
)


VARIABLES = st.lists(
    st.one_of(
        st.fixed_dictionaries({"name": TEXT, "secureValue": SECRET}),
        st.fixed_dictionaries({"name": TEXT, "value": TEXT}),
    ),
    max_size=3,
    unique_by=lambda each: each["name"],
)


CREDENTIALS = st.lists(
    st.fixed_dictionaries({"server": TEXT, "username": TEXT, "password": SECRET}),
    max_size=2,
    unique_by=lambda each: each["server"],
)


@given(VOLUMES, VARIABLES, VARIABLES, CREDENTIALS, SECRET)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_whatever_a_group_is_asked_with_its_body_holds_no_secret_and_the_service_all(
    volumes: list[Any],
    variables: list[Any],
    first: list[Any],
    credentials: list[Any],
    logs: str,
) -> None:
    request = group_request(
        "app",
        location="westeurope",
        encryption=None,
        user_assigned="",
        secrets="none",
        dns_label="",
        tags={},
    )
    properties = request["properties"]
    container = properties["containers"][0]
    container["properties"]["environmentVariables"] = variables
    properties["initContainers"] = [
        {"name": "first", "properties": {"environmentVariables": first}}
    ]
    properties["volumes"] = volumes
    properties["imageRegistryCredentials"] = credentials
    properties["diagnostics"] = {"logAnalytics": {"workspaceId": "w", "workspaceKey": logs}}
    sent = json.dumps(request)

    body = new_body(ResourceId("s", "g", TYPE, "app"), request, None)

    assert "secret-" not in json.dumps(body)
    assert json.dumps(request) == sent
    taken = take_secrets(properties)
    assert sorted(taken.values()) == sorted(secrets_in(json.loads(sent)))
    assert "secret-" not in json.dumps(properties)


def secrets_in(value: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    """Return every secret in a value: they are the texts that begin with ``secret-``."""
    match value:
        case dict():
            for each in value.values():
                yield from secrets_in(each)
        case list():
            for each in value:
                yield from secrets_in(each)
        case str() if value.startswith("secret-"):
            yield value
