"""Find every consumer of a key, page by page."""

import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.catalog import KINDS, find_kind, kind_named, kind_of
from shared.catalog.beside import BESIDE
from shared.catalog.role import SUBSCRIPTIONS_READ
from shared.domain.errors import (
    GoneError,
    InvalidResourceIdError,
    KeyturnError,
    PermanentError,
    RowConflictError,
    TransientError,
    UnreadableError,
)
from shared.domain.json_paths import Json, text_at
from shared.domain.keys import Key, KeyVersion
from shared.domain.kinds import Kind, Plane
from shared.domain.permit import is_canary
from shared.domain.plans import references_to
from shared.domain.resources import ResourceId, digest
from shared.domain.rows import Known, Phase, Place, Rotation, Search
from shared.domain.steps import Discover
from shared.domain.tallies import Tally
from shared.domain.verdicts import Verdict
from shared.domain.work import Wave, Work, close
from shared.ports import Clock, ConfigFiles, FilePage, Inventory, Kept, Queue, Resources, Rows
from shared.usecases.active import head_if_active
from shared.usecases.dependants import FindDependants
from shared.usecases.ledger import Ledger

logger = logging.getLogger(__name__)

BATCH = 100
"""Subscriptions in one query: Resource Graph's guidance is to stay below 300."""

KNOWN_PAGE = 500

MOST_PATIENCE = 12
"""Tries of a page, some forty minutes: then what stands in its way is ``unknown``."""

_CHILDLESS = "FeatureNotSupportedForAccount"
"""Storage accounts that have no such service say so (seen for other services of theirs)."""

_ADVICE = "mend what the message says, or look at it by hand; then rotate again"

