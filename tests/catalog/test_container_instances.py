"""Container groups: the definition they are made again from, and what stands in the way."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from shared.catalog.container_instances import CONTAINER_GROUP
from shared.domain.json_paths import Json, drop, look_up, put
from shared.domain.keys import Key, KeyVersion
from shared.domain.plans import (
    Age,
    Allowed,
    Manual,
    Plan,
    Repoint,
    plan,
    references_to,
    request_body,
)
from shared.domain.resources import Reference
from tests.catalog.bodies import full_group, group
from tests.catalog.entries import DATA, with_data
from tests.domain.values import KEY, OLD, TARGET, state

KIND = CONTAINER_GROUP
EXAMPLE = DATA / "spec-examples" / "containerGroups" / "ContainerGroupEncryptionProperties.json"
HOLDER = KeyVersion(Key("testkeyvault.vault.azure.net", "test-key"), OLD.version)


def example(version: str) -> dict[str, Any]:
    """Return Microsoft's, with a real version where it has a word."""
    text = EXAMPLE.read_text()
    for word in ("<key version>", "key version"):
        text = text.replace(f'"{word}"', f'"{version}"')
    found: dict[str, Any] = json.loads(text)
    return found


@with_data
@pytest.mark.parametrize("status", ["200", "201"])
def test_the_example_is_read_and_neither_of_its_answers_is_proof(status: str) -> None:
    body = example(OLD.version)["responses"][status]["body"]
    assert KIND.shape.read(body) == (Reference("container group", HOLDER.key, HOLDER),)
    assert KIND.version_in_use(body) is None
    # Both show the version that was sent while the group is being made.
    assert not KIND.proof.check(body, HOLDER).holds
    body["properties"]["provisioningState"] = "Succeeded"
    assert KIND.proof.check(body, HOLDER).holds


@with_data
def test_the_definition_is_the_request_of_the_example_but_for_what_the_service_adds() -> None:
    """Made from the answer, it has beside the request what the service put there by default."""
    target = KeyVersion(HOLDER.key, TARGET.version)
    body = example(OLD.version)["responses"]["200"]["body"]
    ours = request_body(KIND, body, references_to(KIND, body, HOLDER.key), target)

    expected = example(TARGET.version)["parameters"]["containerGroup"]
    expected["properties"]["sku"] = "Standard"
    expected["properties"]["initContainers"] = []
    expected["properties"]["encryptionProperties"]["vaultBaseUrl"] += "/"
    assert ours == expected


def test_the_definition_lacks_what_azure_gives_and_keeps_the_rest() -> None:
    body = full_group()
    sent = request_body(KIND, body, references_to(KIND, body, KEY), TARGET)
    for path in ("id", "name", "type"):
        drop(body, path)
    for path in KIND.write.never:
        drop(body, path)
    put(body, "properties.encryptionProperties.keyVersion", TARGET.version)
    assert sent == body
    assert "192.0.2.1" not in json.dumps(sent)
    assert sent["properties"]["ipAddress"]["dnsNameLabel"] == "demo"


def test_a_group_without_a_version_is_read_and_nothing_is_promised_of_it() -> None:
    assert KIND.shape.read(group(None)) == (Reference("container group", KEY, None),)
    assert KIND.versionless is None
    assert not KIND.proof.check(group(None), TARGET).holds


def test_a_group_without_a_key_of_ours_holds_no_reference() -> None:
    body = group()
    drop(body, "properties.encryptionProperties")
    assert KIND.shape.read(body) == ()


def hidden(body: Json) -> list[str]:
    assert KIND.recreation
    return [secret.title for secret in KIND.recreation.secrets if secret.hides(body)]


Spoil = Callable[[Json], None]


def environment(**variable: object) -> Spoil:
    return lambda body: body["properties"]["containers"][0]["properties"].update(
        environmentVariables=[{"name": "A", "value": "1"}, {"name": "B", **variable}]
    )


def setting(name: str, value: object) -> Spoil:
    return lambda body: body["properties"].update({name: value})


def volume(**form: object) -> Spoil:
    return setting("volumes", [{"name": "v1", "emptyDir": {}}, {"name": "v2", **form}])


def registry(**way: object) -> Spoil:
    return setting("imageRegistryCredentials", [{"server": "r", "username": "u", **way}])


def share(**way: object) -> Spoil:
    return volume(azureFile={"shareName": "s", "storageAccountName": "st1", **way})


def first(**variable: object) -> Spoil:
    properties = {"environmentVariables": [{"name": "A", **variable}]}
    return setting("initContainers", [{"name": "i", "properties": properties}])


def confidential(**policy: object) -> Spoil:
    return lambda body: body["properties"].update(
        sku="Confidential", confidentialComputeProperties=policy
    )


