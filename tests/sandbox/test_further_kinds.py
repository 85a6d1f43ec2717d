"""Kinds with lists, several references and ordered writes answer as recorded."""

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from sandbox.arm import further_kinds as kinds
from sandbox.arm.emulated import Emulated
from sandbox.arm.several_keys import reference
from sandbox.keyed_estate import Keyed
from sandbox.testing import Answer, HandClock, Rig, rig

VAULT = "kv-further"
KEYS = f"https://{VAULT}.vault.azure.net/keys"
LISTS = (kinds.EVENT_HUBS, kinds.SERVICE_BUS)
OF_SEVERAL = (*LISTS, kinds.DATABRICKS, kinds.POSTGRESQL, kinds.MYSQL)
every_list = pytest.mark.parametrize("kind", LISTS, ids=lambda kind: kind.type)
every_kind = pytest.mark.parametrize("kind", OF_SEVERAL, ids=lambda kind: kind.type)


@pytest.fixture
def clock() -> HandClock:
    return HandClock.start()


@pytest.fixture
def served(clock: HandClock) -> Iterator[Rig]:
    with rig(clock=clock) as served:
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


def recorded(folder: Path, name: str, *indices: int) -> list[dict[str, Any]]:
    """Return the recorded answers of those numbers."""
    exchanges = json.loads((folder / name).read_text())["exchanges"]
    found = {each["index"]: each["response"] for each in exchanges}
    return [found[index] for index in indices]


def poll(served: Rig, url: str) -> Answer:
    path, _, query = url.removeprefix("https://management.azure.com").partition("?")
    return served.send("GET", path, version=query.partition("api-version=")[2])


@every_kind
def test_each_reference_is_moved_for_itself(served: Rig, clock: HandClock, kind: Emulated) -> None:
    resource = made(served, kind)
    first, second = used(served, resource)
    assert (first.rpartition("/")[0], second.rpartition("/")[0]) == (f"{KEYS}/a", f"{KEYS}/b")
    vault = served.estate.vaults.vault(VAULT)

    clock.move(seconds=1)
    new = vault.rotate("b")
    answer = put(served, kind, resource, second, new)
    assert answer.status == (kind.replaced if kind in LISTS or not kind.patches else kind.patched)
    assert used(served, resource) == [first, second]
    clock.move(seconds=kind.works_for.total_seconds())
    assert used(served, resource) == [first, new]

    newer = vault.rotate("a")
    assert put(served, kind, resource, first, newer).status == answer.status
    clock.move(seconds=kind.works_for.total_seconds())
    assert used(served, resource) == [newer, new]


@every_list
def test_a_namespace_in_transition_refuses_writes_with_429(served: Rig, kind: Emulated) -> None:
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


SQL = "2025-01-01"


@pytest.fixture
def protector(served: Rig) -> Keyed:
    subscription = served.estate.subscription("further")
    served.allow_all(subscription)
    kind = kinds.PROTECTORS[0]
    return served.estate.resource(
        kind.type, "sql1/current", subscription=subscription, key=f"{KEYS}/a"
    )


def server_key(served: Rig, clock: HandClock, protector: Keyed) -> tuple[str, str, dict[str, Any]]:
    """Return a new version, the id of the server key of it, and the PUT that makes that one."""
    clock.move(seconds=1)
    new = served.estate.vaults.vault(VAULT).rotate("a")
    name = f"{VAULT}_a_{new.rpartition('/')[2]}"
    server = protector.id.rsplit("/", 2)[0]
    request = {"properties": {"serverKeyType": "AzureKeyVault", "uri": new}}
    return new, f"{server}/keys/{name}", request


def named(server_key: str) -> dict[str, Any]:
    """Return the PUT of a protector that names a server key."""
    name = server_key.rpartition("/")[2]
    return {"properties": {"serverKeyType": "AzureKeyVault", "serverKeyName": name}}


def test_a_server_key_is_accepted_and_there_once_its_operation_is_over_as_recorded(
    served: Rig, clock: HandClock, protector: Keyed, recordings: Path
) -> None:
    theirs = recorded(recordings, "sql-servers/sql_tdebyok.json", 27, 28, 29, 30)
    _, key, request = server_key(served, clock, protector)

    accepted = served.send("PUT", key, request, version=SQL)
    working = poll(served, accepted.headers["azure-asyncoperation"])
    result = poll(served, accepted.headers["location"])
    before = served.send("GET", key, version=SQL)
    clock.move(seconds=1)
    over = poll(served, accepted.headers["azure-asyncoperation"])
    shown = served.send("GET", key, version=SQL)

    ours = [accepted, working, over, shown]
    assert [each.status for each in ours] == [each["status"] for each in theirs]
    assert [set(each.body) for each in ours[:3]] == [set(each["body"]) for each in theirs[:3]]
    assert accepted.body["operation"] == theirs[0]["body"]["operation"]
    assert [each.body["status"] for each in ours[1:3]] == ["InProgress", "Succeeded"]
    assert working.body["startTime"] == over.body["startTime"] == accepted.body["startTime"]
    for header in ("azure-asyncoperation", "location"):
        word = theirs[0]["headers"][header].split("/")[-2]
        assert accepted.headers[header].split("/")[-2] == word
    assert accepted.headers["retry-after"] == "1"  # recorded: aso_sql_server_20250101.json
    assert (result.status, before.status) == (202, 404)
    assert shown.body["properties"].items() >= request["properties"].items()


