"""A company's Azure to try things on: subscriptions, vaults, and accounts that use their keys."""

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from uuid import NAMESPACE_DNS, uuid5

from sandbox.arm.app import Arm
from sandbox.arm.identities import Identities
from sandbox.arm.key_references import key_name, vault_name, versions_of
from sandbox.arm.pace import Pace
from sandbox.arm.resource_ids import ResourceId
from sandbox.arm.resources import Body, Resource
from sandbox.arm.storage_accounts import StorageAccounts
from sandbox.arm.storage_bodies import CUSTOMER_KEYS, as_written
from sandbox.clock import SandboxClock
from sandbox.identity import TokenService
from sandbox.key_vault import KeyVaults, Vault
from sandbox.resource_graph import ResourceGraph
from sandbox.truth import Truth

type Form = Literal["pinned", "absent", "empty"]
"""How a reference names the version: by its id, by leaving ``keyversion`` out, or by ``""``."""


@dataclass(frozen=True, slots=True)
class Account:
    """A storage account of the estate."""

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
        self.storage = StorageAccounts(clock, vaults, self.truth, self.identities)
        self.resource_graph = ResourceGraph(self.arm, clock)
        self.arm.register(self.storage)
        self.truth.settle_by(self.arm.resources.settle)

    def subscription(self, name: str) -> str:
        """Make a subscription; return its id, which is the same for the same name."""
        subscription = str(uuid5(NAMESPACE_DNS, f"{name}.subscriptions.keyturn.sandbox"))
        self.arm.resources.add_subscription(subscription, name)
        return subscription

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

    def vault(self, name: str) -> Vault:
        """Return the vault of that name, making it if there is none."""
        try:
            return self.vaults.vault(name)
        except KeyError:
            return self.vaults.create(name)

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
        _, resource = self.storage.create(resource_id, request)
        encryption = self._encryption(key, version) if key else {}
        return self._add(resource, encryption, user_assigned)

    def delete(self, account: Account) -> None:
        """Delete a storage account behind everyone's back, whatever goes on in it."""
        with self.arm.resources.lock:
            resource = self.arm.resources.get(ResourceId.parse(account.id))
            self.storage.forget(resource.id)
            self.arm.resources.remove(resource)

    def move(self, account: Account, *, group: str = "", subscription: str = "") -> Account:
        """Move a storage account to another group, subscription or both, behind everyone's back.

        It keeps its data key, its identity, its reference to the key and what was written to it,
        and has another id; there is nothing at the old one. Resource Graph hears of both.

        Args:
            account: As it is now.
            group: Name of the group to move it to, made if there is none; empty: of the same name.
            subscription: Id of the subscription to move it to; empty: the same.
        """
        old = ResourceId.parse(account.id)
        new = replace(old, subscription=subscription or old.subscription, group=group or old.group)
        self.arm.resources.add_group(new.subscription, new.group)
        with self.arm.resources.lock:
            resource = self.arm.resources.get(old)
            moved = replace(
                resource, id=new, body={**deepcopy(resource.body), "id": str(new)}, notices=[]
            )
            self.arm.resources.remove(resource)
            self.storage.rename(old, new)
            self.arm.resources.add(moved)
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
        _, resource = self.storage.create(resource_id, {})
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
        vault, name = vault_name(key) or "", key_name(key)
        if not versions_of(self.vaults, vault, name):
            self.vault(vault).create_key(name)
        named = key.rstrip("/").partition(f"/keys/{name}")[2].strip("/")
        newest = self.vaults.newest(vault, name).rpartition("/")[2]
        reference = {"keyname": name, "keyvaulturi": f"https://{vault}.vault.azure.net/"}
        if form != "absent":
            reference["keyversion"] = (named or newest) if form == "pinned" else ""
        return {"keySource": CUSTOMER_KEYS, "keyvaultproperties": reference}

    def _add(self, resource: Resource, encryption: Body, user_assigned: str) -> Account:
        """Let a new account use its key, its identity having been given the right to."""
        principal = self.identities.principal(resource.body.get("identity"), user_assigned) or ""
        if encryption:
            url = encryption["keyvaultproperties"]["keyvaulturi"]
            vault = self.vault(vault_name(url) or "")
            vault.grant(principal, {"get", "wrapKey", "unwrapKey"})
            identity = {"identity": {"userAssignedIdentity": user_assigned}}
            asked = {**encryption, **(identity if user_assigned else {})}
            self.storage.patch(resource, {"properties": {"encryption": asked}})
        self.arm.resources.add(resource)
        self.truth.start_counting(resource.id)
        return Account(str(resource.id), principal, self.storage.pace(resource.id))


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
