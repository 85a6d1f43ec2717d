"""Where the blobs of the estate's accounts really are: in accounts of an Azurite."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from urllib.parse import urlsplit

from azure.storage.blob import (
    AccountSasPermissions,
    BlobServiceClient,
    ResourceTypes,
    generate_account_sas,
)
from starlette.responses import Response

from sandbox.azurite import Azurite

_SECONDS = 30
_HOP_BY_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}
_SERVER = "Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0"


@dataclass(frozen=True, slots=True)
class Backing:
    """The account of an Azurite that holds one account's blobs.

    Azurite takes no bearer token over plain HTTP, so what passes is signed with the account's key:
    whoever calls ``forward`` has checked who asks.
    """

    azurite: Azurite
    account: str
    """Its name in Azurite."""
    host: str
    """The host at which the sandbox serves it."""

    def client(self) -> BlobServiceClient:
        """Return a client that goes past every check, as if from inside the service."""
        return BlobServiceClient.from_connection_string(
            self.azurite.connection_string(self.account)
        )

    def forward(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> Response:
        """Let Azurite answer a request.

        Args:
            method: Of HTTP.
            target: Path and query as they were sent.
            headers: As they were sent, names included; credentials are dropped.
            body: All of it.
        """
        endpoint = self.azurite.endpoint(self.account, "blob")
        place = urlsplit(endpoint)
        joint = "&" if "?" in target else "?"
        kept = {
            name: value
            for name, value in headers.items()
            if name.lower() not in _HOP_BY_HOP | {"authorization"}
        }
        connection = HTTPConnection(place.netloc, timeout=_SECONDS)
        try:
            signed = f"{place.path}{target}{joint}{self._signature()}"
            connection.request(method, signed, body, kept)
            answer = connection.getresponse()
            content = answer.read().replace(endpoint.encode(), f"https://{self.host}".encode())
        finally:
            connection.close()
        passed = {
            name: value
            for name, value in answer.getheaders()
            # The length of what a HEAD does not send is the blob's.
            if name.lower() not in _HOP_BY_HOP or (method, name.lower()) == _LENGTH_OF_HEAD
        }
        response = Response(content, answer.status)
        if method != "HEAD":
            passed["Content-Length"] = str(len(content))
        # Past Starlette's own headers, which lose the case of names.
        response.raw_headers = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in (passed | {"Server": _SERVER}).items()
        ]
        return response

    def _signature(self) -> str:
        return generate_account_sas(
            self.account,
            self.azurite.key(self.account),
            ResourceTypes(service=True, container=True, object=True),
            AccountSasPermissions(
                read=True,
                write=True,
                delete=True,
                list=True,
                add=True,
                create=True,
                tag=True,
                filter_by_tags=True,
            ),
            datetime.now(UTC) + timedelta(hours=1),
        )


_LENGTH_OF_HEAD = ("HEAD", "content-length")
