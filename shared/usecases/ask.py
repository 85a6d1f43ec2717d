"""Take an operator's wish to rotate a key."""

import uuid
from dataclasses import dataclass

from shared.domain.keys import Key
from shared.domain.rows import Cause, Request
from shared.domain.steps import Open, RotateKey
from shared.ports import Clock, Queue, Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class AskForRotation:
    """Keep the wish, then queue it. Its id answers for the rotation that serves it."""

    rows: Rows
    queue: Queue
    clock: Clock

    def run(self, key: Key, *, reason: str, new_version: bool) -> Request:
        """Return the request that was kept.

        Args:
            key: Whose consumers are to be moved.
            reason: The operator's words; they stand in the rotation's record.
            new_version: Whether the vault is to make a new version first.
        """
        request = Request(
            id=f"req-{uuid.uuid4()}",
            key=str(key),
            reason=reason,
            new_version=new_version,
            asked_at=self.clock.now(),
        )
        self.rows.insert(request)
        cause = Cause(trigger="operator", id=request.id, reason=reason)
        step = RotateKey if new_version else Open
        self.queue.send(step(key=request.key, cause=cause, request=request.id))
        return request
