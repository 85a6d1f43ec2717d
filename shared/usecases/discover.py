"""Find every consumer of a key, page by page, and keep work for each."""

import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.catalog import find_kind
from shared.domain.errors import InvalidResourceIdError, PermanentError, RowConflictError
from shared.domain.keys import Key, KeyVersion
from shared.domain.kinds import Plane
from shared.domain.resources import ResourceId
from shared.domain.rows import Phase, Place, Rotation, Search
from shared.domain.steps import Discover
from shared.domain.verdicts import Verdict
from shared.domain.work import Wave, Work, close
from shared.ports import Clock, Kept, Queue, Rows
from shared.usecases.active import head_if_active
from shared.usecases.asides import Aside, TellAsides, asides_of
from shared.usecases.ledger import Ledger
from shared.usecases.search import Candidate, SearchEstate, may_nudge

logger = logging.getLogger(__name__)

MOST_PATIENCE = 12
"""Tries of a page, some forty minutes: then what stands in its way is ``unknown``."""

_ADVICE = "mend what the message says, or look at it by hand; then rotate again"

PARENTS_TAKE = timedelta(seconds=25)
"""Between two pages of parents: two lists a second, which leaves the providers' budgets room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoverConsumers:
    """Read one page of the estate and keep work for each resource that refers to the key.

    Nothing is written to before the supervisor releases it. The closing scan is the same over
    again.
    """

    estate: SearchEstate
    rows: Rows
    queue: Queue
    clock: Clock
    ledger: Ledger

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
            done = self._turn(search.row, kept.row, patient=step.attempt < MOST_PATIENCE)
        except PermanentError as error:
            logger.error("rotation %s: consumers cannot be found: %s", step.rotation, error)  # noqa: TRY400 - no bug of ours
            self.rows.replace(kept, replace(kept.row, problem=str(error)))
            return
        if done is None:
            self._finish(kept, search.row)
            return
        turned = replace(done, page=search.row.page + 1, at=self.clock.now(), trouble="")
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

    def _turn(self, search: Search, rotation: Rotation, *, patient: bool) -> Search | None:
        """Do one page; return how far the search has come; ``None``: to the end.

        ``patient``: what cannot be had for a while makes the page be asked for again.
        """
        key, declared = Key.parse(rotation.key), rotation.rules.subscriptions
        turned = self.estate.turn(search, key, declared, patient=patient)
        self._see_it_lives(rotation)
        canaries = list(search.canaries)
        for candidate in turned.found:
            self._consider(candidate, rotation, canaries, closing=search.closing)
        asides = TellAsides(self.estate.inventory, self.estate.resources)
        for each in asides.of_page(turned.bodies, key, declared):
            self.ledger.add(_beside(each, rotation, self.clock.now()))
        if turned.search is None:
            return None
        return replace(turned.search, canaries=tuple(dict.fromkeys(canaries)))

    def _see_it_lives(self, rotation: Rotation) -> None:
        if head_if_active(self.rows, rotation) is None:
            raise RowConflictError(f"rotation {rotation.id} ended while its inventory was read")

    def _finish(self, kept: Kept[Rotation], search: Search) -> None:
        for each in asides_of(search.beside, kept.row.target):
            self.ledger.add(_beside(each, kept.row, self.clock.now()))
        logger.info("rotation %s: searched %s", kept.row.id, search.scope)
        phase = Phase.CONFIRMING if search.closing else Phase.MOVING
        done = replace(kept.row, phase=phase, scope=search.scope, discovered_at=self.clock.now())
        self.rows.replace(kept, done)

    def _consider(
        self, found: Candidate, rotation: Rotation, canaries: list[str], *, closing: bool
    ) -> None:
        if found.problem:
            unread = _work(found, rotation, self.clock.now())
            self._add_unknown(unread, found.problem, found.code)
        elif found.known is None:
            wave = _wave(found, rotation, canaries, closing=closing)
            self._add(replace(_work(found, rotation, self.clock.now()), wave=wave))
        elif found.known.rotation != rotation.id:
            self._add(_work(found, rotation, rotation.opened_at))

    def _add(self, work: Work) -> None:
        kind = find_kind(work.kind)
        try:
            if kind is None or kind.plane is Plane.ARM:
                ResourceId.parse(work.resource)
        except InvalidResourceIdError as error:
            self._add_unknown(work, str(error))
        else:
            self.ledger.add(work)

    def _add_unknown(self, work: Work, reason: str, code: str = "") -> None:
        kind = find_kind(work.kind)
        advice = kind.advice.get(code, _ADVICE) if kind else _ADVICE
        closed = close(work, Verdict.UNKNOWN, self.clock.now(), reason=reason, advice=advice)
        self.ledger.add(closed)


def _wave(found: Candidate, rotation: Rotation, canaries: list[str], *, closing: bool) -> Wave:
    """Return when a resource's turn comes; note a canary of its kind."""
    target = KeyVersion.parse(rotation.target)
    # What is in a form unknown to us counts as needing a write: a fresh read decides.
    is_moving = found.pinned is None or any(v not in (None, target) for v in found.pinned)
    is_free = found.pinned is not None and None in found.pinned
    is_moving |= is_free and rotation.rules.versionless == "nudge" and may_nudge(found)
    kind = find_kind(found.kind)
    if not is_moving or (kind and kind.by_hand):
        return Wave.NO_WRITE
    if closing or (found.kind in canaries and not found.is_canary):
        return Wave.REST
    canaries.append(found.kind)
    return Wave.CANARY


def _work(found: Candidate, rotation: Rotation, now: datetime) -> Work:
    return Work(
        rotation=rotation.id,
        key=rotation.key,
        resource=found.resource,
        kind=found.kind,
        location=found.location,
        found_at=now,
        twice=_is_twice(found, rotation),
    )


def _beside(found: Aside, rotation: Rotation, now: datetime) -> Work:
    """Return closed work: there is nothing to move, though a person may have to act."""
    work = Work(
        rotation=rotation.id,
        key=rotation.key,
        resource=found.resource,
        kind=found.kind,
        location=found.location,
        found_at=now,
        through=found.through,
        wave=Wave.NO_WRITE,
    )
    verdict = Verdict.MANUAL if found.keeps_old else Verdict.NOT_APPLICABLE
    return close(work, verdict, now, reason=found.reason, advice=found.advice)


def _is_twice(found: Candidate, rotation: Rotation) -> bool:
    """Return whether moving a resource is deleting and making it, or pinning and freeing it."""
    kind, rules = find_kind(found.kind), rotation.rules
    if kind is not None and kind.recreation is not None:
        return rules.recreate_container_groups
    is_free = found.pinned is None or None in found.pinned
    return is_free and rules.versionless == "nudge" and may_nudge(found)