@pytest.mark.parametrize(
    ("spoil", "title"),
    [
        pytest.param(environment(), "secure environment variables", id="a secure variable"),
        pytest.param(
            environment(secureValue=None), "secure environment variables", id="shown as null"
        ),
        pytest.param(
            environment(secureValue="***"), "secure environment variables", id="shown masked"
        ),
        pytest.param(
            first(), "secure environment variables of init containers", id="of an init container"
        ),
        pytest.param(registry(), "registry passwords", id="a registry's password"),
        pytest.param(registry(password=""), "registry passwords", id="an emptied password"),
        pytest.param(share(), "storage account keys of volumes", id="a share's key"),
        pytest.param(volume(secret={"a": None}), "secret volumes", id="a secret volume"),
        pytest.param(volume(), "secret volumes", id="a volume of which nothing is shown"),
        pytest.param(
            setting("diagnostics", {"logAnalytics": {"workspaceId": "w"}}),
            "Log Analytics keys",
            id="a workspace's key",
        ),
        pytest.param(
            setting("extensions", [{"name": "e"}]),
            "protected settings of extensions",
            id="an extension",
        ),
        pytest.param(
            confidential(), "confidential computing policy", id="a confidential group's policy"
        ),
    ],
)
def test_a_secret_that_azure_does_not_give_back_is_noticed(spoil: Spoil, title: str) -> None:
    body = group()
    spoil(body)
    assert hidden(body) == [title]


@pytest.mark.parametrize(
    "keep",
    [
        pytest.param(environment(value="2"), id="a plain variable"),
        pytest.param(environment(secureValueReference="r"), id="a variable by reference"),
        pytest.param(first(secureValueReference="r"), id="one of an init container"),
        pytest.param(registry(identity="id1"), id="a registry by identity"),
        pytest.param(registry(passwordReference="r"), id="a registry by reference"),
        pytest.param(share(storageAccountKeyReference="r"), id="a share by reference"),
        pytest.param(volume(secretReference={"a": "r"}), id="a volume of references"),
        pytest.param(volume(gitRepo={"repository": "g"}), id="a repository"),
        pytest.param(volume(emptyDir={}), id="an empty directory"),
        pytest.param(setting("volumes", None), id="no volumes"),
        pytest.param(setting("diagnostics", {}), id="no diagnostics"),
        pytest.param(confidential(ccePolicy="cGFja2FnZQ=="), id="a policy that is shown"),
    ],
)
def test_what_azure_gives_back_is_no_obstacle(keep: Spoil) -> None:
    body = group()
    keep(body)
    assert hidden(body) == []


def test_the_consequences_are_all_told() -> None:
    assert KIND.recreation
    told = KIND.recreation.consequences
    for word in ("stop and start", "another host", "images", "emptyDir", "logs", "IP", "DNS"):
        assert word in told


def recreated(body: Json) -> Plan:
    """Return what becomes of a group where the policy lets groups be made again."""
    return plan(KIND, body, state(TARGET), {OLD: Age.OLDER}, Allowed(recreate=True))


def by_hand(body: Json) -> str:
    """Return what a person is told about a group that may not be made again."""
    found = plan(KIND, body, state(TARGET), {OLD: Age.OLDER}, Allowed())
    assert isinstance(found, Manual)
    return found.advice


def test_the_commands_by_hand_come_in_the_order_in_which_they_are_safe() -> None:
    body = group()
    body["id"] = body["id"].replace("/rg1/", "/rg(1)/")
    get, edit, delete, put_, consequences = by_hand(body).splitlines()
    url = f'--url "{body["id"]}?api-version={KIND.api_version}"'
    assert get == f"az rest --method get {url} --output-file cg1.json"
    assert edit.startswith("# In cg1.json: set properties.encryptionProperties.keyVersion to")
    assert delete.startswith("az container delete --subscription 0b1f6471-")
    assert delete.endswith('--resource-group "rg(1)" --name cg1 --yes')
    assert put_ == f'az rest --method put {url} --body "@cg1.json"'
    assert KIND.recreation
    assert consequences == KIND.recreation.consequences


def left_out(told: str) -> set[str]:
    """Return what a person is told to take out."""
    names = told.partition("take out ")[2].partition(" (* is")[0]
    return set(names.split(", "))


def test_the_commands_by_hand_name_what_this_group_must_not_send_and_nothing_else() -> None:
    body, always = group(), {"id", "name", "type"}
    seldom = {"identity.principalId", "properties.initContainers.*.properties.instanceView"}
    assert left_out(by_hand(body)) == always | {*KIND.write.never} - seldom
    drop(body, "properties.ipAddress")
    found = left_out(by_hand(body))
    assert "properties.ipAddress.ip" not in found
    assert "properties.containers.*.properties.instanceView" in found


