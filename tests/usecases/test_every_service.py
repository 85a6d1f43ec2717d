"""A rotation over a resource of each kind ends as the catalog promises, by the ground truth too."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import pytest

from sandbox.arm.resource_ids import ResourceId as SandboxId
from sandbox.arm.several_keys import reference
from sandbox.azure import LocalAzure
from sandbox.azurite import Azurite
from sandbox.faults import Answer, Fault
from sandbox.identity import APP_PRINCIPAL
from sandbox.keyed_estate import Keyed
from shared.adapters.resource_graph import inventory
from shared.catalog import KINDS, kind_named
from shared.catalog.role import ROLE_READ, ROLE_WRITE
from shared.domain.callers import NOBODY, Caller
from shared.domain.keys import Key
from shared.domain.kinds import Completion, Plane
from shared.domain.proofs import Level
from shared.domain.resources import ResourceId
from shared.domain.rows import Cause, Rotation
from shared.domain.verdicts import Outcome, Verdict
from shared.domain.work import Consumer
from shared.usecases import dependants, search
from shared.usecases.take_inventory import TakeInventory
from shared.wiring.laptop import NoRows
from tests.usecases.bench import Bench
from tests.usecases.led_clock import Leader, LedClock
from tests.usecases.memory import MemoryQueue, MemoryRows
from tests.usecases.rotations import carry_out
from tests.usecases.runner import Standing

START = datetime(2026, 11, 2, 9, tzinfo=UTC)

OWN_TESTS = {
    "storage_account",
    "storage_encryption_scope",
    "cosmosdb_account",
    "container_group",
    "deployment_config",
    "application_insights",
    "search_service",
}
"""Kinds that are rotated in tests of their own, or hold no key."""

REPORTED_ONLY = {kind.id for kind in KINDS if kind.by_hand} - OWN_TESTS
WRITTEN = [k.id for k in KINDS if k.id not in OWN_TESTS | REPORTED_ONLY]
REPORTING = [k for k in WRITTEN if kind_named(k).level is Level.REPORTED]
ECHOING = [k for k in WRITTEN if kind_named(k).level is Level.CONFIGURED]
FOLLOWING = {  # how a resource follows the vault, of those that show which version they use
    "container_registry": "absent",
    "elastic_san_volume_group": "absent",
    "disk_encryption_set": "follows",
    "sql_server_tde": "follows",
    "sql_mi_tde": "follows",
}
ONLY_NAME = {"sql_server_tde": "current", "sql_mi_tde": "current"}
SILENT = [k for k in ECHOING if kind_named(k).versionless]


@pytest.fixture
def bench(azurite: Azurite) -> Iterator[Bench]:
    """A bench whose clock leads the sandbox's: operations end, services look, as time passes."""
    leader = Leader(Standing(START))
    with (
        LocalAzure(LedClock(START, 1, leader), azurite, "unused") as azure,
        patch.dict(os.environ, azure.environment()),
    ):
        made = Bench(azure, instead={"rows": MemoryRows(), "queue": MemoryQueue()})
        made.clock.clock = Standing(START)
        leader.clock = made.clock
        yield made


@dataclass
class Company:
    """A bench with one resource for each kind, by the kind's id, all of one key."""

    bench: Bench
    key: str
    resources: dict[str, Keyed]

    def end(self, rotation: str) -> dict[str, Consumer]:
        """Return what became of each resource, by its kind's id."""
        works = [kept.row for kept in self.bench.steps.ledger.all(rotation)]
        # What is counted beside them is told of, too, by its title.
        of_resources = [work for work in works if work.resource.startswith("/")]
        return {work.kind: work.consumers[0] for work in of_resources}


def company(bench: Bench, forms: dict[str, str]) -> Company:
    key = bench.key()
    made = {}
    for kind_id, form in forms.items():
        kind = kind_named(kind_id)
        is_child = kind.resource_type.count("/") > 1
        own = ONLY_NAME.get(kind_id, kind_id.replace("_", "-"))
        name = f"parent/{own}" if is_child else own
        made[kind_id] = bench.azure.estate.resource(
            kind.resource_type,
            name,
            subscription=bench.subscription,
            key=key,
            version=form,  # type: ignore[arg-type]
        )
    return Company(bench, key, made)


