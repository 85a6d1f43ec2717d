"""Headers that say who calls, as anybody can write them who is not stopped."""

from collections.abc import Mapping

from sandbox.functions_host.app_service_auth import principal_headers
from sandbox.identity import TENANT, TokenService


def forged_principal(name: str, *roles: str, **claims: object) -> Mapping[str, str]:
    """Return the headers that App Service authentication would set for somebody.

    Args:
        name: The user principal name; it also makes the object id, as it does for ``sign_in``.
        roles: The app roles that the headers claim.
        claims: More claims, or others instead, by the names that tokens have for them.
    """
    said = {
        "oid": TokenService.object_id(name),
        "tid": TENANT,
        "preferred_username": name,
        "roles": list(roles),
    }
    return principal_headers({**said, **claims})
