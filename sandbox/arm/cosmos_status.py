"""The texts by which Cosmos DB says how it stands with a customer's key, and refuses writes.

Statuses: the service's own list, in the OpenAPI file of 2023-09-15 (hashicorp/pandora,
CustomerManagedKeyStatusConstant); the number at the end is the sub-status of refused data
requests. Refusals: docs, "Cross-tenant CMK troubleshooting guide" (azure-docs, troubleshoot-cmk).
"""

import json
from uuid import uuid4

from sandbox.arm.errors import ArmError
from sandbox.key_vault import KeyUnusable

CONFIRMED = "Access to the configured customer managed key confirmed."
_REVOKED = "Access to your account is currently revoked because"
_GUIDE = (
    "; for more details about this error and how to restore access to your account please visit "
    "https://learn.microsoft.com/en-us/azure/cosmos-db/cmk-troubleshooting-guide"
)
_NO_ONE = (
    "the Azure Cosmos DB service is unable to obtain the AAD authentication token for the account's"
    " default identity"
)
_TOKEN = (
    _NO_ONE,
    "#azure-active-directory-token-acquisition-error (4000)",
)
_RIGHTS = (
    "the current default identity no longer has permission to the associated Key Vault key",
    "#default-identity-is-unauthorized-to-access-the-azure-key-vault-key (4002)",
)
_NO_KEY = (
    "the correspondent key is not found on the specified Key Vault",
    "#azure-key-vault-resource-not-found (4003)",
)
_WRAPPING = (
    "the Azure Cosmos DB service is unable to wrap or unwrap the key",
    "#internal-unwrapping-procedure-error (4005)",
)
_FIREWALL = (
    "the access rules are blocking outbound requests to the Azure Key Vault service",
    " (4016)",
)
_NO_VAULT = (
    "the correspondent Azure Key Vault was not found",
    "#azure-key-vault-resource-not-found (4017)",
)
# Not on the list of 2023; text and number as quoted by users of 2025 for a refused data request.
# That it goes on like the others is inference.
_UNUSABLE = ("the correspondent key is either disabled or expired", " (4018)")
_CAUSES = {
    "KeyDisabled": _UNUSABLE,
    "KeyExpired": _UNUSABLE,
    "KeyNotYetValid": _UNUSABLE,
    "ForbiddenByRbac": _RIGHTS,
    "AccessDenied": _RIGHTS,
    "ForbiddenByFirewall": _FIREWALL,
    "ForbiddenByConnection": _FIREWALL,
    "KeyNotFound": _NO_KEY,
    "VaultNotFound": _NO_VAULT,
    "NoIdentity": _TOKEN,
}


def revoked(cause: KeyUnusable) -> str:
    """Return the ``customerManagedKeyStatus`` of an account that cannot use its key."""
    words, place = _CAUSES.get(cause.code, _WRAPPING)
    return f"{_REVOKED} {words}{_GUIDE}{place}."


def refused(cause: KeyUnusable | None) -> ArmError:
    """Refuse a write whose key cannot be used.

    Documented: 503 for a vault or key that is not found, which no repetition mends, and 403 for
    the vault's firewall. That other refusals of the vault are handed on like the latter is
    inference.
    """
    if cause is None or cause.code in {"VaultNotFound", "KeyNotFound"}:
        message = "Error contacting the Azure Key Vault resource. Please try again."
        return ArmError(503, "ServiceUnavailable", message, bare=True)
    inner = {"code": "Forbidden", "message": str(cause), "innererror": {"code": cause.code}}
    return _error(403, "Forbidden", json.dumps({"error": inner}))


def creation_failed(error: ArmError) -> ArmError:
    """Return a refusal as it is worded where the account is being created."""
    message = f"Database account creation failed. Operation Id: {uuid4()}, Error: {error}"
    return ArmError(error.status, error.code, message, bare=True)


def uri_invalid(uri: str) -> ArmError:
    """Refuse what is not the URL of a key."""
    return _error(400, "BadRequest", f"Provided KeyVaultKeyUri {uri} is Invalid.")


def removal_not_supported() -> ArmError:
    """Refuse to go back to the platform's keys."""
    return _error(400, "BadRequest", "Updating KeyVaultKeyUri is not supported")


def no_update_while_revoked() -> ArmError:
    """Refuse all but another identity while the key cannot be used."""
    return _error(
        400,
        "BadRequest",
        "No Update is allowed on Database Account with Customer Managed Key in Revoked Status",
    )


def identity_not_allowed(identity: str) -> ArmError:
    """Refuse a default identity (documented for the system-assigned one of a new account)."""
    return _error(
        400,
        "BadRequest",
        f"Updating default identity not allowed. Cannot set {identity} as the default identity "
        "during provision.",
    )


def vault_not_protected() -> ArmError:
    """Refuse a vault without purge protection (docs ask for it; code and text are ours)."""
    message = "The Key Vault must have soft delete and purge protection enabled."
    return _error(400, "BadRequest", message)


def in_progress(name: str) -> ArmError:
    """Refuse a write during another (as quoted by users: 412, and no ``error`` envelope)."""
    return _error(
        412,
        "PreconditionFailed",
        "There is already an operation in progress which requires exclusive lock on this service "
        f"{name}. Please retry the operation after sometime.",
    )


def _error(status: int, code: str, message: str) -> ArmError:
    activity = f"\r\nActivityId: {uuid4()}, Microsoft.Azure.Documents.Common/2.14.0"
    return ArmError(status, code, message + activity, bare=True)
