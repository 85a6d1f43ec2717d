"""Where deployment configs lie: blob containers that an operator registered."""

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote, unquote, urlsplit

from shared.domain.clouds import Cloud
from shared.domain.errors import NotAllowedError

ACCOUNT_NAME = re.compile(r"[a-z0-9]{3,24}")
CONTAINER_NAME = re.compile(r"(?=.{3,63}$)[a-z0-9](?:-?[a-z0-9])*")
_TAG_NAME = re.compile(r"[\w +\-./:=]{1,128}", re.ASCII)
_TAG_VALUE = re.compile(r"[\w +\-./:=]{0,256}", re.ASCII)


@dataclass(frozen=True, slots=True)
class BlobName:
    """A blob, or the beginning of the names of blobs.

    Attributes:
        host: Of its account's blob service, in lower case.
        container: Of the blob.
        path: Its name in the container, decoded; may be empty, and is case-sensitive.
    """

    host: str
    container: str
    path: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read ``https://ACCOUNT.blob.core.windows.net/CONTAINER/PATH``.

        Raises:
            NotAllowedError: It is no such URL, or has a query: snapshots, versions and signed URLs
                are none of ours.
        """
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise NotAllowedError("not the URL of a blob") from error
        container, _, path = parts.path.lstrip("/").partition("/")
        if parts.scheme != "https" or "?" in url or "#" in url or not container:
            raise NotAllowedError(f"not the URL of a blob: {_shown(url)!r:.200}")
        return cls(parts.netloc.lower(), container, unquote(path))

    @property
    def url(self) -> str:
        """What ``parse`` reads."""
        return f"https://{self.host}/{self.container}/{quote(self.path)}"


@dataclass(frozen=True, slots=True)
class FileSource:
    """A container that holds deployment configs, or a part of it.

    Attributes:
        text: As it was registered.
        begin: Its container, and what the names of its files begin with.
        tag: Name and value of the blob index tag that its files have; ``None``: they need none.
    """

    text: str
    begin: BlobName
    tag: tuple[str, str] | None

    @classmethod
    def parse(cls, text: str, cloud: Cloud) -> Self:
        """Read ``https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX?tag=NAME=VALUE``.

        Prefix and tag may be left out. All are percent-encoded where need be; a ``+`` is itself.
        Which letters a tag may have, docs: "Manage and find Azure Blob data with blob index tags".

        Raises:
            NotAllowedError: It is none, or of another cloud. The message holds no query, which may
                be a signature.
        """
        url, _, query = text.partition("?")
        begin = BlobName.parse(url)
        account, _, domain = begin.host.partition(".")
        if (
            domain != f"blob.{cloud.storage}"
            or not ACCOUNT_NAME.fullmatch(account)
            or not CONTAINER_NAME.fullmatch(begin.container)
        ):
            raise NotAllowedError(f"not a blob container of {cloud.name}: {_shown(url)!r:.200}")
        return cls(text, begin, _tag(query, url))

    def covers(self, blob: BlobName) -> bool:
        """Return whether a blob may be one of this source's; its tags are not looked at.

        None whose name has ``.`` or ``..`` for a part: on their way, such URLs become others.
        """
        mine = (blob.host, blob.container) == (self.begin.host, self.begin.container)
        is_plain = not {".", ".."} & set(blob.path.split("/"))
        return mine and bool(blob.path) and is_plain and blob.path.startswith(self.begin.path)


def _shown(url: str) -> str:
    """Return a URL without what may be a secret in it: its query, and who it is for."""
    return re.sub(r"//[^/]*@", "//", url.partition("?")[0])


def _tag(query: str, url: str) -> tuple[str, str] | None:
    if not query:
        return None
    parameter, _, tag = query.partition("=")
    name, equals, value = tag.partition("=")
    name, value = unquote(name), unquote(value)
    known = parameter == "tag" and equals
    if not known or not _TAG_NAME.fullmatch(name) or not _TAG_VALUE.fullmatch(value):
        raise NotAllowedError(
            f"a source may be told by ?tag=NAME=VALUE and no more: {_shown(url)!r:.200}"
        )
    return name, value
