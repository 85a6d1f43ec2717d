"""Deployment configs in blobs: found, read, and rewritten so that nothing else changes."""

import gzip
from collections.abc import Iterator
from datetime import timedelta

import pytest
from azure.storage.blob import BlobClient, ContainerClient, ContentSettings, StandardBlobTier

from sandbox.blobs import DataRight
from sandbox.estate import Account
from sandbox.faults import Answer, Fault, server_error_html, throttled
from sandbox.identity import APP_PRINCIPAL
from shared.adapters.storage.config_files import BlobConfigFiles
from shared.adapters.storage.containers import connect_as
from shared.domain import errors
from shared.domain.clouds import AZURE_PUBLIC
from shared.domain.deployment_configs import MAX_BYTES
from shared.ports import File
from tests.adapters.conftest import Served

HOST = "stone.blob.core.windows.net"
SOURCE = f"https://{HOST}/configs"
ALL: tuple[DataRight, ...] = ("read", "write", "delete", "readTags", "writeTags", "find")
REQUEST_ID = "2f6e9c1e-3c1d-4f5f-9a57-0f0a9d3b4a55"


@pytest.fixture(name="account")
def _account(served: Served) -> Account:
    subscription = served.azure.estate.subscription("one")
    key = "https://kv-blobs.vault.azure.net/keys/cmk"
    account = served.azure.estate.storage_account("stone", subscription=subscription, key=key)
    served.azure.blobs.allow(account, ALL)
    return account


@pytest.fixture(name="inside")
def _inside(served: Served, account: Account) -> Iterator[ContainerClient]:
    """The container as its owner has it, past every check."""
    with served.azure.blobs.client(account) as service:
        yield service.create_container("configs")


def config_files(served: Served, *sources: str) -> BlobConfigFiles:
    return BlobConfigFiles(sources or [SOURCE], AZURE_PUBLIC, connect_as(served.credential))


@pytest.fixture(name="files")
def _files(served: Served, inside: ContainerClient) -> BlobConfigFiles:
    inside.upload_blob("a.yaml", b"one")
    return config_files(served)


def write(files: BlobConfigFiles, name: str, content: bytes, etag: str) -> str:
    return files.write(f"{SOURCE}/{name}", content, etag=etag, request_id=REQUEST_ID)


def every(files: BlobConfigFiles, source: str) -> list[str]:
    page = files.page(source, "")
    assert page.token == ""
    return list(page.urls)


