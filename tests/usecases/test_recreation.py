"""Container groups: deleted and made again with the target, come what may, or left to a person."""

import re
import shlex
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any, Literal

import pytest
from azure.identity import ManagedIdentityCredential

from sandbox.arm.resource_ids import ResourceId
from sandbox.azure import LocalAzure
from sandbox.container_estate import ContainerGroup, Secrets
from sandbox.faults import Answer, Fault
from sandbox.identity import APP_PRINCIPAL
from shared.adapters.arm.client import ArmClient
from shared.catalog.container_instances import CONTAINER_GROUP
from shared.catalog.resource_manager import ASSIGN_IDENTITY
from shared.catalog.role import PERMISSIONS_READ
from shared.domain.callers import NOBODY
from shared.domain.clouds import AZURE_PUBLIC
from shared.domain.errors import GoneError
from shared.domain.json_paths import drop, look_up, put
from shared.domain.keys import KeyVersion
from shared.domain.rows import Debt, debt_address, rotation_id
from shared.domain.steps import Pay, Repoint, Supervise, Verify
from shared.domain.verdicts import Outcome, Verdict
from shared.domain.work import Consumer, Stage
from tests.usecases.bench import Bench, at
from tests.usecases.memory import in_memory
from tests.usecases.runner import Runner

_VERSION = {"api-version": "2025-09-01"}
_REFUSED = {"error": {"code": "QuotaExceeded", "message": "no cores left"}}


