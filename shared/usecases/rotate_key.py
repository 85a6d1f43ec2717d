"""Have the vault make a new version of a key, once."""

import logging
from dataclasses import dataclass

from msgspec.structs import replace

from shared.domain.errors import PermanentError
from shared.domain.keys import Key, KeyVersion
from shared.domain.rows import RotateIntent
from shared.domain.steps import Open, RotateKey
from shared.ports import Clock, Queue, Rows, Vaults
from shared.usecases.open_rotation import head_of, note_problem

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeVersion:
    """Rotate a key, then open a rotation of its consumers.

    Key Vault's rotate is not idempotent, so: (1) save on the key's head which version is current;
    (2) ask for a new one only if that version still is; (3) open; (4) drop the intent. A crash
    anywhere, or a second message, finds the intent and never asks twice.
    """

    vaults: Vaults
    rows: Rows
    queue: Queue
    clock: Clock

    def run(self, step: RotateKey) -> None:
        """See the class. A key that cannot be rotated is noted on its head and the request."""
        try:
            self._run(step)
        except PermanentError as error:
            note_problem(self.rows, step, str(error))

    def _run(self, step: RotateKey) -> None:
        key = Key.parse(step.key)
        head = head_of(self.rows, step.key)
        current = self.vaults.current(key)
        intent = head.row.rotate_intent
        if intent is None:  # (1)
            intent = RotateIntent(before=str(current.id), at=self.clock.now())
            head = self.rows.replace(head, replace(head.row, rotate_intent=intent))
        if current.id == KeyVersion.parse(intent.before):  # (2)
            made = self.vaults.rotate(key)
            logger.info("the vault made %s", made.id)
        else:
            logger.info("not asked again: %s is newer than %s", current.id, intent.before)
        self.queue.send(Open(key=step.key, cause=step.cause, request=step.request))  # (3)
        self.rows.replace(head, replace(head.row, rotate_intent=None))  # (4)