def rotated(company: Company) -> tuple[str, str, Rotation]:
    """Rotate the key; return the new version, the rotation's id and how it ended."""
    company.bench.pass_time(minutes=5)
    new = company.bench.new_version(company.key)
    rotation = company.bench.open(company.key)
    return new, rotation, carry_out(company.bench, rotation)


def in_use(company: Company, kind_id: str) -> str | None:
    return company.bench.azure.estate.truth.version_in_use(company.resources[kind_id].id)


def test_every_kind_is_rotated_somewhere() -> None:
    assert set(WRITTEN) | REPORTED_ONLY | OWN_TESTS == {kind.id for kind in KINDS}
    assert set(FOLLOWING) == {k for k in REPORTING if kind_named(k).versionless}


def test_a_resource_of_each_kind_is_moved_and_proven(bench: Bench) -> None:
    made = company(bench, dict.fromkeys(WRITTEN, "pinned"))
    new, rotation, ended = rotated(made)
    found = made.end(rotation)
    assert set(found) == set(WRITTEN)
    for kind_id, consumer in found.items():
        kind = kind_named(kind_id)
        assert (kind_id, consumer.verdict) == (kind_id, Verdict.VERIFIED)
        assert consumer.level is kind.level
        assert in_use(made, kind_id) == new
        assert bench.azure.estate.truth.writes(made.resources[kind_id].id) == 1
    assert ended.outcome is Outcome.COMPLETED


def test_what_follows_the_vault_is_proven_without_a_write(bench: Bench) -> None:
    made = company(bench, dict(FOLLOWING))
    new, rotation, ended = rotated(made)
    assert ended.outcome is Outcome.COMPLETED
    for kind_id, consumer in made.end(rotation).items():
        assert (kind_id, consumer.verdict, consumer.level) == (
            kind_id,
            Verdict.VERIFIED,
            Level.REPORTED,
        )
        assert in_use(made, kind_id) == new
        assert bench.azure.estate.truth.writes(made.resources[kind_id].id) == 0


def test_what_follows_the_vault_and_does_not_show_it_is_left_to_a_person(bench: Bench) -> None:
    made = company(bench, dict.fromkeys(SILENT, "absent"))
    _, rotation, ended = rotated(made)
    for kind_id, consumer in made.end(rotation).items():
        assert (kind_id, consumer.verdict) == (kind_id, Verdict.MANUAL)
        assert "Azure shows nowhere which version" in consumer.reason
        assert bench.azure.estate.truth.writes(made.resources[kind_id].id) == 0
    assert ended.outcome is Outcome.FAILED


def test_what_is_only_reported_is_left_to_a_person_with_the_steps(bench: Bench) -> None:
    made = company(bench, dict.fromkeys(REPORTED_ONLY, "pinned"))
    new, rotation, ended = rotated(made)
    found = made.end(rotation)
    assert set(found) == REPORTED_ONLY
    for kind_id, consumer in found.items():
        assert (kind_id, consumer.verdict) == (kind_id, Verdict.MANUAL)
        assert new in consumer.advice
        assert bench.azure.estate.truth.writes(made.resources[kind_id].id) == 0
        assert in_use(made, kind_id) != new
    assert ended.outcome is Outcome.FAILED


@pytest.mark.parametrize(
    "kind_id", ["eventhub_namespace", "servicebus_namespace", "postgres_flexible", "mysql_flexible"]
)
def test_two_keys_of_one_resource_that_rotate_at_once_both_end_right(
    bench: Bench, kind_id: str
) -> None:
    keys = [bench.key("one"), bench.key("two")]
    resource = bench.azure.estate.resource(
        kind_named(kind_id).resource_type,
        "both",
        subscription=bench.subscription,
        key=keys[0],
        more=[keys[1]],
    )
    bench.pass_time(minutes=5)
    new = [bench.new_version(key) for key in keys]
    rotations = [bench.open(key) for key in keys]
    ended = [carry_out(bench, rotation) for rotation in rotations]
    assert [each.outcome for each in ended] == [Outcome.COMPLETED] * 2
    assert [each.counts for each in ended] == [{Verdict.VERIFIED: 1}] * 2
    truth = bench.azure.estate.truth
    assert [truth.version_in_use(reference(resource.id, n)) for n in (0, 1)] == new
    assert truth.writes(resource.id) == 2


