"""The demo's estate is what its scenario tells of."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from sandbox.clock import SandboxClock
from sandbox.demo_estate import VAULT, DemoEstate, demo_estate
from sandbox.demo_members import ARCHIVE, LEDGER, PAYMENTS, Family, Fate
from sandbox.faults import Faults
from sandbox.testing import Rig, rig


@pytest.fixture(name="served")
def _served() -> Iterator[Rig]:
    with rig() as served:
        yield served


@pytest.fixture(name="demo")
def _demo(served: Rig) -> DemoEstate:
    return demo_estate(served.estate)


@pytest.mark.parametrize("key", [PAYMENTS, LEDGER])
def test_what_is_on_a_key_uses_it_and_nothing_else_does(
    served: Rig, demo: DemoEstate, key: str
) -> None:
    truth, version = served.estate.truth, served.estate.vaults.newest(VAULT, key)
    archive = served.estate.vaults.newest(VAULT, ARCHIVE)

    on_it = sorted(member.id.lower() for member in demo.members if member.key == key)
    assert truth.users_of(version) == on_it
    assert {truth.version_in_use(other) for other in demo.others} == {archive, None}
    url = {PAYMENTS: demo.payments_key, LEDGER: demo.ledger_key}[key]
    assert url == version.rpartition("/")[0]


def fates_of(demo: DemoEstate, family: Family) -> list[Fate]:
    return [member.fate for member in demo.members if member.family is family]


@pytest.mark.parametrize("family", [each for each in Family if each is not Family.FILES])
@pytest.mark.parametrize("verdict", ["verified", "late", "stuck", "manual"])
def test_each_kind_has_one_of_every_state_that_it_can_be_in(
    demo: DemoEstate, family: Family, verdict: str
) -> None:
    assert any(verdict in fate.verdicts for fate in fates_of(demo, family))


def test_a_cosmos_db_account_names_a_version_and_is_written_to(
    served: Rig, demo: DemoEstate
) -> None:
    (pinned,) = (m.id for m in demo.members if m.family is Family.COSMOS and m.fate.writes)

    body = served.send("GET", pinned, version="2025-10-15").body

    assert body["properties"]["keyVaultKeyUri"] == served.estate.vaults.newest(VAULT, PAYMENTS)


def test_each_kind_has_one_that_moves_and_one_that_does_not_and_one_on_another_key(
    demo: DemoEstate,
) -> None:
    types = {member.id.rsplit("/", 2)[1]: member.family for member in demo.members}
    others = {types[other.rsplit("/", 2)[1]] for other in demo.others}

    for family in set(Family) - {Family.FILES}:
        fates = [member.fate for member in demo.members if member.family is family]
        assert {fate.moves for fate in fates} == {True, False}
        assert family in others


def test_the_first_of_each_kind_to_be_written_is_healthy(demo: DemoEstate) -> None:
    for family in set(Family) - {Family.FILES}:
        first = min(
            (each for each in demo.members if each.family is family and each.fate.writes),
            key=lambda each: each.id.lower(),
        )
        assert first.fate.moves
        assert not first.made_to


def test_the_demo_is_set_up_without_a_write_to_count(served: Rig, demo: DemoEstate) -> None:
    truth = served.estate.truth

    for resource in (*(member.id for member in demo.members), *demo.others):
        assert (truth.writes(resource), truth.creations(resource)) == (0, 0)


def test_the_app_may_read_both_subscriptions(served: Rig, demo: DemoEstate) -> None:
    listed = served.send("GET", "/subscriptions", version="2022-12-01").body["value"]

    assert {each["subscriptionId"] for each in listed} == set(demo.subscriptions)


def test_those_that_name_no_version_look_for_one_counted_from_the_rotation(
    served: Rig, demo: DemoEstate
) -> None:
    old = served.estate.vaults.newest(VAULT, PAYMENTS)
    at = served.clock.now() + timedelta(hours=3)
    served.estate.vaults.vault(VAULT).rotate(PAYMENTS)

    demo.follow_from(at)

    truth = served.estate.truth
    assert {truth.version_in_use(name) for name in demo.followers} == {old}
    looks = {
        name.rpartition("/")[2]: account.pace.next_poll_at - at
        for name, (account, _) in demo.followers.items()
    }
    assert looks == {
        "streportsweu001": timedelta(minutes=20),
        "streportsneu001": timedelta(minutes=20),
        "cosmos-payments": timedelta(minutes=10),
        "cosmos-settlement": timedelta(minutes=30),
    }


def test_the_ledgers_key_got_its_version_yesterday_and_one_account_follows_in_time(
    served: Rig, demo: DemoEstate
) -> None:
    vault, now = served.estate.vaults.vault(VAULT), served.clock.now()
    old = served.estate.vaults.newest(VAULT, LEDGER)

    new = demo.begin(vault, served.faults)

    assert served.estate.vaults.newest(VAULT, LEDGER) == new
    age = now.timestamp() - vault.find(LEDGER).created
    assert timedelta(hours=22, minutes=59) < timedelta(seconds=age) < timedelta(hours=23, minutes=1)
    assert vault.find(LEDGER, old.rpartition("/")[2]).created < vault.find(LEDGER).created
    used = {
        member.id.rpartition("/")[2]: served.estate.truth.version_in_use(member.id)
        for member in demo.members
        if member.key == LEDGER
    }
    assert used == {"cosmos-ledger": new, "cosmos-ledger-audit": old, "cosmos-ledger-old": old}
    (late,) = demo.late_followers
    closes = now + timedelta(hours=1)
    assert closes < late.pace.next_poll_at < closes + timedelta(minutes=5)


@pytest.mark.parametrize(
    ("minutes", "is_hidden"), [(-11, False), (-9, True), (0, True), (9, True), (11, False)]
)
def test_the_late_ones_cannot_be_read_around_the_end_of_their_windows(
    served: Rig,
    demo: DemoEstate,
    minutes: int,
    is_hidden: bool,  # noqa: FBT001 - a table
) -> None:
    hidden = [account.id for account in (*demo.late, *demo.late_followers)]
    # Of what is written now, and of what follows a version of 23 hours ago, alike.
    closes = served.clock.now() + timedelta(hours=1)
    faults = Faults(SandboxClock(closes + timedelta(minutes=minutes), rate=1e-9))

    demo.begin(served.estate.vaults.vault(VAULT), faults)
    for account in demo.late:
        written = faults.take("PATCH", "management.azure.com", account.id)
        assert written
        assert written.after
        written.after(account.id)

    for resource in hidden:
        assert (faults.take("GET", "management.azure.com", resource) is not None) is is_hidden


def test_whatever_is_late_is_hidden_but_for_groups_which_are_looked_at_too_seldom(
    demo: DemoEstate,
) -> None:
    hidden = {account.id for account in (*demo.late, *demo.late_followers)}
    late = {each.id: each.family for each in demo.members if "late" in each.fate.verdicts}

    assert hidden == {each for each in late if late[each] is not Family.GROUPS}


def test_the_account_that_lost_its_rights_says_that_it_is_revoked(
    served: Rig, demo: DemoEstate
) -> None:
    (legacy,) = (each.id for each in demo.members if each.id.endswith("cosmos-legacy"))

    body = served.send("GET", legacy, version="2025-10-15").body

    assert "currently revoked" in body["properties"]["customerManagedKeyStatus"]
    assert not served.estate.truth.can_read(legacy)


def test_the_managed_group_is_managed(served: Rig, demo: DemoEstate) -> None:
    (managed,) = (each.id for each in demo.members if each.id.endswith("/dbstoragepay7x2"))
    group = managed.partition("/providers/")[0]

    assert (
        served.send("GET", group, version="2022-09-01").body["managedBy"].endswith("dbw-payments")
    )
