"""A person answers for what they moved by hand: on record, never as a proof, never unread."""

import copy
import json

import pytest
from msgspec.structs import replace

from sandbox.arm.resource_ids import ResourceId as SandboxId
from sandbox.identity import APP_PRINCIPAL
from sandbox.keyed_estate import Keyed
from shared.domain.callers import NOBODY, Caller
from shared.domain.errors import (
    AccessDeniedError,
    NotActiveError,
    NotFoundError,
    NotPermittedError,
    NotSettledError,
    RowConflictError,
)
from shared.domain.json_paths import Json, look_up
from shared.domain.records import Act, SettledByHand
from shared.domain.resources import digest
from shared.domain.rows import Cause, Rotation
from shared.domain.steps import Supervise
from shared.domain.verdicts import PROVEN, Outcome, Verdict
from shared.domain.work import Stage, Work
from shared.usecases.settle_by_hand import SettleByHand
from tests.usecases.bench import Bench, Died
from tests.usecases.rotations import announced, carry_out, finish, report_of
from tests.usecases.test_every_service import (
    Company,
    cluster_with_pools,
    company,
    in_use,
    rotated,
    show,
)
from tests.usecases.test_every_service import bench as _bench
from tests.usecases.test_evidence import evidence_of, store_of
from tests.usecases.test_takeover import Interrupted, interrupt

bench = _bench
OTTO = Caller(id="t/otto", name="otto@contoso.com")
WHY = "nodes made anew, CHG-1"
SILENT = "batch_account"
"""A kind that follows the vault and shows nowhere which version it uses."""


def settling(bench: Bench) -> SettleByHand:
    return bench.mortal(bench.wiring.settle_by_hand)


def settle(bench: Bench, rotation: str, resource: str, by: Caller = OTTO) -> None:
    settling(bench).run(rotation, resource, WHY, by)


def silent(bench: Bench) -> tuple[Company, str, str]:
    """End a rotation whose only consumer is one that shows no version; return it and its id."""
    made = company(bench, {SILENT: "absent"})
    _, rotation, ended = rotated(made)
    assert ended.outcome is Outcome.FAILED
    return made, rotation, made.resources[SILENT].id


def carry_on(bench: Bench, rotation: str) -> Rotation:
    bench.run(Supervise(rotation=rotation))
    return bench.rotation(rotation)


def work_on(bench: Bench, rotation: str, resource: str) -> Work:
    kept = bench.steps.ledger.load(rotation, digest(resource))
    assert kept
    return kept.row


def test_a_settled_consumer_is_answered_for_and_stays_manual_and_unproven(bench: Bench) -> None:
    _, rotation, resource = silent(bench)
    at_failure = bench.rotation(rotation).evidence

    settle(bench, rotation, resource.upper())
    ended = carry_on(bench, rotation)

    assert (ended.outcome, ended.settled_by_hand) == (Outcome.COMPLETED, 1)
    assert ended.counts == {Verdict.MANUAL: 1}
    assert not set(ended.counts) & PROVEN
    report = report_of(bench, rotation)
    assert report["summary"].startswith(
        "0 of 1 consumers proven on the new version, 1 settled by hand, not proven, in"
    )
    (consumer,) = report["consumers"]
    assert (consumer["verdict"], consumer["level"], consumer["confirmed"]) == (
        "manual",
        None,
        False,
    )
    assert consumer["settled"]["by"] == {"id": "t/otto", "name": "otto@contoso.com"}
    assert consumer["settled"]["reason"] == WHY
    document = evidence_of(bench, rotation)
    assert (document["outcome"], document["counts"]) == ("completed", {"manual": 1})
    assert document["settledByHand"] == 1
    (told,) = document["consumers"]
    assert (told["verdict"], told["level"]) == ("manual", None)
    assert (told["settled"]["by"]["name"], told["settled"]["reason"]) == ("otto@contoso.com", WHY)
    assert told["settled"]["at"] >= document["endedAt"]
    assert at_failure
    assert document["replaces"] == {"name": at_failure.name, "sha256": at_failure.sha256}
    before = json.loads(b"".join(store_of(bench).open(at_failure.name)))
    assert (before["outcome"], before["consumers"][0]["settled"]) == ("failed", None)
    assert announced(bench, rotation)[-2:] == ["RotationFailed", "RotationCompleted"]
    last = bench.azure.topics.published(bench.azure.topic.name)[-1]["data"]
    assert (last["consumers"], last["settledByHand"]) == ({"manual": 1}, 1)


