"""Limits: ARM's token buckets and the storage provider's own windows, met by bursts of calls."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from sandbox.arm.provider_quota import Window
from sandbox.arm.quota import Rate
from sandbox.estate import Account
from sandbox.testing import Answer, Rig, rig

NEVER_REFILLED = Rate(bucket=3, per_second=0.1)


@pytest.fixture(name="served")
def _served() -> Iterator[Rig]:
    """Time all but stands still."""
    with rig(rate=0.001) as served:
        yield served


def account(served: Rig, subscription: str = "one", location: str = "westeurope") -> Account:
    made = served.estate.subscription(subscription)
    served.allow_all(made)
    return served.estate.storage_account(
        f"st{location[:4]}", subscription=made, key=None, location=location
    )


def burst(served: Rig, account: Account, method: str, count: int) -> list[Answer]:
    body: object = {"tags": {}} if method == "PATCH" else None
    return [served.send(method, account.id, body) for _ in range(count)]


def statuses(answers: list[Answer]) -> list[int]:
    return [answer.status for answer in answers]


def test_a_bucket_of_a_tests_own_size_refuses_what_is_beyond_it(served: Rig) -> None:
    mine = account(served)
    quota = served.estate.arm.quota
    quota.enforced = True
    quota.limit(writes=NEVER_REFILLED)

    writes = burst(served, mine, "PATCH", 5)
    reads = burst(served, mine, "GET", 5)

    assert statuses(writes) == [200, 200, 200, 429, 429]
    assert statuses(reads) == [200] * 5
    assert writes[2].headers["x-ms-ratelimit-remaining-subscription-writes"] == "0"
    assert (writes[3].code, writes[3].headers["retry-after"]) == (
        "SubscriptionRequestsThrottled",
        "10",
    )
    assert quota.refused == {"writes": 2}


def test_buckets_are_filled_by_sandbox_time() -> None:
    with rig(rate=600) as served:
        mine = account(served)
        served.estate.arm.quota.enforced = True
        served.estate.arm.quota.limit(reads=Rate(bucket=1, per_second=0.01))

        found: list[int] = []
        while found.count(200) < 3 and len(found) < 3000:
            found.append(served.send("GET", mine.id).status)

    assert found[:2] == [200, 429]
    assert found.count(200) == 3


def test_each_subscription_has_buckets_of_its_own(served: Rig) -> None:
    mine, other = account(served), account(served, "two")
    served.estate.arm.quota.enforced = True
    served.estate.arm.quota.limit(reads=NEVER_REFILLED)

    spent = burst(served, mine, "GET", 4)

    assert statuses(spent)[-1] == 429
    assert statuses(burst(served, other, "GET", 1)) == [200]


def test_the_wait_can_come_in_the_text_alone_as_recorded(served: Rig) -> None:
    mine = account(served)
    quota = served.estate.arm.quota
    quota.enforced, quota.wait_in_text = True, True
    quota.limit(reads=NEVER_REFILLED)

    refused = burst(served, mine, "GET", 4)[3]

    assert refused.status == 429
    assert "retry-after" not in refused.headers
    assert refused.message.endswith("Please try again after '10' seconds.")


def test_limits_that_are_not_enforced_refuse_nothing(served: Rig) -> None:
    mine = account(served)
    served.estate.arm.quota.limit(reads=NEVER_REFILLED)
    served.estate.storage.quota.limit(read=Window(1, timedelta(hours=1)))

    assert statuses(burst(served, mine, "GET", 6)) == [200] * 6
    assert served.estate.arm.quota.refused == {}


def test_the_storage_provider_refuses_more_writes_than_a_second_takes(served: Rig) -> None:
    mine = account(served)
    quota = served.estate.storage.quota
    quota.enforced = True

    writes = burst(served, mine, "PATCH", 12)

    assert statuses(writes) == [200] * 10 + [429] * 2
    assert writes[10].code == "TooManyRequests"
    assert writes[10].message == (
        "The request is being throttled as the limit has been reached for operation type - "
        "Write_ObservationWindow_00:00:01. For more information, see - "
        "https://aka.ms/srpthrottlinglimits"
    )
    assert writes[10].headers["retry-after"] == "1"
    assert quota.refused == {"Write": 2}
    assert statuses(burst(served, mine, "GET", 1)) == [200]
    assert served.estate.truth.writes(mine.id) == 10


def test_the_storage_providers_limits_are_per_subscription_and_region(served: Rig) -> None:
    here, there = account(served), account(served, location="northeurope")
    elsewhere = account(served, "two")
    quota = served.estate.storage.quota
    quota.enforced = True
    quota.limit(read=Window(2, timedelta(minutes=5)))

    answers = [burst(served, each, "GET", 3) for each in (here, there, elsewhere)]

    assert [statuses(each) for each in answers] == [[200, 200, 429]] * 3
    assert "Read_ObservationWindow_00:05:00" in answers[0][2].message
    assert answers[0][2].headers["retry-after"] == "300"


def test_a_window_opens_again_when_it_has_passed() -> None:
    with rig(rate=600) as served:
        mine = account(served)
        quota = served.estate.storage.quota
        quota.enforced = True
        quota.limit(read=Window(2, timedelta(minutes=5)))

        found: list[int] = []
        while found.count(200) < 5 and len(found) < 3000:
            found.append(served.send("GET", mine.id).status)

    assert found[:3] == [200, 200, 429]
    assert found.count(200) == 5


def test_lists_have_a_window_of_their_own(served: Rig) -> None:
    mine = account(served)
    served.estate.storage.quota.enforced = True
    served.estate.storage.quota.limit(read=Window(1, timedelta(minutes=5)))
    scope, _, _ = mine.id.rpartition("/")

    lists = [served.send("GET", scope).status for _ in range(101)]

    assert lists == [200] * 100 + [429]
    assert served.estate.storage.quota.refused == {"List": 1}
