"""Find every consumer of a key, page by page."""

import logging
from dataclasses import dataclass

from msgspec.structs import replace

from shared.catalog import KINDS, kind_of
from shared.domain.errors import InvalidResourceIdError, PermanentError, UnreadableError
from shared.domain.json_paths import Json, text_at
from shared.domain.keys import Key
from shared.domain.kinds import Kind
from shared.domain.plans import references_to
from shared.domain.resources import ResourceId
from shared.domain.rows import Rotation, Work
from shared.domain.steps import Discover, Repoint
from shared.domain.verdicts import Verdict
from shared.domain.work import close
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
        declared: Ids of the subscriptions that must be searched; empty: every one that we see.
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
            if step.batch:
                self._read_page(kept, step)
            else:
                self._next_batch(kept, step)
        except PermanentError as error:
            logger.error("rotation %s: consumers cannot be found: %s", step.rotation, error)  # noqa: TRY400 - no bug of ours
            self.rows.replace(kept, replace(kept.row, problem=str(error)))

    def _read_page(self, kept: Kept[Rotation], step: Discover) -> None:
        key = Key.parse(kept.row.key)
        page = self.inventory.page(vault=key.vault, subscriptions=step.batch, token=step.token)
        if not is_active(self.rows, kept.row):  # it may have ended while the page was read
            return
        for body in page.resources:
            self._consider(body, key, kept.row)
        if page.token:
            self.queue.send(replace(step, token=page.token, attempt=0))
        else:
            self.queue.send(replace(step, batch=(), token="", attempt=0))

    def _next_batch(self, kept: Kept[Rotation], step: Discover) -> None:
        """Go on with the next subscriptions: by id, so that one that appears shifts no other.

        One in which we may not read everything is searched too, but counted as unreadable:
        Resource Graph leaves out what we may not read, and does not say so.
        """
        visible = self.resources.subscriptions()
        left = [s for s in sorted(self.declared) or visible if s > step.after][:BATCH]
        if not left:
            logger.info("rotation %s: searched %s", kept.row.id, step.scope)
            self.rows.replace(kept, replace(kept.row, scope=step.scope))
            return
        whole = {s for s in left if s in visible and self.resources.may_read(s, KINDS)}
        hidden = tuple(s for s in left if s not in whole)
        scope = step.scope.plus(readable=len(whole), unreadable=hidden)
        batch = tuple(s for s in left if s in visible)
        step = replace(step, after=left[-1], batch=batch, scope=scope)
        if batch:
            self._read_page(kept, step)
        else:  # none that can be seen: on to those after them
            self.queue.send(replace(step, attempt=0))

    def _consider(self, body: Json, key: Key, rotation: Rotation) -> None:
        kind = kind_of(text_at(body, "type"))
        if kind is None or not _may_refer(kind, body, key):
            return
        now = self.clock.now()
        work = Work(
            rotation=rotation.id,
            resource=text_at(body, "id"),
            kind=kind.id,
            location=text_at(body, "location"),
            found_at=now,
            due_at=now,
        )
        try:
            ResourceId.parse(work.resource)
        except InvalidResourceIdError as error:
            advice = "report it, and look at the resource by hand"
            self.rows.insert(close(work, Verdict.UNKNOWN, now, reason=str(error), advice=advice))
            return
        self.rows.insert(work)
        # Queued even if the row was there: a crash may have come between the two.
        self.queue.send(Repoint(rotation=rotation.id, resource=work.address[1], seq=0))


def _may_refer(kind: Kind, body: Json, key: Key) -> bool:
    try:
        return bool(references_to(kind, body, key))
    except UnreadableError:
        return True  # it names the vault in a form unknown to us: a fresh read decides
