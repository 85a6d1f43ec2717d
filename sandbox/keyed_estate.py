"""Resources of the emulated kinds, made on this side of ARM."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Literal

from sandbox.arm import json_paths
from sandbox.arm.emulated import KeyPlace
from sandbox.arm.emulated_resources import EmulatedResources
from sandbox.arm.identities import Identities
from sandbox.arm.pace import Pace
from sandbox.arm.resource_ids import ResourceId
from sandbox.arm.resources import Body, ResourceStore
from sandbox.container_estate import FindKey
from sandbox.truth import Truth


@dataclass(frozen=True, slots=True)
class Keyed:
    """A resource of an emulated kind."""

    id: str
    principal: str
    """Object id of the identity that uses the key; empty without a key."""
    pace: Pace | None
    """How fast it takes up key versions, to be changed at will; ``None``: its kind has none."""


class KeyedEstate:
    """Makes resources of the emulated kinds. What is made is there, and was never written to."""

    def __init__(
        self,
        resources: ResourceStore,
        providers: Mapping[str, EmulatedResources],
        identities: Identities,
        truth: Truth,
        find_key: FindKey,
    ) -> None:
        self._resources = resources
        self._providers = providers
        self._identities = identities
        self._truth = truth
        self._find_key = find_key

    def make(  # noqa: PLR0913 - each is one setting of a resource, all by name
        self,
        resource_type: str,
        name: str,
        *,
        subscription: str,
        key: str | None = None,
        more: Sequence[str] = (),
        version: Literal["pinned", "absent", "empty", "follows"] = "pinned",
        group: str = "rg-services",
        location: str = "westeurope",
        properties: Body | None = None,
        tags: dict[str, str] | None = None,
    ) -> Keyed:
        """Make a resource, whose identity gets the right to the key.

        Args:
            resource_type: In any casing.
            name: With its parent's first, such as ``san1/group1``; a parent is made if there is
                none.
            subscription: Its id.
            key: URL of the key that it uses, made if there is none; ``None``: it uses none.
            more: URLs of further keys, for its further references.
            version: How the reference names the version; ``follows``: it names one, and the flag
                that follows the vault is on.
            group: Its resource group, made if there is none.
            location: Its region.
            properties: What else to ask for.
            tags: Of the resource.
        """
        provider = self._providers[resource_type.lower()]
        self._resources.add_group(subscription, group)
        resource_id = ResourceId(subscription, group, provider.type, name)
        self._make_parent(resource_id, location)
        request = json_paths.merged(
            {"properties": {}}, deepcopy(provider.kind.request), frozenset()
        )
        if resource_id.parent is None:
            request |= {"location": location, "tags": tags or {}}
        request = json_paths.merged(request, {"properties": properties or {}}, frozenset())
        principal = ""
        keys = [key, *more] if key else []
        if provider.kind.entries:
            json_paths.put(request, provider.kind.entries, [{} for _ in keys])
        for each, place in zip(keys, (provider.kind.key, *provider.kind.more), strict=False):
            principal = self._refer(place, request, resource_id, each, version)
        with self._resources.lock:
            self._resources.add(provider.made(resource_id, request))
        self._truth.start_counting(resource_id)
        pace = provider.pace(resource_id) if provider.kind.key else None
        return Keyed(str(resource_id), principal, pace)

    def _make_parent(self, resource_id: ResourceId, location: str) -> None:
        parent = resource_id.parent
        if parent and self._resources.find(parent) is None:
            provider = self._providers[parent.type.lower()]
            request = {"location": location, **deepcopy(provider.kind.request)}
            with self._resources.lock:
                self._resources.add(provider.made(parent, request))

    def _refer(
        self,
        place: KeyPlace | None,
        request: Body,
        resource_id: ResourceId,
        key: str,
        version: str,
    ) -> str:
        """Let a request name a key and an identity that may use it; return the identity's id."""
        if place is None:
            raise ValueError(f"{resource_id.type} has no key")
        vault, name, number = self._find_key(key)
        named = number if version in {"pinned", "follows"} else ""
        if place.when:
            json_paths.put(request, *place.when)
        if place.url:
            url = f"{vault.uri}/keys/{name}"
            json_paths.put(request, place.url, f"{url}/{named}" if named else url)
        else:
            json_paths.put(request, place.vault, f"{vault.uri}/")
            json_paths.put(request, place.name, name)
            if version != "absent" and place.version:
                json_paths.put(request, place.version, named)
        if place.follows:
            json_paths.put(request, place.follows, version == "follows")
        principal = self._identify(place, request, resource_id)
        vault.grant(principal, {"get", "wrapKey", "unwrapKey"})
        return principal

    def _identify(self, place: KeyPlace, request: Body, resource_id: ResourceId) -> str:
        identity = (
            f"/subscriptions/{resource_id.subscription}/resourceGroups/{resource_id.group}"
            "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/"
            f"id-{resource_id.name.replace('/', '-')}"
        )
        principal = self._identities.create(identity)
        request["identity"] = {"type": "UserAssigned", "userAssignedIdentities": {identity: {}}}
        if place.identity:
            json_paths.put(request, place.identity, identity)
            kind_of_identity, _, last = place.identity.rpartition(".")
            if last in {"identityId", "userAssignedIdentityResourceId"}:
                words = "UserAssigned" if last == "identityId" else "userAssignedIdentity"
                json_paths.put(request, f"{kind_of_identity}.identityType", words)
        if place.client:
            shown = self._identities.assign(None, request["identity"]) or {}
            client = shown["userAssignedIdentities"][identity]["clientId"]
            json_paths.put(request, place.client, client)
        return principal
