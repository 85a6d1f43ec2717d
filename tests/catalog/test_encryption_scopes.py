"""Encryption scopes: the entry fits Microsoft's examples and what was recorded."""

import json
from typing import Any

import pytest

from shared.catalog.storage import STORAGE_ACCOUNT, STORAGE_ENCRYPTION_SCOPE
from shared.domain.errors import UnreadableError
from shared.domain.keys import KeyVersion
from shared.domain.plans import references_to, request_body, restored
from shared.domain.resources import Reference
from tests.catalog.bodies import scope
from tests.catalog.entries import DATA, with_data
from tests.domain.values import KEY, OLD, TARGET

KIND = STORAGE_ENCRYPTION_SCOPE
EXAMPLES = DATA / "spec-examples" / "storageAccounts_encryptionScopes"
RECORDINGS = DATA / "recordings" / "storage-accounts"


def example(name: str) -> dict[str, Any]:
    """Return one of Microsoft's, with the version that is cut short there made a real one."""
    text = (EXAMPLES / f"{name}.json").read_text()
    found: dict[str, Any] = json.loads(text.replace("863425f1358359c", TARGET.version))
    return found


@with_data
def test_the_example_is_read() -> None:
    body = example("StorageAccountPatchEncryptionScope")["responses"]["200"]["body"]
    named = KeyVersion.parse(body["properties"]["keyVaultProperties"]["keyUri"])
    assert KIND.shape.read(body) == (Reference("encryption scope", named.key, named),)
    assert KIND.version_in_use(body) == named
    assert KIND.proof.check(body, named).holds
    assert not KIND.proof.check(body, KeyVersion(named.key, OLD.version)).holds


@with_data
def test_our_write_is_the_one_of_the_example() -> None:
    found = example("StorageAccountPatchEncryptionScope")
    target = KeyVersion.parse(
        found["parameters"]["encryptionScope"]["properties"]["keyVaultProperties"]["keyUri"]
    )
    before = found["responses"]["200"]["body"]
    before["properties"]["keyVaultProperties"]["keyUri"] = str(KeyVersion(target.key, OLD.version))
    ours = request_body(KIND, before, references_to(KIND, before, target.key), target)
    assert ours == found["parameters"]["encryptionScope"]


@with_data
def test_a_scope_of_the_platforms_key_refers_to_none() -> None:
    body = example("StorageAccountGetEncryptionScope")["responses"]["200"]["body"]
    assert KIND.shape.read(body) == ()


@with_data
@pytest.mark.parametrize(
    "recording",
    [
        "py_storage_encryption_scopes",
        "storage_account_encryption_scope_list",
        "storage_adls_gen2_encryption_scope",
    ],
)
def test_a_recorded_scope_with_an_empty_reference_refers_to_no_key(recording: str) -> None:
    exchanges = json.loads((RECORDINGS / f"{recording}.json").read_text())["exchanges"]
    bodies = [exchange["response"]["body"] for exchange in exchanges]
    scopes = [body for body in bodies if isinstance(body, dict) and "properties" in body]
    assert any(body["properties"].get("keyVaultProperties") == {} for body in scopes)
    for body in scopes:
        assert KIND.shape.read(body) == ()
        assert KIND.version_in_use(body) is None
        assert not KIND.proof.check(body, TARGET).holds


@pytest.mark.parametrize("reference", [{}, None, {"keyUri": None}, {"keyUri": ""}])
def test_an_empty_reference_is_no_customer_managed_key(reference: object) -> None:
    body = scope()
    body["properties"]["keyVaultProperties"] = reference
    assert KIND.shape.read(body) == ()


def test_a_reference_of_unknown_form_is_no_missing_one() -> None:
    body = scope()
    body["properties"]["keyVaultProperties"]["keyUri"] = "https://kv1.vault.azure.net/secrets/s"
    with pytest.raises(UnreadableError, match="names no key"):
        KIND.shape.read(body)


def test_state_and_double_encryption_are_never_sent() -> None:
    sent = request_body(KIND, scope(), references_to(KIND, scope(), KEY), TARGET)
    assert sent == {
        "properties": {
            "source": "Microsoft.KeyVault",
            "keyVaultProperties": {"keyUri": str(TARGET)},
        }
    }


def test_a_nudged_scope_gets_its_versionless_form_back_letter_by_letter() -> None:
    original = scope(KEY)
    written = f"{KEY}/".upper().replace("HTTPS", "https")
    original["properties"]["keyVaultProperties"]["keyUri"] = written
    sent = restored(KIND, scope(TARGET), original, TARGET, again=False)
    assert sent
    assert sent["properties"]["keyVaultProperties"] == {"keyUri": written}
    assert restored(KIND, original, original, TARGET, again=False) is None


def test_a_scope_is_found_under_its_account_and_shares_its_budget() -> None:
    assert KIND.listed_under == STORAGE_ACCOUNT.resource_type
    assert KIND.budget == STORAGE_ACCOUNT.budget
    assert (KIND.pinned, KIND.versionless) == (STORAGE_ACCOUNT.pinned, STORAGE_ACCOUNT.versionless)
    assert not KIND.has_blobs
