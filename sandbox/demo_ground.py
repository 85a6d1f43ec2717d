"""What every part of the demo's estate is built on, and when its services look and lag."""

from dataclasses import dataclass, field
from datetime import timedelta

from sandbox.account_estate import Account
from sandbox.container_estate import ContainerGroup
from sandbox.estate import Estate
from sandbox.key_vault import Vault
from sandbox.keyed_estate import Keyed

WRITTEN, FOLLOWED = timedelta(hours=1), timedelta(days=1)
"""How long the app gives what it has written, and what follows the vault."""
LATE_BY = timedelta(minutes=2)
"""How long after that the late ones show the new version."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Which resources look for a new version, and which are late.

    Attributes:
        followers: By id, those on the payments key that name no version, and how long after its
            rotation they look for one.
        late: Those that act on a write after its hour only, and cannot be read when that ends.
        ledger_followers: As ``followers``, on the ledger's key, counted from its new version.
        late_followers: Those of them that follow after their day only, and cannot be read when it
            ends.
    """

    followers: dict[str, tuple[Account | Keyed, timedelta]] = field(default_factory=dict)
    late: list[Account | ContainerGroup] = field(default_factory=list)
    ledger_followers: dict[str, tuple[Account, timedelta]] = field(default_factory=dict)
    late_followers: list[Account] = field(default_factory=list)

    def follow(self, made: Account | Keyed, after: timedelta) -> str:
        """Let a resource look for a new version so long after the rotation; return it in words."""
        self.followers[made.id] = (made, after)
        return f"names no version, and looks for one {spoken(after)} after the rotation"

    def be_late(self, account: Account) -> Account:
        """Let a resource act on a write after its hour only."""
        account.pace.slow(WRITTEN + LATE_BY)
        self.late.append(account)
        return account


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Where the demo's resources are made, and on which keys.

    Attributes:
        estate: The sandbox's.
        vault: Whose keys they are.
        production, shared, data: Ids of the subscriptions.
        payments, ledger, archive: URLs of the keys, without a version.
        identity: Id of the user-assigned identity that uses the payments key.
        slow_by: What the slow resources take to show a version that they have accepted.
        timing: Filled while they are made.
    """

    estate: Estate
    vault: Vault
    production: str
    shared: str
    data: str
    payments: str
    ledger: str
    archive: str
    identity: str
    slow_by: timedelta
    timing: Timing = field(default_factory=Timing)


def spoken(span: timedelta) -> str:
    """Return a time in minutes, for people."""
    return f"{span / timedelta(minutes=1):g} minutes"
