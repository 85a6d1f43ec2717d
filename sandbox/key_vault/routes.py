"""The data plane of Key Vault over HTTP: keys."""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from sandbox.identity import Refusal, TokenRefused, TokenService
from sandbox.key_vault.access import Permission
from sandbox.key_vault.errors import KeyVaultError, bad_parameter, unauthorized
from sandbox.key_vault.keys import KeyVersion, NewKey
from sandbox.key_vault.material import decode, encode
from sandbox.key_vault.vault import HSM_DOMAIN, Vault

_API_VERSION = re.compile(r"7\.[0-6](-preview\.\d)?|2016-10-01|2025-07-01")
_KEY_NAME = re.compile(r"[0-9A-Za-z-]{1,127}")
_PAGE = 25
# How Key Vault says why it refuses a token. Recorded for a missing one; the others' numbers are
# from public reports of 401 answers, but EXPIRED's, whose text is unverified.
_TOKEN_TEXTS = {
    Refusal.MISSING: "AKV10000: {}",
    Refusal.SIGNATURE: "AKV10046: {}",
    Refusal.AUDIENCE: "AKV10022: {}",
    Refusal.EXPIRED: "AKV10001: {}",
}


@dataclass(frozen=True, slots=True)
class _Ask:
    """One authenticated request."""

    vault: Vault
    principal: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.path["name"]

    @property
    def version(self) -> str | None:
        return self.path.get("version")


type _Operation = Callable[[_Ask], dict[str, Any] | None]
"""``None``: there is nothing to say, which is a 204."""


def routes(find: Callable[[str], Vault | None], tokens: TokenService) -> ASGIApp:
    """Return the app that serves every vault and managed HSM.

    Args:
        find: Gives the vault of a host in lower case. The real service has no host name for a
            vault that does not exist; here such a host answers 404.
        tokens: Checks who calls.
    """

    def answer(request: Request, raw: bytes, allowed: "_Allowed") -> Response:
        host = request.headers.get("host", "").lower().partition(":")[0]
        vault = find(host)
        if vault is None:
            message = f"The sandbox has no vault at '{host}'."
            error = KeyVaultError(HTTPStatus.NOT_FOUND, "VaultNotFound", message)
            return _respond(request, error.status, error.body)
        try:
            principal = _authenticate(request, tokens, vault.audience)
            vault.admit(principal, trusted=False)
            _check_api_version(request)
            ask = _Ask(vault, principal, request.path_params, request.query_params, _json(raw))
            _check_name(ask)
            vault.authorize(principal, allowed.permission, request.path_params.get("name"))
            body = allowed.operation(ask)
            status = HTTPStatus.NO_CONTENT if body is None else HTTPStatus.OK
            return _respond(request, status, body)
        except KeyVaultError as error:
            # Recorded for a managed HSM: a challenge has no body (azure-sdk-for-js, keyvault-keys).
            challenged = error.status == HTTPStatus.UNAUTHORIZED
            body = None if challenged and vault.domain == HSM_DOMAIN else error.body
            response = _respond(request, error.status, body)
            if challenged:
                response.headers["www-authenticate"] = (
                    f'Bearer authorization="https://login.microsoftonline.com/{tokens.tenant_id}",'
                    f' resource="{vault.audience}"'
                )
            return response

    def route(path: str, **by_method: _Allowed) -> Route:
        async def endpoint(request: Request) -> Response:
            raw = await request.body()
            return await run_in_threadpool(answer, request, raw, by_method[request.method])

        return Route(path, endpoint, methods=list(by_method))

    key = {"GET": _Allowed("get", _get), "PATCH": _Allowed("update", _update)}
    app = Starlette(
        routes=[
            route("/keys", GET=_Allowed("list", _list_keys)),
            route("/keys/restore", POST=_Allowed("restore", _restore)),
            route("/keys/{name}", **key, DELETE=_Allowed("delete", _delete)),
            route("/keys/{name}/", **key),
            route("/keys/{name}/create", POST=_Allowed("create", _create)),
            route("/keys/{name}/rotate", POST=_Allowed("rotate", _rotate)),
            route("/keys/{name}/versions", GET=_Allowed("list", _list_versions)),
            route(
                "/keys/{name}/rotationpolicy",
                GET=_Allowed("getRotationPolicy", _get_policy),
                PUT=_Allowed("setRotationPolicy", _set_policy),
            ),
            route("/keys/{name}/backup", POST=_Allowed("backup", _backup)),
            route("/keys/{name}/{version}", **key),
            route("/keys/{name}/{version}/wrapkey", POST=_Allowed("wrapKey", _wrap)),
            route("/keys/{name}/{version}/unwrapkey", POST=_Allowed("unwrapKey", _unwrap)),
            route(
                "/deletedkeys/{name}",
                GET=_Allowed("get", _get_deleted),
                DELETE=_Allowed("purge", _purge),
            ),
            route("/deletedkeys/{name}/recover", POST=_Allowed("recover", _recover)),
        ]
    )
    app.router.redirect_slashes = False
    return app


@dataclass(frozen=True, slots=True)
class _Allowed:
    """An operation, and what its caller must be permitted."""

    permission: Permission
    operation: _Operation


def _list_keys(ask: _Ask) -> dict[str, Any]:
    return _page(
        ask, [(key.name.lower(), key.item(of_key=True)) for key in ask.vault.current_versions()]
    )


