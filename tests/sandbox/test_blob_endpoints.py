"""The estate's storage accounts answer at their blob endpoints, to the unmodified blob client."""

from collections.abc import Callable, Iterator

import pytest
from azure.core import MatchConditions
from azure.core.credentials import AccessToken
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceModifiedError,
    ServiceResponseError,
)
from azure.identity import ManagedIdentityCredential
from azure.storage.blob import BlobServiceClient, ContainerClient

from sandbox.azure import LocalAzure
from sandbox.azurite import Azurite
from sandbox.blobs import DataRight
from sandbox.blobs.operations import Operation
from sandbox.clock import SandboxClock
from sandbox.estate import Account

KEY = "https://kv-blobs.vault.azure.net/keys/cmk"
ALL: tuple[DataRight, ...] = ("read", "write", "delete", "readTags", "writeTags", "find")
HOST = "https://stone.blob.core.windows.net"


@pytest.fixture(scope="module")
def azurite() -> Iterator[Azurite]:
    with Azurite.start(["app"]) as running:
        yield running


@pytest.fixture
def azure(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalAzure]:
    with LocalAzure(SandboxClock.start(60), azurite, "app") as azure:
        for name, value in azure.environment().items():
            monkeypatch.setenv(name, value)
        yield azure


@pytest.fixture
def subscription(azure: LocalAzure) -> str:
    return azure.estate.subscription("one")


@pytest.fixture
def account(azure: LocalAzure, subscription: str) -> Account:
    return azure.estate.storage_account("stone", subscription=subscription, key=KEY)


@pytest.fixture
def credential() -> Iterator[ManagedIdentityCredential]:
    with ManagedIdentityCredential() as credential:
        yield credential


@pytest.fixture
def configs(credential: ManagedIdentityCredential) -> Iterator[ContainerClient]:
    with ContainerClient(HOST, "configs", credential=credential, retry_total=0) as container:
        yield container


def refused(call: Callable[[], object]) -> tuple[int | None, str]:
    with pytest.raises(HttpResponseError) as raised:
        call()
    code: str = getattr(raised.value, "error_code", "")
    return raised.value.status_code, code


def test_what_is_put_in_from_inside_is_read_at_the_production_host(
    azure: LocalAzure, account: Account, configs: ContainerClient
) -> None:
    azure.blobs.allow(account, ALL)
    url = azure.blobs.put(account, "configs", "prod/deploy it.yaml", b"image: a\n")

    assert url == f"{HOST}/configs/prod/deploy%20it.yaml"
    assert configs.download_blob("prod/deploy it.yaml").readall() == b"image: a\n"
    configs.upload_blob("b.json", b"{}", metadata={"a": "b"}, tags={"env": "prod"})
    assert azure.blobs.get("stone", "configs", "b.json") == b"{}"
    assert configs.get_blob_client("b.json").get_blob_properties().metadata == {"a": "b"}
    assert configs.get_blob_client("b.json").get_blob_tags() == {"env": "prod"}
    (found,) = configs.find_blobs_by_tags("\"env\" = 'prod'")
    assert found.name == "b.json"
    assert [blob.name for blob in configs.list_blobs()] == ["b.json", "prod/deploy it.yaml"]


def test_an_answer_names_the_production_host_and_no_emulator(
    azure: LocalAzure, account: Account, configs: ContainerClient
) -> None:
    azure.blobs.allow(account, ALL)
    azure.blobs.put(account, "configs", "a.json", b"{}")
    list(configs.list_blobs())

    listed = azure.front_door.traffic()[-1]

    assert f'ServiceEndpoint="{HOST}'.encode() in listed.response_body
    assert b"127.0.0.1" not in listed.response_body
    assert "azurite" not in str(listed.response_headers).lower()
    assert listed.bearer
    assert "sig=" not in listed.query


