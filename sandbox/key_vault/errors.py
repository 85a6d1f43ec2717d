"""The refusals of Key Vault, with the texts of the real service where they are known."""

from http import HTTPStatus
from typing import Any

_HELP = "For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182"


class KeyVaultError(Exception):
    """An answer of Key Vault other than success."""

    def __init__(self, status: HTTPStatus, code: str, message: str, inner: str = "") -> None:
        super().__init__(f"{inner or code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.inner = inner
        """The code of the inner error, which is the one that says why; empty if there is none."""

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body of the answer."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.inner:
            error["innererror"] = {"code": self.inner}
        return {"error": error}


def unauthorized(message: str) -> KeyVaultError:
    """Recorded: key-vault/keyvault_key_rotation.json #3, for a request without a token."""
    return KeyVaultError(HTTPStatus.UNAUTHORIZED, "Unauthorized", message)


def key_not_found(name: str) -> KeyVaultError:
    """Recorded by Microsoft's own SDK tests (Azure/azure-sdk-for-cpp, key client tests).

    Args:
        name: Of the key, or name, slash and version.
    """
    message = (
        f"A key with (name/id) {name} was not found in this key vault. If you recently deleted"
        f" this key you may be able to recover it using the correct recovery command. {_HELP}"
    )
    return KeyVaultError(HTTPStatus.NOT_FOUND, "KeyNotFound", message)


def key_deleted(name: str) -> KeyVaultError:
    """Text: Azure/azure-sdk-for-cpp, key client tests; inner code: azure-sdk-for-net's docs."""
    message = (
        f"Key {name} is currently in a deleted but recoverable state, and its name cannot be"
        " reused; in this state, the key can only be recovered or purged."
    )
    inner = "ObjectIsDeletedButRecoverable"
    return KeyVaultError(HTTPStatus.CONFLICT, "Conflict", message, inner)


def key_exists(name: str) -> KeyVaultError:
    """A restore over a key that is there; status documented, text unverified."""
    message = f"Key {name} already exists in this key vault and cannot be restored."
    return KeyVaultError(HTTPStatus.CONFLICT, "Conflict", message)


def purge_protected() -> KeyVaultError:
    """A purge in a vault with purge protection; the text and the code are unverified."""
    message = 'Operation "purge" is not allowed because purge protection is enabled.'
    return KeyVaultError(HTTPStatus.FORBIDDEN, "Forbidden", message, "ForbiddenByPolicy")


def key_disabled(operation: str) -> KeyVaultError:
    """Seen on a live vault: azure-sdk-for-python issue 45342."""
    message = f"Operation {operation} is not allowed on a disabled key."
    return KeyVaultError(HTTPStatus.FORBIDDEN, "Forbidden", message, "KeyDisabled")


def key_not_yet_valid(operation: str) -> KeyVaultError:
    """That it is refused is documented ("About keys"); text and inner code are unverified."""
    message = f"Operation {operation} is not allowed on a key that is not yet valid."
    return KeyVaultError(HTTPStatus.FORBIDDEN, "Forbidden", message, "KeyNotYetValid")


def key_expired(operation: str) -> KeyVaultError:
    """That it is refused is documented ("About keys"); text and inner code are unverified."""
    message = f"Operation {operation} is not allowed on an expired key."
    return KeyVaultError(HTTPStatus.FORBIDDEN, "Forbidden", message, "KeyExpired")


def operation_forbidden(operation: str) -> KeyVaultError:
    """The operation is not among the key's ``key_ops``; docs: Key Vault SDK troubleshooting."""
    message = f"Operation {operation} is not permitted on this key."
    return KeyVaultError(HTTPStatus.FORBIDDEN, "Forbidden", message, "KeyOperationForbidden")


def bad_parameter(message: str) -> KeyVaultError:
    """The code is the service's own (azure-sdk-for-python issue 28595)."""
    return KeyVaultError(HTTPStatus.BAD_REQUEST, "BadParameter", message)


def forbidden_by_firewall(principal: str, vault: str, address: str) -> KeyVaultError:
    """A caller that no rule lets in.

    Text: azure-devops-docs#8581, azure-docs#61015; for a trusted service, docs: Cosmos DB,
    troubleshooting of customer-managed keys.

    Args:
        principal: Object id of the caller.
        vault: Name and location, such as ``kv1;location=westeurope``.
        address: From where it calls; empty for a trusted service.
    """
    why = "is not a trusted service" if address else "was ignored because bypass is set to None"
    at = f"\r\nClient address: {address}" if address else ""
    message = (
        f"Client address is not authorized and caller {why}.{at}\r\n{_caller(principal, vault)}"
    )
    return KeyVaultError(HTTPStatus.FORBIDDEN, "Forbidden", message, "ForbiddenByFirewall")


def forbidden_by_connection(principal: str, vault: str) -> KeyVaultError:
    """A caller while public access is off (text: secrets-store-csi-driver-provider-azure#873).

    The inner code is unverified.
    """
    message = (
        "Public network access is disabled and request is not from a trusted service nor via an"
        f" approved private link.\r\n{_caller(principal, vault)}"
    )
    return KeyVaultError(HTTPStatus.FORBIDDEN, "Forbidden", message, "ForbiddenByConnection")


def _caller(principal: str, vault: str) -> str:
    return f"Caller: appid={principal};oid={principal}\r\nVault: {vault}\r\n"
