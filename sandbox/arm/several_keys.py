"""Resources with several references: a list of them, or each at a place of its own.

Each reference protects something of its own, which the ground truth knows by the resource's id with
``references`` and a number added: the first one by the id itself.
"""

from datetime import datetime, timedelta

from sandbox.arm.emulated import Emulated, EmulatedFields, KeyPlace
from sandbox.arm.errors import ArmError
from sandbox.arm.identities import Identities
from sandbox.arm.operations import Polling
from sandbox.arm.resource_ids import ResourceId
from sandbox.arm.resources import Body, Resource
from sandbox.clock import SandboxClock
from sandbox.key_vault import KeyUnusable, KeyVaults, KeyVersion
from sandbox.truth import Truth


def reference(resource: str, number: int) -> str:
    """Return the id by which the truth knows what a reference of a resource protects."""
    return f"{resource}/references/{number}" if number else resource


class SeveralFields:
    """How such resources name their keys; see ``KeyFields``."""

    hands_over = False

    def __init__(  # noqa: PLR0913, PLR0917 - the services that every provider needs
        self,
        kind: Emulated,
        key: KeyPlace,
        vaults: KeyVaults,
        identities: Identities,
        truth: Truth,
        clock: SandboxClock,
    ) -> None:
        self._parts = [
            EmulatedFields(kind, place, vaults, identities) for place in (key, *kind.more)
        ]
        self._truth = truth
        self._clock = clock
        first = self._parts[0]
        self.looks_every: timedelta = first.looks_every
        self.works_for: timedelta = first.works_for
        self.accepted: int = first.accepted
        self.polling: Polling = first.polling
        self.shows_late: bool = first.shows_late
        named = [name for part in self._parts for name in part.properties]
        self.properties: tuple[str, ...] = tuple(dict.fromkeys(named))

    def written(self, body: Body) -> Body:
        """See ``KeyFields.written``."""
        return {path: value for part in self._parts for path, value in part.written(body).items()}

    def follows(self, body: Body) -> bool:
        """See ``KeyFields.follows``: whether any does."""
        return any(part.follows(body) for part in self._parts)

    def wanted(self, resource_id: ResourceId, body: Body, when: datetime) -> tuple[KeyVersion, str]:
        """See ``KeyFields.wanted``: of the first reference; all of them must be usable."""
        found = [part.wanted(resource_id, body, when) for part in self._named(body)]
        for number, (version, principal) in enumerate(found):
            if number:
                self._truth.rehearse(_of(resource_id, number), version.kid, principal)
        return found[0]

    def show(self, body: Body, version: KeyVersion, when: datetime) -> None:
        """See ``KeyFields.show``: of every reference, each of which is moved with it."""
        resource_id = ResourceId.parse(body["id"])
        named = self._named(body)
        for number, part in enumerate(named):
            meant, principal = part.wanted(resource_id, body, when)
            if number:
                self._truth.seal(_of(resource_id, number), meant.kid, principal, when)
            part.show(body, meant if number else version, when)
        for number in range(len(named), len(self._parts)):
            self._truth.release(_of(resource_id, number))

    def refused(self, unusable: KeyUnusable | None) -> ArmError:
        """See ``KeyFields.refused``."""
        return self._parts[0].refused(unusable)

    def begin(self, body: Body) -> None:
        """See ``KeyFields.begin``."""
        for part in self._parts:
            part.begin(body)

    def end(self, body: Body, *, succeeded: bool) -> None:
        """See ``KeyFields.end``."""
        for part in self._parts:
            part.end(body, succeeded=succeeded)

    def looked(self, resource: Resource, refusal: ArmError | KeyUnusable | None) -> None:
        """See ``KeyFields.looked``: what follows the vault, beside the first, follows it too."""
        now = self._clock.now()
        for number, part in enumerate(self._named(resource.body)):
            if number and refusal is None and part.follows(resource.body):
                version, principal = part.wanted(resource.id, resource.body, now)
                self._truth.seal(_of(resource.id, number), version.kid, principal, now)

    def _named(self, body: Body) -> list[EmulatedFields]:
        return [part for part in self._parts if part.written(body)]


def _of(resource_id: ResourceId, number: int) -> ResourceId:
    return ResourceId.parse(reference(str(resource_id), number))
