"""Events that cannot be used are acknowledged and counted; odd ones that can, are used."""

from typing import Any

import pytest

from tests.e2e.conftest import CLOUD_VAULT
from tests.e2e.stage import VAULT, Stage

VERSION = "0123456789abcdef0123456789abcdef"
EVIL = "evil.example"

_MALFORMED: dict[str, object] = {
    "data is a text": "cmk",
    "data is a list": [{"Id": f"https://{VAULT}.vault.azure.net/keys/cmk"}],
    "data is nothing": None,
    "Id is missing": {"VaultName": VAULT, "ObjectType": "Key", "ObjectName": "cmk"},
    "Id is a number": {"Id": 7},
    "Id is no key": {"Id": f"https://{VAULT}.vault.azure.net/secrets/cmk/{VERSION}"},
    "Id is not https": {"Id": f"http://{VAULT}.vault.azure.net/keys/cmk/{VERSION}"},
    "Id is a text of any kind": {"Id": "cmk"},
    "a secret": {"Id": f"https://{VAULT}.vault.azure.net/keys/cmk", "ObjectType": "Secret"},
}


def _refuse(stage: Stage, data: object, vault: str) -> dict[str, Any]:
    """Deliver an event, and return the one row that it leaves; nothing else may come of it."""
    rotations, traffic = stage.rotations(), len(stage.azure.front_door.traffic())
    attempts = len(stage.azure.serving.proxy.attempts())
    heads = stage.rows("keyturnheads")

    event_id = stage.publish(data, vault)
    stage.handled(event_id)

    rows = [row for row in stage.rows("keyturnrefusals") if row["event_id"] == event_id]
    assert stage.deliveries(event_id) == [202]
    assert stage.rotations() == rotations
    assert stage.rows("keyturnheads") == heads
    assert len(stage.azure.front_door.traffic()) == traffic
    assert len(stage.azure.serving.proxy.attempts()) == attempts
    assert f"event {event_id} refused: " in stage.log()
    (row,) = rows
    return row


@pytest.mark.parametrize("vault", [VAULT, CLOUD_VAULT], ids=["EventGridSchema", "CloudEvents"])
@pytest.mark.parametrize("data", _MALFORMED.values(), ids=list(_MALFORMED))
def test_a_malformed_event_is_acknowledged_logged_and_counted_and_no_more(
    running: Stage, vault: str, data: object
) -> None:
    row = _refuse(running, data, vault)

    assert row["problem"]


@pytest.mark.parametrize(
    "url",
    [
        pytest.param(f"https://kv-unlisted.vault.azure.net/keys/k/{VERSION}", id="off the list"),
        pytest.param(f"https://{VAULT}.vault.azure.net.{EVIL}/keys/k/{VERSION}", id="suffix added"),
        pytest.param(f"https://{VAULT}.vault.azure.net@{EVIL}/keys/k/{VERSION}", id="userinfo"),
        pytest.param(f"https://{EVIL}/keys/k/{VERSION}", id="another host"),
        pytest.param(f"https://{EVIL}#.vault.azure.net/keys/k/{VERSION}", id="fragment"),
        pytest.param(f"https://{EVIL}\\.vault.azure.net/keys/k/{VERSION}", id="backslash"),
        pytest.param(f"https://{VAULT}.vault.azure.net:8443/keys/k/{VERSION}", id="port"),
        pytest.param(f"https://{VAULT}.managedhsm.azure.net/keys/k/{VERSION}", id="an HSM"),
        pytest.param(f"https://{VAULT}.vault.azure.net/keys/../k/{VERSION}", id="dots"),
    ],
)
def test_no_host_but_a_listed_vault_is_ever_called_whatever_an_event_names(
    running: Stage, url: str
) -> None:
    """``_refuse`` sees that no request and no connection came of it at all."""
    row = _refuse(running, {"Id": url, "VaultName": VAULT, "ObjectType": "Key"}, VAULT)

    assert row["problem"]


def test_an_event_delivered_twice_is_counted_once(running: Stage) -> None:
    running.azure.event_grid.duplicate_next()

    event_id = running.publish({"Id": 7})
    running.until(lambda: len(running.deliveries(event_id)) == 2, 15, "two deliveries")
    running.quiet()

    rows = [row for row in running.rows("keyturnrefusals") if row["event_id"] == event_id]
    assert len(rows) == 1


_ODD: dict[str, Any] = {
    "any casing": lambda kid: {"ID": kid.upper().replace("HTTPS", "https"), "OBJECTTYPE": "KEY"},
    "camel case": lambda kid: {"id": kid, "objectType": "key", "vaultName": VAULT},
    "stray blanks": lambda kid: {" Id ": f" {kid} ", "ObjectType ": " Key ", "ObjectName ": "x"},
    "numbers as texts": lambda kid: {"Id": kid, "NBF": "1700000000", "EXP": "4100000000"},
    "no dates": lambda kid: {"Id": kid, "NBF": None, "EXP": None},
    "no type": lambda kid: {"Id": kid},
    "no version": lambda kid: {"Id": kid.rpartition("/")[0], "Version": None},
    "a slash too many": lambda kid: {"Id": f"{kid}/"},
    "a port": lambda kid: {"Id": kid.replace(".net/", ".net:443/")},
}


@pytest.mark.parametrize("name", _ODD)
def test_an_oddly_written_event_is_understood(running: Stage, name: str) -> None:
    key = running.key()
    running.azure.event_grid.lose_next()
    target = running.rotate(key)

    running.publish(_ODD[name](target))

    assert running.until(lambda: running.rotation_to(target), 15, f"a rotation to {target}")