def test_without_the_right_to_write_each_kind_stays_and_the_report_names_the_right(
    bench: Bench,
) -> None:
    made = company(bench, dict.fromkeys(WRITTEN, "pinned"))
    rbac, scope = bench.azure.estate.arm.rbac, f"/subscriptions/{bench.subscription}"
    rbac.revoke(APP_PRINCIPAL, "")
    rbac.allow(APP_PRINCIPAL, [*ROLE_READ, "Microsoft.Sql/servers/keys/read",
                               "Microsoft.Sql/managedInstances/keys/read"], scope)  # fmt: skip
    new, rotation, ended = rotated(made)
    found = made.end(rotation)
    assert set(found) == set(WRITTEN)
    for kind_id, consumer in found.items():
        assert (kind_id, consumer.verdict) == (kind_id, Verdict.FAILED)
        writes = [action for action in kind_named(kind_id).actions if action.endswith("/write")]
        assert any(action.lower() in consumer.reason.lower() for action in writes)
        assert bench.azure.estate.truth.writes(made.resources[kind_id].id) == 0
        assert in_use(made, kind_id) != new
    assert ended.outcome is Outcome.FAILED


def test_without_the_right_to_find_or_read_a_kind_a_subscription_lacks_exactly_that(
    bench: Bench,
) -> None:
    kinds = [kind for kind in KINDS if kind.plane is Plane.ARM]
    rbac, scope = bench.azure.estate.arm.rbac, f"/subscriptions/{bench.subscription}"
    for action in sorted({each for kind in kinds for each in kind.search_actions}):
        rbac.revoke(APP_PRINCIPAL, "")
        rbac.allow(APP_PRINCIPAL, [each for each in ROLE_READ if each != action], scope)
        lacking = bench.steps.repoint.resources.lacking(bench.subscription, kinds)
        assert list(lacking) == [action]


def test_a_service_that_never_takes_the_version_up_is_stuck(bench: Bench) -> None:
    made = company(bench, dict.fromkeys(REPORTING, "pinned"))
    for resource in made.resources.values():
        assert resource.pace
        resource.pace.stuck()
    new, rotation, ended = rotated(made)
    for kind_id, consumer in made.end(rotation).items():
        assert (kind_id, consumer.verdict) == (kind_id, Verdict.STUCK)
        assert in_use(made, kind_id) != new
    assert ended.outcome is Outcome.FAILED


@pytest.mark.parametrize("kind_id", ["recovery_vault", "log_analytics_cluster"])
def test_a_write_that_fails_after_its_answer_is_told_with_the_services_code(
    bench: Bench, kind_id: str
) -> None:
    made = company(bench, {kind_id: "pinned"})
    pace = made.resources[kind_id].pace
    assert pace
    pace.long_running(timedelta(seconds=30), fails=True)
    new, rotation, ended = rotated(made)
    (consumer,) = made.end(rotation).values()
    assert consumer.verdict is Verdict.FAILED
    assert in_use(made, kind_id) != new
    assert ended.outcome is Outcome.FAILED
    if kind_named(kind_id).write.completion is Completion.OPERATION:
        assert "UserErrorCMKKeyVaultAuthFailure" in consumer.reason
        assert "Key Vault Crypto Service Encryption User" in consumer.advice


TOLD_BY_OPERATION = [
    kind.id for kind in KINDS if kind.write.verb and kind.write.completion is Completion.OPERATION
]


def echoing(bench: Bench, kind_id: str, lasts: timedelta | None, *, fails: bool = False) -> Company:
    """A resource that shows at once what a write asks for, and is at work on it afterwards."""
    made = company(bench, {kind_id: "pinned"})
    pace = made.resources[kind_id].pace
    assert pace
    pace.long_running(lasts, fails=fails, echoes=True)
    return made


@pytest.mark.parametrize("kind_id", TOLD_BY_OPERATION)
def test_an_echo_proves_nothing_while_the_operation_runs_that_may_yet_fail(
    bench: Bench, kind_id: str
) -> None:
    made = echoing(bench, kind_id, timedelta(minutes=30), fails=True)
    new, rotation, ended = rotated(made)
    (consumer,) = made.end(rotation).values()
    assert (consumer.verdict, consumer.level) == (Verdict.FAILED, None)
    assert in_use(made, kind_id) != new
    assert ended.outcome is Outcome.FAILED


