"""Everything that exists below ARM, and what Resource Graph was told about it."""

import json
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from threading import RLock
from typing import Any, Protocol

from sandbox.arm.errors import group_not_found, resource_not_found, subscription_not_found
from sandbox.arm.operations import Operation, Written
from sandbox.arm.provider_quota import ProviderQuota
from sandbox.arm.resource_ids import ResourceId, within
from sandbox.clock import SandboxClock

Body = dict[str, Any]

_CHILDREN_HELD = {"microsoft.elasticsan/elasticsans/volumegroups"}


@dataclass(frozen=True, slots=True)
class ResourceGroup:
    """A resource group."""

    name: str
    location: str
    managed_by: str = ""
    """Id of the resource whose service keeps the group for itself; empty for an ordinary one."""


@dataclass(slots=True)
class Subscription:
    """A subscription and its resource groups."""

    id: str
    name: str
    groups: dict[str, ResourceGroup] = field(default_factory=dict)
    """By the name in lower case."""


@dataclass(slots=True)
class Resource:
    """One resource, as its provider would show it now."""

    id: ResourceId
    body: Body
    notices: list[tuple[datetime, Body | None]] = field(default_factory=list)
    """What Resource Graph was told, and when; ``None`` for a deletion."""
    operation: Operation | None = None
    """The last write, where that is one that goes on after its answer."""
    gone: bool = False
    """Whether its service has deleted it: the store forgets it then."""
    coming: bool = False
    """Whether its service is still making it, and shows nothing of it yet."""

    @property
    def etag(self) -> str:
        """A tag that is another whenever a GET shows something else."""
        shown = json.dumps(self.body, sort_keys=True)
        return f'"{sha256(shown.encode()).hexdigest()[:32]}"'

    def tell(self, when: datetime) -> None:
        """Tell Resource Graph what the resource shows now, as of ``when``."""
        self.notices.append((when, deepcopy(self.body)))

    def known_at(self, moment: datetime) -> Body | None:
        """Return the body of the last notice up to ``moment``: ``None`` if none, or deleted."""
        return next((body for when, body in reversed(self.notices) if when <= moment), None)


class Provider(Protocol):
    """How the resources of one type behave: all that a new service has to bring.

    A provider validates a PATCH or PUT, decides what a GET shows, and takes up key versions.
    It changes ``resource.body`` in place, or raises ``ArmError`` and changes nothing. It is
    called with the store's lock held.
    """

    type: str
    """Namespace and type, for example ``Microsoft.Storage/storageAccounts``."""
    api_versions: tuple[str, ...]
    etags: bool
    """Whether answers carry an ETag, as header and as ``etag``, and ``If-Match`` is heeded."""
    quota: ProviderQuota
    """The provider's own limits, beside ARM's."""

    def settle(self, resource: Resource) -> None:
        """Let everything happen that the service does on its own up to now."""

    def shown(self, body: Body, api_version: str, *, listed: bool) -> Body:
        """Return what an api-version shows of a body, in a list or alone. May change ``body``."""

    def create(
        self, resource_id: ResourceId, request: Body, api_version: str
    ) -> tuple[Written, Resource]:
        """Make a resource from a PUT; return what to answer, and the resource.

        Raises:
            ArmError: The service refuses the request.
        """

    def replace(self, resource: Resource, request: Body, api_version: str) -> Written:
        """Apply a PUT on an existing resource; return what to answer.

        Raises:
            ArmError: The service refuses the request.
        """

    def patch(self, resource: Resource, request: Body) -> Written:
        """Apply a PATCH; return what to answer.

        Raises:
            ArmError: The service refuses the request.
        """

    def delete(self, resource: Resource) -> Written:
        """Apply a DELETE; return what to answer. ``resource.gone`` says whether it is done.

        Raises:
            ArmError: The service refuses the request.
        """


