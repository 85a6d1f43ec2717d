"""Who may do what in a vault: by roles, by access policies, or by an HSM's own roles."""

from collections.abc import Set as AbstractSet
from http import HTTPStatus
from typing import Any, Literal
from uuid import uuid4

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


class Grants:
    """The permissions that principals hold on one vault."""

    def __init__(self) -> None:
        self._held: dict[str, frozenset[Permission]] = {}

    def grant(self, principal: str, permissions: AbstractSet[Permission]) -> None:
        """Add ``permissions`` to those that ``principal`` (an object id) holds."""
        self._held[principal] = self._held.get(principal, frozenset()) | permissions

    def revoke(self, principal: str) -> None:
        """Take every permission from ``principal``."""
        self._held.pop(principal, None)

    def hold(self, principal: str, permission: Permission, *, as_roles: bool) -> bool:
        """Tell whether ``principal`` may do what ``permission`` names.

        Args:
            principal: An object id.
            permission: What it wants to do.
            as_roles: Whether the grants are roles, whose one action stands for several
                permissions; else they are access policies, which name each.
        """
        held = self._held.get(principal, frozenset())
        if not as_roles:
            return permission in held
        return _ACTIONS[permission] in {_ACTIONS[each] for each in held}

    def policies(self, tenant_id: str) -> list[dict[str, Any]]:
        """Return the grants as ARM shows access policies (recorded: customer_managed_key.json)."""
        return [
            {
                "tenantId": tenant_id,
                "objectId": principal,
                "permissions": {"keys": sorted(held), "secrets": [], "certificates": []},
            }
            for principal, held in self._held.items()
        ]


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


def forbidden_by_policy(
    principal: str, permission: Permission, *, tenant_id: str, vault: str
) -> KeyVaultError:
    """Return the refusal of a caller without an access policy (text: pulumi/actions#1045).

    The inner code is quoted from within another service's refusal (azure-powershell#22898).

    Args:
        principal: Object id of the caller.
        permission: What the caller lacks.
        tenant_id: Of the vault.
        vault: Name and location, such as ``kv1;location=westeurope``.
    """
    message = (
        f"The user, group or application 'appid={principal};oid={principal}"
        f";iss=https://sts.windows.net/{tenant_id}/' does not have keys {permission} permission on"
        f" key vault '{vault}'. For help resolving this issue, please see"
        " https://go.microsoft.com/fwlink/?linkid=2125287"
    )
    return KeyVaultError(HTTPStatus.FORBIDDEN, "Forbidden", message, "AccessDenied")


def forbidden_by_hsm(permission: Permission, name: str | None) -> KeyVaultError:
    """Return the refusal of a managed HSM, whose roles are its own (text: azure-cli#32719).

    The names of the data actions are those of vaults with another prefix, which is inference.

    Args:
        permission: What the caller lacks.
        name: Of the key; ``None``: none is named.
    """
    action = _ACTIONS[permission].replace("/vaults/", "/managedHsm/").removesuffix("/action")
    scope = "/" if name is None else f"/keys/{name}"
    message = f"Not authorized to access {action}/action on {scope} (Activity ID: {uuid4()})"
    return KeyVaultError(HTTPStatus.FORBIDDEN, "AccessDenied", message)
