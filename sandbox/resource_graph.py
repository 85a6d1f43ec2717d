"""Azure Resource Graph: queries over what the providers sent it, as late as the test wants."""

import base64
import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from threading import RLock
from typing import Any
from uuid import uuid4

from sandbox.arm import errors
from sandbox.arm.app import Arm
from sandbox.arm.call import ArmCall
from sandbox.arm.errors import ArmError
from sandbox.arm.resource_ids import ResourceId
from sandbox.arm.resources import Body
from sandbox.arm.storage_bodies import stamp
from sandbox.clock import SandboxClock
from sandbox.kql import KqlError, Query, compile_query

PATH = "/providers/Microsoft.ResourceGraph/resources"
API_VERSIONS = ("2024-04-01", "2022-10-01", "2021-03-01")
_PAGE = 1000  # docs: governance/resource-graph/concepts/work-with-data
_QUERIES, _WINDOW = 15, timedelta(seconds=5)  # recorded: x-ms-user-quota-*
_COLUMNS = (  # recorded: c7n_resource_graph_storage.json
    "type",
    "id",
    "sku",
    "name",
    "kind",
    "plan",
    "tags",
    "location",
    "properties",
    "resourceGroup",
    "subscriptionId",
    "managedBy",
    "identity",
    "zones",
    "tenantId",
)
_ABSENT: Body = {"kind": "", "managedBy": "", "tags": {}}
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})\d{4}Z")


