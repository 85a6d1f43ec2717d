"""HTTP: how rotations stand, and what a person may do about one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from functions.keys_api import Reason
from functions.operations import AFTER, Answered, Asked, NoBody, NoQuery, Operation, Paging
from functions.problems import RequestError
from shared.catalog import KINDS
from shared.domain.callers import Caller, Role
from shared.domain.errors import NotFoundError
from shared.domain.keys import Key
from shared.domain.verdicts import Verdict
from shared.domain.views import (
    Accepted,
    ConsumerView,
    Page,
    RequestView,
    RotationSummary,
    RotationView,
    State,
)
from shared.usecases.history import ListConsumers, ListRequests, ListRotations
from shared.usecases.report import ReportRotation
from shared.usecases.settle_by_hand import SettleByHand
from shared.usecases.steer import SteerRotation

type Action = Literal["pause", "resume", "cancel", "retry", "approve"]


class RotationsQuery(Paging, frozen=True, kw_only=True):
    """Which rotations."""

    after: Annotated[
        str, Meta(pattern=r"^([0-9]{15}-[0-9a-f]{20}-[0-9]{1,9})?$", description=AFTER)
    ] = ""
    key: Annotated[
        str,
        Meta(
            pattern=r"^(https://[0-9A-Za-z.-]+/keys/[0-9A-Za-z-]{1,127})?$",
            max_length=400,
            description="URL of a key; rotations of all, if not given.",
        ),
    ] = ""
    state: Annotated[State | None, Meta(description="Only those in this state.")] = None


class RequestsQuery(Paging, frozen=True, kw_only=True):
    """Which requests."""

    after: Annotated[str, Meta(pattern=r"^([0-9a-z-]{1,64})?$", description=AFTER)] = ""


class ConsumersQuery(Paging, frozen=True, kw_only=True):
    """Which consumers."""

    after: Annotated[str, Meta(pattern=r"^([0-9]{1,2}-[0-9a-f]{32})?$", description=AFTER)] = ""
    verdict: Annotated[Verdict | None, Meta(description="Only those with this verdict.")] = None
    kind: Annotated[
        str,
        Meta(
            pattern=f"^({'|'.join(kind.id for kind in KINDS)})?$",
            description="Only those of this kind: `storage_account`.",
        ),
    ] = ""


class SteerBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why."""

    reason: Reason


class SettleBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was moved by hand, and how."""

    resource: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=2000,
            pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)",
            description="The `resource` of a consumer whose verdict is `manual`, as the list of"
            " consumers has it: all its references are settled.",
        ),
    ]
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationsApi:
    """Handlers of the rotations' operations.

    Attributes:
        report, rotations, requests, consumers, steer, settle: Return the use cases; called for a
            call, not at indexing.
    """

    report: Callable[[], ReportRotation]
    rotations: Callable[[], ListRotations]
    requests: Callable[[], ListRequests]
    consumers: Callable[[], ListConsumers]
    steer: Callable[[], SteerRotation]
    settle: Callable[[], SettleByHand]

    def operations(self) -> Iterator[Operation[Any, Any]]:
        """Yield them."""
        yield Operation(
            name="list_rotations",
            method="GET",
            route="rotations",
            needs=Role.AUDITOR,
            run=self.list_rotations,
            answers={HTTPStatus.OK: Page[RotationSummary]},
            query=RotationsQuery,
            body=NoBody,
        )
        yield Operation(
            name="get_rotation",
            method="GET",
            route="rotations/{id}",
            needs=Role.AUDITOR,
            run=self.get_rotation,
            answers={HTTPStatus.OK: RotationView | RequestView},
            query=NoQuery,
            body=NoBody,
        )
        yield Operation(
            name="list_consumers",
            method="GET",
            route="rotations/{id}/consumers",
            needs=Role.AUDITOR,
            run=self.list_consumers,
            answers={HTTPStatus.OK: Page[ConsumerView]},
            query=ConsumersQuery,
            body=NoBody,
        )
        yield Operation(
            name="list_requests",
            method="GET",
            route="requests",
            needs=Role.AUDITOR,
            run=self.list_requests,
            answers={HTTPStatus.OK: Page[RequestView]},
            query=RequestsQuery,
            body=NoBody,
        )
        yield self._steering("pause", Role.OPERATOR, self.pause)
        yield self._steering("resume", Role.OPERATOR, self.resume)
        yield self._steering("cancel", Role.OPERATOR, self.cancel)
        yield self._steering("retry", Role.OPERATOR, self.retry)
        yield self._steering("approve", Role.APPROVER, self.approve)
        yield Operation(
            name="settle_consumer",
            method="POST",
            route="rotations/{id}/settle",
            needs=Role.OPERATOR,
            run=self.settle_consumer,
            answers={HTTPStatus.ACCEPTED: Accepted},
            query=NoQuery,
            body=SettleBody,
        )

    def list_rotations(self, asked: Asked[RotationsQuery, NoBody]) -> Page[RotationSummary]:
        """List rotations, the newest first.

        With a filter a page may be short, and have a next one all the same.
        """
        query = asked.query
        key = Key.parse(query.key) if query.key else None
        page = self.rotations().run(
            key=key, state=query.state, after=query.after, limit=query.limit
        )
        return Page(items=page.items, next=asked.next(page.after))

    def get_rotation(self, asked: Asked[NoQuery, NoBody]) -> RotationView | RequestView:
        """Say how a rotation stands, or what became of the request for one."""
        rotation = _id(asked)
        found = self.report().run(rotation)
        if found is None:
            raise NotFoundError(f"no rotation and no request has the id {rotation!r}")
        return found

    def list_requests(self, asked: Asked[RequestsQuery, NoBody]) -> Page[RequestView]:
        """List the requests of which nothing has come yet: for an approver, or for the vault.

        Their ids are taken wherever a rotation's is.
        """
        query = asked.query
        page = self.requests().run(after=query.after, limit=query.limit)
        return Page(items=page.items, next=asked.next(page.after))

    def list_consumers(self, asked: Asked[ConsumersQuery, NoBody]) -> Page[ConsumerView]:
        """List the consumers of a rotation, all of them, in an order that stays the same."""
        query = asked.query
        page = self.consumers().run(
            _id(asked),
            verdict=query.verdict,
            kind=query.kind,
            after=query.after,
            limit=query.limit,
        )
        return Page(items=page.items, next=asked.next(page.after))

    def pause(self, asked: Asked[NoQuery, SteerBody]) -> Answered:
        """Let nothing more be written; what was written is still proven."""
        return _steered("pause", self.steer().pause, asked)

    def resume(self, asked: Asked[NoQuery, SteerBody]) -> Answered:
        """Let a paused rotation go on, whatever has failed so far."""
        return _steered("resume", self.steer().resume, asked)

    def cancel(self, asked: Asked[NoQuery, SteerBody]) -> Answered:
        """Stop a rotation for good. Nothing is rolled back: what has moved stays.

        A request for a new version is taken back, as long as the vault was not asked for it.
        """
        return _steered("cancel", self.steer().cancel, asked)

    def retry(self, asked: Asked[NoQuery, SteerBody]) -> Answered:
        """Take up again what ended unsettled; of a rotation that has ended, in a new run."""
        return _steered("retry", self.steer().retry, asked)

    def approve(self, asked: Asked[NoQuery, SteerBody]) -> Answered:
        """Let a rotation that needs it begin writes, or a request have its version made.

        Who asked for it may not. The approval lasts as long as the policy says.
        """
        return _steered("approve", self.steer().approve, asked)

    def settle_consumer(self, asked: Asked[NoQuery, SettleBody]) -> Answered:
        """Record who says that a `manual` consumer was moved by hand, where no read can prove it.

        It stays `manual` and is never proven; the rotation counts it as answered for, also one that
        has ended. It is read first: what is proven by now is for `retry`, and what is read on an
        older version is refused (409), with what was read. It holds for this version of the key. A
        function key names nobody, and is refused (403).
        """
        body = asked.body
        done = self.settle().run(_id(asked), body.resource, body.reason.strip(), asked.by)
        return _accepted(done, "settle")

    def _steering(
        self, action: Action, needs: Role, run: Callable[[Asked[NoQuery, SteerBody]], Answered]
    ) -> Operation[NoQuery, SteerBody]:
        return Operation(
            name=f"{action}_rotation",
            method="POST",
            route=f"rotations/{{id}}/{action}",
            needs=needs,
            run=run,
            answers={HTTPStatus.ACCEPTED: Accepted},
            query=NoQuery,
            body=SteerBody,
        )


def _steered(
    action: Action, steer: Callable[[str, str, Caller], str], asked: Asked[NoQuery, SteerBody]
) -> Answered:
    return _accepted(steer(_id(asked), asked.body.reason.strip(), asked.by), action)


def _accepted(rotation: str, action: str) -> Answered:
    return Answered(
        Accepted(id=rotation, state=f"{action} accepted"),
        HTTPStatus.ACCEPTED,
        location=f"/api/rotations/{rotation}",
    )


def _id(asked: Asked[Any, Any]) -> str:
    """Return the id of the route: it names rows, and a row key holds no such characters."""
    text = asked.path["id"]
    if not text.isascii() or len(text) > 64 or not text.replace("-", "").isalnum():  # noqa: PLR2004 - ours have 41
        detail = f"no rotation and no request has the id {text[:100]!r}"
        raise RequestError(HTTPStatus.NOT_FOUND, detail)
    return text
