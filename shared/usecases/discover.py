"""Find every consumer of a key, page by page."""

import itertools
import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from shared.catalog import KINDS, kind_of
from shared.domain.errors import (
    InvalidResourceIdError,
    PermanentError,
    RowConflictError,
    UnreadableError,
)
from shared.domain.json_paths import Json, text_at
from shared.domain.keys import Key, KeyVersion
from shared.domain.kinds import Kind
from shared.domain.plans import references_to
from shared.domain.resources import ResourceId, digest
from shared.domain.rows import Known, Phase, Rotation, Search
from shared.domain.steps import Discover
from shared.domain.verdicts import Verdict
from shared.domain.work import Wave, Work, close
from shared.ports import Clock, Inventory, Kept, Queue, Resources, Rows
from shared.usecases.active import head_if_active
from shared.usecases.ledger import Ledger

logger = logging.getLogger(__name__)

BATCH = 100
"""Subscriptions in one query: Resource Graph's guidance is to stay below 300."""

KNOWN_PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoverConsumers:
    """Read one page of the inventory and keep work for each resource that refers to the key.

    The inventory is asked for what names the *vault*; which resources refer to the *key* is then
    decided by the catalog's paths. Resources known from earlier rotations are added, since the
    inventory lags. One page is held at a time, whatever the estate's size. Nothing is written to
    before the supervisor releases it. The closing scan is the same over again.

    Attributes:
        declared: Ids of the subscriptions that must be searched; empty: every one that we see.
    """

    inventory: Inventory
    resources: Resources
    rows: Rows
    queue: Queue
    clock: Clock
    ledger: Ledger
    declared: frozenset[str]

    def run(self, step: Discover) -> None:
        """See the class. An inventory that refuses the query fails the rotation, with the cause."""
        kept = self.rows.load(Rotation, step.rotation, "rotation")
        if kept is None or head_if_active(self.rows, kept.row) is None:
            return
        if kept.row.phase is not (Phase.CLOSING if step.closing else Phase.DISCOVERING):
            return  # it is finished: the message came twice
        search = self._search(step)
        if search.row.page != step.page:
            return
        try:
            done = self._next(search.row, kept.row)
        except PermanentError as error:
            logger.error("rotation %s: consumers cannot be found: %s", step.rotation, error)  # noqa: TRY400 - no bug of ours
            self.rows.replace(kept, replace(kept.row, problem=str(error)))
            return
        if done is None:
            self._finish(kept, search.row)
            return
        turned = replace(done, page=search.row.page + 1, at=self.clock.now())
        self.rows.replace(search, turned)
        self.queue.send(replace(step, page=turned.page, attempt=0))

    def put_off(self, step: Discover, until: datetime) -> None:
        """Note that the page is put off: the search is not silent before then."""
        search = self._search(step)
        if search.row.page == step.page:
            with suppress(RowConflictError):  # somebody has turned the page
                self.rows.replace(search, replace(search.row, at=until))

    def _search(self, step: Discover) -> Kept[Search]:
        fresh = Search(rotation=step.rotation, closing=step.closing, at=self.clock.now())
        kept = self.rows.load(Search, *fresh.address)
        while kept is None:
            kept = self.rows.insert(fresh) or self.rows.load(Search, *fresh.address)
        return kept

    def _next(self, search: Search, rotation: Rotation) -> Search | None:
        """Do one page; return how far the search has come; ``None``: to the end."""
        if search.known_after is not None:
            return self._known_page(search, rotation)
        return self._page(search, rotation) if search.batch else self._next_batch(search)

    def _page(self, search: Search, rotation: Rotation) -> Search:
        key = Key.parse(rotation.key)
        page = self.inventory.page(vault=key.vault, subscriptions=search.batch, token=search.token)
        if head_if_active(self.rows, rotation) is None:
            raise RowConflictError(f"rotation {rotation.id} ended while its inventory was read")
        canaries = list(search.canaries)
        for body in page.resources:
            self._consider(body, rotation, canaries, closing=search.closing)
        batch = search.batch if page.token else ()
        return replace(search, batch=batch, token=page.token, canaries=tuple(canaries))

    def _next_batch(self, search: Search) -> Search:
        """Go on with the next subscriptions: by id, so that one that appears shifts no other.

        One in which we may not read everything is searched too, but counted as unreadable:
        Resource Graph leaves out what we may not read, and does not say so.
        """
        visible = self.resources.subscriptions()
        left = [s for s in sorted(self.declared) or visible if s > search.after][:BATCH]
        if not left:
            return replace(search, known_after="")
        whole = {s for s in left if s in visible and self.resources.may_read(s, KINDS)}
        hidden = tuple(s for s in left if s not in whole)
        return replace(
            search,
            after=left[-1],
            batch=tuple(s for s in left if s in visible),
            scope=search.scope.plus(readable=len(whole), unreadable=hidden),
        )

    def _known_page(self, search: Search, rotation: Rotation) -> Search | None:
        """Add what earlier rotations have seen, and the inventory does not show (any more)."""
        after = f"RowKey gt '{search.known_after}'"
        known = self.rows.scan(Known, digest(rotation.key), where=after)
        page = [kept.row for kept in itertools.islice(known, KNOWN_PAGE)]
        for known_resource in page:
            if known_resource.holds and known_resource.rotation != rotation.id:
                self._add(_work_of(known_resource, rotation))
        if len(page) < KNOWN_PAGE:
            return None
        return replace(search, known_after=page[-1].address[1])

    def _finish(self, kept: Kept[Rotation], search: Search) -> None:
        logger.info("rotation %s: searched %s", kept.row.id, search.scope)
        phase = Phase.CONFIRMING if search.closing else Phase.MOVING
        done = replace(kept.row, phase=phase, scope=search.scope, discovered_at=self.clock.now())
        self.rows.replace(kept, done)

    def _consider(
        self, body: Json, rotation: Rotation, canaries: list[str], *, closing: bool
    ) -> None:
        target = KeyVersion.parse(rotation.target)
        kind = kind_of(text_at(body, "type"))
        pinned = _pinned(kind, body, target.key) if kind else []
        if kind is None or pinned == []:
            return
        # What is in a form unknown to us counts as needing a write: a fresh read decides.
        is_moving = pinned is None or any(version not in (None, target) for version in pinned)
        wave = Wave.REST if is_moving else Wave.NO_WRITE
        if wave is Wave.REST and kind.id not in canaries and not closing:
            canaries.append(kind.id)
            wave = Wave.CANARY
        work = Work(
            rotation=rotation.id,
            key=rotation.key,
            resource=text_at(body, "id"),
            kind=kind.id,
            location=text_at(body, "location"),
            found_at=self.clock.now(),
            wave=wave,
        )
        self._add(work)

    def _add(self, work: Work) -> None:
        try:
            ResourceId.parse(work.resource)
        except InvalidResourceIdError as error:
            advice = "report it, and look at the resource by hand"
            now = self.clock.now()
            work = close(work, Verdict.UNKNOWN, now, reason=str(error), advice=advice)
        self.ledger.add(work)


def _work_of(known: Known, rotation: Rotation) -> Work:
    return Work(
        rotation=rotation.id,
        key=rotation.key,
        resource=known.resource,
        kind=known.kind,
        location=known.location,
        found_at=rotation.opened_at,
    )


def _pinned(kind: Kind, body: Json, key: Key) -> list[KeyVersion | None] | None:
    """Return what the references to ``key`` pin; ``None``: they are in a form unknown to us."""
    try:
        return [reference.pinned for reference in references_to(kind, body, key)]
    except UnreadableError:
        return None
