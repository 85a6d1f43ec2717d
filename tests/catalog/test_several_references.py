"""A resource that refers to several keys: the right ones are moved, and the rest stays."""

import copy
from collections.abc import Callable, Mapping
from datetime import timedelta

import pytest

from shared.catalog import kind_named
from shared.catalog.databricks import DATABRICKS_WORKSPACE
from shared.catalog.flexible_servers import MYSQL_SERVER, POSTGRESQL_SERVER
from shared.catalog.messaging import EVENT_HUBS_NAMESPACE
from shared.catalog.sql import SQL_INSTANCE_PROTECTOR, SQL_SERVER_PROTECTOR
from shared.domain.json_paths import Json, look_up, put
from shared.domain.keys import Key, KeyVersion
from shared.domain.kinds import Kind
from shared.domain.plans import (
    Age,
    Allowed,
    Manual,
    Plan,
    Repoint,
    VerifyOnly,
    left_to_another,
    needed_first,
    plan,
    unseen_of,
)
from tests.catalog.references import parts, refer
from tests.catalog.samples import sample
from tests.domain.values import KEY, NEWER, NOW, OLD, TARGET, state

OTHER = KeyVersion(Key("kv9.vault.azure.net", "other"), "9" * 32)
SAME_NAME = KeyVersion(Key("kv9.vault.azure.net", KEY.name), OLD.version)


def planned(kind: Kind, body: Json, ages: Mapping[KeyVersion, Age] | None = None) -> Plan:
    bits = min(kind.key_bits)
    found = ages or {OLD: Age.OLDER, NEWER: Age.NEWER}
    return plan(kind, body, state(bits=bits), found, Allowed())


def named(kind: Kind, body: Json) -> list[str]:
    return [str(reference) for reference in kind.shape.read(body)]


def entries(*versions: KeyVersion) -> Json:
    body = sample(EVENT_HUBS_NAMESPACE.id)
    (first,) = look_up(body, "properties.encryption.keyVaultProperties")
    listed = [
        {
            **first,
            "keyVaultUri": f"https://{each.key.vault}",
            "keyName": each.key.name,
            "keyVersion": each.version,
        }
        for each in versions
    ]
    put(body, "properties.encryption.keyVaultProperties", listed)
    return body


@pytest.mark.parametrize(
    "order",
    [(OLD, OTHER, SAME_NAME), (OTHER, OLD, SAME_NAME), (SAME_NAME, OTHER, OLD)],
    ids=["first", "middle", "last"],
)
def test_of_a_list_the_entry_of_the_key_is_moved_and_the_order_stays(
    order: tuple[KeyVersion, ...],
) -> None:
    decided = planned(EVENT_HUBS_NAMESPACE, entries(*order))
    assert isinstance(decided, Repoint)
    expected = [str(TARGET if each == OLD else each) for each in order]
    assert named(EVENT_HUBS_NAMESPACE, decided.body) == expected


def test_all_entries_of_one_key_are_moved() -> None:
    decided = planned(EVENT_HUBS_NAMESPACE, entries(OLD, OLD, OTHER))
    assert isinstance(decided, Repoint)
    assert named(EVENT_HUBS_NAMESPACE, decided.body) == [str(TARGET), str(TARGET), str(OTHER)]


@pytest.mark.parametrize("kind", [DATABRICKS_WORKSPACE, POSTGRESQL_SERVER, MYSQL_SERVER])
def test_of_several_places_those_of_the_key_are_moved(kind: Kind) -> None:
    places = parts(kind.shape)
    for moving in range(len(places)):
        body = sample(kind.id)
        for number, place in enumerate(places):
            of = OLD if number == moving else (OTHER, SAME_NAME)[number % 2]
            refer(place, body, of.key, of.version)
        before = named(kind, body)
        decided = planned(kind, body)
        assert isinstance(decided, Repoint)
        after = named(kind, decided.body)
        assert after[moving] == str(TARGET)
        assert [text for n, text in enumerate(after) if n != moving] == [
            text for n, text in enumerate(before) if n != moving
        ]
        assert len(after) == len(places)


def test_what_follows_the_vault_does_not_keep_the_rest_of_a_workspace_from_being_moved() -> None:
    body = sample(DATABRICKS_WORKSPACE.id)
    disks = "properties.encryption.entities.managedDisk"
    put(body, f"{disks}.rotationToLatestKeyVersionEnabled", value=True)
    decided = planned(DATABRICKS_WORKSPACE, body)
    assert isinstance(decided, Repoint)
    sent = decided.body
    assert look_up(sent, f"{disks}.keyVaultProperties.keyVersion") == OLD.version
    services = "properties.encryption.entities.managedServices.keyVaultProperties.keyVersion"
    assert look_up(sent, services) == TARGET.version

    # Once that is done, the disks' set decides: the workspace shows nothing of their version.
    moved = copy.deepcopy(body) | {"properties": {**body["properties"], **sent["properties"]}}
    found = DATABRICKS_WORKSPACE.shape.read(moved)
    assert unseen_of(DATABRICKS_WORKSPACE, moved, found, TARGET) is None
    assert isinstance(planned(DATABRICKS_WORKSPACE, moved), VerifyOnly)
    put(moved, "properties.diskEncryptionSetId", "/subscriptions/s/set")
    left = left_to_another(DATABRICKS_WORKSPACE, moved, TARGET)
    assert left
    assert (left[0], left[1].holds) == ("/subscriptions/s/set", True)
    assert not DATABRICKS_WORKSPACE.proof.check(moved, TARGET).holds  # never by itself


