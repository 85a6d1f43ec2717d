"""Container groups: made, deleted, made again, to the unmodified management client."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import ManagedIdentityCredential
from azure.mgmt.containerinstance import ContainerInstanceManagementClient
from azure.mgmt.containerinstance.models import (
    Container,
    ContainerGroupIdentity,
    EncryptionProperties,
    EnvironmentVariable,
    ResourceRequests,
    ResourceRequirements,
    UserAssignedIdentities,
)
from azure.mgmt.containerinstance.models import (
    ContainerGroup as Group,
)
from azure.mgmt.containerinstance.models import (
    Resource as Tags,
)

from sandbox.arm.container_groups import FIRST_PARTY
from sandbox.container_estate import ContainerGroup
from sandbox.key_vault import Vault
from sandbox.testing import Rig, rig
from tests.sandbox.container_calls import (
    NEWEST,
    TYPE,
    address,
    delete,
    get,
    moved,
    poll,
    put,
    repeatable,
    settled,
)

numbers = count()


@pytest.fixture(scope="module", name="served")
def _served() -> Iterator[Rig]:
    with rig(600) as served:
        yield served


@pytest.fixture(name="subscription")
def _subscription(served: Rig, request: pytest.FixtureRequest) -> str:
    subscription = served.estate.subscription(request.node.name)
    served.allow_all(subscription)
    return subscription


@pytest.fixture(name="vault")
def _vault(served: Rig) -> Vault:
    return served.estate.vault(f"kv-groups-{next(numbers)}")


@pytest.fixture(name="identity")
def _identity(served: Rig, subscription: str) -> str:
    return served.estate.user_assigned_identity(subscription, "rg-containers", "id-groups")


@pytest.fixture(name="make")
def _make(served: Rig, subscription: str, vault: Vault) -> Callable[..., ContainerGroup]:
    """Makes a group on the key ``cmk`` of the test's own vault."""
    vault.create_key("cmk")

    def make(name: str = "app", **options: Any) -> ContainerGroup:  # noqa: ANN401 - any setting
        options.setdefault("key", f"{vault.uri}/keys/cmk")
        return served.estate.container_group(name, subscription=subscription, **options)

    return make


EXAMPLES = Path(__file__).parents[3] / "shared" / "data" / "spec-examples" / "containerGroups"


def management(subscription: str) -> ContainerInstanceManagementClient:
    return ContainerInstanceManagementClient(
        ManagedIdentityCredential(), subscription, polling_interval=0
    )


def asked(vault: Vault, kid: str, identity: str) -> Group:
    """What an owner asks for through the client: a group on ``kid``, with a secret."""
    resources = ResourceRequirements(requests=ResourceRequests(memory_in_gb=1.5, cpu=1.0))
    token = EnvironmentVariable(name="TOKEN", secure_value="hidden")
    return Group(
        location="westeurope",
        os_type="Linux",
        containers=[
            Container(name="c", image="nginx", resources=resources, environment_variables=[token])
        ],
        identity=ContainerGroupIdentity(
            type="UserAssigned", user_assigned_identities={identity: UserAssignedIdentities()}
        ),
        encryption_properties=EncryptionProperties(
            vault_base_url=vault.uri,
            key_name="cmk",
            key_version=kid.rpartition("/")[2],
            identity=identity,
        ),
    )


def test_the_management_client_makes_reads_lists_tags_and_deletes_a_group(
    served: Rig, subscription: str, vault: Vault, identity: str
) -> None:
    served.estate.group(subscription, "rg-containers")
    vault.grant(served.estate.identities.of(identity), {"wrapKey", "unwrapKey"})
    kid = vault.create_key("cmk")

    with management(subscription) as client:
        groups = client.container_groups
        made: Any = groups.begin_create_or_update(
            "rg-containers", "web", asked(vault, kid, identity)
        ).result()
        tagged: Any = groups.update("rg-containers", "web", Tags(tags={"team": "payments"}))
        listed: Any = [each.name for each in groups.list()]
        used = served.estate.truth.version_in_use(str(made.id))
        groups.begin_delete("rg-containers", "web").result()
        with pytest.raises(ResourceNotFoundError):
            groups.get("rg-containers", "web")

    assert (made.provisioning_state, made.instance_view.state) == ("Succeeded", "Running")
    assert made.encryption_properties.key_version == kid.rpartition("/")[2]
    assert made.containers[0].environment_variables[0].secure_value is None
    assert (used, listed, tagged.tags) == (kid, ["web"], {"team": "payments"})
    assert served.estate.truth.version_in_use(str(made.id)) is None


