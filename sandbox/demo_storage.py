"""The storage accounts of the demo's estate, and the encryption scopes in them."""

from collections.abc import Iterator
from datetime import timedelta

from sandbox.account_estate import Account, Form
from sandbox.demo_ground import Ground, spoken
from sandbox.demo_kinds import Family
from sandbox.demo_members import FOLLOWED, LATE, MANUAL, MOVED, STUCK, Member
from sandbox.demo_services import MANAGED_GROUP

_LATE = "shows a write only after 62 minutes; when its hour ends it cannot be read"
_PINNED = (
    ("stpaymentsweu001", "westeurope"),
    ("stpaymentsneu001", "northeurope"),
    ("stledgerweu001", "westeurope"),
    ("stsettlementuks1", "uksouth"),
)


class StorageBuilder:
    """Makes storage accounts and scopes.

    The first of each kind is healthy, by id: if the one that goes ahead of its kind failed, the
    rotation would pause for a person.
    """

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self.with_canary: list[Account] = []
        self.files_account = self.account("stdeployconfigs01", None, group="rg-platform")

    def account(self, name: str, key: str | None, *, group: str = "rg-storage") -> Account:
        """Make an account among the shared services."""
        return self._ground.estate.storage_account(
            name, subscription=self._ground.shared, group=group, key=key
        )

    def _pinned(self, name: str, location: str, *, group: str, user_assigned: str = "") -> Account:
        return self._ground.estate.storage_account(
            name,
            subscription=self._ground.production,
            group=group,
            key=self._ground.payments,
            location=location,
            user_assigned=user_assigned,
        )

    def members(self) -> Iterator[Member]:
        """Make the accounts on the payments key, and the scopes in them."""
        ground, of = self._ground, Family.ACCOUNTS
        pinned = [self._pinned(name, place, group="rg-payments") for name, place in _PINNED]
        gateway = self._pinned(
            "stgatewayweu001", "westeurope", group="rg-payments", user_assigned=ground.identity
        )
        first = self.account("stcardsweu001", ground.payments)
        slow = self.account("stinvoicesuks01", ground.payments)
        slow.pace.slow(ground.slow_by)
        late = ground.timing.be_late(self.account("stpayrollweu001", ground.payments))
        stuck = self.account("stlegacypayweu01", ground.payments)
        stuck.pace.stuck()
        managed = self._pinned("dbstoragepay7x2", "westeurope", group=MANAGED_GROUP)
        self.with_canary += [first, *pinned, gateway, slow, late]
        yield from (Member(each.id, of, MOVED) for each in (first, *pinned, gateway))
        yield from self._versionless()
        yield Member(slow.id, of, MOVED, f"shows a write only after {spoken(ground.slow_by)}")
        yield Member(late.id, of, LATE, _LATE)
        yield Member(stuck.id, of, STUCK, "accepts a write and never acts on it")
        made_to = "lies in the managed group of a Databricks workspace"
        yield Member(managed.id, of, MANUAL, made_to)
        yield from self._scopes(first, gateway, managed)

    def _versionless(self) -> Iterator[Member]:
        ground = self._ground
        forms: tuple[tuple[str, Form], ...] = (
            ("streportsweu001", "absent"),
            ("streportsneu001", "empty"),
        )
        for name, form in forms:
            account = ground.estate.storage_account(
                name, subscription=ground.shared, key=ground.payments, version=form
            )
            made_to = ground.timing.follow(account, timedelta(minutes=20))
            self.with_canary.append(account)
            yield Member(account.id, Family.ACCOUNTS, FOLLOWED, made_to)

    def _scopes(self, first: Account, second: Account, managed: Account) -> Iterator[Member]:
        ground, of = self._ground, Family.SCOPES
        make, key = ground.estate.encryption_scope, ground.payments
        yield Member(make(first, "scope-cards", key=key).id, of, MOVED)
        slow = make(first, "scope-invoices", key=key)
        slow.pace.slow(ground.slow_by)
        yield Member(slow.id, of, MOVED, f"shows a write only after {spoken(ground.slow_by)}")
        late = ground.timing.be_late(make(first, "scope-payroll", key=key))
        yield Member(late.id, of, LATE, _LATE)
        stuck = make(second, "scope-legacy", key=key)
        stuck.pace.stuck()
        yield Member(stuck.id, of, STUCK, "accepts a write and never acts on it")
        owned = make(managed, "scope-dbfs", key=key)
        yield Member(owned.id, of, MANUAL, "is in an account of a managed group")

    def others(self) -> Iterator[str]:
        """Make what is on the archive's key, or on the platform's."""
        archive = self.account("starchiveweu001", self._ground.archive, group="rg-archive")
        yield archive.id
        yield self.account("stretention7yneu", self._ground.archive, group="rg-archive").id
        yield self.files_account.id
        yield self.account("stbuildcacheweu1", None, group="rg-platform").id
        scope = self._ground.estate.encryption_scope
        yield scope(archive, "scope-audit", key=self._ground.archive).id
        yield scope(self.files_account, "scope-builds", key=None).id
