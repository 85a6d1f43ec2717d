"""How a rotation keeps within what services grant, and what it does where one says 429."""

import re
from datetime import datetime, timedelta
from http import HTTPStatus

from sandbox.arm.quota import Rate
from sandbox.estate import Account
from sandbox.faults import Fault, throttled
from sandbox.front_door import Call
from tests.e2e.stage import Stage

HOME, NORTH, EAST = "westeurope", "northeurope", "eastus"
WAIT = timedelta(minutes=5)
IN_FLIGHT = timedelta(seconds=60)
"""A real second: what was under way when a lane was told to rest still arrives."""
ACCOUNTS = 30
"""In each of two lanes."""


def _calls(stage: Stage, accounts: list[Account]) -> list[Call]:
    """Return what the app sent to some accounts, oldest first."""
    ids = {account.id.lower() for account in accounts}
    traffic = stage.azure.front_door.traffic()
    return sorted((c for c in traffic if c.path.lower() in ids), key=lambda call: call.at)


def _writes(calls: list[Call], status: int) -> list[datetime]:
    return [call.at for call in calls if (call.method, call.status) == ("PATCH", status)]


def test_a_429_lets_its_lane_rest_as_long_as_it_asks_and_no_other_lane(running: Stage) -> None:
    """One says how long in a header, one in its text alone; lanes here differ by region."""
    key = running.key()
    name = running.new_name("stlane")
    lanes = {
        region: [running.account(f"{name}{region[:5]}{n}", key, location=region) for n in range(4)]
        for region in (HOME, NORTH, EAST)
    }
    # The canary must pass, or all would wait for it: the first by id.
    lanes[HOME].append(running.account(f"{name}a", key, location=HOME))
    for region, in_text in ((NORTH, False), (EAST, True)):
        path = f"*/{name}{region[:5]}*"
        answer = throttled(WAIT, in_text=in_text)
        running.azure.faults.add(Fault(method="PATCH", path=path, answer=answer))

    report = running.ended(running.rotate(key), within=60)

    assert report["counts"] == {"verified": 13}
    calls = {region: _calls(running, accounts) for region, accounts in lanes.items()}
    moved_at_home = _writes(calls[HOME], 200)
    for region in (NORTH, EAST):
        (refused_at,) = _writes(calls[region], 429)
        rest = [c for c in calls[region] if IN_FLIGHT < c.at - refused_at < WAIT]
        assert [(call.method, call.path) for call in rest] == []
        assert max(_writes(calls[region], 200)) >= refused_at + WAIT
        assert max(moved_at_home) < refused_at + WAIT


def test_sixty_accounts_are_moved_within_the_documented_limits_without_a_single_429(
    stage: Stage,
) -> None:
    quotas = stage.azure.estate.arm.quota, stage.azure.estate.storage.quota
    key, accounts = _two_lanes(stage)
    for quota in quotas:
        quota.enforced = True
    stage.start()

    target = stage.rotate(key)
    report = stage.ended(target, within=120)

    assert report["counts"] == {"verified": 2 * ACCOUNTS}
    assert {stage.writes(account) for account in accounts} == {1}
    assert [quota.refused.total() for quota in quotas] == [0, 0]


def test_a_bucket_that_is_empty_and_says_so_in_text_alone_is_given_the_time_to_refill(
    stage: Stage,
) -> None:
    key = stage.key()
    accounts = [stage.account(f"stdrained{number}", key) for number in range(6)]
    quota = stage.azure.estate.arm.quota
    quota.limit(writes=Rate(bucket=4, per_second=1 / 300))
    quota.wait_in_text = quota.enforced = True
    stage.start()

    report = stage.ended(stage.rotate(key), within=90)

    assert report["counts"] == {"verified": 6}
    assert {stage.writes(account) for account in accounts} == {1}
    calls = _calls(stage, accounts)
    first = next(call for call in calls if call.status == HTTPStatus.TOO_MANY_REQUESTS)
    (asked,) = re.findall(rb"try again after '(\d+)' seconds", first.response_body)
    assert "retry-after" not in first.response_headers
    # On a slow machine a token may have come back before the first refusal.
    following = next(at for at in _writes(calls, 200) if at > first.at)
    assert following - first.at >= timedelta(seconds=int(asked))
    # Both that find it empty, and one more that comes back for the one token of the next time.
    assert 1 <= quota.refused["writes"] <= 4


def _two_lanes(stage: Stage) -> tuple[str, list[Account]]:
    """Make a key, and accounts that use it in two regions of two subscriptions."""
    key, other = stage.key(), stage.readable_subscription("Elsewhere")
    here = [stage.account(f"sthere{n:02}", key) for n in range(ACCOUNTS)]
    there = [
        stage.account(f"stthere{n:02}", key, subscription=other, location=NORTH)
        for n in range(ACCOUNTS)
    ]
    return key, here + there
