"""The emulated kinds answer as recorded: statuses, headers, bodies, and what a GET shows when."""

import itertools
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.arm import emulated_kinds as kinds
from sandbox.arm import json_paths
from sandbox.arm.emulated import Emulated
from sandbox.arm.emulated_kinds import EMULATED
from sandbox.arm.further_kinds import FURTHER
from sandbox.arm.resource_ids import ResourceId
from sandbox.keyed_estate import Keyed
from sandbox.testing import Answer, HandClock, Rig, rig

VAULT = "kv-kinds"
WITH_KEY = [kind for kind in EMULATED if kind.key and kind not in FURTHER]
PATCHED = [kind for kind in WITH_KEY if kind.patches]

every_kind = pytest.mark.parametrize("kind", WITH_KEY, ids=lambda kind: kind.type)
every_patched_kind = pytest.mark.parametrize("kind", PATCHED, ids=lambda kind: kind.type)


_numbers = itertools.count()
_CLOCK = HandClock.start()


@pytest.fixture(name="served", scope="module")
def _served() -> Iterator[Rig]:
    with rig(clock=_CLOCK) as served:
        yield served


def made(served: Rig, kind: Emulated, **more: Any) -> Keyed:  # noqa: ANN401 - see ``make``
    """Make a resource in a subscription of its own, with a key of its own."""
    number = next(_numbers)
    subscription = served.estate.subscription(f"kinds-{number}")
    served.allow_all(subscription)
    name = "san1/group1" if kind is kinds.VOLUME_GROUPS else "one"
    key = f"https://{VAULT}.vault.azure.net/keys/cmk-{number}"
    return served.estate.resource(kind.type, name, subscription=subscription, key=key, **more)


def key_of(served: Rig, resource: Keyed) -> str:
    used = in_use(served, resource)
    assert used
    return used.rpartition("/")[0]


def new_version(served: Rig, resource: Keyed) -> str:
    _CLOCK.move(seconds=1)  # no two versions of one second
    return served.estate.vaults.vault(VAULT).rotate(key_of(served, resource).rpartition("/")[2])


def read(served: Rig, kind: Emulated, resource: Keyed) -> Answer:
    return served.send("GET", resource.id, version=kind.api_versions[-1])


def naming(kind: Emulated, body: dict[str, Any], version: str) -> dict[str, Any]:
    """Return a request that repeats what a GET shows of the key, with another version."""
    key = kind.key
    assert key
    paths = (key.url, key.vault, key.name, key.version, key.identity, key.client)
    request: dict[str, Any] = {}
    for path in (*paths, key.when[0] if key.when else ""):
        if path and (value := json_paths.at(body, path)) is not None:
            json_paths.put(request, path, value)
    if key.url:
        json_paths.put(request, key.url, version)
    else:
        json_paths.put(request, key.version, version.rpartition("/")[2])
    return request


def write(
    served: Rig, kind: Emulated, resource: Keyed, version: str, method: str = "PATCH"
) -> Answer:
    shown = read(served, kind, resource).body
    request = naming(kind, shown, version)
    if method == "PUT":
        whole = {name: shown[name] for name in ("location", "sku") if name in shown}
        identity = {"type": shown["identity"]["type"]}
        if assigned := shown["identity"].get("userAssignedIdentities"):
            identity["userAssignedIdentities"] = {name: {} for name in assigned}
        request = {**whole, "identity": identity, **request}
    return served.send(method, resource.id, request, version=kind.api_versions[-1])


def settled(served: Rig, kind: Emulated, resource: Keyed) -> dict[str, Any]:
    """Return what a GET shows once no write goes on: when the service has had its time."""
    _CLOCK.move(seconds=kind.works_for.total_seconds())
    body: dict[str, Any] = read(served, kind, resource).body
    assert not kind.state or json_paths.text(body, kind.state) in kind.states[1:]
    operation = served.estate.arm.resources.get(ResourceId.parse(resource.id)).operation
    assert operation is None or operation.ended
    return body


def in_use(served: Rig, resource: Keyed) -> str | None:
    return served.estate.truth.version_in_use(resource.id)