@pytest.mark.parametrize("kind_id", TOLD_BY_OPERATION)
def test_an_echo_is_proof_once_the_operation_has_ended_well(bench: Bench, kind_id: str) -> None:
    made = echoing(bench, kind_id, timedelta(minutes=30))
    new, rotation, ended = rotated(made)
    assert made.end(rotation)[kind_id].verdict is Verdict.VERIFIED
    assert in_use(made, kind_id) == new
    assert ended.outcome is Outcome.COMPLETED
    (kept,) = bench.steps.ledger.all(rotation)
    assert kept.row.accepted_at
    assert kept.row.closed_at
    assert kept.row.closed_at - kept.row.accepted_at >= timedelta(minutes=30)


def test_an_echo_whose_operation_never_ends_is_stuck_and_says_so(bench: Bench) -> None:
    made = echoing(bench, "recovery_vault", None)
    _, rotation, _ = rotated(made)
    consumer = made.end(rotation)["recovery_vault"]
    assert consumer.verdict is Verdict.STUCK
    assert "the operation of our write has not ended" in consumer.reason


@pytest.mark.parametrize("kind_id", TOLD_BY_OPERATION)
def test_an_echo_of_a_write_that_failed_is_left_to_a_person_until_another_version_is_proven(
    bench: Bench, kind_id: str
) -> None:
    made = echoing(bench, kind_id, timedelta(minutes=30), fails=True)
    new, _, _ = rotated(made)
    writes = bench.azure.estate.truth.writes(made.resources[kind_id].id)

    again = bench.open(made.key, Cause(trigger="operator", id="req-2", reason="again"))
    assert carry_out(bench, again).outcome is Outcome.FAILED
    (consumer,) = made.end(again).values()
    assert (consumer.verdict, consumer.level) == (Verdict.MANUAL, None)
    assert in_use(made, kind_id) != new
    assert bench.azure.estate.truth.writes(made.resources[kind_id].id) == writes

    person, resource = Caller(id="t/bert", name="bert@contoso.com"), made.resources[kind_id].id
    (kept,) = bench.steps.ledger.all(again)
    assert kept.row.resource.lower() == resource.lower()
    settling = bench.mortal(bench.wiring.settle_by_hand)
    settling.run(again, kept.row.resource, "its operation is in the activity log", person)
    assert bench.rotation(again).outcome is Outcome.COMPLETED
    assert bench.rotation(again).settled_by_hand == 1

    pace = made.resources[kind_id].pace
    assert pace
    pace.long_running(timedelta(minutes=30), echoes=True)
    newer, rotation, _ = rotated(made)
    assert made.end(rotation)[kind_id].verdict is Verdict.VERIFIED
    assert in_use(made, kind_id) == newer
    last = bench.open(made.key, Cause(trigger="operator", id="req-3", reason="again"))
    assert carry_out(bench, last).outcome is Outcome.COMPLETED
    assert made.end(last)[kind_id].verdict is Verdict.ALREADY, "in doubt no more"


def test_an_echo_is_proof_where_nobody_tells_of_the_operation_any_more(bench: Bench) -> None:
    made = echoing(bench, "recovery_vault", timedelta(seconds=1))
    gone = Answer(404, {"error": {"code": "NotFound", "message": "no such operation"}})
    bench.azure.faults.add(Fault(path="*/operationStatus/*", times=None, answer=gone))
    _, rotation, _ = rotated(made)
    assert made.end(rotation)["recovery_vault"].verdict is Verdict.VERIFIED


def test_a_disk_encryption_set_whose_rotation_is_suspended_is_left_to_a_person(
    bench: Bench,
) -> None:
    made = company(bench, {"disk_encryption_set": "follows"})
    resource = made.resources["disk_encryption_set"]
    show(bench, resource, "autoKeyRotationError", {"code": "ManagedServiceIdentityNotFound"})
    _, rotation, _ = rotated(made)
    (consumer,) = made.end(rotation).values()
    assert consumer.verdict is Verdict.MANUAL
    assert "ManagedServiceIdentityNotFound" in consumer.reason


