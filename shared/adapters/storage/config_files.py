"""The deployment configs behind ``shared.ports.ConfigFiles``: blobs of the registered sources."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from azure.core import MatchConditions
from azure.storage.blob import BlobClient, BlobProperties, ContentSettings, StandardBlobTier

from shared.adapters.storage.containers import Connect, translated_blob
from shared.domain.clouds import Cloud
from shared.domain.deployment_configs import MAX_BYTES
from shared.domain.errors import (
    NotAllowedError,
    RefusedWriteError,
    UnansweredError,
    UnavailableError,
    UnreadableError,
)
from shared.domain.file_sources import BlobName, FileSource
from shared.ports import File, FilePage

_NAMES = (".json", ".yaml", ".yml")
_PER_PAGE = 100
"""Of a page: whoever asks for it reads each of its files in one step."""


class BlobConfigFiles:
    """Lists, reads and rewrites blobs. Only a registered source's account gets a token."""

    def __init__(self, sources: Iterable[str], cloud: Cloud, connect: Connect) -> None:
        """See the class.

        Args:
            sources: As they are registered: see ``FileSource.parse``.
            cloud: Whose accounts they must be.
            connect: Gives a client of a container; called once for each.

        Raises:
            NotAllowedError: A source is none.
        """
        self._sources = {text: FileSource.parse(text, cloud) for text in sources}
        self._container = cache(connect)

    def page(self, source: str, token: str) -> FilePage:
        """See ``ConfigFiles.page``."""
        if source not in self._sources:
            raise NotAllowedError("the source is not registered (any more)")
        registered = self._sources[source]
        with translated_blob(f"list {registered.begin.url}"):
            pages = self._pages(registered, token)
            blobs = list(next(pages, ()))
        named = (replace(registered.begin, path=blob.name) for blob in blobs)
        # A tag is a person's word that the blob is a config, whatever its name.
        urls = [
            name.url
            for name in named
            if registered.covers(name) and (registered.tag is not None or _is_config(name))
        ]
        return FilePage(urls, getattr(pages, "continuation_token", None) or "")

    def _pages(self, source: FileSource, token: str) -> Iterator[Iterable[Any]]:
        container = self._container(source.begin.host, source.begin.container)
        found: Any
        if source.tag is None:
            prefix = source.begin.path or None
            found = container.list_blobs(name_starts_with=prefix, results_per_page=_PER_PAGE)
        else:
            name, value = source.tag
            found = container.find_blobs_by_tags(
                f"\"{name}\" = '{value}'", results_per_page=_PER_PAGE
            )
        pages: Iterator[Iterable[Any]] = found.by_page(token or None)
        return pages

    def read(self, url: str) -> File:
        """See ``ConfigFiles.read``."""
        with translated_blob(f"read {url}"), self._blob(url) as blob:
            if not _is_config(BlobName.parse(url)):
                raise UnreadableError(
                    f"could not read {url}: it is named unlike a config: let its name end in"
                    f" {' or '.join(_NAMES)}, or take the tag off it"
                )
            # As it is kept: a content encoding is not ours to undo.
            found = blob.download_blob(decompress=False)
            if found.size > MAX_BYTES:
                raise UnreadableError(
                    f"could not read {url}: it is larger than {MAX_BYTES:,} bytes"
                )
            return File(found.readall(), found.properties.etag)

    def write(self, url: str, content: bytes, *, etag: str, request_id: str) -> str:
        """See ``ConfigFiles.write``.

        docs: Put Blob, "updates the content of an existing block blob … you overwrite any existing
        metadata"; properties, tags and tier that the request does not name are cleared too. So they
        are read, under the same ETag, and sent back.
        """
        guard: dict[str, Any] = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
        with translated_blob(f"rewrite {url}"), self._blob(url) as blob:
            kept = blob.get_blob_properties(**guard)
            if kept.blob_type != "BlockBlob":
                raise RefusedWriteError(f"{url} is no block blob, and would become one")
        # docs: blob index tags, "For any blobs with at least one": none needs no right to them.
        with translated_blob(f"read the index tags of {url}"), self._blob(url) as blob:
            tags = blob.get_blob_tags() if kept.tag_count else None
        try:
            with translated_blob(f"rewrite {url}"), self._blob(url) as blob:
                answer = blob.upload_blob(
                    content,
                    overwrite=True,
                    tags=tags,
                    client_request_id=request_id,
                    **_as_it_was(kept),
                    **guard,
                )
        except UnavailableError as error:
            raise UnansweredError(str(error), retry_after=error.retry_after) from error
        return str(answer["request_id"])

    def covers(self, url: str) -> bool:
        """See ``ConfigFiles.covers``."""
        try:
            name = BlobName.parse(url)
        except NotAllowedError:
            return False
        return any(source.covers(name) for source in self._sources.values())

    def _blob(self, url: str) -> BlobClient:
        name = BlobName.parse(url)
        if not self.covers(url):
            raise NotAllowedError(f"no registered source covers {url!r:.200}")
        return self._container(name.host, name.container).get_blob_client(name.path)


def _is_config(name: BlobName) -> bool:
    return name.path.lower().endswith(_NAMES)


def _as_it_was(kept: BlobProperties) -> dict[str, Any]:
    """Return all of a blob but its content, as arguments of an upload."""
    settings = kept.content_settings
    named: dict[str, Any] = {
        "metadata": kept.metadata,
        # Without the digest, which the service computes anew.
        "content_settings": ContentSettings(
            content_type=settings.content_type,
            content_encoding=settings.content_encoding,
            content_language=settings.content_language,
            content_disposition=settings.content_disposition,
            cache_control=settings.cache_control,
        ),
    }
    if kept.encryption_scope:
        named["encryption_scope"] = kept.encryption_scope
    if kept.blob_tier and not kept.blob_tier_inferred:
        named["standard_blob_tier"] = StandardBlobTier(kept.blob_tier)
    return named
