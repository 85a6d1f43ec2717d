"""The HTTP API in this process: the app's own operations at a bench, and their callers."""

import base64
import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import azure.functions as func

from functions import openapi
from functions.access import PRINCIPAL
from functions.keys_api import KeysApi
from functions.operations import Api, Asked, Operation
from functions.rotations_api import RotationsApi
from functions.status_api import StatusApi
from shared.domain.callers import Caller, Role
from shared.domain.records import Call
from tests.usecases.bench import Bench

TENANT = "5d0f8e4a-4b1f-4a57-9d35-0f6c6d5f0a01"
type Claims = list[tuple[str, str]]


@dataclass(frozen=True)
class Person:
    """Somebody who has signed in."""

    name: str
    roles: tuple[str, ...]

    @property
    def caller(self) -> Caller:
        return Caller(id=f"{TENANT}/{self.name}-object", name=f"{self.name}@contoso.com")

    @property
    def headers(self) -> dict[str, str]:
        claims = [("tid", TENANT), ("oid", f"{self.name}-object")]
        claims += [("preferred_username", f"{self.name}@contoso.com")]
        return {PRINCIPAL: header([*claims, *(("roles", role) for role in self.roles)])}


AUDITOR = Person("ada", (Role.AUDITOR,))
OPERATOR = Person("otto", (Role.OPERATOR,))
APPROVER = Person("ines", (Role.APPROVER,))
BOTH = Person("bea", (Role.OPERATOR, Role.APPROVER))
GUEST = Person("gus", ())


def header(claims: Claims, auth_typ: object = "aad") -> str:
    """Return App Service's header for a token with these claims."""
    listed = [{"typ": name, "val": value} for name, value in claims]
    principal = {"auth_typ": auth_typ, "claims": listed, "name_typ": "name", "role_typ": "roles"}
    return base64.b64encode(json.dumps(principal).encode()).decode()


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def body(self) -> Any:  # noqa: ANN401 - JSON
        return json.loads(self.content)


@dataclass
class CalledApi:
    """The operations at a bench. Their rows, queue and Azure are the bench's, and so is the time.

    Attributes:
        app_service_auth: Whether App Service authentication is on.
    """

    bench: Bench
    app_service_auth: bool = False
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        bench, wiring = self.bench, self.bench.wiring
        self.api = Api(
            app_service_auth=self.app_service_auth,
            audit=lambda: bench.mortal(wiring.audit),
            now=bench.clock.now,
        )
        keys = KeysApi(
            show=lambda: bench.mortal(wiring.show_keys),
            plan=lambda: bench.mortal(wiring.plan_key),
            ask=lambda: bench.mortal(wiring.ask),
            cloud=wiring.settings.cloud,
            vaults=wiring.settings.vaults,
            now=bench.clock.now,
        )
        rotations = RotationsApi(
            report=lambda: bench.mortal(wiring.report),
            rotations=lambda: bench.mortal(wiring.list_rotations),
            requests=lambda: bench.mortal(wiring.list_requests),
            consumers=lambda: bench.mortal(wiring.list_consumers),
            steer=lambda: bench.mortal(wiring.steer),
            settle=lambda: bench.mortal(wiring.settle_by_hand),
        )
        status = StatusApi(
            readiness=lambda: bench.mortal(wiring.readiness),
            scope=lambda: bench.mortal(wiring.scope),
            document=lambda: openapi.document(self.operations),
        )
        self.operations: list[Operation[Any, Any]] = [
            *keys.operations(),
            *rotations.operations(),
            *status.operations(),
        ]

    def call(
        self,
        method: str,
        url: str,
        body: object = None,
        *,
        by: Person | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Call the API as the Functions host does once it has let the caller in."""
        split = urlsplit(url)
        operation, route = self._route(method, split.path)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = func.HttpRequest(
            method,
            f"https://app.example{url}",
            headers={**(by.headers if by else {}), **(headers or {})},
            params=dict(parse_qsl(split.query, keep_blank_values=True)),
            route_params=route,
            body=b"" if body is None else content,
        )
        answer = self.api.serve(operation, request, f"call-{next(self._numbers)}")
        return Answer(answer.status_code, dict(answer.headers), answer.get_body())

    def get(self, url: str, **how: Any) -> Any:  # noqa: ANN401 - JSON
        """Return what a GET answers, which must be 200."""
        answer = self.call("GET", url, **how)
        assert answer.status == 200, answer.content
        return answer.body

    def pages(self, url: str, **how: Any) -> list[Any]:  # noqa: ANN401 - JSON
        """Return the pages of a list, by following its links as they are."""
        pages, link = [], url
        while link:
            pages.append(self.get(link, **how))
            link = pages[-1]["next"]
            assert len(pages) < 500, "it does not end"
        return pages

    def items(self, url: str, **how: Any) -> list[Any]:  # noqa: ANN401 - JSON
        """Return the items of every page of a list."""
        return [item for page in self.pages(url, **how) for item in page["items"]]

    def calls(self) -> list[Call]:
        """Return the calls on record, oldest first."""
        day = f"{self.bench.clock.now():%Y-%m-%d}"
        return [kept.row for kept in self.bench.rows.scan(Call, day)]

    def _route(self, method: str, path: str) -> tuple[Operation[Any, Any], dict[str, str]]:
        for operation in self.operations:
            pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", f"/api/{operation.route}")
            found = re.fullmatch(pattern, path)
            if found and operation.method == method:
                return operation, {n: unquote(text) for n, text in found.groupdict().items()}
        raise LookupError(f"{method} {path}: the host answers 404")


def answering(called: CalledApi, result: object, name: str = "get_scope") -> CalledApi:
    """Return an API whose operation answers, or raises, something else."""

    def run(_: Asked[Any, Any]) -> object:
        if isinstance(result, Exception):
            raise result
        return result

    told = replace(called)
    told.operations = [
        replace(each, run=run) if each.name == name else each for each in told.operations
    ]
    return told
