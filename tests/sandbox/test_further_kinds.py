"""Kinds with lists, several references and ordered writes answer as recorded."""

import time
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from sandbox.arm import further_kinds as kinds
from sandbox.arm.emulated import Emulated
from sandbox.arm.several_keys import reference
from sandbox.keyed_estate import Keyed
from sandbox.testing import Answer, Rig, rig

VAULT = "kv-further"
KEYS = f"https://{VAULT}.vault.azure.net/keys"
LISTS = (kinds.EVENT_HUBS, kinds.SERVICE_BUS)
OF_SEVERAL = (*LISTS, kinds.DATABRICKS, kinds.POSTGRESQL, kinds.MYSQL)
every_list = pytest.mark.parametrize("kind", LISTS, ids=lambda kind: kind.type)
every_kind = pytest.mark.parametrize("kind", OF_SEVERAL, ids=lambda kind: kind.type)


@pytest.fixture
def served() -> Iterator[Rig]:
    """A rig whose hours are seconds."""
    with rig(rate=3600) as served:
        yield served


@pytest.fixture
def calm() -> Iterator[Rig]:
    """A rig in real time: a write of seconds goes on while a test looks."""
    with rig(rate=1) as served:
        yield served


def made(served: Rig, kind: Emulated, name: str = "one") -> Keyed:
    subscription = served.estate.subscription("further")
    served.allow_all(subscription)
    return served.estate.resource(
        kind.type, name, subscription=subscription, key=f"{KEYS}/a", more=[f"{KEYS}/b"]
    )


def used(served: Rig, resource: Keyed) -> list[str]:
    truth = served.estate.truth
    return [truth.version_in_use(reference(resource.id, number)) or "" for number in (0, 1)]


def put(served: Rig, kind: Emulated, resource: Keyed, old: str, new: str) -> Answer:
    """Send back what a GET shows, with one version for another."""
    body = served.send("GET", resource.id, version=kind.api_versions[-1]).body
    request = replaced(body, old.rpartition("/")[2], new.rpartition("/")[2])
    request["identity"] = {
        "type": body["identity"]["type"],
        "userAssignedIdentities": {name: {} for name in body["identity"]["userAssignedIdentities"]},
    }
    method = "PUT" if kind in LISTS or not kind.patches else "PATCH"
    return served.send(method, resource.id, request, version=kind.api_versions[-1])


def replaced(value: Any, old: str, new: str) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return {name: replaced(inner, old, new) for name, inner in deepcopy(value).items()}
    if isinstance(value, list):
        return [replaced(inner, old, new) for inner in value]
    return value.replace(old, new) if isinstance(value, str) else value


def awaited(served: Rig, resource: Keyed, expected: list[str]) -> list[str]:
    for _ in range(200):
        if used(served, resource) == expected:
            break
        time.sleep(0.02)
    return used(served, resource)


@every_kind
def test_each_reference_is_moved_for_itself(served: Rig, kind: Emulated) -> None:
    resource = made(served, kind)
    first, second = used(served, resource)
    assert (first.rpartition("/")[0], second.rpartition("/")[0]) == (f"{KEYS}/a", f"{KEYS}/b")
    vault = served.estate.vaults.vault(VAULT)

    new = vault.rotate("b")
    answer = put(served, kind, resource, second, new)
    assert answer.status == (kind.replaced if kind in LISTS or not kind.patches else kind.patched)
    assert awaited(served, resource, [first, new]) == [first, new]

    newer = vault.rotate("a")
    for _ in range(200):  # the last write may still be going on
        if put(served, kind, resource, first, newer).status < 300:
            break
        time.sleep(0.02)
    assert awaited(served, resource, [newer, new]) == [newer, new]


@every_list
def test_a_namespace_in_transition_refuses_writes_with_429(calm: Rig, kind: Emulated) -> None:
    served = calm
    resource = made(served, kind)
    first, _ = used(served, resource)
    new = served.estate.vaults.vault(VAULT).rotate("a")
    answer = put(served, kind, resource, first, new)
    assert answer.status == 200
    assert answer.body["properties"]["provisioningState"] == "Updating"
    busy = put(served, kind, resource, first, new)
    assert (busy.status, busy.body["error"]["code"]) == (429, "NamespaceInTransition")


def test_event_hubs_names_no_operation_and_service_bus_does(served: Rig) -> None:
    found = []
    for kind in LISTS:
        resource = made(served, kind)
        first, _ = used(served, resource)
        new = served.estate.vaults.vault(VAULT).rotate("a")
        found.append(put(served, kind, resource, first, new).headers)
    event_hubs, service_bus = found
    assert not {"azure-asyncoperation", "location"} & set(event_hubs)
    assert "azure-asyncoperation" in service_bus


@every_list
def test_the_vaults_uri_comes_back_without_its_slash(served: Rig, kind: Emulated) -> None:
    resource = made(served, kind)
    body = served.send("GET", resource.id, version=kind.api_versions[-1]).body
    entries = body["properties"]["encryption"]["keyVaultProperties"]
    assert [entry["keyVaultUri"] for entry in entries] == [f"https://{VAULT}.vault.azure.net"] * 2


def test_a_protector_answers_202_with_both_headers_and_shows_its_key_when_it_is_over(
    served: Rig,
) -> None:
    kind = kinds.PROTECTORS[0]
    subscription = served.estate.subscription("further")
    served.allow_all(subscription)
    resource = served.estate.resource(
        kind.type, "sql1/current", subscription=subscription, key=f"{KEYS}/a"
    )
    new = served.estate.vaults.vault(VAULT).rotate("a")
    name = f"{VAULT}_a_{new.rpartition('/')[2]}"
    body = {"properties": {"serverKeyType": "AzureKeyVault", "serverKeyName": name}}

    refused = served.send("PUT", resource.id, body, version="2025-01-01")
    assert (refused.status, refused.body["error"]["code"]) == (400, "InvalidKeyName")

    key = {"properties": {"serverKeyType": "AzureKeyVault", "uri": new}}
    server = resource.id.rsplit("/", 2)[0]
    assert served.send("PUT", f"{server}/keys/{name}", key, version="2025-01-01").status == 201
    answer = served.send("PUT", resource.id, body, version="2025-01-01")
    assert answer.status == 202
    assert {"azure-asyncoperation", "location"} <= set(answer.headers)
    for _ in range(200):
        shown = served.send("GET", resource.id, version="2025-01-01").body["properties"]
        if shown["uri"] == new:
            break
        time.sleep(0.02)
    assert shown["serverKeyName"] == name
    assert served.estate.truth.version_in_use(resource.id) == new