@every_kind
def test_a_resource_that_is_made_uses_its_key_and_is_found(served: Rig, kind: Emulated) -> None:
    resource = made(served, kind)
    body = read(served, kind, resource).body
    assert body["id"] == resource.id
    assert body["type"] == kind.type
    name = key_of(served, resource).rpartition("/")[2]
    assert in_use(served, resource) == served.estate.vaults.newest(VAULT, name)
    assert served.estate.truth.writes(resource.id) == 0
    text = (
        f"resources | where type =~ '{kind.type}'"
        " | where tostring(properties) contains 'kv-kinds.vault.azure.net' | project id"
    )
    subscription = resource.id.split("/")[2]
    (row,) = served.query(text, subscriptions=[subscription]).body["data"]
    assert row["id"] == resource.id


@every_patched_kind
def test_a_patch_moves_the_key_and_answers_as_the_service_does(served: Rig, kind: Emulated) -> None:
    resource = made(served, kind)
    before, new = read(served, kind, resource).body, new_version(served, resource)
    answer = write(served, kind, resource, new)
    assert answer.status == kind.patched
    assert (answer.body is None) == (kind.patched == 202 and not kind.says_more)
    assert ("azure-asyncoperation" in answer.headers) == bool(kind.polling.status)
    assert ("location" in answer.headers) == bool(kind.polling.result)
    after = settled(served, kind, resource)
    assert in_use(served, resource) == new
    assert served.estate.truth.writes(resource.id) == 1
    assert set(after["properties"]) >= set(before["properties"])
    assert after["identity"] == before["identity"]


@every_patched_kind
def test_a_key_that_cannot_be_used_is_refused_and_nothing_changes(
    served: Rig, kind: Emulated
) -> None:
    resource = made(served, kind)
    before, old, new = (
        read(served, kind, resource).body,
        in_use(served, resource),
        new_version(served, resource),
    )
    served.estate.vaults.vault(VAULT).set_enabled(new, enabled=False)
    answer = write(served, kind, resource, new)
    assert (answer.status, answer.code) == (kind.refusal.status, kind.refusal.code)
    assert read(served, kind, resource).body == before
    assert in_use(served, resource) == old


@every_kind
def test_where_a_patch_changes_tags_alone_the_key_stays(served: Rig, kind: Emulated) -> None:
    if kind.patches:
        return
    resource = made(served, kind)
    old, new = in_use(served, resource), new_version(served, resource)
    assert write(served, kind, resource, new).status == 200
    settled(served, kind, resource)
    assert in_use(served, resource) == old
    assert write(served, kind, resource, new, "PUT").status == kind.replaced
    settled(served, kind, resource)
    assert in_use(served, resource) == new


@every_kind
def test_what_needs_a_version_is_refused_without_one(served: Rig, kind: Emulated) -> None:
    key = kind.key
    assert key
    if not key.needs_version:
        return
    resource = made(served, kind)
    request = {**read(served, kind, resource).body}
    request.pop("identity")
    if key.url:
        json_paths.put(request, key.url, key_of(served, resource))
    else:
        json_paths.put(request, key.version, "")
    answer = served.send("PUT", resource.id, request, version=kind.api_versions[-1])
    assert answer.status == 400


@every_patched_kind
def test_a_second_write_during_the_first_is_refused(served: Rig, kind: Emulated) -> None:
    if not kind.works_for:
        return
    resource = made(served, kind)
    assert resource.pace
    resource.pace.long_running(None)
    write(served, kind, resource, new_version(served, resource))
    answer = served.send("PATCH", resource.id, {"tags": {"a": "b"}}, version=kind.api_versions[-1])
    assert (answer.status, answer.code) == (409, "AnotherOperationInProgress")


# -- what is recorded of one kind ------------------------------------------------------------------


def recorded(folder: Path, name: str, index: int) -> dict[str, Any]:
    exchanges = json.loads((folder / name).read_text())["exchanges"]
    found: dict[str, Any] = next(e for e in exchanges if e["index"] == index)
    return found


