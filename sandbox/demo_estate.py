"""The estate that `make demo` rotates a key of, and what must become of each part of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sandbox.arm.emulated_kinds import EMULATED
from sandbox.clock import SandboxClock
from sandbox.container_estate import ContainerGroup, Secrets
from sandbox.demo_members import (
    ARCHIVE,
    FOLLOWED,
    FOLLOWED_LATE,
    LATE,
    LEDGER,
    MADE_AGAIN,
    MADE_AGAIN_LATE,
    MANUAL,
    MOVED,
    NEVER_FOLLOWED,
    NEVER_RUNNING,
    PAYMENTS,
    STUCK,
    WITHOUT_ROOM,
    Family,
    Member,
)
from sandbox.estate import Account, Estate, Form
from sandbox.faults import Fault, Faults, server_error_html
from sandbox.identity import APP_PRINCIPAL
from sandbox.key_vault import Vault

VAULT = "kv-contoso-cmk-weu"
_LEDGER_SINCE = timedelta(days=90)
LEDGER_AGE = timedelta(hours=23)
"""How old the new version of the ledger's key is: what follows it has a day, which ends an hour
later."""
_WRITTEN, _FOLLOWED = timedelta(hours=1), timedelta(days=1)
"""How long the app gives what it has written, and what follows the vault."""
_LATE_BY = timedelta(minutes=2)
"""How long after that the late ones show the new version."""
_LATE = "shows a write only after 62 minutes; when its hour ends it cannot be read"
_UNREADABLE_FROM, _UNREADABLE_TO = timedelta(minutes=-10), timedelta(minutes=10)
"""Counted from the same moment, when Resource Manager does not answer about the late ones: read
then they would be stuck, and read within the next five minutes in time."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoEstate:
    """What the demo shows, by role."""

    vault: str
    payments_key: str
    """URL of the key that the demo rotates, without a version."""
    ledger_key: str
    """URL of the key that was rotated yesterday."""
    archive_key: str
    """URL of the key that must not be touched."""
    subscriptions: tuple[str, ...]
    members: tuple[Member, ...]
    """All resources on these two keys."""
    others: tuple[str, ...]
    """Ids of the resources on another key or on none of ours."""
    files_account: Account
    """Where the deployment configs lie; on platform-managed keys."""
    with_canary: tuple[Account, ...]
    """The accounts that have a container to try a blob in."""
    followers: Mapping[str, tuple[Account, timedelta]]
    """By id, those on the payments key that name no version, and how long after its rotation they
    look for one."""
    late: tuple[Account, ...]
    """Those that act on a write after its hour only, and cannot be read when that ends."""
    ledger_followers: Mapping[str, tuple[Account, timedelta]]
    """Likewise on the ledger's key, counted from its new version."""
    late_followers: tuple[Account, ...]
    """Those of them that follow after their day only, and cannot be read when it ends."""

    def follow_from(self, now: datetime) -> None:
        """Let the services look for newer versions counted from ``now``, when the key is rotated.

        Counted from anything earlier, a slow start of the app would let them look too soon.
        """
        for account, after in self.followers.values():
            account.pace.next_poll_at = now + after

    def begin(self, vault: Vault, faults: Faults) -> str:
        """Give the ledger's key the version that nobody heard of; return its URL.

        The late ones will be unreadable when their windows close.

        Args:
            vault: Whose keys are used.
            faults: Of the local Azure.
        """
        made = vault.clock.now() - LEDGER_AGE
        target = vault.rotate(LEDGER, when=made)
        for account, after in self.ledger_followers.values():
            account.pace.next_poll_at = made + after
        for account in self.late_followers:
            _hide(faults, account, made + _FOLLOWED)
        for account in self.late:
            _hide_once_written(faults, account, vault.clock)
        return target


def _hide_once_written(faults: Faults, account: Account, clock: SandboxClock) -> None:
    def written(_: str) -> None:
        _hide(faults, account, clock.now() + _WRITTEN)

    faults.on("PATCH", account.id, written, when="after")


def _hide(faults: Faults, account: Account, closes: datetime) -> None:
    """Let a resource be unreadable around the moment at which its window closes."""
    faults.add(
        Fault(
            method="GET",
            path=account.id,
            times=None,
            since=closes + _UNREADABLE_FROM,
            until=closes + _UNREADABLE_TO,
            answer=server_error_html(),
        )
    )


