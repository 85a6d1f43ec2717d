"""What goes wrong on the way, and is got over, or ends with a verdict and advice."""

from datetime import timedelta
from typing import Any

import pytest

from sandbox.faults import Answer, Fault, server_error_html, throttled
from sandbox.identity import APP_PRINCIPAL
from tests.e2e.stage import ARM, Stage, consumer, verdicts
from tests.rights import TO_READ

_WAIT = timedelta(seconds=60)
_EXPIRED = {
    "error": {
        "code": "ExpiredAuthenticationToken",
        "message": "The access token expiry UTC time is earlier than current UTC time.",
    }
}
_FAULTS: dict[str, dict[str, Any]] = {
    "429 with the wait in a header": {"answer": throttled(_WAIT)},
    "429 with the wait in its text": {"answer": throttled(_WAIT, in_text=True)},
    "503 as a page of HTML": {"answer": server_error_html()},
    "500 without a body": {"answer": Answer(500)},
    "a reset before the service sees it": {"lose_request": True},
    "a reset after the service has done it": {"lose_answer": True},
}


def test_whatever_happens_once_everywhere_all_is_verified_after_one_write(
    running: Stage,
) -> None:
    met_before = len(running.azure.faults.taken)
    faults = []
    tried = {}
    for name, what in _FAULTS.items():
        key = running.key()
        account = running.account(running.new_name("sttried"), key)
        tried[name] = (key, account)
        places = (
            ("GET", "*.vault.azure.net", f"{key[key.index('/keys/') :]}/*"),
            ("GET", ARM, "/subscriptions"),
            ("POST", ARM, "*/Microsoft.ResourceGraph/*"),
            ("GET", ARM, account.id),
            ("PATCH", ARM, account.id),
        )
        faults += [Fault(method=m, host=h, path=p, **what) for m, h, p in places]
    for fault in faults:
        running.azure.faults.add(fault)

    targets = {name: running.rotate(key) for name, (key, _) in tried.items()}
    reports = {name: running.ended(target, within=60) for name, target in targets.items()}

    met = [fault for fault, _ in running.azure.faults.taken[met_before:]]
    assert sorted(map(str, met)) == sorted(map(str, faults))
    assert {name: report["state"] for name, report in reports.items()} == dict.fromkeys(
        tried, "completed"
    )
    assert {name: running.in_use(account) for name, (_, account) in tried.items()} == targets
    assert {name: running.writes(account) for name, (_, account) in tried.items()} == (
        dict.fromkeys(tried, 1)
    )


@pytest.mark.parametrize("in_text", [False, True], ids=["in a header", "in the text"])
def test_a_throttled_write_is_tried_again_no_sooner_than_asked(
    running: Stage, *, in_text: bool
) -> None:
    key = running.key()
    account = running.account(running.new_name("stwaits"), key)
    asked = timedelta(minutes=2)
    answer = throttled(asked, in_text=in_text)
    running.azure.faults.add(Fault(method="PATCH", path=account.id, answer=answer))

    running.ended(running.rotate(key))

    refused, taken = running.calls("PATCH", account.id)
    assert (refused.status, taken.status) == (429, 200)
    assert taken.at - refused.at >= asked


@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_a_token_that_expires_on_the_way_is_no_loss_of_rights(running: Stage, method: str) -> None:
    key = running.key()
    account = running.account(running.new_name("stexpired"), key)
    expired = Answer(401, _EXPIRED, {"WWW-Authenticate": 'Bearer error="invalid_token"'})
    running.azure.faults.add(Fault(method=method, path=account.id, answer=expired))

    target = running.rotate(key)
    report = running.ended(target)

    assert report["state"] == "completed"
    assert (running.in_use(account), running.writes(account)) == (target, 1)


def test_a_token_that_expires_while_a_long_write_is_looked_at_is_no_loss_of_rights(
    running: Stage,
) -> None:
    """Not at the first read, nor at the write: at the first look, and at a later one."""
    key = running.key()
    account = running.account(running.new_name("stexpired"), key)
    account.pace.long_running(timedelta(minutes=3))
    answer = Answer(401, _EXPIRED, {"WWW-Authenticate": 'Bearer error="invalid_token"'})
    expired, faults = Fault(method="GET", path=account.id, answer=answer), running.azure.faults

    def at_the_first_look(_path: str) -> None:
        faults.add(expired)
        faults.on("GET", account.id, lambda _: faults.add(expired), when="after")

    faults.on("PATCH", account.id, at_the_first_look, when="after")
    target = running.rotate(key)
    report = running.ended(target)

    (write,) = running.calls("PATCH", account.id)
    looks = [c.status for c in running.calls("GET", account.id) if c.at > write.at]
    assert looks[:4] == [401, 200, 401, 200]
    assert report["state"] == "completed"
    assert (running.in_use(account), running.writes(account)) == (target, 1)


def test_an_account_that_we_may_not_write_fails_with_advice_and_the_others_are_verified(
    running: Stage,
) -> None:
    key = running.key()
    subscription = running.azure.estate.subscription("Read only")
    running.azure.estate.arm.rbac.allow(APP_PRINCIPAL, TO_READ, f"/subscriptions/{subscription}")
    locked = running.account("streadonly", key, subscription=subscription)
    free = running.account("stwritable", key)

    target = running.rotate(key)
    report = running.ended(target)

    told = consumer(report, "streadonly")
    assert report["state"] == "failed"
    assert verdicts(report) == {"streadonly": "failed", "stwritable": "verified"}
    assert "AuthorizationFailed" in told["reason"]
    assert "storageAccounts/write" in told["advice"]
    assert len(running.calls("PATCH", locked.id)) == 1
    assert (running.writes(locked), running.in_use(free)) == (0, target)


def test_an_account_that_cannot_be_read_is_unknown_and_fails_the_rotation(
    running: Stage,
) -> None:
    key = running.key()
    hidden = running.account("stunreadable", key)
    denied = {"error": {"code": "AuthorizationFailed", "message": "does not have authorization"}}
    running.azure.faults.add(
        Fault(method="GET", path=hidden.id, times=None, answer=Answer(403, denied))
    )

    report = running.ended(running.rotate(key))

    assert report["state"] == "failed"
    assert verdicts(report) == {"stunreadable": "unknown"}
    assert consumer(report, "stunreadable")["advice"]
    assert running.writes(hidden) == 0


def test_an_account_whose_identity_has_lost_the_key_fails_with_the_services_own_code(
    running: Stage,
) -> None:
    key = running.key()
    account = running.account("stlostkey", key)
    before = running.in_use(account)
    running.vault.revoke(account.principal)

    report = running.ended(running.rotate(key))
    running.vault.grant(account.principal, {"get", "wrapKey", "unwrapKey"})

    told = consumer(report, "stlostkey")
    assert (report["state"], told["verdict"]) == ("failed", "failed")
    assert "KeyVaultAuthenticationFailure" in told["reason"]
    assert "Key Vault Crypto Service Encryption User" in told["advice"]
    assert running.in_use(account) == before


def test_a_query_that_resource_graph_refuses_fails_the_rotation_with_the_cause(
    running: Stage,
) -> None:
    key = running.key()
    account = running.account("stnotfound", key)
    refused = {"error": {"code": "BadRequest", "message": "Please provide below info"}}
    running.azure.faults.add(
        Fault(
            method="POST",
            path="*/Microsoft.ResourceGraph/*",
            times=None,
            answer=Answer(400, refused),
        )
    )

    report = running.ended(running.rotate(key))

    assert report["state"] == "failed"
    assert "Please provide below info" in report["problem"]
    assert running.writes(account) == 0
