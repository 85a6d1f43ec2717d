"""The estate that `make demo` rotates a key of, and what must become of each part of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sandbox.arm.emulated_kinds import EMULATED
from sandbox.container_estate import ContainerGroup, Secrets
from sandbox.estate import Account, Estate, Form
from sandbox.identity import APP_PRINCIPAL
from sandbox.key_vault import Vault

VAULT = "kv-contoso-cmk-weu"
PAYMENTS, ARCHIVE = "cmk-payments", "cmk-archive"
"""The key that the demo rotates, and the one that must not be touched."""
_RIGHTS = frozenset(
    {
        "Microsoft.Authorization/permissions/read",
        "Microsoft.Resources/subscriptions/read",
        "Microsoft.Resources/subscriptions/resourceGroups/read",
        "Microsoft.KeyVault/vaults/read",
        "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
        "Microsoft.Storage/storageAccounts/read",
        "Microsoft.Storage/storageAccounts/write",
        "Microsoft.Storage/storageAccounts/encryptionScopes/read",
        "Microsoft.Storage/storageAccounts/encryptionScopes/write",
        "Microsoft.DocumentDB/databaseAccounts/read",
        "Microsoft.DocumentDB/databaseAccounts/write",
        "Microsoft.ContainerInstance/containerGroups/read",
        "Microsoft.ContainerInstance/containerGroups/write",
        "Microsoft.ContainerInstance/containerGroups/delete",
        # Without the right to read all that may hold a key, a subscription counts as not readable.
        *(f"{kind.type}/read" for kind in EMULATED),
    }
)
_PINNED = (
    ("stpaymentsweu001", "westeurope"),
    ("stpaymentsneu001", "northeurope"),
    ("stledgerweu001", "westeurope"),
    ("stsettlementuks1", "uksouth"),
)
_MANAGED_GROUP = "rg-payments-dbw-managed"
"""Sorts after the other groups: what lies in it is not the first of its kind to be found."""


class Family(StrEnum):
    """What people call the resources of one kind."""

    ACCOUNTS = "storage accounts"
    SCOPES = "encryption scopes"
    COSMOS = "Cosmos DB accounts"
    GROUPS = "container groups"
    FILES = "deployment config files"


@dataclass(frozen=True, slots=True)
class Fate:
    """What must have become of a resource when the rotation has ended."""

    verdicts: frozenset[str]
    """Each of these will do."""
    moves: bool = False
    """Whether it uses the new version; else the old one, if it is there."""
    writes: int = 0
    made_again: bool = False
    """Whether it was deleted, and made again."""


MOVED = Fate(frozenset({"verified"}), moves=True, writes=1)
FOLLOWED = Fate(frozenset({"verified", "already"}), moves=True)
"""Where the first read comes late, it has followed before it."""
REWRITTEN = Fate(frozenset({"verified"}), moves=True)
"""A file: its bytes are compared, its writes not counted."""
MADE_AGAIN = Fate(frozenset({"verified"}), moves=True, writes=1, made_again=True)
STUCK = Fate(frozenset({"stuck"}), writes=1)
MANUAL = Fate(frozenset({"manual"}))
WITHOUT_ROOM = Fate(frozenset({"failed"}), writes=1, made_again=True)
UNREADABLE = Fate(frozenset({"unknown"}))


@dataclass(frozen=True, slots=True)
class Member:
    """A resource on the payments key."""

    id: str
    family: Family
    fate: Fate
    made_to: str = ""
    """What the sandbox makes it do, after its name; empty: nothing out of the ordinary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoEstate:
    """What the demo shows, by role."""

    vault: str
    payments_key: str
    """URL of the key that the demo rotates, without a version."""
    archive_key: str
    """URL of the key that must not be touched."""
    subscriptions: tuple[str, ...]
    members: tuple[Member, ...]
    """All resources on the payments key."""
    others: tuple[str, ...]
    """Ids of the resources on another key or on none of ours."""
    files_account: Account
    """Where the deployment configs lie; on platform-managed keys."""
    with_canary: tuple[Account, ...]
    """The accounts that have a container to try a blob in."""
    followers: Mapping[str, tuple[Account, timedelta]]
    """By id, those that name no version, and how long after the rotation they look for one."""

    def follow_from(self, now: datetime) -> None:
        """Let the services look for newer versions counted from ``now``, when the key is rotated.

        Counted from anything earlier, a slow start of the app would let them look too soon.
        """
        for account, after in self.followers.values():
            account.pace.next_poll_at = now + after


