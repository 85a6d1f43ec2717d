"""Storage accounts, encryption scopes and Cosmos DB accounts, made on this side of ARM."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from sandbox.arm.cosmos_accounts import COSMOS_PRINCIPAL, CosmosAccounts
from sandbox.arm.encryption_scopes import EncryptionScopes
from sandbox.arm.identities import Identities
from sandbox.arm.pace import Pace
from sandbox.arm.resource_ids import ResourceId
from sandbox.arm.resources import Body, Resource, ResourceStore
from sandbox.arm.storage_accounts import StorageAccounts
from sandbox.arm.storage_bodies import CUSTOMER_KEYS, as_written
from sandbox.container_estate import FindKey
from sandbox.truth import Truth

_STORAGE_VERSION = "2024-01-01"

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


class AccountEstate:
    """Makes accounts and scopes. What is made is there, and was never written to."""

    def __init__(  # noqa: PLR0913, PLR0917 - the services that these accounts need
        self,
        resources: ResourceStore,
        storage: StorageAccounts,
        scopes: EncryptionScopes,
        cosmos: CosmosAccounts,
        identities: Identities,
        truth: Truth,
        find_key: FindKey,
    ) -> None:
        self._resources = resources
        self._storage = storage
        self._scopes = scopes
        self._cosmos = cosmos
        self._identities = identities
        self._truth = truth
        self._find_key = find_key

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
            group: Its resource group, made if there is none; ``Estate.group`` makes one
                that is managed.
            location: Its region.
            user_assigned: Id of the user-assigned identity that uses the key; empty for the
                account's own.
            tags: Of the account.
        """
        self._resources.add_group(subscription, group)
        resource_id = ResourceId(subscription, group, self._storage.type, name)
        identity: Body = {"type": "SystemAssigned"}
        if user_assigned:
            identity = {"type": "UserAssigned", "userAssignedIdentities": {user_assigned: {}}}
        request = {
            "sku": {"name": "Standard_ZRS"},
            "location": location,
            "identity": identity,
            "tags": tags or {},
        }
        _, resource = self._storage.create(resource_id, request, _STORAGE_VERSION)
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
        scope = replace(parent, type=self._scopes.type, name=f"{parent.name}/{name}")
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
        with self._resources.lock:
            _, resource = self._scopes.create(scope, request, _STORAGE_VERSION)
            self._resources.add(resource)
        self._truth.start_counting(scope)
        return Account(str(scope), account.principal, self._scopes.pace(scope))

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
        self._resources.add_group(subscription, group)
        account = ResourceId(subscription, group, self._cosmos.type, name)
        properties: Body = {"databaseAccountOfferType": "Standard"}
        request: Body = {"location": location, "tags": tags or {}, "properties": properties}
        principal = COSMOS_PRINCIPAL
        if user_assigned:
            identities: Body = {user_assigned: {}}
            request["identity"] = {"type": "UserAssigned", "userAssignedIdentities": identities}
            properties["defaultIdentity"] = f"UserAssignedIdentity={user_assigned}"
            principal = self._identities.principal(request["identity"], user_assigned) or ""
        if key:
            properties["keyVaultKeyUri"] = self._key_url(key, version)
            self._grant(key, principal)
        with self._resources.lock:
            self._resources.add(self._cosmos.made(account, request))
        self._truth.start_counting(account)
        return Account(str(account), principal, self._cosmos.pace(account))

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
        self._resources.add_subscription(resource_id.subscription, "recorded")
        self._resources.add_group(resource_id.subscription, resource_id.group)
        _, resource = self._storage.create(resource_id, {}, _STORAGE_VERSION)
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
        vault, name, version = self._find_key(key)
        reference = {"keyname": name, "keyvaulturi": f"{vault.uri}/"}
        if form != "absent":
            reference["keyversion"] = version if form == "pinned" else ""
        return {"keySource": CUSTOMER_KEYS, "keyvaultproperties": reference}

    def _key_url(self, key: str, form: Form) -> str:
        """Return the URL to write for a key, having made the key if there is none."""
        reference = self._encryption(key, form)["keyvaultproperties"]
        version = reference.get("keyversion")
        base = f"{reference['keyvaulturi']}keys/{reference['keyname']}"
        return f"{base}/{version}" if version else base

    def _grant(self, key: str, principal: str) -> None:
        """Give an identity the right to use the keys of a key's vault."""
        vault, _, _ = self._find_key(key)
        vault.grant(principal, {"get", "wrapKey", "unwrapKey"})

    def _add(self, resource: Resource, encryption: Body, user_assigned: str) -> Account:
        """Let a new account use its key, its identity having been given the right to."""
        principal = self._identities.principal(resource.body.get("identity"), user_assigned) or ""
        if encryption:
            named = encryption["keyvaultproperties"]
            self._grant(f"{named['keyvaulturi'].rstrip('/')}/keys/{named['keyname']}", principal)
            identity = {"identity": {"userAssignedIdentity": user_assigned}}
            asked = {**encryption, **(identity if user_assigned else {})}
            self._storage.patch(resource, {"properties": {"encryption": asked}})
        self._resources.add(resource)
        self._truth.start_counting(resource.id)
        return Account(str(resource.id), principal, self._storage.pace(resource.id))


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
