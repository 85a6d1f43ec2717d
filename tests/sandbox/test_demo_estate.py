"""The demo's estate is what its scenario tells of."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from sandbox.arm.several_keys import reference
from sandbox.clock import SandboxClock
from sandbox.demo_estate import VAULT, DemoEstate, demo_estate, rights
from sandbox.demo_kinds import Family
from sandbox.demo_members import ARCHIVE, LEDGER, PAYMENTS, Fate, Member
from sandbox.faults import Faults
from sandbox.testing import Rig, rig

ROLES = Path(__file__).parents[2] / "infra" / "roles"


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

    on_it = [member for member in demo.members if member.key == key and not member.fate.is_keyless]
    assert truth.users_of(version) == sorted(
        reference(member.id, number).lower()
        for member in on_it
        for number in range(member.references)
    )
    for member in on_it:
        for number, other in enumerate(member.others, start=member.references):
            used = truth.version_in_use(reference(member.id, number))
            assert used == served.estate.vaults.newest(VAULT, other)
    assert {truth.version_in_use(other) for other in demo.others} == {archive, None}
    url = {PAYMENTS: demo.payments_key, LEDGER: demo.ledger_key}[key]
    assert url == version.rpartition("/")[0]


def resources(demo: DemoEstate) -> list[Member]:
    """Return the members that are resources, and not what is only counted."""
    return [member for member in demo.members if member.id.startswith("/")]


def fates_of(demo: DemoEstate, family: Family) -> list[Fate]:
    return [member.fate for member in demo.members if member.family is family]


IN_EVERY_STATE = (Family.ACCOUNTS, Family.SCOPES, Family.COSMOS, Family.GROUPS)


@pytest.mark.parametrize("family", IN_EVERY_STATE)
@pytest.mark.parametrize("verdict", ["verified", "late", "stuck", "manual"])
def test_the_kinds_with_tests_of_their_own_have_one_of_every_state_that_they_can_be_in(
    demo: DemoEstate, family: Family, verdict: str
) -> None:
    assert any(verdict in fate.verdicts for fate in fates_of(demo, family))


def test_a_cosmos_db_account_names_a_version_and_is_written_to(
    served: Rig, demo: DemoEstate
) -> None:
    (pinned,) = (m.id for m in demo.members if m.family is Family.COSMOS and m.fate.writes)

    body = served.send("GET", pinned, version="2025-10-15").body

    assert body["properties"]["keyVaultKeyUri"] == served.estate.vaults.newest(VAULT, PAYMENTS)


def test_these_kinds_have_one_that_moves_and_one_that_does_not_and_one_on_another_key(
    demo: DemoEstate,
) -> None:
    types = {member.id.rsplit("/", 2)[1]: member.family for member in resources(demo)}
    others = {types[other.rsplit("/", 2)[1]] for other in demo.others}

    for family in IN_EVERY_STATE:
        fates = [member.fate for member in demo.members if member.family is family]
        assert {fate.moves for fate in fates} == {True, False}
        assert family in others


def test_the_first_of_each_kind_to_be_written_is_healthy(demo: DemoEstate) -> None:
    written = [each for each in demo.members if each.fate.writes]
    assert len({each.family for each in written}) > len(IN_EVERY_STATE)
    for family in {each.family for each in written}:
        first = min(
            (each for each in written if each.family is family),
            key=lambda each: each.id.lower(),
        )
        assert first.fate.moves
        assert not first.made_to


def test_the_demo_is_set_up_without_a_write_to_count(served: Rig, demo: DemoEstate) -> None:
    truth = served.estate.truth

    for resource in (*(member.id for member in resources(demo)), *demo.others):
        assert (truth.writes(resource), truth.creations(resource)) == (0, 0)


def test_the_app_may_read_all_subscriptions(served: Rig, demo: DemoEstate) -> None:
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
    followers = demo.timing.followers
    assert {truth.version_in_use(name) for name in followers} == {old}
    looks = {
        name.rpartition("/")[2]: made.pace.next_poll_at - at
        for name, (made, _) in followers.items()
        if made.pace
    }
    assert looks == {
        "streportsweu001": timedelta(minutes=20),
        "streportsneu001": timedelta(minutes=20),
        "cosmos-payments": timedelta(minutes=10),
        "cosmos-settlement": timedelta(minutes=30),
        "crshared": timedelta(minutes=20),
        "des-shared-weu": timedelta(minutes=20),
        "sbns-alerts": timedelta(minutes=20),
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
    (late,) = demo.timing.late_followers
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
    timing = demo.timing
    hidden = [made.id for made in (*timing.late, *timing.late_followers)]
    # Of what is written now, and of what follows a version of 23 hours ago, alike.
    closes = served.clock.now() + timedelta(hours=1)
    faults = Faults(SandboxClock(closes + timedelta(minutes=minutes), rate=1e-9))

    demo.begin(served.estate.vaults.vault(VAULT), faults)
    for account in timing.late:
        method = "PUT" if "containerGroups" in account.id else "PATCH"
        written = faults.take(method, "management.azure.com", account.id)
        assert written
        assert written.after
        written.after(account.id)

    for resource in hidden:
        assert (faults.take("GET", "management.azure.com", resource) is not None) is is_hidden


def test_whatever_is_late_is_hidden_when_its_window_ends(demo: DemoEstate) -> None:
    hidden = {made.id for made in (*demo.timing.late, *demo.timing.late_followers)}

    assert hidden == {each.id for each in demo.members if "late" in each.fate.verdicts}


def test_the_app_has_the_roles_that_it_is_deployed_with_and_no_more() -> None:
    deployed = [
        json.loads((ROLES / f"{name}.json").read_text())["actions"]
        for name in ("reader", "mover", "container-groups")
    ]
    assert sorted(rights()) == sorted({action for actions in deployed for action in actions})


def test_the_storage_of_the_managed_group_is_the_workspaces(served: Rig, demo: DemoEstate) -> None:
    (workspace,) = (each.id for each in demo.members if each.family is Family.DATABRICKS)
    (managed,) = (each.id for each in demo.members if each.id.endswith("/dbstoragepay7x2"))
    body = served.send("GET", workspace, version="2026-01-01").body
    group = managed.partition("/providers/")[0]
    owner = served.send("GET", group, version="2022-09-01").body["managedBy"]

    assert owner == workspace
    assert body["properties"]["managedResourceGroupId"] == group


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