def test_a_workspace_with_service_side_encryption_is_left_to_a_person(bench: Bench) -> None:
    made = company(bench, {"ml_workspace": "pinned"})
    show(bench, made.resources["ml_workspace"], "enableServiceSideCMKEncryption", value=True)
    _, rotation, _ = rotated(made)
    (consumer,) = made.end(rotation).values()
    assert consumer.verdict is Verdict.MANUAL
    assert "supports no rotation" in consumer.advice
    assert bench.azure.estate.truth.writes(made.resources["ml_workspace"].id) == 0


def show(bench: Bench, resource: Keyed, name: str, value: object) -> None:
    """Let a resource show a property, as its service would."""
    held = bench.azure.estate.arm.resources.get(SandboxId.parse(resource.id))
    held.body["properties"][name] = value


def company_with_dependants(bench: Bench) -> tuple[Company, dict[str, str]]:
    """A set and a cluster, and what depends on the key through them, by name."""
    made = company(bench, {"disk_encryption_set": "pinned", "log_analytics_cluster": "pinned"})
    disks, logs = (made.resources[k] for k in ("disk_encryption_set", "log_analytics_cluster"))
    workspace = disks.id.replace("Microsoft.Compute/diskEncryptionSets", "Microsoft.X/workspaces")
    linked = [{"workspaceName": "w1", "resourceId": workspace.upper()}]
    show(bench, logs, "associatedWorkspaces", linked)
    bench.azure.estate.arm.resources.notify(
        bench.azure.estate.arm.resources.get(SandboxId.parse(logs.id))
    )
    pools = {"managed": "Managed", "ephemeral": "Ephemeral"}
    estate, subscription = bench.azure.estate, bench.subscription
    for name, disk in pools.items():
        properties = {
            "diskEncryptionSetID": disks.id.lower(),
            "agentPoolProfiles": [{"name": "p0"}, {"name": "p1", "osDiskType": disk}],
        }
        aks = "Microsoft.ContainerService/managedClusters"
        estate.resource(aks, name, subscription=subscription, properties=properties)
    for name, place in (("linked", workspace), ("apart", workspace + "2"), ("classic", None)):
        properties = {"WorkspaceResourceId": place} if place else {}
        component = "Microsoft.Insights/components"
        estate.resource(component, name, subscription=subscription, properties=properties)
    return made, {"disks": disks.id, "logs": logs.id}


