"""Have the vault make a new version of a key, once."""

import logging
from dataclasses import dataclass
from datetime import timedelta

from msgspec.structs import replace

from shared.domain.errors import BusyError, NotFoundError, PermanentError
from shared.domain.keys import Key, VersionState
from shared.domain.policy import Mode, Rules
from shared.domain.records import EXPIRING, Pending, Request
from shared.domain.steps import Open, RotateKey
from shared.domain.windows import is_open, opens_at
from shared.ports import Clock, Kept, Policies, Put, Queue, Rows, Vaults
from shared.usecases.open_rotation import FURTHEST_DELAY, answer_request, note_problem
from shared.usecases.overdue import LEASE
from shared.usecases.unexpire import Unexpire

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

    To make a version is a write: one that nobody asked for waits for a change window. Versions
    that have expired are made valid again before, where consumers need that; see ``Unexpire``.
    """

    vaults: Vaults
    rows: Rows
    queue: Queue
    clock: Clock
    policies: Policies
    unexpire: Unexpire

    def run(self, step: RotateKey) -> None:
        """See the class. A key that cannot be rotated is noted on its head and the request."""
        try:
            self._run(step)
        except PermanentError as error:
            note_problem(self.rows, step, str(error))

    def _run(self, step: RotateKey) -> None:
        kept = self._request(step)
        if kept.row.needs_approval:
            if step.expiring:  # the watch comes again, and so does who approves
                return
            raise BusyError(f"request {kept.row.id} waits for an approval")
        key = Key.parse(step.key)
        rules, current = self.policies.current().rules_for(key), self.vaults.current(key)
        is_expiring = bool(step.expiring) and str(current.id) == step.expiring
        if is_expiring and (why := self._why_not_expiring(step, kept.row, current, rules)):
            logger.info("no new version of %s: %s", step.key, why)
            answer_request(self.rows, step, problem=why)
            return
        if kept.row.version_before in ("", str(current.id)):
            if self._waits(step, kept, rules):
                return
            self._make(self.unexpire.run(kept, rules), current, step)
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
        asked = replace(
            kept.row, version_before=before, vault_asked_at=now, problem="", waits_for=""
        )
        self.rows.replace(kept, asked)  # (1)
        made = self.vaults.rotate(current.id.key)  # (2)
        logger.info("the vault made %s", made.id)

    def _waits(self, step: RotateKey, kept: Kept[Request], rules: Rules) -> bool:
        """Return whether a version that nobody asked for waits: for its window, or an approval."""
        request, now = kept.row, self.clock.now()
        is_begun = request.vault_asked_at is not None or bool(request.unexpire)
        if request.by is not None or is_begun or not request.id.startswith(EXPIRING):
            return False
        if request.approved_until is not None and request.approved_until <= now:
            until = f"{request.approved_until:%Y-%m-%d at %H:%M} UTC"
            problem = f"its approval ran out on {until}: it waits for another"
            self.rows.replace(kept, replace(request, needs_approval=True, problem=problem))
            return True
        if is_open(rules.windows, now):
            return False
        opens = opens_at(rules.windows, now)
        when = f"opens on {opens:%Y-%m-%d at %H:%M} UTC" if opens else "never opens"
        why = f"its change window is closed, and {when}"
        # A further one that comes meanwhile finds that the first is queued.
        if opens and opens - now <= FURTHEST_DELAY and request.waits_for != why:
            self.queue.send(step, at=opens)
        answer_request(self.rows, step, waits_for=why)
        return True

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

    def _why_not_expiring(
        self, step: RotateKey, request: Request, current: VersionState, rules: Rules
    ) -> str:
        """Return why a version that runs out, or is too old, needs no successor; empty: it does.

        The vault's own rotation policy is relied upon until the version has expired: by then it
        has had its time.
        """
        if rules.mode is Mode.OBSERVE:
            return f"the policy lets Keyturn only observe {current.id.key}"
        if rules.mode is Mode.APPROVE and request.approved_until is None:
            return "the policy asks for an approval"
        if not current.enabled:
            return f"{current.id} is disabled: whoever did that does not want another"
        ours = request.unexpire.get(str(current.id))  # put off by ourselves, until then
        ends = max(step.expires, ours) if step.expires and ours else step.expires
        if ends and (current.expires is None or current.expires > ends):
            return f"the expiry of {current.id} was put off"
        has_expired = bool(ours) or bool(current.expires and current.expires <= self.clock.now())
        if not has_expired and self.vaults.rotates_itself(current.id.key):
            return f"the vault's own rotation policy makes the version after {current.id}"
        return ""