@pytest.fixture(name="bench")
def _bench(
    local_azure: Callable[[float], LocalAzure], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    with local_azure(1) as azure:
        for name, value in azure.environment().items():
            monkeypatch.setenv(name, value)
        yield Bench(azure, policy={"recreate_container_groups": True})


def group(  # noqa: PLR0913 - the settings of a group, all by name
    bench: Bench,
    key: str,
    name: str = "web",
    *,
    identity: bool = True,
    secrets: Secrets = "none",
    version: Literal["pinned", "absent"] = "pinned",
) -> ContainerGroup:
    """Make a container group that uses a key."""
    estate, user_assigned = bench.azure.estate, ""
    if identity:
        user_assigned = estate.user_assigned_identity(bench.subscription, "rg-id", "id-web")
    it = estate.container_group(
        name,
        subscription=bench.subscription,
        key=key,
        user_assigned=user_assigned,
        secrets=secrets,
        version=version,
    )
    it.pace.creation = timedelta(0)  # the bench's clock runs ahead of the sandbox's
    return it


def body_of(bench: Bench, it: ContainerGroup) -> dict[str, Any]:
    return bench.steps.repoint.resources.read(CONTAINER_GROUP, it.id).body


def is_there(bench: Bench, it: ContainerGroup) -> bool:
    try:
        body_of(bench, it)
    except GoneError:
        return False
    return True


def version(bench: Bench, it: ContainerGroup) -> str:
    return str(look_up(body_of(bench, it), "properties.encryptionProperties.keyVersion"))


def definition(body: dict[str, Any]) -> dict[str, Any]:
    """Return what is ours to keep of a group: all but what Azure gives it, and the version."""
    return {
        "containers": [
            {k: v for k, v in c["properties"].items() if k != "instanceView"} | {"name": c["name"]}
            for c in body["properties"]["containers"]
        ],
        "tags": body.get("tags"),
        "osType": body["properties"]["osType"],
        "restartPolicy": body["properties"].get("restartPolicy"),
        "secretReferences": body["properties"].get("secretReferences"),
        "volumes": body["properties"].get("volumes"),
        "registries": body["properties"].get("imageRegistryCredentials"),
        "identities": sorted(body["identity"]["userAssignedIdentities"]),
    }


def the_consumer(bench: Bench, rotation: str) -> Consumer:
    (consumer,) = bench.work(rotation).consumers
    return consumer


def go_on(bench: Bench) -> None:
    """Run whichever step on the resource was queued last, when it is due."""
    step, when = [(s, at) for s, at in bench.life.sent if isinstance(s, Repoint | Verify | Pay)][-1]
    bench.pass_until(when)
    bench.run(step)


def deletes(bench: Bench) -> int:
    return len(bench.calls("DELETE"))


@pytest.mark.parametrize("secrets", ["none", "references"])
def test_a_group_is_made_again_with_the_target_and_nothing_else_changed(
    bench: Bench, secrets: Secrets
) -> None:
    key = bench.key()
    it = group(bench, key, secrets=secrets)
    before = definition(body_of(bench, it))
    new = bench.later_version(key)
    rotation, _ = bench.opened(key)
    assert bench.finish(rotation).outcome is Outcome.COMPLETED

    consumer, work = the_consumer(bench, rotation), bench.work(rotation)
    assert (consumer.verdict, consumer.level) == (Verdict.VERIFIED, "configured")
    assert "IP address may change" in work.note
    assert definition(body_of(bench, it)) == before
    assert version(bench, it) == new.rpartition("/")[2]
    assert bench.in_use(it) == new  # type: ignore[arg-type]
    assert deletes(bench) == 1
    assert bench.rows.load(Debt, *debt_address(it.id)) is None


def test_a_group_is_deleted_only_once_it_is_known_that_it_can_be_made_again(bench: Bench) -> None:
    key, estate = bench.key(), bench.azure.estate
    elsewhere = estate.subscription("of the identities")
    identity = estate.user_assigned_identity(elsewhere, "rg-id", "id-web")
    it = estate.container_group(
        "web", subscription=bench.subscription, key=key, user_assigned=identity
    )
    it.pace.creation = timedelta(0)
    new = bench.later_version(key)
    rotation, step = bench.opened(key)
    lacks = [PERMISSIONS_READ, ASSIGN_IDENTITY]
    for n, action in enumerate(lacks):
        bench.run(step)

        consumer = the_consumer(bench, rotation)
        assert consumer.verdict is Verdict.MANUAL
        assert consumer.reason == (
            "it was not deleted, because it could not be deleted and made again: our identity"
            f" lacks '{action}' on {identity}"
        )
        assert (deletes(bench), bench.work(rotation).owes) == (0, "")
        assert bench.rows.load(Debt, *debt_address(it.id)) is None
        estate.arm.rbac.allow(APP_PRINCIPAL, lacks[: n + 1], f"/subscriptions/{elsewhere}")
        bench.forget_sent()
        bench.steer.retry(rotation, "granted", NOBODY)
        bench.supervise(rotation)
        (step,) = bench.sent(Repoint)
    bench.run(step)
    assert bench.finish(rotation).outcome is Outcome.COMPLETED
    assert version(bench, it) == new.rpartition("/")[2]
    assert deletes(bench) == 1


def test_while_our_rights_cannot_be_told_a_group_is_not_deleted(bench: Bench) -> None:
    key = bench.key()
    it = group(bench, key)
    bench.later_version(key)
    rotation, step = bench.opened(key)
    path = f"{it.id}/providers/Microsoft.Authorization/permissions"
    bench.azure.faults.add(Fault(path=path, answer=Answer(503)))

    bench.run(step)
    assert (deletes(bench), bench.work(rotation).intent) == (0, None)
    go_on(bench)
    assert deletes(bench) == 1


def test_unless_it_is_allowed_a_person_gets_the_exact_commands(bench: Bench) -> None:
    careful = Bench(bench.azure)
    key = careful.key()
    it = group(careful, key)
    new = careful.later_version(key)
    rotation, step = careful.opened(key)
    careful.run(step)
    consumer = the_consumer(careful, rotation)
    assert consumer.verdict is Verdict.MANUAL
    assert "az rest --method put" in consumer.advice
    assert new.rpartition("/")[2] in consumer.advice
    assert "--name web" in consumer.advice
    assert deletes(careful) == 0
    assert is_there(careful, it)


@pytest.mark.parametrize("pin", ["pinned", "absent"])
@pytest.mark.parametrize("secrets", ["none", "references"])
def test_by_the_commands_a_group_comes_back_with_the_target_and_loses_nothing(
    bench: Bench, secrets: Secrets, pin: Literal["pinned", "absent"]
) -> None:
    careful = Bench(bench.azure)
    key = careful.key()
    it = group(careful, key, secrets=secrets, version=pin)
    arm = ArmClient(AZURE_PUBLIC, ManagedIdentityCredential())
    in_a_zone(arm, it, body_of(careful, it))
    before = body_of(careful, it)
    new = careful.later_version(key)
    rotation, step = careful.opened(key)
    careful.run(step)

    follow(arm, the_consumer(careful, rotation).advice)
    after = body_of(careful, it)
    assert version(careful, it) == new.rpartition("/")[2]
    assert after["zones"] == ["1"]
    assert bool(after["properties"].get("secretReferences")) is (secrets == "references")
    for path in ("properties.encryptionProperties.keyVersion", *CONTAINER_GROUP.write.never):
        drop(before, path)
        drop(after, path)
    assert after == before


def in_a_zone(arm: ArmClient, it: ContainerGroup, body: dict[str, Any]) -> None:
    """Make a group again that lies in a zone, which an estate's do not."""
    it.pace.deletion = timedelta(0)
    arm.send("DELETE", it.id, doing="delete it", query=_VERSION)
    for path in ("id", "name", "type", *CONTAINER_GROUP.write.never):
        drop(body, path)
    arm.send("PUT", it.id, doing="make it", query=_VERSION, body={**body, "zones": ["1"]})


def follow(arm: ArmClient, advice: str) -> None:
    """Do by the letter what a person is told, with ``az`` played by an ARM client."""
    files: dict[str, dict[str, Any]] = {}
    for line in advice.splitlines():
        if line.startswith("# In "):
            name, _, changes = line.removeprefix("# In ").partition(": ")
            edit(files[name], changes.removesuffix("."))
        elif line.startswith("az rest"):
            options = options_of(line)
            path, _, asked = options["url"].partition("?api-version=")
            file = options.get("output-file")
            body = None if file else files[options["body"].removeprefix("@")]
            query = {"api-version": asked}
            answer = arm.send(options["method"].upper(), path, doing="it", query=query, body=body)
            if file:
                files[file] = answer.body
        elif line.startswith("az container delete"):
            options = options_of(line)
            path = (
                f"/subscriptions/{options['subscription']}/resourceGroups"
                f"/{options['resource-group']}/providers/{CONTAINER_GROUP.resource_type}"
                f"/{options['name']}"
            )
            arm.send("DELETE", path, doing="delete it", query=_VERSION)


def options_of(command: str) -> dict[str, str]:
    words = [word for word in shlex.split(command) if word != "--yes"]
    first = next(i for i, word in enumerate(words) if word.startswith("--"))
    return {
        option.removeprefix("--"): value
        for option, value in zip(words[first::2], words[first + 1 :: 2], strict=True)
    }


def edit(body: dict[str, Any], changes: str) -> None:
    """Change a file as told; what is to be put back would be in a person's hands."""
    for change in changes.split("; "):
        if change.startswith("set "):
            path, _, value = change.removeprefix("set ").partition(" to ")
            put(body, path, value)
        else:
            names = re.fullmatch(r"take out (.*) \(\* is every name or item\)", change)
            assert names, change
            for path in names[1].split(", "):
                drop(body, path)


@pytest.mark.parametrize(
    ("identity", "secrets", "why"),
    [(True, "hidden", "does not give back"), (False, "none", "no user-assigned identity")],
)
def test_a_group_that_would_not_come_back_whole_is_left_alone(
    bench: Bench,
    identity: bool,  # noqa: FBT001 - a table
    secrets: Secrets,
    why: str,
) -> None:
    key = bench.key()
    group(bench, key, identity=identity, secrets=secrets)
    bench.later_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    consumer = the_consumer(bench, rotation)
    assert consumer.verdict is Verdict.MANUAL
    assert why in consumer.reason
    assert deletes(bench) == 0


def test_a_group_that_was_deleted_is_made_again_although_the_rotation_was_stopped(
    bench: Bench,
) -> None:
    key = bench.key()
    it = group(bench, key)
    new = bench.later_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    bench.steer.cancel(rotation, "enough", NOBODY)
    bench.run(Supervise(rotation=rotation))
    assert bench.rotation(rotation).outcome is None
    bench.settle(rotation)
    assert version(bench, it) == new.rpartition("/")[2]
    assert the_consumer(bench, rotation).verdict is Verdict.CANCELLED
    assert bench.rotation(rotation).outcome is Outcome.CANCELLED


def test_a_newer_version_waits_for_a_group_that_is_being_made_again(bench: Bench) -> None:
    key = bench.key()
    it = group(bench, key)
    middle = bench.later_version(key)
    runner = Runner(bench)
    runner.event(key)
    runner.run(until=lambda: deletes(bench))
    assert not is_there(bench, it)
    newest = bench.later_version(key)
    runner.event(key, "e2")
    second = rotation_id(KeyVersion.parse(newest), 1)
    runner.run(lambda: bench.active(key) == second, which=lambda step: not isinstance(step, Pay))
    runner.run()
    first = rotation_id(KeyVersion.parse(middle), 1)
    assert bench.rotation(first).outcome is Outcome.SUPERSEDED
    assert bench.rotation(second).outcome is Outcome.COMPLETED
    assert the_consumer(bench, second).verdict is Verdict.VERIFIED
    assert version(bench, it) == newest.rpartition("/")[2]


def test_a_creation_that_is_refused_is_tried_until_it_succeeds_and_shown_meanwhile(
    bench: Bench,
) -> None:
    key = bench.key()
    it = group(bench, key)
    new = bench.later_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    bench.azure.faults.add(Fault(method="PUT", times=4, answer=Answer(400, _REFUSED)))
    for _ in range(20):
        go_on(bench)
        if the_consumer(bench, rotation).verdict is Verdict.FAILED:
            break
    for _ in range(3):
        consumer = the_consumer(bench, rotation)
        assert "no cores left" in consumer.reason
        assert bench.work(rotation).stage is Stage.OPEN
        assert bench.supervise(rotation).outcome is None
        go_on(bench)
    assert bench.finish(rotation).outcome is Outcome.COMPLETED
    assert the_consumer(bench, rotation).verdict is Verdict.VERIFIED
    assert version(bench, it) == new.rpartition("/")[2]


def test_a_delete_that_is_refused_ends_failed_and_owes_nothing(bench: Bench) -> None:
    key = bench.key()
    it = group(bench, key)
    before = version(bench, it)
    bench.later_version(key)
    locked = {"error": {"code": "ScopeLocked", "message": "locked"}}
    bench.azure.faults.add(Fault(method="DELETE", answer=Answer(409, locked), times=None))
    rotation, step = bench.opened(key)
    bench.run(step)
    assert the_consumer(bench, rotation).verdict is Verdict.FAILED
    assert bench.work(rotation).owes == ""
    assert version(bench, it) == before


def test_a_group_that_a_person_deletes_is_not_made_again(bench: Bench) -> None:
    """It is not ours to bring back what we did not take away."""
    key = bench.key()
    it = group(bench, key)
    bench.later_version(key)
    rotation, step = bench.opened(key)
    arm = ArmClient(AZURE_PUBLIC, ManagedIdentityCredential())
    arm.send("DELETE", it.id, doing="delete it", query=_VERSION)
    it.pace.deletion = timedelta(0)
    bench.run(step)
    assert the_consumer(bench, rotation).verdict is Verdict.GONE
    assert bench.calls("PUT") == []


@pytest.mark.parametrize("moment", ["before delete", "after delete", "before write", "after write"])
def test_a_death_around_the_delete_and_the_creation_loses_no_group(
    bench: Bench, moment: str
) -> None:
    key = bench.key()
    it = group(bench, key)
    before = definition(body_of(bench, it))
    new = bench.later_version(key)
    runner = Runner(bench)
    runner.event(key)
    when, _, method = moment.partition(" ")
    dies = bench.dying(before=at(method)) if when == "before" else bench.dying(after=at(method))
    with dies:
        runner.run(until=partial(getattr, runner, "deaths"))
    runner.run()
    rotation = rotation_id(KeyVersion.parse(new), 1)
    assert bench.rotation(rotation).outcome is Outcome.COMPLETED
    assert definition(body_of(bench, it)) == before
    assert version(bench, it) == new.rpartition("/")[2]
    assert deletes(bench) <= 2


@pytest.mark.parametrize("first", [1, 13, 25])
def test_a_death_after_any_effect_loses_no_group(bench: Bench, first: int) -> None:
    swift = in_memory(bench)
    for effects in range(first, first + 12):
        key = swift.key(f"cmk{effects}")
        it = group(swift, key, f"web{effects}")
        new = swift.later_version(key)
        runner = Runner(swift, seed=effects)
        runner.event(key)
        with swift.dying(effects=effects):
            runner.run(until=partial(getattr, runner, "deaths"))
        runner.run()
        rotation = rotation_id(KeyVersion.parse(new), 1)
        assert swift.rotation(rotation).outcome is Outcome.COMPLETED, effects
        assert version(swift, it) == new.rpartition("/")[2], effects
        assert the_consumer(swift, rotation).verdict is Verdict.VERIFIED, effects


def test_a_lost_answer_to_the_delete_or_the_creation_loses_no_group(bench: Bench) -> None:
    key = bench.key()
    it = group(bench, key)
    new = bench.later_version(key)
    for method in ("DELETE", "PUT"):
        bench.azure.faults.add(Fault(method=method, path="*containergroups*", lose_answer=True))
    runner = Runner(bench)
    runner.event(key)
    runner.run()
    assert bench.rotation(rotation_id(KeyVersion.parse(new), 1)).outcome is Outcome.COMPLETED
    assert version(bench, it) == new.rpartition("/")[2]
    assert ResourceId.parse(it.id).name == "web"


@pytest.mark.parametrize("allowed", [True, False])
def test_a_group_is_planned_with_its_deletion_where_that_is_allowed(
    bench: Bench,
    allowed: bool,  # noqa: FBT001 - a table
) -> None:
    swift = in_memory(bench, policy={"recreate_container_groups": allowed})
    key = swift.key()
    group(swift, key)
    swift.later_version(key)
    rotation = swift.open(key)
    swift.search(rotation)
    (entry,) = swift.steps.ledger.outstanding(rotation, Stage.OPEN)
    assert entry.row.twice is allowed