def test_the_example_of_the_specification_is_answered_with_its_members(
    served: Rig, subscription: str, vault: Vault
) -> None:
    if not EXAMPLES.is_dir():
        pytest.skip("the examples are not on this machine")
    text = (EXAMPLES / "ContainerGroupEncryptionProperties.json").read_text()
    example = json.loads(text)
    identity = served.estate.user_assigned_identity(
        subscription, "demo", "container-group-identity"
    )
    served.estate.group(subscription, "demo")
    request = example["parameters"]["containerGroup"]
    [old] = request["identity"]["userAssignedIdentities"]
    request = json.loads(json.dumps(request).replace(old, identity))
    request["properties"]["encryptionProperties"]["vaultBaseUrl"] = vault.uri
    where = f"/subscriptions/{subscription}/resourceGroups/demo/providers/{TYPE}/demo1"

    answer = put(served, where, request)

    expected = example["responses"]["201"]["body"]
    assert answer.status == 201
    # The example has no tags, and a state that it contradicts itself on (Pending for 200).
    assert set(answer.body) - set(expected) == {"tags"}
    assert set(expected) <= set(answer.body)
    assert set(answer.body["properties"]) == set(expected["properties"])
    assert shape(answer.body["properties"]) == shape(expected["properties"])
    assert set(answer.body["identity"]) == set(expected["identity"])
    shown = answer.body["properties"]["encryptionProperties"]
    assert shown["vaultBaseUrl"] == f"{vault.uri}/"
    assert answer.body["properties"]["provisioningState"] == "Pending"