def test_the_commands_by_hand_name_the_secrets_that_this_group_hides_and_no_other() -> None:
    assert "put back" not in by_hand(group())
    body = group()
    registry()(body)
    told = by_hand(body)
    assert "put back what Azure does not give out: registry passwords (password)." in told
    share()(body)
    assert "(password), storage account keys of volumes (storageAccountKey)." in by_hand(body)


@pytest.mark.parametrize("kind", ["SystemAssigned", "SystemAssigned, UserAssigned"])
def test_the_commands_by_hand_end_with_the_rights_of_an_identity_that_is_made_anew(
    kind: str,
) -> None:
    body = group()
    put(body, "identity.type", kind)
    *_, last_command, rights, _ = by_hand(body).splitlines()
    assert "--method put" in last_command
    assert "give it the rights of the old one" in rights
    assert "rights of the old one" not in by_hand(group())


@pytest.mark.parametrize("policy", [Allowed(), Allowed(recreate=True)])
def test_a_group_without_a_version_is_left_to_a_person_who_gets_the_commands(
    policy: Allowed,
) -> None:
    found = plan(KIND, group(None), state(TARGET), {}, policy)
    assert isinstance(found, Manual)
    assert "does not say which one it uses" in found.reason
    assert found.advice == by_hand(group())


@pytest.mark.parametrize("state_of_it", ["Running", "running"])
def test_a_group_that_runs_may_be_made_again(state_of_it: str) -> None:
    body = group()
    put(body, "properties.instanceView.state", state_of_it)
    assert isinstance(recreated(body), Repoint)


@pytest.mark.parametrize(
    "state_of_it",
    ["Stopped", "Terminated", "Succeeded", "Failed", "Pending", "Waiting", "Unknown", "Repairing"],
)
def test_a_group_that_does_not_run_is_not_started_by_us(state_of_it: str) -> None:
    body = group()
    put(body, "properties.instanceView.state", state_of_it)
    found = recreated(body)
    assert isinstance(found, Manual)
    assert f"it would be started again, and it is {state_of_it}" in found.reason
    assert found.advice == by_hand(body)


@pytest.mark.parametrize(
    "silent",
    [
        lambda body: drop(body, "properties.instanceView"),
        lambda body: drop(body, "properties.instanceView.state"),
        lambda body: put(body, "properties.instanceView.state", None),
        lambda body: put(body, "properties.instanceView.state", ""),
    ],
    ids=["no view", "no state", "null", "empty"],
)
@pytest.mark.parametrize("provisioning", ["Succeeded", "Failed"])
def test_a_group_that_does_not_say_that_it_runs_is_not_started_by_us(
    silent: Spoil, provisioning: str
) -> None:
    body = group(provisioning=provisioning)
    silent(body)
    found = recreated(body)
    assert isinstance(found, Manual)
    assert "it would be started again, and does not say whether it runs" in found.reason


@with_data
@pytest.mark.parametrize("status", ["200", "201"])
def test_a_group_shows_its_state_where_microsoft_shows_one(status: str) -> None:
    body = example(OLD.version)["responses"][status]["body"]
    assert look_up(body, "properties.instanceView.state")


@pytest.mark.parametrize("kind", ["SystemAssigned", "SystemAssigned, UserAssigned"])
def test_a_group_whose_own_identity_would_die_with_it_is_left_to_a_person(kind: str) -> None:
    body = group()
    put(body, "identity.type", kind)
    found = recreated(body)
    assert isinstance(found, Manual)
    assert "its system-assigned identity would come back as another one" in found.reason


PROFILE = {"id": "/subscriptions/s/…/containerGroupProfiles/p", "revision": 1}


@pytest.mark.parametrize("version", [OLD.version, None])
@pytest.mark.parametrize("policy", [Allowed(), Allowed(recreate=True)])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("containerGroupProfile", PROFILE),
        ("standbyPoolProfile", {"id": "/subscriptions/s/…/standbyContainerGroupPools/p"}),
        ("isCreatedFromStandbyPool", True),
    ],
)
def test_a_group_that_comes_from_a_profile_is_made_again_from_there_by_a_person(
    name: str, value: object, policy: Allowed, version: str | None
) -> None:
    body = group(version)
    setting(name, value)(body)
    found = plan(KIND, body, state(TARGET), {OLD: Age.OLDER}, policy)
    assert isinstance(found, Manual)
    assert found.advice.startswith("have the container group profile")
    assert "az rest" not in found.advice
    if version:
        assert f"what properties.{name} would bring back" in found.reason


def test_a_group_of_its_own_definition_may_be_made_again() -> None:
    found = recreated(group())
    assert isinstance(found, Repoint)
    assert found.owes == "recreate"


def test_a_group_whose_identity_is_assigned_to_it_no_longer_is_not_deleted() -> None:
    body = group()
    body["identity"]["userAssignedIdentities"] = {"/subscriptions/s/another": {}}
    found = recreated(body)
    assert isinstance(found, Manual)
    assert "which is not assigned to it any more" in found.reason