class ResourceGraph:
    """Answers ``POST /providers/Microsoft.ResourceGraph/resources``.

    A row is what the provider last sent, at least ``lag`` ago. What the caller may not read is
    left out without a word. Facets, management groups and tables are refused.
    """

    def __init__(self, arm: Arm, clock: SandboxClock) -> None:
        self.lag = timedelta(0)
        """How far behind the providers the answers are, in sandbox time."""
        self._arm = arm
        self._clock = clock
        self._lock = RLock()
        self._windows: dict[str, tuple[datetime, int]] = {}
        arm.serve("POST", PATH, self._answer)

    def _answer(self, call: ArmCall) -> tuple[int, Body, Mapping[str, str]]:
        if call.api_version not in API_VERSIONS:
            raise errors.api_version_invalid(call.api_version, API_VERSIONS)
        quota = self._quota(call.principal)
        try:
            return 200, self._page(call, call.json()), quota
        except ArmError as error:
            error.headers = {**quota, **error.headers}
            raise

    def _page(self, call: ArmCall, request: Body) -> Body:
        options = self._options(request)
        top, text = options.get("$top", _PAGE), str(request.get("query", ""))
        start = self._start(options, text)
        query = self._compiled(text)
        rows = query.run(self._rows(call, self._subscriptions(call, request)))
        page = rows[start : start + top]
        more = start + len(page) < len(rows)
        answer: Body = {
            "totalRecords": len(rows),
            "count": len(page),
            "data": page,
            "facets": [],
            # Said only where the rest cannot be had (docs: concepts/work-with-data, paging).
            "resultTruncated": "true" if more and query.limited else "false",
        }
        if more and not query.limited:
            answer["$skipToken"] = _token(text, start + len(page))
        return answer

    def _rows(self, call: ArmCall, subscriptions: set[str]) -> list[Body]:
        known = self._arm.resources.snapshot(self._clock.now() - self.lag)
        return [
            _row(identifier, body, call.tenant_id)
            for identifier, body in known
            if identifier.subscription.lower() in subscriptions
            and self._arm.rbac.permits(call.principal, f"{identifier.type}/read", str(identifier))
        ]

    def _subscriptions(self, call: ArmCall, request: Body) -> set[str]:
        """Return the subscriptions to look in, in lower case: those asked for that are visible.

        Raises:
            ArmError: 400: none is left (code and text: aztfexport#491).
        """
        asked = [str(each).lower() for each in request.get("subscriptions") or []]
        seen = {
            each.id.lower()
            for each in self._arm.resources.subscriptions()
            if self._arm.rbac.sees(call.principal, each.id)
        }
        found = seen & set(asked) if asked else seen
        if not found:
            raise self._refused(
                "NoValidSubscriptionsInQueryRequest",
                "There must be at least one subscription that is eligible to contain resources. "
                f"Given: '{','.join(asked)}'.",
            )
        return found

    def _options(self, request: Body) -> Body:
        options: Body = request.get("options") or {}
        top = options.get("$top", _PAGE)
        unsupported = request.get("facets") or request.get("managementGroups")
        if unsupported or options.get("resultFormat", "objectArray") != "objectArray":
            raise self._refused(
                "UnsupportedInSandbox",
                "The sandbox answers object arrays for subscriptions, without facets.",
            )
        if not isinstance(top, int) or not 1 <= top <= _PAGE:
            raise self._refused("InvalidTop", f"$top must lie between 1 and {_PAGE}: {top!r}.")
        return options

    def _start(self, options: Body, text: str) -> int:
        token = options.get("$skipToken")
        if token is None:
            return int(options.get("$skip", 0))
        try:
            digest, start = json.loads(base64.b64decode(str(token), validate=True))
            position = int(start)
        except (ValueError, TypeError) as error:
            raise self._refused("InvalidSkipToken", "The $skipToken is invalid.") from error
        if digest != _digest(text):
            message = "The $skipToken was made for another query."
            raise self._refused("InvalidSkipToken", message)
        return position

    def _compiled(self, text: str) -> Query:
        try:
            return compile_query(text, _COLUMNS)
        except KqlError as error:
            place = {
                "code": "ParserFailure",
                "message": "ParserFailure",
                "line": error.line,
                "characterPositionInLine": error.position,
                "token": error.token,
                "expectedToken": "Ǐ",  # as recorded, whatever it means
            }
            message = (
                "Query is invalid. Please refer to the documentation for the Azure Resource Graph "
                "service and fix the error before retrying."
            )
            raise self._refused("InvalidQuery", message, place) from error

    def _refused(self, code: str, message: str, *more: Body) -> ArmError:
        """Return the recorded envelope of a refusal (py_resources_malformed_query.json)."""
        support = (
            "Please provide below info when asking for support: timestamp = "
            f"{stamp(self._clock.now())}, correlationId = {uuid4()}."
        )
        details = [{"code": code, "message": message}, *more]
        return ArmError(400, "BadRequest", support, details=details)

    def _quota(self, principal: str) -> dict[str, str]:
        """Count a query; return the recorded headers.

        Raises:
            ArmError: 429, where the limits of ARM are enforced.
        """
        with self._lock:
            now = self._clock.now()
            since, used = self._windows.get(principal, (now, 0))
            if now - since >= _WINDOW:
                since, used = now, 0
            self._windows[principal] = (since, used + 1)
        left = max(_QUERIES - used - 1, 0)
        headers = {
            "x-ms-ratelimit-remaining-tenant-resource-requests": str(left),
            "x-ms-user-quota-remaining": str(left),
            "x-ms-user-quota-resets-after": "00:00:05",
        }
        if used >= _QUERIES and self._arm.quota.enforced:
            message = "Please provide below info when asking for support: rate limited."
            raise ArmError(429, "RateLimiting", message, headers=headers)
        return headers


def _row(identifier: ResourceId, body: Body, tenant_id: str) -> Body:
    """Return a body as a row: type and group in lower case, times in milliseconds (recorded)."""
    row = {name: body.get(name, _ABSENT.get(name)) for name in _COLUMNS}
    row["type"] = identifier.type.lower()
    row["resourceGroup"] = identifier.group.lower()
    row["subscriptionId"] = identifier.subscription
    row["tenantId"] = tenant_id
    row["properties"] = _in_milliseconds(body["properties"])
    return row


def _in_milliseconds(value: Any) -> Any:  # noqa: ANN401 - any JSON in, the same shape out
    match value:
        case dict():
            return {name: _in_milliseconds(each) for name, each in value.items()}
        case list():
            return [_in_milliseconds(each) for each in value]
        case str():
            return _MOMENT.sub(r"\g<1>0000Z", value)
        case _:
            return value


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]


def _token(text: str, start: int) -> str:
    return base64.b64encode(json.dumps([_digest(text), start]).encode()).decode()
