"""What a request to the blob service asks for: the rights that it needs, and whether the key."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

_CONTAINERS = "Microsoft.Storage/storageAccounts/blobServices/containers"
_BLOBS = f"{_CONTAINERS}/blobs"

READ = f"{_BLOBS}/read"
WRITE = f"{_BLOBS}/write"
DELETE = f"{_BLOBS}/delete"
READ_TAGS = f"{_BLOBS}/tags/read"
WRITE_TAGS = f"{_BLOBS}/tags/write"
FIND = f"{_BLOBS}/filter/action"

_UNWRAPPING_PUTS = {"", "metadata", "tier", "block", "appendblock", "page", "incrementalcopy"}


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the blob service.

    Rights, docs: "Authorize access to blobs", each operation's page under "Permissions". That Put
    Blob with tags needs the right to write tags as well is inference from Set Blob Tags.
    """

    container: str
    """Empty for an operation on the account."""
    actions: tuple[str, ...]
    """The data actions of Azure RBAC that it needs, every one of them."""
    unwraps: bool
    """Whether it fails while the account cannot use its customer-managed key.

    docs: "Customer-managed keys for Azure Storage encryption", operations that fail after a key is
    revoked; all others may proceed, among them Delete Blob and a listing without metadata.
    """

    @classmethod
    def of(
        cls, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> Self:
        """Return what a request asks for.

        Args:
            method: Of HTTP.
            path: ``/CONTAINER/BLOB``, ``/CONTAINER`` or ``/``.
            query: Its parameters.
            headers: Its headers, without regard to case.
        """
        container, _, blob = path.lstrip("/").partition("/")
        if blob:
            return cls(container, *_on_blob(method, query.get("comp", ""), headers))
        return cls(container, *_on_container(method, query, is_account=not container))


def _on_container(
    method: str, query: Mapping[str, str], *, is_account: bool
) -> tuple[tuple[str, ...], bool]:
    comp = query.get("comp", "")
    if comp == "blobs":
        return (FIND,), False
    if comp == "list" and not is_account:
        return (READ,), "metadata" in query.get("include", "").split(",")
    verb = {"GET": "read", "HEAD": "read", "DELETE": "delete"}.get(method, "write")
    return (f"{_CONTAINERS}/{verb}",), False


def _on_blob(method: str, comp: str, headers: Mapping[str, str]) -> tuple[tuple[str, ...], bool]:
    if comp == "tags":
        return (READ_TAGS if method == "GET" else WRITE_TAGS,), False
    if method in ("GET", "HEAD"):
        return (READ,), comp in ("", "metadata")
    if method == "DELETE":
        return (DELETE,), False
    actions = (WRITE, WRITE_TAGS) if headers.get("x-ms-tags") else (WRITE,)
    if comp == "snapshot":
        return actions, any(name.startswith("x-ms-meta-") for name in headers)
    return actions, comp in _UNWRAPPING_PUTS
