"""Look ahead at the vault and the target, once per rotation."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from shared.catalog import KINDS
from shared.domain.errors import PermanentError
from shared.domain.findings import Severity
from shared.domain.keys import Key, KeyVersion
from shared.domain.preflight import Seen, foresee
from shared.domain.rows import Foresight, Rotation
from shared.domain.steps import Preflight
from shared.domain.vault_settings import VaultSettings
from shared.ports import Clock, Rows, VaultRegistry, Vaults

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAhead:
    """Say what will break before consumers fail one by one.

    It holds nothing up and stops nothing: what becomes of a consumer is seen on the consumer. Costs
    a query of Resource Graph, one GET of the vault over ARM and two reads of the vault itself.
    """

    vaults: Vaults
    registry: VaultRegistry
    rows: Rows
    clock: Clock

    def run(self, step: Preflight) -> None:
        """See the class. Looks once, and not at a rotation that has ended."""
        kept = self.rows.load(Rotation, step.rotation, "rotation")
        if kept is None or kept.row.outcome is not None:
            return
        row = Foresight(rotation=step.rotation, at=self.clock.now())
        if self.rows.load(Foresight, *row.address):
            return
        seen = self._see(kept.row)
        findings = foresee(seen, KINDS, row.at)
        for finding in findings:
            if finding.severity is Severity.BLOCKER:
                logger.error("rotation %s: %s; %s", step.rotation, finding.text, finding.advice)
        tenant = seen.vault.tenant if isinstance(seen.vault, VaultSettings) else ""
        self.rows.insert(replace(row, tenant=tenant, findings=findings))

    def _see(self, rotation: Rotation) -> Seen:
        key = Key.parse(rotation.key)
        is_hsm = key.is_managed_hsm
        return Seen(
            target=_or_why(lambda: self.vaults.version(KeyVersion.parse(rotation.target))),
            policy=_or_why(lambda: self.vaults.policy(key)),
            vault=None if is_hsm else _or_why(lambda: self.registry.settings(key.vault)),
            current_problem=rotation.current_problem,
        )


def _or_why[T](read: Callable[[], T]) -> T | PermanentError:
    """Return what can be read, or why it cannot; what may pass by itself is raised."""
    try:
        return read()
    except PermanentError as error:
        return error
