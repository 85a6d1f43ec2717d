"""A kind of resource with several keys, whose PATCH replaces them all: an update can be lost.

Modelled on Event Hubs namespaces, whose ``keyVaultProperties`` is an array (REST docs:
Namespaces - Create Or Update, EncryptionVersion). The catalog has no such kind yet.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from sandbox.arm.operations import Written
from sandbox.arm.provider_quota import ProviderQuota
from sandbox.arm.resource_ids import ResourceId
from sandbox.arm.resources import Body, Resource
from sandbox.clock import SandboxClock
from sandbox.identity import APP_PRINCIPAL
from shared.catalog.storage import STORAGE_ACCOUNT
from shared.domain.json_paths import Json, look_up, put
from shared.domain.keys import Key, KeyVersion
from shared.domain.kinds import Completion, Kind, Write
from shared.domain.proofs import Finding, Level
from shared.domain.resources import Reference
from tests.usecases.bench import Bench

_KEYS = "properties.encryption.keyVaultProperties"
_SUCCEEDED = {"provisioningState": "Succeeded"}


@dataclass(frozen=True, slots=True)
class KeyArray:
    """References in an array, each known by the name of its key."""

    def read(self, body: Json) -> Sequence[Reference]:
        """See ``Shape.read``."""
        return tuple(_reference(entry) for entry in look_up(body, _KEYS) or ())

    def point(self, body: Json, reference: Reference, target: KeyVersion) -> None:
        """See ``Shape.point``."""
        for entry in look_up(body, _KEYS):
            if _reference(entry).place == reference.place:
                entry["keyVersion"] = target.version

    def restore(self, body: Json, original: Json, *, again: bool) -> None:  # noqa: ARG002 - one form
        """See ``Shape.restore``."""
        put(body, _KEYS, look_up(original, _KEYS))


@dataclass(frozen=True, slots=True)
class EntryNamesTarget:
    """The entry of the target's key names the target."""

    def check(self, body: Json, target: KeyVersion) -> Finding:
        """See ``Rule.check``."""
        named = [r.pinned for r in KeyArray().read(body) if r.key == target.key]
        return Finding(holds=named == [target], seen=f"the entry names {named}")


NAMESPACE: Kind = replace(
    STORAGE_ACCOUNT,
    id="namespace",
    title="namespace",
    resource_type="Microsoft.EventHub/namespaces",
    shape=KeyArray(),
    write=Write(
        verb="PATCH",
        send=("properties.encryption",),
        never=(),
        guard="properties.encryption.keySource",
        completion=Completion.SYNC,
    ),
    proof=EntryNamesTarget(),
    level=Level.CONFIGURED,
    in_use="",
    versionless=None,
)


class Namespaces:
    """The provider: what a PATCH leaves out of the array is out of it."""

    type = NAMESPACE.resource_type
    api_versions: tuple[str, ...] = (NAMESPACE.api_version,)
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
    return {str(reference.pinned) for reference in KeyArray().read(body)}


def namespace(bench: Bench, provider: Namespaces, versions: Sequence[str]) -> ResourceId:
    """Serve namespaces, and make one that names these versions; return its id."""
    arm, subscription = bench.azure.estate.arm, bench.subscription
    arm.register(provider)
    arm.resources.add_group(subscription, "rg-hubs")
    actions = {f"{provider.type}/read", f"{provider.type}/write"}
    arm.rbac.allow(APP_PRINCIPAL, actions, f"/subscriptions/{subscription}")
    entries = [_entry(KeyVersion.parse(version)) for version in versions]
    encryption = {"keySource": "Microsoft.KeyVault", "keyVaultProperties": entries}
    identifier = ResourceId(subscription, "rg-hubs", provider.type, "ns")
    request = {"properties": {"encryption": encryption}}
    _, resource = provider.create(identifier, request, NAMESPACE.api_version)
    arm.resources.add(resource)
    return identifier


def _entry(version: KeyVersion) -> dict[str, str]:
    key = version.key
    return {
        "keyName": key.name,
        "keyVaultUri": f"https://{key.vault}",
        "keyVersion": version.version,
    }


def _reference(entry: dict[str, Any]) -> Reference:
    key = Key.parse(f"{entry['keyVaultUri']}/keys/{entry['keyName']}")
    pinned = KeyVersion.parse(f"{key}/{entry['keyVersion']}")
    return Reference(f"key {key.name}", key, pinned)
