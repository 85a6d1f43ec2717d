"""The documents behind ``shared.ports.EvidenceStore``: blobs that are written once."""

import hashlib
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError

from shared.adapters.http_errors import translated
from shared.domain.errors import RejectedError
from shared.domain.rows import Evidence

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

CONTAINER = "keyturn-evidence"

BLOCK = 4 * 1024 * 1024
"""Bytes of a block: a blob has at most 50,000 (docs: Put Block)."""

IN_PIECES: Mapping[str, int] = {"max_single_get_size": BLOCK, "max_chunk_get_size": BLOCK}
"""Options of a client, so that no more than a block is held when a document is read."""

_TAKEN = {
    # docs: Storage REST API, "Blob service error codes"; the first is what `If-None-Match: *` gets.
    "BlobAlreadyExists",
    "BlobImmutableDueToLegalHold",
    "BlobImmutableDueToPolicy",
    "UnauthorizedBlobOverwrite",  # to an identity that may only create
}


class BlobEvidence:
    """Keeps documents as block blobs.

    A blob is committed only where there is none, so a document that somebody can have read is never
    changed, whether or not the container has an immutability policy. The blob SDK is imported, and
    the container made, when the first document comes.
    """

    def __init__(self, connect: "Callable[[], ContainerClient]") -> None:
        self._connect = connect

    @cached_property
    def _container(self) -> "ContainerClient":
        return self._connect()

    def keep(self, name: str, write: Callable[[], Iterable[bytes]]) -> Evidence:
        """See ``EvidenceStore.keep``."""
        with translated(f"keep the evidence {name}"):
            digest = self._upload(name, write) or self._same(name, write)
            if digest is None:
                name = f"{name.removesuffix('.json')}-{_digest(write())[:12]}.json"
                digest = self._upload(name, write) or self._same(name, write)
        if digest is None:
            raise RejectedError(f"could not keep the evidence {name}: another document is there")
        return Evidence(name=name, sha256=digest)

    def reach(self) -> None:
        """See ``EvidenceStore.reach``."""
        with translated("look at the container of the evidence"):
            self._container.exists()

    def open(self, name: str) -> Iterator[bytes]:
        """See ``EvidenceStore.open``."""
        with translated(f"read the evidence {name}"):
            yield from self._container.download_blob(name).chunks()

    def _same(self, name: str, write: Callable[[], Iterable[bytes]]) -> str | None:
        """Return the digest of the document that is there, if it is the one to be written."""
        there = _digest(self._container.download_blob(name).chunks())
        return there if there == _digest(write()) else None

    def _upload(self, name: str, write: Callable[[], Iterable[bytes]]) -> str | None:
        """Write a blob; return its digest, or ``None`` if there is one, which stays as it is."""
        try:
            return self._commit(name, write())
        except ResourceNotFoundError:
            self._make()
            return self._upload(name, write)
        except HttpResponseError as error:
            answer: Any = error.response  # the SDKs' two response classes have no common type
            if answer is None or answer.headers.get("x-ms-error-code") not in _TAKEN:
                raise
            return None

    def _commit(self, name: str, pieces: Iterable[bytes]) -> str:
        from azure.storage.blob import BlobBlock, ContentSettings  # noqa: PLC0415 - see the class

        blob, digest = self._container.get_blob_client(name), hashlib.sha256()
        ours, blocks = uuid.uuid4().hex, list[BlobBlock]()  # nobody else's blocks get into it
        for block in _blocks(pieces):
            digest.update(block)
            blocks.append(BlobBlock(f"{ours}-{len(blocks):05}"))
            blob.stage_block(blocks[-1].id, block)
        blob.commit_block_list(
            blocks,
            content_settings=ContentSettings(content_type="application/json"),
            match_condition=MatchConditions.IfMissing,
        )
        return digest.hexdigest()

    def _make(self) -> None:
        try:
            self._container.create_container()
        except ResourceExistsError:
            return  # another step made it meanwhile


def _blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    block = bytearray()
    for piece in pieces:
        block += piece
        if len(block) >= BLOCK:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)


def _digest(pieces: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
