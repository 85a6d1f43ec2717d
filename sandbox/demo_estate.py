"""The estate that `make demo` rotates a key of."""

from dataclasses import dataclass
from datetime import timedelta

from sandbox.clock import SandboxClock
from sandbox.estate import Account, Estate
from sandbox.identity import APP_PRINCIPAL

VAULT = "kv-contoso-cmk-weu"
_READ_AND_WRITE = frozenset(
    {
        "Microsoft.Resources/subscriptions/read",
        "Microsoft.Resources/subscriptions/resourceGroups/read",
        "Microsoft.Storage/storageAccounts/read",
        "Microsoft.Storage/storageAccounts/write",
    }
)
_PINNED = (
    ("stpaymentsweu001", "westeurope"),
    ("stpaymentsweu002", "westeurope"),
    ("stpaymentsneu001", "northeurope"),
    ("stledgerweu001", "westeurope"),
    ("stledgerneu001", "northeurope"),
    ("stsettlementweu001", "westeurope"),
    ("stfraudweu001", "westeurope"),
    ("stcardsfrc001", "francecentral"),
    ("streconciliation01", "germanywestcentral"),
)
_ARCHIVE = (
    ("starchiveweu001", "westeurope"),
    ("starchiveweu002", "westeurope"),
    ("starchiveneu001", "northeurope"),
    ("staudittrailweu01", "westeurope"),
    ("stretention7yneu", "northeurope"),
    ("stbackupsweu001", "westeurope"),
)
_PLATFORM = ("stcdnassetsweu01", "stbuildcacheweu1", "stdiagnosticsweu")


@dataclass(frozen=True, slots=True)
class DemoEstate:
    """What the demo shows, by role."""

    vault: str
    payments_key: str
    """URL of the key that the demo rotates, without a version."""
    archive_key: str
    """URL of the key that must not be touched."""
    subscriptions: tuple[str, ...]
    payments: tuple[Account, ...]
    """All accounts on the payments key, those below included."""
    versionless: tuple[Account, ...]
    user_assigned: Account
    slow: Account
    stuck: Account
    archive: tuple[Account, ...]
    platform: tuple[Account, ...]
    """Accounts on platform-managed keys."""


def demo_estate(
    estate: Estate,
    clock: SandboxClock,
    *,
    poll_in: timedelta = timedelta(minutes=20),
    slow_by: timedelta = timedelta(minutes=10),
    app: str = APP_PRINCIPAL,
) -> DemoEstate:
    """Build the demo's estate: 14 accounts on one key, six on another, three on neither.

    Args:
        estate: An empty one.
        clock: The sandbox's.
        poll_in: When the platform looks on its own for a newer version of versionless accounts'
            keys.
        slow_by: What the slow account takes to show a version that it has accepted.
        app: Object id of the app that rotates, which gets the rights that it needs.
    """
    production = estate.subscription("Contoso Payments Production")
    shared = estate.subscription("Contoso Shared Services")
    vault = estate.vaults.create(VAULT, subscription_id=shared, resource_group="rg-keys")
    payments_key, archive_key = (
        vault.create_key(name).rpartition("/")[0] for name in ("cmk-payments", "cmk-archive")
    )
    vault.grant(app, {"get", "list", "rotate"})
    for subscription in (production, shared):
        estate.arm.rbac.allow(app, _READ_AND_WRITE, f"/subscriptions/{subscription}")

    identity = estate.user_assigned_identity(production, "rg-identities", "id-payments-cmk")
    pinned = [
        estate.storage_account(
            name, subscription=production, group="rg-payments", key=payments_key, location=location
        )
        for name, location in _PINNED
    ]
    absent = estate.storage_account(
        "streportsweu001", subscription=shared, key=payments_key, version="absent"
    )
    empty = estate.storage_account(
        "streportsneu001",
        subscription=shared,
        key=payments_key,
        version="empty",
        location="northeurope",
    )
    user_assigned = estate.storage_account(
        "stgatewayweu001",
        subscription=production,
        group="rg-payments",
        key=payments_key,
        user_assigned=identity,
    )
    slow = estate.storage_account(
        "stinvoicesuks01", subscription=shared, key=payments_key, location="uksouth"
    )
    slow.pace.slow(slow_by)
    stuck = estate.storage_account("stlegacypayweu01", subscription=shared, key=payments_key)
    stuck.pace.stuck()
    for account in (absent, empty):
        account.pace.next_poll_at = clock.now() + poll_in

    return DemoEstate(
        vault=VAULT,
        payments_key=payments_key,
        archive_key=archive_key,
        subscriptions=(production, shared),
        payments=(*pinned, absent, empty, user_assigned, slow, stuck),
        versionless=(absent, empty),
        user_assigned=user_assigned,
        slow=slow,
        stuck=stuck,
        archive=tuple(
            estate.storage_account(
                name, subscription=shared, group="rg-archive", key=archive_key, location=location
            )
            for name, location in _ARCHIVE
        ),
        platform=tuple(
            estate.storage_account(name, subscription=shared, group="rg-platform", key=None)
            for name in _PLATFORM
        ),
    )