class TestFinding:
    def test_what_is_named_like_a_config_is_found_whatever_its_size(
        self, served: Served, inside: ContainerClient
    ) -> None:
        for name in ("a.json", "b/C.YAML", "d e.yml", "f.txt", "json", "g.json.bak"):
            inside.upload_blob(name, b"12345")
        inside.upload_blob("large.json", b" " * (MAX_BYTES + 1))
        assert every(config_files(served), SOURCE) == [
            f"{SOURCE}/a.json",
            f"{SOURCE}/b/C.YAML",
            f"{SOURCE}/d%20e.yml",
            f"{SOURCE}/large.json",
        ]

    def test_a_prefix_holds_the_others_back(self, served: Served, inside: ContainerClient) -> None:
        for name in ("prod/a.json", "Prod/a.json", "test/a.json", "prod.json"):
            inside.upload_blob(name, b"{}")
        source = f"{SOURCE}/prod/"
        found = every(config_files(served, source), source)
        assert found == [f"{SOURCE}/prod/a.json"]

    def test_a_tag_and_a_prefix_together_tell_what_is_meant(
        self, served: Served, inside: ContainerClient
    ) -> None:
        inside.upload_blob("prod/a.json", b"{}", tags={"env": "prod 1"})
        inside.upload_blob("prod/b.json", b"{}", tags={"env": "test"})
        inside.upload_blob("prod/c.json", b"{}")
        inside.upload_blob("d.json", b"{}", tags={"env": "prod 1"})
        tagged, both = f"{SOURCE}?tag=env=prod%201", f"{SOURCE}/prod/?tag=env=prod%201"
        files = config_files(served, tagged, both)
        assert sorted(every(files, tagged)) == [f"{SOURCE}/d.json", f"{SOURCE}/prod/a.json"]
        assert every(files, both) == [f"{SOURCE}/prod/a.json"]

    def test_what_has_the_tag_is_found_whatever_its_name_and_is_not_read_as_what_it_is_not(
        self, served: Served, inside: ContainerClient
    ) -> None:
        inside.upload_blob("deploy.txt", b"{}", tags={"team": "a+b"})
        inside.upload_blob("other.txt", b"{}", tags={"team": "a b"})
        source = f"{SOURCE}?tag=team=a+b"
        files = config_files(served, source)
        assert every(files, source) == [f"{SOURCE}/deploy.txt"]
        before = served.seen(HOST)
        with pytest.raises(errors.UnreadableError, match="named unlike a config"):
            files.read(f"{SOURCE}/deploy.txt")
        assert served.seen(HOST) == before

    def test_a_large_container_comes_page_by_page(
        self, served: Served, inside: ContainerClient
    ) -> None:
        for number in range(101):
            inside.upload_blob(f"{number:03}.json", b"")
        files = config_files(served)
        first = files.page(SOURCE, "")
        assert len(first.urls) == 100
        assert first.token
        again = config_files(served).page(SOURCE, first.token)
        assert list(again.urls) == [f"{SOURCE}/100.json"]
        assert again.token == ""

    def test_a_source_without_a_container_is_gone_and_one_without_rights_is_refused(
        self, served: Served, account: Account
    ) -> None:
        with pytest.raises(errors.GoneError) as gone:
            config_files(served).page(SOURCE, "")
        assert gone.value.code == "ContainerNotFound"
        served.azure.blobs.roles.revoke(APP_PRINCIPAL, account.id)
        with pytest.raises(errors.AccessDeniedError) as denied:
            config_files(served).page(SOURCE, "")
        assert denied.value.code == "AuthorizationPermissionMismatch"

    def test_a_source_that_is_not_registered_is_not_listed(
        self, served: Served, inside: ContainerClient
    ) -> None:
        inside.upload_blob("a.json", b"{}")
        with pytest.raises(errors.NotAllowedError):
            config_files(served).page(f"{SOURCE}/a", "")
        assert served.seen(HOST) == 0


class TestReading:
    def test_a_file_is_read_with_the_etag_that_guards_it(
        self, files: BlobConfigFiles, inside: ContainerClient
    ) -> None:
        etag = inside.get_blob_client("a.yaml").get_blob_properties().etag
        assert files.read(f"{SOURCE}/a.yaml") == File(b"one", etag)

    def test_an_empty_file_is_read(self, files: BlobConfigFiles, inside: ContainerClient) -> None:
        inside.upload_blob("empty.json", b"")
        assert files.read(f"{SOURCE}/empty.json").content == b""

    def test_the_limit_is_read_and_a_byte_more_is_not(
        self, served: Served, files: BlobConfigFiles, inside: ContainerClient
    ) -> None:
        inside.upload_blob("limit.json", b" " * MAX_BYTES)
        inside.upload_blob("more.json", b" " * (MAX_BYTES * 3))
        assert len(files.read(f"{SOURCE}/limit.json").content) == MAX_BYTES
        with pytest.raises(errors.UnreadableError, match="larger than 1,048,576 bytes"):
            files.read(f"{SOURCE}/more.json")
        sent = [len(call.response_body) for call in served.azure.front_door.traffic()]
        assert max(sent) == MAX_BYTES

    def test_what_is_compressed_stays_so(
        self, files: BlobConfigFiles, inside: ContainerClient
    ) -> None:
        """Else it would be written back plain, under a content encoding that it has not."""
        packed = gzip.compress(b"{}")
        settings = ContentSettings(content_encoding="gzip")
        inside.upload_blob("z.json", packed, content_settings=settings)
        assert files.read(f"{SOURCE}/z.json").content == packed

    @pytest.mark.parametrize(
        "url",
        [
            "https://other.blob.core.windows.net/configs/a.yaml",
            f"https://{HOST}/others/a.yaml",
            f"{SOURCE}/../others/a.yaml",
            f"{SOURCE}/a.yaml?snapshot=2026-01-01T00:00:00.0000000Z",
            "https://evil.example/configs/a.yaml",
            SOURCE,
        ],
    )
    def test_what_no_source_covers_gets_no_token(
        self, served: Served, files: BlobConfigFiles, url: str
    ) -> None:
        with pytest.raises(errors.NotAllowedError):
            files.read(url)
        with pytest.raises(errors.NotAllowedError):
            files.write(url, b"", etag='"0x1"', request_id=REQUEST_ID)
        assert not served.azure.front_door.traffic()

    def test_a_file_that_is_gone_is_gone(self, files: BlobConfigFiles) -> None:
        with pytest.raises(errors.GoneError) as gone:
            files.read(f"{SOURCE}/b.yaml")
        assert gone.value.code == "BlobNotFound"


