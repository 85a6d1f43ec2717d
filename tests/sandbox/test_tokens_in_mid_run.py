"""Tokens that stop being good while an app is at work."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from azure.identity import ManagedIdentityCredential

from sandbox.faults import Fault, token_expired
from sandbox.testing import ARM, rig

PATH, VERSION = "/subscriptions", "2022-12-01"


def test_a_revoked_token_is_refused_as_expired_until_the_client_gets_a_new_one() -> None:
    with rig() as served:
        before = served.send("GET", PATH, version=VERSION)
        strangers = served.tokens.issue(ARM, principal="someone else")

        served.tokens.revoke()
        refused = served.send("GET", PATH, version=VERSION)
        with ManagedIdentityCredential() as credential:
            fresh = credential.get_token(f"{ARM}/.default").token

        assert before.status == 200
        assert (refused.status, refused.code) == (401, "ExpiredAuthenticationToken")
        for token in (fresh, strangers):
            assert served.tokens.check(f"Bearer {token}", ARM).audience == ARM


def test_an_expired_token_is_answered_as_recorded_and_the_next_request_goes_through(
    recordings: Path,
) -> None:
    name = "arm-common/401_expired_token_while_polling.json"
    [exchange] = json.loads((recordings / name).read_text())["exchanges"]
    real = exchange["response"]
    with rig() as served:
        moment = datetime(2024, 8, 20, 16, 48, 47, tzinfo=UTC)
        served.faults.add(Fault(host="management.azure.com", answer=token_expired(moment)))

        refused = served.send("GET", PATH, version=VERSION)
        repeated = served.send("GET", PATH, version=VERSION)

        challenge = real["headers"]["www-authenticate"]
        tenant = challenge.partition("login.windows.net/")[2].partition('"')[0]
        assert refused.status == real["status"]
        assert refused.body == real["body"]
        assert refused.headers["x-ms-failure-cause"] == "gateway"
        assert refused.headers["www-authenticate"] == challenge.replace(
            tenant, served.tokens.tenant_id
        )
        assert repeated.status == 200


@pytest.mark.parametrize("hour", [0, 9, 12, 23])
def test_the_moment_in_the_message_is_written_as_the_real_one_is(hour: int) -> None:
    answer = token_expired(datetime(2026, 1, 5, hour, 7, 9, tzinfo=UTC))

    twelve = {0: "12:07:09 AM", 9: "9:07:09 AM", 12: "12:07:09 PM", 23: "11:07:09 PM"}[hour]
    assert f"'1/5/2026 {twelve}'" in answer.content.decode()
