"""A canary blob shows whether a storage account works, and leaves nothing behind."""

from dataclasses import replace

import pytest
from azure.storage.blob import ContainerClient

from sandbox.blobs import DataRight
from sandbox.estate import Account
from sandbox.faults import Answer, Fault, server_error_html
from sandbox.identity import APP_PRINCIPAL
from shared.adapters.storage.canary import BlobCanary
from shared.adapters.storage.containers import connect_as
from shared.catalog.storage import STORAGE_ACCOUNT
from shared.domain import errors
from shared.domain.clouds import AZURE_PUBLIC
from shared.domain.health import Health
from shared.usecases.health import CheckHealth
from tests.adapters.conftest import Served

HOST = "stone.blob.core.windows.net"
KEY = "https://kv-blobs.vault.azure.net/keys/cmk"
WITH_BLOBS = replace(STORAGE_ACCOUNT, has_blobs=True)
NEEDED: tuple[DataRight, ...] = ("read", "write", "delete")


@pytest.fixture(name="account")
def _account(served: Served) -> Account:
    """An account with a container for canaries, and the rights to use it."""
    subscription = served.azure.estate.subscription("one")
    account = served.azure.estate.storage_account("stone", subscription=subscription, key=KEY)
    served.azure.blobs.client(account).create_container("canaries")
    served.azure.blobs.allow(account, NEEDED, container="canaries")
    return account


def canary(served: Served) -> BlobCanary:
    return BlobCanary("canaries", AZURE_PUBLIC, connect_as(served.credential))


def health(served: Served, account: Account) -> Health:
    found = CheckHealth(canary=canary(served)).of(WITH_BLOBS, account.id)
    assert found is not None
    return found


def left_behind(served: Served, account: Account) -> list[str]:
    container: ContainerClient
    with served.azure.blobs.client(account).get_container_client("canaries") as container:
        return [blob.name for blob in container.list_blobs()]


def sent(served: Served) -> list[str]:
    return [call.method for call in served.azure.front_door.traffic() if call.host == HOST]


def test_an_account_that_works_lets_a_blob_be_written_read_and_deleted(
    served: Served, account: Account
) -> None:
    assert health(served, account) == Health(
        ok=True, said="a blob was written, read back and deleted"
    )
    assert sent(served) == ["PUT", "GET", "DELETE"]
    assert left_behind(served, account) == []
    (put, _, _) = [call for call in served.azure.front_door.traffic() if call.host == HOST]
    assert put.path.startswith("/canaries/keyturn-canary-")


def test_no_two_canaries_have_a_name(served: Served, account: Account) -> None:
    health(served, account)
    health(served, account)
    puts = [call.path for call in served.azure.front_door.traffic() if call.method == "PUT"]
    assert len(set(puts)) == 2


def test_a_blob_that_is_there_is_never_overwritten(served: Served, account: Account) -> None:
    health(served, account)
    (put,) = [call for call in served.azure.front_door.traffic() if call.method == "PUT"]
    assert put.request_headers["if-none-match"] == "*"


def test_a_revoked_key_shows_with_what_to_do(served: Served, account: Account) -> None:
    served.azure.estate.vault("kv-blobs").revoke(account.principal)
    found = health(served, account)
    assert found.ok is False
    assert "KeyVaultEncryptionKeyNotFound" in found.said
    assert "enable the old version again" in found.said
    assert "https://learn.microsoft.com/" in found.said


def test_a_deleted_vault_shows_with_what_to_do(served: Served, account: Account) -> None:
    served.azure.estate.vaults.delete("kv-blobs")
    found = health(served, account)
    assert found.ok is False
    assert "KeyVaultVaultNotFound" in found.said
    assert "recover the deleted vault" in found.said


def test_an_identity_that_is_gone_shows_with_what_to_do(served: Served) -> None:
    subscription = served.azure.estate.subscription("one")
    identity = served.azure.estate.user_assigned_identity(subscription, "rg-storage", "id1")
    account = served.azure.estate.storage_account(
        "stone", subscription=subscription, key=KEY, user_assigned=identity
    )
    served.azure.blobs.client(account).create_container("canaries")
    served.azure.blobs.allow(account, NEEDED)
    served.azure.estate.identities.delete(identity)
    found = health(served, account)
    assert found.ok is False
    assert "KeyVaultAccessTokenCannotBeAcquired" in found.said
    assert "see that the identity" in found.said


def test_missing_rights_are_our_trouble_and_not_the_accounts(
    served: Served, account: Account
) -> None:
    served.azure.blobs.roles.revoke(APP_PRINCIPAL, account.id)
    found = health(served, account)
    assert found.ok is None
    assert "Storage Blob Data Contributor" in found.said


def test_a_missing_container_is_not_made(served: Served) -> None:
    subscription = served.azure.estate.subscription("one")
    account = served.azure.estate.storage_account("stone", subscription=subscription, key=KEY)
    served.azure.blobs.allow(account, NEEDED)
    found = health(served, account)
    assert found.ok is None
    assert "Keyturn makes none; else nothing is to be done" in found.said
    assert not served.azure.blobs.client(account).get_container_client("canaries").exists()


@pytest.mark.parametrize(
    "fault",
    [
        Fault(method="GET", host=HOST, answer=server_error_html()),
        Fault(method="GET", host=HOST, lose_answer=True),
        Fault(method="GET", host=HOST, answer=Answer(403, b"", {"x-ms-error-code": "Other"})),
        Fault(method="PUT", host=HOST, lose_answer=True),
    ],
)
def test_whatever_fails_the_blob_is_deleted(served: Served, account: Account, fault: Fault) -> None:
    served.azure.faults.add(fault)
    assert health(served, account).ok is not True
    assert sent(served)[-1] == "DELETE"
    assert left_behind(served, account) == []


def test_why_it_failed_is_told_and_not_that_the_deletion_did_too(
    served: Served, account: Account
) -> None:
    served.azure.estate.vault("kv-blobs").revoke(account.principal)
    served.azure.faults.add(Fault(method="DELETE", host=HOST, answer=server_error_html()))
    assert "KeyVaultEncryptionKeyNotFound" in health(served, account).said


def test_a_blob_that_could_not_be_deleted_is_told_by_its_name(
    served: Served, account: Account
) -> None:
    served.azure.blobs.roles.revoke(APP_PRINCIPAL, account.id)
    served.azure.blobs.allow(account, {"read", "write"})
    found = health(served, account)
    (left,) = left_behind(served, account)
    assert found.ok is None
    assert f"could not delete {left}" in found.said


def test_a_blob_that_reads_back_as_something_else_is_no_good_sign(
    served: Served, account: Account
) -> None:
    other = Answer(206, b"x" * 64, {"Content-Range": "bytes 0-63/64", "ETag": '"0x1"'})
    served.azure.faults.add(Fault(method="GET", host=HOST, answer=other))
    found = health(served, account)
    assert found.ok is False
    assert "something else" in found.said
    assert left_behind(served, account) == []


def test_an_account_that_does_not_answer_is_not_known_to_be_ill(
    served: Served, account: Account
) -> None:
    served.azure.estate.delete(account)
    assert health(served, account).ok is None


@pytest.mark.parametrize("name", ["evil.example", "stone-1", "st", "a" * 25, "stöne"])
def test_only_the_name_of_an_account_becomes_a_host_with_a_token(
    served: Served, account: Account, name: str
) -> None:
    with pytest.raises(errors.InvalidResourceIdError):
        canary(served).try_out(account.id.replace("stone", name))
    assert not served.azure.front_door.traffic()