def demo_estate(
    estate: Estate, *, slow_by: timedelta = timedelta(minutes=10), app: str = APP_PRINCIPAL
) -> DemoEstate:
    """Build the demo's estate: some resources of each kind on one key, on another, and on neither.

    Args:
        estate: An empty one.
        slow_by: What the slow resources take to show a version that they have accepted.
        app: Object id of the app that rotates, which gets the rights that it needs.
    """
    production = estate.subscription("Contoso Payments Production")
    shared = estate.subscription("Contoso Shared Services")
    vault = estate.vaults.create(VAULT, subscription_id=shared, resource_group="rg-keys")
    payments, archive = (vault.create_key(name).rpartition("/")[0] for name in (PAYMENTS, ARCHIVE))
    vault.grant(app, {"get", "list", "rotate", "getRotationPolicy"})
    for subscription in (production, shared):
        estate.arm.rbac.allow(app, _RIGHTS, f"/subscriptions/{subscription}")
    build = _Builder(estate, vault, production, shared, payments, archive, slow_by)
    accounts, scopes = build.storage()
    return DemoEstate(
        vault=VAULT,
        payments_key=payments,
        archive_key=archive,
        subscriptions=(production, shared),
        members=(*accounts, *scopes, *build.cosmos(), *build.groups()),
        others=tuple(build.on_other_keys()),
        files_account=build.files_account,
        with_canary=tuple(build.with_canary),
        followers=build.followers,
    )