@pytest.mark.parametrize("rows", [500, 1])
def test_what_depends_on_a_key_through_another_resource_is_named(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(inventory, "_ROWS", rows)
    made, ids = company_with_dependants(bench)
    _, rotation, ended = rotated(made)
    works = [kept.row for kept in bench.steps.ledger.all(rotation)]
    found = {work.resource.rpartition("/")[2]: work.consumers[0] for work in works}
    assert set(found) == {
        "disk-encryption-set",
        "log-analytics-cluster",
        "managed",
        "ephemeral",
        "linked",
    }
    assert found["managed"].verdict is Verdict.NOT_APPLICABLE
    assert found["managed"].reason == f"its disks are encrypted through {ids['disks']}"
    assert found["linked"].verdict is Verdict.NOT_APPLICABLE
    assert found["linked"].reason == f"its telemetry lies in a workspace of {ids['logs']}"
    assert found["ephemeral"].verdict is Verdict.MANUAL
    assert "osDiskType is Ephemeral" in found["ephemeral"].reason
    assert "node-image" in found["ephemeral"].advice
    assert found["disk-encryption-set"].verdict is Verdict.VERIFIED
    assert ended.outcome is Outcome.FAILED  # the old version is still needed


def test_a_cluster_in_a_subscription_of_another_batch_is_named_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (search, dependants):
        monkeypatch.setattr(module, "BATCH", 1)
    made = company(bench, {"disk_encryption_set": "pinned"})
    disks = made.resources["disk_encryption_set"]
    others = [bench.readable_subscription(f"Other {number}") for number in range(2)]
    aks = "Microsoft.ContainerService/managedClusters"
    clusters = {
        bench.azure.estate.resource(
            aks, "far", subscription=each, properties={"diskEncryptionSetID": disks.id}
        ).id
        for each in others
    }
    _, rotation, _ = rotated(made)
    assert clusters <= {work.row.resource for work in bench.steps.ledger.all(rotation)}


def test_a_cluster_that_holds_the_key_itself_is_work_of_its_own(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A page for each: the cluster comes after its disks' set.
    monkeypatch.setattr(inventory, "_ROWS", 1)
    made = company(bench, {"disk_encryption_set": "pinned", "aks_cluster": "pinned"})
    cluster = made.resources["aks_cluster"]
    show(bench, cluster, "diskEncryptionSetID", made.resources["disk_encryption_set"].id)
    bench.azure.estate.arm.resources.notify(
        bench.azure.estate.arm.resources.get(SandboxId.parse(cluster.id))
    )
    _, rotation, _ = rotated(made)
    consumer = made.end(rotation)["aks_cluster"]
    assert (consumer.place, consumer.verdict) == ("secrets (KMS)", Verdict.MANUAL)


def test_nodes_that_keep_the_old_version_are_told_though_the_cluster_is_on_the_target(
    bench: Bench,
) -> None:
    made = company(bench, {"disk_encryption_set": "pinned", "aks_cluster": "pinned"})
    cluster = made.resources["aks_cluster"]
    show(bench, cluster, "diskEncryptionSetID", made.resources["disk_encryption_set"].id)
    pools = [{"name": "p0"}, {"name": "p1", "osDiskType": "Ephemeral"}]
    show(bench, cluster, "agentPoolProfiles", pools)
    bench.azure.estate.arm.resources.notify(
        bench.azure.estate.arm.resources.get(SandboxId.parse(cluster.id))
    )
    _, rotation, ended = rotated(made)
    works = {work.row.resource: work.row for work in bench.steps.ledger.all(rotation)}
    (pool,) = works[f"{cluster.id}/agentPools/p1"].consumers
    assert pool.verdict is Verdict.MANUAL
    assert "osDiskType is Ephemeral" in pool.reason
    assert "node-image" in pool.advice
    assert f"{cluster.id}/agentPools/p0" not in works
    assert cluster.id in works
    assert ended.outcome is Outcome.FAILED


def test_ids_of_the_estate_are_read_as_the_catalog_reads_them(bench: Bench) -> None:
    made = company(bench, dict.fromkeys(WRITTEN, "pinned"))
    for kind_id, resource in made.resources.items():
        assert ResourceId.parse(resource.id).type == kind_named(kind_id).resource_type


def cluster_with_pools(bench: Bench, *, is_keyed: bool) -> tuple[Company, Keyed]:
    """A set, and a cluster with a pool that keeps the old version; it may hold the key itself."""
    forms = {"disk_encryption_set": "pinned"} | ({"aks_cluster": "pinned"} if is_keyed else {})
    made = company(bench, forms)
    aks = "Microsoft.ContainerService/managedClusters"
    cluster = made.resources.get("aks_cluster") or bench.azure.estate.resource(
        aks, "nodes", subscription=bench.subscription, properties={}
    )
    show(bench, cluster, "diskEncryptionSetID", made.resources["disk_encryption_set"].id)
    show(bench, cluster, "agentPoolProfiles", [{"name": "p1", "osDiskType": "Ephemeral"}])
    bench.azure.estate.arm.resources.notify(
        bench.azure.estate.arm.resources.get(SandboxId.parse(cluster.id))
    )
    return made, cluster


@pytest.mark.parametrize("is_keyed", [True, False], ids=["a pool of its own", "the cluster"])
@pytest.mark.parametrize(
    ("pools", "verdict"),
    [
        pytest.param([{"name": "p1", "osDiskType": "Ephemeral"}], Verdict.MANUAL, id="as before"),
        pytest.param([{"name": "p1", "osDiskType": "Managed"}], Verdict.NOT_APPLICABLE, id="other"),
        pytest.param([{"name": "p2"}], Verdict.NOT_APPLICABLE, id="no such pool any more"),
    ],
)
def test_a_retry_looks_again_at_the_nodes_that_kept_the_old_version_by_reading_their_cluster(
    bench: Bench, *, is_keyed: bool, pools: list[dict[str, str]], verdict: Verdict
) -> None:
    made, cluster = cluster_with_pools(bench, is_keyed=is_keyed)
    rbac, scope = bench.azure.estate.arm.rbac, f"/subscriptions/{bench.subscription}"
    rbac.revoke(APP_PRINCIPAL, "")
    rbac.allow(APP_PRINCIPAL, [*ROLE_READ, *ROLE_WRITE], scope)  # reads no pool by itself
    bench.pass_time(minutes=5)
    bench.new_version(made.key)
    rotation = bench.open(made.key)
    bench.discover(rotation)
    bench.settle(rotation)
    kept = f"{cluster.id}/agentPools/p1" if is_keyed else cluster.id
    assert ended_as(bench, rotation, kept) is Verdict.MANUAL

    show(bench, cluster, "agentPoolProfiles", pools)
    bench.steer.retry(rotation, "made anew", NOBODY)
    carry_out(bench, rotation)

    assert ended_as(bench, rotation, kept) is verdict


def test_a_cluster_that_was_deleted_keeps_no_old_version(bench: Bench) -> None:
    made, cluster = cluster_with_pools(bench, is_keyed=False)
    bench.pass_time(minutes=5)
    bench.new_version(made.key)
    rotation = bench.open(made.key)
    bench.discover(rotation)
    bench.settle(rotation)
    resources = bench.azure.estate.arm.resources
    resources.remove(resources.get(SandboxId.parse(cluster.id)))
    bench.steer.retry(rotation, "deleted", NOBODY)
    assert carry_out(bench, rotation).outcome is Outcome.COMPLETED
    assert ended_as(bench, rotation, cluster.id) is Verdict.NOT_APPLICABLE


def ended_as(bench: Bench, rotation: str, resource: str) -> Verdict | None:
    """Return the verdict of a resource's only row."""
    works = (kept.row for kept in bench.steps.ledger.all(rotation))
    (found,) = (w.consumers[0].verdict for w in works if w.resource.lower() == resource.lower())
    return found


@pytest.mark.parametrize(
    ("follows", "verdict", "says"),
    [
        pytest.param(True, Verdict.VERIFIED, "managed disks: of its disk encryption set", id="on"),
        pytest.param(False, Verdict.STUCK, "its disk encryption set keyUrl is", id="behind"),
        pytest.param(None, Verdict.STUCK, "set, which alone shows the version", id="not there"),
    ],
)
def test_disks_of_a_workspace_that_follow_by_a_flag_are_proven_by_their_set_alone(
    bench: Bench, *, follows: bool | None, verdict: Verdict, says: str
) -> None:
    forms = {"databricks_workspace": "pinned", "disk_encryption_set": "follows"}
    made = company(bench, forms)
    workspace, disks = made.resources["databricks_workspace"], made.resources["disk_encryption_set"]
    if follows is False:
        assert disks.pace
        disks.pace.stuck()
    vault, _, named = str(in_use(made, "disk_encryption_set")).partition("/keys/")
    name, _, version = named.partition("/")
    reference = {"keyVaultUri": f"{vault}/", "keyName": name, "keyVersion": version}
    following = {
        "keySource": "Microsoft.Keyvault",
        "keyVaultProperties": reference,
        "rotationToLatestKeyVersionEnabled": True,
    }
    show(bench, workspace, "parameters", {})  # nothing to be written
    show(bench, workspace, "encryption", {"entities": {"managedDisk": following}})
    show(bench, workspace, "diskEncryptionSetId", disks.id + ("x" if follows is None else ""))
    bench.azure.estate.arm.resources.notify(
        bench.azure.estate.arm.resources.get(SandboxId.parse(workspace.id))
    )
    _, rotation, _ = rotated(made)
    works = [kept.row for kept in bench.steps.ledger.all(rotation)]
    ((disk,),) = (work.consumers for work in works if work.kind == "databricks_workspace")
    assert (disk.verdict, disk.pinned) == (verdict, False)
    assert says in disk.reason
    assert disk.level is (Level.CONFIGURED if verdict is Verdict.VERIFIED else None)
    assert told_by_the_inventory(bench, made.key, "databricks_workspace") == (
        verdict is Verdict.VERIFIED,
        disk.reason.removeprefix("not proven within 1 hour (assumed): "),
    )


def told_by_the_inventory(bench: Bench, key: str, kind_id: str) -> tuple[bool | None, str]:
    """Return what ``keyturn verify`` says of the only resource of a kind."""
    found = TakeInventory(
        estate=replace(bench.steps.discover.estate, rows=NoRows()),
        resources=bench.steps.verify.resources,
        vaults=bench.steps.verify.vaults,
        clock=bench.clock,
    ).prove(Key.parse(key), [], progress=lambda _: None)
    (line,) = (line for line in found if line.kind == kind_id)
    return line.proven, line.seen