def kept(blob: BlobClient) -> dict[str, object]:
    """All of a blob but its content and what says that it changed."""
    found = blob.get_blob_properties()
    settings = dict(vars(found.content_settings))
    assert settings.pop("content_md5") is not None
    return {
        "settings": settings,
        "metadata": found.metadata,
        "tags": blob.get_blob_tags(),
        "tier": (found.blob_tier, found.blob_tier_inferred),
        "type": found.blob_type,
    }


class TestWriting:
    def test_nothing_changes_but_the_content(
        self, files: BlobConfigFiles, inside: ContainerClient
    ) -> None:
        blob = inside.get_blob_client("full.yaml")
        blob.upload_blob(
            b"one",
            content_settings=ContentSettings(
                content_type="application/yaml",
                content_encoding="identity",
                content_language="de",
                content_disposition="inline",
                cache_control="no-cache",
            ),
            metadata={"Owner": "team a", "note": "x=y&z"},
            tags={"env": "prod 1", "a/b": "c+d=e"},
            standard_blob_tier=StandardBlobTier.COOL,
        )
        before = kept(blob)

        write(files, "full.yaml", b"two", files.read(f"{SOURCE}/full.yaml").etag)

        assert blob.download_blob().readall() == b"two"
        assert kept(blob) == before
        assert before["tier"] == ("Cool", False)

    def test_a_tier_that_is_the_accounts_stays_the_accounts(
        self, files: BlobConfigFiles, inside: ContainerClient
    ) -> None:
        blob = inside.get_blob_client("a.yaml")
        before = kept(blob)
        write(files, "a.yaml", b"two", files.read(f"{SOURCE}/a.yaml").etag)
        assert kept(blob) == before
        assert before["tier"] == ("Hot", True)

    @pytest.mark.parametrize("scope", ["scope-deployments", None])
    def test_a_file_stays_in_its_encryption_scope(
        self, served: Served, files: BlobConfigFiles, scope: str | None
    ) -> None:
        # Azurite knows no scopes: the answer to HEAD says what the real service would say.
        etag = files.read(f"{SOURCE}/a.yaml").etag
        named = {"x-ms-encryption-scope": scope} if scope else {}
        head = {"etag": etag, "x-ms-blob-type": "BlockBlob", "content-length": "3", **named}
        served.azure.faults.add(Fault(method="HEAD", answer=Answer(200, b"", head)))

        write(files, "a.yaml", b"two", etag)

        (put,) = [call for call in served.azure.front_door.traffic() if call.method == "PUT"]
        assert put.request_headers.get("x-ms-encryption-scope") == scope

    def test_the_service_says_under_which_id_it_wrote(
        self, served: Served, files: BlobConfigFiles
    ) -> None:
        said = write(files, "a.yaml", b"two", files.read(f"{SOURCE}/a.yaml").etag)
        (put,) = [call for call in served.azure.front_door.traffic() if call.method == "PUT"]
        assert said == put.response_headers["x-ms-request-id"] != ""
        assert put.request_headers["x-ms-client-request-id"] == REQUEST_ID

    def test_a_file_that_changed_since_it_was_read_is_left_alone(
        self, files: BlobConfigFiles, inside: ContainerClient
    ) -> None:
        etag = files.read(f"{SOURCE}/a.yaml").etag
        inside.upload_blob("a.yaml", b"theirs", overwrite=True)
        with pytest.raises(errors.ChangedError):
            write(files, "a.yaml", b"ours", etag)
        assert inside.download_blob("a.yaml").readall() == b"theirs"

    def test_so_is_one_that_changes_in_the_last_moment(
        self, served: Served, files: BlobConfigFiles, inside: ContainerClient
    ) -> None:
        etag = files.read(f"{SOURCE}/a.yaml").etag
        served.azure.faults.on(
            "PUT", "/configs/*", lambda _: inside.upload_blob("a.yaml", b"theirs", overwrite=True)
        )
        with pytest.raises(errors.ChangedError):
            write(files, "a.yaml", b"ours", etag)
        assert inside.download_blob("a.yaml").readall() == b"theirs"

    def test_a_file_that_was_deleted_is_not_made_again(
        self, files: BlobConfigFiles, inside: ContainerClient
    ) -> None:
        etag = files.read(f"{SOURCE}/a.yaml").etag
        inside.delete_blob("a.yaml")
        with pytest.raises((errors.GoneError, errors.ChangedError)):
            write(files, "a.yaml", b"ours", etag)
        assert not inside.get_blob_client("a.yaml").exists()

    def test_what_is_no_block_blob_is_not_made_one(
        self, files: BlobConfigFiles, inside: ContainerClient
    ) -> None:
        blob = inside.get_blob_client("log.json")
        blob.create_append_blob()
        blob.append_block(b"{}")
        etag = files.read(f"{SOURCE}/log.json").etag
        with pytest.raises(errors.RefusedWriteError, match="no block blob"):
            write(files, "log.json", b"[]", etag)
        assert blob.download_blob().readall() == b"{}"

    def test_a_leased_file_is_a_persons_to_free(
        self, files: BlobConfigFiles, inside: ContainerClient
    ) -> None:
        inside.get_blob_client("a.yaml").acquire_lease()
        etag = files.read(f"{SOURCE}/a.yaml").etag
        with pytest.raises(errors.RejectedError, match="currently a lease on the blob") as raised:
            write(files, "a.yaml", b"two", etag)
        assert raised.value.code == "LeaseIdMissing"

    def test_without_the_right_to_read_tags_nothing_is_written_that_would_lose_them(
        self, served: Served, account: Account, files: BlobConfigFiles, inside: ContainerClient
    ) -> None:
        inside.upload_blob("t.json", b"{}", tags={"env": "prod"})
        etag = files.read(f"{SOURCE}/t.json").etag
        served.azure.blobs.roles.revoke(APP_PRINCIPAL, account.id)
        served.azure.blobs.allow(account, {"read", "write", "delete"})
        with pytest.raises(errors.AccessDeniedError) as denied:
            write(files, "t.json", b"[]", etag)
        assert denied.value.code == "AuthorizationPermissionMismatch"
        assert inside.download_blob("t.json").readall() == b"{}"

    def test_a_file_without_tags_needs_no_right_to_any(
        self, served: Served, account: Account, files: BlobConfigFiles, inside: ContainerClient
    ) -> None:
        """Storage Blob Data Contributor has none, and accounts of some kinds have no tags."""
        served.azure.blobs.roles.revoke(APP_PRINCIPAL, account.id)
        served.azure.blobs.allow(account, {"read", "write"})
        write(files, "a.yaml", b"two", files.read(f"{SOURCE}/a.yaml").etag)
        assert inside.download_blob("a.yaml").readall() == b"two"


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        (throttled(timedelta(seconds=7)), errors.ThrottledError, None),
        (server_error_html(), errors.UnavailableError, None),
        (Answer(412, b"", {"x-ms-error-code": "ConditionNotMet"}), errors.ChangedError, None),
        (Answer(409, b"", {"x-ms-error-code": "ContainerBeingDeleted"}), errors.BusyError, None),
        (Answer(404, b"", {"x-ms-error-code": "Other"}), errors.NotFoundError, "Other"),
        *(
            (Answer(403, b"", {"x-ms-error-code": code}), errors.AccessDeniedError, code)
            for code in ("AuthorizationFailure", "KeyVaultVaultNotFound", "AccountIsDisabled")
        ),
    ],
)
def test_what_the_service_refuses_becomes_the_error_that_it_is(
    served: Served,
    files: BlobConfigFiles,
    answer: Answer,
    error: type[errors.KeyturnError],
    code: str | None,
) -> None:
    served.azure.faults.add(Fault(host=HOST, answer=answer))
    with pytest.raises(error) as raised:
        files.read(f"{SOURCE}/a.yaml")
    assert type(raised.value) is error
    assert getattr(raised.value, "code", None) == code
    assert served.seen(HOST) == 1


