"""The container service: groups that are made, deleted and made again, and the keys they use.

A group's key protects what the service keeps of its deployment, not what its containers write. It
can be chosen when the group is made, and not later.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Address

from sandbox.arm.container_bodies import (
    new_body,
    show_failed,
    show_running,
    show_stopped,
    shown,
    take_secrets,
)
from sandbox.arm.container_checks import (
    check_request,
    check_update,
    key_not_accessible,
    no_capacity,
    transitioning,
)
from sandbox.arm.container_pace import Course, GroupPace
from sandbox.arm.errors import ArmError
from sandbox.arm.identities import Identities
from sandbox.arm.key_references import find_version, vault_name
from sandbox.arm.operations import Operation, Polling, Written
from sandbox.arm.provider_quota import ProviderQuota
from sandbox.arm.resource_ids import ResourceId
from sandbox.arm.resources import Body, Resource
from sandbox.clock import SandboxClock
from sandbox.key_vault import KeyUnusable, KeyVaults
from sandbox.truth import Truth

FIRST_PARTY = "6bb8e274-af5d-4df2-98a3-4fd78b4cafd9"
"""The principal "Azure Container Instance Service", by whose rights a group without an identity of
its own uses its key. docs: container-instances-encrypt-data. That is its application id, the same
everywhere; its object id is another in each tenant, and here the same."""
_CREATION = Polling(status="operations", working="Pending")
"""Recorded: test_container_create.yaml. The recorded polls say more than the status: the resource,
the start and the events of its containers."""
_DELETION = Polling(result="operationresults")
"""docs: the OpenAPI file has 202 without more; the form of the URL is inference."""
_POLL = timedelta(hours=1)
_ADDRESSES = int(IPv4Address("20.253.0.1"))


@dataclass(slots=True)
class _Group:
    """What the service knows of a group and does not show."""

    pace: GroupPace
    secrets: dict[str, str] = field(default_factory=dict)
    course: Course | None = None
    address: str = ""


class ContainerGroups:
    """The provider of ``Microsoft.ContainerInstance/containerGroups``."""

    type = "Microsoft.ContainerInstance/containerGroups"
    api_versions: tuple[str, ...] = ("2022-09-01", "2023-05-01", "2025-09-01", "2026-07-01")
    etags = False

    def __init__(
        self, clock: SandboxClock, vaults: KeyVaults, truth: Truth, identities: Identities
    ) -> None:
        self.quota = ProviderQuota(clock)
        self._clock = clock
        self._vaults = vaults
        self.truth = truth
        self._identities = identities
        self._groups: dict[str, _Group] = {}
        self._addresses = 0

    def pace(self, resource_id: ResourceId) -> GroupPace:
        """Return how a group of that name comes and goes, to be changed in place."""
        return self._group(resource_id).pace

    def secrets(self, resource_id: str) -> dict[str, str]:
        """Return the ground truth of a group's secrets: what it was really given, by its place.

        For example ``containers/app/TOKEN/secureValue``. What is a reference is not among them.
        """
        return dict(self._group(ResourceId.parse(resource_id)).secrets)

    def stop(self, resource: Resource) -> None:
        """Stop a group that runs, as its owner would."""
        show_stopped(resource.body, self._clock.now())

    def shown(self, body: Body, api_version: str, *, listed: bool) -> Body:
        """See ``Provider.shown``."""
        return shown(body, api_version, listed=listed)

    def create(
        self, resource_id: ResourceId, request: Body, api_version: str
    ) -> tuple[Written, Resource]:
        """See ``Provider.create``. Recorded: 201, ``Azure-AsyncOperation``, state ``Pending``.

        Later looks show ``Creating`` (docs: container-state) until the group runs or has failed.
        """
        check_request(resource_id.name, request, api_version)
        resource = Resource(resource_id, self._body(resource_id, request, None))
        self.truth.count_creation(resource_id)
        self._group(resource_id).address = ""
        return self._start(resource, request, 201), resource

    def replace(self, resource: Resource, request: Body, api_version: str) -> Written:
        """See ``Provider.replace``: every container starts anew, secrets are those of the request.

        A group that runs keeps its host, its address and its data key; one that was stopped or has
        failed "is deployed as new" (docs: container-instances-update), and has others then. What
        may change is the same for both, of two readings the stricter one.
        """
        self._require_idle(resource)
        check_request(resource.id.name, request, api_version)
        body = self._body(resource.id, request, resource.body.get("identity"))
        check_update(resource.body, body, resource.id.name)
        if resource.body["properties"]["instanceView"]["state"] != "Running":
            self._group(resource.id).address = ""
            self.truth.release(resource.id)
        resource.body = body
        return self._start(resource, request, 200)

    def patch(self, resource: Resource, request: Body) -> Written:
        """See ``Provider.patch``. Recorded for tags; docs: it takes nothing else."""
        if "tags" in request:
            resource.body["tags"] = dict(request["tags"] or {})
        self.truth.count_write(resource.id)
        return Written()

    def delete(self, resource: Resource) -> Written:
        """See ``Provider.delete``.

        Recorded: 200 with the group as it was. The OpenAPI file has 202 too: that is the answer
        where deletion takes time. Until the group is gone a GET shows no difference, as the
        recorded answer to the DELETE shows none (inference).
        """
        self._require_idle(resource)
        self.truth.count_deletion(resource.id)
        if self.pace(resource.id).deletion == timedelta(0):
            self._forget(resource)
            return Written(shown=resource.body)
        return Written(202, operation=self._begin(resource, _DELETION, deletes=True))

    def settle(self, resource: Resource) -> None:
        """See ``Provider.settle``: starts and deletions that are due, polls for new versions."""
        now, pace = self._clock.now(), self.pace(resource.id)
        course = self._group(resource.id).course
        if course and (when := course.ended(pace, now)):
            self._group(resource.id).course = None
            self._end(resource, course, when)
        elif course and not course.deletes:
            resource.body["properties"]["provisioningState"] = "Creating"
        while not resource.gone and pace.next_poll_at <= now:
            when, pace.next_poll_at = pace.next_poll_at, pace.next_poll_at + _POLL
            self._poll(resource, when)

    def _group(self, resource_id: ResourceId) -> _Group:
        if resource_id.key not in self._groups:
            self._groups[resource_id.key] = _Group(GroupPace(self._clock.now() + _POLL))
        return self._groups[resource_id.key]

    def _require_idle(self, resource: Resource) -> None:
        if self._group(resource.id).course is not None:
            raise transitioning(resource.id.name)

    def _body(self, resource_id: ResourceId, request: Body, current: Body | None) -> Body:
        wanted = request.get("identity")
        identity = self._identities.assign(current, wanted) if wanted else None
        if identity:  # recorded: also where it is user-assigned
            identity["tenantId"] = self._identities.tenant_id
        return new_body(resource_id, request, identity)

    def _start(self, resource: Resource, request: Body, status: int) -> Written:
        group = self._group(resource.id)
        group.secrets = take_secrets(request["properties"])
        self.truth.count_write(resource.id)
        return Written(
            status, shown=resource.body, operation=self._begin(resource, _CREATION, deletes=False)
        )

    def _begin(self, resource: Resource, polling: Polling, *, deletes: bool) -> Operation:
        course = Course(self._clock.now(), Operation(polling), deletes=deletes)
        self._group(resource.id).course = course
        return course.operation

    def _end(self, resource: Resource, course: Course, when: datetime) -> None:
        """Let what went on in a group be over."""
        if course.deletes:
            self._forget(resource)
            course.operation.end(None)
            return
        pace = self.pace(resource.id)
        while pace.next_poll_at <= when:  # those would find what was current before it started
            pace.next_poll_at += _POLL
        try:
            if pace.fails():
                raise no_capacity(resource.body)
            self._take_key(resource, when)
        except ArmError as error:
            show_failed(resource.body, when, str(error))
            course.operation.end(error)
        else:
            show_running(resource.body, when, self._address(resource))
            course.operation.end(None)
        resource.tell(when)

    def _forget(self, resource: Resource) -> None:
        self.truth.release(resource.id)
        self._group(resource.id).secrets = {}
        resource.gone = True

    def _take_key(self, resource: Resource, when: datetime) -> None:
        """Wrap the group's data key with the version that its body means at ``when``.

        Raises:
            ArmError: The key cannot be used by whom it must be.
        """
        encryption = resource.body["properties"].get("encryptionProperties")
        if encryption is None:
            return
        identity = str(encryption.get("identity") or "")
        owned = self._identities.principal(resource.body.get("identity"), identity)
        principal = owned if identity else FIRST_PARTY
        vault = vault_name(encryption["vaultBaseUrl"])
        version = vault and find_version(
            self._vaults, vault, encryption["keyName"], encryption.get("keyVersion") or "", when
        )
        if not version or not principal:
            raise key_not_accessible()
        try:
            self.truth.seal(resource.id, version.kid, principal, when)
        except KeyUnusable as unusable:
            raise key_not_accessible() from unusable

    def _poll(self, resource: Resource, when: datetime) -> None:
        """Follow the newest version, where none is named (azure-rest-api-specs#24296).

        A version that cannot be used is passed over (inference).
        """
        properties = resource.body["properties"]
        encryption = properties.get("encryptionProperties", {"keyVersion": "none"})
        if encryption.get("keyVersion") or properties["provisioningState"] != "Succeeded":
            return
        try:
            self._take_key(resource, when)
        except ArmError:
            return

    def _address(self, resource: Resource) -> str:
        """Return the group's address: its own while it keeps its host, another on another one.

        docs: container-instances-update, "typically retained between updates".
        """
        group = self._group(resource.id)
        if not group.address:
            self._addresses += 1
            group.address = str(IPv4Address(_ADDRESSES + self._addresses))
        return group.address