PARENTS_TAKE = timedelta(seconds=25)
"""Between two pages of parents: two lists a second, which leaves the providers' budgets room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoverConsumers:
    """Read one page of the inventory and keep work for each resource that refers to the key.

    The inventory is asked for what names the *vault*; which resources refer to the *key* is then
    decided by the catalog's paths. What depends on the key through what was found is asked for by
    name. What the inventory does not hold is listed under its parents, and deployment configs in
    their registered sources. Resources known from earlier rotations are
    added, since the inventory lags. One page is held at a time, whatever the estate's size.
    Nothing is written to before the supervisor releases it. The closing scan is the same over
    again.

    Attributes:
        sources: Where deployment configs lie, as they are registered.
    """

    inventory: Inventory
    resources: Resources
    rows: Rows
    queue: Queue
    clock: Clock
    files: ConfigFiles
    ledger: Ledger
    sources: tuple[str, ...]

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
            done = self._next(search.row, kept.row, patient=step.attempt < MOST_PATIENCE)
        except PermanentError as error:
            logger.error("rotation %s: consumers cannot be found: %s", step.rotation, error)  # noqa: TRY400 - no bug of ours
            self.rows.replace(kept, replace(kept.row, problem=str(error)))
            return
        if done is None:
            self._finish(kept, search.row)
            return
        turned = replace(done, page=search.row.page + 1, at=self.clock.now())
        self.rows.replace(search, turned)
        again = turned.at + PARENTS_TAKE if turned.place is Place.PARENTS and turned.token else None
        self.queue.send(replace(step, page=turned.page, attempt=0), at=again)

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

    def _next(self, search: Search, rotation: Rotation, *, patient: bool) -> Search | None:
        """Do one page; return how far the search has come; ``None``: to the end.

        ``patient``: what cannot be had for a while makes the page be asked for again.
        """
        match search.place:
            case Place.INVENTORY if not search.batch:
                return self._next_batch(search, rotation.rules.subscriptions)
            case Place.INVENTORY:
                return self._page(search, rotation)
            case Place.PARENTS:
                return self._parents_page(search, rotation, patient=patient)
            case Place.FILES:
                return self._files_page(search, rotation, patient=patient)
            case Place.KNOWN:
                return self._known_page(search, rotation)

    def _page(self, search: Search, rotation: Rotation) -> Search:
        key = Key.parse(rotation.key)
        page = self.inventory.page(vault=key.vault, subscriptions=search.batch, token=search.token)
        self._see_it_lives(rotation)
        found = self._considered(page.resources, search, rotation)
        dependants = FindDependants(self.inventory, self.ledger, self.clock)
        dependants.run(page.resources, rotation, search.batch)
        return replace(found, token=page.token, place=found.place if page.token else Place.PARENTS)

    def _parents_page(self, search: Search, rotation: Rotation, *, patient: bool) -> Search:
        """Ask some resources for the children that the inventory does not hold."""
        types = sorted({kind.listed_under for kind in KINDS if kind.listed_under})
        if not types:
            return replace(search, place=Place.INVENTORY, batch=())
        page = self.inventory.parents(types=types, subscriptions=search.batch, token=search.token)
        self._see_it_lives(rotation)
        children = [
            child
            for body in page.resources
            for child in self._children(body, rotation, patient=patient)
        ]
        found = self._considered(children, search, rotation)
        if page.token:
            return replace(found, token=page.token)
        return replace(found, place=Place.INVENTORY, batch=(), token="")

    def _children(self, parent: Json, rotation: Rotation, *, patient: bool) -> Iterator[Json]:
        """Yield a resource's children. What cannot be listed is ``unknown``."""
        path = text_at(parent, "id")
        for kind in KINDS:
            if kind.listed_under.lower() != text_at(parent, "type").lower():
                continue
            try:
                for child in self.resources.children(kind, path):
                    yield {**child, "location": text_at(parent, "location")}
            except GoneError:
                continue
            except (PermanentError, TransientError) as error:
                if isinstance(error, TransientError) and patient:
                    raise
                if getattr(error, "code", "") == _CHILDLESS:
                    continue
                whole = f"{path}/{kind.resource_type.rpartition('/')[2]}"
                self._add_unknown(_work(whole, kind, rotation, self.clock.now()), error)

    def _files_page(self, search: Search, rotation: Rotation, *, patient: bool) -> Search:
        """Read some files of a source. What cannot be listed or read is ``unknown``."""
        sources = sorted(self.sources)
        left = [s for s in sources if s > search.after]
        source = search.after if search.token else left[0] if left else ""
        if not source:
            return replace(search, place=Place.KNOWN, after="")
        page = self._files(source, search.token, rotation, patient=patient)
        self._see_it_lives(rotation)
        bodies = (body for url in page.urls for body in self._file(url, rotation, patient=patient))
        found = self._considered(bodies, search, rotation)
        scope = replace(found.scope, files=found.scope.files + len(page.urls))
        found = replace(found, after=source, token=page.token, scope=scope)
        is_last = not page.token and not any(s > source for s in sources)
        return replace(found, place=Place.KNOWN, after="") if is_last else found

    def _files(self, source: str, token: str, rotation: Rotation, *, patient: bool) -> FilePage:
        kind = kind_named("deployment_config")
        try:
            return self.files.page(source, token)
        except (PermanentError, TransientError) as error:
            if isinstance(error, TransientError) and patient:
                raise
            place = source.partition("?")[0]
            self._add_unknown(_work(place, kind, rotation, self.clock.now()), error)
            return FilePage((), "")

    def _file(self, url: str, rotation: Rotation, *, patient: bool) -> Iterator[Json]:
        kind = kind_named("deployment_config")
        try:
            yield self.resources.read(kind, url).body
        except GoneError:
            return
        except (PermanentError, TransientError) as error:
            if isinstance(error, TransientError) and patient:
                raise
            self._add_unknown(_work(url, kind, rotation, self.clock.now()), error)

    def _see_it_lives(self, rotation: Rotation) -> None:
        if head_if_active(self.rows, rotation) is None:
            raise RowConflictError(f"rotation {rotation.id} ended while its inventory was read")

    def _considered(self, bodies: Iterable[Json], search: Search, rotation: Rotation) -> Search:
        canaries = list(search.canaries)
        for body in bodies:
            self._consider(body, rotation, canaries, closing=search.closing)
        return replace(search, canaries=tuple(dict.fromkeys(canaries)))

    def _next_batch(self, search: Search, declared: Sequence[str]) -> Search:
        """Go on with the next subscriptions: by id, so that one that appears shifts no other.

        One in which we may not read everything is searched too, but counted as unreadable:
        Resource Graph leaves out what we may not read, and does not say so.
        """
        visible = self.resources.subscriptions()
        left = [s for s in sorted(declared) or visible if s > search.after][:BATCH]
        if not left:
            unseen = () if visible else (SUBSCRIPTIONS_READ,)
            scope = search.scope.plus(readable=0, unreadable=(), lacking=unseen)
            place = Place.FILES if self.sources else Place.KNOWN
            return replace(search, place=place, after="", scope=scope)
        arm = [kind for kind in KINDS if kind.plane is Plane.ARM]
        lacking = {
            s: self.resources.lacking(s, arm) if s in visible else [SUBSCRIPTIONS_READ]
            for s in left
        }
        whole = {s for s in left if not lacking[s]}
        hidden = tuple(s for s in left if s not in whole)
        batch = tuple(s for s in left if s in visible)
        return replace(
            search,
            after=left[-1],
            batch=batch,
            beside=self._tallied(search, batch),
            scope=search.scope.plus(
                readable=len(whole),
                unreadable=hidden,
                lacking=itertools.chain.from_iterable(lacking.values()),
            ),
        )

    def _known_page(self, search: Search, rotation: Rotation) -> Search | None:
        """Add what earlier rotations have seen, and the inventory does not show (any more)."""
        after = f"RowKey gt '{search.after}'"
        known = self.rows.scan(Known, digest(rotation.key), where=after)
        page = [kept.row for kept in itertools.islice(known, KNOWN_PAGE)]
        for known_resource in page:
            if known_resource.rotation == rotation.id or not known_resource.holds:
                continue
            if known_resource.resource.startswith("/") or self.files.covers(
                known_resource.resource
            ):
                self._add(_work_of(known_resource, rotation))
        if len(page) < KNOWN_PAGE:
            return None
        return replace(search, after=page[-1].address[1])

    def _tallied(self, search: Search, subscriptions: Sequence[str]) -> dict[str, Tally]:
        """Count what lies beside consumers; once, and not by the closing scan again."""
        if search.closing or not subscriptions:
            return search.beside
        counted = {
            mark: self.inventory.tally(entry, subscriptions)
            for mark, entry in {(each.resource_type, each.mark): each for each in BESIDE}.items()
        }
        return {
            entry.id: search.beside.get(entry.id, Tally()).plus(
                counted[entry.resource_type, entry.mark]
            )
            for entry in BESIDE
        }

    def _tell_beside(self, rotation: Rotation, search: Search) -> None:
        """Keep a line for each thing that was counted, with its verdict."""
        now = self.clock.now()
        for entry in BESIDE:
            tally = search.beside.get(entry.id, Tally())
            if not tally.count:
                continue
            work = Work(
                rotation=rotation.id,
                key=rotation.key,
                resource=entry.title,
                kind=entry.id,
                location="",
                found_at=now,
                wave=Wave.NO_WRITE,
            )
            verdict, todo = Verdict.NOT_APPLICABLE, ""
            if entry.by_hand and tally.marked:
                verdict = Verdict.MANUAL
                todo = entry.by_hand.steps.format(
                    resource=", ".join(tally.named), target=rotation.target
                )
            self.ledger.add(close(work, verdict, now, reason=entry.said(tally), advice=todo))

    def _finish(self, kept: Kept[Rotation], search: Search) -> None:
        self._tell_beside(kept.row, search)
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
        may_nudge = rotation.rules.versionless == "nudge" and kind.may_nudge
        is_moving = (is_moving or (may_nudge and None in (pinned or ()))) and not kind.by_hand
        wave = Wave.REST if is_moving else Wave.NO_WRITE
        if is_moving and not closing and (kind.id not in canaries or is_canary(body)):
            canaries.append(kind.id)
            wave = Wave.CANARY
        work = _work(text_at(body, "id"), kind, rotation, self.clock.now())
        self._add(replace(work, location=text_at(body, "location"), wave=wave))

    def _add(self, work: Work) -> None:
        kind = find_kind(work.kind)
        try:
            if kind is None or kind.plane is Plane.ARM:
                ResourceId.parse(work.resource)
        except InvalidResourceIdError as error:
            self._add_unknown(work, error)
        else:
            self.ledger.add(work)

    def _add_unknown(self, work: Work, error: KeyturnError) -> None:
        known, code = find_kind(work.kind), getattr(error, "code", "")
        advice = known.advice.get(code, _ADVICE) if known else _ADVICE
        closed = close(work, Verdict.UNKNOWN, self.clock.now(), reason=str(error), advice=advice)
        self.ledger.add(closed)


def _work(resource: str, kind: Kind, rotation: Rotation, now: datetime) -> Work:
    return Work(
        rotation=rotation.id,
        key=rotation.key,
        resource=resource,
        kind=kind.id,
        location="",
        found_at=now,
    )


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
