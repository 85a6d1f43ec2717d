"""Find what depends on a key through another resource: clusters by their disks' encryption set."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import batched

from shared.catalog import KINDS, kind_named, kind_of
from shared.domain.errors import UnreadableError
from shared.domain.json_paths import Json, every, text_at
from shared.domain.keys import Key
from shared.domain.kinds import Kind, Through
from shared.domain.resources import ResourceId
from shared.domain.verdicts import Verdict
from shared.domain.work import Work, close
from shared.ports import Inventory, Resources
from shared.usecases.search import BATCH, EveryKey, references

MOST_NAMES = 40
"""Names in one query, each of some 200 characters."""


@dataclass(frozen=True, slots=True)
class Dependant:
    """A resource, or a part of one, that has no reference which could be moved.

    Attributes:
        through: Id of the other resource.
        reason: How it depends on a key.
        advice: What a person must do since it keeps the old version by itself; empty: nothing, it
            goes where the other resource goes.
    """

    kind: Kind
    resource: str
    location: str
    through: str
    reason: str
    advice: str


@dataclass(frozen=True, slots=True)
class FindDependants:
    """Find what depends on a key through resources that were found.

    What holds a reference to the key too is a consumer of its own: of it only those parts are
    found that keep the old version by themselves.
    """

    inventory: Inventory
    resources: Resources

    def run(
        self, found: Sequence[Json], key: Key | EveryKey, declared: Sequence[str]
    ) -> Iterator[Dependant]:
        """Yield what names one of the resources of a page; one that refers to the key.

        It may lie in any subscription that is searched, and not only in those of the page.

        Args:
            found: The page.
            key: Which key, or all.
            declared: Ids of the subscriptions that are searched; empty: all that are visible.
        """
        holders = [body for body in found if _holds(kind_of(text_at(body, "type")), body, key)]
        for kind in KINDS:
            for link in kind.through:
                named = _names(link, holders)
                for body in self._naming(kind, sorted(named), declared):
                    holder = named.get(text_at(body, link.names).lower())
                    if holder:
                        own = _holds(kind, body, key)
                        yield from _dependants(kind, link, body, holder, holds_key=own)

    def _naming(self, kind: Kind, names: Sequence[str], declared: Sequence[str]) -> Iterator[Json]:
        if not names:
            return
        searched = [s for s in self.resources.subscriptions() if not declared or s in declared]
        for subscriptions in batched(searched, BATCH, strict=False):
            for some in batched(names, MOST_NAMES, strict=False):
                yield from self._pages(kind, some, subscriptions)

    def _pages(
        self, kind: Kind, names: Sequence[str], subscriptions: Sequence[str]
    ) -> Iterator[Json]:
        token = ""
        while True:
            page = self.inventory.naming(
                kind=kind, names=names, subscriptions=subscriptions, token=token
            )
            yield from page.resources
            token = page.token
            if not token:
                break


def _dependants(
    kind: Kind, link: Through, body: Json, holder: str, *, holds_key: bool
) -> Iterator[Dependant]:
    resource, location = text_at(body, "id"), text_at(body, "location")
    # Its own line is for its own reference, and may be proven while these are not.
    parts = [link.id_of_part(resource, part) for part in link.keeping(body)]
    for each in parts if holds_key else [resource]:
        reason, advice = _said(link, body, holder, each)
        yield Dependant(kind, each, location, holder, reason, advice)


def _said(link: Through, body: Json, holder: str, resource: str) -> tuple[str, str]:
    """Return how a resource, or a part of it, depends on a key, and what a person must do.

    Empty advice: nothing, it does not keep the old version by itself.
    """
    reason, (_, name) = f"{link.says} {holder}", link.whole_of(resource)
    kept = [part for part in link.keeping(body) if name in ("", text_at(part, "name"))]
    if not (link.keeps_old and kept):
        return reason, ""
    shown = f"{link.keeps_old.path} is {link.keeps_old.seen(kept[0])}"
    return f"{reason}, and {shown}", link.keeps_old.advice


def close_dependant(work: Work, body: Json, now: datetime) -> Work:
    """Give what depends on the key through another resource the verdict that a read shows.

    Args:
        work: On the resource, or on a part of it.
        body: Of the resource itself, a part's too.
        now: The time.

    Raises:
        UnreadableError: See ``whole_of``.
    """
    reason, advice = _said(_link_of(work), body, work.through, work.resource)
    verdict = Verdict.MANUAL if advice else Verdict.NOT_APPLICABLE
    return close(work, verdict, now, reason=reason, advice=advice)


def whole_of(work: Work) -> str:
    """Return the id of the resource to read for what depends on the key through another.

    Raises:
        UnreadableError: The catalog has no such link: another version of Keyturn wrote the row.
    """
    return _link_of(work).whole_of(work.resource)[0]


def _link_of(work: Work) -> Through:
    kind, holder = kind_named(work.kind), ResourceId.parse(work.through).type.lower()
    for link in kind.through:
        if kind_named(link.kind).resource_type.lower() == holder:
            return link
    raise UnreadableError(f"{kind.one} depends on no {holder}: {work.resource}")


def _holds(kind: Kind | None, body: Json, key: Key | EveryKey) -> bool:
    """Return whether a resource refers to a key; also if that cannot be read."""
    if kind is None:
        return False
    try:
        return bool(references(kind, body, key))
    except UnreadableError:
        return True


def _names(link: Through, holders: Sequence[Json]) -> dict[str, str]:
    """Return the id of each holder by the names it may have, in lower case."""
    found: dict[str, str] = {}
    for body in holders:
        kind = kind_of(text_at(body, "type"))
        if kind and kind.id == link.kind:
            names = every(body, link.by) if link.by else [text_at(body, "id")]
            found |= {n.lower(): text_at(body, "id") for n in names if isinstance(n, str) and n}
    return found
