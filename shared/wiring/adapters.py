"""The adapters, each made when it is first needed.

The app indexes, and an event is accepted, without the Azure SDKs.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.settings import Settings

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.data.tables import TableServiceClient
    from azure.storage.blob import ContainerClient

    from shared.adapters.arm.client import ArmClient
    from shared.adapters.clock import RealClock
    from shared.adapters.telemetry.telemetry import Telemetry
    from shared.domain.steps import Step
    from shared.ports import (
        Announcer,
        Canary,
        ConfigFiles,
        EvidenceStore,
        Inventory,
        Policies,
        Queue,
        Resources,
        Rows,
        Steps,
        VaultRegistry,
        Vaults,
    )

logger = logging.getLogger(__name__)

STEPS_QUEUE = "keyturn-steps"
EVENTS_QUEUE = "keyturn-events"
"""Into which Event Grid may put events, for an app that may be stopped."""

APP = Path(__file__).parents[2]
"""The app's folder."""

PATIENCE: Mapping[str, Any] = {
    "connection_timeout": 5,
    "read_timeout": 15,
    "retry_total": 2,
    "permit_redirects": False,
}
"""With our own storage: what lies between taking a lease and a write must not outlast the lease."""


@dataclass(frozen=True)
class Adapters:
    """Builds the adapters from the settings, each once."""

    settings: Settings

    @cached_property
    def clock(self) -> "RealClock":
        """Real time, or the sandbox's."""
        from shared.adapters.clock import RealClock

        text = self.settings.sandbox_clock
        return RealClock.parse(text) if text else RealClock()

    @cached_property
    def policies(self) -> "Policies":
        """Where the policy lies."""
        from shared.adapters.policies import NoPolicy, ReadPolicy, read_blob, read_file

        place = self.settings.policy
        if not place:
            return NoPolicy()
        if "://" not in place:
            return ReadPolicy(place, read_file(APP / place), self.clock)
        from shared.adapters.storage.containers import connect_as
        from shared.domain.file_sources import BlobName

        read = read_blob(BlobName.parse(place), connect_as(self.credential))
        return ReadPolicy(place, read, self.clock)

    @cached_property
    def telemetry(self) -> "Telemetry":
        """What takes spans and metrics; to nowhere, unless the settings say where to.

        That something is wrong with it stops no step.
        """
        from shared.adapters.telemetry.telemetry import Telemetry

        quieten_sdks()
        if not self.settings.telemetry:
            return Telemetry()
        try:
            from shared.adapters.telemetry.azure_monitor import providers

            return Telemetry(*providers(self.settings.telemetry, self.credential))
        except Exception:
            logger.exception("no traces and metrics: the exporter cannot be started")
            return Telemetry()

    def traced(self, run: "Callable[[Step], None]") -> "Steps":
        """Return ``run`` as what the queue trigger calls."""
        from shared.adapters.telemetry.ids import name_ids_on_log_lines
        from shared.adapters.telemetry.steps import TracedSteps

        name_ids_on_log_lines()
        return TracedSteps(run, self.telemetry, self.rows)

    @cached_property
    def credential(self) -> "TokenCredential":
        """Our identity."""
        from azure.identity import ManagedIdentityCredential

        client_id = self.settings.client_id
        return ManagedIdentityCredential(client_id=client_id or None)

    @cached_property
    def storage_credential(self) -> "TokenCredential":
        """Our identity, for storage alone."""
        from shared.adapters.audiences import STORAGE, ForAudience

        return ForAudience(self.credential, STORAGE)

    @cached_property
    def arm(self) -> "ArmClient":
        """Azure Resource Manager."""
        from shared.adapters.arm.client import ArmClient
        from shared.adapters.telemetry.arm import CountAnswers

        watch = CountAnswers(self.telemetry)
        return ArmClient(self.settings.cloud, self.credential, watch=watch)

    @cached_property
    def resources(self) -> "Resources":
        """What holds references, in Azure Resource Manager and in files."""
        from shared.adapters.arm.resources import ArmResources
        from shared.adapters.planes import EveryPlane

        return EveryPlane(ArmResources(self.arm), self.files)

    @cached_property
    def inventory(self) -> "Inventory":
        """Azure Resource Graph."""
        from shared.adapters.resource_graph.inventory import GraphInventory

        return GraphInventory(self.arm)

    @cached_property
    def registry(self) -> "VaultRegistry":
        """The key vaults, as Azure Resource Manager keeps them."""
        from shared.adapters.arm.vaults import ArmVaults

        return ArmVaults(self.arm)

    @cached_property
    def vaults(self) -> "Vaults":
        """The key vaults that may be managed."""
        from shared.adapters.key_vault.vaults import AzureVaults

        return AzureVaults(self.settings.vaults, self.credential)

    @cached_property
    def rows(self) -> "Rows":
        """Tables and large bodies of our own storage account."""
        from shared.adapters.storage.bodies import CONTAINER, Bodies
        from shared.adapters.storage.tables import TableRows
        from shared.adapters.telemetry.rows import MeasuredRows

        bodies = Bodies(lambda: self._connect_blobs(CONTAINER))
        return MeasuredRows(TableRows(self._connect_tables(), bodies), self.telemetry)

    def _connect_tables(self) -> "TableServiceClient":
        """Return a client of the tables of our own storage."""
        from azure.data.tables import TableServiceClient

        storage = self.settings.storage
        if text := storage.connection_string:
            return TableServiceClient.from_connection_string(text, **PATIENCE)
        credential = self.storage_credential
        return TableServiceClient(storage.table_url, credential=credential, **PATIENCE)

    @cached_property
    def evidence(self) -> "EvidenceStore":
        """The container of the documents about rotations."""
        from shared.adapters.storage.evidence import CONTAINER, IN_PIECES, BlobEvidence

        return BlobEvidence(lambda: self._connect_blobs(CONTAINER, **IN_PIECES))

    def _connect_blobs(self, container: str, **options: Any) -> "ContainerClient":  # noqa: ANN401 - the SDK's
        """Return a client of a container of our own storage."""
        from azure.storage.blob import ContainerClient

        storage, options = self.settings.storage, {**PATIENCE, **options}
        if text := storage.connection_string:
            return ContainerClient.from_connection_string(text, container, **options)
        credential = self.storage_credential
        return ContainerClient(storage.blob_url, container, credential=credential, **options)

    @cached_property
    def files(self) -> "ConfigFiles":
        """The registered deployment configs."""
        from shared.adapters.planes import NoConfigFiles

        if not self.settings.config_sources:
            return NoConfigFiles()
        from shared.adapters.storage.config_files import BlobConfigFiles
        from shared.adapters.storage.containers import connect_as

        settings, connect = self.settings, connect_as(self.credential)
        return BlobConfigFiles(settings.config_sources, settings.cloud, connect)

    @cached_property
    def canary(self) -> "Canary | None":
        """What tries a storage account out; ``None``: nothing does."""
        if not self.settings.blob_canary:
            return None
        from shared.adapters.storage.canary import BlobCanary
        from shared.adapters.storage.containers import connect_as

        settings, connect = self.settings, connect_as(self.credential)
        return BlobCanary(settings.blob_canary, settings.cloud, connect)

    @cached_property
    def queue(self) -> "Queue":
        """The queue of steps."""
        from azure.storage.queue import QueueClient, TextBase64EncodePolicy

        from shared.adapters.storage.queue import StepQueue

        storage = self.settings.storage
        options = {"message_encode_policy": TextBase64EncodePolicy(), **PATIENCE}

        def connect(name: str) -> QueueClient:
            if text := storage.connection_string:
                return QueueClient.from_connection_string(text, name, **options)
            credential = self.storage_credential
            return QueueClient(storage.queue_url, name, credential=credential, **options)

        poison = (connect(f"{STEPS_QUEUE}-poison"), connect(f"{EVENTS_QUEUE}-poison"))
        return StepQueue(connect(STEPS_QUEUE), poison, self.clock)

    @cached_property
    def announcer(self) -> "Announcer":
        """The topic, if one is set."""
        from shared.adapters.event_grid.announcer import NoAnnouncer, TopicAnnouncer

        if not self.settings.topic:
            return NoAnnouncer()
        from azure.eventgrid import EventGridPublisherClient

        quieten_sdks()
        client = EventGridPublisherClient(self.settings.topic, self.credential)
        return TopicAnnouncer(client, "keyturn", self.clock)


def quieten_sdks() -> None:
    """Keep the Azure SDKs from logging every request: the steps log what matters."""
    logging.getLogger("azure").setLevel(logging.WARNING)
    # It warns of every option of ``send`` that is not a field of the event.
    logging.getLogger("azure.eventgrid").setLevel(logging.ERROR)
