"""Which error an answer becomes."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.http_errors import envelope, error_for, retry_after
from shared.domain import errors

RECORDINGS = Path(__file__).parents[3] / "shared" / "data" / "recordings" / "arm-common"
recorded = pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason="the recordings of the real service are not here"
)


def body(code: str, message: str = "") -> str:
    return json.dumps({"error": {"code": code, "message": message}})


def answers(name: str) -> list[dict[str, Any]]:
    exchanges = json.loads((RECORDINGS / name).read_text())["exchanges"]
    return [exchange["response"] for exchange in exchanges]


@recorded
@pytest.mark.parametrize(
    ("name", "error", "wait"),
    [
        ("401_expired_token_while_polling.json", errors.UnavailableError, None),
        ("403_authorization_failed.json", errors.AccessDeniedError, None),
        ("409_sql_in_progress.json", errors.BusyError, None),
        ("412_precondition_failed.json", errors.ChangedError, None),
        ("429_resource_requests_throttled.json", errors.ThrottledError, 324),
        ("429_subscription_requests_throttled.json", errors.ThrottledError, 6),
        ("eventhub_429_namespace_in_transition.json", errors.ThrottledError, None),
        ("503_server_timeout.json", errors.UnavailableError, None),
        ("503_storage_service_unavailable.json", errors.UnavailableError, None),
    ],
)
def test_a_recorded_answer_becomes_the_error_that_it_is(
    name: str, error: type[errors.KeyturnError], wait: int | None
) -> None:
    for answer in answers(name):
        found = error_for(answer["status"], answer["headers"], json.dumps(answer["body"]), "try it")
        assert type(found) is error
        assert str(answer["status"]) in str(found)
        if isinstance(found, errors.TransientError):
            assert found.retry_after == (timedelta(seconds=wait) if wait else None)
        else:
            assert isinstance(found, errors.PermanentError)
            assert found.code == envelope(json.dumps(answer["body"]))[0] != ""


@recorded
def test_every_recorded_answer_is_tried_here() -> None:
    tried = {path.name for path in RECORDINGS.glob("*.json")}
    assert len(tried) == 10


@recorded
def test_a_recorded_plain_429_says_how_long_to_wait_in_its_header() -> None:
    found = [
        error_for(a["status"], a["headers"], json.dumps(a["body"]), "try it")
        for a in answers("429_plain.json")
    ]
    waits = [e.retry_after for e in found if isinstance(e, errors.ThrottledError)]
    assert len(waits) == len(found)
    assert timedelta(seconds=2) in waits


@pytest.mark.parametrize(
    ("status", "text", "error", "code"),
    [
        pytest.param(400, body("InvalidInput"), errors.RejectedError, "InvalidInput", id="400"),
        pytest.param(401, body("Unauthorized"), errors.AccessDeniedError, "Unauthorized", id="401"),
        pytest.param(403, "", errors.AccessDeniedError, "", id="403 without a body"),
        pytest.param(
            404, body("ResourceNotFound"), errors.GoneError, "ResourceNotFound", id="no resource"
        ),
        pytest.param(
            404,
            body("ResourceGroupNotFound"),
            errors.GoneError,
            "ResourceGroupNotFound",
            id="no group",
        ),
        pytest.param(
            404,
            body("SubscriptionNotFound"),
            errors.NotFoundError,
            "SubscriptionNotFound",
            id="a subscription we lost sight of is not gone",
        ),
        pytest.param(404, "", errors.NotFoundError, "", id="404 without a code is not gone"),
        pytest.param(404, body("KeyNotFound"), errors.NotFoundError, "KeyNotFound", id="no key"),
        pytest.param(
            409, body("ScopeLocked"), errors.RejectedError, "ScopeLocked", id="a lock stays"
        ),
        *(
            pytest.param(status, body(code), errors.RejectedError, code, id=f"{code} stays")
            for status, code in (
                (409, "BlobArchived"),
                (409, "BlobImmutableDueToLegalHold"),
                (409, "BlobImmutableDueToPolicy"),
                (409, "BlobUsesCustomerSpecifiedEncryption"),
                (409, "InvalidBlobType"),
                (412, "LeaseIdMissing"),
            )
        ),
        pytest.param(422, body("Odd"), errors.RejectedError, "Odd", id="another 4xx"),
        pytest.param(
            400, '{"Code": "A", "Message": "b"}', errors.RejectedError, "A", id="App Service's form"
        ),
    ],
)
def test_what_cannot_succeed_unchanged_is_permanent_and_keeps_the_services_code(
    status: int, text: str, error: type[errors.PermanentError], code: str
) -> None:
    found = error_for(status, {}, text, "try it")
    assert type(found) is error
    assert isinstance(found, errors.PermanentError)
    assert found.code == code
    assert str(found).startswith(f"could not try it: answered {status}")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (408, errors.UnavailableError),
        (409, errors.BusyError),
        (429, errors.ThrottledError),
        (500, errors.UnavailableError),
        (502, errors.UnavailableError),
        (503, errors.UnavailableError),
        (504, errors.UnavailableError),
    ],
)
def test_what_may_succeed_later_is_transient_and_keeps_the_asked_wait(
    status: int, error: type[errors.TransientError]
) -> None:
    found = error_for(status, {"retry-after": "7"}, "<html>\n <b>no</b></html>", "try it")
    assert type(found) is error
    assert isinstance(found, errors.TransientError)
    assert found.retry_after == timedelta(seconds=7)
    assert "<html> <b>no</b></html>" in str(found)


def test_a_resource_that_somebody_changed_meanwhile_is_read_again_at_once() -> None:
    found = error_for(412, {"retry-after": "7"}, body("PreconditionFailed", "the ETag"), "try it")
    assert type(found) is errors.ChangedError
    assert found.retry_after is None
    assert "PreconditionFailed: the ETag" in str(found)


def test_a_long_message_is_cut() -> None:
    assert len(str(error_for(500, {}, "x" * 100_000, "try it"))) < 900


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("30", 30),
        ("0", 0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("99999999999999", 7 * 86400),
    ],
)
def test_a_wait_in_seconds(header: str, seconds: int | None) -> None:
    found = retry_after({"retry-after": header}, "")
    assert found == (None if seconds is None else timedelta(seconds=seconds))


@pytest.mark.parametrize("zone", ["GMT", "-0000", ""])
def test_a_wait_until_a_date(zone: str) -> None:
    until = datetime.now(UTC) + timedelta(minutes=5)
    text = format_datetime(until).replace("+0000", zone).strip()
    found = retry_after({"Retry-After": text}, "")
    assert found
    assert abs(found - timedelta(minutes=5)) < timedelta(seconds=3)


def test_a_date_that_has_passed_is_no_wait() -> None:
    past = format_datetime(datetime.now(UTC) - timedelta(hours=1))
    assert retry_after({"retry-after": past}, "") == timedelta()


def test_the_header_goes_before_the_text() -> None:
    assert retry_after({"retry-after": "3"}, "try again after '9' seconds") == timedelta(seconds=3)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ('{"error": {"code": "A", "message": "b"}}', ("A", "b")),
        ('{"code": "A", "message": "b"}', ("A", "b")),
        ('{"Code": "A", "Message": "b"}', ("A", "b")),
        ('{"odata.error": {"code": "A", "message": {"lang": "en", "value": "b"}}}', ("A", "b")),
        (
            (
                '\ufeff<?xml version="1.0" encoding="utf-8"?><Error><Code>A</Code>'
                "<Message>b &amp; c\nRequestId:1\nTime:2</Message></Error>"
            ),
            ("A", "b & c"),
        ),
        ("<Error>\n  <Code>A</Code>\n  <Message>b</Message>\n</Error>", ("A", "b")),
        ('{"error": null}', ("", "")),
        ('{"error": {"code": null}}', ("", "")),
        ("[1]", ("", "[1]")),
        ("", ("", "")),
        ("<html>\n\n no </html>", ("", "<html> no </html>")),
    ],
)
def test_an_error_is_read_in_every_form(text: str, seen: tuple[str, str]) -> None:
    assert envelope(text) == seen


def test_the_answer_to_a_head_says_its_code_in_a_header() -> None:
    found = error_for(403, {"x-ms-error-code": "KeyVaultVaultNotFound"}, "", "try it")
    assert isinstance(found, errors.AccessDeniedError)
    assert found.code == "KeyVaultVaultNotFound"
    assert str(found).startswith("could not try it: answered 403 KeyVaultVaultNotFound")


def test_a_code_in_the_body_goes_before_one_in_a_header() -> None:
    found = error_for(400, {"x-ms-error-code": "Outer"}, body("Inner"), "try it")
    assert isinstance(found, errors.RejectedError)
    assert found.code == "Inner"
