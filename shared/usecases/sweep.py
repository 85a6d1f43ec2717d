"""Look at every key of a managed vault: events get lost, and managed HSMs send none."""

import logging
from dataclasses import dataclass

from shared.domain.errors import PermanentError
from shared.domain.keys import Key
from shared.domain.policy import Policy
from shared.domain.records import Watched, watched_partition
from shared.domain.rows import Cause
from shared.domain.steps import Open, SweepVault, Watch
from shared.ports import Clock, Policies, Queue, Rows, Vaults
from shared.usecases.open_rotation import SETTLES_WITHIN
from shared.usecases.usage import has_consumers
from shared.usecases.watch import WATCH_EVERY

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepOneVault:
    """Queue a look at each key that the policy lets us manage, and now and then at its expiry.

    Keys whose newest version is handled cost one vault call there; when a key's expiry was looked
    at last is read from our own rows, all of a vault at once. So is which keys there were: one
    that the vault lists no longer is looked at too.

    After a change of the vault's access policies only keys with consumers are looked at, and not
    before it holds everywhere.
    """

    vaults: Vaults
    rows: Rows
    queue: Queue
    clock: Clock
    policies: Policies

    def run(self, step: SweepVault) -> None:
        """See the class. A vault that cannot be listed is logged, and left to the next sweep."""
        policy = self.policies.current()
        try:
            if step.recheck:
                self._recheck(step, policy)
            else:
                self._look(step, policy)
        except PermanentError as error:
            logger.error("cannot sweep %s: %s", step.vault, error)  # noqa: TRY400 - no bug of ours

    def _look(self, step: SweepVault, policy: Policy) -> None:
        cause, now = Cause(trigger="sweep", id=step.sweep), self.clock.now()
        rows = self.rows.scan(Watched, watched_partition(step.vault))
        watched = {kept.row.key: kept.row.at for kept in rows}
        for key in self.vaults.keys(step.vault):
            at = watched.pop(str(key), None)
            if not policy.manages(key):
                continue
            self.queue.send(Open(key=str(key), cause=cause))
            if at is None or now - at >= WATCH_EVERY:
                self.queue.send(Watch(key=str(key), cause=cause))
        for gone, at in watched.items():
            if policy.manages(Key.parse(gone)) and now - at >= WATCH_EVERY:
                self.queue.send(Watch(key=gone, cause=cause))

    def _recheck(self, step: SweepVault, policy: Policy) -> None:
        cause, when = Cause(trigger="event", id=step.sweep), self.clock.now() + SETTLES_WITHIN
        for key in self.vaults.keys(step.vault):
            if policy.manages(key) and has_consumers(self.rows, str(key)):
                self.queue.send(Open(key=str(key), cause=cause, recheck=True), at=when)