def demo_estate(
    estate: Estate, *, slow_by: timedelta = timedelta(minutes=10), app: str = APP_PRINCIPAL
) -> DemoEstate:
    """Build the demo's estate: some resources of each kind on one key, on another, and on neither.

    Of each kind there is one that is healthy, one that is late, one that is stuck and one that a
    person must see to. Two states cannot be shown of a file: whatever reads a blob reads what was
    written last, so that a file is neither late nor stuck, nor slow.

    What follows the vault has a day, which no demo waits for. So those Cosmos DB accounts that are
    late or stuck are on a key that was rotated 23 hours ago.

    Args:
        estate: An empty one.
        slow_by: What the slow resources take to show a version that they have accepted.
        app: Object id of the app that rotates, which gets the rights that it needs.
    """
    production = estate.subscription("Contoso Payments Production")
    shared = estate.subscription("Contoso Shared Services")
    vault = estate.vaults.create(VAULT, subscription_id=shared, resource_group="rg-keys")
    made = vault.clock.now() - _LEDGER_SINCE
    ledger = vault.create_key(LEDGER, when=made).rpartition("/")[0]
    payments, archive = (vault.create_key(name).rpartition("/")[0] for name in (PAYMENTS, ARCHIVE))
    vault.grant(app, {"get", "list", "rotate", "getRotationPolicy"})
    for subscription in (production, shared):
        estate.arm.rbac.allow(app, _RIGHTS, f"/subscriptions/{subscription}")
    build = _Builder(estate, vault, production, shared, payments, ledger, archive, slow_by)
    accounts, scopes = build.storage()
    return DemoEstate(
        vault=VAULT,
        payments_key=payments,
        ledger_key=ledger,
        archive_key=archive,
        subscriptions=(production, shared),
        members=(*accounts, *scopes, *build.cosmos(), *build.ledger(), *build.groups()),
        others=tuple(build.on_other_keys()),
        files_account=build.files_account,
        with_canary=tuple(build.with_canary),
        followers=build.followers,
        late=tuple(build.late),
        ledger_followers=build.ledger_followers,
        late_followers=tuple(build.late_followers),
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
        ledger: str,
        archive: str,
        slow_by: timedelta,
    ) -> None:
        self._estate = estate
        self._vault = vault
        self._production = production
        self._shared = shared
        self._payments = payments
        self._ledger = ledger
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
        self.late: list[Account] = []
        self.ledger_followers: dict[str, tuple[Account, timedelta]] = {}
        self.late_followers: list[Account] = []

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
        late = self._late(self._account("stpayrollweu001", self._payments))
        stuck = self._account("stlegacypayweu01", self._payments)
        stuck.pace.stuck()
        managed = self._pinned("dbstoragepay7x2", "westeurope", group=_MANAGED_GROUP)
        self.with_canary = [first, *pinned, gateway, slow, late]
        of = Family.ACCOUNTS
        accounts = [
            *(Member(each.id, of, MOVED) for each in (first, *pinned, gateway)),
            *self._versionless(),
            Member(slow.id, of, MOVED, f"shows a write only after {_spoken(self._slow_by)}"),
            Member(late.id, of, LATE, _LATE),
            Member(stuck.id, of, STUCK, "accepts a write and never acts on it"),
            Member(managed.id, of, MANUAL, "lies in the managed group of a Databricks workspace"),
        ]
        return accounts, list(self._scopes(first, gateway, managed))

    def _late(self, account: Account) -> Account:
        account.pace.slow(_WRITTEN + _LATE_BY)
        self.late.append(account)
        return account

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
        late = self._late(make(first, "scope-payroll", key=key))
        yield Member(late.id, of, LATE, _LATE)
        stuck = make(second, "scope-legacy", key=key)
        stuck.pace.stuck()
        yield Member(stuck.id, of, STUCK, "accepts a write and never acts on it")
        owned = make(managed, "scope-dbfs", key=key)
        yield Member(owned.id, of, MANUAL, "is in an account of a managed group")

    def cosmos(self) -> Iterator[Member]:
        """Make the Cosmos DB accounts on the payments key."""
        pinned = self._estate.cosmos_account(
            "cosmos-fraud", subscription=self._production, key=self._payments, version="pinned"
        )
        yield Member(pinned.id, Family.COSMOS, MOVED)
        for name, minutes in (("cosmos-payments", 10), ("cosmos-settlement", 30)):
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

    def ledger(self) -> Iterator[Member]:
        """Make the Cosmos DB accounts on the key that was rotated yesterday."""
        of = Family.COSMOS
        healthy, late, stuck = (
            self._cosmos(name, self._ledger)
            for name in ("cosmos-ledger", "cosmos-ledger-audit", "cosmos-ledger-old")
        )
        self.ledger_followers[healthy.id] = (healthy, timedelta(hours=6))
        yield Member(healthy.id, of, FOLLOWED, "", LEDGER)
        self.ledger_followers[late.id] = (late, _FOLLOWED + _LATE_BY)
        self.late_followers.append(late)
        made_to = f"follows {_spoken(_LATE_BY)} after its day; when that ends it cannot be read"
        yield Member(late.id, of, FOLLOWED_LATE, made_to, LEDGER)
        stuck.pace.stuck()
        yield Member(stuck.id, of, NEVER_FOLLOWED, "never looks for a newer version", LEDGER)

    def _cosmos(self, name: str, key: str | None, user_assigned: str = "") -> Account:
        return self._estate.cosmos_account(
            name, subscription=self._production, key=key, user_assigned=user_assigned
        )

    def groups(self) -> Iterator[Member]:
        """Make the container groups on the payments key."""
        of = Family.GROUPS
        healthy = self._group("aci-payments-api", secrets="references")
        yield Member(healthy.id, of, MADE_AGAIN)
        slow = self._group("aci-payments-batch")
        slow.pace.creation = self._slow_by
        yield Member(slow.id, of, MADE_AGAIN, f"takes {_spoken(self._slow_by)} to start")
        late = self._group("aci-payments-night")
        late.pace.creation = _WRITTEN + _LATE_BY
        made_to = f"takes {_spoken(_WRITTEN + _LATE_BY)} to start"
        yield Member(late.id, of, MADE_AGAIN_LATE, made_to)
        stuck = self._group("aci-payments-sync")
        stuck.pace.creation = None
        yield Member(stuck.id, of, NEVER_RUNNING, "is made again and never starts")
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
