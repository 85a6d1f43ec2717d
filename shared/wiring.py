"""The composition root: the only module that knows every adapter.

Adapters are imported when first needed, so that the app indexes, and an event is accepted, without
the Azure SDKs.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.settings import Settings
from shared.usecases.announce import Announce
from shared.usecases.ask import AskForRotation
from shared.usecases.bury import BuryStep
from shared.usecases.discover import DiscoverConsumers
from shared.usecases.health import CheckHealth
from shared.usecases.leases import Leases
from shared.usecases.ledger import Ledger
from shared.usecases.open_rotation import OpenRotation
from shared.usecases.pace import Pace
from shared.usecases.preflight import LookAhead
from shared.usecases.refuse import RememberRefusal
from shared.usecases.repoint import RepointResource
from shared.usecases.report import ReportRotation
from shared.usecases.revive import ReviveSupervisors
from shared.usecases.rotate_key import MakeVersion
from shared.usecases.run_step import RunStep
from shared.usecases.settle import SettleDebt
from shared.usecases.steer import SteerRotation
from shared.usecases.stock import Stock
from shared.usecases.supervise import SuperviseRotation
from shared.usecases.sweep import SweepOneVault
from shared.usecases.unexpire import Unexpire
from shared.usecases.verify import VerifyResource
from shared.usecases.watch import WatchKey

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.storage.blob import ContainerClient

    from shared.adapters.arm.client import ArmClient
    from shared.adapters.clock import RealClock
    from shared.ports import Announcer, Canary, ConfigFiles, Policies, Queue, Rows, Vaults

STEPS_QUEUE = "keyturn-steps"

APP = Path(__file__).parents[1]
"""The app's folder."""

PATIENCE: Mapping[str, Any] = {
    "connection_timeout": 5,
    "read_timeout": 15,
    "retry_total": 2,
    "permit_redirects": False,
}
"""With our own storage: what lies between taking a lease and a write must not outlast the lease."""