@pytest.mark.parametrize(
    ("fault", "written"),
    [
        (Fault(method="PUT", host=HOST, lose_answer=True), True),
        (Fault(method="PUT", host=HOST, lose_request=True), False),
        (Fault(method="PUT", host=HOST, answer=server_error_html(500)), False),
    ],
)
def test_a_write_without_an_answer_is_told_apart_and_is_not_sent_again(
    served: Served,
    files: BlobConfigFiles,
    inside: ContainerClient,
    fault: Fault,
    written: bool,  # noqa: FBT001 - a table
) -> None:
    etag = files.read(f"{SOURCE}/a.yaml").etag
    served.azure.faults.add(fault)
    with pytest.raises(errors.UnansweredError):
        write(files, "a.yaml", b"two", etag)
    puts = [call for call in served.azure.front_door.traffic() if call.method == "PUT"]
    assert len(puts) == 1
    assert inside.download_blob("a.yaml").readall() == (b"two" if written else b"one")


def test_a_write_that_was_refused_for_now_was_surely_not_done(
    served: Served, files: BlobConfigFiles
) -> None:
    etag = files.read(f"{SOURCE}/a.yaml").etag
    served.azure.faults.add(Fault(method="PUT", host=HOST, answer=throttled(timedelta(seconds=7))))
    with pytest.raises(errors.ThrottledError) as raised:
        write(files, "a.yaml", b"two", etag)
    assert raised.value.retry_after == timedelta(seconds=7)


def test_a_reading_without_an_answer_leaves_no_doubt(
    served: Served, files: BlobConfigFiles
) -> None:
    served.azure.faults.add(Fault(method="HEAD", host=HOST, lose_answer=True))
    with pytest.raises(errors.UnavailableError):
        write(files, "a.yaml", b"two", '"0x1"')


def test_an_account_that_cannot_use_its_key_says_so(
    served: Served, account: Account, files: BlobConfigFiles
) -> None:
    etag = files.read(f"{SOURCE}/a.yaml").etag
    served.azure.estate.vault("kv-blobs").revoke(account.principal)
    with pytest.raises(errors.AccessDeniedError) as raised:
        files.read(f"{SOURCE}/a.yaml")
    assert raised.value.code == "KeyVaultEncryptionKeyNotFound"
    with pytest.raises(errors.AccessDeniedError) as raised:
        write(files, "a.yaml", b"two", etag)
    assert raised.value.code == "KeyVaultEncryptionKeyNotFound"
