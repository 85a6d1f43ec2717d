"""What other people, the vault or an odd answer have made of a resource meanwhile."""

import json
from typing import Any

import pytest

from sandbox.faults import Answer, Fault
from shared.catalog.beside import BESIDE
from shared.domain.steps import Discover, Verify
from shared.domain.verdicts import Outcome, Verdict
from shared.domain.work import Stage
from tests.usecases.bench import VAULT, Bench, Died
from tests.usecases.rotations import ends, found, page

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
    assert isinstance(odd.body, dict)
    counts = 2 * len({(each.resource_type, each.mark) for each in BESIDE})
    bench.azure.faults.add(Fault(method="POST", path="*/resources", times=counts))  # as they are
    bench.azure.faults.add(Fault(method="POST", path="*/resources", answer=page(odd.body)))
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
    assert bench.work(rotation).stage is Stage.OPEN
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
    rotation, _ = bench.opened(key)
    with bench.dying(after=ends), pytest.raises(Died):  # and the key is not let go yet
        bench.finish(rotation)
    assert bench.rotation(rotation).outcome is Outcome.COMPLETED
    assert bench.active(key) == rotation
    bench.account("sttwo", key)
    bench.forget_sent()

    for closing in (False, True):
        bench.run(Discover(rotation=rotation, closing=closing))

    assert bench.life.sent == []
    assert found(bench, rotation) == {"stone"}
