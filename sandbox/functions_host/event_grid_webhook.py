"""Event Grid triggers: the webhook that Event Grid delivers to.

Source: ``EventGridExtensionConfigProvider`` of azure-functions-eventgrid-extension.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.functions_host.functions import Function
from sandbox.functions_host.invocations import Invoker
from sandbox.functions_host.keys import Keys
from sandbox.functions_host.messages import json_value

_PATH = "/runtime/webhooks/EventGrid"


class EventGridWebhook:
    """Answers the two handshakes, and runs a function once for each event delivered."""

    def __init__(self, functions: Mapping[str, Function], keys: Keys, invoker: Invoker) -> None:
        self._functions = functions
        self._keys = keys
        self._invoker = invoker

    @property
    def route(self) -> Route:
        """Where Event Grid finds it."""
        return Route(_PATH, self._answer, methods=["POST", "OPTIONS"])

    async def _answer(self, request: Request) -> Response:
        if not self._keys.admits_event_grid(request):
            return Response(status_code=401)
        name = request.query_params.get("functionName", "")
        function = self._functions.get(name.lower())
        if function is None:
            return Response(f"cannot find function: '{name}'", status_code=404)
        if request.method == "OPTIONS":
            return _allow(request)
        try:
            return await self._receive(request, function, json.loads(await request.body()))
        except ValueError:
            return Response("the body is not JSON", status_code=400)

    async def _receive(self, request: Request, function: Function, body: Any) -> Response:  # noqa: ANN401 - parsed JSON
        match request.headers.get("aeg-event-type", "").lower():
            case "subscriptionvalidation":
                return _validate(body)
            case "notification":
                return await self._deliver(function, body if isinstance(body, list) else [body])
            case "unsubscribe":
                return Response(status_code=202)
            case kind:
                return Response(f"unknown aeg-event-type {kind!r}", status_code=400)

    async def _deliver(self, function: Function, events: list[Any]) -> Response:
        outcomes = await asyncio.gather(
            *(self._invoker.invoke(function, json_value(event)) for event in events)
        )
        # One failure and Event Grid sends the whole request again.
        return Response(status_code=202 if all(o.succeeded for o in outcomes) else 500)


def _validate(body: Any) -> Response:  # noqa: ANN401 - parsed JSON
    try:
        code = body[0]["data"]["validationCode"]
    except (IndexError, KeyError, TypeError):
        return Response("not a subscription validation event", status_code=400)
    return JSONResponse({"validationResponse": code})


def _allow(request: Request) -> Response:
    origin = request.headers.get("webhook-request-origin", "")
    return Response(headers={"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"})
