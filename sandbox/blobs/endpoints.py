"""``ACCOUNT.blob.core.windows.net`` for every storage account of the estate."""

import secrets
from collections.abc import Iterable
from threading import RLock
from typing import Literal
from urllib.parse import quote

from azure.storage.blob import BlobServiceClient
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox.arm.errors import ArmError
from sandbox.arm.rbac import Rbac
from sandbox.arm.resource_ids import ResourceId
from sandbox.arm.resources import Resource
from sandbox.arm.storage_bodies import CUSTOMER_KEYS
from sandbox.azurite import Azurite
from sandbox.blobs import errors, operations
from sandbox.blobs.backing import Backing
from sandbox.blobs.errors import BlobError
from sandbox.blobs.operations import Operation
from sandbox.estate import Account, Estate
from sandbox.identity import APP_PRINCIPAL, Refusal, TokenRefused, TokenService

DOMAIN = "blob.core.windows.net"
_AUDIENCE = "https://storage.azure.com"

DataRight = Literal["read", "write", "delete", "readTags", "writeTags", "find"]

_ACTIONS: dict[DataRight, str] = {
    "read": operations.READ,
    "write": operations.WRITE,
    "delete": operations.DELETE,
    "readTags": operations.READ_TAGS,
    "writeTags": operations.WRITE_TAGS,
    "find": operations.FIND,
}


class BlobEndpoints:
    """The blob service of every account: who asks, and can the account use its key?

    The rest is Azurite's: blobs, ETags, tags and leases. A request passes, in this order: token
    accepted, data action allowed, key usable. That the real service asks in this order, and that it
    notices at once what happens to a key, is inference.

    An account costs nothing until a blob is written to it. ::

        azure.blobs.put(account, "configs", "prod/deploy.yaml", b"...")
        azure.blobs.allow(account, {"read", "write"}, container="configs")
    """

    def __init__(self, azurite: Azurite, estate: Estate, tokens: TokenService) -> None:
        self.roles = Rbac()
        """The data actions of Azure RBAC: apart from Resource Manager's, which do not give them."""
        self._azurite = azurite
        self._estate = estate
        self._tokens = tokens
        self._prefix = f"x{secrets.token_hex(6)}"
        self._lock = RLock()
        self._backings: dict[str, Backing] = {}

    def client(self, account: Account | str) -> BlobServiceClient:
        """Return a client at an account's blobs that no check stops, to set up and to look.

        Args:
            account: One of the estate, or its name.
        """
        return self._backing(_name(account)).client()

    def put(self, account: Account | str, container: str, path: str, content: bytes) -> str:
        """Keep a blob, whether there was one or not; return its URL."""
        name = _name(account)
        with self.client(name) as client:
            holder = client.get_container_client(container)
            if not holder.exists():
                holder.create_container()
            holder.upload_blob(path, content, overwrite=True)
        return f"https://{name}.{DOMAIN}/{container}/{quote(path)}"

    def get(self, account: Account | str, container: str, path: str) -> bytes:
        """Return the content of a blob."""
        with self.client(account) as client, client.get_blob_client(container, path) as blob:
            content: bytes = blob.download_blob().readall()
        return content

    def allow(
        self,
        account: Account,
        rights: Iterable[DataRight],
        *,
        container: str = "",
        principal: str = APP_PRINCIPAL,
    ) -> None:
        """Let a principal use the blobs of an account, or of one of its containers."""
        below = f"/blobServices/default/containers/{container}" if container else ""
        self.roles.allow(principal, {_ACTIONS[right] for right in rights}, account.id + below)

    @property
    def app(self) -> ASGIApp:
        """Serves ``*.blob.core.windows.net``.

        A name that no account has does not resolve in Azure; here the connection is cut.
        """

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, receive)
            body = await request.body()
            response = await run_in_threadpool(self._respond, request, body)
            if response is not None:
                await response(scope, receive, send)

        return serve

    def _respond(self, request: Request, body: bytes) -> Response | None:
        name = request.headers["host"].lower().partition(".")[0]
        resource = self._resource(name)
        if resource is None:
            return None
        try:
            self._check(request, resource)
        except BlobError as error:
            return error.answer(request.method)
        names = request.state.header_names
        headers = {names[name]: value for name, value in request.headers.items()}
        return self._backing(name).forward(request.method, _target(request.scope), headers, body)

    def _check(self, request: Request, resource: Resource) -> None:
        principal = self._authenticate(request.headers)
        asked = Operation.of(
            request.method, request.scope["path"], _folded(request.query_params), request.headers
        )
        scope = str(resource.id)
        if asked.container:
            scope += f"/blobServices/default/containers/{asked.container}"
        if not all(self.roles.permits(principal, action, scope) for action in asked.actions):
            raise errors.permission_mismatch()
        if asked.unwraps:
            self._unwrap(resource)

    def _authenticate(self, headers: Headers) -> str:
        authorization = headers.get("authorization", "")
        if authorization and not authorization.lower().startswith("bearer "):
            raise errors.keys_not_permitted()
        try:
            return self._tokens.check(authorization, _AUDIENCE).principal
        except TokenRefused as refused:
            if refused.code is Refusal.MISSING:
                raise errors.no_token(self._tokens.tenant_id) from refused
            raise errors.token_refused(self._tokens.tenant_id) from refused

    def _unwrap(self, resource: Resource) -> None:
        """Have the account use its key, if it is the customer's."""
        encryption = resource.body["properties"]["encryption"]
        if encryption["keySource"] != CUSTOMER_KEYS:
            return
        chosen = str(encryption.get("identity", {}).get("userAssignedIdentity", ""))
        try:
            principal = self._estate.identities.principal(resource.body.get("identity"), chosen)
        except ArmError as error:
            raise errors.no_identity() from error
        if principal is None:
            raise errors.no_identity()
        unusable = self._estate.truth.refusal(resource.id)
        if unusable is not None:
            raise errors.key_unusable(unusable)

    def _resource(self, name: str) -> Resource | None:
        found = self._estate.arm.resources.named(self._estate.storage.type, name)
        return self._estate.arm.resources.find(found) if found else None

    def _backing(self, name: str) -> Backing:
        with self._lock:
            if name not in self._backings:
                # Of a name that no other local Azure at the same Azurite has.
                inside = f"{self._prefix}{name}"
                self._backings[name] = Backing(self._azurite, inside, f"{name}.{DOMAIN}")
            return self._backings[name]


def _name(account: Account | str) -> str:
    return account if isinstance(account, str) else ResourceId.parse(account.id).name


def _folded(query: QueryParams) -> dict[str, str]:
    return {name.lower(): value for name, value in query.items()}


def _target(scope: Scope) -> str:
    query = scope["query_string"].decode()
    path: str = scope["raw_path"].decode()
    return f"{path}?{query}" if query else path
