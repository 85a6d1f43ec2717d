"""One key rotated: from the vault's event to the proof on exactly its consumers."""

import json
from datetime import timedelta

import pytest

from sandbox.event_grid import Schema
from tests.e2e.stage import Stage, consumer, verdicts

MINUTES_2 = timedelta(minutes=2)


@pytest.mark.parametrize("schema", list(Schema))
def test_exactly_the_keys_consumers_are_moved_and_proven(stage: Stage, schema: Schema) -> None:
    key, other = stage.key("cmk"), stage.key("other")
    pinned, following = stage.account("stpinned", key), stage.account("stothers", other)
    platform = stage.account("stplatform", None)
    stage.start(schema=schema)

    target = stage.rotate(key)
    report = stage.ended(target)

    assert report["state"] == "completed"
    assert verdicts(report) == {"stpinned": "verified"}
    assert stage.in_use(pinned) == target
    assert [stage.writes(a) for a in (pinned, following, platform)] == [1, 0, 0]


def test_a_key_that_begins_with_anothers_name_is_another_key(running: Stage) -> None:
    key = running.key("prefix")
    longer = running.account("stlonger", running.key("prefix-and-more"))
    running.account("stshorter", key)

    report = running.ended(running.rotate(key))

    assert verdicts(report) == {"stshorter": "verified"}
    assert running.writes(longer) == 0


def test_accepted_is_not_verified(fast_stage: Stage) -> None:
    """An account that takes the write and keeps its old version ends as stuck."""
    key = fast_stage.key()
    account = fast_stage.account("ststuck", key)
    account.pace.stuck()
    before = fast_stage.in_use(account)
    fast_stage.start()

    report = fast_stage.ended(fast_stage.rotate(key))

    assert report["state"] == "failed"
    assert verdicts(report) == {"ststuck": "stuck"}
    assert f"currentVersionedKeyIdentifier is {before}" in report["consumers"][0]["reason"]
    assert fast_stage.in_use(account) == before


def test_the_write_sends_the_encryption_alone_and_changes_the_version_alone(
    running: Stage,
) -> None:
    key = running.key()
    identity = running.azure.estate.user_assigned_identity(
        running.subscription, "rg-identities", "id-cmk"
    )
    account = running.azure.estate.storage_account(
        "stuserassigned",
        subscription=running.subscription,
        key=key,
        user_assigned=identity,
        tags={"owner": "payments", "costCenter": "42"},
    )
    before = running.arm("GET", account.id)

    target = running.rotate(key)
    running.ended(target)

    (patch,) = running.calls("PATCH", account.id)
    sent = json.loads(patch.request_body)
    assert {name: [*value] for name, value in sent.items()} == {"properties": ["encryption"]}
    used = sent["properties"]["encryption"]["identity"]["userAssignedIdentity"]
    assert used.lower() == identity.lower()
    assert _without_key(running.arm("GET", account.id)) == _without_key(before)
    assert running.in_use(account) == target


def _without_key(body: dict[str, object]) -> str:
    """Return a resource's body but for what names the version of its key."""
    loose = json.loads(json.dumps(body))
    encryption = loose["properties"]["encryption"]
    properties = encryption["keyvaultproperties"]
    for name in ("keyversion", "currentVersionedKeyIdentifier", "lastKeyRotationTimestamp"):
        assert properties.pop(name)
    return json.dumps(loose, sort_keys=True)


def test_the_report_says_what_moved_and_how_it_is_known(running: Stage) -> None:
    key = running.key()
    account = running.account("streport", key)
    before = running.in_use(account)

    target = running.rotate(key)
    report = running.ended(target)

    told = consumer(report, "streport")
    assert (told["before"], told["inUseBefore"], told["inUse"]) == (before, before, target)
    assert (told["level"], told["form"]) == ("reported", "pinned")
    (patch,) = running.calls("PATCH", account.id)
    assert patch.request_headers["x-ms-client-request-id"] == told["requestId"]
    assert patch.response_headers["x-ms-correlation-request-id"] == told["correlationId"]
    assert report["trigger"] == "event"
    assert report["counts"] == {"verified": 1}


def test_the_evidence_says_what_is_true_of_each_consumer(running: Stage) -> None:
    key = running.key()
    accounts = {
        account.id.lower(): account
        for account in (
            running.account(running.new_name("stproof"), key),
            running.account(running.new_name("stproof"), key),
            running.account(running.new_name("strefuse"), key),
        )
    }
    *_, refusing = accounts.values()
    running.vault.revoke(refusing.principal)
    before = {name: running.in_use(account) for name, account in accounts.items()}

    target = running.rotate(key)
    report = running.ended(target)

    found = running.evidence(report)
    assert (found["rotation"], found["outcome"]) == (report["id"], report["state"])
    assert (found["key"]["id"], found["key"]["target"]) == (key, target)
    assert found["counts"] == report["counts"]
    consumers = {c["resource"].lower(): c for c in found["consumers"]}
    truth = running.azure.estate.truth
    assert consumers.keys() == accounts.keys()
    for name, account in accounts.items():
        told = consumers[name]
        assert told["versionBefore"] == before[name]
        assert told["versionAfter"] == running.in_use(account)
        assert (told["verdict"] == "verified") == (running.in_use(account) == target)
        assert told["confirmed"] == (told["verdict"] == "verified")
        if told["verdict"] == "verified":
            assert told["write"]["count"] == running.writes(account)
            moved_at, version = truth.history(account.id)[-1]
            assert version == target
            assert f"{moved_at:%Y-%m-%dT%H:%M:%S.%f}Z" <= told["closedAt"]
    assert sum(c["verdict"] == "verified" for c in consumers.values()) == len(accounts) - 1


def test_a_slow_account_is_verified_once_it_shows_the_version_and_not_before(
    running: Stage,
) -> None:
    key = running.key()
    account = running.account("stslow", key)
    account.pace.slow(MINUTES_2)
    target = running.rotate(key)
    accepted = running.until(lambda: running.writes(account), 15, "the write")
    shown_before = running.in_use(account)

    report = running.ended(target)

    assert accepted == 1
    assert shown_before != target
    assert verdicts(report) == {"stslow": "verified"}
    moved = running.azure.estate.truth.history(account.id)[-1]
    assert moved[1] == target
    assert consumer(report, "stslow")["closedAt"] >= f"{moved[0]:%Y-%m-%dT%H:%M:%S.%f}Z"
