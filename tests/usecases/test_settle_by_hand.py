"""A person answers for what they moved by hand: on record, never as a proof, never unread."""

import json

import pytest

from sandbox.arm.resource_ids import ResourceId as SandboxId
from sandbox.identity import APP_PRINCIPAL
from shared.domain.callers import NOBODY, Caller
from shared.domain.errors import (
    AccessDeniedError,
    NotActiveError,
    NotFoundError,
    NotPermittedError,
    NotSettledError,
)
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
from tests.usecases.test_takeover import interrupt

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
    made, cluster = cluster_with_pools(bench, is_keyed=False)
    bench.pass_time(minutes=5)
    bench.new_version(made.key)
    rotation = bench.open(made.key)
    bench.discover(rotation)
    settle(bench, rotation, cluster.id)
    bench.steer.retry(rotation, "the others", NOBODY)
    ended = finish(bench, rotation)
    assert (ended.outcome, ended.settled_by_hand) == (Outcome.COMPLETED, 1)
    assert ended.counts == {Verdict.MANUAL: 1, Verdict.VERIFIED: 1}
    assert ended.evidence
    assert ended.replaced is None
    assert work_on(bench, rotation, cluster.id).stage is Stage.DONE


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


@pytest.mark.parametrize("effects", [1, 2, 3, 4])
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
