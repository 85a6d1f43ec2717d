"""HTTP: the managed keys, what would become of one, and the wish to rotate it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from msgspec import Meta, Struct
from msgspec.structs import replace

from functions import cursors
from functions.operations import AFTER, Answered, Asked, NoBody, NoQuery, Operation, Paging
from functions.problems import RequestError
from shared.domain.callers import Role
from shared.domain.clouds import Cloud
from shared.domain.errors import NotAllowedError
from shared.domain.key_views import KeyPage, KeySummary, KeyView, PlanView
from shared.domain.keys import Key
from shared.domain.views import Accepted
from shared.usecases.ask import AskForRotation
from shared.usecases.plan_key import PlanKey
from shared.usecases.show_keys import ShowKeys

type Reason = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=500,
        pattern=r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$(?!\n)",
        description="Why, for whoever reads the record later, in one line.",
    ),
]


class KeysQuery(Paging, frozen=True, kw_only=True):
    """Which keys."""

    after: Annotated[
        str,
        Meta(pattern=r"^([0-9a-z.-]+/[0-9a-z-]+)?$", max_length=300, description=AFTER),
    ] = ""
    vault: Annotated[
        str,
        Meta(
            pattern=r"^[0-9A-Za-z.-]*$",
            max_length=200,
            description="Name or host of a vault; all, if not given.",
        ),
    ] = ""


class PlanQuery(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Which page of which plan."""

    new_version: Annotated[
        bool, Meta(description="Plan for a version that is yet to be made, not for the newest one.")
    ] = False
    after: Annotated[
        str,
        Meta(
            pattern=r"^[0-9A-Za-z_-]*$",
            max_length=cursors.MOST,
            description=AFTER,
        ),
    ] = ""


class RotateBody(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What is wanted of a key."""

    reason: Reason
    new_version: Annotated[
        bool,
        Meta(
            description="Have the vault make a version first. If not, consumers are moved to the"
            " newest one that there is."
        ),
    ] = True
    dry_run: Annotated[
        bool, Meta(description="Do nothing: answer with what would be done, as the plan does.")
    ] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysApi:
    """Handlers of the keys' operations.

    Attributes:
        show, plan, ask: Return the use cases; called for a request, not at indexing.
        cloud: Whose vault hosts are vault hosts.
        vaults: Hosts of the vaults that may be managed.
        now: Returns the current time.
    """

    show: Callable[[], ShowKeys]
    plan: Callable[[], PlanKey]
    ask: Callable[[], AskForRotation]
    cloud: Cloud
    vaults: frozenset[str]
    now: Callable[[], datetime]

    def operations(self) -> Iterator[Operation[Any, Any]]:
        """Yield them."""
        yield Operation(
            name="list_keys",
            method="GET",
            route="keys",
            needs=Role.AUDITOR,
            run=self.list_keys,
            answers={HTTPStatus.OK: KeyPage[KeySummary]},
            query=KeysQuery,
            body=NoBody,
        )
        yield Operation(
            name="get_key",
            method="GET",
            route="keys/{vault}/{key}",
            needs=Role.AUDITOR,
            run=self.get_key,
            answers={HTTPStatus.OK: KeyView},
            query=NoQuery,
            body=NoBody,
        )
        yield Operation(
            name="plan_key",
            method="GET",
            route="keys/{vault}/{key}/plan",
            needs=Role.AUDITOR,
            run=self.plan_key,
            answers={HTTPStatus.OK: PlanView},
            query=PlanQuery,
            body=NoBody,
        )
        yield Operation(
            name="rotate_key",
            method="POST",
            route="keys/{vault}/{key}/rotate",
            needs=Role.OPERATOR,
            run=self.rotate_key,
            answers={HTTPStatus.OK: PlanView, HTTPStatus.ACCEPTED: Accepted},
            query=NoQuery,
            body=RotateBody,
            takes_once=True,
        )

    def list_keys(self, asked: Asked[KeysQuery, NoBody]) -> KeyPage[KeySummary]:
        """List the managed keys.

        The names come from the vaults, the rest from what Keyturn has kept: see `watchedAt`. A
        vault that cannot be listed is named in `unlisted`.
        """
        query = asked.query
        vault = self._vault(query.vault) if query.vault else ""
        page = self.show().run(vault=vault, after=query.after, limit=query.limit)
        return replace(page, next=asked.next(page.next or ""))

    def get_key(self, asked: Asked[NoQuery, NoBody]) -> KeyView:
        """Show a key: its versions, their age and end, and how many known consumers use each."""
        return self.show().one(self._key(asked))

    def plan_key(self, asked: Asked[PlanQuery, NoBody]) -> PlanView:
        """Say what a rotation would do, from a fresh read of every resource. Nothing is written.

        A page has as many resources as fit into the time that a caller waits. Follow `next` to
        the end: an empty page may have one.
        """
        return self._planned(asked, asked.query)

    def rotate_key(self, asked: Asked[NoQuery, RotateBody]) -> Answered | PlanView:
        """Have consumers of a key moved to its newest version, or to one that is made first.

        With an `Idempotency-Key` the same wish can be sent again, when its answer was lost: it is
        one wish, and makes one version.
        """
        key, body = self._key(asked), asked.body
        if body.dry_run:
            return self._planned(asked, PlanQuery(new_version=body.new_version))
        request = self.ask().run(
            key,
            reason=body.reason.strip(),
            new_version=body.new_version,
            by=asked.by,
            once=asked.once,
        )
        state = "needs_approval" if request.needs_approval else "requested"
        state = "cancelled" if request.cancelled else state
        return Answered(
            Accepted(id=request.id, state=state),
            HTTPStatus.ACCEPTED,
            location=f"/api/rotations/{request.id}",
        )

    def _planned(self, asked: Asked[Any, Any], query: PlanQuery) -> PlanView:
        key = self._key(asked)
        place = cursors.decode(query.after, self.now()) if query.after else None
        view, following = self.plan().run(key, new_version=query.new_version, place=place)
        if following is None:
            return view
        pages = _plan_alone(asked, replace(query, after=""))
        return replace(view, next=pages.next(cursors.encode(following)))

    def _key(self, asked: Asked[Any, Any]) -> Key:
        host = self._vault(asked.path["vault"])
        return Key.parse(f"https://{host}/keys/{asked.path['key']}")

    def _vault(self, name: str) -> str:
        try:
            host = self.cloud.vault_host(name)
        except NotAllowedError as error:
            raise RequestError(HTTPStatus.BAD_REQUEST, str(error)) from None
        if host not in self.vaults:
            raise NotAllowedError(f"{host} is not on the allow-list (KEYTURN_VAULTS)")
        return host


def _plan_alone(asked: Asked[Any, Any], query: PlanQuery) -> Asked[PlanQuery, NoBody]:
    """Return the request for the plan alone, whose pages follow from a GET of it."""
    return Asked(
        by=asked.by,
        path=asked.path,
        query=query,
        body=NoBody(),
        once="",
        url=asked.url.removesuffix("/rotate").removesuffix("/plan") + "/plan",
    )