def test_a_registry_names_the_version_in_use_at_once_and_says_it_is_updating(
    served: Rig, recordings: Path
) -> None:
    theirs = recorded(recordings, "container-registries/acr_encryption_with_cmk.json", 22)
    resource = made(served, kinds.REGISTRIES)
    new = new_version(served, resource)
    ours = write(served, kinds.REGISTRIES, resource, new)
    assert ours.status == theirs["response"]["status"] == 201
    shown = theirs["response"]["body"]["properties"]
    key = ours.body["properties"]["encryption"]["keyVaultProperties"]
    assert set(key) == set(shown["encryption"]["keyVaultProperties"])
    assert key["versionedKeyIdentifier"] == key["keyIdentifier"] == new
    assert key["keyRotationEnabled"] is False
    assert ours.body["properties"]["provisioningState"] == shown["provisioningState"]
    assert "/registries/one/operationStatuses/" in ours.headers["azure-asyncoperation"]
    assert "location" not in ours.headers


def test_a_disk_encryption_set_answers_with_itself_and_loses_a_vault_that_is_not_sent(
    served: Rig, recordings: Path
) -> None:
    theirs = recorded(recordings, "disk-encryption-sets/disk_encryption_set_update.json", 20)
    resource = made(
        served,
        kinds.DISK_ENCRYPTION_SETS,
        properties={"activeKey": {"sourceVault": {"id": "/v"}}},
    )
    ours = write(served, kinds.DISK_ENCRYPTION_SETS, resource, new_version(served, resource))
    assert ours.status == theirs["response"]["status"] == 202
    assert ours.body["properties"]["provisioningState"] == "Updating"
    assert "/DiskOperations/" in ours.headers["azure-asyncoperation"]
    assert "/DiskOperations/" in ours.headers["location"]
    assert "sourceVault" not in ours.body["properties"]["activeKey"]


def test_a_set_that_is_slow_names_the_key_it_is_still_moving_from(served: Rig) -> None:
    kind = kinds.DISK_ENCRYPTION_SETS
    resource = made(served, kind)
    old, new = in_use(served, resource), new_version(served, resource)
    assert resource.pace
    resource.pace.slow(timedelta(hours=10))
    write(served, kind, resource, new)
    properties = read(served, kind, resource).body["properties"]
    assert properties["activeKey"]["keyUrl"] == new
    assert properties["previousKeys"] == [{"keyUrl": old}]
    assert in_use(served, resource) == old


def test_a_set_that_follows_names_the_version_in_force(served: Rig) -> None:
    kind = kinds.DISK_ENCRYPTION_SETS
    resource = made(served, kind, version="follows")
    old, new = in_use(served, resource), new_version(served, resource)
    urls = []
    for _ in range(2):
        urls.append(read(served, kind, resource).body["properties"]["activeKey"]["keyUrl"])
        _CLOCK.move(seconds=kind.looks_every.total_seconds())
    assert urls == [old, new]
    assert in_use(served, resource) == new


def test_a_cluster_answers_200_to_a_put_that_changes_nothing_and_202_to_one_that_does(
    served: Rig, recordings: Path
) -> None:
    file = "log-analytics-clusters/monitor_log_analytics_cluster_update_key.json"
    theirs = [recorded(recordings, file, index)["response"] for index in (1, 4)]
    kind = kinds.LOG_ANALYTICS_CLUSTERS
    resource = made(served, kind)
    shown = read(served, kind, resource).body
    for path in ("properties.associatedWorkspaces", "properties.capacityReservationProperties"):
        json_paths.drop(shown, path)
    assigned = shown["identity"]["userAssignedIdentities"]
    shown["identity"] = {"type": "UserAssigned", "userAssignedIdentities": dict.fromkeys(assigned)}
    same = served.send("PUT", resource.id, shown, version=kind.api_versions[-1])
    json_paths.put(shown, "properties.keyVaultProperties.keyVersion", "")
    other = served.send("PUT", resource.id, shown, version=kind.api_versions[-1])
    assert [same.status, other.status] == [answer["status"] for answer in theirs] == [200, 202]
    assert other.body is None
    assert "/locations/westeurope/operationstatuses/" in other.headers["azure-asyncoperation"]
    assert "/clusters/one/operationresults/" in other.headers["location"]


