"""How a vault and a key's rotation are set up, as values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from shared.domain.errors import UnreadableError
from shared.domain.json_paths import Json, every, look_up, text_at


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultSettings:
    """A vault or managed HSM as Azure Resource Manager shows it.

    Source of the properties and their defaults: the OpenAPI files ``keyvault.json`` and
    ``managedHsm.json`` of 2023-07-01.

    Attributes:
        soft_delete: Whether a deleted key can be brought back.
        purge_protection: Whether a deleted key cannot be destroyed before its time.
        rbac: Whether Azure RBAC says who may use keys; else the vault's access policies do.
        permissions: By principal, what the access policies allow with keys, in lower case; a
            principal is an object id, a slash, and the id of the application it acts through, if
            any.
        is_private: Whether only private endpoints get in: no rule is honoured.
        is_shut: Whether the firewall lets in only what a rule names.
        is_perimeter: Whether a network security perimeter decides instead of the firewall.
        trusts_services: Whether Microsoft's trusted services get in all the same.
        tenant: Id of the tenant whose tokens the vault accepts.
        home_tenant: Id of the tenant of the vault's subscription; empty: not known.
    """

    soft_delete: bool
    purge_protection: bool
    rbac: bool
    permissions: Mapping[str, frozenset[str]]
    is_private: bool
    is_shut: bool
    is_perimeter: bool
    trusts_services: bool
    tenant: str
    home_tenant: str

    @classmethod
    def parse(cls, body: Json, *, home_tenant: str) -> Self:
        """Read a GET of the vault.

        ``enablePurgeProtection`` is absent where it is off (on, where it is a managed HSM's),
        ``enableSoftDelete`` where nobody ever chose, and then it is on.

        Raises:
            UnreadableError: It is none of a vault.
        """
        if not isinstance(look_up(body, "properties.tenantId"), str):
            raise UnreadableError("the answer is not the body of a vault")
        purge = look_up(body, "properties.enablePurgeProtection")
        is_hsm = bool(text_at(body, "properties.hsmUri"))
        access = text_at(body, "properties.publicNetworkAccess").lower()
        default_action = text_at(body, "properties.networkAcls.defaultAction").lower()
        bypass = text_at(body, "properties.networkAcls.bypass").lower() or "azureservices"
        return cls(
            soft_delete=look_up(body, "properties.enableSoftDelete") is not False,
            purge_protection=purge is not False if is_hsm else purge is True,
            rbac=look_up(body, "properties.enableRbacAuthorization") is True,
            permissions=_permissions(body),
            is_private=access == "disabled",
            is_shut=default_action == "deny",
            is_perimeter=access == "securedbyperimeter",
            trusts_services=bypass == "azureservices",
            tenant=text_at(body, "properties.tenantId").lower(),
            home_tenant=home_tenant.lower(),
        )


def is_at(body: Json, host: str) -> bool:
    """Return whether a vault, given by its body, serves its keys at ``host``."""
    uri = text_at(body, "properties.vaultUri") or text_at(body, "properties.hsmUri")
    return uri.lower().rstrip("/").removesuffix(":443") == f"https://{host}"


def _permissions(body: Json) -> dict[str, frozenset[str]]:
    """Return what each principal may do with keys: all its policies together."""
    held: dict[str, frozenset[str]] = {}
    for policy in every(body, "properties.accessPolicies.*"):
        principal = f"{text_at(policy, 'objectId')}/{text_at(policy, 'applicationId')}".lower()
        allowed = frozenset(str(each).lower() for each in every(policy, "permissions.keys.*"))
        held[principal] = held.get(principal, frozenset()) | allowed
    return held


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationPolicy:
    """What a key's rotation policy has the vault do.

    Attributes:
        rotates: When a new version is made: ``P90D after its creation``; empty: never.
        expires_after: ISO 8601 duration after which such a version expires; empty: never.
    """

    rotates: str
    expires_after: str