def test_who_settled_what_and_why_is_on_record(bench: Bench) -> None:
    _, rotation, resource = silent(bench)
    settle(bench, rotation, resource)
    (act,) = (kept.row for kept in bench.rows.scan(Act, rotation) if kept.row.action == "settle")
    assert (act.by, act.reason) == (OTTO, f"{resource}: {WHY}")
    (told,) = report_of(bench, rotation)["acts"]
    assert (told["action"], told["by"]["name"]) == ("settle", "otto@contoso.com")


def test_while_a_rotation_goes_on_a_settled_consumer_is_not_taken_up_again(bench: Bench) -> None:
    made = company(bench, {SILENT: "absent", "container_registry": "pinned"})
    resource = made.resources[SILENT].id
    bench.pass_time(minutes=5)
    bench.new_version(made.key)
    rotation = bench.open(made.key)
    bench.discover(rotation)
    bench.settle(rotation)
    settle(bench, rotation, resource)
    bench.steer.retry(rotation, "the others", NOBODY)
    ended = finish(bench, rotation)
    assert (ended.outcome, ended.settled_by_hand) == (Outcome.COMPLETED, 1)
    assert ended.counts == {Verdict.MANUAL: 1, Verdict.VERIFIED: 1}
    assert ended.evidence
    assert ended.replaced is None
    assert work_on(bench, rotation, resource).stage is Stage.DONE


def test_nodes_are_settled_only_once_their_set_is_proven_for_good(bench: Bench) -> None:
    made, cluster = cluster_with_pools(bench, is_keyed=False)
    bench.pass_time(minutes=5)
    bench.new_version(made.key)
    rotation = bench.open(made.key)
    bench.discover(rotation)
    with pytest.raises(NotSettledError, match="set comes first, and the rotation is not done"):
        settle(bench, rotation, cluster.id)
    bench.settle(rotation)  # moved and proven, and the closing scan may still find it reverted
    with pytest.raises(NotSettledError, match="set comes first, and the rotation is not done"):
        settle(bench, rotation, cluster.id)
    assert finish(bench, rotation).outcome is Outcome.FAILED
    settle(bench, rotation, cluster.id)
    ended = carry_on(bench, rotation)
    assert (ended.outcome, ended.settled_by_hand) == (Outcome.COMPLETED, 1)


def set_back(bench: Bench, disks: Keyed, version: str | None) -> None:
    """Let somebody have the set use an older version again."""
    active = look_up(shown_by_service(bench, disks), "properties.activeKey") | {"keyUrl": version}
    show(bench, disks, "activeKey", active)


def test_nodes_are_not_settled_once_their_set_was_put_back(bench: Bench) -> None:
    made, cluster = cluster_with_pools(bench, is_keyed=False)
    old = in_use(made, "disk_encryption_set")
    _, rotation, _ = rotated(made)
    set_back(bench, made.resources["disk_encryption_set"], old)
    with pytest.raises(NotSettledError, match="set comes first: ") as said:
        settle(bench, rotation, cluster.id)
    assert str(old) in str(said.value)


@pytest.mark.parametrize("is_moved_again", [False, True])
def test_nodes_stay_settled_in_another_run_unless_it_had_to_move_their_set(
    bench: Bench, *, is_moved_again: bool
) -> None:
    made, cluster = cluster_with_pools(bench, is_keyed=False)
    old = in_use(made, "disk_encryption_set")
    _, rotation, _ = rotated(made)
    settle(bench, rotation, cluster.id)
    carry_on(bench, rotation)
    if is_moved_again:
        set_back(bench, made.resources["disk_encryption_set"], old)
    again = run_again(bench, made.key)
    holds = (Outcome.FAILED, 0) if is_moved_again else (Outcome.COMPLETED, 1)
    assert (again.outcome, again.settled_by_hand) == holds
    moved = Verdict.VERIFIED if is_moved_again else Verdict.ALREADY
    assert again.counts == {Verdict.MANUAL: 1, moved: 1}


def test_a_pool_of_nodes_is_settled_by_its_own_id(bench: Bench) -> None:
    made, cluster = cluster_with_pools(bench, is_keyed=True)
    _, rotation, _ = rotated(made)
    settle(bench, rotation, f"{cluster.id}/agentPools/p1")
    ended = carry_on(bench, rotation)
    assert ended.outcome is Outcome.FAILED  # the cluster's own key is on the old version
    assert ended.settled_by_hand == 1
    report = report_of(bench, rotation)
    assert "1 manual, 1 settled by hand, not proven" in report["summary"]


