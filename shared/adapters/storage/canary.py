"""The canary behind ``shared.ports.Canary``."""

import logging
import secrets

from azure.storage.blob import ContainerClient

from shared.adapters.storage.containers import Connect, translated_blob
from shared.domain.clouds import Cloud
from shared.domain.errors import InvalidResourceIdError, KeyturnError, UnreadableError
from shared.domain.file_sources import ACCOUNT_NAME
from shared.domain.resources import ResourceId

logger = logging.getLogger(__name__)

_BYTES = 64


class BlobCanary:
    """Tries out storage accounts with a blob ``keyturn-canary-…`` of random bytes.

    The container must be there: it is a person's consent, and we make none.
    """

    def __init__(self, container: str, cloud: Cloud, connect: Connect) -> None:
        """See the class.

        Args:
            container: Its name, in whichever account is tried out.
            cloud: Whose accounts they are.
            connect: Gives a client of a container.
        """
        self._name = container
        self._cloud = cloud
        self._connect = connect

    def try_out(self, resource: str) -> None:
        """See ``Canary.try_out``."""
        account = ResourceId.parse(resource).name.lower()
        if not ACCOUNT_NAME.fullmatch(account):  # it becomes a host that gets a token
            raise InvalidResourceIdError(f"not the name of a storage account: {account!r:.100}")
        blob = f"keyturn-canary-{secrets.token_hex(8)}"
        place = f"{blob} in the container {self._name} of {account}"
        with self._connect(f"{account}.blob.{self._cloud.storage}", self._name) as container:
            try:
                _write_and_read(container, blob, place)
            except KeyturnError:
                _delete_if_there(container, blob, place)
                raise
            _delete(container, blob, place)


def _write_and_read(container: ContainerClient, blob: str, place: str) -> None:
    content = secrets.token_bytes(_BYTES)
    with translated_blob(f"write {place}"):
        container.upload_blob(blob, content)
    with translated_blob(f"read back {place}"):
        found = container.download_blob(blob).readall()
    if found != content:
        raise UnreadableError(f"{place} reads back as something else than was written")


def _delete(container: ContainerClient, blob: str, place: str) -> None:
    with translated_blob(f"delete {place}"):
        container.delete_blob(blob)


def _delete_if_there(container: ContainerClient, blob: str, place: str) -> None:
    """Delete what an attempt that failed may have written, without a word on how that goes."""
    try:
        _delete(container, blob, place)
    except KeyturnError as error:
        logger.info("%s", error)  # mostly: it was never written
