"""A company's Azure to try things on: subscriptions, vaults, and accounts that use their keys."""

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from uuid import NAMESPACE_DNS, uuid5

from sandbox.arm import management_groups
from sandbox.arm.app import Arm
from sandbox.arm.container_groups import ContainerGroups
from sandbox.arm.cosmos_accounts import COSMOS_PRINCIPAL, CosmosAccounts
from sandbox.arm.emulated_kinds import EMULATED
from sandbox.arm.emulated_resources import EmulatedResources
from sandbox.arm.encryption_scopes import EncryptionScopes
from sandbox.arm.further_kinds import PROTECTORS, SERVER_KEYS
from sandbox.arm.identities import Identities
from sandbox.arm.key_references import key_name, vault_name, versions_of
from sandbox.arm.key_users import KeyUsers
from sandbox.arm.pace import Pace
from sandbox.arm.resource_ids import ResourceId
from sandbox.arm.resources import Body, Resource
from sandbox.arm.sql_protectors import SqlProtectors
from sandbox.arm.sql_server_keys import SqlServerKeys
from sandbox.arm.storage_accounts import StorageAccounts
from sandbox.arm.storage_bodies import CUSTOMER_KEYS, as_written
from sandbox.arm.vaults import Vaults
from sandbox.clock import SandboxClock
from sandbox.container_estate import ContainerEstate, ContainerGroup
from sandbox.identity import TokenService
from sandbox.key_vault import SUBSCRIPTION, VAULT_DOMAIN, KeyVaults, Vault
from sandbox.keyed_estate import KeyedEstate
from sandbox.resource_graph import ResourceGraph
from sandbox.truth import Truth

_STORAGE_VERSION = "2024-01-01"
_PROVIDERS: dict[str, type[EmulatedResources]] = {
    **{kind.type: SqlProtectors for kind in PROTECTORS},
    **{kind.type: SqlServerKeys for kind in SERVER_KEYS},
}
"""Of the emulated kinds that need code of their own."""

type Form = Literal["pinned", "absent", "empty"]
"""How a reference names the version: by its id, by leaving ``keyversion`` out, or by ``""``."""


@dataclass(frozen=True, slots=True)
class Account:
    """A resource of the estate that uses a key: a storage account, a scope, a Cosmos account."""

    id: str
    principal: str
    """Object id of the identity that uses the key."""
    pace: Pace
    """How fast it takes up key versions, to be changed at will."""


