"""How many requests a rotation may cost."""

from tests.e2e.stage import ARM, Stage

ACCOUNTS = 40
PER_ACCOUNT = 1 + 2
"""A write; a read to plan on, and one that proves."""
PER_ROTATION = 8
"""Four are needed: the subscriptions, before, between and after the pages, and one page."""


def _arm_calls(stage: Stage) -> int:
    return sum(call.host == ARM for call in stage.azure.front_door.traffic())


def test_a_rotation_of_forty_accounts_stays_within_its_budget(stage: Stage) -> None:
    key = stage.key()
    accounts = [stage.account(f"stmany{number:02}", key) for number in range(ACCOUNTS)]
    stage.start()

    target = stage.rotate(key)
    report = stage.ended(target, within=60)

    assert report["counts"] == {"verified": ACCOUNTS}
    assert {stage.in_use(account) for account in accounts} == {target}
    assert [stage.writes(account) for account in accounts] == [1] * ACCOUNTS
    assert max(len(stage.calls("PATCH", account.id)) for account in accounts) == 1
    assert max(len(stage.calls("GET", account.id)) for account in accounts) <= 3
    assert _arm_calls(stage) <= ACCOUNTS * PER_ACCOUNT + PER_ROTATION
    # The age of the version that all of them are on is asked for once or, at the same time, twice.
    first = stage.vault.versions(key.rpartition("/")[2])[0]
    assert len(stage.calls("GET", f"/keys/{first.name}/{first.version}")) <= ACCOUNTS // 2


def test_a_second_event_of_a_handled_version_costs_azure_nothing_but_one_look_at_the_vault(
    running: Stage,
) -> None:
    key = running.key()
    running.account("stcheap", key)
    target = running.rotate(key)
    running.ended(target)
    running.quiet()
    before = len(running.azure.front_door.traffic())

    running.handled(running.publish({"Id": target}))

    traffic = running.azure.front_door.traffic()[before:]
    assert [(call.method, call.path) for call in traffic] == [
        ("GET", f"/keys/{key.rpartition('/')[2]}/")
    ]
