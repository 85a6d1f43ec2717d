"""What is not ours to overwrite: somebody's change meanwhile, and what something else owns."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from sandbox.estate import Account
from sandbox.faults import Answer, Fault
from sandbox.identity import APP_PRINCIPAL
from shared.domain.callers import NOBODY
from shared.domain.json_paths import Json, look_up
from shared.domain.steps import Repoint
from shared.domain.verdicts import Outcome, Verdict
from shared.domain.work import Consumer, Stage, Wave
from tests.rights import TO_READ_AND_WRITE
from tests.usecases.bench import Bench
from tests.usecases.rotations import finish

GROUPS = "Microsoft.Resources/subscriptions/resourceGroups/read"
OWNER = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Databricks/workspaces/ws"


def the_consumer(bench: Bench, rotation: str) -> Consumer:
    (consumer,) = bench.work(rotation).consumers
    return consumer


def shown(bench: Bench, account: Account) -> Json:
    """Return an account as its service shows it to somebody else."""
    bench.get(account)
    found: Json = json.loads(bench.calls("GET", account.id)[-1].response_body)
    return found


def test_an_account_that_uses_a_key_of_another_tenant_is_moved_and_goes_on_doing_so(
    bench: Bench,
) -> None:
    key, estate = bench.key(), bench.azure.estate
    identity = estate.user_assigned_identity(bench.subscription, "rg-ids", "id-cmk")
    account = estate.storage_account(
        "stone", subscription=bench.subscription, key=key, user_assigned=identity
    )
    client = "5c1f7c1e-0d43-4a6c-9c3a-2f0d8f2c6b11"
    asked = {"userAssignedIdentity": identity, "federatedIdentityClientId": client}
    reference = look_up(shown(bench, account), "properties.encryption.keyvaultproperties")
    encryption = {"identity": asked, "keyvaultproperties": reference}
    bench.patch(account, {"properties": {"encryption": encryption}})
    place = "properties.encryption.identity"
    before = look_up(shown(bench, account), place)
    new = bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    bench.finish(rotation)
    assert the_consumer(bench, rotation).verdict is Verdict.VERIFIED
    assert bench.in_use(account) == new
    assert look_up(shown(bench, account), place) == before
    assert before["federatedIdentityClientId"] == client


def theirs(bench: Bench, account: Account, version: str) -> None:
    """Point an account at a version, as somebody else would."""
    encryption = shown(bench, account)["properties"]["encryption"]
    encryption["keyvaultproperties"]["keyversion"] = version.rpartition("/")[2]
    bench.patch(account, {"properties": {"encryption": encryption}})


@pytest.mark.parametrize("etags", [False, True])
def test_a_write_is_guarded_by_what_was_read_where_the_service_gives_an_etag(
    bench: Bench,
    etags: bool,  # noqa: FBT001 - a table
) -> None:
    bench.azure.estate.storage.etags = etags
    key = bench.key()
    account = bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    (write,) = bench.calls("PATCH")
    read = bench.calls("GET", account.id)[-1]
    assert write.request_headers.get("if-match") == read.response_headers.get("etag")
    assert ("etag" in read.response_headers) is etags
    assert bench.finish(rotation).counts == {Verdict.VERIFIED: 1}
    assert bench.writes(account) == 1


def test_what_somebody_changed_between_our_read_and_our_write_is_read_again_and_kept(
    bench: Bench,
) -> None:
    bench.azure.estate.storage.etags = True
    key = bench.key()
    account = bench.account("stone", key)
    new = bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.azure.faults.on(
        "PATCH", "*/stone", lambda _: bench.patch(account, {"tags": {"team": "theirs"}})
    )
    bench.forget_sent()

    bench.run(step)

    assert sorted(call.status for call in bench.calls("PATCH")) == [200, 412]
    work = bench.work(rotation)
    assert (work.stage, work.next, work.intent) == (Stage.OPEN, "repoint", None)
    (again,) = bench.sent(Repoint)
    bench.run(again)
    assert bench.finish(rotation).counts == {Verdict.VERIFIED: 1}
    assert shown(bench, account)["tags"] == {"team": "theirs"}
    assert bench.in_use(account) == new
    assert bench.writes(account) == 2  # theirs, and one of ours


def test_what_somebody_moved_to_a_newer_version_meanwhile_is_not_lowered(bench: Bench) -> None:
    bench.azure.estate.storage.etags = True
    key = bench.key()
    account = bench.account("stone", key)
    bench.later_version(key)
    rotation, step = bench.opened(key)
    newer = bench.later_version(key)
    bench.azure.faults.on("PATCH", "*/stone", lambda _: theirs(bench, account, newer))
    bench.forget_sent()
    bench.run(step)
    (again,) = bench.sent(Repoint)
    bench.run(again)
    assert the_consumer(bench, rotation).verdict is Verdict.SUPERSEDED
    assert bench.in_use(account) == newer
    assert bench.writes(account) == 1


def managed(bench: Bench, key: str, subscription: str = "") -> Account:
    """Make an account in a group that a service keeps for itself."""
    subscription = subscription or bench.subscription
    bench.azure.estate.group(subscription, "rg-managed", managed_by=OWNER)
    return bench.azure.estate.storage_account(
        "stone", subscription=subscription, key=key, group="rg-managed"
    )


def test_what_lies_in_a_managed_group_is_left_to_its_owner_then_to_a_person_and_never_written_to(
    bench: Bench,
) -> None:
    key = bench.key()
    account = managed(bench, key)
    old = bench.in_use(account)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    work = bench.work(rotation)
    assert (work.stage, work.wave) == (Stage.OPEN, Wave.REST)  # a canary would keep others waiting
    assert bench.finish(rotation).outcome is Outcome.FAILED
    consumer = the_consumer(bench, rotation)
    assert (consumer.verdict, consumer.before) == (Verdict.MANUAL, old)
    assert "managed resource group" in consumer.reason
    assert "its owner has not moved it within 1 hour" in consumer.reason
    assert OWNER in consumer.advice
    read_at, closed_at = bench.work(rotation).read_at, bench.work(rotation).closed_at
    assert read_at
    assert closed_at
    assert closed_at - read_at >= timedelta(hours=1)
    assert bench.calls("PATCH") == []
    assert bench.writes(account) == 0


@pytest.mark.parametrize(
    ("after", "verdict"),
    [
        pytest.param(timedelta(minutes=20), {Verdict.ALREADY: 1}, id="within its window"),
        pytest.param(timedelta(hours=2), {Verdict.MANUAL: 1}, id="too late"),
    ],
)
def test_what_its_owner_moves_in_the_same_rotation_is_proven(
    bench: Bench, after: timedelta, verdict: dict[Verdict, int]
) -> None:
    key = bench.key()
    account = managed(bench, key)
    new = bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    begun = bench.clock.now()
    while bench.clock.now() < begun + after and bench.work(rotation).stage is Stage.OPEN:
        (again,) = bench.sent(Repoint)[-1:]
        bench.pass_until(bench.due(Repoint))
        bench.run(again)
    theirs(bench, account, new)
    bench.pass_until(begun + after)
    assert bench.finish(rotation).counts == verdict
    assert bench.writes(account) == 1  # its owner's


def test_the_owner_has_its_time_from_when_a_pause_is_over(bench: Bench) -> None:
    key = bench.key()
    managed(bench, key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    bench.steer.pause(rotation, "lunch", NOBODY)
    bench.pass_until(bench.due(Repoint))
    bench.run(bench.sent(Repoint)[-1])
    bench.pass_time(minutes=90)
    bench.steer.resume(rotation, "back", NOBODY)
    resumed = bench.clock.now()
    assert finish(bench, rotation).outcome is Outcome.FAILED
    closed = bench.work(rotation).closed_at
    assert closed
    assert closed - resumed >= timedelta(hours=1)
    assert the_consumer(bench, rotation).verdict is Verdict.MANUAL


def test_the_owner_of_a_managed_group_need_not_wait_for_what_lies_in_it(bench: Bench) -> None:
    key = bench.key()
    managed(bench, key)
    for name in ("staa", "stbb"):
        bench.account(name, key)
    bench.new_version(key)
    rotation = bench.open(key)
    bench.discover(rotation)
    begun = bench.clock.now()
    bench.finish(rotation)
    works = [kept.row for kept in bench.steps.ledger.all(rotation)]
    accepted = [work.accepted_at for work in works if not work.resource.endswith("/stone")]
    assert all(when and when - begun < timedelta(minutes=20) for when in accepted)


def test_what_lies_in_a_managed_group_and_is_on_the_target_is_proven_like_any_other(
    bench: Bench,
) -> None:
    key = bench.key()
    bench.new_version(key)
    managed(bench, key)
    rotation, step = bench.opened(key)
    bench.run(step)
    assert bench.finish(rotation).counts == {Verdict.ALREADY: 1}


def test_an_account_that_names_its_owner_itself_is_not_written_to(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    body = shown(bench, account) | {"managedBy": OWNER}
    bench.azure.faults.add(Fault(method="GET", path="*/stone", answer=Answer(200, body)))
    bench.run(step)
    assert bench.work(rotation).stage is Stage.OPEN
    bench.pass_time(hours=1)
    again = bench.sent(Repoint)[-1]
    bench.azure.faults.add(Fault(method="GET", path="*/stone", answer=Answer(200, body)))
    bench.run(again)
    assert the_consumer(bench, rotation).verdict is Verdict.MANUAL
    assert OWNER in the_consumer(bench, rotation).advice
    assert bench.writes(account) == 0


def test_where_nobody_says_who_owns_a_group_nothing_is_written(bench: Bench) -> None:
    estate, key = bench.azure.estate, bench.key()
    subscription = estate.subscription("without groups")
    rights = tuple(right for right in TO_READ_AND_WRITE if right != GROUPS)
    assert len(rights) == len(TO_READ_AND_WRITE) - 1
    estate.arm.rbac.allow(APP_PRINCIPAL, rights, f"/subscriptions/{subscription}")
    account = managed(bench, key, subscription)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    assert the_consumer(bench, rotation).verdict is Verdict.UNKNOWN
    assert "resourceGroups" in the_consumer(bench, rotation).reason
    assert bench.writes(account) == 0


def test_a_change_of_somebody_elses_that_is_under_way_is_waited_for(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    middle, newest = bench.later_version(key), bench.later_version(key)
    rotation, step = bench.opened(key)
    account.pace.long_running(None)
    theirs(bench, account, middle)
    assert bench.writes(account) == 1
    bench.forget_sent()

    bench.run(step)

    assert len(bench.calls("PATCH")) == 1
    assert bench.work(rotation).intent is None
    (again,) = bench.sent(Repoint)
    assert account.pace.pending
    account.pace.pending = replace(account.pace.pending, when=bench.azure.clock.now())
    account.pace.prompt()
    bench.pass_until(bench.due(Repoint))
    bench.run(again)
    assert bench.finish(rotation).counts == {Verdict.VERIFIED: 1}
    assert bench.in_use(account) == newest
    assert bench.writes(account) == 2