def test_nodes_that_keep_nothing_any_more_are_for_a_retry(bench: Bench) -> None:
    made, cluster = cluster_with_pools(bench, is_keyed=False)
    _, rotation, _ = rotated(made)
    show(bench, cluster, "agentPoolProfiles", [{"name": "p1", "osDiskType": "Managed"}])
    with pytest.raises(NotSettledError, match="any more: retry the rotation"):
        settle(bench, rotation, cluster.id)


def test_what_is_read_on_the_older_version_is_refused_with_what_was_read(bench: Bench) -> None:
    made = company(bench, {"aks_cluster": "pinned"})
    old = in_use(made, "aks_cluster")
    _, rotation, _ = rotated(made)
    resource = made.resources["aks_cluster"].id
    with pytest.raises(
        NotSettledError, match=r"its secrets \(KMS\) names .*: move it first"
    ) as said:
        settle(bench, rotation, resource)
    assert str(old) in str(said.value)
    assert work_on(bench, rotation, resource).settlement is None
    assert not list(bench.rows.scan(SettledByHand, digest(bench.rotation(rotation).target)))
    assert bench.rotation(rotation).outcome is Outcome.FAILED


def test_what_a_read_proves_by_now_is_for_a_retry_which_verifies_it(bench: Bench) -> None:
    made = company(bench, {"aks_cluster": "pinned"})
    new, rotation, _ = rotated(made)
    resource = made.resources["aks_cluster"]
    kms = {"enabled": True, "keyId": new}
    show(bench, resource, "securityProfile", {"azureKeyVaultKms": kms})
    with pytest.raises(NotSettledError, match=r"a read proves it by now .*: retry the rotation"):
        settle(bench, rotation, resource.id)


def test_what_refers_to_the_key_no_longer_is_for_a_retry(bench: Bench) -> None:
    made = company(bench, {"aks_cluster": "pinned"})
    _, rotation, _ = rotated(made)
    show(bench, made.resources["aks_cluster"], "securityProfile", {})
    with pytest.raises(NotSettledError, match="no longer: retry the rotation"):
        settle(bench, rotation, made.resources["aks_cluster"].id)