class ResourceStore:
    """Subscriptions, groups and resources; settles a resource before showing it.

    ``lock`` guards all of it, the providers' own state included.
    """

    def __init__(self, clock: SandboxClock) -> None:
        self.lock = RLock()
        self._clock = clock
        self._subscriptions: dict[str, Subscription] = {}
        self._resources: dict[str, Resource] = {}
        self._deleted: list[Resource] = []
        self.providers: dict[str, Provider] = {}

    def register(self, provider: Provider) -> None:
        """Serve the provider's resource type from now on."""
        self.providers[provider.type.lower()] = provider

    def add_subscription(self, subscription: str, name: str) -> None:
        """Make a subscription, whose GUID is ``subscription``; one that exists stays as it is."""
        with self.lock:
            made = Subscription(subscription, name)
            self._subscriptions.setdefault(subscription.lower(), made)

    def add_group(
        self, subscription: str, group: str, location: str = "westeurope", managed_by: str = ""
    ) -> None:
        """Make a resource group; one that exists stays as it is."""
        with self.lock:
            made = ResourceGroup(group, location, managed_by)
            self.subscription(subscription).groups.setdefault(group.lower(), made)

    def subscriptions(self) -> list[Subscription]:
        """Return all subscriptions, in the order in which they were made."""
        with self.lock:
            return list(self._subscriptions.values())

    def subscription(self, subscription: str) -> Subscription:
        """Return one subscription.

        Raises:
            ArmError: 404 SubscriptionNotFound.
        """
        found = self._subscriptions.get(subscription.lower())
        if found is None:
            raise subscription_not_found(subscription)
        return found

    def group(self, subscription: str, group: str) -> ResourceGroup:
        """Return one resource group.

        Raises:
            ArmError: 404 SubscriptionNotFound or ResourceGroupNotFound.
        """
        found = self.subscription(subscription).groups.get(group.lower())
        if found is None:
            raise group_not_found(group)
        return found

    def find(self, resource_id: ResourceId) -> Resource | None:
        """Return one resource as it is now, if it exists."""
        with self.lock:
            resource = self._resources.get(resource_id.key)
            if resource is None:
                return None
            self._settle(resource)
            return None if resource.gone or resource.coming else resource

    def get(self, resource_id: ResourceId) -> Resource:
        """Return one resource as it is now.

        Raises:
            ArmError: 404 for the subscription, the group or the resource.
        """
        self.group(resource_id.subscription, resource_id.group)
        resource = self.find(resource_id)
        if resource is None:
            raise resource_not_found(resource_id)
        return resource

    def named(self, resource_type: str, name: str) -> ResourceId | None:
        """Return the id of the first resource of a type that has this name, wherever it is."""
        with self.lock:
            wanted = (resource_type.lower(), name.lower())
            found = (each.id for each in self._resources.values())
            return next(
                (one for one in found if (one.type.lower(), one.name.lower()) == wanted), None
            )

    def location(self, resource: Resource) -> str:
        """Return the region of a resource, which for a child is its parent's."""
        parent = resource.id.parent
        found: str = (self._resources[parent.key] if parent else resource).body["location"]
        return found

    def family(self, resource_id: ResourceId) -> list[Resource]:
        """Return a resource and its children, whatever their type."""
        with self.lock:
            return [
                each for each in self._resources.values() if within(str(resource_id), str(each.id))
            ]

    def below(self, scope: str, resource_type: str) -> list[Resource]:
        """Return the resources of one type at or below ``scope``, as they are now."""
        with self.lock:
            found = [
                resource
                for resource in self._resources.values()
                if resource.id.type.lower() == resource_type.lower()
                and within(scope, str(resource.id))
            ]
            for resource in found:
                self._settle(resource)
            return [each for each in found if not (each.gone or each.coming)]

    def settle(self) -> None:
        """Let everything happen, everywhere, that the services do on their own up to now."""
        with self.lock:
            for resource in list(self._resources.values()):
                if not resource.gone:
                    self._settle(resource)

    def add(self, resource: Resource) -> None:
        """Keep a new resource, and tell Resource Graph."""
        with self.lock:
            self._resources[resource.id.key] = resource
            self.notify(resource)

    def remove(self, resource: Resource) -> None:
        """Drop a resource with its children, and tell Resource Graph."""
        with self.lock:
            for each in self.family(resource.id):
                each.gone = True
                del self._resources[each.id.key]
                each.notices.append((self._clock.now(), None))
                self._deleted.append(each)

    def notify(self, resource: Resource) -> None:
        """Tell Resource Graph what the resource shows now."""
        resource.tell(self._clock.now())

    def snapshot(self, moment: datetime) -> list[tuple[ResourceId, Body]]:
        """Return every resource as its notices had it at ``moment``, deleted ones included.

        Settling tells nobody: Resource Graph holds what a provider sent after a write, not what
        the service did later on its own (inference; Resource Graph is documented as eventually
        consistent only). It holds children only of the types on its list (docs: supported tables
        and resources; encryption scopes are not on it).
        """
        with self.lock:
            everything = [*self._resources.values(), *self._deleted]
            known = [
                (resource.id, resource.known_at(moment))
                for resource in everything
                if resource.id.parent is None or resource.id.type.lower() in _CHILDREN_HELD
            ]
            return [(identifier, body) for identifier, body in known if body is not None]

    def _settle(self, resource: Resource) -> None:
        self.providers[resource.id.type.lower()].settle(resource)
        if resource.gone:
            self.remove(resource)
