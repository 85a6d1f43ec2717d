"""HTTP: what Keyturn sees, how it is, and what its API is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

from msgspec import Meta
from msgspec.structs import replace

from functions.operations import AFTER, Answered, Asked, NoBody, NoQuery, Operation, Paging
from shared.domain.app_views import Alive, Health, HealthView, ScopeView
from shared.domain.callers import Role
from shared.usecases.check_readiness import CheckReadiness
from shared.usecases.show_scope import ShowScope


class ScopeQuery(Paging, frozen=True, kw_only=True):
    """Which subscriptions: each is asked for our rights in it while the caller waits."""

    after: Annotated[str, Meta(pattern=r"^([0-9a-f-]{36})?$", description=AFTER)] = ""
    limit: Annotated[int, Meta(ge=1, le=100, description="How many items a page has.")] = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusApi:
    """Handlers of the operations about Keyturn itself.

    Attributes:
        readiness, scope: Return the use cases; called for a request, not at indexing.
        document: Returns the OpenAPI document of every operation.
    """

    readiness: Callable[[], CheckReadiness]
    scope: Callable[[], ShowScope]
    document: Callable[[], bytes]

    def operations(self) -> Iterator[Operation[Any, Any]]:
        """Yield them."""
        yield Operation(
            name="get_scope",
            method="GET",
            route="scope",
            needs=Role.AUDITOR,
            run=self.get_scope,
            answers={HTTPStatus.OK: ScopeView},
            query=ScopeQuery,
            body=NoBody,
        )
        yield Operation(
            name="get_health",
            method="GET",
            route="health",
            needs=Role.AUDITOR,
            run=self.get_health,
            answers={HTTPStatus.OK: HealthView, HTTPStatus.SERVICE_UNAVAILABLE: HealthView},
            query=NoQuery,
            body=NoBody,
        )
        yield Operation(
            name="get_liveness",
            method="GET",
            route="health/live",
            needs=None,
            run=self.get_liveness,
            answers={HTTPStatus.OK: Alive},
            query=NoQuery,
            body=NoBody,
        )
        yield Operation(
            name="get_openapi",
            method="GET",
            route="openapi.json",
            needs=Role.AUDITOR,
            run=self.get_openapi,
            answers={HTTPStatus.OK: dict[str, Any]},
            query=NoQuery,
            body=NoBody,
        )

    def get_scope(self, asked: Asked[ScopeQuery, NoBody]) -> ScopeView:
        """Say where consumers are looked for, and what of it can be read just now."""
        found = self.scope().run(after=asked.query.after, limit=asked.query.limit)
        return replace(found, next=asked.next(found.next or ""))

    def get_health(self, _: Asked[NoQuery, NoBody]) -> Answered:
        """Try what a rotation needs, part by part. 503 if one of them fails."""
        found = self.readiness().run()
        failed = found.status is Health.FAIL
        return Answered(found, HTTPStatus.SERVICE_UNAVAILABLE if failed else HTTPStatus.OK)

    def get_liveness(self, _: Asked[NoQuery, NoBody]) -> Alive:
        """Say that the app runs, and nothing more. Anybody may ask."""
        return Alive(status="alive")

    def get_openapi(self, _: Asked[NoQuery, NoBody]) -> Answered:
        """Return this document."""
        return Answered(self.document())
