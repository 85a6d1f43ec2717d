"""The estate that `make demo` rotates a key of, and what must become of each part of it."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sandbox.account_estate import Account
from sandbox.clock import SandboxClock
from sandbox.container_estate import ContainerGroup
from sandbox.demo_cosmos import CosmosBuilder
from sandbox.demo_ground import FOLLOWED, WRITTEN, Ground, Timing
from sandbox.demo_groups import GroupsBuilder
from sandbox.demo_members import ARCHIVE, LEDGER, PAYMENTS, Member
from sandbox.demo_services import APP, MANAGED_GROUP, ServicesBuilder
from sandbox.demo_storage import StorageBuilder
from sandbox.estate import Estate
from sandbox.faults import Fault, Faults, server_error_html
from sandbox.identity import APP_PRINCIPAL
from sandbox.key_vault import Vault

VAULT = "kv-contoso-cmk-weu"
_LEDGER_SINCE = timedelta(days=90)
LEDGER_AGE = timedelta(hours=23)
"""How old the new version of the ledger's key is: what follows it has a day, which ends an hour
later."""
_UNREADABLE_FROM, _UNREADABLE_TO = timedelta(minutes=-10), timedelta(minutes=10)
"""Counted from the end of a window, when Resource Manager does not answer about the late ones: read
then they would be stuck, and read within the next five minutes in time."""
_ROLES = Path(__file__).parents[1] / "infra" / "roles"


type _Hidden = Account | ContainerGroup


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
    """All resources on these two keys, and what else is told of."""
    others: tuple[str, ...]
    """Ids of the resources on another key or on none of ours."""
    files_account: Account
    """Where the deployment configs lie; on platform-managed keys."""
    with_canary: tuple[Account, ...]
    """The accounts that have a container to try a blob in."""
    timing: Timing
    """Which of them look for a new version, and which are late."""

    def follow_from(self, now: datetime) -> None:
        """Let the services look for newer versions counted from ``now``, when the key is rotated.

        Counted from anything earlier, a slow start of the app would let them look too soon.
        """
        for made, after in self.timing.followers.values():
            if made.pace:
                made.pace.next_poll_at = now + after

    def begin(self, vault: Vault, faults: Faults) -> str:
        """Give the ledger's key the version that nobody heard of; return its URL.

        The late ones will be unreadable when their windows close.

        Args:
            vault: Whose keys are used.
            faults: Of the local Azure.
        """
        made = vault.clock.now() - LEDGER_AGE
        target = vault.rotate(LEDGER, when=made)
        for account, after in self.timing.ledger_followers.values():
            account.pace.next_poll_at = made + after
        for account in self.timing.late_followers:
            _hide(faults, account, made + FOLLOWED)
        for late in self.timing.late:
            _hide_once_written(faults, late, vault.clock)
        return target


def _hide_once_written(faults: Faults, made: _Hidden, clock: SandboxClock) -> None:
    def written(_: str) -> None:
        _hide(faults, made, clock.now() + WRITTEN)

    for method in ("PATCH", "PUT"):  # a container group is made again
        faults.on(method, made.id, written, when="after")


def _hide(faults: Faults, made: _Hidden, closes: datetime) -> None:
    """Let a resource be unreadable around the moment at which its window closes."""
    faults.add(
        Fault(
            method="GET",
            path=made.id,
            times=None,
            since=closes + _UNREADABLE_FROM,
            until=closes + _UNREADABLE_TO,
            answer=server_error_html(),
        )
    )


def demo_estate(
    estate: Estate, *, slow_by: timedelta = timedelta(minutes=10), app: str = APP_PRINCIPAL
) -> DemoEstate:
    """Build the demo's estate: resources of every kind on one key, on another, and on neither.

    Of storage, Cosmos DB and container groups there is one that is healthy, one that is late, one
    that is stuck and one that a person must see to. Two states cannot be shown of a file: whatever
    reads a blob reads what was written last, so that a file is neither late nor stuck, nor slow.

    Args:
        estate: An empty one.
        slow_by: What the slow resources take to show a version that they have accepted.
        app: Object id of the app that rotates, which gets the rights that it needs.
    """
    ground = _ground(estate, slow_by)
    subscriptions = (ground.production, ground.shared, ground.data)
    ground.vault.grant(app, {"get", "list", "rotate", "getRotationPolicy"})
    for subscription in subscriptions:
        estate.arm.rbac.allow(app, rights(), f"/subscriptions/{subscription}")
    owner = "Microsoft.Databricks/workspaces/dbw-payments"
    home = f"/subscriptions/{ground.production}/resourceGroups/{APP}/providers"
    estate.group(ground.production, MANAGED_GROUP, managed_by=f"{home}/{owner}")
    storage, cosmos, groups = StorageBuilder(ground), CosmosBuilder(ground), GroupsBuilder(ground)
    builders = (storage, cosmos, groups, ServicesBuilder(ground))
    return DemoEstate(
        vault=VAULT,
        payments_key=ground.payments,
        ledger_key=ground.ledger,
        archive_key=ground.archive,
        subscriptions=subscriptions,
        members=tuple(member for builder in builders for member in builder.members()),
        others=tuple(other for each in (storage, cosmos, groups) for other in each.others()),
        files_account=storage.files_account,
        with_canary=tuple(storage.with_canary),
        timing=ground.timing,
    )


def _ground(estate: Estate, slow_by: timedelta) -> Ground:
    production = estate.subscription("Contoso Payments Production")
    shared = estate.subscription("Contoso Shared Services")
    vault = estate.vaults.create(VAULT, subscription_id=shared, resource_group="rg-keys")
    made = vault.clock.now() - _LEDGER_SINCE
    ledger = vault.create_key(LEDGER, when=made).rpartition("/")[0]
    payments, archive = (vault.create_key(name).rpartition("/")[0] for name in (PAYMENTS, ARCHIVE))
    return Ground(
        estate=estate,
        vault=vault,
        production=production,
        shared=shared,
        data=estate.subscription("Contoso Data Platform"),
        payments=payments,
        ledger=ledger,
        archive=archive,
        identity=estate.user_assigned_identity(production, "rg-identities", "id-payments-cmk"),
        slow_by=slow_by,
    )


def rights() -> frozenset[str]:
    """Return what the app may do in each subscription: the roles that it is deployed with."""
    names = ("reader", "mover", "container-groups")
    roles = [json.loads((_ROLES / f"{name}.json").read_text()) for name in names]
    return frozenset(action for role in roles for action in role["actions"])