def shape(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return members and types of a value, whatever its content."""
    match value:
        case dict():
            return {name: shape(each) for name, each in value.items()}
        case list():
            return [shape(each) for each in value]
        case bool() | str():
            return type(value).__name__
        case _:
            return "number"


def test_a_new_group_is_pending_then_creating_then_running(
    served: Rig, make: Callable[..., ContainerGroup]
) -> None:
    group = make(dns_label="contoso-app")
    request = repeatable(get(served, group).body)
    delete(served, group)
    group.pace.creation = None

    answer = put(served, group.id, request)
    at_once = poll(served, answer)
    then = get(served, group).body["properties"]["provisioningState"]
    group.pace.creation = timedelta(0)
    at_last = poll(served, answer)

    assert answer.status == 201
    assert (
        "/providers/Microsoft.ContainerInstance/locations/westeurope/operations/"
        in (answer.headers["azure-asyncoperation"])
    )
    assert answer.body["properties"]["instanceView"] == {"events": [], "state": "Pending"}
    assert "ip" not in answer.body["properties"]["ipAddress"]
    assert (at_once.status, at_once.body["status"]) == (200, "Pending")
    assert (then, at_last.body["status"]) == ("Creating", "Succeeded")
    shown = get(served, group).body["properties"]
    assert (shown["provisioningState"], shown["instanceView"]["state"]) == ("Succeeded", "Running")
    assert shown["ipAddress"]["fqdn"] == "contoso-app.westeurope.azurecontainer.io"
    assert ip_address(shown["ipAddress"]["ip"]).is_global
    view = shown["containers"][0]["properties"]["instanceView"]
    assert [each["name"] for each in view["events"]] == ["Pulling", "Pulled", "Started"]


def test_a_group_that_is_made_again_has_a_new_data_key_and_another_address(
    served: Rig, make: Callable[..., ContainerGroup], vault: Vault
) -> None:
    group, truth = make(), served.estate.truth
    old, before = vault.find("cmk").kid, get(served, group).body
    new = vault.rotate("cmk")

    gone = delete(served, group)
    nowhere = (get(served, group).status, truth.version_in_use(group.id))
    again = put(served, group.id, moved(before, new))
    after = settled(served, group)

    assert (gone.status, gone.body["properties"]["provisioningState"]) == (200, "Succeeded")
    assert nowhere == (404, None)
    assert again.status == 201
    assert truth.version_in_use(group.id) == new
    assert [kid for _, kid in truth.history(group.id)] == [old, new]
    assert (truth.deletions(group.id), truth.creations(group.id)) == (1, 1)
    assert truth.users_of(old) == []
    assert address(after) != address(before)


def test_a_group_made_again_with_the_same_version_shows_in_its_history(
    served: Rig, make: Callable[..., ContainerGroup], vault: Vault
) -> None:
    group = make()
    before, kid = get(served, group).body, vault.find("cmk").kid

    delete(served, group)
    put(served, group.id, repeatable(before))
    settled(served, group)

    assert [each for _, each in served.estate.truth.history(group.id)] == [kid, kid]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"encryptionProperties": {"keyVersion": "new"}}, id="key version"),
        pytest.param({"encryptionProperties": {"keyName": "other"}}, id="key"),
        pytest.param({"osType": "Windows"}, id="operating system"),
        pytest.param({"restartPolicy": "Never"}, id="restart policy"),
        pytest.param({"subnetIds": []}, id="network"),
        pytest.param(
            {"containers": {"resources": {"requests": {"memoryInGB": 1.5, "cpu": 2.0}}}}, id="cpu"
        ),
    ],
)
def test_what_only_a_new_group_can_have_is_refused_on_an_old_one(
    served: Rig,
    make: Callable[..., ContainerGroup],
    vault: Vault,
    change: dict[str, Any],
) -> None:
    group = make()
    before = get(served, group)
    request = repeatable(before.body)
    for name, value in change.items():
        if name == "containers":
            request["properties"][name][0]["properties"] |= value
        elif isinstance(value, dict):
            request["properties"][name] |= value
        else:
            request["properties"][name] = value

    answer = put(served, group.id, request)

    assert (answer.status, answer.code) == (400, "InvalidContainerGroupUpdate")
    assert "you must delete it first and then create a new one." in answer.message
    assert get(served, group).body == before.body
    assert served.estate.truth.version_in_use(group.id) == vault.find("cmk").kid
    assert served.estate.truth.writes(group.id) == 0


def test_the_rest_can_change_and_the_group_keeps_its_address_and_data_key(
    served: Rig, make: Callable[..., ContainerGroup]
) -> None:
    group = make()
    before = get(served, group).body
    request = repeatable(before)
    request["properties"]["containers"][0]["properties"]["image"] = "nginx:2"

    answer = put(served, group.id, request)
    after = settled(served, group)

    assert (answer.status, answer.body["properties"]["provisioningState"]) == (200, "Pending")
    assert after["properties"]["containers"][0]["properties"]["image"] == "nginx:2"
    assert address(after) == address(before)
    assert len(served.estate.truth.history(group.id)) == 1


def test_a_stopped_group_is_deployed_as_new(
    served: Rig, make: Callable[..., ContainerGroup]
) -> None:
    group = make()
    before = get(served, group).body

    served.estate.stop(group)
    stopped = get(served, group).body["properties"]
    put(served, group.id, repeatable(before))
    after = settled(served, group)

    assert (stopped["provisioningState"], stopped["instanceView"]["state"]) == (
        "Succeeded",
        "Stopped",
    )
    state = stopped["containers"][0]["properties"]["instanceView"]["currentState"]
    assert state["detailStatus"] == "Container stopped per client request"
    assert address(after) != address(before)
    assert len(served.estate.truth.history(group.id)) == 2


def test_a_patch_takes_tags_and_nothing_else(
    served: Rig, make: Callable[..., ContainerGroup]
) -> None:
    group = make(tags={"old": "tag"})
    before = get(served, group).body
    change = {
        "tags": {"team": "payments"},
        "location": "northeurope",
        "properties": {"encryptionProperties": {"keyVersion": "0" * 32}, "osType": "Windows"},
    }

    answer = served.send("PATCH", group.id, change, version=NEWEST)

    assert answer.status == 200
    assert answer.body == {**before, "tags": {"team": "payments"}}
    assert get(served, group).body == answer.body


@pytest.mark.parametrize(
    ("version", "status"), [("2022-09-01", 400), ("2023-05-01", 201), (NEWEST, 201)]
)
def test_the_key_version_may_be_left_out_since_2023(
    served: Rig, make: Callable[..., ContainerGroup], version: str, status: int
) -> None:
    group = make()
    request = repeatable(get(served, group, version).body)
    del request["properties"]["encryptionProperties"]["keyVersion"]

    answer = put(served, f"{group.id}2", request, version)

    assert answer.status == status


def test_a_group_that_names_no_version_follows_the_newest_within_the_hour(
    served: Rig, make: Callable[..., ContainerGroup], vault: Vault
) -> None:
    group, truth = make(version="absent"), served.estate.truth
    old, new = vault.find("cmk").kid, vault.rotate("cmk")

    before = truth.version_in_use(group.id)
    group.pace.next_poll_at = served.clock.now()

    assert (before, truth.version_in_use(group.id)) == (old, new)
    assert "keyVersion" not in get(served, group).body["properties"]["encryptionProperties"]
    vault.set_enabled(vault.rotate("cmk"), enabled=False)
    group.pace.next_poll_at = served.clock.now()
    assert truth.version_in_use(group.id) == new


def test_a_group_made_again_does_not_go_back_to_what_was_current_while_it_was_gone(
    served: Rig, make: Callable[..., ContainerGroup], vault: Vault
) -> None:
    group = make(version="absent")
    before = get(served, group).body
    delete(served, group)
    group.pace.next_poll_at, group.pace.creation = served.clock.now(), timedelta(0)
    time.sleep(served.clock.real_seconds(timedelta(seconds=2)))  # versions are dated to the second
    new = vault.rotate("cmk")

    put(served, group.id, repeatable(before))
    settled(served, group)

    assert served.estate.truth.version_in_use(group.id) == new
    assert [kid for _, kid in served.estate.truth.history(group.id)][1:] == [new]


def test_a_group_that_names_a_version_stays_on_it(
    served: Rig, make: Callable[..., ContainerGroup], vault: Vault
) -> None:
    group, old = make(), vault.find("cmk").kid
    vault.rotate("cmk")

    group.pace.next_poll_at = served.clock.now()

    assert served.estate.truth.version_in_use(group.id) == old


def disable(vault: Vault, _principal: str) -> None:
    vault.set_enabled(vault.find("cmk").kid, enabled=False)


def revoke(vault: Vault, principal: str) -> None:
    vault.revoke(principal)


def remove(vault: Vault, _principal: str) -> None:
    vault.delete("cmk")


def shut(vault: Vault, _principal: str) -> None:
    vault.network.default, vault.network.trusted_services = "Deny", False


@pytest.mark.parametrize("harm", [disable, revoke, remove, shut])
def test_a_group_whose_key_cannot_be_used_fails_to_start(
    served: Rig,
    make: Callable[..., ContainerGroup],
    vault: Vault,
    harm: Callable[[Vault, str], None],
) -> None:
    group = make()
    before = get(served, group).body
    delete(served, group)
    harm(vault, group.principal)

    answer = put(served, group.id, repeatable(before))
    failed = settled(served, group)["properties"]
    polled = poll(served, answer)

    assert answer.status == 201
    assert failed["provisioningState"] == "Failed"
    [event] = failed["instanceView"]["events"]
    assert "The key vault key is not found to unwrap the encryption key." in event["message"]
    assert (polled.status, polled.body["status"]) == (200, "Failed")
    assert polled.body["error"]["code"] == "MasterKeyNotAccessibleException"
    assert served.estate.truth.version_in_use(group.id) is None


def test_a_group_without_an_identity_uses_its_key_by_the_services_own_principal(
    served: Rig, make: Callable[..., ContainerGroup], vault: Vault, identity: str
) -> None:
    own, other = make("own"), make("other", user_assigned=identity)

    vault.revoke(FIRST_PARTY)

    truth = served.estate.truth
    assert own.principal == FIRST_PARTY
    assert other.principal == served.estate.identities.of(identity)
    assert (truth.can_read(own.id), truth.can_read(other.id)) == (False, True)


def test_an_identity_that_the_group_has_not_is_refused(
    served: Rig, make: Callable[..., ContainerGroup], identity: str
) -> None:
    request = repeatable(get(served, make()).body)
    request["properties"]["encryptionProperties"]["identity"] = identity

    answer = put(served, request["id"] + "2", request)

    assert (answer.status, answer.code) == (400, "InvalidIdentity")


def test_starts_that_fail_once_succeed_the_next_time(
    served: Rig, make: Callable[..., ContainerGroup], vault: Vault
) -> None:
    group = make()
    before, new = get(served, group).body, vault.rotate("cmk")
    delete(served, group)
    group.pace.failures = 1

    first = put(served, group.id, moved(before, new))
    failed = settled(served, group)["properties"]
    second = put(served, group.id, moved(before, new))
    running = settled(served, group)["properties"]

    assert (first.status, second.status) == (201, 200)
    assert (failed["provisioningState"], running["provisioningState"]) == ("Failed", "Succeeded")
    assert "is not available in the location" in failed["instanceView"]["events"][0]["message"]
    assert served.estate.truth.version_in_use(group.id) == new


def test_starts_can_fail_for_good(served: Rig, make: Callable[..., ContainerGroup]) -> None:
    group = make()
    request = repeatable(get(served, group).body)
    delete(served, group)
    group.pace.failures = None

    states = []
    for _ in range(3):
        put(served, group.id, request)
        states.append(settled(served, group)["properties"]["provisioningState"])

    assert states == ["Failed"] * 3


def test_a_deletion_that_takes_time_refuses_writes_until_the_group_is_gone(
    served: Rig, make: Callable[..., ContainerGroup], vault: Vault
) -> None:
    group = make()
    before = get(served, group).body
    group.pace.deletion = None

    accepted = delete(served, group)
    during = get(served, group)
    early = put(served, group.id, repeatable(before))
    twice = delete(served, group)
    waiting = poll(served, accepted, "location")
    used = served.estate.truth.version_in_use(group.id)
    group.pace.deletion = timedelta(0)
    done = poll(served, accepted, "location")

    assert (accepted.status, accepted.body) == (202, None)
    assert (during.status, during.body) == (200, before)
    assert (early.status, early.code) == (409, "ContainerGroupTransitioning")
    assert early.message == "The container group 'app' is still transitioning, please retry later."
    assert twice.status == 409
    assert (waiting.status, used) == (202, vault.find("cmk").kid)
    assert (done.status, get(served, group).status) == (204, 404)
    assert served.query(f"resources | where id =~ '{group.id}'").body["count"] == 0
    assert put(served, group.id, repeatable(before)).status == 201


def test_a_group_that_is_not_there_is_deleted_with_204(
    served: Rig, make: Callable[..., ContainerGroup]
) -> None:
    group = make()
    delete(served, group)

    assert delete(served, group).status == 204


def test_a_group_takes_as_long_to_start_as_its_pace_says(
    served: Rig, make: Callable[..., ContainerGroup]
) -> None:
    group = make()
    before = get(served, group).body
    delete(served, group)
    group.pace.creation = timedelta(minutes=5)

    began = served.clock.now()
    put(served, group.id, repeatable(before))
    settled(served, group)

    assert served.clock.now() - began >= timedelta(minutes=5)


def test_a_group_that_starts_refuses_writes(
    served: Rig, make: Callable[..., ContainerGroup]
) -> None:
    group = make()
    request = repeatable(get(served, group).body)
    delete(served, group)
    group.pace.creation = None

    put(served, group.id, request)

    assert put(served, group.id, request).code == "ContainerGroupTransitioning"
    assert delete(served, group).code == "ContainerGroupTransitioning"


@pytest.mark.parametrize("missing", ["location", "containers", "osType", "image", "resources"])
def test_a_put_must_say_what_the_specification_requires(
    served: Rig, make: Callable[..., ContainerGroup], missing: str
) -> None:
    request = repeatable(get(served, make()).body)
    holders = (request, request["properties"], request["properties"]["containers"][0]["properties"])
    next(each for each in holders if missing in each).pop(missing)

    answer = put(served, request["id"] + "2", request)

    assert (answer.status, answer.code) == (400, "InvalidRequestContent")
    assert f"'{missing}'" in answer.message


def test_lists_and_resource_graph_hold_groups(
    served: Rig, make: Callable[..., ContainerGroup], subscription: str, vault: Vault
) -> None:
    group = make()

    listed = served.send(
        "GET", f"/subscriptions/{subscription}/providers/{TYPE}", version=NEWEST
    ).body["value"]
    found = served.query(
        f"resources | where tostring(properties) contains '{vault.name}.vault.azure.net'"
        " | where type =~ 'microsoft.containerinstance/containergroups'"
    )

    assert [each["id"] for each in listed] == [group.id]
    assert "instanceView" not in json.dumps(listed)
    [row] = found.body["data"]
    assert row["properties"]["encryptionProperties"]["keyName"] == "cmk"
    assert row["properties"]["provisioningState"] == "Succeeded"


@pytest.mark.parametrize("use", ["vault", "hsm"])
def test_a_key_of_an_hsm_serves_like_one_of_a_vault(
    served: Rig, make: Callable[..., ContainerGroup], use: str
) -> None:
    name = f"groups{next(numbers)}"
    vault = served.estate.managed_hsm(name) if use == "hsm" else served.estate.vault(name)
    kid = vault.create_key("own")

    group = make(key=kid)

    assert served.estate.truth.version_in_use(group.id) == kid
    shown = get(served, group).body["properties"]["encryptionProperties"]
    assert shown["vaultBaseUrl"] == f"{vault.uri}/"


def test_a_client_sees_the_refusal_of_an_update(
    make: Callable[..., ContainerGroup], subscription: str, vault: Vault
) -> None:
    make()
    new = vault.rotate("cmk")

    with management(subscription) as client:
        group: Any = client.container_groups.get("rg-containers", "app")
        group.encryption_properties.key_version = new.rpartition("/")[2]
        with pytest.raises(HttpResponseError) as refused:
            client.container_groups.begin_create_or_update("rg-containers", "app", group)

    assert refused.value.error is not None
    assert refused.value.error.code == "InvalidContainerGroupUpdate"
