"""Azure Resource Manager: routes, checks that every request passes, and envelopes."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from sandbox.arm import errors, extensions, listing, operations, resource_groups, subscriptions
from sandbox.arm.authentication import authenticate
from sandbox.arm.call import ArmCall
from sandbox.arm.errors import ArmError
from sandbox.arm.extensions import Extensions
from sandbox.arm.linked_access import require_links
from sandbox.arm.operations import Operations, Written
from sandbox.arm.quota import Quota
from sandbox.arm.rbac import Rbac
from sandbox.arm.resource_ids import ResourceId
from sandbox.arm.resources import Body, Provider, Resource, ResourceStore
from sandbox.clock import SandboxClock
from sandbox.identity import TokenService

type Answer = tuple[int, Body | None, Mapping[str, str]]

_SCOPED = re.compile(
    r"(?P<scope>/subscriptions/(?P<subscription>[^/]+)(?:/resourceGroups/(?P<group>[^/]+))?)"
    r"/providers/(?P<namespace>[^/]+)(?P<path>(?:/[^/]+)+)/?",
    re.IGNORECASE,
)
_PERMISSIONS = re.compile(
    r"(?P<scope>/subscriptions/[^/]+(?:/resourceGroups/[^/]+"
    r"(?:/providers/[^/]+(?:/[^/]+/[^/]+)+)?)?)/providers/Microsoft\.Authorization/permissions/?",
    re.IGNORECASE,
)
"""Of a subscription, a group, or a resource, which need not be one that is served here."""
_METHODS = ["GET", "PUT", "PATCH", "DELETE", "POST"]


class Arm:
    """What answers at ``management.azure.com``.

    A request passes, in this order: api-version present, token accepted, subscription exists,
    quota left, type served at that api-version, action allowed, group and resource exist, quota
    of the provider left, ETag matched. It is the order in which refusals of real ARM are seen
    where two would apply; only the first step is on record (see ``errors.api_version_missing``),
    the rest is inference.
    """

    def __init__(self, clock: SandboxClock, tokens: TokenService) -> None:
        self.rbac = Rbac()
        self.quota = Quota(clock)
        self.resources = ResourceStore(clock)
        self.extensions = Extensions()
        self.page_size = 1000
        """How many resources a page of a list has at most. No figure is documented."""
        self._operations = Operations()
        self._clock = clock
        self._tokens = tokens
        self._tenant_routes: dict[tuple[str, str], Callable[[ArmCall], Answer]] = {}

    def register(self, provider: Provider) -> None:
        """Serve the provider's resource type from now on."""
        self.resources.register(provider)

    def serve(self, method: str, path: str, answer: Callable[[ArmCall], Answer]) -> None:
        """Serve a path outside subscriptions, such as Resource Graph's."""
        self._tenant_routes[method, path.lower()] = answer

    @property
    def app(self) -> ASGIApp:
        """ARM as an ASGI app."""

        async def endpoint(request: Request) -> Response:
            body = await request.body()
            return await run_in_threadpool(self._respond, request, body)

        return Starlette(routes=[Route("/{path:path}", endpoint, methods=_METHODS)])

    def _respond(self, request: Request, body: bytes) -> Response:
        headers = self._tracing(request)
        try:
            status, content, more = self._answer(request, body)
        except ArmError as error:
            return JSONResponse(error.body, error.status, {**headers, **error.headers})
        if content is None:
            return Response(status_code=status, headers={**headers, **more})
        return JSONResponse(content, status, {**headers, **more})

    def _tracing(self, request: Request) -> dict[str, str]:
        """Return the ids of the request, as headers.

        The client's own request id comes back only to a client that asks for it (docs: ARM's
        resource provider contract, common API details).
        """
        correlation = request.headers.get("x-ms-correlation-request-id", str(uuid4()))
        routed = f"{self._clock.now():%Y%m%dT%H%M%SZ}"
        headers = {
            "x-ms-request-id": str(uuid4()),
            "x-ms-correlation-request-id": correlation,
            "x-ms-routing-request-id": f"WESTEUROPE:{routed}:{correlation}",
        }
        own = request.headers.get("x-ms-client-request-id")
        asked = request.headers.get("x-ms-return-client-request-id", "").lower() == "true"
        return {**headers, "x-ms-client-request-id": own} if own and asked else headers

    def _answer(self, request: Request, body: bytes) -> Answer:
        version = request.query_params.get("api-version")
        if not version:
            raise errors.api_version_missing()
        claims = authenticate(self._tokens, request.headers.get("authorization"))
        call = ArmCall(
            method=request.method,
            path=request.url.path,
            api_version=version,
            principal=claims.principal,
            tenant_id=claims.tenant_id,
            body=body,
            if_match=request.headers.get("if-match"),
            query=dict(request.query_params),
        )
        tenant_route = self._tenant_routes.get((call.method, call.path.lower()))
        if tenant_route is not None:
            return tenant_route(call)
        if found := operations.PATH.fullmatch(call.path):
            return self._poll(call, found)
        if found := extensions.PATH.fullmatch(call.path):
            left = self._left(call, found)
            return 200, self.extensions.answer(call, found, self.rbac), left
        if found := _SCOPED.fullmatch(call.path):
            return self._scoped(call, found)
        if found := resource_groups.PATH.fullmatch(call.path):
            left = self._left(call, found)
            return 200, resource_groups.answer(call, found, self.resources, self.rbac), left
        return subscriptions.answer(call, self.resources, self.rbac)

    def _left(self, call: ArmCall, found: re.Match[str]) -> dict[str, str]:
        """Count a request in a subscription; return the header that says what is left."""
        self.resources.subscription(found["subscription"])
        return self.quota.take(call.principal, found["subscription"], call.method)

    def _scoped(self, call: ArmCall, found: re.Match[str]) -> Answer:
        """Answer a request for the resources of a provider."""
        left = self._left(call, found)
        if asked := _PERMISSIONS.fullmatch(call.path):
            return 200, self.rbac.permissions(call.principal, asked["scope"]), left
        words = found["path"].strip("/").split("/")
        kind, name = "/".join(words[::2]), "/".join(words[1::2])
        provider = self._provider(call, found["namespace"], kind)
        if len(words) == 1:
            with self.resources.lock:
                return 200, self._list(call, found, provider), left
        if not found["group"]:
            raise errors.type_not_served(found["namespace"], "/".join(words))
        identifier = ResourceId(found["subscription"], found["group"], provider.type, name)
        with self.resources.lock:
            if len(words) % 2:
                return 200, self._children(call, identifier, provider), left
            status, body, more = self._one(call, identifier, provider)
        return status, body, {**left, **more}

    def _poll(self, call: ArmCall, found: re.Match[str]) -> Answer:
        """Answer a poll of an operation. The right to read the resource is asked (inference)."""
        left = self._left(call, found)
        if call.method != "GET":
            raise errors.method_not_allowed(call.method)
        operation, identifier = self._operations.find(found["operation"])
        provider = self.resources.providers[identifier.type.lower()]
        self.rbac.require(call.principal, f"{provider.type}/read", str(identifier))
        with self.resources.lock:
            resource = self.resources.find(identifier)
            asks_status = operations.asks_status(found, operation)
            if operation.ended or (asks_status and not operation.polling.waits):
                again: Mapping[str, str] = {}
            else:
                again = operations.again(operation, call.path, call.api_version)
            if asks_status:
                return 202 if again else 200, operation.body, {**left, **again}
            if again:
                return 202, None, {**left, **again}
            if operation.error is not None:
                raise operation.error
            if resource is None:
                return 204, None, left
            return _shown(call, resource, provider, more=left)

    def _provider(self, call: ArmCall, namespace: str, kind: str) -> Provider:
        provider = self.resources.providers.get(f"{namespace}/{kind}".lower())
        if provider is None:
            raise errors.type_not_served(namespace, kind)
        if call.api_version not in provider.api_versions:
            raise errors.type_not_served_at(call.api_version, kind, provider.api_versions)
        return provider

    def _list(self, call: ArmCall, found: re.Match[str], provider: Provider) -> Body:
        if call.method != "GET":
            raise errors.method_not_allowed(call.method)
        self.rbac.require(call.principal, f"{provider.type}/read", found["scope"])
        if found["group"]:
            self.resources.group(found["subscription"], found["group"])
        provider.quota.take(found["subscription"], "", "List")
        return self._listed(call, provider, found["scope"])

    def _children(self, call: ArmCall, beyond: ResourceId, provider: Provider) -> Body:
        """List the children of a resource.

        Args:
            call: The request.
            beyond: The type that is listed, with the name of the parent.
            provider: Of that type.
        """
        if call.method != "GET":
            raise errors.method_not_allowed(call.method)
        parent = replace(beyond, type=provider.type.rpartition("/")[0])
        self.rbac.require(call.principal, f"{provider.type}/read", str(parent))
        self.resources.get(parent)
        provider.quota.take(parent.subscription, "", "List")
        return self._listed(call, provider, str(parent))

    def _listed(self, call: ArmCall, provider: Provider, scope: str) -> Body:
        found = self.resources.below(scope, provider.type)
        shown = [_body(call, resource, provider, listed=True) for resource in found]
        return listing.page(call, shown, self.page_size)

    def _one(self, call: ArmCall, identifier: ResourceId, provider: Provider) -> Answer:
        action = {"GET": "read", "DELETE": "delete"}.get(call.method, "write")
        self.rbac.require(call.principal, f"{provider.type}/{action}", str(identifier))
        if action == "write":
            action = f"{provider.type}/{action}"
            require_links(self.rbac, call.principal, action, str(identifier), call.json())
        self.resources.group(identifier.subscription, identifier.group)
        if identifier.parent and self.resources.find(identifier.parent) is None:
            raise errors.parent_not_found(identifier.parent)
        if call.method in {"GET", "PATCH"}:
            resource = self.resources.get(identifier)
        else:
            found = self.resources.find(identifier)
            if found is None:
                return self._absent(call, identifier, provider)
            resource = found
        kind = "Read" if call.method == "GET" else "Write"
        provider.quota.take(identifier.subscription, self.resources.location(resource), kind)
        return self._present(call, resource, provider)

    def _absent(self, call: ArmCall, identifier: ResourceId, provider: Provider) -> Answer:
        """Answer a PUT or DELETE of what does not exist."""
        match call.method:
            case "PUT":
                written, resource = provider.create(identifier, call.json(), call.api_version)
                self.resources.add(resource)
                return self._written(call, resource, written)
            case "DELETE":
                return 204, None, {}
            case _:
                raise errors.method_not_allowed(call.method)

    def _present(self, call: ArmCall, resource: Resource, provider: Provider) -> Answer:
        """Answer a request for a resource that exists."""
        heeded = provider.etags and call.method != "GET"
        if heeded and call.if_match not in {None, "*", resource.etag}:
            raise errors.etag_mismatch(resource.id.name)
        match call.method:
            case "GET":
                return _shown(call, resource, provider)
            case "PATCH":
                written = provider.patch(resource, call.json())
            case "PUT":
                written = provider.replace(resource, call.json(), call.api_version)
            case "DELETE":
                written = provider.delete(resource)
            case _:
                raise errors.method_not_allowed(call.method)
        if resource.gone:
            self.resources.remove(resource)
        else:
            self.resources.notify(resource)
        return self._written(call, resource, written)

    def _written(self, call: ArmCall, resource: Resource, written: Written) -> Answer:
        """Answer a write that was accepted."""
        provider = self.resources.providers[resource.id.type.lower()]
        headers: Mapping[str, str] = {}
        if written.operation is not None:
            location = self.resources.location(resource)
            headers = self._operations.begin(
                written.operation, resource.id, location, call.api_version
            )
        silent = resource.gone or written.status in {202, 204}
        if silent and written.shown is None:
            return written.status, None, headers
        return _shown(call, resource, provider, written.status, written.shown, headers)


def _shown(  # noqa: PLR0913, PLR0917 - the parts of an answer
    call: ArmCall,
    resource: Resource,
    provider: Provider,
    status: int = 200,
    body: Body | None = None,
    more: Mapping[str, str] | None = None,
) -> Answer:
    """Return the answer that shows a resource, or ``body`` in its place."""
    etag = {"etag": resource.etag} if provider.etags else {}
    return status, _body(call, resource, provider, body), {**(more or {}), **etag}


def _body(
    call: ArmCall,
    resource: Resource,
    provider: Provider,
    body: Body | None = None,
    *,
    listed: bool = False,
) -> Body:
    etag = {"etag": resource.etag} if provider.etags else {}
    copied = _copy(body or resource.body)
    return {**provider.shown(copied, call.api_version, listed=listed), **etag}


def _copy(body: Body) -> Body:
    """Return a copy that stays as it is when the resource changes after the answer."""
    copied: dict[str, Any] = json.loads(json.dumps(body))
    return copied
