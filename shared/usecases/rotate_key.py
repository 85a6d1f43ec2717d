"""Have the vault make a new version of a key, once."""

import logging
from dataclasses import dataclass
from datetime import timedelta

from msgspec.structs import replace

from shared.domain.errors import BusyError, NotFoundError, PermanentError
from shared.domain.keys import Key, VersionState
from shared.domain.records import Pending, Request
from shared.domain.steps import Open, RotateKey
from shared.ports import Clock, Kept, Put, Queue, Rows, Vaults
from shared.usecases.open_rotation import answer_request, note_problem
from shared.usecases.overdue import LEASE

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeVersion:
    """Rotate a key for a request, then open a rotation of its consumers.

    Key Vault's rotate is not idempotent, so: (1) save on the request which version the new one is
    to follow, and that the vault is about to be asked; (2) ask, if that version is still the
    current one; (3) open. A message that comes back after a crash, or comes twice, finds what was
    saved and never asks again. The intent is the request's, and not the key's: another request of
    an operator is another wish. For a version that nears its expiry there is one request, however
    often that is announced.
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
        kept = self._request(step)
        if kept.row.needs_approval:
            raise BusyError(f"request {kept.row.id} waits for an approval")
        current = self.vaults.current(Key.parse(step.key))
        is_expiring = bool(step.expiring) and str(current.id) == step.expiring
        if is_expiring and (why := self._why_not_expiring(step, current)):
            logger.info("no new version of %s: %s", step.key, why)
            answer_request(self.rows, step, problem=why)
            return
        if kept.row.version_before in ("", str(current.id)):
            self._make(kept, current, step)
        self.queue.send(Open(key=step.key, cause=step.cause, request=step.request))  # (3)

    def _make(self, kept: Kept[Request], current: VersionState, step: RotateKey) -> None:
        """Ask the vault for the version after ``current``.

        Raises:
            BusyError: It may be making one already; look again when it cannot be any more.
        """
        now = self.clock.now()
        if asked_at := kept.row.vault_asked_at:
            left = asked_at + LEASE - now
            if left > timedelta():
                raise BusyError(
                    f"the vault may be making a version of {kept.row.key}", retry_after=left
                )
        # A request that is about to be served has no answer: the sweep sees to that it gets one.
        self.rows.commit(Put(Pending(request=step.request, step=step, at=now)))
        before = str(current.id)
        asked = replace(kept.row, version_before=before, vault_asked_at=now, problem="")
        self.rows.replace(kept, asked)  # (1)
        made = self.vaults.rotate(current.id.key)  # (2)
        logger.info("the vault made %s", made.id)

    def _request(self, step: RotateKey) -> Kept[Request]:
        kept = self.rows.load(Request, step.request, "request")
        if kept is None and step.expiring:
            fresh = Request(
                id=step.request,
                key=step.key,
                reason=step.cause.reason,
                new_version=True,
                asked_at=self.clock.now(),
                version_before=step.expiring,
            )
            kept = self.rows.insert(fresh) or self.rows.load(Request, step.request, "request")
        if kept is None:
            raise NotFoundError(f"there is no request {step.request!r}")
        return kept

    def _why_not_expiring(self, step: RotateKey, current: VersionState) -> str:
        """Return why a version that was said to expire needs no successor; empty: it does."""
        if not current.enabled:
            return f"{current.id} is disabled: whoever did that does not want another"
        is_put_off = step.expires and current.expires and current.expires > step.expires
        if current.expires is None or is_put_off:
            return f"the expiry of {current.id} was put off"
        if self.vaults.rotates_itself(current.id.key):
            return f"the vault's own rotation policy makes the version after {current.id}"
        return ""
