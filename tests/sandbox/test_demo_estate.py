"""The demo's estate is what its scenario tells of."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from sandbox.demo_estate import ARCHIVE, PAYMENTS, VAULT, DemoEstate, Family, demo_estate
from sandbox.testing import Rig, rig


@pytest.fixture(name="served")
def _served() -> Iterator[Rig]:
    with rig() as served:
        yield served


@pytest.fixture(name="demo")
def _demo(served: Rig) -> DemoEstate:
    return demo_estate(served.estate)


def test_what_is_on_the_payments_key_uses_it_and_nothing_else_does(
    served: Rig, demo: DemoEstate
) -> None:
    truth, payments = served.estate.truth, served.estate.vaults.newest(VAULT, PAYMENTS)
    archive = served.estate.vaults.newest(VAULT, ARCHIVE)

    assert truth.users_of(payments) == sorted(member.id.lower() for member in demo.members)
    assert {truth.version_in_use(other) for other in demo.others} == {archive, None}
    assert demo.payments_key == payments.rpartition("/")[0]


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
    for family in set(Family) - {Family.FILES, Family.COSMOS}:
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
        "cosmos-ledger": timedelta(minutes=30),
    }


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
