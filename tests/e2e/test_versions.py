"""Which version a rotation moves to, and which accounts it leaves alone."""

import json
from datetime import timedelta

import pytest

from sandbox.estate import Form
from sandbox.faults import Fault
from sandbox.key_vault import NewKey
from tests.e2e.stage import Stage, consumer, verdicts

_UNUSABLE = {
    "disabled": ({"enabled": False}, "disabled"),
    "expired": ({"exp": 1_600_000_000}, "expired on 2020-09-13 12:26 UTC"),
    "not yet valid": ({"nbf": 4_100_000_000}, "not valid before 2099-12-03 16:53 UTC"),
}


@pytest.mark.parametrize("why", _UNUSABLE)
def test_the_newest_usable_version_is_the_target_and_an_unusable_newer_one_is_told(
    running: Stage, why: str
) -> None:
    attributes, told = _UNUSABLE[why]
    key = running.key()
    account = running.account(running.new_name("stusable"), key)
    name = key.rpartition("/")[2]
    running.azure.event_grid.lose_next()
    usable = running.rotate(key)

    unusable = running.vault.create_key(name, NewKey.read({"kty": "RSA", "attributes": attributes}))
    report = running.ended(usable)

    assert report["state"] == "completed"
    assert running.in_use(account) == usable
    version = unusable.rpartition("/")[2]
    assert report["currentVersionProblem"] == f"the current version {version} is {told}"


def test_a_version_newer_than_the_target_is_never_lowered(running: Stage) -> None:
    key = running.key()
    running.azure.event_grid.lose_next(2)
    target = running.rotate(key)
    newer = running.rotate(key)
    account = running.account("stnewer", newer)
    running.vault.set_enabled(newer, enabled=False)

    running.publish({"Id": newer})
    report = running.ended(target)

    assert consumer(report, "stnewer")["verdict"] == "manual"
    assert f"newer {newer}, which is disabled" in consumer(report, "stnewer")["reason"]
    assert running.writes(account) == 0
    assert running.in_use(account) == newer


def test_a_key_type_that_the_service_does_not_take_is_left_to_a_person(running: Stage) -> None:
    key = running.key()
    account = running.account("stcurve", key)
    before = running.in_use(account)

    curve = running.vault.create_key(key.rpartition("/")[2], NewKey(kty="EC", curve="P-256"))
    report = running.ended(curve)

    told = consumer(report, "stcurve")
    assert report["state"] == "failed"
    assert told["verdict"] == "manual"
    assert told["reason"] == "a storage account with its file shares takes no EC key"
    assert told["advice"]
    assert (running.in_use(account), running.writes(account)) == (before, 0)


@pytest.mark.parametrize("form", ["empty", "absent"])
def test_an_account_that_follows_the_vault_is_not_written_and_ends_verified_after_its_poll(
    fast_stage: Stage, form: Form
) -> None:
    key = fast_stage.key()
    account = fast_stage.account("stfollows", key, form)
    fast_stage.start()

    target = fast_stage.rotate(key)
    fast_stage.until(lambda: fast_stage.reads(account), 20, "the first look")
    polls_at = account.pace.next_poll_at = fast_stage.azure.clock.now() + timedelta(minutes=5)
    report = fast_stage.ended(target)

    told = consumer(report, "stfollows")
    assert (told["verdict"], told["form"], told["acceptedAt"]) == ("verified", "versionless", None)
    assert told["closedAt"] >= f"{polls_at:%Y-%m-%dT%H:%M:%S.%f}Z"
    assert (fast_stage.in_use(account), fast_stage.writes(account)) == (target, 0)


def test_an_account_that_names_the_target_already_is_proven_and_not_written(
    running: Stage,
) -> None:
    key = running.key()
    running.azure.event_grid.lose_next()
    target = running.rotate(key)
    account = running.account("stalready", target)
    running.account("stbehind", _first_version(running, key))

    running.publish({"Id": target})
    report = running.ended(target)

    assert verdicts(report) == {"stalready": "already", "stbehind": "verified"}
    assert running.writes(account) == 0


def _first_version(stage: Stage, key: str) -> str:
    return stage.vault.versions(key.rpartition("/")[2])[0].kid


def test_a_resource_that_goes_away_between_discovery_and_write_ends_gone_with_advice(
    running: Stage,
) -> None:
    key = running.key()
    going, staying = running.account("stgoing", key), running.account("ststaying", key)
    delay = Fault(method="GET", path="*/stgoing", delay=timedelta(minutes=1))
    running.azure.faults.add(delay)

    target = running.rotate(key)
    running.until(
        lambda: delay in [fault for fault, _ in running.azure.faults.taken], 20, "the first read"
    )
    running.arm("DELETE", going.id)
    report = running.ended(target)

    assert report["state"] == "completed"
    assert verdicts(report) == {"stgoing": "gone", "ststaying": "verified"}
    assert "not moved to another group" in consumer(report, "stgoing")["advice"]
    assert running.in_use(staying) == target


def test_a_reference_that_somebody_puts_back_before_the_proof_ends_reverted(
    running: Stage,
) -> None:
    key = running.key()
    account = running.account("streverted", key)
    before = running.in_use(account)
    assert before is not None
    account.pace.slow(timedelta(hours=1))
    target = running.rotate(key)
    running.until(lambda: running.writes(account), 20, "the write")
    account.pace.prompt()

    running.arm("PATCH", account.id, _naming(running.arm("GET", account.id), before))
    report = running.ended(target)

    told = consumer(report, "streverted")
    assert report["state"] == "failed"
    assert (told["verdict"], told["reason"]) == ("reverted", f"account names {before} instead")
    assert running.in_use(account) == before
    assert len(running.calls("PATCH", account.id)) == 1


def _naming(body: dict[str, object], kid: str) -> dict[str, object]:
    """Return a PATCH that has a storage account name ``kid``."""
    encryption = json.loads(json.dumps(body))["properties"]["encryption"]
    vault, _, rest = kid.partition("/keys/")
    name, _, version = rest.partition("/")
    encryption["keyvaultproperties"] = {
        "keyvaulturi": vault,
        "keyname": name,
        "keyversion": version,
    }
    return {"properties": {"encryption": encryption}}