def _list_versions(ask: _Ask) -> dict[str, Any]:
    """List versions by their ids.

    The only recording is in that order and its continuation token holds the next id; by date the
    service promises nothing.
    """
    versions = sorted(ask.vault.versions(ask.name), key=lambda version: version.version)
    return _page(ask, [(version.version, version.item()) for version in versions])


def _get(ask: _Ask) -> dict[str, Any]:
    return ask.vault.find(ask.name, ask.version).bundle()


def _update(ask: _Ask) -> dict[str, Any]:
    return ask.vault.update(ask.name, ask.version, ask.body).bundle()


def _create(ask: _Ask) -> dict[str, Any]:
    return _bundle(ask, ask.vault.create_key(ask.name, NewKey.read(ask.body)))


def _rotate(ask: _Ask) -> dict[str, Any]:
    return _bundle(ask, ask.vault.rotate(ask.name))


def _bundle(ask: _Ask, kid: str) -> dict[str, Any]:
    return ask.vault.find(ask.name, kid.rpartition("/")[2]).bundle()


def _get_policy(ask: _Ask) -> dict[str, Any]:
    return ask.vault.rotation_policy(ask.name)


def _set_policy(ask: _Ask) -> dict[str, Any]:
    return ask.vault.set_rotation_policy(ask.name, ask.body)


def _backup(ask: _Ask) -> dict[str, Any]:
    return {"value": encode(ask.vault.backup(ask.name))}


def _restore(ask: _Ask) -> dict[str, Any]:
    return ask.vault.restore(decode(ask.body.get("value"))).bundle()


def _delete(ask: _Ask) -> dict[str, Any]:
    return ask.vault.delete(ask.name).bundle()


def _get_deleted(ask: _Ask) -> dict[str, Any]:
    return ask.vault.deleted(ask.name).bundle()


def _purge(ask: _Ask) -> None:
    ask.vault.purge(ask.name)


def _recover(ask: _Ask) -> dict[str, Any]:
    return ask.vault.recover(ask.name).bundle()


def _wrap(ask: _Ask) -> dict[str, Any]:
    value = decode(ask.body.get("value"))
    use = {"principal": ask.principal, "algorithm": str(ask.body.get("alg"))}
    return _result(*ask.vault.wrap(ask.name, ask.version, value, **use))


def _unwrap(ask: _Ask) -> dict[str, Any]:
    value = decode(ask.body.get("value"))
    use = {"principal": ask.principal, "algorithm": str(ask.body.get("alg"))}
    return _result(*ask.vault.unwrap(ask.name, ask.version, value, **use))


def _result(version: KeyVersion, value: bytes) -> dict[str, Any]:
    return {"kid": version.kid, "value": encode(value)}


def _page(ask: _Ask, items: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """Return one page of ``items``, each with what it is sorted by.

    Recorded: key-vault/keyvault_key.json #18 to #24 (``nextLink`` with the port, and null at the
    end; the token is opaque).
    """
    size = ask.query.get("maxresults", str(_PAGE))
    if not size.isdecimal() or not 0 < int(size) <= _PAGE:
        raise bad_parameter(f"maxresults must be between 1 and {_PAGE}.")
    start = _marker(ask.query.get("$skiptoken"))
    rest = [(marker, item) for marker, item in items if marker >= start]
    page, more = rest[: int(size)], rest[int(size) :]
    link = None
    if more:
        token = urlsafe_b64encode(json.dumps({"NextMarker": more[0][0]}).encode()).decode()
        path = "/keys" if "name" not in ask.path else f"/keys/{quote(ask.name)}/versions"
        api_version, limit = ask.query["api-version"], ask.query.get("maxresults")
        link = (
            f"{ask.vault.uri}:443{path}?api-version={api_version}&$skiptoken={token.rstrip('=')}"
            + (f"&maxresults={limit}" if limit else "")
        )
    return {"value": [item for _, item in page], "nextLink": link}


def _marker(token: str | None) -> str:
    if token is None:
        return ""
    try:
        return str(json.loads(urlsafe_b64decode(token + "=" * (-len(token) % 4)))["NextMarker"])
    except (ValueError, KeyError, TypeError):
        raise bad_parameter("The continuation token is not valid.") from None


def _authenticate(request: Request, tokens: TokenService, audience: str) -> str:
    try:
        return tokens.check(request.headers.get("authorization"), audience).principal
    except TokenRefused as refused:
        raise unauthorized(_TOKEN_TEXTS[refused.code].format(refused.message)) from refused


def _check_api_version(request: Request) -> None:
    version = request.query_params.get("api-version")
    if version is None or not _API_VERSION.fullmatch(version):
        # Text: azure-sdk-for-python issue 28595.
        raise bad_parameter(
            f"The specified version ({version}) is not recognized."
            " Consider using the latest supported version (2025-07-01)."
        )


def _check_name(ask: _Ask) -> None:
    if "name" in ask.path and not _KEY_NAME.fullmatch(ask.name):
        raise bad_parameter("The request URI contains an invalid name: " + ask.name)


def _json(raw: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(raw) if raw else {}
    except ValueError:
        raise bad_parameter("The request body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise bad_parameter("The request body is not an object.")
    return body


def _respond(request: Request, status: HTTPStatus, body: Mapping[str, Any] | None) -> Response:
    headers = {
        "cache-control": "no-cache",
        "pragma": "no-cache",
        "x-ms-request-id": str(uuid4()),
    }
    if client_id := request.headers.get("x-ms-client-request-id"):
        headers["x-ms-client-request-id"] = client_id
    if body is None:
        return Response(status_code=status, headers=headers)
    return JSONResponse(body, status, headers)
