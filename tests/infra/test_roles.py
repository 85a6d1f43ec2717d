"""The roles: all of what the code needs, nothing else, and each where Azure takes it."""

import json
import re
from pathlib import Path

import pytest

from shared.catalog.role import KEYS_ROTATE, KEYS_UPDATE, Where, actions
from tests.azure_files import ROLES
from tests.infra import bicep

FOLDER = Path(__file__).parents[2] / "infra" / "roles"


def role(name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads((FOLDER / f"{name}.json").read_text())
    return found


def test_together_they_allow_what_the_code_needs_and_nothing_else() -> None:
    allowed = {action for name in ROLES for action in role(name)["actions"]}
    on_data = {action for name in ROLES for action in role(name)["dataActions"]}
    needed = actions(Where.SUBSCRIPTIONS, Where.VAULTS, Where.MOVED, Where.GROUPS)
    assert allowed == set(needed)
    assert on_data == set(actions(Where.KEYS))


@pytest.mark.parametrize("name", ["reader", "key-reader"])
def test_who_only_observes_can_change_nothing(name: str) -> None:
    found = role(name)
    assert found["actions"] + found["dataActions"]
    assert all(action.endswith("/read") for action in found["actions"] + found["dataActions"])


def test_on_keys_each_power_is_a_role_of_its_own() -> None:
    assert role("key-rotator")["dataActions"] == [KEYS_ROTATE]
    assert role("key-keeper")["dataActions"] == [KEYS_UPDATE]


@pytest.mark.parametrize("name", ROLES)
def test_none_uses_a_key_or_takes_all_there_is(name: str) -> None:
    of_use = re.compile(
        r"/(wrap|unwrap|encrypt|decrypt|sign)/action$|/secrets/|list\w*keys", re.IGNORECASE
    )
    for action in role(name)["actions"] + role(name)["dataActions"]:
        assert "*" not in action
        assert not of_use.search(action), action


def loaded(file: str) -> list[str]:
    text = (FOLDER / file).read_text()
    return [name for name in ROLES if f"loadJsonContent('{name}.json')" in text]


def test_a_subscription_gets_all_of_them() -> None:
    assert loaded("roles.bicep") == list(ROLES)
    assert bicep.read(FOLDER / "roles.bicep").scope == "subscription"


def test_a_deployment_to_a_subscription_bears_its_region_and_no_other_bears_its_name() -> None:
    """It keeps its region: another is an InvalidDeploymentLocation."""
    modules = bicep.read(FOLDER.parent / "main.bicep").of("module").values()
    named = {str(each.body["name"]) for each in modules if "scope" not in each.body}
    assert named == {str(bicep.Expression("'keyturn-roles-${location}'"))}
    for script in ("grant.sh", "grant.ps1"):
        found = re.findall(r"--name (\S+)", (FOLDER / script).read_text())
        assert found == ['"keyturn-grant-$location"'], script


def test_a_management_group_gets_those_without_data_actions_which_it_refuses() -> None:
    assert bicep.read(FOLDER / "management-group.bicep").scope == "managementGroup"
    plain = [name for name in ROLES if not role(name)["dataActions"]]
    assert loaded("management-group.bicep") == plain
