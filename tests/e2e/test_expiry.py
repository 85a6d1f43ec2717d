"""What happens before, and after, a key runs out."""

from datetime import timedelta

from sandbox.identity import APP_PRINCIPAL
from tests.e2e.stage import Stage, verdicts


def announced(stage: Stage, trouble: str) -> list[str]:
    """Return the versions of which was announced that they run out, by the kind of trouble."""
    told = (event["data"] for event in stage.announced("Keyturn.KeyExpiring"))
    return [data["version"] for data in told if data["trouble"] == trouble]


def test_a_key_that_nears_its_end_gets_one_version_and_its_consumers_move(stage: Stage) -> None:
    key = stage.key()
    account = stage.account("stnear", key)
    stage.start(policy={"nearExpiry": "rotate"})
    name = key.rpartition("/")[2]
    # Made while the subscription is there: the vault tells of its end by itself.
    expiring = stage.rotate(key)
    assert verdicts(stage.ended(expiring)) == {"stnear": "verified"}
    soon = stage.azure.clock.now() + timedelta(days=30, minutes=1)
    stage.vault.set_expiry(expiring, soon)

    versions = stage.until(
        lambda: v if len(v := stage.vault.versions(name)) > 2 else None, 40, "a version"
    )
    report = stage.ended(versions[-1].kid)
    for _ in range(5):
        stage.vault.announce_near_expiry(expiring)
    stage.quiet()

    assert len(stage.vault.versions(name)) == 3
    assert verdicts(report) == {"stnear": "verified"}
    assert stage.in_use(account) == versions[-1].kid


def test_a_key_older_than_the_subscription_is_found_by_the_sweep_and_told_of_once(
    stage: Stage,
) -> None:
    key = stage.key()
    expiring = stage.vault.find(key.rpartition("/")[2]).kid
    stage.vault.set_expiry(expiring, stage.azure.clock.now() + timedelta(days=20))
    stage.start()  # with no policy an end that is near is an alarm
    for _ in range(3):
        stage.sweep()
    assert announced(stage, "near_expiry") == [expiring]
    (row,) = stage.rows("keyturnwatched")
    assert (row["version"], row["done"]) == (expiring, "alarm")


def test_an_account_that_refuses_while_its_version_is_expired_gets_it_back_first(
    fast_stage: Stage,
) -> None:
    stage, clock = fast_stage, fast_stage.azure.clock
    key = stage.key("cmk")
    name = key.rpartition("/")[2]
    account = stage.azure.estate.cosmos_account("cosmos1", subscription=stage.subscription, key=key)
    stage.vault.grant(APP_PRINCIPAL, {"update"})
    stage.start(policy={"expired": "rotate", "unexpireDays": 3, "recheckHours": 0})
    stage.sweep()  # the first rotation makes the account known
    old = stage.vault.find(name).kid
    assert verdicts(stage.ended(old)) == {"cosmos1": "already"}

    account.pace.next_poll_at = clock.now() + timedelta(minutes=2)
    stage.vault.set_expiry(old, clock.now() - timedelta(minutes=1))
    stage.until(lambda: not stage.azure.estate.truth.can_read(account.id), 20, "its revocation")
    stage.vault.announce_expired(old)
    versions = stage.until(
        lambda: v if len(v := stage.vault.versions(name)) > 1 else None, 60, "a version"
    )
    report = stage.ended(versions[-1].kid, within=120)

    ends = stage.vault.find(name, old.rpartition("/")[2]).exp
    assert ends is not None
    assert timedelta(days=2) < timedelta(seconds=ends - versions[-1].created) < timedelta(days=3)
    assert announced(stage, "unexpired") == [old]
    assert announced(stage, "expired") == [old]
    assert len(stage.vault.versions(name)) == 2
    assert verdicts(report) == {"cosmos1": "verified"}
    assert stage.in_use(account) == versions[-1].kid
    assert stage.azure.estate.truth.can_read(account.id)