@dataclass(frozen=True)
class Wiring:
    """Builds the use cases from the settings, each once."""

    settings: Settings

    @cached_property
    def run_step(self) -> RunStep:
        """What the queue trigger calls."""
        from shared.adapters.arm.resources import ArmResources
        from shared.adapters.arm.vaults import ArmVaults
        from shared.adapters.planes import EveryPlane
        from shared.adapters.resource_graph.inventory import GraphInventory

        quieten_sdks()
        files, policies = self._files, self._policies
        resources = EveryPlane(ArmResources(self._arm), files)
        rows, queue, clock, vaults = self._rows, self._queue, self._clock, self._vaults
        announce = self._announce
        ledger, leases, pace = self._ledger, Leases(rows, clock), Pace(rows=rows, clock=clock)
        verify = VerifyResource(
            resources=resources,
            vaults=vaults,
            rows=rows,
            clock=clock,
            ledger=ledger,
            leases=leases,
            pace=pace,
            check_health=CheckHealth(canary=self._canary),
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
                unexpire=Unexpire(vaults=vaults, rows=rows, clock=clock, announce=announce),
            ),
            preflight=LookAhead(
                vaults=vaults, registry=ArmVaults(self._arm), rows=rows, clock=clock
            ),
            discover=DiscoverConsumers(
                inventory=GraphInventory(self._arm),
                resources=resources,
                rows=rows,
                queue=queue,
                clock=clock,
                files=files,
                ledger=ledger,
                sources=self.settings.config_sources,
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
            ),
            verify=verify,
            settle=SettleDebt(
                resources=resources,
                rows=rows,
                clock=clock,
                ledger=ledger,
                leases=leases,
                pace=pace,
            ),
            supervise=SuperviseRotation(
                vaults=vaults,
                rows=rows,
                queue=queue,
                clock=clock,
                ledger=ledger,
                pace=pace,
                stock=Stock(clock=clock, ledger=ledger, pace=pace),
                announce=announce,
                policies=policies,
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
        return BuryStep(rows=self._rows, queue=self._queue, clock=self._clock, ledger=self._ledger)

    @cached_property
    def ask(self) -> AskForRotation:
        """What ``POST …/rotate`` calls."""
        return AskForRotation(
            rows=self._rows,
            queue=self._queue,
            clock=self._clock,
            policies=self._policies,
            announce=self._announce,
        )

    @cached_property
    def report(self) -> ReportRotation:
        """What ``GET /api/rotations/{id}`` calls."""
        return ReportRotation(rows=self._rows, ledger=self._ledger)

    @cached_property
    def steer(self) -> SteerRotation:
        """What ``POST /api/rotations/{id}/{action}`` calls."""
        return SteerRotation(
            rows=self._rows,
            queue=self._queue,
            clock=self._clock,
            ledger=self._ledger,
            ask=self.ask,
            policies=self._policies,
        )

    @cached_property
    def _announce(self) -> Announce:
        return Announce(announcer=self._announcer, rows=self._rows, clock=self._clock)

    @cached_property
    def _ledger(self) -> Ledger:
        return Ledger(self._rows, self._queue)

    @cached_property
    def _clock(self) -> "RealClock":
        from shared.adapters.clock import RealClock

        text = self.settings.sandbox_clock
        return RealClock.parse(text) if text else RealClock()

    @cached_property
    def _policies(self) -> "Policies":
        from shared.adapters.policies import NoPolicy, ReadPolicy, read_blob, read_file

        place = self.settings.policy
        if not place:
            return NoPolicy()
        if "://" not in place:
            return ReadPolicy(place, read_file(APP / place), self._clock)
        from shared.adapters.storage.containers import connect_as
        from shared.domain.file_sources import BlobName

        read = read_blob(BlobName.parse(place), connect_as(self._credential))
        return ReadPolicy(place, read, self._clock)

    @cached_property
    def _credential(self) -> "TokenCredential":
        from azure.identity import ManagedIdentityCredential

        client_id = self.settings.client_id
        return ManagedIdentityCredential(client_id=client_id or None)

    @cached_property
    def _storage_credential(self) -> "TokenCredential":
        from shared.adapters.audiences import STORAGE, ForAudience

        return ForAudience(self._credential, STORAGE)

    @cached_property
    def _arm(self) -> "ArmClient":
        from shared.adapters.arm.client import ArmClient

        return ArmClient(self.settings.cloud, self._credential)

    @cached_property
    def _vaults(self) -> "Vaults":
        from shared.adapters.key_vault.vaults import AzureVaults

        return AzureVaults(self.settings.vaults, self._credential)

    @cached_property
    def _rows(self) -> "Rows":
        from azure.data.tables import TableServiceClient

        from shared.adapters.storage.bodies import Bodies
        from shared.adapters.storage.tables import TableRows

        storage, bodies = self.settings.storage, Bodies(self._connect_bodies)
        if text := storage.connection_string:
            return TableRows(TableServiceClient.from_connection_string(text, **PATIENCE), bodies)
        credential = self._storage_credential
        service = TableServiceClient(storage.table_url, credential=credential, **PATIENCE)
        return TableRows(service, bodies)

    def _connect_bodies(self) -> "ContainerClient":
        from azure.storage.blob import ContainerClient

        from shared.adapters.storage.bodies import CONTAINER

        storage = self.settings.storage
        if text := storage.connection_string:
            return ContainerClient.from_connection_string(text, CONTAINER, **PATIENCE)
        credential = self._storage_credential
        return ContainerClient(storage.blob_url, CONTAINER, credential=credential, **PATIENCE)

    @cached_property
    def _files(self) -> "ConfigFiles":
        from shared.adapters.planes import NoConfigFiles

        if not self.settings.config_sources:
            return NoConfigFiles()
        from shared.adapters.storage.config_files import BlobConfigFiles
        from shared.adapters.storage.containers import connect_as

        settings, connect = self.settings, connect_as(self._credential)
        return BlobConfigFiles(settings.config_sources, settings.cloud, connect)

    @cached_property
    def _canary(self) -> "Canary | None":
        if not self.settings.blob_canary:
            return None
        from shared.adapters.storage.canary import BlobCanary
        from shared.adapters.storage.containers import connect_as

        settings, connect = self.settings, connect_as(self._credential)
        return BlobCanary(settings.blob_canary, settings.cloud, connect)

    @cached_property
    def _queue(self) -> "Queue":
        from azure.storage.queue import QueueClient, TextBase64EncodePolicy

        from shared.adapters.storage.queue import StepQueue

        storage, encoding = self.settings.storage, TextBase64EncodePolicy()
        if storage.connection_string:
            client = QueueClient.from_connection_string(
                storage.connection_string, STEPS_QUEUE, message_encode_policy=encoding, **PATIENCE
            )
        else:
            client = QueueClient(
                storage.queue_url,
                STEPS_QUEUE,
                credential=self._storage_credential,
                message_encode_policy=encoding,
                **PATIENCE,
            )
        return StepQueue(client, self._clock)

    @cached_property
    def _announcer(self) -> "Announcer":
        from shared.adapters.event_grid.announcer import NoAnnouncer, TopicAnnouncer

        if not self.settings.topic:
            return NoAnnouncer()
        from azure.eventgrid import EventGridPublisherClient

        quieten_sdks()
        client = EventGridPublisherClient(self.settings.topic, self._credential)
        return TopicAnnouncer(client, "keyturn", self._clock)


def quieten_sdks() -> None:
    """Keep the Azure SDKs from logging every request: the steps log what matters."""
    logging.getLogger("azure").setLevel(logging.WARNING)
    # It warns of every option of ``send`` that is not a field of the event.
    logging.getLogger("azure.eventgrid").setLevel(logging.ERROR)
