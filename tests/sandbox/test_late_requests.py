"""Requests that reach their service late, and other writers that get in between."""

import time
from collections.abc import Iterator
from hashlib import sha256

import pytest
from azure.core.exceptions import ServiceResponseError
from azure.core.rest import HttpRequest

from sandbox.estate import Account
from sandbox.faults import Answer, Fault
from sandbox.key_vault import Vault
from sandbox.testing import ARM, Rig, rig


@pytest.fixture(scope="module", name="served")
def _served() -> Iterator[Rig]:
    with rig() as served:
        yield served


@pytest.fixture(name="vault")
def _vault(served: Rig, request: pytest.FixtureRequest) -> Vault:
    served.faults.clear()
    return served.estate.vaults.create(f"kv-{sha256(request.node.name.encode()).hexdigest()[:16]}")


@pytest.fixture(name="account")
def _account(served: Rig, vault: Vault, request: pytest.FixtureRequest) -> Account:
    subscription = served.estate.subscription(request.node.name)
    served.allow_all(subscription)
    key = vault.create_key("cmk").rpartition("/")[0]
    return served.estate.storage_account("stone", subscription=subscription, key=key)


def tags(served: Rig, account: Account) -> object:
    return served.send("GET", account.id).body["tags"]


def test_a_held_write_cuts_its_sender_off_and_comes_true_on_release(
    served: Rig, vault: Vault, account: Account
) -> None:
    truth = served.estate.truth
    first, second = truth.version_in_use(account.id), vault.rotate("cmk")
    held = served.faults.hold(method="PATCH", path="*/STONE")

    with pytest.raises(ServiceResponseError):
        served.repoint(account, second)
    arrived = held.arrived.wait(5)
    while_held = truth.version_in_use(account.id)
    third = vault.rotate("cmk")
    later = served.repoint(account, third).status
    before = len(served.front_door.traffic())
    call = held.release()

    assert arrived
    assert (while_held, later) == (first, 200)
    assert (call.method, call.path, call.status) == ("PATCH", account.id, 200)
    assert second.encode() in call.response_body
    assert served.front_door.traffic()[before:] == [call]
    assert [kid for _, kid in truth.history(account.id)] == [first, third, second]


def test_a_held_write_is_refused_by_the_state_that_it_meets(
    served: Rig, vault: Vault, account: Account
) -> None:
    second = vault.rotate("cmk")
    held = served.faults.hold(method="PATCH")
    with pytest.raises(ServiceResponseError):
        served.repoint(account, second)
    vault.set_enabled(second, enabled=False)

    call = held.release()

    assert call.status == 400
    assert b"KeyVaultAuthenticationFailure" in call.response_body
    assert served.estate.truth.writes(account.id) == 0


def test_one_request_is_held_and_the_next_goes_through(served: Rig, account: Account) -> None:
    held = served.faults.hold(method="PATCH", host="management.azure.com")
    with pytest.raises(ServiceResponseError):
        served.send("PATCH", account.id, {"tags": {"n": "1"}})

    served.send("PATCH", account.id, {"tags": {"n": "2"}})

    assert tags(served, account) == {"n": "2"}
    held.release()
    assert tags(served, account) == {"n": "1"}


def test_only_a_request_that_is_held_can_be_released_and_only_once(
    served: Rig, account: Account
) -> None:
    held = served.faults.hold(method="PATCH")
    with pytest.raises(RuntimeError, match="no request"):
        held.release()
    with pytest.raises(ServiceResponseError):
        served.send("PATCH", account.id, {"tags": {}})
    held.release()

    with pytest.raises(RuntimeError, match="no request"):
        held.release()


def test_a_stop_drops_what_is_held_and_waits_for_nothing() -> None:
    with rig() as short_lived:
        held = short_lived.faults.hold()
        with pytest.raises(ServiceResponseError):
            short_lived.send("GET", "/subscriptions", version="2022-12-01")
        assert held.arrived.wait(5)
        stopped = time.monotonic()

    assert time.monotonic() - stopped < 0.9, "the grace that a server gives to open requests"
    with pytest.raises(RuntimeError, match="stopped"):
        held.release()


def test_another_writer_gets_in_before_a_write_as_often_as_asked(
    served: Rig, account: Account
) -> None:
    seen: list[object] = []

    def write(path: str) -> None:
        seen.append((path, tags(served, account)))
        served.send("PUT", account.id, {"tags": {"by": "another"}})

    served.faults.on("PATCH", "*/stone", write)
    for value in ("1", "2"):
        served.send("PATCH", account.id, {"properties": {"minimumTlsVersion": "TLS1_3"}})
        seen.append(tags(served, account))
        served.send("PUT", account.id, {"tags": {"by": value}})

    assert seen == [(account.id, {}), {"by": "another"}, {"by": "1"}]


def test_another_writer_gets_in_after_a_write_before_its_answer_leaves(
    served: Rig, account: Account
) -> None:
    seen: list[object] = []

    def write(_: str) -> None:
        seen.append(tags(served, account))
        served.send("PUT", account.id, {"tags": {"by": "another"}})

    served.faults.on("PATCH", "*/stone", write, when="after", host="management.azure.com")
    answer = served.send("PATCH", account.id, {"tags": {"by": "me"}})

    assert answer.body["tags"] == {"by": "me"}
    assert seen == [{"by": "me"}]
    assert tags(served, account) == {"by": "another"}


def test_a_fault_can_both_let_another_writer_in_and_lose_the_answer(
    served: Rig, account: Account
) -> None:
    calls: list[str] = []
    served.faults.add(Fault(method="PATCH", after=calls.append, lose_answer=True))
    served.faults.add(Fault(method="PATCH", before=calls.append, answer=Answer(500)))

    with pytest.raises(ServiceResponseError):
        served.send("PATCH", account.id, {"tags": {"by": "me"}})
    refused = served.send("PATCH", account.id, {"tags": {"by": "you"}})

    assert refused.status == 500
    assert calls == [account.id, account.id]
    assert tags(served, account) == {"by": "me"}


def test_an_error_of_a_callback_is_answered_500(served: Rig, account: Account) -> None:
    def broken(_: str) -> None:
        raise ValueError("a defect of the test")

    served.faults.on("GET", "*", broken)

    request = HttpRequest("GET", f"{ARM}{account.id}?api-version=2024-01-01")
    assert served.client.send_request(request).status_code == 500
    assert served.client.send_request(request).status_code == 200


def test_a_hold_that_is_cleared_holds_nothing(served: Rig, account: Account) -> None:
    held = served.faults.hold(method="PATCH")

    served.faults.clear()

    assert served.send("PATCH", account.id, {"tags": {}}).status == 200
    assert not held.arrived.is_set()
