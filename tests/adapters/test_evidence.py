"""Documents are written once and never changed, in blocks, and read back as they were written."""

import hashlib
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobClient, ContainerClient

from shared.adapters.storage import evidence
from shared.adapters.storage.evidence import BLOCK, CONTAINER, IN_PIECES, BlobEvidence
from shared.domain.errors import NotFoundError, PermanentError
from shared.domain.rows import Evidence

NAME = "kv1.vault.azure.net/cmk/0a1b2c-1.json"


@pytest.fixture(name="container")
def _container(storage: str) -> Iterator[ContainerClient]:
    options: dict[str, Any] = dict(IN_PIECES)
    with ContainerClient.from_connection_string(storage, CONTAINER, **options) as container:
        yield container


@pytest.fixture(name="store")
def _store(container: ContainerClient) -> BlobEvidence:
    return BlobEvidence(lambda: container)


def names(container: ContainerClient) -> list[str]:
    return sorted(container.list_blob_names())


def kept(store: BlobEvidence, *pieces: bytes) -> Evidence:
    return store.keep(NAME, lambda: iter(pieces))


def test_a_document_reads_back_as_it_was_written_and_its_digest_is_its_own(
    store: BlobEvidence, container: ContainerClient
) -> None:
    found = kept(store, b'{"a":', b"1", b"}")
    assert found == Evidence(name=NAME, sha256=hashlib.sha256(b'{"a":1}').hexdigest())
    assert b"".join(store.open(NAME)) == b'{"a":1}'
    properties = container.get_blob_client(NAME).get_blob_properties()
    assert properties.content_settings.content_type == "application/json"


def test_a_container_answers_before_it_is_made_and_after(
    store: BlobEvidence, container: ContainerClient
) -> None:
    store.reach()
    assert not container.exists()
    kept(store, b"{}")
    store.reach()


def test_a_container_that_refuses_us_is_told_of(storage: str) -> None:
    account = dict(part.split("=", 1) for part in storage.strip(";").split(";"))
    url = account["BlobEndpoint"]
    stranger = ContainerClient(url, CONTAINER, credential=None)
    with stranger, pytest.raises(PermanentError, match="look at the container of the evidence"):
        BlobEvidence(lambda: stranger).reach()


def test_the_same_document_again_is_one_document(
    store: BlobEvidence, container: ContainerClient
) -> None:
    first = kept(store, b"{}")
    before = container.get_blob_client(NAME).get_blob_properties().last_modified
    assert kept(store, b"{", b"}") == first
    assert container.get_blob_client(NAME).get_blob_properties().last_modified == before
    assert names(container) == [NAME]


def test_another_document_of_the_same_name_gets_one_that_says_so_and_changes_nothing(
    store: BlobEvidence, container: ContainerClient
) -> None:
    kept(store, b"{}")
    other = kept(store, b"[]")
    digest = hashlib.sha256(b"[]").hexdigest()
    assert other == Evidence(name=NAME.replace(".json", f"-{digest[:12]}.json"), sha256=digest)
    assert kept(store, b"[]") == other
    assert names(container) == sorted([NAME, other.name])
    assert b"".join(store.open(NAME)) == b"{}"
    assert b"".join(store.open(other.name)) == b"[]"


@pytest.mark.parametrize("where", ["stage_block", "commit_block_list"])
@pytest.mark.parametrize("code", ["BlobImmutableDueToPolicy", "BlobImmutableDueToLegalHold"])
def test_what_an_immutability_policy_protects_is_taken_as_it_is(
    store: BlobEvidence, monkeypatch: pytest.MonkeyPatch, code: str, where: str
) -> None:
    """Azurite has no such policies: the service's answer is put in its place."""
    first, real = kept(store, b"{}"), getattr(BlobClient, where)

    class Answer:
        status_code = 409
        reason = "Conflict"
        headers = {"x-ms-error-code": code}  # noqa: RUF012 - a constant of a test

        def text(self) -> str:
            return ""

    def refuse(blob: BlobClient, *given: object, **named: object) -> object:
        if blob.blob_name == NAME:
            raise HttpResponseError("protected", response=Answer())  # type: ignore[arg-type]
        return real(blob, *given, **named)

    monkeypatch.setattr(BlobClient, where, refuse)

    assert kept(store, b"{}") == first
    assert kept(store, b"[]").name != NAME


def test_of_two_steps_that_write_at_once_neither_gets_into_the_others_document(
    store: BlobEvidence, container: ContainerClient
) -> None:
    """The second begins when the first has sent a block, and is done before the first commits."""
    large = b"1" * BLOCK

    def slowly() -> Iterator[bytes]:
        yield large
        if not names(container):
            assert kept(BlobEvidence(lambda: container), b"2" * BLOCK, b"2").name == NAME
        yield b"1"

    first = store.keep(NAME, slowly)

    assert first.name != NAME
    for name, content in [(NAME, b"2" * BLOCK + b"2"), (first.name, large + b"1")]:
        assert b"".join(store.open(name)) == content


def test_a_document_of_any_size_is_written_and_read_a_block_at_a_time(
    store: BlobEvidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "BLOCK", 256 * 1024)
    line = b'{"consumer": "of some two hundred letters"}' * 5 + b"\n"
    count = 100_000

    tracemalloc.start()
    found = store.keep(NAME, lambda: (line for _ in range(count)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert found.sha256 == hashlib.sha256(line * count).hexdigest()
    assert len(line) * count > 20_000_000
    assert peak < 4_000_000
    sizes = [len(piece) for piece in store.open(NAME)]
    assert sum(sizes) == len(line) * count
    assert max(sizes) <= BLOCK


def test_a_document_that_is_not_there_is_an_error(store: BlobEvidence) -> None:
    kept(store, b"{}")
    with pytest.raises(NotFoundError, match=r"could not read the evidence other\.json"):
        list(store.open("other.json"))