class Estate:
    """Everything below ARM, built by calls on this side of it.

    What is built here exists at once, is known to Resource Graph, and counts as no write.
    """

    def __init__(self, clock: SandboxClock, tokens: TokenService, vaults: KeyVaults) -> None:
        self.vaults = vaults
        self.truth = Truth(vaults)
        self.arm = Arm(clock, tokens)
        self.identities = Identities(tokens.tenant_id)
        users = KeyUsers(clock, self.truth)
        self._users = users
        self.storage = StorageAccounts(clock, vaults, self.truth, self.identities, users)
        self.scopes = EncryptionScopes(
            clock, vaults, self.truth, self.identities, users, self.storage, self.arm.resources
        )
        self.cosmos = CosmosAccounts(clock, vaults, self.truth, self.identities, users)
        self.resource_graph = ResourceGraph(self.arm, clock)
        self.vault_resources = Vaults(clock, vaults)
        self.containers = ContainerGroups(clock, vaults, self.truth, self.identities)
        groups = ContainerEstate(self.arm.resources, self.containers, self.identities, self._key)
        self.container_group = groups.make
        """Makes a container group; see ``ContainerEstate.make``."""
        self.stop = groups.stop
        """Stops a container group; see ``ContainerEstate.stop``."""
        emulated = [
            _PROVIDERS.get(kind.type, EmulatedResources)(
                kind, clock, vaults, self.truth, self.identities, users
            )
            for kind in EMULATED
        ]
        for provider in emulated:
            if isinstance(provider, SqlProtectors):
                provider.store = self.arm.resources
        by_type = {provider.type.lower(): provider for provider in emulated}
        keyed = KeyedEstate(self.arm.resources, by_type, self.identities, self.truth, self._key)
        self.resource = keyed.make
        """Makes a resource of an emulated kind; see ``KeyedEstate.make``."""
        self.arm.register(self.storage)
        self.arm.register(self.scopes)
        self.arm.register(self.cosmos)
        self.arm.register(self.vault_resources)
        self.arm.register(self.containers)
        for provider in emulated:
            self.arm.register(provider)
        vaults.watch(self._show)
        self.truth.settle_by(self.arm.resources.settle)

    def subscription(self, name: str) -> str:
        """Make a subscription; return its id, which is the same for the same name."""
        subscription = str(uuid5(NAMESPACE_DNS, f"{name}.subscriptions.keyturn.sandbox"))
        self.arm.resources.add_subscription(subscription, name)
        return subscription

    def management_group(self, name: str, subscriptions: dict[str, str]) -> None:
        """Make a management group; ``subscriptions`` below it are names by ids."""
        below = list(subscriptions.items())
        self.arm.serve(
            "GET",
            management_groups.path(name),
            lambda call: management_groups.answer(call, name, below, self.arm.rbac),
        )

    def group(
        self, subscription: str, name: str, *, location: str = "westeurope", managed_by: str = ""
    ) -> str:
        """Make a resource group, unless there is one of that name; return its id.

        Args:
            subscription: Its id, as ``subscription`` returned it.
            name: Of the group.
            location: Its region.
            managed_by: Id of the resource whose service keeps the group for itself, such as a
                Databricks workspace; empty for an ordinary group.
        """
        self.arm.resources.add_group(subscription, name, location, managed_by)
        return f"/subscriptions/{subscription}/resourceGroups/{name}"

    def vault(
        self, name: str, *, subscription: str = SUBSCRIPTION, group: str = "rg-keys"
    ) -> Vault:
        """Return the vault of that name, making it if there is none.

        Args:
            name: Of the vault, or its host.
            subscription: Id of the subscription to make it in; by default one that holds nothing
                but vaults, and in which nobody has a role.
            group: Its resource group, made if there is none.
        """
        try:
            return self.vaults.vault(name)
        except KeyError:
            return self.vaults.create(name, subscription_id=subscription, resource_group=group)

    def _show(self, vault: Vault) -> None:
        """Let ARM and Resource Graph have a vault."""
        if vault.domain == VAULT_DOMAIN:
            resource = self.vault_resources.resource(vault)
            self.arm.resources.add_subscription(resource.id.subscription, "key-vaults")
            self.arm.resources.add_group(resource.id.subscription, resource.id.group)
            self.arm.resources.add(resource)

    def managed_hsm(self, name: str) -> Vault:
        """Make a managed HSM; its keys are at ``https://NAME.managedhsm.azure.net``."""
        return self.vaults.create_managed_hsm(name)

    def user_assigned_identity(self, subscription: str, group: str, name: str) -> str:
        """Make a user-assigned identity; return its id."""
        identity = (
            f"/subscriptions/{subscription}/resourceGroups/{group}"
            f"/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}"
        )
        self.identities.create(identity)
        return identity

    def storage_account(  # noqa: PLR0913 - each is one setting of an account, all by name
        self,
        name: str,
        *,
        subscription: str,
        key: str | None,
        version: Form = "pinned",
        group: str = "rg-storage",
        location: str = "westeurope",
        user_assigned: str = "",
        tags: dict[str, str] | None = None,
    ) -> Account:
        """Make a storage account.

        Args:
            name: Of the account.
            subscription: Its id, as ``subscription`` returned it.
            key: URL of the key that it uses, or of one version of it, which then stays pinned
                to; ``None`` for platform-managed keys.
            version: How it names the version.
            group: Its resource group, made if there is none; see ``group`` for one that is managed.
            location: Its region.
            user_assigned: Id of the user-assigned identity that uses the key; empty for the
                account's own.
            tags: Of the account.
        """
        self.arm.resources.add_group(subscription, group)
        resource_id = ResourceId(subscription, group, self.storage.type, name)
        identity: Body = {"type": "SystemAssigned"}
        if user_assigned:
            identity = {"type": "UserAssigned", "userAssignedIdentities": {user_assigned: {}}}
        request = {
            "sku": {"name": "Standard_ZRS"},
            "location": location,
            "identity": identity,
            "tags": tags or {},
        }
        _, resource = self.storage.create(resource_id, request, _STORAGE_VERSION)
        encryption = self._encryption(key, version) if key else {}
        return self._add(resource, encryption, user_assigned)

    def encryption_scope(
        self, account: Account, name: str, *, key: str | None, version: Form = "pinned"
    ) -> Account:
        """Make an encryption scope of a storage account, whose identity gets the right to the key.

        Args:
            account: The storage account.
            name: Of the scope.
            key: URL of the key that it uses, or of one version of it, which then stays pinned
                to; ``None`` for platform-managed keys.
            version: ``absent`` and ``empty`` both name no version: a scope has one URL.
        """
        parent = ResourceId.parse(account.id)
        scope = replace(parent, type=self.scopes.type, name=f"{parent.name}/{name}")
        request: Body = {"properties": {"source": "Microsoft.Storage"}}
        if key:
            url = self._key_url(key, version)
            self._grant(url, account.principal)
            request = {
                "properties": {
                    "source": "Microsoft.KeyVault",
                    "keyVaultProperties": {"keyUri": url},
                }
            }
        with self.arm.resources.lock:
            _, resource = self.scopes.create(scope, request, _STORAGE_VERSION)
            self.arm.resources.add(resource)
        self.truth.start_counting(scope)
        return Account(str(scope), account.principal, self.scopes.pace(scope))

    def cosmos_account(  # noqa: PLR0913 - each is one setting of an account, all by name
        self,
        name: str,
        *,
        subscription: str,
        key: str | None,
        version: Literal["pinned", "absent"] = "absent",
        group: str = "rg-cosmos",
        location: str = "westeurope",
        user_assigned: str = "",
        tags: dict[str, str] | None = None,
    ) -> Account:
        """Make a Cosmos DB account, and wait until it is there.

        Args:
            name: Of the account.
            subscription: Its id, as ``subscription`` returned it.
            key: URL of the key that it uses; ``None`` for platform-managed keys.
            version: Whether its URI names the version that the key has now. The service takes it,
                and follows the current one all the same (inference).
            group: Its resource group, made if there is none.
            location: Its region.
            user_assigned: Id of the user-assigned identity that uses the key; empty for Cosmos
                DB's own, which is one and the same for all accounts.
            tags: Of the account.
        """
        self.arm.resources.add_group(subscription, group)
        account = ResourceId(subscription, group, self.cosmos.type, name)
        properties: Body = {"databaseAccountOfferType": "Standard"}
        request: Body = {"location": location, "tags": tags or {}, "properties": properties}
        principal = COSMOS_PRINCIPAL
        if user_assigned:
            identities: Body = {user_assigned: {}}
            request["identity"] = {"type": "UserAssigned", "userAssignedIdentities": identities}
            properties["defaultIdentity"] = f"UserAssignedIdentity={user_assigned}"
            principal = self.identities.principal(request["identity"], user_assigned) or ""
        if key:
            properties["keyVaultKeyUri"] = self._key_url(key, version)
            self._grant(key, principal)
        with self.arm.resources.lock:
            self.arm.resources.add(self.cosmos.made(account, request))
        self.truth.start_counting(account)
        return Account(str(account), principal, self.cosmos.pace(account))

    def delete(self, account: Account | ContainerGroup) -> None:
        """Delete an account or a container group behind everyone's back, whatever goes on in it."""
        with self.arm.resources.lock:
            resource = self.arm.resources.get(ResourceId.parse(account.id))
            self._users.forget(resource.id)
            self.arm.resources.remove(resource)

    def move(self, account: Account, *, group: str = "", subscription: str = "") -> Account:
        """Move a storage account to another group, subscription or both, behind everyone's back.

        It keeps its data key, its encryption scopes, its identity, its reference to the key and
        what was written to it, and has another id; there is nothing at the old one. Resource
        Graph hears of both.

        Args:
            account: As it is now.
            group: Name of the group to move it to, made if there is none; empty: of the same name.
            subscription: Id of the subscription to move it to; empty: the same.
        """
        old = ResourceId.parse(account.id)
        new = replace(old, subscription=subscription or old.subscription, group=group or old.group)
        self.arm.resources.add_group(new.subscription, new.group)
        with self.arm.resources.lock:
            self.arm.resources.get(old)
            family = self.arm.resources.family(old)
            self.arm.resources.remove(family[0])
            self._users.rename(old, new)
            for each in family:
                self.arm.resources.add(_moved(each, old, new))
        return replace(account, id=str(new))

    def load_recording(self, path: Path) -> list[Account]:
        """Make every storage account of a recording, with its vault and key.

        Bodies are taken as recorded, the last one with a vault key first. Version ids cannot be:
        vaults choose them. A reference keeps its form, and names the newest version of a key
        that is made here.
        """
        bodies: dict[str, Body] = {}
        for body in _accounts(json.loads(path.read_text())):
            known = bodies.get(body["id"].lower())
            if known is None or _uses_vault(body) or not _uses_vault(known):
                bodies[body["id"].lower()] = body
        return [self._load(body) for body in bodies.values()]

    def _load(self, body: Body) -> Account:
        resource_id = ResourceId.parse(body["id"])
        self.arm.resources.add_subscription(resource_id.subscription, "recorded")
        self.arm.resources.add_group(resource_id.subscription, resource_id.group)
        _, resource = self.storage.create(resource_id, {}, _STORAGE_VERSION)
        written = as_written(body)
        body["properties"]["encryption"].pop("keyvaultproperties", None)
        resource.body = body
        if not written:
            return self._add(resource, {}, "")
        body["properties"]["encryption"]["keySource"] = "Microsoft.Storage"
        url = f"{written['keyvaulturi'].rstrip('/')}/keys/{written['keyname']}"
        form: Form = "absent"
        if "keyversion" in written:
            form = "pinned" if written["keyversion"] else "empty"
        encryption = self._encryption(url, form)
        encryption["keyvaultproperties"]["keyvaulturi"] = written["keyvaulturi"]
        return self._add(resource, encryption, "")

    def _encryption(self, key: str, form: Form) -> Body:
        """Return the ``encryption`` to ask for, having made the key if there is none."""
        vault, name, version = self._key(key)
        reference = {"keyname": name, "keyvaulturi": f"{vault.uri}/"}
        if form != "absent":
            reference["keyversion"] = version if form == "pinned" else ""
        return {"keySource": CUSTOMER_KEYS, "keyvaultproperties": reference}

    def _key(self, key: str) -> tuple[Vault, str, str]:
        """Return vault, name and version of a key, having made the key if there is none.

        The version is the one that ``key`` names, else the newest.
        """
        name, vault = key_name(key), self.vault(vault_name(key) or "")
        if not versions_of(self.vaults, vault.host, name):
            vault.create_key(name)
        named = key.rstrip("/").partition(f"/keys/{name}")[2].strip("/")
        return vault, name, named or vault.find(name).version

    def _key_url(self, key: str, form: Form) -> str:
        """Return the URL to write for a key, having made the key if there is none."""
        reference = self._encryption(key, form)["keyvaultproperties"]
        version = reference.get("keyversion")
        base = f"{reference['keyvaulturi']}keys/{reference['keyname']}"
        return f"{base}/{version}" if version else base

    def _grant(self, key: str, principal: str) -> None:
        """Give an identity the right to use the keys of a key's vault."""
        vault = self.vault(vault_name(key) or "")
        vault.grant(principal, {"get", "wrapKey", "unwrapKey"})

    def _add(self, resource: Resource, encryption: Body, user_assigned: str) -> Account:
        """Let a new account use its key, its identity having been given the right to."""
        principal = self.identities.principal(resource.body.get("identity"), user_assigned) or ""
        if encryption:
            url = encryption["keyvaultproperties"]["keyvaulturi"]
            self._grant(url, principal)
            identity = {"identity": {"userAssignedIdentity": user_assigned}}
            asked = {**encryption, **(identity if user_assigned else {})}
            self.storage.patch(resource, {"properties": {"encryption": asked}})
        self.arm.resources.add(resource)
        self.truth.start_counting(resource.id)
        return Account(str(resource.id), principal, self.storage.pace(resource.id))


def _moved(resource: Resource, old: ResourceId, new: ResourceId) -> Resource:
    """Return a resource, or its child, as it is after a move."""
    moved = ResourceId.parse(str(new) + str(resource.id)[len(str(old)) :])
    body = {**deepcopy(resource.body), "id": str(moved)}
    return replace(resource, id=moved, body=body, notices=[], gone=False)


def _accounts(found: Any) -> Iterator[Body]:  # noqa: ANN401 - a recording is any JSON
    """Return the storage accounts' bodies in a recording, in their order."""
    if isinstance(found, dict):
        kind = found.get("type")
        if isinstance(kind, str) and kind.lower() == StorageAccounts.type.lower():
            yield found
            return
        found = list(found.values())
    if isinstance(found, list):
        for each in found:
            yield from _accounts(each)


def _uses_vault(body: Body) -> bool:
    return bool(as_written(body))
