"""What services say is kept, and no secret in it is."""

import json

import jwt
import pytest
from azure.core.exceptions import ServiceRequestError

from shared.adapters.http_errors import error_for, translated
from shared.adapters.redaction import redacted
from shared.domain.errors import KeyturnError

TOKEN = jwt.encode({"aud": "https://management.azure.com", "oid": "me"}, "x" * 32, "HS256")
ACCOUNT_KEY = "q" * 86 + "=="
FUNCTION_KEY = f"{'f' * 44}AzFu{'g' * 7}=="
SIGNATURE = "s1gnature%2Bof%2FaURL%3D"

TEXTS = {
    "a header that is quoted": (f"Authorization: Bearer {TOKEN} was not accepted", TOKEN),
    "a token alone": (f"the token '{TOKEN}' has expired", TOKEN),
    "an opaque token": ("Bearer 0123456789abcdef0123456789 is no token", "0123456789abcdef"),
    "a token without signature": (f"got {TOKEN.rpartition('.')[0]}.", TOKEN.split(".")[1]),
    "a signed URL": (
        f"cannot get https://a.blob.core.windows.net/c/b?sv=1&sig={SIGNATURE}",
        "s1gn",
    ),
    "a signed URL in JSON": (f'{{"url": "https://a.net/b?sig={SIGNATURE}&se=2"}}', "s1gn"),
    "a poll URL": (
        "GET https://management.azure.com/s/o?t=63&c=MIIH&s=S3cr3t&h=x failed",
        "S3cr3t",
    ),
    "a URL of a pool": (
        f"Max retries exceeded with url: /c/b?sv=1&sig={SIGNATURE} (Caused",
        "s1gn",
    ),
    "a signature alone": (f"the signature sig={SIGNATURE} is wrong", "s1gn"),
    "a connection string": (
        f"AccountName=a;AccountKey={ACCOUNT_KEY};EndpointSuffix=core.windows.net",
        ACCOUNT_KEY,
    ),
    "an account's key alone": (f"the key {ACCOUNT_KEY} is wrong", ACCOUNT_KEY),
    "a function's key": (f"x-functions-key: {FUNCTION_KEY}", FUNCTION_KEY),
    "a function's key in a URL": (f"POST https://h/api/x?code={FUNCTION_KEY} failed", FUNCTION_KEY),
    "a function's key alone": (f"the key '{FUNCTION_KEY}' is wrong", FUNCTION_KEY),
    "a password in JSON": ('{"server": "r.io", "password": "hunter2"}', "hunter2"),
    "a password in JSON in JSON": (json.dumps('{"password": "hunter2"}'), "hunter2"),
    "a secure value": ('{"name": "TOKEN", "secureValue": "hunter2"}', "hunter2"),
    "a client's secret": ("client_secret=hunter2&grant_type=client_credentials", "hunter2"),
    "an identity header": ("X-IDENTITY-HEADER: 853b9a84-5bfa-4b22-a3f3-0b9a43d9ad8a", "853b9a84"),
}


@pytest.mark.parametrize(("text", "secret"), TEXTS.values(), ids=list(TEXTS))
def test_a_secret_is_taken_out_and_the_rest_stays(text: str, secret: str) -> None:
    assert secret in text

    said = redacted(text)

    assert secret not in said
    assert "[redacted]" in said
    assert said.split(" ", maxsplit=1)[0].rstrip(":")[:4] in text


@pytest.mark.parametrize(("text", "secret"), TEXTS.values(), ids=list(TEXTS))
def test_no_error_has_the_secret_of_an_answer(text: str, secret: str) -> None:
    plain = error_for(403, {}, text, "try it")
    told = error_for(403, {}, json.dumps({"error": {"code": "X", "message": text}}), "try it")

    assert secret not in f"{plain} {told}"


def test_no_error_has_the_secret_of_a_url_that_could_not_be_reached() -> None:
    text = f"Max retries exceeded with url: /c/b?sig={SIGNATURE}"

    with pytest.raises(KeyturnError) as caught, translated("try it"):
        raise ServiceRequestError(text)

    assert "s1gn" not in str(caught.value)
    assert "/c/b" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "Request is missing a Bearer or PoP token.",
        "https://kv-one.vault.azure.net/keys/cmk/0123456789abcdef0123456789abcdef is disabled",
        (
            "The client '6d1f7c0e-52f4-4d0b-8a3e-9b1e6c4f2a10' does not have authorization to perform"
            " action 'Microsoft.Storage/storageAccounts/write' over scope"
            " '/subscriptions/6746a10e-6abe-51cd-8d84-4b407efc7baa/resourceGroups/rg-storage/providers"
            "/Microsoft.Storage/storageAccounts/stone' or the scope is invalid."
        ),
        (
            "appid=6d1f7c0e-52f4-4d0b-8a3e-9b1e6c4f2a10;oid=6d1f7c0e-52f4-4d0b-8a3e-9b1e6c4f2a10;"
            "iss=https://sts.windows.net/213e87ed-8e08-4eb4-a63c-c073058f7b00/"
        ),
        "is it there? look at https://aka.ms/ARMResourceNotFoundFix",
    ],
)
def test_what_is_no_secret_is_left_as_it_is(text: str) -> None:
    assert redacted(text) == text
