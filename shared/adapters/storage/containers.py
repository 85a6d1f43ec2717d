"""Blob containers of other people's accounts, and what their refusals mean."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from azure.core.credentials import TokenCredential
from azure.storage.blob import ContainerClient

from shared.adapters.audiences import STORAGE, ForAudience
from shared.adapters.http_errors import translated
from shared.domain.deployment_configs import MAX_BYTES
from shared.domain.errors import GoneError, NotFoundError

type Connect = Callable[[str, str], ContainerClient]
"""Takes the host of an account's blob service and the name of a container."""

OPTIONS: Mapping[str, Any] = {
    "connection_timeout": 5,
    "read_timeout": 15,
    "retry_total": 0,  # a step that fails is queued again, and a write must not be sent twice
    "permit_redirects": False,  # no account's service redirects, and none may lead us elsewhere
    "max_single_get_size": MAX_BYTES,  # what is larger is not read to its end
}

_GONE = {"BlobNotFound", "ContainerNotFound"}


def connect_as(credential: TokenCredential) -> Connect:
    """Return what connects to containers under our identity."""
    ours = ForAudience(credential, STORAGE)

    def connect(host: str, container: str) -> ContainerClient:
        return ContainerClient(f"https://{host}", container, credential=ours, **OPTIONS)

    return connect


@contextmanager
def translated_blob(doing: str) -> Iterator[None]:
    """Raise the domain's error for whatever the blob SDK raises inside; see ``translated``.

    Raises:
        GoneError: The service says that there is no such blob or container.
    """
    try:
        with translated(doing):
            yield
    except NotFoundError as error:
        if error.code in _GONE:
            raise GoneError(str(error), code=error.code) from error
        raise
