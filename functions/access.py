"""Who calls the HTTP API, and whether they may."""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from shared.domain.callers import NOBODY, Caller, Role

PRINCIPAL = "X-MS-CLIENT-PRINCIPAL"
"""The header in which App Service says who has signed in; it drops what a client sends as such."""

_SCHEMA = "http://schemas.microsoft.com/identity/claims"
# By the names of v1 tokens, as App Service maps them, and of v2 tokens.
# Docs: "Work with user identities in Azure App Service authentication".
_OBJECT = ("oid", f"{_SCHEMA}/objectidentifier")
_TENANT = ("tid", f"{_SCHEMA}/tenantid")
_ROLES = ("roles", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role")
_NAMES = (
    "preferred_username",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn",
    "upn",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
    "name",
    "azp",
    "appid",
)


class NobodyError(Exception):
    """Nobody that we could name has signed in."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls, and which app roles they have."""

    caller: Caller
    roles: frozenset[Role]

    def may(self, needs: Role) -> bool:
        """Return whether they may do what needs a role: to read, any of the roles is enough."""
        return bool(self.roles) if needs is Role.AUDITOR else needs in self.roles


WITH_KEY = Principal(NOBODY, frozenset({Role.AUDITOR, Role.OPERATOR}))
"""Whom the Functions host lets in with a function key, which names nobody: they approve nothing."""


def principal_of(headers: Mapping[str, str], *, app_service_auth: bool) -> Principal:
    """Return who calls.

    Args:
        headers: Of the request, found in any casing.
        app_service_auth: Whether App Service authentication is on. If it is not, anybody could
            write its header: the Functions host has checked a key then, and it is not looked at.

    Raises:
        NobodyError: App Service authentication is on, and has let in somebody whom it cannot name.
    """
    if not app_service_auth:
        return WITH_KEY
    claims = list(_claims(headers.get(PRINCIPAL, "")))
    tenant, user = _first(claims, _TENANT), _first(claims, _OBJECT)
    if not tenant or not user:
        raise NobodyError("sign in with Microsoft Entra ID: the request names no user of it")
    known = {role.value: role for role in Role}
    roles = frozenset(known[value] for name, value in claims if name in _ROLES and value in known)
    return Principal(Caller(id=f"{tenant}/{user}", name=_first(claims, _NAMES) or user), roles)


def _claims(header: str) -> Iterator[tuple[str, str]]:
    """Yield names and values; none of a header that is not as App Service makes it."""
    try:
        found = json.loads(base64.b64decode(header, validate=True))
    except (ValueError, binascii.Error, RecursionError):
        return
    if not isinstance(found, dict) or found.get("auth_typ") != "aad":
        return
    claims = found.get("claims")
    for claim in claims if isinstance(claims, list) else ():
        if isinstance(claim, dict):
            name, value = claim.get("typ"), claim.get("val")
            if isinstance(name, str) and isinstance(value, str):
                yield name, value


def _first(claims: list[tuple[str, str]], names: tuple[str, ...]) -> str:
    return next((value for wanted in names for name, value in claims if name == wanted), "")