def test_a_server_key_that_is_asked_for_twice_is_made_once(
    served: Rig, clock: HandClock, protector: Keyed
) -> None:
    _, key, request = server_key(served, clock, protector)
    answers = [served.send("PUT", key, request, version=SQL) for _ in range(2)]
    urls = [answer.headers["azure-asyncoperation"] for answer in answers]
    clock.move(seconds=1)
    assert urls[0] == urls[1]
    assert poll(served, urls[0]).body["status"] == "Succeeded"
    assert served.send("GET", key, version=SQL).status == 200


def test_a_server_key_is_deleted_with_202_as_recorded(
    served: Rig, clock: HandClock, protector: Keyed, recordings: Path
) -> None:
    theirs = recorded(recordings, "sql-servers/sql_tdebyok.json", 44, 45)
    _, key, request = server_key(served, clock, protector)
    served.send("PUT", key, request, version=SQL)
    clock.move(seconds=1)

    deleted = served.send("DELETE", key, version=SQL)
    polled = poll(served, deleted.headers["azure-asyncoperation"])

    assert [deleted.status, polled.status] == [each["status"] for each in theirs]
    assert deleted.body["operation"] == theirs[0]["body"]["operation"]
    assert polled.body["status"] == theirs[1]["body"]["status"]
    assert served.send("GET", key, version=SQL).status == 404


def test_a_protector_is_refused_a_server_key_that_is_not_there_yet(
    served: Rig, clock: HandClock, protector: Keyed
) -> None:
    _, key, request = server_key(served, clock, protector)
    for _ in range(2):
        refused = served.send("PUT", protector.id, named(key), version=SQL)
        assert (refused.status, refused.code) == (400, "InvalidKeyName")
        served.send("PUT", key, request, version=SQL)
    clock.move(seconds=1)
    assert served.send("PUT", protector.id, named(key), version=SQL).status == 202


def test_a_protector_answers_202_and_shows_its_key_when_it_is_over_as_recorded(
    served: Rig, clock: HandClock, protector: Keyed, recordings: Path
) -> None:
    theirs = recorded(recordings, "sql-servers/sql_tdebyok.json", 34, 35, 37, 38)
    new, key, request = server_key(served, clock, protector)
    served.send("PUT", key, request, version=SQL)
    clock.move(seconds=1)
    old = served.estate.truth.version_in_use(protector.id)

    accepted = served.send("PUT", protector.id, named(key), version=SQL)
    working = poll(served, accepted.headers["azure-asyncoperation"])
    before = served.send("GET", protector.id, version=SQL).body["properties"]
    clock.move(seconds=kinds.PROTECTORS[0].works_for.total_seconds())
    over = poll(served, accepted.headers["azure-asyncoperation"])
    shown = served.send("GET", protector.id, version=SQL)

    ours = [accepted, working, over, shown]
    assert [each.status for each in ours] == [each["status"] for each in theirs]
    assert accepted.body["operation"] == theirs[0]["body"]["operation"]
    assert [set(each.body) for each in ours[:3]] == [set(each["body"]) for each in theirs[:3]]
    assert before["uri"] == old
    assert shown.body["properties"]["uri"] == new
    assert shown.body["properties"]["serverKeyName"] == key.rpartition("/")[2]
    assert served.estate.truth.version_in_use(protector.id) == new


def test_a_workspace_is_polled_with_202_until_it_is_done_as_recorded(
    served: Rig, clock: HandClock, recordings: Path
) -> None:
    file = "databricks-workspaces/databricks_update.json"
    theirs = recorded(recordings, file, 13, 14, 17)
    kind = kinds.DATABRICKS
    resource = made(served, kind)
    clock.move(seconds=1)
    new = served.estate.vaults.vault(VAULT).rotate("a")

    accepted = put(served, kind, resource, used(served, resource)[0], new)
    working = poll(served, accepted.headers["azure-asyncoperation"])
    clock.move(seconds=kind.works_for.total_seconds())
    over = poll(served, accepted.headers["azure-asyncoperation"])

    ours = [accepted, working, over]
    assert [each.status for each in ours] == [each["status"] for each in theirs] == [201, 202, 200]
    assert [each.body for each in ours[1:]] == [each["body"] for each in theirs[1:]]
    assert [set(each.headers) & {"location"} for each in ours] == [
        set(each["headers"]) & {"location"} for each in theirs
    ]
    assert working.headers["location"] == accepted.headers["azure-asyncoperation"]


@pytest.mark.parametrize("kind", [kinds.POSTGRESQL, kinds.MYSQL], ids=lambda kind: kind.type)
def test_a_server_answers_with_its_operation_as_recorded(
    served: Rig, clock: HandClock, kind: Emulated, recordings: Path
) -> None:
    file = "postgresql-flexible-servers/postgres_flexible_server_byok_mgmt.json"
    theirs = recorded(recordings, file, 63, 64)
    resource = made(served, kind)
    clock.move(seconds=1)
    new = served.estate.vaults.vault(VAULT).rotate("a")

    accepted = put(served, kind, resource, used(served, resource)[0], new)
    working = poll(served, accepted.headers["azure-asyncoperation"])

    assert (accepted.status, set(accepted.body)) == (202, set(theirs[0]["body"]))
    assert accepted.body["operation"] == theirs[0]["body"]["operation"]
    assert (working.status, set(working.body)) == (200, set(theirs[1]["body"]))
