"""Look at every key of a managed vault: events get lost, and managed HSMs send none."""

import logging
from dataclasses import dataclass

from shared.domain.errors import PermanentError
from shared.domain.rows import Cause
from shared.domain.steps import Open, SweepVault
from shared.ports import Queue, Vaults

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepOneVault:
    """Queue a look at each key. Keys whose newest version is handled cost one vault call there."""

    vaults: Vaults
    queue: Queue

    def run(self, step: SweepVault) -> None:
        """See the class. A vault that cannot be listed is logged, and left to the next sweep."""
        cause = Cause(trigger="sweep", id=step.sweep)
        try:
            for key in self.vaults.keys(step.vault):
                self.queue.send(Open(key=str(key), cause=cause))
        except PermanentError as error:
            logger.error("cannot sweep %s: %s", step.vault, error)  # noqa: TRY400 - no bug of ours
