"""The events that a vault sends."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from azure.core.exceptions import (
    HttpResponseError,
)
from azure.keyvault.keys import (
    KeyClient,
)

from sandbox.identity import APP_PRINCIPAL
from sandbox.key_vault import NewKey, Vault
from tests.sandbox.key_vault.rig import (
    CONSUMER,
    EC,
    FUTURE,
    PAST,
    Local,
)


def test_a_first_and_a_new_version_each_send_an_event(local: Local, vault: Vault) -> None:
    local.events.clear()

    first = vault.create_key("cmk", EC)
    second = vault.rotate("cmk")
    vault.update("cmk", None, {"attributes": {"enabled": False}})

    assert [(topic, event["data"]["Id"]) for topic, event in local.events] == [
        (vault.resource_id, first),
        (vault.resource_id, second),
    ]


def test_an_event_is_as_documented(local: Local, vault: Vault) -> None:
    local.events.clear()

    kid = vault.create_key("cmk", EC)

    [(_, event)] = local.events
    assert {k: v for k, v in event.items() if k not in {"id", "eventTime"}} == {
        "topic": vault.resource_id,
        "subject": "cmk",
        "eventType": "Microsoft.KeyVault.KeyNewVersionCreated",
        "data": {
            "Id": kid,
            "VaultName": vault.name,
            "ObjectType": "Key",
            "ObjectName": "cmk",
            "Version": kid.rpartition("/")[2],
        },
        "dataVersion": "1",
        "metadataVersion": "1",
    }
    assert event["eventTime"].endswith("Z")
    assert len(event["eventTime"].partition(".")[2]) == len("1234567Z")


def test_an_event_names_the_dates_that_are_set(local: Local, vault: Vault) -> None:
    local.events.clear()

    vault.create_key("cmk", NewKey(kty="EC", nbf=PAST, exp=FUTURE))

    [(_, event)] = local.events
    assert (event["data"]["NBF"], event["data"]["EXP"]) == (PAST, FUTURE)


def test_a_disabled_version_sends_its_event_too(local: Local, vault: Vault) -> None:
    local.events.clear()

    vault.create_key("cmk", NewKey(kty="EC", enabled=False))

    assert len(local.events) == 1


def test_a_vault_announces_on_demand_that_a_version_nears_its_expiry(
    local: Local, vault: Vault
) -> None:
    first, current = vault.create_key("cmk", EC), vault.create_key("cmk", EC)
    expires = datetime(2031, 5, 1, 12, tzinfo=UTC)
    vault.set_expiry(current, expires)
    before = len(local.events)

    vault.announce_near_expiry(current)
    vault.announce_near_expiry(current)
    vault.set_expiry(current, None)
    vault.announce_near_expiry(first)

    told = local.events[before:]
    topic, event = told[0]
    assert topic == event["topic"] == vault.resource_id
    assert event["eventType"] == "Microsoft.KeyVault.KeyNearExpiry"
    assert event["subject"] == "cmk"
    assert event["data"] == {
        "Id": current,
        "VaultName": vault.name,
        "ObjectType": "Key",
        "ObjectName": "cmk",
        "Version": current.rpartition("/")[2],
        "EXP": int(expires.timestamp()),
    }
    assert len({each["id"] for _, each in told}) == 3
    assert "EXP" not in told[2][1]["data"]
    assert vault.find("cmk").exp is None


def test_an_end_is_told_of_when_the_clock_passes_it_and_thirty_days_before(
    local: Local, vault: Vault
) -> None:
    now = local.clock.now()
    vault.heard_since = now - timedelta(seconds=1)
    current = {name: vault.create_key(name, EC) for name in ("near", "over", "far")}
    before = len(local.events)
    vault.tell_of_expiries()
    vault.set_expiry(current["near"], now + timedelta(days=30, seconds=2))
    vault.set_expiry(current["over"], now + timedelta(seconds=2))
    vault.set_expiry(current["far"], now + timedelta(days=31))
    vault.tell_of_expiries()
    assert local.events[before:] == []

    time.sleep(2.1)
    vault.tell_of_expiries()
    vault.tell_of_expiries()

    told = {event["subject"]: event for _, event in local.events[before:]}
    assert len(local.events) == before + 2
    assert {name: event["eventType"] for name, event in told.items()} == {
        "near": "Microsoft.KeyVault.KeyNearExpiry",
        "over": "Microsoft.KeyVault.KeyExpired",
    }
    assert told["over"]["data"]["Id"] == current["over"]
    assert set(told["over"]["data"]) == {
        "Id",
        "VaultName",
        "ObjectType",
        "ObjectName",
        "Version",
        "EXP",
    }


@pytest.mark.parametrize("why", ["nobody hears", "it is older", "it is not the newest"])
def test_an_end_is_not_told_of(local: Local, vault: Vault, why: str) -> None:
    now = local.clock.now()
    vault.heard_since = {
        "nobody hears": None,
        "it is older": now + timedelta(hours=1),
        "it is not the newest": now - timedelta(hours=1),
    }[why]
    ending = vault.create_key("cmk", EC)
    if why == "it is not the newest":
        vault.create_key("cmk", EC)
    vault.tell_of_expiries()
    vault.set_expiry(ending, now + timedelta(seconds=1))
    before = len(local.events)
    time.sleep(1.1)
    vault.tell_of_expiries()
    assert len(local.events) == before


def test_a_notify_of_the_rotation_policy_says_when_an_end_is_near(
    local: Local, vault: Vault
) -> None:
    now = local.clock.now()
    vault.heard_since = now - timedelta(seconds=1)
    current = vault.create_key("cmk", EC)
    notify = {"trigger": {"timeBeforeExpiry": "P7D"}, "action": {"type": "Notify"}}
    vault.set_rotation_policy("cmk", {"lifetimeActions": [notify]})
    vault.tell_of_expiries()
    vault.set_expiry(current, now + timedelta(days=7, seconds=2))
    before = len(local.events)
    time.sleep(2.1)
    vault.tell_of_expiries()
    (told,) = local.events[before:]
    assert told[1]["eventType"] == "Microsoft.KeyVault.KeyNearExpiry"


def test_a_change_of_access_policies_is_told_of_and_one_of_roles_is_not(
    local: Local, vault: Vault
) -> None:
    before = len(local.events)
    vault.grant(CONSUMER, {"get"})
    vault.revoke(CONSUMER)
    vault.use_roles(rbac=True)
    assert len(local.events) == before

    vault.use_roles(rbac=False)
    vault.grant(CONSUMER, {"get"})
    vault.revoke(CONSUMER)
    vault.use_roles(rbac=True)

    told = [event for _, event in local.events[before:]]
    assert [event["eventType"] for event in told] == [
        "Microsoft.KeyVault.VaultAccessPolicyChanged"
    ] * 4
    assert told[0]["topic"] == vault.resource_id
    assert told[0]["data"] == {
        "Id": f"https://{vault.name}.vault.azure.net",
        "VaultName": vault.name,
        "ObjectType": "Vault",
        "ObjectName": vault.name,
        "Version": "",
    }


def test_an_expiry_is_changed_over_http_by_who_may_update_and_by_nobody_else(
    vault: Vault, client: KeyClient
) -> None:
    kid = vault.create_key("cmk", EC)
    when = datetime(2031, 5, 1, 12, tzinfo=UTC)
    changed = client.update_key_properties("cmk", kid.rpartition("/")[2], expires_on=when)
    assert changed.properties.expires_on == when
    vault.revoke(APP_PRINCIPAL)
    vault.grant(APP_PRINCIPAL, {"get", "list", "rotate"})
    with pytest.raises(HttpResponseError) as refused:
        client.update_key_properties("cmk", kid.rpartition("/")[2], expires_on=when)
    assert refused.value.status_code == 403
    assert "keys/update/action" in refused.value.message
