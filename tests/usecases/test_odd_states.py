"""What other people, the vault or an odd answer have made of a resource meanwhile."""

import json
from typing import Any

from sandbox.faults import Answer, Fault
from shared.domain.rows import Work
from shared.domain.steps import Discover, Repoint, Supervise, Verify
from shared.domain.verdicts import Outcome, Verdict
from tests.usecases.bench import VAULT, Bench

UNKNOWN_VERSION = "0123456789abcdef" * 2


def shown(bench: Bench, path: str) -> dict[str, Any]:
    """Return the body of the last answer to a GET of a resource."""
    body: dict[str, Any] = json.loads(bench.calls("GET", path)[-1].response_body)
    return body


def pinned_to(bench: Bench, version: str) -> Answer:
    """Return the account's last answer, with another version in it."""
    body = shown(bench, "/stone")
    body["properties"]["encryption"]["keyvaultproperties"]["keyversion"] = version
    return Answer(200, body)


def test_a_version_that_the_vault_does_not_know_is_left_to_a_person(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.get(account)
    bench.azure.faults.add(
        Fault(method="GET", path="*/stone", answer=pinned_to(bench, UNKNOWN_VERSION))
    )
    bench.run(step)
    (consumer,) = bench.work(rotation).consumers
    assert consumer.verdict is Verdict.MANUAL
    assert UNKNOWN_VERSION in consumer.reason
    assert bench.writes(account) == 0


def test_a_reference_of_unknown_form_becomes_work_and_is_unknown(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    bench.new_version(key)
    rotation = bench.open(key)
    bench.get(account)
    odd = pinned_to(bench, "latest")
    page = {"data": [odd.body], "count": 1, "totalRecords": 1, "resultTruncated": "false"}
    bench.azure.faults.add(Fault(method="POST", path="*/resources", answer=Answer(200, page)))
    (step,) = bench.discover(rotation)
    bench.azure.faults.add(Fault(method="GET", path="*/stone", answer=odd))
    bench.run(step)
    (consumer,) = bench.work(rotation).consumers
    assert consumer.verdict is Verdict.UNKNOWN
    assert "'latest'" in consumer.reason
    assert bench.writes(account) == 0


def test_of_two_versions_of_one_second_the_vaults_current_is_never_left_for_the_other(
    bench: Bench,
) -> None:
    key = bench.key()
    vault = bench.azure.estate.vaults.vault(VAULT)
    before, newest = vault.find("cmk"), bench.new_version(key)
    while vault.find("cmk").created != before.created:
        before, newest = vault.find("cmk"), bench.new_version(key)
    account = bench.account("stone", newest)
    for version in vault.versions("cmk"):
        bench.enable(version.kid, enabled=version.kid == before.kid)
    rotation, step = bench.opened(key)
    assert bench.rotation(rotation).target == before.kid

    bench.run(step)

    (consumer,) = bench.work(rotation).consumers
    assert consumer.verdict is Verdict.MANUAL
    assert bench.writes(account) == 0


def test_an_account_that_was_given_another_key_after_its_write_is_reverted(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    bench.key("other")
    body = json.loads(bench.calls("PATCH")[-1].request_body)
    reference = body["properties"]["encryption"]["keyvaultproperties"]
    newest = bench.azure.estate.vaults.newest(VAULT, "other")
    reference |= {"keyname": "other", "keyversion": newest.rpartition("/")[2]}
    bench.patch(account, body)

    bench.run(bench.sent(Verify)[-1])

    (consumer,) = bench.work(rotation).consumers
    assert consumer.verdict is Verdict.REVERTED
    assert "no longer" in consumer.reason


def test_a_target_that_shows_up_by_somebody_elses_hand_is_verified_and_not_already(
    bench: Bench,
) -> None:
    """It was looked at before and was not there: "already" would be wrong."""
    key = bench.key()
    account = bench.account("stone", key, "absent")
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    assert bench.work(rotation).open
    encryption = {
        "keySource": "Microsoft.Keyvault",
        "keyvaultproperties": {
            "keyname": "cmk",
            "keyvaulturi": f"https://{VAULT}.vault.azure.net/",
            "keyversion": bench.rotation(rotation).target.rpartition("/")[2],
        },
    }
    bench.patch(account, {"properties": {"encryption": encryption}})
    bench.run(bench.sent(Verify)[-1])
    (consumer,) = bench.work(rotation).consumers
    assert consumer.verdict is Verdict.VERIFIED


def test_after_the_end_no_message_starts_anything_again(bench: Bench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    for look in bench.sent(Verify):
        bench.run(look)
    with bench.dying(effects=1):  # the end is saved, and the key not yet let go
        bench.run_and_die(Supervise(rotation=rotation))
    assert bench.rotation(rotation).outcome is Outcome.COMPLETED
    assert bench.active(key) == rotation
    bench.account("sttwo", key)
    bench.forget_sent()

    bench.run(Discover(rotation=rotation))

    assert bench.sent(Repoint) == []
    assert len(list(bench.rows.scan(Work, rotation))) == 1
