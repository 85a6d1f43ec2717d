"""A vault's body, read."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import UnreadableError
from shared.domain.vault_settings import VaultSettings, is_at

EXAMPLES = Path(__file__).parents[2] / ".." / "shared" / "data" / "spec-examples"


def body(**properties: object) -> dict[str, Any]:
    return {"properties": {"tenantId": "T1", **properties}}


def settings(**properties: object) -> VaultSettings:
    return VaultSettings.parse(body(**properties), home_tenant="T1")


def policy(principal: str, keys: list[str], application: str = "") -> dict[str, Any]:
    return {"objectId": principal, "applicationId": application, "permissions": {"keys": keys}}


def test_microsofts_own_example_is_read() -> None:
    path = EXAMPLES / "keyVault_vaults" / "getVault.json"
    if not path.exists():
        pytest.skip("the spec examples are not here")
    example = json.loads(path.read_text())["responses"]["200"]["body"]
    read = VaultSettings.parse(example, home_tenant="")
    assert read.soft_delete
    assert not read.purge_protection, "absent where it is off"
    assert not read.rbac
    assert not read.is_private
    assert not read.is_shut
    (permissions,) = read.permissions.values()
    assert {"get", "wrapkey", "unwrapkey"} <= permissions
    assert is_at(example, "sample-vault.vault.azure.net")


@pytest.mark.parametrize(
    ("given", "soft_delete", "purge_protection"),
    [
        ({}, True, False),
        ({"enableSoftDelete": False}, False, False),
        ({"enableSoftDelete": None, "enablePurgeProtection": None}, True, False),
        ({"enableSoftDelete": True, "enablePurgeProtection": True}, True, True),
    ],
)
def test_protection_is_off_where_it_is_absent_and_soft_delete_on(
    given: dict[str, Any],
    soft_delete: bool,  # noqa: FBT001 - a table
    purge_protection: bool,  # noqa: FBT001 - a table
) -> None:
    read = settings(**given)
    assert (read.soft_delete, read.purge_protection) == (soft_delete, purge_protection)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (False, False, False, True)),
        ({"publicNetworkAccess": "Enabled"}, (False, False, False, True)),
        ({"publicNetworkAccess": "disabled"}, (True, False, False, True)),
        (
            {"publicNetworkAccess": "Disabled", "networkAcls": {"bypass": "None"}},
            (True, False, False, False),
        ),
        ({"publicNetworkAccess": "SecuredByPerimeter"}, (False, False, True, True)),
        (
            {"networkAcls": {"defaultAction": "Allow", "bypass": "None"}},
            (False, False, False, False),
        ),
        ({"networkAcls": {"defaultAction": "Deny"}}, (False, True, False, True)),
        ({"networkAcls": {"defaultAction": "deny", "bypass": "None"}}, (False, True, False, False)),
        (
            {"networkAcls": {"defaultAction": "Deny", "bypass": "AzureServices"}},
            (False, True, False, True),
        ),
    ],
)
def test_the_firewall_is_read_with_its_defaults(
    given: dict[str, Any], expected: tuple[bool, bool, bool, bool]
) -> None:
    read = settings(**given)
    found = (read.is_private, read.is_shut, read.is_perimeter, read.trusts_services)
    assert found == expected


def test_a_principals_policies_count_together_and_another_applications_do_not() -> None:
    read = settings(
        accessPolicies=[
            policy("P1", ["Get"]),
            policy("p1", ["wrapKey", "unwrapKey"]),
            policy("p1", ["list"], "app"),
        ]
    )
    assert sorted(map(len, read.permissions.values())) == [1, 3]


def test_tenants_are_compared_without_their_casing() -> None:
    assert settings().tenant == settings().home_tenant


@pytest.mark.parametrize("odd", [{}, {"properties": {}}, {"properties": {"tenantId": 1}}])
def test_what_is_no_vault_is_not_read(odd: dict[str, Any]) -> None:
    with pytest.raises(UnreadableError):
        VaultSettings.parse(odd, home_tenant="")


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://kv1.vault.azure.net/", True),
        ("https://KV1.vault.azure.net", True),
        ("https://kv1.vault.azure.net:443/", True),
        ("https://kv12.vault.azure.net/", False),
        ("https://kv1.vault.azure.net.example.com/", False),
        ("https://example.com/kv1.vault.azure.net/", False),
        ("http://kv1.vault.azure.net/", False),
        ("", False),
        (None, False),
    ],
)
def test_a_vault_is_told_by_its_whole_host(uri: object, expected: bool) -> None:  # noqa: FBT001 - a table
    assert is_at({"properties": {"vaultUri": uri}}, "kv1.vault.azure.net") is expected


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries(
        {
            "accessPolicies": anything | st.lists(st.fixed_dictionaries({"permissions": anything})),
            "networkAcls": anything,
            "publicNetworkAccess": anything,
        }
    )
)
def test_odd_bodies_are_read_or_refused_but_break_nothing(odd: dict[str, Any]) -> None:
    assert settings(**odd).tenant == "t1"