def test_a_cluster_refuses_what_is_read_only_and_two_changes_in_one(served: Rig) -> None:
    kind = kinds.LOG_ANALYTICS_CLUSTERS
    resource = made(served, kind)
    new = new_version(served, resource)
    shown = read(served, kind, resource).body
    shown["identity"] = {"type": "SystemAssigned"}
    back = served.send("PUT", resource.id, shown, version=kind.api_versions[-1])
    assert (back.status, back.code) == (400, "InvalidParameter")
    json_paths.drop(shown, "properties.associatedWorkspaces")
    json_paths.put(shown, "properties.keyVaultProperties.keyVersion", new.rpartition("/")[2])
    both = served.send("PUT", resource.id, shown, version=kind.api_versions[-1])
    assert (both.status, both.code) == (400, "InvalidParameter")
    assert "Identity and key" in both.message


def test_a_backup_vault_answers_a_put_with_the_key_it_had(served: Rig) -> None:
    kind = kinds.BACKUP_VAULTS
    resource = made(served, kind)
    old, new = in_use(served, resource), new_version(served, resource)
    answer = write(served, kind, resource, new, "PUT")
    path = "properties.securitySettings.encryptionSettings.keyVaultProperties.keyUri"
    assert answer.status == 201
    assert json_paths.text(answer.body, path) == old
    assert json_paths.text(settled(served, kind, resource), path) == new


def test_a_recovery_vault_keeps_its_identity_when_the_key_alone_is_sent(
    served: Rig, recordings: Path
) -> None:
    theirs = recorded(recordings, "recovery-services-vaults/backup_encryption.json", 94)
    kind = kinds.RECOVERY_VAULTS
    resource = made(served, kind)
    new = new_version(served, resource)
    before = read(served, kind, resource).body["properties"]["encryption"]["kekIdentity"]
    request = {"properties": {"encryption": {"keyVaultProperties": {"keyUri": new}}}}
    assert json_paths.at(theirs["request"]["body"], "properties.encryption").keys() == {
        "keyVaultProperties"
    }
    ours = served.send("PATCH", resource.id, request, version=kind.api_versions[-1])
    assert (ours.status, ours.body) == (theirs["response"]["status"], None)
    assert "/vaults/one/operationStatus/" in ours.headers["azure-asyncoperation"]
    assert "/vaults/one/operationResults/" in ours.headers["location"]
    encryption = settled(served, kind, resource)["properties"]["encryption"]
    assert encryption == {"keyVaultProperties": {"keyUri": new}, "kekIdentity": before}


def test_an_account_polls_both_ways_at_one_url_that_answers_with_the_status(served: Rig) -> None:
    kind = kinds.COGNITIVE_ACCOUNTS
    resource = made(served, kind)
    assert resource.pace
    resource.pace.long_running(None)
    answer = write(served, kind, resource, new_version(served, resource))
    assert answer.headers["azure-asyncoperation"] == answer.headers["location"]
    path = answer.headers["location"].removeprefix("https://management.azure.com")
    polled = served.send("GET", path.partition("?")[0], version=kind.api_versions[-1])
    assert (polled.status, polled.body) == (200, {"status": "Updating"})


def test_a_volume_group_is_polled_at_its_location_until_it_shows_itself(served: Rig) -> None:
    kind = kinds.VOLUME_GROUPS
    resource = made(served, kind)
    answer = write(served, kind, resource, new_version(served, resource))
    path = answer.headers["location"].removeprefix("https://management.azure.com")
    path = path.partition("?")[0]
    assert "/asyncoperations/" in path
    assert served.send("GET", path, version=kind.api_versions[-1]).status in {200, 202}
    settled(served, kind, resource)
    done = served.send("GET", path, version=kind.api_versions[-1])
    assert (done.status, done.body["id"]) == (200, resource.id)


def test_every_kind_names_what_it_follows() -> None:
    assert all(kind.source for kind in EMULATED)
    assert len({kind.type.lower() for kind in EMULATED}) == len(EMULATED)
