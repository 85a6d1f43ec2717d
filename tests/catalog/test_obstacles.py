"""What stands in the way of a move, and no longer does once nothing must be moved."""

from datetime import timedelta

import pytest

from shared.catalog import KINDS, kind_named
from shared.domain.json_paths import Json, every, put
from shared.domain.keys import KeyVersion
from shared.domain.kinds import Kind
from shared.domain.plans import Age, Allowed, Manual, Plan, Repoint, VerifyOnly, plan
from shared.domain.resources import ResourceId
from tests.catalog.references import parts, refer
from tests.catalog.samples import SAMPLES, sample
from tests.domain.values import NEWER, NOW, OLD, TARGET, state


def planned(kind: Kind, body: Json) -> Plan:
    ages = {OLD: Age.OLDER, NEWER: Age.NEWER}
    return plan(kind, body, state(bits=min(kind.key_bits)), ages, Allowed())


def on(version: KeyVersion, kind: Kind) -> Json:
    body = sample(kind.id)
    for place in parts(kind.shape):
        refer(place, body, version.key, version.version)
    return body


@pytest.mark.parametrize(
    ("kind_id", "path", "value"),
    [
        ("backup_vault", "properties.isVaultProtectedByResourceGuard", True),
        ("ml_workspace", "properties.enableServiceSideCMKEncryption", True),
        (
            "disk_encryption_set",
            "properties.encryptionType",
            "ConfidentialVmEncryptedWithCustomerKey",
        ),
    ],
)
def test_what_forbids_a_move_is_no_matter_where_the_target_is_proven(
    kind_id: str, path: str, value: object
) -> None:
    kind = kind_named(kind_id)
    before, after = on(OLD, kind), on(TARGET, kind)
    for body in (before, after):
        put(body, path, value)
    assert isinstance(planned(kind, before), Manual)
    assert isinstance(planned(kind, after), VerifyOnly)


def test_confidential_vms_are_stopped_by_a_person_before_their_set_is_moved() -> None:
    kind = kind_named("disk_encryption_set")
    body = on(OLD, kind)
    assert isinstance(planned(kind, body), Repoint)
    put(body, "properties.encryptionType", "ConfidentialVmEncryptedWithCustomerKey")
    decided = planned(kind, body)
    assert isinstance(decided, Manual)
    assert "stop (deallocate) every confidential VM" in decided.advice


def test_the_steps_for_a_cluster_name_it_as_the_command_takes_it() -> None:
    kind = kind_named("aks_cluster")
    body = on(OLD, kind)
    decided = planned(kind, body)
    assert isinstance(decided, Manual)
    resource = ResourceId.parse(body["id"])
    assert f"az aks update -g {resource.group} -n {resource.name} --enable" in decided.advice
    assert str(TARGET) in decided.advice


@pytest.mark.parametrize("kind_id", ["aks_cluster", "sql_database"])
def test_what_follows_the_vault_is_not_told_to_name_the_target(kind_id: str) -> None:
    kind = kind_named(kind_id)
    body = sample(kind.id)
    for place in parts(kind.shape):
        refer(place, body, OLD.key, None)
    decided = planned(kind, body)
    assert isinstance(decided, Manual)
    assert "audit log" in decided.advice
    assert str(TARGET) not in decided.advice


def test_the_steps_for_a_netapp_account_have_all_that_the_command_asks_for() -> None:
    kind = kind_named("netapp_account")
    decided = planned(kind, sample(kind.id))
    assert isinstance(decided, Manual)
    assert '--key-vault-private-endpoints "[{virtual-network-id:' in decided.advice


def test_no_expiry_is_said_to_be_taken_off_a_version() -> None:
    kind = kind_named("mysql_flexible")
    expiring = state(bits=min(kind.key_bits), expires=NOW + timedelta(days=90))
    decided = plan(kind, on(OLD, kind), expiring, {OLD: Age.OLDER}, Allowed())
    assert isinstance(decided, Manual)
    assert "set-attributes" not in decided.advice


@pytest.mark.parametrize(
    ("status", "is_well"), [("Online", True), ("paused", True), ("Inaccessible", False)]
)
def test_a_database_on_the_target_may_be_paused(status: str, *, is_well: bool) -> None:
    kind = kind_named("sql_database")
    body = on(TARGET, kind)
    put(body, "properties.status", status)
    assert kind.proof.check(body, TARGET).holds is is_well


