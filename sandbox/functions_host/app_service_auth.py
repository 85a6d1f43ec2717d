"""App Service authentication ("Easy Auth"): what stands before the app where it is switched on.

Documented, in azure-docs, "Work with user identities in Azure App Service authentication": the
headers and the form of the principal, that no caller from outside can set them, and that claims
may have other names than in the token ("default claims mapping"). Which names is not documented;
those below were seen in a principal made from a token of version 2.0
(MaximeRouiller.Azure.AppService.EasyAuth#4: object id, tenant and subject are mapped, ``roles`` and
``preferred_username`` are not); the one for ``upn`` is that of .NET's own mapping.
``WEBSITE_AUTH_ENABLED`` is documented as "Read-only. Injected into a Windows or Linux app to indicate
whether App Service authentication is enabled"; its value, ``True``, is that of
Microsoft.Identity.Web.
"""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import jwt
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

ENABLED = {"WEBSITE_AUTH_ENABLED": "True"}
"""What the platform adds to the app's settings."""

SETTING = "SANDBOX_APP_SERVICE_AUTH"
"""The variable that tells the host how the app is protected: ``AppServiceAuth.setting``."""

EXCLUDED = ("/runtime/webhooks/eventgrid", "/admin")
"""Paths that go through as they come (``excludedPaths``). The second is the tests' own hand on the
host: on Azure whoever calls it needs a token too."""

_OURS = ("x-ms-client-principal", "x-ms-token-")
_MAPPED = {
    "oid": "http://schemas.microsoft.com/identity/claims/objectidentifier",
    "tid": "http://schemas.microsoft.com/identity/claims/tenantid",
    "sub": "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier",
    "upn": "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn",
}
_NAME_TYPE = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name"
_ROLE_TYPE = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"


@dataclass(frozen=True, slots=True)
class AppServiceAuth:
    """How an app is protected.

    Attributes:
        audiences: Whom a token may be for (``allowedAudiences``).
        issuers: Who may have issued it.
        key: The public key that signatures are checked with, as PEM.
    """

    audiences: tuple[str, ...]
    issuers: tuple[str, ...]
    key: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``setting`` wrote."""
        found = json.loads(text)
        return cls(tuple(found["audiences"]), tuple(found["issuers"]), found["key"])

    @property
    def setting(self) -> str:
        """All of it as one text."""
        return json.dumps(asdict(self))

    def claims(self, authorization: str) -> dict[str, Any] | None:
        """Return what the token of an ``Authorization`` header says; ``None``: it is not good."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            claims: dict[str, Any] = jwt.decode(
                token.strip(),
                self.key,
                ["RS256"],
                audience=self.audiences,
                issuer=self.issuers,
                options={"require": ["exp", "aud", "iss"]},
            )
        except jwt.InvalidTokenError:
            return None
        return claims

    def protect(self, site: ASGIApp) -> ASGIApp:
        """Return ``site`` with all but the excluded paths closed to whoever has no good token.

        ``unauthenticatedClientAction`` is ``Return401``. Function keys are none of its business:
        the host asks for them as well, where a function's level does. That a path is excluded with
        all below it, whatever the casing, is inference, and so is the challenge's text.
        """

        async def front(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await site(scope, receive, send)
                return
            given = Headers(scope=scope)
            passed = [(n, v) for n, v in given.raw if not n.decode("latin-1").startswith(_OURS)]
            if not _is_excluded(scope["path"]):
                claims = self.claims(given.get("authorization", ""))
                if claims is None:
                    realm = f'Bearer realm="{given.get("host", "")}"'
                    refusal = Response(status_code=401, headers={"WWW-Authenticate": realm})
                    await refusal(scope, receive, send)
                    return
                headers = MutableHeaders(raw=passed)
                headers.update(principal_headers(claims))
                passed = headers.raw
            await site({**scope, "headers": passed}, receive, send)

        return front


def principal_headers(claims: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers that tell an app who calls.

    Args:
        claims: Of the caller's token. The caller's name is left out where there is none, as for a
            program; that is a guess.
    """
    principal = {
        "auth_typ": "aad",
        "claims": [{"typ": name, "val": value} for name, value in _named(claims)],
        "name_typ": _NAME_TYPE,
        "role_typ": _ROLE_TYPE,
    }
    name = claims.get("preferred_username") or claims.get("upn")
    return {
        "x-ms-client-principal": base64.b64encode(json.dumps(principal).encode()).decode(),
        "x-ms-client-principal-id": str(claims.get("oid", "")),
        "x-ms-client-principal-idp": "aad",
        **({"x-ms-client-principal-name": str(name)} if name else {}),
    }


def _named(claims: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give each claim by its mapped name; one that has several values, once for each of them."""
    for name, value in claims.items():
        values: Iterable[Any] = value if isinstance(value, list) else [value]
        for each in values:
            yield _MAPPED.get(name, name), str(each)


def _is_excluded(path: str) -> bool:
    folded = path.lower().rstrip("/")
    return any(folded == each or folded.startswith(f"{each}/") for each in EXCLUDED)
