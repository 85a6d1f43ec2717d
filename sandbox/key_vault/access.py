"""Who may do what in a vault, by data actions of Azure RBAC."""

from collections.abc import Set as AbstractSet
from http import HTTPStatus
from typing import Literal

from sandbox.key_vault.errors import KeyVaultError

Permission = Literal[
    "get",
    "list",
    "create",
    "update",
    "delete",
    "recover",
    "purge",
    "rotate",
    "getRotationPolicy",
    "setRotationPolicy",
    "backup",
    "restore",
    "wrapKey",
    "unwrapKey",
]

# docs: built-in roles, the data actions of "Key Vault Crypto Officer" and "… Service Encryption
# User". One action covers get and list, so whoever may do one may do the other.
_ACTIONS: dict[Permission, str] = {
    "get": "Microsoft.KeyVault/vaults/keys/read",
    "list": "Microsoft.KeyVault/vaults/keys/read",
    "create": "Microsoft.KeyVault/vaults/keys/create/action",
    "update": "Microsoft.KeyVault/vaults/keys/update/action",
    "delete": "Microsoft.KeyVault/vaults/keys/delete",
    "recover": "Microsoft.KeyVault/vaults/keys/recover/action",
    "purge": "Microsoft.KeyVault/vaults/keys/purge/action",
    "rotate": "Microsoft.KeyVault/vaults/keys/rotate/action",
    "getRotationPolicy": "Microsoft.KeyVault/vaults/keyrotationpolicies/read",
    "setRotationPolicy": "Microsoft.KeyVault/vaults/keyrotationpolicies/write",
    "backup": "Microsoft.KeyVault/vaults/keys/backup/action",
    "restore": "Microsoft.KeyVault/vaults/keys/restore/action",
    "wrapKey": "Microsoft.KeyVault/vaults/keys/wrap/action",
    "unwrapKey": "Microsoft.KeyVault/vaults/keys/unwrap/action",
}


class RoleAssignments:
    """The data actions that principals hold on one vault."""

    def __init__(self) -> None:
        self._held: dict[str, frozenset[str]] = {}

    def grant(self, principal: str, permissions: AbstractSet[Permission]) -> None:
        """Add ``permissions`` to those that ``principal`` (an object id) holds."""
        actions = frozenset(_ACTIONS[permission] for permission in permissions)
        self._held[principal] = self._held.get(principal, frozenset()) | actions

    def revoke(self, principal: str) -> None:
        """Take every permission from ``principal``."""
        self._held.pop(principal, None)

    def holds(self, principal: str, permission: Permission) -> bool:
        """Tell whether ``principal`` may do what ``permission`` names."""
        return _ACTIONS[permission] in self._held.get(principal, frozenset())


def forbidden_by_rbac(
    principal: str, permission: Permission, key_id: str, *, tenant_id: str, location: str
) -> KeyVaultError:
    """Return the refusal of an action. Recorded: key-vault/error_forbidden_by_rbac.json #3.

    Args:
        principal: Object id of the caller.
        permission: What the caller lacks.
        key_id: Resource id of the key, or of the vault where no key is named.
        tenant_id: Of the vault.
        location: Of the vault.
    """
    vault = key_id.split("/")[8]
    message = (
        "Caller is not authorized to perform action on resource.\r\n"
        "If role assignments, deny assignments or role definitions were changed recently, please"
        " observe propagation time.\r\n"
        f"Caller: appid={principal};oid={principal};iss=https://sts.windows.net/{tenant_id}/\r\n"
        f"Action: '{_ACTIONS[permission]}'\r\n"
        f"Resource: '{key_id.lower()}'\r\n"
        "Assignment: (not found)\r\nDenyAssignmentId: null\r\nDecisionReason: null \r\n"
        f"Vault: {vault};location={location}\r\n"
    )
    return KeyVaultError(HTTPStatus.FORBIDDEN, "Forbidden", message, "ForbiddenByRbac")
