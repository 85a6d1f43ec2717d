"""The Cosmos DB accounts of the demo's estate, on the payments key and on the ledger's."""

from collections.abc import Iterator
from datetime import timedelta

from sandbox.account_estate import Account
from sandbox.demo_ground import FOLLOWED as DAY
from sandbox.demo_ground import LATE_BY, Ground, spoken
from sandbox.demo_kinds import Family
from sandbox.demo_members import (
    FOLLOWED,
    FOLLOWED_LATE,
    LEDGER,
    MANUAL,
    MOVED,
    NEVER_FOLLOWED,
    Member,
)

_OF = Family.COSMOS


class CosmosBuilder:
    """Makes Cosmos DB accounts.

    What follows the vault has a day, which no demo waits for. So those that are late or stuck are
    on a key that was rotated 23 hours ago.
    """

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def _account(self, name: str, key: str | None, user_assigned: str = "") -> Account:
        return self._ground.estate.cosmos_account(
            name, subscription=self._ground.production, key=key, user_assigned=user_assigned
        )

    def members(self) -> Iterator[Member]:
        """Make the accounts on the payments key, and on the one that was rotated yesterday."""
        ground = self._ground
        pinned = ground.estate.cosmos_account(
            "cosmos-fraud", subscription=ground.production, key=ground.payments, version="pinned"
        )
        yield Member(pinned.id, _OF, MOVED)
        for name, minutes in (("cosmos-payments", 10), ("cosmos-settlement", 30)):
            account = self._account(name, ground.payments)
            made_to = ground.timing.follow(account, timedelta(minutes=minutes))
            yield Member(account.id, _OF, FOLLOWED, made_to)
        identity = ground.estate.user_assigned_identity(
            ground.production, "rg-identities", "id-cosmos-legacy"
        )
        revoked = self._account("cosmos-legacy", ground.payments, identity)
        ground.vault.revoke(revoked.principal)
        revoked.pace.next_poll_at -= timedelta(hours=1)  # it has noticed by now
        made_to = "has lost its identity's rights to the key: it is revoked"
        yield Member(revoked.id, _OF, MANUAL, made_to)
        yield from self._ledger()

    def _ledger(self) -> Iterator[Member]:
        timing = self._ground.timing
        healthy, late, stuck = (
            self._account(name, self._ground.ledger)
            for name in ("cosmos-ledger", "cosmos-ledger-audit", "cosmos-ledger-old")
        )
        timing.ledger_followers[healthy.id] = (healthy, timedelta(hours=6))
        yield Member(healthy.id, _OF, FOLLOWED, "", LEDGER)
        timing.ledger_followers[late.id] = (late, DAY + LATE_BY)
        timing.late_followers.append(late)
        made_to = f"follows {spoken(LATE_BY)} after its day; when that ends it cannot be read"
        yield Member(late.id, _OF, FOLLOWED_LATE, made_to, LEDGER)
        stuck.pace.stuck()
        yield Member(stuck.id, _OF, NEVER_FOLLOWED, "never looks for a newer version", LEDGER)

    def others(self) -> Iterator[str]:
        """Make what is on the archive's key, or on the platform's."""
        yield self._account("cosmos-archive", self._ground.archive).id
        yield self._account("cosmos-catalog", None).id
