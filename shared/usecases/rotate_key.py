"""Have the vault make a new version of a key, once."""

import logging
from dataclasses import dataclass
from datetime import timedelta

from msgspec.structs import replace

from shared.domain.errors import BusyError, NotFoundError, PermanentError
from shared.domain.keys import Key
from shared.domain.rows import Request
from shared.domain.steps import Open, RotateKey
from shared.ports import Clock, Queue, Rows, Vaults
from shared.usecases.open_rotation import note_problem
from shared.usecases.overdue import INTENT_SETTLES_AFTER

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeVersion:
    """Rotate a key for a request, then open a rotation of its consumers.

    Key Vault's rotate is not idempotent, so: (1) save on the request which version is current;
    (2) ask for a new one only if that version still is; (3) open. A message that comes back after
    a crash, or comes twice, finds what was saved and never asks again. The intent is the
    request's, and not the key's: another request is another wish.
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
        kept = self.rows.load(Request, step.request, "request")
        if kept is None:
            raise NotFoundError(f"there is no request {step.request!r}")
        current = self.vaults.current(key)
        if not kept.row.version_before:  # (1)
            now = self.clock.now()
            asked = replace(kept.row, version_before=str(current.id), vault_asked_at=now)
            self.rows.replace(kept, asked)
            made = self.vaults.rotate(key)  # (2)
            logger.info("the vault made %s", made.id)
        elif kept.row.version_before == str(current.id):
            self._await_vault(kept.row)
            made = self.vaults.rotate(key)  # (2)
            logger.info("the vault made %s, asked again", made.id)
        self.queue.send(Open(key=step.key, cause=step.cause, request=step.request))  # (3)

    def _await_vault(self, request: Request) -> None:
        """Give a rotate that may still be under way the time to end.

        Raises:
            BusyError: It may be; look again when it cannot be any more.
        """
        asked = request.vault_asked_at
        left = asked + INTENT_SETTLES_AFTER - self.clock.now() if asked else timedelta()
        if left > timedelta():
            raise BusyError(f"the vault may be making a version of {request.key}", retry_after=left)
