"""Look at every key of a managed vault: events get lost, and managed HSMs send none."""

from dataclasses import dataclass

from shared.domain.rows import Cause
from shared.domain.steps import Open, SweepVault
from shared.ports import Queue, Vaults


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepOneVault:
    """Queue a look at each key. Keys whose newest version is handled cost one vault call there."""

    vaults: Vaults
    queue: Queue

    def run(self, step: SweepVault) -> None:
        """See the class.

        Raises:
            PermanentError: The vault's keys cannot be listed.
        """
        for key in self.vaults.keys(step.vault):
            self.queue.send(Open(key=str(key), cause=Cause(trigger="sweep")))
