"""One event, and a resource of every kind is on the new version: proven, and at its price."""

import json
import signal
from collections import Counter
from http import HTTPStatus
from typing import Any

import pytest

from sandbox.arm.resource_ids import ResourceId
from sandbox.container_estate import ContainerGroup
from sandbox.estate import Account
from sandbox.faults import Answer, Fault
from sandbox.functions_host.process import FunctionsHost
from tests.e2e.every_kind import (
    CANARY,
    FILES,
    POLICY,
    SETTINGS,
    Rotated,
    calls,
    container_group,
    content,
    prepare,
)
from tests.e2e.stage import Stage, consumer, verdicts

REPORTED = {
    "stmoved",
    "stmoved/scope",
    "stplatform/scope",
    "stbusy",
    "stfollows",
    "cosmos-moved",
    "cosmos-named",
}
CONFIGURED = {"aci-moved", "moved/deploy.yaml", "moved/group.json"}

SEARCHES = 2
"""The first, and the closing scan."""

BUDGETS = {
    # A read to plan on, the write, a read that proves, and the closing scan's.
    "stmoved": {"GET": 3, "PATCH": 1},
    "stmoved/scope": {"GET": 3, "PATCH": 1},
    "stplatform/scope": {"GET": 3, "PATCH": 1},
    # Two more while the write goes on.
    "stbusy": {"GET": 5, "PATCH": 1},
    "cosmos-named": {"GET": 5, "PATCH": 1},
    "cosmos-moved": {"GET": 3},
    # The version, the versionless form again, and a read to see each.
    "stfollows": {"GET": 5, "PATCH": 2},
    # A read to see that it is gone, and one to see that it is there; our rights are asked apart.
    "aci-moved": {"GET": 5, "DELETE": 1, "PUT": 1},
    # What else there is to keep of a blob is asked for before it is written.
    "moved/deploy.yaml": {"GET": 3 + SEARCHES, "HEAD": 1, "PUT": 1},
    "moved/group.json": {"GET": 3 + SEARCHES, "HEAD": 1, "PUT": 1},
}
"""The most requests of each method, of a method that is not named none."""
METHODS = ("GET", "HEAD", "PATCH", "PUT", "POST", "DELETE")


def test_one_event_moves_and_proves_every_kind_and_the_truth_agrees(moved: Rotated) -> None:
    report, truth = moved.report, moved.stage.azure.estate.truth

    assert report["state"] == "completed", report
    assert verdicts(report) == dict.fromkeys(REPORTED | CONFIGURED, "verified")
    levels = {each["name"]: each["level"] for each in report["consumers"]}
    assert {name for name, level in levels.items() if level == "reported"} == REPORTED
    assert {name for name, level in levels.items() if level == "configured"} == CONFIGURED
    assert all(each["confirmed"] and not each["owed"] for each in report["consumers"])
    used = {name: truth.version_in_use(it.id) for name, it in moved.moved.resources.items()}
    assert used == dict.fromkeys(used, moved.target)
    assert all(truth.can_read(it.id) for it in moved.moved.resources.values())


def test_a_deployment_config_is_rewritten_in_its_version_and_nowhere_else(moved: Rotated) -> None:
    old, new = (kid.rpartition("/")[2].encode() for kid in (moved.moved.first, moved.target))

    for path, before in moved.moved.files.items():
        assert before.count(old) == 1
        assert content(moved.stage, path) == before.replace(old, new)


def test_what_uses_another_key_is_neither_written_to_nor_moved(moved: Rotated) -> None:
    stage, other, truth = moved.stage, moved.other, moved.stage.azure.estate.truth

    for name, it in other.resources.items():
        assert truth.version_in_use(it.id) == other.first
        assert (truth.writes(it.id), truth.deletions(it.id)) == (0, 0)
        assert [m for m in METHODS for _ in calls(stage, m, name, other)] == []
    for path, before in other.files.items():
        assert content(stage, path) == before
        assert {m for m in METHODS if calls(stage, m, path, other)} == {"GET"}
    assert truth.users_of(moved.moved.first) == []


@pytest.mark.parametrize("name", BUDGETS)
def test_a_resource_is_sent_no_more_requests_than_its_kind_may(moved: Rotated, name: str) -> None:
    budget = BUDGETS[name]
    sent = Counter(m for m in METHODS for _ in calls(moved.stage, m, name, moved.moved))

    assert {m: count for m, count in sent.items() if m != "GET"} == {
        m: count for m, count in budget.items() if m != "GET"
    }
    assert sent["GET"] <= budget["GET"]