def test_etags_guard_a_write(azure: LocalAzure, account: Account, configs: ContainerClient) -> None:
    azure.blobs.allow(account, ALL)
    azure.blobs.put(account, "configs", "a.json", b"1")
    blob = configs.get_blob_client("a.json")
    seen = blob.get_blob_properties().etag
    azure.blobs.put(account, "configs", "a.json", b"2")

    with pytest.raises(ResourceModifiedError):
        blob.upload_blob(
            b"3", overwrite=True, etag=seen, match_condition=MatchConditions.IfNotModified
        )

    assert azure.blobs.get(account, "configs", "a.json") == b"2"


def test_accounts_are_apart_and_so_are_two_local_azures_at_one_azurite(
    azure: LocalAzure, azurite: Azurite, account: Account, subscription: str
) -> None:
    other = azure.estate.storage_account("steel", subscription=subscription, key=None)
    azure.blobs.put(account, "configs", "a.json", b"{}")

    assert not azure.blobs.client(other).get_container_client("configs").exists()
    with LocalAzure(SandboxClock.start(), azurite, "app") as second:
        assert not second.blobs.client("stone").get_container_client("configs").exists()


def test_an_account_that_does_not_exist_does_not_answer(
    azure: LocalAzure, account: Account, configs: ContainerClient
) -> None:
    azure.blobs.allow(account, ALL)
    azure.blobs.put(account, "configs", "a.json", b"{}")
    blob = configs.get_blob_client("a.json")
    assert blob.exists()
    azure.estate.delete(account)
    with pytest.raises(ServiceResponseError):
        blob.exists()


class TestWhoMay:
    def test_without_a_data_right_everything_is_refused(
        self, azure: LocalAzure, account: Account, configs: ContainerClient
    ) -> None:
        azure.blobs.put(account, "configs", "a.json", b"{}")
        azure.estate.arm.rbac.allow(account.principal, {"*"}, account.id)
        blob = configs.get_blob_client("a.json")
        mismatch = (403, "AuthorizationPermissionMismatch")
        assert refused(blob.download_blob) == mismatch
        assert refused(blob.get_blob_properties) == mismatch
        assert refused(blob.get_blob_tags) == mismatch
        assert refused(blob.delete_blob) == mismatch
        assert refused(lambda: blob.upload_blob(b"", overwrite=True)) == mismatch
        assert refused(lambda: list(configs.list_blobs())) == mismatch
        assert refused(lambda: list(configs.find_blobs_by_tags("\"a\" = 'b'"))) == mismatch
        assert azure.blobs.get(account, "configs", "a.json") == b"{}"

    def test_a_right_on_a_container_is_none_on_another(
        self, azure: LocalAzure, account: Account, configs: ContainerClient
    ) -> None:
        azure.blobs.put(account, "configs", "a.json", b"{}")
        azure.blobs.allow(account, {"read"}, container="others")
        blob = configs.get_blob_client("a.json")
        assert refused(blob.download_blob)[1] == "AuthorizationPermissionMismatch"
        azure.blobs.allow(account, {"read"}, container="configs")
        assert blob.download_blob().readall() == b"{}"

    def test_to_write_is_not_to_write_tags(
        self, azure: LocalAzure, account: Account, configs: ContainerClient
    ) -> None:
        azure.blobs.put(account, "configs", "a.json", b"{}")
        azure.blobs.allow(account, {"read", "write", "delete"})
        configs.upload_blob("b.json", b"{}")
        mismatch = (403, "AuthorizationPermissionMismatch")
        assert refused(lambda: configs.upload_blob("c.json", b"{}", tags={"a": "b"})) == mismatch
        assert refused(configs.get_blob_client("b.json").get_blob_tags) == mismatch

    def test_a_token_for_another_service_is_refused(
        self, azure: LocalAzure, account: Account
    ) -> None:
        azure.blobs.allow(account, ALL)

        class ForArm:
            def get_token(self, *_: str, **__: object) -> AccessToken:
                return AccessToken(azure.tokens.issue("https://management.azure.com"), 2**33)

        with (
            BlobServiceClient(HOST, credential=ForArm(), retry_total=0) as service,
            pytest.raises(ClientAuthenticationError) as raised,
        ):
            service.get_container_client("configs").exists()
        assert getattr(raised.value, "error_code", "") == "InvalidAuthenticationInfo"

    def test_nobody_and_a_bearer_of_the_accounts_key_are_refused(
        self, azure: LocalAzure, account: Account
    ) -> None:
        azure.blobs.put(account, "configs", "a.json", b"{}")
        key = azure.azurite.key("stone")
        with ContainerClient(HOST, "configs", retry_total=0) as nobody:
            assert refused(nobody.get_container_properties)[1] == "NoAuthenticationInformation"
        with ContainerClient(HOST, "configs", credential=key, retry_total=0) as holder:
            found = refused(holder.get_container_properties)
        assert found == (403, "KeyBasedAuthenticationNotPermitted")


