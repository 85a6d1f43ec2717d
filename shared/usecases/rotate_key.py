"""Have the vault make a new version of a key, once."""

import dataclasses
import logging
from dataclasses import dataclass
from datetime import timedelta

from msgspec.structs import replace

from shared.domain.errors import BusyError, NotFoundError, PermanentError
from shared.domain.expiry import concern_of
from shared.domain.keys import Key, VersionState
from shared.domain.policy import Mode, Policy, Reaction, Rules
from shared.domain.records import EXPIRING, Pending, Request
from shared.domain.steps import Open, RotateKey
from shared.domain.windows import is_open, opens_at
from shared.ports import Clock, Kept, Policies, Put, Queue, Rows, Vaults
from shared.usecases.announce import Announce
from shared.usecases.open_rotation import FURTHEST_DELAY, answer_request, note_problem
from shared.usecases.overdue import LEASE
from shared.usecases.refuse import let_go
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

    To make a version is a write: whether it may be made the policy says when the vault is about to
    be asked, and one that nobody asked for waits for a change window. Versions
    that have expired are made valid again before, where consumers need that; see ``Unexpire``.
    """

    vaults: Vaults
    rows: Rows
    queue: Queue
    clock: Clock
    policies: Policies
    announce: Announce
    unexpire: Unexpire

    def run(self, step: RotateKey) -> None:
        """See the class. A key that cannot be rotated is noted on its head and the request."""
        try:
            self._run(step)
        except PermanentError as error:
            note_problem(self.rows, step, str(error))

    def _run(self, step: RotateKey) -> None:
        kept = self._request(step)
        if not kept.row.asks_for(step):
            logger.error("no new version of %s: request %s asks for none", step.key, step.request)
            return
        if kept.row.cancelled:
            logger.info("no new version of %s: request %s was taken back", step.key, step.request)
            return
        if kept.row.needs_approval:
            if step.expiring:  # the watch comes again, and so does who approves
                return
            raise BusyError(f"request {kept.row.id} waits for an approval")
        key, policy = Key.parse(step.key), self.policies.current()
        current = self.vaults.current(key)
        if kept.row.version_before in ("", str(current.id)):
            if self._is_held(step, kept, current, policy):
                return
            self._make(self.unexpire.run(kept, policy.rules_for(key)), current, step)
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
        kept = self.rows.replace(kept, asked)  # (1)
        made = self.vaults.rotate(current.id.key)  # (2)
        self.rows.replace(kept, replace(asked, made=str(made.id)))
        logger.info("the vault made %s", made.id)

    def _is_held(
        self, step: RotateKey, kept: Kept[Request], current: VersionState, policy: Policy
    ) -> bool:
        """Return whether today's policy has no version made, or not yet.

        A wish may be days old when it is served, and a try may have failed since. What the vault
        may be doing at this moment is past that, and waited for.
        """
        asked_at, rules = kept.row.vault_asked_at, policy.rules_for(current.id.key)
        if asked_at is not None and asked_at + LEASE > self.clock.now():
            return False
        if why := self._why_not(step, kept.row, current, policy):
            logger.info("no new version of %s: %s", step.key, why)
            answer_request(self.rows, step, problem=why)
            return True
        return self._lacks_approval(kept, rules) or self._waits(step, kept.row, rules)

    def _lacks_approval(self, kept: Kept[Request], rules: Rules) -> bool:
        """Return whether a version waits for an approver, at first or again; see that it does."""
        request, until = kept.row, kept.row.approved_until
        if until is None and rules.mode is not Mode.APPROVE:
            return False
        if until is not None and (until > self.clock.now() or _is_begun(request)):
            return False
        lapsed = f"its approval ran out on {until:%Y-%m-%d at %H:%M} UTC" if until else ""
        logger.info("request %s waits for an approval; %s", request.id, lapsed)
        problem = ""  # a wish that has one is not looked after any more
        if request.id.startswith(EXPIRING):  # the watch announces it, and looks after it
            problem = f"{lapsed}: it waits for another"
        else:
            self.announce.request_needs_approval(request)
        self.rows.replace(kept, replace(request, needs_approval=True, problem=problem))
        return True

    def _waits(self, step: RotateKey, request: Request, rules: Rules) -> bool:
        """Return whether a version that nobody asked for waits for its change window."""
        now = self.clock.now()
        if not request.id.startswith(EXPIRING) or _is_begun(request) or is_open(rules.windows, now):
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

    def _why_not(
        self, step: RotateKey, request: Request, current: VersionState, policy: Policy
    ) -> str:
        """Return why no version is made for a request as things are; empty: it may be."""
        key, now = current.id.key, self.clock.now()
        if not policy.manages(key):
            return let_go(self.rows, step, now)
        rules = policy.rules_for(key)
        if rules.mode is Mode.OBSERVE:
            return f"the policy lets Keyturn only observe {key}"
        return self._why_not_expiring(step, request, current, rules) if step.expiring else ""

    def _why_not_expiring(
        self, step: RotateKey, request: Request, current: VersionState, rules: Rules
    ) -> str:
        """Return why a version that runs out, or is too old, needs no successor; empty: it does.

        The vault's own rotation policy is relied upon until the version has expired: by then it
        has had its time.
        """
        now = self.clock.now()
        if not current.enabled:
            return f"{current.id} is disabled: whoever did that does not want another"
        ours = request.unexpire.get(str(current.id))  # put off by ourselves, until then
        ends = max(step.expires, ours) if step.expires and ours else step.expires
        if ends and (current.expires is None or current.expires > ends):
            return f"the expiry of {current.id} was put off"
        seen = dataclasses.replace(current, expires=now) if ours else current
        concern = concern_of(seen, rules, now)
        if concern is None or concern.reaction not in (Reaction.ASK, Reaction.ROTATE):
            return f"the policy does not want a version after {current.id} now"
        if concern.reaction is Reaction.ASK and request.approved_until is None:
            return "the policy asks for an approval"
        has_expired = seen.expires is not None and seen.expires <= now
        if not has_expired and self.vaults.rotates_itself(current.id.key):
            return f"the vault's own rotation policy makes the version after {current.id}"
        return ""


def _is_begun(request: Request) -> bool:
    """Return whether consumers have been readied for the version, which was not asked for since."""
    return bool(request.unexpire) and request.vault_asked_at is None