def test_before_a_group_is_deleted_our_rights_are_asked_once_on_it_and_on_each_identity(
    moved: Rotated,
) -> None:
    asked = Counter(
        call.path.removesuffix("/providers/Microsoft.Authorization/permissions").split("/")[-1]
        for call in moved.stage.calls("GET", "/resourceGroups/")
        if call.path.endswith("/permissions")
    )

    assert asked == {"aci-moved": 1, "id-aci-moved": 1}


def test_every_resource_has_a_budget(moved: Rotated) -> None:
    assert BUDGETS.keys() == {*moved.moved.resources, *moved.moved.files}


def test_scopes_are_listed_once_for_each_account_and_search_and_files_for_each_source(
    moved: Rotated,
) -> None:
    lists = Counter(
        call.path.split("/")[-2]
        for call in moved.stage.calls("GET", "/encryptionScopes")
        if call.path.endswith("/encryptionScopes")
    )
    pages = [call for call in moved.stage.calls("GET") if "comp=list" in call.query]

    accounts = {"stmoved", "stother", "stplatform", "stbusy", "stfollows", FILES}
    assert lists == dict.fromkeys(accounts, SEARCHES)
    assert [call.path for call in pages] == ["/configs"] * SEARCHES


def test_a_versionless_account_is_nudged_and_gets_its_form_back(moved: Rotated) -> None:
    first, last = calls(moved.stage, "PATCH", "stfollows", moved.moved)

    sent = [_reference(json.loads(call.request_body)) for call in (first, last)]
    assert [each["keyversion"] for each in sent] == [moved.target.rpartition("/")[2], ""]
    body = moved.stage.arm("GET", moved.moved.resources["stfollows"].id)
    assert _reference(body)["keyversion"] == ""
    assert consumer(moved.report, "stfollows")["form"] == "versionless"


def _reference(body: dict[str, dict[str, dict[str, dict[str, str]]]]) -> dict[str, str]:
    return body["properties"]["encryption"]["keyvaultproperties"]


def test_the_canary_says_how_accounts_are_and_leaves_nothing_behind(moved: Rotated) -> None:
    account = moved.moved.resources["stmoved"]
    assert isinstance(account, Account)

    healthy = {each["name"]: each["healthy"] for each in moved.report["consumers"]}
    assert {name for name, is_healthy in healthy.items() if is_healthy is not None} == {"stmoved"}
    assert healthy["stmoved"] is True
    with moved.stage.azure.blobs.client(account) as client:
        assert list(client.get_container_client(CANARY).list_blobs()) == []
    # Where it has no container and no rights, it says so and nothing of the account.
    assert "AuthorizationPermissionMismatch" in consumer(moved.report, "stbusy")["health"]


def test_a_host_killed_between_a_groups_deletion_and_its_return_leaves_it_on_the_target(
    stage: Stage,
) -> None:
    prepare(stage)
    azure, estate, key = stage.azure, stage.azure.estate, stage.key()
    group = container_group(stage, "aci-dies", key)
    before = _definition(stage, group)
    # Once the group is gone, and then again when it is about to be made.
    azure.faults.on("DELETE", group.id, lambda _: _host(stage).kill(), when="after")
    unseen = Answer(HTTPStatus.SERVICE_UNAVAILABLE)
    dies_first = Fault(
        method="PUT", path=group.id, before=lambda _: _host(stage).kill(), answer=unseen
    )
    azure.faults.add(dies_first)
    stage.start(SETTINGS, policy=POLICY, lease_seconds=1)

    target = stage.rotate(key)
    for _ in range(2):
        assert _host(stage).wait_dead(within=60) == -signal.SIGKILL
        assert estate.arm.resources.find(ResourceId.parse(group.id)) is None
        azure.restart_app()
    report = stage.ended(target, within=90)

    assert (report["state"], verdicts(report)) == ("completed", {"aci-dies": "verified"})
    assert estate.truth.version_in_use(group.id) == target
    assert (estate.truth.deletions(group.id), estate.truth.creations(group.id)) == (1, 1)
    old = before["encryptionProperties"].pop("keyVersion")
    after = _definition(stage, group)
    new = after["encryptionProperties"].pop("keyVersion")
    assert (after, target) == (before, f"{key}/{new}")
    assert old != new
    assert stage.rows("keyturndebts") == []


def _host(stage: Stage) -> FunctionsHost:
    assert stage.azure.host is not None
    return stage.azure.host


def _definition(stage: Stage, group: ContainerGroup) -> dict[str, Any]:
    """Return what a group is, but for what each start gives it anew."""
    body = stage.azure.estate.arm.resources.get(ResourceId.parse(group.id)).body
    loose: dict[str, Any] = json.loads(json.dumps(body["properties"]))
    loose.pop("instanceView")
    loose["ipAddress"].pop("ip")
    for container in loose["containers"]:
        container["properties"].pop("instanceView", None)
    return loose | {"tags": body["tags"], "location": body["location"]}
