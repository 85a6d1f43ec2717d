"""Keys of SQL servers and managed instances: what a TDE protector names."""

from datetime import datetime

from sandbox.arm import json_paths
from sandbox.arm.emulated import Emulated
from sandbox.arm.emulated_resources import EmulatedResources
from sandbox.arm.identities import Identities
from sandbox.arm.key_users import KeyUsers
from sandbox.arm.operations import Operation, Written
from sandbox.arm.resource_ids import ResourceId
from sandbox.arm.resources import Body, Resource
from sandbox.clock import SandboxClock
from sandbox.key_vault import KeyVaults
from sandbox.truth import Truth

_DELETION = "DeleteLogicalServerEncryptionKeys"


class SqlServerKeys(EmulatedResources):
    """The provider of server keys; see ``Provider``.

    Recorded: a PUT is answered with 202, and the key is there when the operation is over. That
    nothing shows it before is inference.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the services that every provider needs
        self,
        kind: Emulated,
        clock: SandboxClock,
        vaults: KeyVaults,
        truth: Truth,
        identities: Identities,
        users: KeyUsers,
    ) -> None:
        super().__init__(kind, clock, vaults, truth, identities, users)
        self._coming: dict[str, tuple[datetime, Resource, Operation]] = {}
        """By the resource's key: when it is there."""

    def create(
        self, resource_id: ResourceId, request: Body, api_version: str
    ) -> tuple[Written, Resource]:
        """See ``Provider.create``. Asked for again, the same operation goes on (inference)."""
        if coming := self._coming.get(resource_id.key):
            _, resource, operation = coming
            return self._said(operation), resource
        _, resource = super().create(resource_id, request, api_version)
        resource.coming = True
        return self._begin(resource), resource

    def replace(self, resource: Resource, request: Body, api_version: str) -> Written:
        """See ``Provider.replace``."""
        super().replace(resource, request, api_version)
        return self._begin(resource)

    def delete(self, resource: Resource) -> Written:
        """See ``Provider.delete``. Recorded: 202, and over when it is first asked after."""
        super().delete(resource)
        operation = Operation(self.kind.polling, ended=True)
        shown = {**(self._accepted(operation) or {}), "operation": _DELETION}
        return Written(202, shown, operation)

    def settle(self, resource: Resource) -> None:
        """See ``Provider.settle``."""
        coming = self._coming.get(resource.id.key)
        if coming and coming[0] <= self._clock.now():
            del self._coming[resource.id.key]
            resource.coming = False
            json_paths.put(resource.body, "properties.autoRotationEnabled", value=False)
            coming[2].end(None)

    def _begin(self, resource: Resource) -> Written:
        resource.operation = Operation(self.kind.polling)
        due = self._clock.now() + self.kind.works_for
        self._coming[resource.id.key] = (due, resource, resource.operation)
        return self._said(resource.operation)

    def _said(self, operation: Operation) -> Written:
        return Written(202, self._accepted(operation), operation)