def test_what_another_resource_shows_does_not_cover_what_a_workspace_shows_itself() -> None:
    body = sample(DATABRICKS_WORKSPACE.id)
    disks = "properties.encryption.entities.managedDisk"
    put(body, f"{disks}.rotationToLatestKeyVersionEnabled", value=True)
    left = left_to_another(DATABRICKS_WORKSPACE, body, TARGET)
    assert left
    assert not left[1].holds  # the managed services are on the old version


def test_a_mysql_server_takes_no_version_that_expires() -> None:
    expiring = state(expires=NOW + timedelta(days=90))
    body = sample(MYSQL_SERVER.id)
    decided = plan(MYSQL_SERVER, body, expiring, {OLD: Age.OLDER}, Allowed())
    assert isinstance(decided, Manual)
    assert "that expires" in decided.reason
    assert "rotation policy" in decided.advice
    other = plan(POSTGRESQL_SERVER, sample(POSTGRESQL_SERVER.id), expiring, {OLD: Age.OLDER},
                 Allowed())  # fmt: skip
    assert isinstance(other, Repoint)


@pytest.mark.parametrize("kind", [SQL_SERVER_PROTECTOR, SQL_INSTANCE_PROTECTOR])
def test_a_protector_names_the_server_key_that_is_made_first(kind: Kind) -> None:
    body = sample(kind.id)
    decided = planned(kind, body)
    assert isinstance(decided, Repoint)
    needed = needed_first(kind, body["id"], TARGET)
    assert needed
    name = decided.body["properties"]["serverKeyName"]
    assert needed.resource == f"{body['id'].rsplit('/', 2)[0]}/keys/{name}"
    assert needed.body == {"properties": {"serverKeyType": "AzureKeyVault", "uri": str(TARGET)}}
    assert "uri" not in decided.body["properties"]


def test_a_4096_bit_key_is_too_large_for_a_protector() -> None:
    body = sample(SQL_SERVER_PROTECTOR.id)
    decided = plan(SQL_SERVER_PROTECTOR, body, state(bits=4096), {OLD: Age.OLDER}, Allowed())
    assert isinstance(decided, Manual)


def _inaccessible(body: Json) -> Json:
    put(body, "properties.state", "Inaccessible")
    return body


def _invalid(body: Json) -> Json:
    put(body, "properties.dataEncryption.primaryEncryptionKeyStatus", "Invalid")
    return body


@pytest.mark.parametrize("broken", [_inaccessible, _invalid])
def test_a_server_without_its_key_is_recovered_before_it_is_moved(
    broken: Callable[[Json], Json],
) -> None:
    decided = planned(POSTGRESQL_SERVER, broken(sample(POSTGRESQL_SERVER.id)))
    assert isinstance(decided, Manual)
    assert "enable the old version" in decided.advice


@pytest.mark.parametrize(
    "kind_id", ["synapse_workspace", "netapp_account", "mongo_vcore", "sql_database"]
)
def test_what_is_only_reported_comes_with_why_and_with_steps(kind_id: str) -> None:
    kind = kind_named(kind_id)
    decided = planned(kind, sample(kind_id))
    assert isinstance(decided, Manual)
    assert kind.by_hand
    assert kind.by_hand.why in decided.reason
    assert str(TARGET) in decided.advice


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("properties.dataEncryption.primaryEncryptionKeyStatus", "Unknown"),
        ("properties.dataEncryption.primaryEncryptionKeyStatus", "Invalid"),
        ("properties.dataEncryption.geoBackupEncryptionKeyStatus", "Invalid"),
        ("properties.state", "Updating"),
    ],
)
def test_a_postgresql_server_that_names_the_target_and_complains_is_not_proven(
    path: str, value: str
) -> None:
    body = sample(POSTGRESQL_SERVER.id)
    for place in parts(POSTGRESQL_SERVER.shape):
        refer(place, body, TARGET.key, TARGET.version)
    assert POSTGRESQL_SERVER.proof.check(body, TARGET).holds
    put(body, path, value)
    assert not POSTGRESQL_SERVER.proof.check(body, TARGET).holds


@pytest.mark.parametrize("kind", [EVENT_HUBS_NAMESPACE, DATABRICKS_WORKSPACE])
def test_what_is_still_being_changed_is_not_proven(kind: Kind) -> None:
    body = sample(kind.id)
    for place in parts(kind.shape):
        refer(place, body, TARGET.key, TARGET.version)
    assert kind.proof.check(body, TARGET).holds
    put(body, "properties.provisioningState", "Updating")
    assert not kind.proof.check(body, TARGET).holds


def test_a_protector_of_another_key_type_proves_nothing() -> None:
    body = sample(SQL_SERVER_PROTECTOR.id)
    put(body, "properties.uri", str(TARGET))
    assert SQL_SERVER_PROTECTOR.proof.check(body, TARGET).holds
    put(body, "properties.serverKeyType", "ServiceManaged")
    assert not SQL_SERVER_PROTECTOR.proof.check(body, TARGET).holds
