"""List rotations, and the consumers of one, page by page."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from shared.domain.errors import NotFoundError
from shared.domain.keys import Key
from shared.domain.records import (
    OPENED,
    PENDING,
    Opened,
    Pending,
    Request,
    Watched,
    watched_partition,
)
from shared.domain.rows import KeyHead, Rotation
from shared.domain.verdicts import Verdict
from shared.domain.views import ConsumerView, RequestView, RotationSummary, State
from shared.domain.work import SHARDS, Work
from shared.ports import Clock, Kept, Rows
from shared.usecases.report import consumers_of, request_view, state_of, view_of

MOST_LOOKED_AT = 2000
"""Rows that one page looks at: a filter that fits few of them gives short pages, with a next."""

_PLACE = re.compile(r"([0-9]{1,2})-([0-9a-f]{32})")


@dataclass(frozen=True, slots=True)
class Some[T]:
    """A page.

    Attributes:
        after: What to ask the next page with; empty: this is the last.
    """

    items: tuple[T, ...]
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRotations:
    """Every rotation that was ever opened, the newest first."""

    rows: Rows
    clock: Clock

    def run(
        self, *, key: Key | None = None, state: State | None = None, after: str = "", limit: int
    ) -> Some[RotationSummary]:
        """Return a page; ``after`` is that of the page before, or empty."""
        where = f"RowKey gt '{after}'" if after else ""
        found: list[RotationSummary] = []
        last = ""
        for looked_at, kept in enumerate(self.rows.scan(Opened, OPENED, where=where)):
            if len(found) == limit or looked_at == MOST_LOOKED_AT:
                return Some(tuple(found), last)
            last = kept.row.address[1]
            if key is None or kept.row.key == str(key):
                shown = self._shown(kept.row)
                found += [shown] if shown and state in (None, shown.state) else []
        return Some(tuple(found), "")

    def _shown(self, opened: Opened) -> RotationSummary | None:
        kept = self.rows.load(Rotation, opened.rotation, "rotation")
        # It died before it was kept; or two opened it at once, and the other was the first.
        if kept is None or kept.row.opened_at != opened.at:
            return None
        rotation = kept.row
        fresh = KeyHead(key=rotation.key)
        head = self.rows.load(KeyHead, *fresh.address) if rotation.outcome is None else None
        is_active = head is not None and head.row.active == rotation.id
        return RotationSummary(
            id=rotation.id,
            key=rotation.key,
            target=rotation.target,
            state=state_of(rotation, head.row if head and is_active else fresh, self.clock.now()),
            trigger=rotation.cause.trigger,
            reason=rotation.cause.reason or None,
            opened_at=rotation.opened_at,
            ended_at=rotation.ended_at,
            counts={verdict.value: count for verdict, count in rotation.counts.items()},
            settled_by_hand=rotation.settled_by_hand,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRequests:
    """The requests of which nothing has come yet, by id: people's, and the policy's own.

    Attributes:
        allowed: Hosts of the vaults that may be managed.
    """

    rows: Rows
    allowed: frozenset[str]

    def run(self, *, after: str = "", limit: int) -> Some[RequestView]:
        """Return a page; ``after`` is that of the page before, or empty."""
        found: list[RequestView] = []
        for request in sorted(each for each in set(self._asked()) if each > after):
            if len(found) == limit:
                return Some(tuple(found), found[-1].id)
            kept = self.rows.load(Request, request, "request")
            if kept and kept.row.is_waiting:
                found.append(request_view(self.rows, kept.row))
        return Some(tuple(found), "")

    def _asked(self) -> Iterator[str]:
        """Yield the ids of those that may be waiting."""
        for pending in self.rows.scan(Pending, PENDING):
            yield pending.row.request
        for vault in self.allowed:
            for watched in self.rows.scan(Watched, watched_partition(vault)):
                if watched.row.request:
                    yield watched.row.request


@dataclass(frozen=True, slots=True, kw_only=True)
class ListConsumers:
    """The consumers of one rotation, in no order that means anything, and always the same."""

    rows: Rows

    def run(
        self,
        asked: str,
        *,
        verdict: Verdict | None = None,
        kind: str = "",
        after: str = "",
        limit: int,
    ) -> Some[ConsumerView]:
        """Return a page of those of a rotation, or of a request's; see ``ListRotations.run``.

        A page ends with a resource, so one may be longer than ``limit`` by the last one's places.

        Raises:
            NotFoundError: There is no such rotation.
        """
        found: list[ConsumerView] = []
        last = ""
        for looked_at, (place, kept) in enumerate(self._work(self._rotation(asked), after)):
            if len(found) >= limit or looked_at == MOST_LOOKED_AT:
                return Some(tuple(found), last)
            last = place
            if kind in ("", kept.row.kind):
                shown = (view_of(kept.row, consumer) for consumer in consumers_of(kept.row))
                found += [each for each in shown if verdict in (None, each.verdict)]
        return Some(tuple(found), "")

    def _work(self, rotation: str, after: str) -> Iterator[tuple[str, Kept[Work]]]:
        """Yield work behind a place, which is ``SHARD-ROWKEY``."""
        place = _PLACE.fullmatch(after)
        first, row = (int(place[1]), place[2]) if place else (0, "")
        for shard in range(first, SHARDS):
            where = f"RowKey gt '{row}'" if row else ""
            for kept in self.rows.scan(Work, f"{rotation}-{shard}", where=where):
                yield f"{shard}-{kept.row.address[1]}", kept
            row = ""

    def _rotation(self, asked: str) -> str:
        request = self.rows.load(Request, asked, "request")
        rotation = request.row.rotation if request else asked
        if request and not rotation:
            return ""  # nothing is found for it yet
        if not self.rows.load(Rotation, rotation, "rotation"):
            raise NotFoundError(f"no rotation and no request has the id {asked!r}")
        return rotation
