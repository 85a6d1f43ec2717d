"""Look at a key's expiry and age, and do about them what the policy says."""

import logging
from dataclasses import dataclass
from datetime import timedelta

from msgspec.structs import replace

from shared.domain.errors import PermanentError
from shared.domain.keys import Key
from shared.domain.policy import Reaction
from shared.domain.resources import digest
from shared.domain.steps import RotateKey, Watch
from shared.ports import Clock, Policies, Queue, Rows, Vaults
from shared.usecases.announce import Announce

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchKey:
    """Read a key's newest version, and react as its rules say to what it has coming."""

    vaults: Vaults
    rows: Rows
    queue: Queue
    clock: Clock
    policies: Policies
    announce: Announce

    def run(self, step: Watch) -> None:
        """See the class. A key that cannot be read is logged."""
        try:
            self._run(step)
        except PermanentError as error:
            logger.error("cannot watch %s: %s", step.key, error)  # noqa: TRY400 - no bug of ours

    def _run(self, step: Watch) -> None:
        key = Key.parse(step.key)
        policy = self.policies.current()
        if not policy.manages(key):
            return
        rules, current = policy.rules_for(key), self.vaults.current(key)
        ends_soon = current.expires and current.expires - self.clock.now() <= timedelta(
            days=rules.near_expiry_days
        )
        if ends_soon and rules.near_expiry is Reaction.ROTATE:
            # One request a version, so that twenty events make one successor.
            reason = f"{current.id.version} nears its expiry"
            self.queue.send(
                RotateKey(
                    key=step.key,
                    cause=replace(step.cause, reason=reason),
                    request=f"exp-{digest(str(current.id))}",
                    expiring=str(current.id),
                    expires=current.expires,
                )
            )
