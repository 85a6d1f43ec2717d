"""``If-Match``, for the kinds of resource that have ETags."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from time import sleep

import pytest

from sandbox.estate import Account
from sandbox.testing import Answer, Rig, rig


@pytest.fixture(name="served")
def _served() -> Iterator[Rig]:
    with rig() as served:
        yield served


@pytest.fixture(name="account")
def _account(served: Rig) -> Account:
    served.estate.storage.etags = True
    subscription = served.estate.subscription("etags")
    served.allow_all(subscription)
    key = served.estate.vault("kv-etags").create_key("cmk").rpartition("/")[0]
    return served.estate.storage_account("stone", subscription=subscription, key=key)


def write(served: Rig, account: Account, value: str, match: str, method: str = "PATCH") -> Answer:
    body = None if method == "DELETE" else {"tags": {"n": value}}
    return served.send(method, account.id, body, headers={"If-Match": match})


def test_storage_accounts_have_no_etags_and_heed_no_condition_unless_told_to(
    served: Rig, account: Account
) -> None:
    served.estate.storage.etags = False

    read, written = served.send("GET", account.id), write(served, account, "1", '"stale"')

    assert "etag" not in read.headers
    assert "etag" not in read.body
    assert written.status == 200


def test_every_answer_carries_the_etag_of_what_it_shows(served: Rig, account: Account) -> None:
    read = served.send("GET", account.id)
    again = served.send("GET", account.id)
    patched = write(served, account, "1", read.headers["etag"])
    put = write(served, account, "2", patched.headers["etag"], "PUT")
    listed = served.send("GET", account.id.rpartition("/")[0])

    answers = (read, again, patched, put)
    assert [answer.body["etag"] for answer in answers] == [
        answer.headers["etag"] for answer in answers
    ]
    assert read.headers["etag"] == again.headers["etag"]
    assert len({answer.headers["etag"] for answer in answers}) == 3
    assert listed.body["value"][0]["etag"] == put.headers["etag"]
    assert put.status == 200


@pytest.mark.parametrize("method", ["PATCH", "PUT", "DELETE"])
def test_a_write_that_goes_by_a_stale_etag_is_refused_as_recorded(
    served: Rig, account: Account, recordings: Path, method: str
) -> None:
    text = (recordings / "arm-common/412_precondition_failed.json").read_text()
    real = json.loads(text)["exchanges"][0]["response"]
    stale = served.send("GET", account.id).headers["etag"]
    write(served, account, "another writer's", "*")

    refused = write(served, account, "mine", stale, method)

    assert refused.status == real["status"]
    assert refused.body.keys() == real["body"].keys()
    assert refused.body["code"] == real["body"]["code"]
    assert refused.body["message"] == "The resource stone has been modified (etag mismatch)."
    assert served.send("GET", account.id).body["tags"] == {"n": "another writer's"}
    assert served.estate.truth.writes(account.id) == 1


def test_what_the_service_does_on_its_own_changes_the_etag_too(
    served: Rig, account: Account
) -> None:
    new = served.estate.vault("kv-etags").rotate("cmk")
    account.pace.slow(timedelta(seconds=12))
    served.repoint(account, new)
    before = served.send("GET", account.id).headers["etag"]

    sleep(served.clock.real_seconds(timedelta(seconds=13)))

    assert write(served, account, "mine", before).status == 412
