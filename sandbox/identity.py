"""Entra ID as far as an app meets it: tokens for managed identities, and checks of them.

Tokens live in real time, whatever the sandbox's clock: SDK clients keep a token for as long as the
machine's clock says that it is valid.
"""

import secrets
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Literal
from uuid import NAMESPACE_DNS, uuid4, uuid5

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

APP_PRINCIPAL = "6d1f7c0e-52f4-4d0b-8a3e-9b1e6c4f2a10"
"""Object id of the system-assigned identity of the app under test."""
TENANT = "213e87ed-8e08-4eb4-a63c-c073058f7b00"
APP_CLIENT = "4e0f4a1b-7d0d-4d0c-9a35-0a7c3b1d5e92"
"""Client id of the app registration behind which App Service authentication puts the app."""
AUDIENCES = (f"api://{APP_CLIENT}", APP_CLIENT)
"""Whom a token for the app is for: in version 1.0, and in version 2.0."""
_LIFETIME = timedelta(hours=24)  # of a managed identity's token, docs: managed identities FAQ
_ALGORITHM = "RS256"
_REVOCATIONS = "revocations"
"""A claim of ours: how often the principal's tokens had been revoked when this one was made."""


class Refusal(StrEnum):
    """Why a token is refused."""

    MISSING = "missing"
    SIGNATURE = "signature"
    """Not a token at all, or not one that this tenant signed."""
    AUDIENCE = "audience"
    EXPIRED = "expired"


