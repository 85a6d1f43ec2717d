"""Event Hubs namespaces whose writes are noted: each replaces all keys, so one can be lost."""

from collections.abc import Sequence
from copy import deepcopy

from sandbox.arm.operations import Written
from sandbox.arm.provider_quota import ProviderQuota
from sandbox.arm.resource_ids import ResourceId
from sandbox.arm.resources import Body, Resource
from sandbox.clock import SandboxClock
from shared.catalog.messaging import EVENT_HUBS_NAMESPACE
from shared.domain.json_paths import Json
from shared.domain.keys import KeyVersion
from tests.usecases.bench import Bench

_SUCCEEDED = {"provisioningState": "Succeeded"}


class Namespaces:
    """The provider: what a PATCH leaves out of the array is out of it."""

    type = EVENT_HUBS_NAMESPACE.resource_type
    api_versions: tuple[str, ...] = (EVENT_HUBS_NAMESPACE.api_version,)
    etags = False

    def __init__(self, clock: SandboxClock) -> None:
        self.quota = ProviderQuota(clock)
        self.history: list[set[str]] = []
        """The versions that were named, after each write."""

    def settle(self, resource: Resource) -> None:
        """See ``Provider.settle``: nothing happens by itself."""

    def shown(self, body: Body, api_version: str, *, listed: bool) -> Body:
        """See ``Provider.shown``."""
        del api_version, listed
        return body

    def create(
        self, resource_id: ResourceId, request: Body, api_version: str
    ) -> tuple[Written, Resource]:
        """See ``Provider.create``."""
        del api_version
        properties = request["properties"] | _SUCCEEDED
        body = {"id": str(resource_id), "name": resource_id.name, "type": self.type}
        return Written(201), Resource(
            resource_id, body | {"location": "westeurope", "properties": properties}
        )

    def replace(self, resource: Resource, request: Body, api_version: str) -> Written:
        """See ``Provider.replace``."""
        del api_version
        return self.patch(resource, request)

    def patch(self, resource: Resource, request: Body) -> Written:
        """See ``Provider.patch``."""
        body = deepcopy(resource.body)
        body["properties"]["encryption"] = request["properties"]["encryption"]
        resource.body = body
        self.history.append(versions_of(body))
        return Written()

    def delete(self, resource: Resource) -> Written:
        """See ``Provider.delete``."""
        resource.gone = True
        return Written()


def versions_of(body: Json) -> set[str]:
    """Return the ids of the versions that a namespace names."""
    return {str(each.pinned) for each in EVENT_HUBS_NAMESPACE.shape.read(body)}


def namespace(bench: Bench, provider: Namespaces, versions: Sequence[str]) -> ResourceId:
    """Serve namespaces, and make one that names these versions; return its id."""
    arm, subscription = bench.azure.estate.arm, bench.subscription
    arm.register(provider)
    arm.resources.add_group(subscription, "rg-hubs")
    entries = [_entry(KeyVersion.parse(version)) for version in versions]
    encryption = {"keySource": "Microsoft.KeyVault", "keyVaultProperties": entries}
    identifier = ResourceId(subscription, "rg-hubs", provider.type, "ns")
    request = {"properties": {"encryption": encryption}}
    _, resource = provider.create(identifier, request, EVENT_HUBS_NAMESPACE.api_version)
    arm.resources.add(resource)
    return identifier


def _entry(version: KeyVersion) -> dict[str, str]:
    key = version.key
    return {
        "keyName": key.name,
        "keyVaultUri": f"https://{key.vault}",
        "keyVersion": version.version,
    }
