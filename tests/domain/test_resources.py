"""Resource ids: equal in any casing, and of one exact form."""

import pytest
from hypothesis import given

from shared.domain.errors import InvalidResourceIdError
from shared.domain.resources import Reference, ResourceId, digest
from tests.domain.values import ACCOUNT, KEY, OLD, any_casing


@given(any_casing(ACCOUNT))
def test_ids_are_equal_in_any_casing(text: str) -> None:
    written, other = ResourceId.parse(text), ResourceId.parse(ACCOUNT)
    assert written == other
    assert hash(written) == hash(other)
    assert str(written) == text
    assert digest(text) == digest(ACCOUNT)


def test_an_id_gives_its_parts() -> None:
    found = ResourceId.parse(ACCOUNT)
    assert found.subscription == "0b1f6471-1bf0-4dda-aec3-cb9272f09590"
    assert (found.group, found.name) == ("rg1", "st1")
    assert found.type == "Microsoft.Storage/storageAccounts"


def test_a_child_has_a_name_of_its_own_and_the_type_of_all_above_it() -> None:
    found = ResourceId.parse(f"{ACCOUNT}/encryptionScopes/scope-1")
    assert (found.group, found.name) == ("rg1", "scope-1")
    assert found.type == "Microsoft.Storage/storageAccounts/encryptionScopes"
    assert found != ResourceId.parse(ACCOUNT)


@pytest.mark.parametrize("group", ["rg_1", "rg-1", "rg.1", "rg(1)", "Gruppe-ä", "資源"], ids=str)
def test_a_group_may_be_named_as_azure_allows(group: str) -> None:
    assert ResourceId.parse(ACCOUNT.replace("rg1", group)).group == group


def test_another_account_is_another_resource() -> None:
    assert ResourceId.parse(ACCOUNT) != ResourceId.parse(f"{ACCOUNT}x")
    assert digest(ACCOUNT) != digest(f"{ACCOUNT}x")


HOSTILE = {
    "nothing": "",
    "a URL": f"https://management.azure.com{ACCOUNT}",
    "another host": f"//evil.example{ACCOUNT}",
    "a host after it": f"@evil.example{ACCOUNT}",
    "a subscription only": "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590",
    "a query after the name": f"{ACCOUNT}?api-version=1",
    "a fragment after the name": f"{ACCOUNT}#x",
    "a query in the group": ACCOUNT.replace("rg1", "rg1?x="),
    "a fragment in the group": ACCOUNT.replace("rg1", "rg1#"),
    "a query in the subscription": ACCOUNT.replace("aec3", "aec3?"),
    "dots as the group": ACCOUNT.replace("rg1", ".."),
    "escaped dots as the group": ACCOUNT.replace("rg1", "%2e%2e"),
    "an escape in the name": f"{ACCOUNT}%2fx",
    "a backslash in the group": ACCOUNT.replace("rg1", "rg1\\x"),
    "a blank in the group": ACCOUNT.replace("rg1", "rg 1"),
    "a newline at the end": f"{ACCOUNT}\n",
    "a slash at the end": f"{ACCOUNT}/",
    "no name": ACCOUNT.removesuffix("st1"),
    "a child without a name": f"{ACCOUNT}/encryptionScopes",
    "a child's name of two parts": f"{ACCOUNT}/encryptionScopes/one/two",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_an_id_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidResourceIdError, match="not the id of a resource"):
        ResourceId.parse(text)


def test_a_reference_says_what_it_names() -> None:
    assert str(Reference("account", KEY, OLD)) == str(OLD)
    assert str(Reference("account", KEY, None)) == str(KEY)