class _Builder:
    """Makes the estate, family by family."""

    def __init__(  # noqa: PLR0913, PLR0917 - what every family needs
        self,
        estate: Estate,
        vault: Vault,
        production: str,
        shared: str,
        payments: str,
        archive: str,
        slow_by: timedelta,
    ) -> None:
        self._estate = estate
        self._vault = vault
        self._production = production
        self._shared = shared
        self._payments = payments
        self._archive = archive
        self._slow_by = slow_by
        owner = "Microsoft.Databricks/workspaces/dbw-payments"
        home = f"/subscriptions/{production}/resourceGroups/rg-payments/providers"
        estate.group(production, _MANAGED_GROUP, managed_by=f"{home}/{owner}")
        self._identity = estate.user_assigned_identity(
            production, "rg-identities", "id-payments-cmk"
        )
        self.files_account = self._account("stdeployconfigs01", None, group="rg-platform")
        self.with_canary: list[Account] = []
        self.followers: dict[str, tuple[Account, timedelta]] = {}

    def _account(self, name: str, key: str | None, *, group: str = "rg-storage") -> Account:
        return self._estate.storage_account(name, subscription=self._shared, group=group, key=key)

    def _pinned(self, name: str, location: str, *, group: str, user_assigned: str = "") -> Account:
        return self._estate.storage_account(
            name,
            subscription=self._production,
            group=group,
            key=self._payments,
            location=location,
            user_assigned=user_assigned,
        )

    def storage(self) -> tuple[list[Member], list[Member]]:
        """Make the accounts on the payments key, and the scopes in them.

        The first of each kind is healthy, by id: if the one that goes ahead of its kind failed,
        the rotation would pause for a person.
        """
        pinned = [self._pinned(name, place, group="rg-payments") for name, place in _PINNED]
        gateway = self._pinned(
            "stgatewayweu001", "westeurope", group="rg-payments", user_assigned=self._identity
        )
        first = self._account("stcardsweu001", self._payments)
        slow = self._account("stinvoicesuks01", self._payments)
        slow.pace.slow(self._slow_by)
        stuck = self._account("stlegacypayweu01", self._payments)
        stuck.pace.stuck()
        managed = self._pinned("dbstoragepay7x2", "westeurope", group=_MANAGED_GROUP)
        self.with_canary = [first, *pinned, gateway, slow]
        of = Family.ACCOUNTS
        accounts = [
            *(Member(each.id, of, MOVED) for each in (first, *pinned, gateway)),
            *self._versionless(),
            Member(slow.id, of, MOVED, f"shows a write only after {_spoken(self._slow_by)}"),
            Member(stuck.id, of, STUCK, "accepts a write and never acts on it"),
            Member(managed.id, of, MANUAL, "lies in the managed group of a Databricks workspace"),
        ]
        return accounts, list(self._scopes(first, gateway, managed))

    def _versionless(self) -> Iterator[Member]:
        forms: tuple[tuple[str, Form], ...] = (
            ("streportsweu001", "absent"),
            ("streportsneu001", "empty"),
        )
        for name, form in forms:
            account = self._estate.storage_account(
                name, subscription=self._shared, key=self._payments, version=form
            )
            made_to = self._follow(account, timedelta(minutes=20))
            self.with_canary.append(account)
            yield Member(account.id, Family.ACCOUNTS, FOLLOWED, made_to)

    def _follow(self, account: Account, after: timedelta) -> str:
        self.followers[account.id] = (account, after)
        return f"names no version, and looks for one {_spoken(after)} after the rotation"

    def _scopes(self, first: Account, second: Account, managed: Account) -> Iterator[Member]:
        make, of, key = self._estate.encryption_scope, Family.SCOPES, self._payments
        yield Member(make(first, "scope-cards", key=key).id, of, MOVED)
        slow = make(first, "scope-invoices", key=key)
        slow.pace.slow(self._slow_by)
        made_to = f"shows a write only after {_spoken(self._slow_by)}"
        yield Member(slow.id, of, MOVED, made_to)
        stuck = make(second, "scope-legacy", key=key)
        stuck.pace.stuck()
        yield Member(stuck.id, of, STUCK, "accepts a write and never acts on it")
        owned = make(managed, "scope-dbfs", key=key)
        yield Member(owned.id, of, MANUAL, "is in an account of a managed group")

    def cosmos(self) -> Iterator[Member]:
        """Make the Cosmos DB accounts on the payments key.

        None is stuck: they have a day to follow, which no demo waits for.
        """
        for name, minutes in (("cosmos-payments", 10), ("cosmos-ledger", 30)):
            account = self._cosmos(name, self._payments)
            made_to = self._follow(account, timedelta(minutes=minutes))
            yield Member(account.id, Family.COSMOS, FOLLOWED, made_to)
        identity = self._estate.user_assigned_identity(
            self._production, "rg-identities", "id-cosmos-legacy"
        )
        revoked = self._cosmos("cosmos-legacy", self._payments, identity)
        self._vault.revoke(revoked.principal)
        revoked.pace.next_poll_at -= timedelta(hours=1)  # it has noticed by now
        made_to = "has lost its identity's rights to the key: it is revoked"
        yield Member(revoked.id, Family.COSMOS, MANUAL, made_to)

    def _cosmos(self, name: str, key: str | None, user_assigned: str = "") -> Account:
        return self._estate.cosmos_account(
            name, subscription=self._production, key=key, user_assigned=user_assigned
        )

    def groups(self) -> Iterator[Member]:
        """Make the container groups on the payments key.

        None is stuck: a group that is being made for ever keeps its rotation open.
        """
        of = Family.GROUPS
        healthy = self._group("aci-payments-api", secrets="references")
        yield Member(healthy.id, of, MADE_AGAIN)
        slow = self._group("aci-payments-batch")
        slow.pace.creation = self._slow_by
        yield Member(slow.id, of, MADE_AGAIN, f"takes {_spoken(self._slow_by)} to start")
        full = self._group("aci-payments-gpu")
        full.pace.failures = None
        yield Member(full.id, of, WITHOUT_ROOM, "finds no room in its region when made again")
        hidden = self._group("aci-payments-sftp", secrets="hidden")
        yield Member(hidden.id, of, MANUAL, "has secrets that no GET shows")

    def _group(self, name: str, *, secrets: Secrets = "none") -> ContainerGroup:
        return self._estate.container_group(
            name,
            subscription=self._production,
            key=self._payments,
            user_assigned=self._identity,
            secrets=secrets,
        )

    def on_other_keys(self) -> Iterator[str]:
        """Make what must not be touched: on the archive's key, and on platform-managed ones."""
        archive = self._account("starchiveweu001", self._archive, group="rg-archive")
        yield archive.id
        yield self._account("stretention7yneu", self._archive, group="rg-archive").id
        yield self.files_account.id
        yield self._account("stbuildcacheweu1", None, group="rg-platform").id
        yield self._estate.encryption_scope(archive, "scope-audit", key=self._archive).id
        yield self._estate.encryption_scope(self.files_account, "scope-builds", key=None).id
        yield self._cosmos("cosmos-archive", self._archive).id
        yield self._cosmos("cosmos-catalog", None).id
        for name, key in (("aci-archive-export", self._archive), ("aci-build-agent", None)):
            group = self._estate.container_group(name, subscription=self._shared, key=key)
            yield group.id


def _spoken(span: timedelta) -> str:
    return f"{span / timedelta(minutes=1):g} minutes"
