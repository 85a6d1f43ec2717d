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
from shared.domain.plans import references_to
from shared.domain.resources import ResourceId
from shared.domain.rows import Rotation
from shared.domain.verdicts import Verdict
from shared.domain.work import Wave, Work, close
from shared.ports import Clock, Inventory, Resources
from shared.usecases.ledger import Ledger
from shared.usecases.search import BATCH

MOST_NAMES = 40
"""Names in one query, each of some 200 characters."""


@dataclass(frozen=True, slots=True)
class FindDependants:
    """Keep closed work for each resource that depends on a key through one that was found.

    It is ``not_applicable``, since it has no reference that could be moved; where it keeps the old
    version by itself, a person must act. What holds a reference to the key too is work of its own:
    only the parts of it that keep the old version are then closed work beside it.
    """

    inventory: Inventory
    resources: Resources
    ledger: Ledger
    clock: Clock

    def run(self, found: Sequence[Json], rotation: Rotation) -> None:
        """Look for what names one of the resources of a page; one that refers to the key.

        It may lie in any subscription that is searched, and not only in those of the page.
        """
        key = Key.parse(rotation.key)
        holders = [body for body in found if _holds(kind_of(text_at(body, "type")), body, key)]
        for kind in KINDS:
            for link in kind.through:
                named = _names(link, holders)
                for body in self._naming(kind, sorted(named), rotation):
                    holder = named.get(text_at(body, link.names).lower())
                    if holder:
                        own = _holds(kind, body, key)
                        self._keep(kind, link, body, holder, rotation, holds_key=own)

    def _keep(  # noqa: PLR0913 - what the work is about
        self,
        kind: Kind,
        link: Through,
        body: Json,
        holder: str,
        rotation: Rotation,
        *,
        holds_key: bool,
    ) -> None:
        now, resource = self.clock.now(), text_at(body, "id")
        if not holds_key:
            self.ledger.add(_closed(kind, link, body, resource, holder, rotation, now))
            return
        # Its own row is for its own reference, and may be proven while these are not.
        for part in link.keeping(body):
            of_part = link.id_of_part(resource, part)
            self.ledger.add(_closed(kind, link, body, of_part, holder, rotation, now))

    def _naming(self, kind: Kind, names: Sequence[str], rotation: Rotation) -> Iterator[Json]:
        if not names:
            return
        visible, declared = self.resources.subscriptions(), rotation.rules.subscriptions
        searched = [s for s in visible if not declared or s in declared]
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


def _holds(kind: Kind | None, body: Json, key: Key) -> bool:
    """Return whether a resource refers to a key; also if that cannot be read."""
    if kind is None:
        return False
    try:
        return bool(references_to(kind, body, key))
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


def _closed(  # noqa: PLR0913, PLR0917 - what the work is about
    kind: Kind,
    link: Through,
    body: Json,
    resource: str,
    holder: str,
    rotation: Rotation,
    now: datetime,
) -> Work:
    work = Work(
        rotation=rotation.id,
        key=rotation.key,
        resource=resource,
        kind=kind.id,
        location=text_at(body, "location"),
        found_at=now,
        through=holder,
        wave=Wave.NO_WRITE,
    )
    return close_dependant(work, link, body, now)


def close_dependant(work: Work, link: Through, body: Json, now: datetime) -> Work:
    """Give what depends on the key through another resource the verdict that ``body`` shows.

    Args:
        work: On the resource, or on a part of it.
        link: How it depends.
        body: Of the resource itself, a part's too.
        now: The time.
    """
    reason = f"{link.says} {work.through}"
    _, name = link.whole_of(work.resource)
    kept = [part for part in link.keeping(body) if name in ("", text_at(part, "name"))]
    if link.keeps_old and kept:
        reason += f", and {link.keeps_old.path} is {link.keeps_old.seen(kept[0])}"
        return close(work, Verdict.MANUAL, now, reason=reason, advice=link.keeps_old.advice)
    return close(work, Verdict.NOT_APPLICABLE, now, reason=reason)


def link_of(work: Work, kind: Kind) -> Through:
    """Return how what depends on the key through another resource does.

    Raises:
        UnreadableError: The catalog has no such link: another version of Keyturn wrote the row.
    """
    holder = ResourceId.parse(work.through).type.lower()
    for link in kind.through:
        if kind_named(link.kind).resource_type.lower() == holder:
            return link
    raise UnreadableError(f"{kind.one} depends on no {holder}: {work.resource}")