def following(kind: Kind, version: str) -> Json:
    """A protector that follows the vault by a server key without a version."""
    body = on(OLD, kind)
    put(body, "properties.uri", str(OLD.key))
    put(body, "properties.autoRotationEnabled", value=True)
    put(body, "properties.keyVersion", version)
    return body


@pytest.mark.parametrize(
    ("version", "in_use"), [(OLD.version, OLD), (TARGET.version, TARGET), ("", None)]
)
def test_a_protector_by_a_key_without_a_version_is_proven_by_the_version_beside_it(
    version: str, in_use: KeyVersion | None
) -> None:
    kind = kind_named("sql_server_tde")
    body = following(kind, version)
    assert isinstance(planned(kind, body), VerifyOnly)
    assert kind.version_in_use(body) == in_use
    assert kind.proof.check(body, TARGET).holds is (in_use == TARGET)
    # The URL of a version goes before what stands beside it.
    put(body, "properties.uri", str(OLD))
    put(body, "properties.keyVersion", TARGET.version)
    assert not kind.proof.check(body, TARGET).holds
    assert kind.version_in_use(body) == OLD


def test_a_managed_instance_by_a_key_without_a_version_is_left_to_a_person_at_once() -> None:
    kind = kind_named("sql_mi_tde")
    body = following(kind, "")
    decided = planned(kind, body)
    assert isinstance(decided, Manual)
    assert "Azure shows nowhere which version it uses" in decided.reason
    assert "audit log" in decided.advice
    put(body, "properties.uri", str(OLD))
    assert isinstance(planned(kind, body), VerifyOnly)  # it follows, and will name the target


def test_dbfs_root_is_not_said_to_follow_the_vault() -> None:
    kind = kind_named("databricks_workspace")
    body = on(TARGET, kind)
    put(body, "properties.parameters.encryption.value.keyversion", "")
    decided = planned(kind, body)
    assert isinstance(decided, Manual)
    assert "DBFS root names no version: Azure shows nowhere" in decided.reason


IDENTITY = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.ManagedIdentity/x/id"
BY_IDENTITY = [kind.id for kind in KINDS if kind.identities and kind.id in SAMPLES]


def under(kind: Kind, body: Json, held: list[str] | None) -> Json:
    """Return a resource that uses its keys under an identity, and which ones it shows to have."""
    for path in kind.identities:
        before, star, after = path.partition(".*.")
        for holder in every(body, f"{before}.*") if star else (body,):
            put(holder, after or path, IDENTITY)
    identity = {"type": "UserAssigned", "userAssignedIdentities": {each: {} for each in held or ()}}
    rest = {name: value for name, value in body.items() if name != "identity"}
    return rest | ({} if held is None else {"identity": identity})


def test_most_kinds_that_name_an_identity_are_tried() -> None:
    assert len(BY_IDENTITY) >= 12


@pytest.mark.parametrize("kind_id", BY_IDENTITY)
def test_an_identity_that_a_resource_has_no_longer_is_told_before_the_write(kind_id: str) -> None:
    kind = kind_named(kind_id)
    for held in ([], [f"{IDENTITY}2"]):
        decided = planned(kind, under(kind, on(OLD, kind), held))
        assert isinstance(decided, Manual)
        assert f"it uses its key under {IDENTITY}, which is not assigned to it" in decided.reason
        assert "assign that identity to it again" in decided.advice


@pytest.mark.parametrize("kind_id", BY_IDENTITY)
def test_an_identity_that_is_assigned_or_may_be_is_no_obstacle(kind_id: str) -> None:
    kind = kind_named(kind_id)
    for held in ([IDENTITY.upper(), "/other"], None):
        decided = planned(kind, under(kind, on(OLD, kind), held))
        assert isinstance(decided, Manual if kind.by_hand else Repoint)


@pytest.mark.parametrize("kind_id", ["postgres_flexible", "eventhub_namespace", "backup_vault"])
def test_an_identity_is_no_matter_where_the_target_is_proven(kind_id: str) -> None:
    kind = kind_named(kind_id)
    assert isinstance(planned(kind, under(kind, on(TARGET, kind), [])), VerifyOnly)