class TokenRefused(Exception):  # noqa: N818 - the verdict of a check that services turn into a 401
    """A request carries no token that its service accepts."""

    def __init__(self, code: Refusal, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Claims:
    """What a checked token says."""

    principal: str
    """Object id (``oid``) of the caller."""
    app_id: str
    """Client id (``appid``) of the caller."""
    audience: str
    tenant_id: str


class TokenService:
    """Signs tokens with a key of its own and checks them: signature, expiry, audience."""

    def __init__(self, tenant_id: str = TENANT) -> None:
        self.tenant_id = tenant_id
        self.identity_header = secrets.token_hex(16)
        """What ``X-IDENTITY-HEADER`` must carry: the app's ``IDENTITY_HEADER`` setting."""
        self.asked: list[str] = []
        """The audiences for which the managed-identity endpoint gave tokens, oldest first."""
        self._revocations: Counter[str] = Counter()
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def issue(
        self, resource: str, *, principal: str = APP_PRINCIPAL, lifetime: timedelta = _LIFETIME
    ) -> str:
        """Return a token for ``principal`` to call ``resource``.

        Args:
            resource: The audience, such as ``https://vault.azure.net``, kept as it is written.
            principal: Object id of the identity.
            lifetime: From now; a negative one gives a token that has expired.
        """
        now = datetime.now(UTC)
        claims = {
            "aud": resource,
            "iss": f"https://sts.windows.net/{self.tenant_id}/",
            "iat": now,
            "nbf": min(now, now + lifetime),
            "exp": now + lifetime,
            "appid": principal,
            "idtyp": "app",
            "oid": principal,
            "tid": self.tenant_id,
            "uti": uuid4().hex,
            "ver": "1.0",
            _REVOCATIONS: self._revocations[principal],
        }
        return jwt.encode(claims, self._key, _ALGORITHM)

    def sign_in(
        self,
        name: str,
        *roles: str,
        program: bool = False,
        version: Literal["1.0", "2.0"] = "2.0",
        lifetime: timedelta = timedelta(hours=1),
        **other: object,
    ) -> str:
        """Return a token with which somebody calls the app itself.

        Claims, docs: "Access token claims reference". A token of version 1.0 has ``upn`` where one
        of 2.0 has ``preferred_username``; its audience is the application id URI, and its issuer
        another.

        Args:
            name: The user principal name of a person, or the name of a program; it also makes the
                object id: see ``object_id``.
            roles: The values of the app roles that they were given; with none there is no claim.
            program: Whether it is a program that signs in as itself: its token names nobody.
            version: Of the token (``requestedAccessTokenVersion`` of the app registration).
            lifetime: From now; a negative one gives a token that has expired.
            other: Claims to have instead, by their names.
        """
        now, first = datetime.now(UTC), version == "1.0"
        person = {"name": name, "upn" if first else "preferred_username": name}
        claims: dict[str, Any] = {
            "aud": AUDIENCES[0 if first else 1],
            "iss": self.issuers()[0 if first else 1],
            "iat": now,
            "nbf": min(now, now + lifetime),
            "exp": now + lifetime,
            "appid" if first else "azp": self.object_id(f"client of {name}"),
            "oid": self.object_id(name),
            "sub": self.object_id(f"subject {name}"),
            "tid": self.tenant_id,
            "uti": uuid4().hex,
            "ver": version,
            **({"idtyp": "app"} if program else person),
            **({"roles": list(roles)} if roles else {}),
            _REVOCATIONS: 0,
        }
        return jwt.encode({**claims, **other}, self._key, _ALGORITHM)

    @staticmethod
    def object_id(name: str) -> str:
        """Return the object id of whoever signs in by a name: always the same."""
        return str(uuid5(NAMESPACE_DNS, f"{name}.entra.keyturn.sandbox"))

    def issuers(self) -> tuple[str, ...]:
        """Return the issuers of this tenant's tokens: of version 1.0, and of 2.0."""
        first = f"https://sts.windows.net/{self.tenant_id}/"
        return first, f"https://login.microsoftonline.com/{self.tenant_id}/v2.0"

    def public_key(self) -> str:
        """Return what signatures are checked with, as PEM."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()

    def revoke(self, principal: str = APP_PRINCIPAL) -> None:
        """Have every token that ``principal`` holds by now refused as expired; new ones are good.

        What a service says of a revoked token is not on record: the words are those for one that
        has expired, which is what a client can do about it: get another.
        """
        self._revocations[principal] += 1

    def check(self, authorization: str | None, *audiences: str) -> Claims:
        """Return what the bearer token of an ``Authorization`` header says.

        The token must be for one of ``audiences``; a trailing slash makes no difference.

        Raises:
            TokenRefused: There is none, or it is not signed here, has expired, or is for another
                audience. A token that fails in several ways is refused for the first of these.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise TokenRefused(Refusal.MISSING, "Request is missing a Bearer or PoP token.")
        try:
            claims = jwt.decode(
                token.strip(),
                self._key.public_key(),
                [_ALGORITHM],
                options={"verify_aud": False, "require": ["exp", "aud", "oid"]},
            )
        except jwt.ExpiredSignatureError:
            raise TokenRefused(Refusal.EXPIRED, "The token has expired.") from None
        except jwt.InvalidTokenError as error:
            message = "Unable to resolve the key used for signature validation."
            raise TokenRefused(Refusal.SIGNATURE, message) from error
        if claims[_REVOCATIONS] < self._revocations[claims["oid"]]:
            raise TokenRefused(Refusal.EXPIRED, "The token has expired.")
        found = claims["aud"]
        if found.rstrip("/") not in {audience.rstrip("/") for audience in audiences}:
            message = f"Invalid audience. Expected {' or '.join(audiences)}, found: {found}."
            raise TokenRefused(Refusal.AUDIENCE, message)
        return Claims(
            principal=claims["oid"],
            app_id=claims["appid"],
            audience=found,
            tenant_id=claims["tid"],
        )

    def msi_app(self) -> ASGIApp:
        """Return the App Service managed-identity endpoint, ``GET /msi/token``.

        It knows the app's system-assigned identity alone. Shape of the answer, docs: App Service,
        "Connect to Azure services in app code"; the texts of its refusals are ours.
        """

        def token(request: Request) -> JSONResponse:
            query = request.query_params
            if request.headers.get("x-identity-header") != self.identity_header:
                return _refusal(HTTPStatus.UNAUTHORIZED, "X-IDENTITY-HEADER is absent or wrong")
            if query.get("api-version") != "2019-08-01":
                return _refusal(HTTPStatus.BAD_REQUEST, "api-version must be 2019-08-01")
            if not query.get("resource"):
                return _refusal(HTTPStatus.BAD_REQUEST, "resource is missing")
            if {"client_id", "principal_id", "mi_res_id"} & set(query):
                return _refusal(HTTPStatus.BAD_REQUEST, "No User Assigned Identity was found")
            self.asked.append(query["resource"])
            expires = datetime.now(UTC) + _LIFETIME
            return JSONResponse(
                {
                    "access_token": self.issue(query["resource"]),
                    "client_id": APP_PRINCIPAL,
                    "expires_on": str(int(expires.timestamp())),
                    "resource": query["resource"],
                    "token_type": "Bearer",
                }
            )

        return Starlette(routes=[Route("/msi/token", token)])


def _refusal(status: HTTPStatus, message: str) -> JSONResponse:
    return JSONResponse({"statusCode": int(status), "message": message}, status)
