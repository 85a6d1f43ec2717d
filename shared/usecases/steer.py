"""What a person may do to a rotation: pause it, let it go on, stop it, have it try again."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from shared.domain.errors import NotActiveError, NotFoundError
from shared.domain.keys import Key
from shared.domain.rows import KeyHead, Request, Rotation
from shared.domain.steps import Supervise
from shared.domain.work import Stage, reopen
from shared.ports import Kept, Queue, Rows
from shared.usecases.active import head_if_active
from shared.usecases.ask import AskForRotation
from shared.usecases.ledger import Ledger

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SteerRotation:
    """Change what a rotation may do, on the head of its key: every write looks there first.

    Nothing is rolled back: what has moved stays, and what has a verdict keeps it. Each method
    returns the id under which to see what becomes of it.

    Raises (all of them):
        NotFoundError: There is no such rotation.
        NotActiveError: It has ended, was cancelled, or a newer version has taken over.
    """

    rows: Rows
    queue: Queue
    ledger: Ledger
    ask: AskForRotation

    def pause(self, asked: str, reason: str) -> str:
        """Let nothing more be written; what was written is still proven."""
        rotation = self._rotation(asked)
        return self._change(rotation, reason, lambda head: replace(head, paused=reason))

    def resume(self, asked: str, reason: str) -> str:
        """Let it go on, whatever has failed so far."""
        rotation = self._rotation(asked)
        failed = sum(
            kept.row.failed
            for stage in (Stage.UNSETTLED, Stage.OPEN)  # what owes something stays open
            for kept in self.ledger.outstanding(rotation.id, stage)
        )
        return self._change(
            rotation, reason, lambda head: replace(head, paused="", tolerated=failed)
        )

    def cancel(self, asked: str, reason: str) -> str:
        """Stop it for good: what is open is closed as ``cancelled``."""
        rotation = self._rotation(asked)
        return self._change(rotation, reason, lambda head: replace(head, cancelled=reason))

    def retry(self, asked: str, reason: str) -> str:
        """Take up again what ended unsettled: in the rotation, or in a new run if it has ended."""
        rotation = self._rotation(asked)
        if rotation.outcome is not None:
            return self.ask.run(Key.parse(rotation.key), reason=reason, new_version=False).id
        self._head(rotation)
        for entry in self.ledger.outstanding(rotation.id, Stage.UNSETTLED):
            work = self.ledger.load(rotation.id, entry.row.resource)
            if work and work.row.stage is Stage.UNSETTLED:
                self.ledger.change(work, reopen(work.row))
        return self._go_on(rotation, reason)

    def _change(self, rotation: Rotation, reason: str, change: Callable[[KeyHead], KeyHead]) -> str:
        head = self._head(rotation)
        self.rows.replace(head, change(head.row))
        return self._go_on(rotation, reason)

    def _go_on(self, rotation: Rotation, reason: str) -> str:
        logger.info("rotation %s is steered: %s", rotation.id, reason)
        self.queue.send(Supervise(rotation=rotation.id))
        return rotation.id

    def _head(self, rotation: Rotation) -> Kept[KeyHead]:
        """Return the head of the rotation's key.

        Raises:
            NotActiveError: It has ended, was cancelled, or a newer version has taken over.
        """
        head = head_if_active(self.rows, rotation)
        if head is None:
            raise NotActiveError(
                f"rotation {rotation.id} moves nothing any more: it is"
                f" {rotation.outcome or 'superseded or cancelled'}"
            )
        return head

    def _rotation(self, asked: str) -> Rotation:
        """Return a rotation by its id, or by that of the request which it serves."""
        request = self.rows.load(Request, asked, "request")
        if request and not request.row.rotation:
            raise NotActiveError(f"request {asked} has no rotation yet: ask for it first")
        kept = self.rows.load(Rotation, request.row.rotation if request else asked, "rotation")
        if kept is None:
            raise NotFoundError(f"there is no rotation {asked!r}")
        return kept.row
