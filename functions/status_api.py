"""HTTP: what Keyturn sees, how it is, and what its API is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from msgspec.structs import replace

from functions.operations import Answered, Asked, NoBody, NoQuery, Operation, Paging
from shared.domain.callers import Role
from shared.domain.views import Alive, Health, HealthView, ScopeView
from shared.usecases.check_readiness import CheckReadiness
from shared.usecases.show_scope import ShowScope


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
            query=Paging,
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

    def get_scope(self, asked: Asked[Paging, NoBody]) -> ScopeView:
        """Say where consumers are looked for, and what of it can be read just now."""
        limit = min(asked.query.limit, 100)
        found = self.scope().run(after=asked.query.after, limit=limit)
        after = found.items[-1].id if len(found.items) == limit else ""
        return replace(found, next=asked.next(after))

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