TROUBLES = {
    "a symptom": ("status", "Error", "its status says: Error: give the account's identity get"),
    "no identity": (
        "identity",
        {"userAssignedIdentity": "/subscriptions/s/id-cmk"},
        "under /subscriptions/s/id-cmk, which is not assigned to it any more",
    ),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_cannot_take_any_version_up_is_not_settled(bench: Bench, trouble: str) -> None:
    _, rotation, account = following_account(bench)
    says = suffer(bench, account, trouble)
    with pytest.raises(NotSettledError, match=f"it cannot take the new version up, .*{says}"):
        settle(bench, rotation, account.id)
    assert work_on(bench, rotation, account.id).settlement is None


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_settlement_does_not_hold_for_another_obstacle(bench: Bench, trouble: str) -> None:
    made, rotation, account = following_account(bench)
    settle(bench, rotation, account.id)
    assert carry_on(bench, rotation).outcome is Outcome.COMPLETED
    says = suffer(bench, account, trouble)
    again = run_again(bench, made.key)
    assert (again.outcome, again.settled_by_hand) == (Outcome.FAILED, 0)
    (consumer,) = work_on(bench, again.id, account.id).consumers
    assert says in f"{consumer.reason}: {consumer.advice}"


def following_account(bench: Bench) -> tuple[Company, str, Keyed]:
    """End a rotation whose only consumer, an account, tells of itself and not of its version."""
    made = company(bench, {"netapp_account": "follows"})
    _, rotation, ended = rotated(made)
    assert ended.counts == {Verdict.MANUAL: 1}
    return made, rotation, made.resources["netapp_account"]


def suffer(bench: Bench, account: Keyed, trouble: str) -> str:
    """Let an account show what stands in the way of any version; return what is said of it."""
    name, value, says = TROUBLES[trouble]
    body = shown_by_service(bench, account)
    encryption = body["properties"]["encryption"]
    body["identity"] = {"type": "UserAssigned", "userAssignedIdentities": {}}
    part = encryption["keyVaultProperties"] if name == "status" else encryption
    part[name] = value
    return says


def shown_by_service(bench: Bench, resource: Keyed) -> Json:
    """Return what a service shows of a resource, to be changed."""
    return bench.azure.estate.arm.resources.get(SandboxId.parse(resource.id)).body


PARTS = ("managed services", "managed disks")


def workspace_with_disks(bench: Bench) -> tuple[Company, str, Keyed]:
    """End a rotation of a workspace whose set shows one part, and nothing another."""
    forms = {"databricks_workspace": "pinned", "disk_encryption_set": "follows"}
    made = company(bench, forms)
    workspace, disks = made.resources["databricks_workspace"], made.resources["disk_encryption_set"]
    vault, _, named = str(in_use(made, "disk_encryption_set")).partition("/keys/")
    name, _, version = named.partition("/")
    names = {"keyVaultUri": f"{vault}/", "keyName": name}
    source = {"keySource": "Microsoft.Keyvault"}
    entities = {
        "managedServices": source | {"keyVaultProperties": names},
        "managedDisk": source
        | {
            "keyVaultProperties": names | {"keyVersion": version},
            "rotationToLatestKeyVersionEnabled": True,
        },
    }
    show(bench, workspace, "parameters", {})
    show(bench, workspace, "encryption", {"entities": entities})
    show(bench, workspace, "diskEncryptionSetId", disks.id)
    resources = bench.azure.estate.arm.resources
    resources.notify(resources.get(SandboxId.parse(workspace.id)))
    _, rotation, _ = rotated(made)
    return made, rotation, workspace


def test_a_part_that_another_resource_shows_on_the_older_version_is_refused(bench: Bench) -> None:
    made, rotation, workspace = workspace_with_disks(bench)
    new = in_use(made, "disk_encryption_set")
    set_back(bench, made.resources["disk_encryption_set"], f"{made.key}/{'0' * 32}")
    with pytest.raises(
        NotSettledError, match=r"managed disks: of its disk encryption set .*: move it first"
    ):
        settle(bench, rotation, workspace.id)
    set_back(bench, made.resources["disk_encryption_set"], new)
    settle(bench, rotation, workspace.id)
    assert carry_on(bench, rotation).settled_by_hand == len(PARTS)


def test_what_another_resource_shows_in_part_is_asked_about_in_every_run(bench: Bench) -> None:
    made, rotation, workspace = workspace_with_disks(bench)
    settle(bench, rotation, workspace.id)
    assert carry_on(bench, rotation).settled_by_hand == len(PARTS)
    assert run_again(bench, made.key).settled_by_hand == 0


def test_a_rotation_whose_target_was_disabled_since_is_not_completed_by_a_settlement(
    bench: Bench,
) -> None:
    _, rotation, resource = silent(bench)
    bench.enable(bench.rotation(rotation).target, enabled=False)
    settle(bench, rotation, resource)
    ended = carry_on(bench, rotation)
    assert (ended.outcome, ended.settled_by_hand) == (Outcome.FAILED, 1)
    assert "the version to move to is disabled" in ended.problem
    assert evidence_of(bench, rotation)["outcome"] == "failed"


def test_of_two_who_change_a_consumer_at_once_the_later_leaves_nothing_behind(
    bench: Bench,
) -> None:
    _, rotation, resource = silent(bench)
    asked = settling(bench)

    def change() -> None:
        kept = bench.steps.ledger.load(rotation, digest(resource))
        assert kept
        bench.steps.ledger.change(kept, replace(kept.row, seq=kept.row.seq + 1))

    late = Interrupted(asked.resources, "read", change)
    with pytest.raises(RowConflictError):
        copy.replace(asked, resources=late).run(rotation, resource, WHY, OTTO)
    assert work_on(bench, rotation, resource).settlement is None
    assert not list(bench.rows.scan(SettledByHand, digest(bench.rotation(rotation).target)))
    assert not [kept for kept in bench.rows.scan(Act, rotation) if kept.row.action == "settle"]


def test_what_is_not_there_any_more_is_for_a_retry(bench: Bench) -> None:
    _, rotation, resource = silent(bench)
    resources = bench.azure.estate.arm.resources
    resources.remove(resources.get(SandboxId.parse(resource)))
    with pytest.raises(NotSettledError, match=r"not there any more .*: retry the rotation"):
        settle(bench, rotation, resource)


def test_what_cannot_be_read_is_not_settled(bench: Bench) -> None:
    _, rotation, resource = silent(bench)
    bench.azure.estate.arm.rbac.revoke(APP_PRINCIPAL, "")
    with pytest.raises(AccessDeniedError, match="batchAccounts"):
        settle(bench, rotation, resource)
    assert work_on(bench, rotation, resource).settlement is None


def test_what_was_proven_or_is_open_is_not_settled(bench: Bench) -> None:
    made = company(bench, {"container_registry": "pinned"})
    bench.pass_time(minutes=5)
    bench.new_version(made.key)
    rotation, resource = bench.open(made.key), made.resources["container_registry"].id
    bench.discover(rotation)
    with pytest.raises(NotSettledError, match="still being moved: wait for its verdict"):
        settle(bench, rotation, resource)
    finish(bench, rotation)
    with pytest.raises(NotSettledError, match="it is verified, and only what is manual"):
        settle(bench, rotation, resource)


def test_nobody_without_a_name_settles_anything(bench: Bench) -> None:
    with pytest.raises(NotPermittedError, match="a function key names nobody"):
        settle(bench, "r-1", "/x", NOBODY)


def test_a_resource_that_the_rotation_does_not_have_is_not_found(bench: Bench) -> None:
    _, rotation, resource = silent(bench)
    with pytest.raises(NotFoundError, match=f"rotation {rotation} has no resource"):
        settle(bench, rotation, f"{resource}x")


def test_another_run_to_the_same_version_keeps_it_and_the_next_version_asks_again(
    bench: Bench,
) -> None:
    made, rotation, resource = silent(bench)
    settle(bench, rotation, resource)

    again = run_again(bench, made.key)
    assert again.id != rotation
    assert (again.outcome, again.settled_by_hand) == (Outcome.COMPLETED, 1)
    said = work_on(bench, again.id, resource).settlement
    assert said
    assert (said.by, said.reason) == (OTTO, WHY)
    with pytest.raises(NotActiveError, match="settle it there"):
        settle(bench, rotation, resource)

    _, _, ended = rotated(made)
    assert (ended.outcome, ended.settled_by_hand) == (Outcome.FAILED, 0)


def test_a_settlement_does_not_hold_for_what_was_read_on_an_older_version_since(
    bench: Bench,
) -> None:
    made = company(bench, {"aks_cluster": "pinned"})
    old = in_use(made, "aks_cluster")
    resource = made.resources["aks_cluster"]
    free = {"enabled": True, "keyId": made.key}
    show(bench, resource, "securityProfile", {"azureKeyVaultKms": free})
    _, rotation, _ = rotated(made)
    settle(bench, rotation, resource.id)
    assert carry_on(bench, rotation).outcome is Outcome.COMPLETED
    kms = {"enabled": True, "keyId": old}
    show(bench, resource, "securityProfile", {"azureKeyVaultKms": kms})
    again = run_again(bench, made.key)
    assert (again.outcome, again.settled_by_hand) == (Outcome.FAILED, 0)


def run_again(bench: Bench, key: str) -> Rotation:
    cause = Cause(trigger="operator", id="again", reason="once more")
    return carry_out(bench, bench.open(key, cause))


def test_a_settlement_while_the_rotation_ends_is_counted(bench: Bench) -> None:
    made = company(bench, {SILENT: "absent"})
    bench.pass_time(minutes=5)
    bench.new_version(made.key)
    rotation = bench.open(made.key)
    # Its consumers have been counted, without the settlement; what it says then is put back.
    interrupt(
        bench,
        "supervise.conclude",
        "rows",
        "replace",
        lambda: settle(bench, rotation, made.resources[SILENT].id),
    )
    ended = carry_out(bench, rotation)
    assert (ended.outcome, ended.settled_by_hand) == (Outcome.COMPLETED, 1)
    assert ended.replaced is None


@pytest.mark.parametrize("effects", range(1, 6))
def test_after_a_death_on_the_way_it_is_asked_again_and_counts_once(
    bench: Bench, effects: int
) -> None:
    _, rotation, resource = silent(bench)
    with bench.dying(effects=effects), pytest.raises(Died):
        settle(bench, rotation, resource)
    settle(bench, rotation, resource)
    settle(bench, rotation, resource)
    ended = carry_on(bench, rotation)
    assert (ended.outcome, ended.settled_by_hand) == (Outcome.COMPLETED, 1)
    assert evidence_of(bench, rotation)["settledByHand"] == 1
    assert [k for k in bench.rows.scan(Act, rotation) if k.row.action == "settle"]
    assert run_again(bench, ended.key).settled_by_hand == 1
