"""The composition root: the only package that knows every adapter."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from shared.ports import Steps
from shared.settings import Settings
from shared.usecases.announce import Announce
from shared.usecases.ask import AskForRotation
from shared.usecases.audit import AuditCall
from shared.usecases.bury import BuryStep
from shared.usecases.check_readiness import CheckReadiness
from shared.usecases.conclude import ConcludeRotation
from shared.usecases.discover import DiscoverConsumers
from shared.usecases.evidence import KeepEvidence, ReadEvidence
from shared.usecases.health import CheckHealth
from shared.usecases.history import ListConsumers, ListRequests, ListRotations
from shared.usecases.leases import Leases
from shared.usecases.ledger import Ledger
from shared.usecases.open_rotation import OpenRotation
from shared.usecases.pace import Pace
from shared.usecases.plan_key import PlanKey
from shared.usecases.preflight import LookAhead
from shared.usecases.refuse import RememberRefusal
from shared.usecases.repoint import RepointResource
from shared.usecases.report import ReportRotation
from shared.usecases.revive import ReviveSupervisors
from shared.usecases.rotate_key import MakeVersion
from shared.usecases.run_step import RunStep
from shared.usecases.search import SearchEstate
from shared.usecases.settle import SettleDebt
from shared.usecases.settle_by_hand import SettleByHand
from shared.usecases.show_keys import ShowKeys
from shared.usecases.show_scope import ShowScope
from shared.usecases.steer import SteerRotation
from shared.usecases.stock import Stock
from shared.usecases.supervise import SuperviseRotation
from shared.usecases.sweep import SweepOneVault
from shared.usecases.unexpire import Unexpire
from shared.usecases.verify import VerifyResource
from shared.usecases.watch import WatchKey
from shared.wiring.adapters import EVENTS_QUEUE, STEPS_QUEUE, Adapters, quieten_sdks

__all__ = ["EVENTS_QUEUE", "STEPS_QUEUE", "Wiring"]


@dataclass(frozen=True)
class Wiring:
    """Builds the use cases from the settings, each once."""

    settings: Settings

    @cached_property
    def _adapters(self) -> Adapters:
        return Adapters(self.settings)

    def now(self) -> datetime:
        """Return the current time."""
        return self._adapters.clock.now()

    # -- steps -----------------------------------------------------------------------------------

    @cached_property
    def steps(self) -> Steps:
        """What the queue trigger calls: ``run_step``, with its traces and its ids on log lines."""
        return self._adapters.traced(self.run_step.run)

    @cached_property
    def run_step(self) -> RunStep:
        """Every step's use case."""
        quieten_sdks()
        out = self._adapters
        rows, queue, clock, vaults = out.rows, out.queue, out.clock, out.vaults
        resources, policies, announce = out.resources, out.policies, self._announce
        ledger, leases, pace = self._ledger, Leases(rows, clock), self._pace
        verify = VerifyResource(
            resources=resources,
            vaults=vaults,
            rows=rows,
            clock=clock,
            ledger=ledger,
            leases=leases,
            pace=pace,
            check_health=CheckHealth(canary=out.canary),
            announce=announce,
        )
        return RunStep(
            open=OpenRotation(
                vaults=vaults,
                rows=rows,
                queue=queue,
                clock=clock,
                announce=announce,
                policies=policies,
            ),
            watch=WatchKey(
                vaults=vaults,
                rows=rows,
                queue=queue,
                clock=clock,
                policies=policies,
                announce=announce,
            ),
            rotate_key=MakeVersion(
                vaults=vaults,
                rows=rows,
                queue=queue,
                clock=clock,
                policies=policies,
                announce=announce,
                unexpire=Unexpire(vaults=vaults, rows=rows, clock=clock, announce=announce),
            ),
            preflight=LookAhead(vaults=vaults, registry=out.registry, rows=rows, clock=clock),
            discover=DiscoverConsumers(
                estate=self._estate, rows=rows, queue=queue, clock=clock, ledger=ledger
            ),
            repoint=RepointResource(
                resources=resources,
                vaults=vaults,
                rows=rows,
                clock=clock,
                ledger=ledger,
                leases=leases,
                pace=pace,
                verify=verify,
                policies=policies,
            ),
            verify=verify,
            settle=SettleDebt(
                resources=resources,
                rows=rows,
                clock=clock,
                ledger=ledger,
                leases=leases,
                pace=pace,
                announce=announce,
            ),
            supervise=SuperviseRotation(
                rows=rows,
                queue=queue,
                clock=clock,
                ledger=ledger,
                pace=pace,
                stock=Stock(clock=clock, ledger=ledger, pace=pace),
                announce=announce,
                policies=policies,
                conclude=self._conclude,
            ),
            sweep=SweepOneVault(
                vaults=vaults, rows=rows, queue=queue, clock=clock, policies=policies
            ),
            revive=ReviveSupervisors(rows=rows, queue=queue, clock=clock),
            refuse=RememberRefusal(rows=rows),
            rows=rows,
            queue=queue,
            clock=clock,
            ledger=ledger,
            pace=pace,
        )

    @cached_property
    def bury_step(self) -> BuryStep:
        """What the poison trigger calls."""
        out = self._adapters
        return BuryStep(rows=out.rows, queue=out.queue, clock=out.clock, ledger=self._ledger)

    # -- the HTTP API ----------------------------------------------------------------------------

    @cached_property
    def audit(self) -> AuditCall:
        """What keeps every call."""
        return AuditCall(self._adapters.rows)

    @cached_property
    def show_keys(self) -> ShowKeys:
        """What ``GET /api/keys`` and ``GET /api/keys/{vault}/{key}`` call."""
        out = self._adapters
        return ShowKeys(
            vaults=out.vaults,
            rows=out.rows,
            clock=out.clock,
            policies=out.policies,
            allowed=self.settings.vaults,
        )

    @cached_property
    def plan_key(self) -> PlanKey:
        """What ``GET /api/keys/{vault}/{key}/plan`` calls."""
        out = self._adapters
        return PlanKey(
            vaults=out.vaults,
            resources=out.resources,
            rows=out.rows,
            clock=out.clock,
            policies=out.policies,
            estate=self._estate,
        )

    @cached_property
    def ask(self) -> AskForRotation:
        """What ``POST …/rotate`` calls."""
        out = self._adapters
        return AskForRotation(
            rows=out.rows,
            queue=out.queue,
            clock=out.clock,
            policies=out.policies,
            announce=self._announce,
        )

    @cached_property
    def list_rotations(self) -> ListRotations:
        """What ``GET /api/rotations`` calls."""
        return ListRotations(rows=self._adapters.rows, clock=self._adapters.clock)

    @cached_property
    def list_requests(self) -> ListRequests:
        """What ``GET /api/requests`` calls."""
        return ListRequests(rows=self._adapters.rows, allowed=self.settings.vaults)

    @cached_property
    def report(self) -> ReportRotation:
        """What ``GET /api/rotations/{id}`` calls."""
        out = self._adapters
        return ReportRotation(rows=out.rows, ledger=self._ledger, clock=out.clock)

    @cached_property
    def evidence(self) -> ReadEvidence:
        """What ``GET /api/rotations/{id}/evidence`` calls."""
        return ReadEvidence(rows=self._adapters.rows, store=self._adapters.evidence)

    @cached_property
    def list_consumers(self) -> ListConsumers:
        """What ``GET /api/rotations/{id}/consumers`` calls."""
        return ListConsumers(rows=self._adapters.rows)

    @cached_property
    def steer(self) -> SteerRotation:
        """What ``POST /api/rotations/{id}/{action}`` calls."""
        out = self._adapters
        return SteerRotation(
            rows=out.rows,
            queue=out.queue,
            clock=out.clock,
            ledger=self._ledger,
            ask=self.ask,
            policies=out.policies,
        )

    @cached_property
    def settle_by_hand(self) -> SettleByHand:
        """What ``POST /api/rotations/{id}/settle`` calls."""
        out = self._adapters
        return SettleByHand(
            rows=out.rows,
            queue=out.queue,
            clock=out.clock,
            ledger=self._ledger,
            resources=out.resources,
            vaults=out.vaults,
            conclude=self._conclude,
        )

    @cached_property
    def scope(self) -> ShowScope:
        """What ``GET /api/scope`` calls."""
        out = self._adapters
        return ShowScope(
            resources=out.resources,
            policies=out.policies,
            allowed=self.settings.vaults,
            sources=self.settings.config_sources,
        )

    @cached_property
    def readiness(self) -> CheckReadiness:
        """What ``GET /api/health`` calls."""
        out = self._adapters
        return CheckReadiness(
            vaults=out.vaults,
            resources=out.resources,
            rows=out.rows,
            queue=out.queue,
            clock=out.clock,
            policies=out.policies,
            store=out.evidence,
            allowed=self.settings.vaults,
        )

    # -- what they share -------------------------------------------------------------------------

    @cached_property
    def _announce(self) -> Announce:
        out = self._adapters
        return Announce(announcer=out.announcer, rows=out.rows, clock=out.clock)

    @cached_property
    def _ledger(self) -> Ledger:
        return Ledger(self._adapters.rows, self._adapters.queue)

    @cached_property
    def _conclude(self) -> ConcludeRotation:
        out = self._adapters
        evidence = KeepEvidence(
            rows=out.rows,
            ledger=self._ledger,
            vaults=out.vaults,
            store=out.evidence,
            cloud=self.settings.cloud.name,
        )
        return ConcludeRotation(
            rows=out.rows,
            clock=out.clock,
            ledger=self._ledger,
            vaults=out.vaults,
            announce=self._announce,
            evidence=evidence,
        )

    @cached_property
    def _pace(self) -> Pace:
        return Pace(rows=self._adapters.rows, clock=self._adapters.clock)

    @cached_property
    def _estate(self) -> SearchEstate:
        out = self._adapters
        return SearchEstate(
            inventory=out.inventory,
            resources=out.resources,
            files=out.files,
            rows=out.rows,
            pace=self._pace,
            sources=self.settings.config_sources,
        )
