"""The role that is documented is the one that the catalog and the code need."""

import json
import re
from pathlib import Path

import pytest

from shared.catalog import KINDS
from shared.catalog.role import PERMISSIONS_READ, ROLE, ROLE_READ, ROLE_WRITE, Where, actions
from shared.domain.kinds import Kind, Plane

README = Path(__file__).parents[2] / "README.md"
ROLES = Path("infra") / "roles"
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.id)


def documented() -> dict[str, set[str]]:
    """Return the actions that README names, by where they are needed."""
    table = README.read_text().partition("Rights of the identity")[2].partition("\n## ")[0]
    found: dict[str, set[str]] = {}
    for where, cell in re.findall(r"^\| ([^|`-][^|]*) \| ([^|]*) \|", table, re.MULTILINE):
        named = set(re.findall(r"`(Microsoft\.[\w./]+)`", cell))
        found[where] = found.get(where, set()) | named
    return {where: named for where, named in found.items() if named}


def test_the_readme_names_exactly_the_actions_of_the_role_where_they_are_needed() -> None:
    needed = {where: {right.action for right in ROLE if right.where is where} for where in Where}
    in_files = {Where.SUBSCRIPTIONS, Where.MOVED}

    assert documented() == {str(w): found for w, found in needed.items() if w not in in_files}


def test_the_role_files_have_exactly_what_the_readme_says_of_them() -> None:
    files = [ROLES / "reader.json", ROLES / "mover.json"]
    reader, mover = (json.loads((README.parent / file).read_text()) for file in files)
    assert set(reader["actions"]) == {*ROLE_READ, *actions(Where.VAULTS)}
    assert set(mover["actions"]) == set(actions(Where.MOVED))
    for file, made in zip(files, (reader, mover), strict=True):
        assert f"]({file})" in README.read_text()
        assert made["dataActions"] == []
        assert len(set(made["actions"])) == len(made["actions"])


@every_kind
def test_what_an_entry_asks_for_is_in_the_role(kind: Kind) -> None:
    given = {right.action for right in ROLE}

    assert set(kind.actions) <= given
    if kind.plane is Plane.ARM:
        assert kind.read_action in ROLE_READ
        assert set(kind.actions) <= {*ROLE_READ, *ROLE_WRITE}


def test_no_right_is_given_twice_and_none_is_a_pattern() -> None:
    assert len(set(ROLE)) == len({(right.action, right.where) for right in ROLE})
    assert not [right for right in ROLE if "*" in right.action]
    assert all(right.purpose for right in ROLE)


def test_what_is_read_only_writes_nothing() -> None:
    assert all(action.endswith("/read") for action in ROLE_READ)
    assert set(ROLE_READ) & set(ROLE_WRITE) == {PERMISSIONS_READ}  # on what groups are made from


def test_rights_to_data_are_told_from_those_to_resources() -> None:
    on_data = {right.action for right in ROLE if right.is_data_action}

    assert not on_data & {*ROLE_READ, *ROLE_WRITE}
    assert "Microsoft.KeyVault/vaults/keys/read" in on_data
    assert "Microsoft.KeyVault/vaults/read" not in on_data
