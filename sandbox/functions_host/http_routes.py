"""HTTP triggers: routes, levels of access, requests in and answers out."""

import re
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.functions_host.functions import Function
from sandbox.functions_host.invocations import Invoker
from sandbox.functions_host.keys import Keys
from sandbox.functions_host.messages import RpcHttpCookie, TypedData
from sandbox.functions_host.runtime import Outcome
from sandbox.functions_host.settings import HostSettingsError

_PARAMETER = re.compile(r"\{(\*?)([A-Za-z_]\w*)\}")
# What the host answers to when a function does not say.
_ALL_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")


def routes(functions: Iterable[Function], prefix: str, keys: Keys, invoker: Invoker) -> list[Route]:
    """Return the routes of the HTTP functions, literal ones before those with parameters.

    Raises:
        HostSettingsError: A route is of a form that this host does not know.
    """
    found = [_route(function, prefix, keys, invoker) for function in functions]
    return sorted(found, key=lambda route: ["{" in part for part in route.path.split("/")])


def _route(function: Function, prefix: str, keys: Keys, invoker: Invoker) -> Route:
    trigger = function.trigger

    async def endpoint(request: Request) -> Response:
        if not keys.admits(trigger.get("authLevel", "FUNCTION"), request):
            return Response(status_code=401)
        return _answer(await invoker.invoke(function, await _incoming(request)))

    return Route(
        _path(function.name, prefix, str(trigger.get("route", function.name))),
        endpoint,
        methods=[method.upper() for method in trigger.get("methods", _ALL_METHODS)],
        name=function.name,
    )


def _path(function: str, prefix: str, route: str) -> str:
    path = _PARAMETER.sub(lambda m: f"{{{m[2]}:path}}" if m[1] else f"{{{m[2]}}}", route)
    if len(re.findall("[{}]", route)) != 2 * len(_PARAMETER.findall(route)):
        raise HostSettingsError(
            [f"{function}: this host knows {{name}} and {{*name}} in a route, not {route!r}"]
        )
    return "/" + "/".join(part for part in (prefix, path.strip("/")) if part)


async def _incoming(request: Request) -> TypedData:
    return TypedData(
        http=SimpleNamespace(
            method=request.method,
            url=str(request.url),
            headers=dict(request.headers),
            query=dict(request.query_params),
            params={name: str(value) for name, value in request.path_params.items()},
            body=TypedData(bytes=await request.body()),
        )
    )


def _answer(outcome: Outcome) -> Response:
    """Return what the caller sees: never the exception of a function that failed."""
    if not outcome.succeeded:
        return Response(status_code=500)
    if outcome.returned is None:
        return Response(status_code=204)
    http = outcome.returned.content
    if isinstance(http, str):
        return Response(http, media_type="text/plain")
    response = Response(http.body.content, status_code=int(http.status_code), headers=http.headers)
    for cookie in http.cookies or ():
        _set_cookie(response, cookie)
    return response


def _set_cookie(response: Response, cookie: RpcHttpCookie) -> None:
    def value(name: str) -> Any:  # noqa: ANN401 - a text, a number or a flag
        nullable = getattr(cookie, name)
        return nullable.value if nullable else None

    max_age = value("max_age")
    response.set_cookie(
        vars(cookie)["name"],
        vars(cookie)["value"],
        max_age=None if max_age is None else int(max_age),
        path=value("path") or "/",
        domain=value("domain") or None,
        secure=bool(value("secure")),
        httponly=bool(value("http_only")),
        samesite=vars(cookie)["same_site"],
    )
