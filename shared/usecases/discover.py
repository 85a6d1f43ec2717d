"""Find every consumer of a key, page by page."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from shared.catalog import kind_of
from shared.domain.errors import PermanentError, UnreadableError
from shared.domain.json_paths import Json, text_at
from shared.domain.keys import Key
from shared.domain.kinds import Kind
from shared.domain.plans import references_to
from shared.domain.resources import ResourceId
from shared.domain.rows import Rotation, Scope, Work
from shared.domain.steps import Discover, Repoint
from shared.ports import Clock, Inventory, Kept, Queue, Resources, Rows
from shared.usecases.active import is_active

logger = logging.getLogger(__name__)

BATCH = 100
"""Subscriptions in one query: Resource Graph's guidance is to stay below 300."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoverConsumers:
    """Read one page of the inventory and open work for each resource that refers to the key.

    The inventory is asked for what names the *vault*; which resources refer to the *key* is then
    decided by the catalog's paths. One page is held at a time, whatever the estate's size.

    Attributes:
        declared: Ids of the subscriptions that must be searched; empty: every readable one.
    """

    inventory: Inventory
    resources: Resources
    rows: Rows
    queue: Queue
    clock: Clock
    declared: frozenset[str]

    def run(self, step: Discover) -> None:
        """See the class. An inventory that refuses the query fails the rotation, with the cause."""
        kept = self.rows.load(Rotation, step.rotation, "rotation")
        if kept is None or not is_active(self.rows, kept.row):
            return
        try:
            self._page(kept, step)
        except PermanentError as error:
            logger.error("rotation %s: consumers cannot be found: %s", step.rotation, error)  # noqa: TRY400 - no bug of ours
            self.rows.replace(kept, replace(kept.row, problem=str(error)))

    def _page(self, kept: Kept[Rotation], step: Discover) -> None:
        batch = step.batch or self._next_batch(step.after)
        if not batch:
            self._finish(kept)
            return
        key = Key.parse(kept.row.key)
        page = self.inventory.page(vault=key.vault, subscriptions=batch, token=step.token)
        for body in page.resources:
            self._consider(body, key, kept.row)
        if page.token:
            self.queue.send(replace(step, batch=tuple(batch), token=page.token, attempt=0))
        else:
            self.queue.send(Discover(rotation=step.rotation, after=batch[-1]))

    def _next_batch(self, after: str) -> Sequence[str]:
        """Return the next subscriptions: by id, so that one that appears meanwhile shifts none."""
        return [s for s in self._searched() if s > after][:BATCH]

    def _searched(self) -> Sequence[str]:
        readable = self.resources.subscriptions()
        return [s for s in readable if s in self.declared] if self.declared else readable

    def _consider(self, body: Json, key: Key, rotation: Rotation) -> None:
        kind = kind_of(text_at(body, "type"))
        if kind is None or not _may_refer(kind, body, key):
            return
        now = self.clock.now()
        resource = ResourceId.parse(text_at(body, "id"))
        work = Work(
            rotation=rotation.id,
            resource=resource.text,
            kind=kind.id,
            location=text_at(body, "location"),
            found_at=now,
            due_at=now,
        )
        self.rows.insert(work)
        # Queued even if the row was there: a crash may have come between the two.
        self.queue.send(Repoint(rotation=rotation.id, resource=work.address[1], seq=0))

    def _finish(self, kept: Kept[Rotation]) -> None:
        searched = self._searched()
        scope = Scope(
            readable=len(searched), unreadable=tuple(sorted(self.declared - set(searched)))
        )
        logger.info("rotation %s: searched %s", kept.row.id, scope)
        self.rows.replace(kept, replace(kept.row, scope=scope))


def _may_refer(kind: Kind, body: Json, key: Key) -> bool:
    try:
        return bool(references_to(kind, body, key))
    except UnreadableError:
        return True  # it names the vault in a form unknown to us: a fresh read decides