class TestTheKey:
    @pytest.fixture(autouse=True)
    def _rights(self, azure: LocalAzure, account: Account) -> None:
        azure.blobs.allow(account, ALL)
        azure.blobs.put(account, "configs", "a.json", b"{}")

    def test_a_disabled_version_takes_the_data_away_and_gives_it_back(
        self, azure: LocalAzure, account: Account, configs: ContainerClient
    ) -> None:
        kid = azure.estate.truth.version_in_use(account.id) or ""
        vault = azure.estate.vault("kv-blobs")
        vault.set_enabled(kid, enabled=False)
        blob = configs.get_blob_client("a.json")
        lost = (403, "KeyVaultEncryptionKeyNotFound")
        assert refused(blob.download_blob) == lost
        assert refused(blob.get_blob_properties) == lost
        assert refused(lambda: blob.upload_blob(b"2", overwrite=True)) == lost
        assert refused(lambda: blob.set_blob_metadata({"a": "b"})) == lost
        assert refused(lambda: list(configs.list_blobs(include=["metadata"]))) == lost
        assert not azure.estate.truth.can_read(account.id)

        vault.set_enabled(kid, enabled=True)
        assert blob.download_blob().readall() == b"{}"

    def test_what_needs_no_data_key_goes_on(
        self, azure: LocalAzure, account: Account, configs: ContainerClient
    ) -> None:
        azure.estate.vault("kv-blobs").revoke(account.principal)
        assert [blob.name for blob in configs.list_blobs()] == ["a.json"]
        assert configs.get_blob_client("a.json").get_blob_tags() == {}
        configs.delete_blob("a.json")
        assert list(configs.list_blobs()) == []

    def test_an_identity_that_lost_its_rights_is_as_if_the_key_were_gone(
        self, azure: LocalAzure, account: Account, configs: ContainerClient
    ) -> None:
        azure.estate.vault("kv-blobs").revoke(account.principal)
        found = refused(configs.get_blob_client("a.json").download_blob)
        assert found == (403, "KeyVaultEncryptionKeyNotFound")

    def test_a_deleted_vault_is_told(self, azure: LocalAzure, configs: ContainerClient) -> None:
        azure.estate.vaults.delete("kv-blobs")
        found = refused(configs.get_blob_client("a.json").download_blob)
        assert found == (403, "KeyVaultVaultNotFound")

    def test_a_deleted_identity_gets_no_token(
        self, azure: LocalAzure, subscription: str, credential: ManagedIdentityCredential
    ) -> None:
        identity = azure.estate.user_assigned_identity(subscription, "rg-storage", "id1")
        steel = azure.estate.storage_account(
            "steel", subscription=subscription, key=KEY, user_assigned=identity
        )
        azure.blobs.allow(steel, ALL)
        azure.blobs.put(steel, "configs", "a.json", b"{}")
        host = "https://steel.blob.core.windows.net"
        with ContainerClient(host, "configs", credential=credential, retry_total=0) as configs:
            blob = configs.get_blob_client("a.json")
            assert blob.download_blob().readall() == b"{}"
            azure.estate.identities.delete(identity)
            assert refused(blob.download_blob) == (403, "KeyVaultAccessTokenCannotBeAcquired")

    def test_an_account_under_the_platforms_key_needs_no_vault(
        self, azure: LocalAzure, subscription: str, credential: ManagedIdentityCredential
    ) -> None:
        steel = azure.estate.storage_account("steel", subscription=subscription, key=None)
        azure.blobs.allow(steel, ALL)
        azure.blobs.put(steel, "configs", "a.json", b"{}")
        azure.estate.vaults.delete("kv-blobs")
        host = "https://steel.blob.core.windows.net"
        with ContainerClient(host, "configs", credential=credential, retry_total=0) as configs:
            assert configs.download_blob("a.json").readall() == b"{}"


BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
CONTAINERS = BLOBS.removesuffix("/blobs")


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "actions", "unwraps"),
    [
        ("GET", "/c/a", "", (), ["blobs/read"], True),
        ("HEAD", "/c/a/b", "", (), ["blobs/read"], True),
        ("GET", "/c/a", "metadata", (), ["blobs/read"], True),
        ("GET", "/c/a", "blocklist", (), ["blobs/read"], False),
        ("GET", "/c/a", "tags", (), ["blobs/tags/read"], False),
        ("PUT", "/c/a", "tags", (), ["blobs/tags/write"], False),
        ("PUT", "/c/a", "", (), ["blobs/write"], True),
        ("PUT", "/c/a", "", ("x-ms-tags",), ["blobs/write", "blobs/tags/write"], True),
        ("PUT", "/c/a", "metadata", (), ["blobs/write"], True),
        ("PUT", "/c/a", "tier", (), ["blobs/write"], True),
        ("PUT", "/c/a", "block", (), ["blobs/write"], True),
        ("PUT", "/c/a", "blocklist", (), ["blobs/write"], False),
        ("PUT", "/c/a", "appendblock", (), ["blobs/write"], True),
        ("PUT", "/c/a", "page", (), ["blobs/write"], True),
        ("PUT", "/c/a", "incrementalcopy", (), ["blobs/write"], True),
        ("PUT", "/c/a", "snapshot", (), ["blobs/write"], False),
        ("PUT", "/c/a", "snapshot", ("x-ms-meta-a",), ["blobs/write"], True),
        ("PUT", "/c/a", "properties", (), ["blobs/write"], False),
        ("PUT", "/c/a", "lease", (), ["blobs/write"], False),
        ("DELETE", "/c/a", "", (), ["blobs/delete"], False),
        ("GET", "/c", "list", (), ["blobs/read"], False),
        ("GET", "/c", "list&include=metadata", (), ["blobs/read"], True),
        ("GET", "/c", "list&include=tags,metadata", (), ["blobs/read"], True),
        ("GET", "/c", "blobs", (), ["blobs/filter/action"], False),
        ("GET", "/", "blobs", (), ["blobs/filter/action"], False),
        ("GET", "/", "list", (), ["read"], False),
        ("GET", "/c", "", (), ["read"], False),
        ("PUT", "/c", "", (), ["write"], False),
        ("DELETE", "/c", "", (), ["delete"], False),
    ],
)
def test_each_operation_needs_the_documented_rights_and_the_key_where_it_says_so(  # noqa: PLR0913, PLR0917 - a table
    method: str,
    path: str,
    query: str,
    headers: tuple[str, ...],
    actions: list[str],
    unwraps: bool,  # noqa: FBT001 - a table
) -> None:
    comp, _, include = query.partition("&include=")
    parameters = {"comp": comp, "include": include} if comp else {}
    found = Operation.of(method, path, parameters, dict.fromkeys(headers, "x"))
    assert [action.removeprefix(f"{CONTAINERS}/") for action in found.actions] == actions
    assert found.unwraps is unwraps
    assert found.container == ("c" if "c" in path else "")
