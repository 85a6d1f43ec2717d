"""The refusals of the blob service that come before any blob is looked at."""

from datetime import UTC, datetime
from http import HTTPStatus
from uuid import uuid4

from starlette.responses import Response

from sandbox.key_vault import KeyUnusable

_VERSION = "2021-12-02"

_SCHEME = "Bearer authorization_uri=https://login.microsoftonline.com/{}/oauth2/authorize"
_RESOURCE = "resource_id=https://storage.azure.com"


class BlobError(Exception):
    """An answer of the blob service other than success."""

    def __init__(self, status: HTTPStatus, code: str, message: str, *, challenge: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.challenge = challenge
        """The value of ``WWW-Authenticate``; empty: there is none."""

    def answer(self, method: str) -> Response:
        """Return it as it is sent.

        Form, docs: Storage REST API, "Status and error codes": the code as ``x-ms-error-code``
        and in a body of XML, which the answer to a HEAD does not have.
        """
        request_id = str(uuid4())
        text = (
            '\N{ZERO WIDTH NO-BREAK SPACE}<?xml version="1.0" encoding="utf-8"?><Error>'
            f"<Code>{self.code}</Code><Message>{self.message}\n"
            f"RequestId:{request_id}\nTime:{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"
            "</Message></Error>"
        )
        headers = {
            "x-ms-error-code": self.code,
            "x-ms-request-id": request_id,
            "x-ms-version": _VERSION,
        }
        if self.challenge:
            headers["www-authenticate"] = self.challenge
        body = b"" if method == "HEAD" else text.encode()
        return Response(body, self.status, headers, "application/xml")


def no_token(tenant_id: str) -> BlobError:
    """A request without credentials; docs: "Authorize with Microsoft Entra ID", the challenge."""
    return BlobError(
        HTTPStatus.UNAUTHORIZED,
        "NoAuthenticationInformation",
        "Server failed to authenticate the request. Please refer to the information in the"
        " www-authenticate header.",
        challenge=f"{_SCHEME.format(tenant_id)} {_RESOURCE}",
    )


def token_refused(tenant_id: str) -> BlobError:
    """A token that is for another audience, has expired, or is none that the tenant signed.

    The code and the text are documented; that it is this code for each of them is inference.
    """
    return BlobError(
        HTTPStatus.UNAUTHORIZED,
        "InvalidAuthenticationInfo",
        "Server failed to authenticate the request. Please refer to the information in the"
        " www-authenticate header.",
        challenge=f"{_SCHEME.format(tenant_id)} {_RESOURCE}",
    )


def keys_not_permitted() -> BlobError:
    """A request signed with the account's key: the sandbox's accounts take identities alone."""
    return BlobError(
        HTTPStatus.FORBIDDEN,
        "KeyBasedAuthenticationNotPermitted",
        "Key based authentication is not permitted on this storage account.",
    )


def permission_mismatch() -> BlobError:
    """The identity lacks a data action. Text: as quoted in Data Factory's troubleshooting docs."""
    return BlobError(
        HTTPStatus.FORBIDDEN,
        "AuthorizationPermissionMismatch",
        "This request is not authorized to perform this operation using this permission.",
    )


def no_identity() -> BlobError:
    """The account has no identity to ask the vault with.

    The code is documented (Storage REST API, "Common error codes"); the text is ours.
    """
    return BlobError(
        HTTPStatus.FORBIDDEN,
        "KeyVaultAccessTokenCannotBeAcquired",
        "The identity of the storage account cannot be used to get an access token for the key"
        " vault.",
    )


def key_unusable(unusable: KeyUnusable) -> BlobError:
    """The vault does not unwrap the account's key.

    Codes, docs: Storage REST API, "Common error codes". Texts: AzureStorageErrorExtensionsTests.cs
    of microsoft/healthcare-shared-components. That a disabled version is "not found" to the service
    is reported by users who disabled one; that one which the identity may not use is, inference.
    """
    if unusable.code == "VaultNotFound":
        message = "The key vault is not found for encryption."
        return BlobError(HTTPStatus.FORBIDDEN, "KeyVaultVaultNotFound", message)
    message = "The key vault key is not found to unwrap the encryption key."
    return BlobError(HTTPStatus.FORBIDDEN, "KeyVaultEncryptionKeyNotFound", message)
