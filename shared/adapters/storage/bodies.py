"""Texts too large for a row, as blobs named by their digest: the same text is kept once."""

import hashlib
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from shared.adapters.http_errors import translated

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

CONTAINER = "keyturn-bodies"


class Bodies:
    """Keeps texts. The blob SDK is imported, and the container made, when the first one comes."""

    def __init__(self, connect: "Callable[[], ContainerClient]") -> None:
        self._connect = connect

    @cached_property
    def _container(self) -> "ContainerClient":
        return self._connect()

    def keep(self, text: str) -> str:
        """Keep a text; return its name."""
        name = hashlib.sha256(text.encode()).hexdigest()
        with translated(f"keep the body {name}"):
            try:
                self._container.upload_blob(name, text, overwrite=True)
            except ResourceNotFoundError:
                self._make()
                self._container.upload_blob(name, text, overwrite=True)
        return name

    def load(self, name: str) -> str:
        """Return the text of a name that ``keep`` gave."""
        with translated(f"load the body {name}"):
            return self._container.download_blob(name, encoding="utf-8").readall()

    def _make(self) -> None:
        try:
            self._container.create_container()
        except ResourceExistsError:
            return  # another step made it meanwhile
