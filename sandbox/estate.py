"""A company's Azure to try things on: subscriptions, vaults, and accounts that use their keys."""

from copy import deepcopy
from dataclasses import replace
from uuid import NAMESPACE_DNS, uuid5

from sandbox.account_estate import Account, AccountEstate, Form
from sandbox.arm import management_groups
from sandbox.arm.app import Arm
from sandbox.arm.container_groups import ContainerGroups
from sandbox.arm.cosmos_accounts import CosmosAccounts
from sandbox.arm.emulated_kinds import EMULATED
from sandbox.arm.emulated_resources import EmulatedResources
from sandbox.arm.encryption_scopes import EncryptionScopes
from sandbox.arm.further_kinds import PROTECTORS, SERVER_KEYS
from sandbox.arm.identities import Identities
from sandbox.arm.key_references import key_name, vault_name, versions_of
from sandbox.arm.key_users import KeyUsers
from sandbox.arm.resource_ids import ResourceId
from sandbox.arm.resources import Resource
from sandbox.arm.sql_protectors import SqlProtectors
from sandbox.arm.sql_server_keys import SqlServerKeys
from sandbox.arm.storage_accounts import StorageAccounts
from sandbox.arm.vaults import Vaults
from sandbox.clock import SandboxClock
from sandbox.container_estate import ContainerEstate, ContainerGroup
from sandbox.identity import TokenService
from sandbox.key_vault import SUBSCRIPTION, VAULT_DOMAIN, KeyVaults, Vault
from sandbox.keyed_estate import KeyedEstate
from sandbox.resource_graph import ResourceGraph
from sandbox.truth import Truth

__all__ = ["Account", "Estate", "Form"]

_PROVIDERS: dict[str, type[EmulatedResources]] = {
    **{kind.type: SqlProtectors for kind in PROTECTORS},
    **{kind.type: SqlServerKeys for kind in SERVER_KEYS},
}
"""Of the emulated kinds that need code of their own."""


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
        accounts = AccountEstate(
            self.arm.resources,
            self.storage,
            self.scopes,
            self.cosmos,
            self.identities,
            self.truth,
            self._key,
        )
        self.storage_account = accounts.storage_account
        """Makes a storage account; see ``AccountEstate.storage_account``."""
        self.encryption_scope = accounts.encryption_scope
        """Makes an encryption scope; see ``AccountEstate.encryption_scope``."""
        self.cosmos_account = accounts.cosmos_account
        """Makes a Cosmos DB account; see ``AccountEstate.cosmos_account``."""
        self.load_recording = accounts.load_recording
        """Makes the storage accounts of a recording; see ``AccountEstate.load_recording``."""
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

    def _key(self, key: str) -> tuple[Vault, str, str]:
        """Return vault, name and version of a key, having made the key if there is none.

        The version is the one that ``key`` names, else the newest.
        """
        name, vault = key_name(key), self.vault(vault_name(key) or "")
        if not versions_of(self.vaults, vault.host, name):
            vault.create_key(name)
        named = key.rstrip("/").partition(f"/keys/{name}")[2].strip("/")
        return vault, name, named or vault.find(name).version


def _moved(resource: Resource, old: ResourceId, new: ResourceId) -> Resource:
    """Return a resource, or its child, as it is after a move."""
    moved = ResourceId.parse(str(new) + str(resource.id)[len(str(old)) :])
    body = {**deepcopy(resource.body), "id": str(moved)}
    return replace(resource, id=moved, body=body, notices=[], gone=False)
