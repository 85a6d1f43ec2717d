"""App Service authentication lets in whoever has a token of the app's, and says who that is."""

import base64
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import jwt
import pytest
import requests

from sandbox.azure import LocalAzure
from sandbox.identity import APP_CLIENT, TENANT, TokenService
from tests.principals import forged_principal

SMALL = Path(__file__).parents[1] / "apps" / "small"
SETTINGS = {"STEPS_QUEUE": "steps", "TICKS": "0 0 0 1 1 *"}
CLAIM = "http://schemas.microsoft.com/identity/claims"


@pytest.fixture(scope="module", name="azure")
def _azure(local_azure: Callable[[float], LocalAzure]) -> Iterator[LocalAzure]:
    with local_azure(1) as azure:
        azure.start_app(SMALL, SETTINGS, app_service_auth=True)
        yield azure


@pytest.fixture(scope="module", name="unprotected")
def _unprotected(local_azure: Callable[[float], LocalAzure]) -> Iterator[LocalAzure]:
    with local_azure(1) as azure:
        azure.start_app(SMALL, SETTINGS)
        yield azure


def call(azure: LocalAzure, path: str, method: str = "GET", **headers: str) -> requests.Response:
    assert azure.host is not None
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.request(method, azure.host.url + path, headers=named, timeout=30)


def seen(azure: LocalAzure, token: str, **headers: str) -> dict[str, str]:
    """Return the headers that the app got."""
    answer = call(azure, "/api/headers", authorization=f"Bearer {token}", **headers)
    assert answer.status_code == 200, answer.text
    return {name.lower(): value for name, value in answer.json().items()}


def principal(headers: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.b64decode(headers["x-ms-client-principal"]))
    return found


def values(found: dict[str, Any], name: str) -> list[str]:
    return [claim["val"] for claim in found["claims"] if claim["typ"] == name]


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_the_app_is_told_who_calls_and_in_which_roles(
    azure: LocalAzure, version: Literal["1.0", "2.0"]
) -> None:
    token = azure.tokens.sign_in("ana@contoso.example", "Reader", "Writer", version=version)

    headers = seen(azure, token)

    found, ana = principal(headers), TokenService.object_id("ana@contoso.example")
    assert found.keys() == {"auth_typ", "claims", "name_typ", "role_typ"}
    assert found["auth_typ"] == headers["x-ms-client-principal-idp"] == "aad"
    assert values(found, f"{CLAIM}/objectidentifier") == [ana]
    assert values(found, f"{CLAIM}/tenantid") == [TENANT]
    assert values(found, "roles") == ["Reader", "Writer"]
    assert headers["x-ms-client-principal-id"] == ana
    assert headers["x-ms-client-principal-name"] == "ana@contoso.example"


def test_a_program_has_an_id_and_no_name(azure: LocalAzure) -> None:
    headers = seen(azure, azure.tokens.sign_in("pipeline", "Reader", program=True))

    assert headers["x-ms-client-principal-id"] == TokenService.object_id("pipeline")
    assert "x-ms-client-principal-name" not in headers
    assert values(principal(headers), "roles") == ["Reader"]


def test_whoever_was_given_no_role_has_none(azure: LocalAzure) -> None:
    headers = seen(azure, azure.tokens.sign_in("bo@contoso.example"))

    assert values(principal(headers), "roles") == []


def strange_key(claims: dict[str, Any]) -> str:
    return TokenService().sign_in("eve@contoso.example", "Writer", **claims)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(lambda _: "", id="none"),
        pytest.param(lambda _: "nonsense", id="no token at all"),
        pytest.param(lambda tokens: tokens.issue("https://management.azure.com"), id="for ARM"),
        pytest.param(
            lambda tokens: tokens.sign_in("a", aud=f"{APP_CLIENT}0"), id="for another app"
        ),
        pytest.param(lambda tokens: tokens.sign_in("a", aud="api://"), id="for no app"),
        pytest.param(
            lambda tokens: tokens.sign_in("a", lifetime=-timedelta(minutes=1)), id="expired"
        ),
        pytest.param(
            lambda tokens: tokens.sign_in("a", iss="https://sts.windows.net/another/"),
            id="of another tenant",
        ),
        pytest.param(lambda _: strange_key({}), id="signed by somebody else"),
        pytest.param(
            lambda _: jwt.encode({"aud": APP_CLIENT, "oid": "me"}, key="", algorithm="none"),
            id="not signed",
        ),
        pytest.param(
            lambda tokens: jwt.encode(
                {"aud": APP_CLIENT, "iss": tokens.issuers()[1], "exp": 4102444800},
                key="x" * 64,
                algorithm="HS256",
            ),
            id="signed with a password",
        ),
    ],
)
def test_a_token_that_is_no_good_is_refused_with_a_challenge(
    azure: LocalAzure, token: Callable[[TokenService], str]
) -> None:
    answer = call(azure, "/api/headers", authorization=f"Bearer {token(azure.tokens)}")

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_without_a_token_nothing_is_answered_not_even_what_there_is(azure: LocalAzure) -> None:
    for path in ("/api/headers", "/api/no-such-thing", "/", "/runtime/webhooks/eventgrid-x"):
        assert call(azure, path).status_code == 401
        assert call(azure, path, **forged_principal("eve", "Writer")).status_code == 401


def test_what_a_caller_says_of_itself_is_taken_away(azure: LocalAzure) -> None:
    token = azure.tokens.sign_in("ana@contoso.example", "Reader")
    forged = {**forged_principal("eve@contoso.example", "Writer"), "X-MS-Client-Principal-X": "y"}

    headers = seen(azure, token, X_MS_TOKEN_AAD_ACCESS_TOKEN="z", **forged)  # noqa: S106 - no secret

    assert values(principal(headers), "roles") == ["Reader"]
    assert headers["x-ms-client-principal-name"] == "ana@contoso.example"
    assert "x-ms-client-principal-x" not in headers
    assert "x-ms-token-aad-access-token" not in headers


def test_event_grid_needs_no_token_and_can_forge_nothing(azure: LocalAzure) -> None:
    assert azure.host is not None
    endpoint = azure.host.event_grid_endpoint("on_event").removeprefix(azure.host.url)
    validation = [{"id": "1", "data": {"validationCode": "c0de"}}]

    answer = requests.post(
        azure.host.url + endpoint,
        json=validation,
        headers={"aeg-event-type": "SubscriptionValidation"},
        timeout=30,
    )

    assert answer.json() == {"validationResponse": "c0de"}
    assert call(azure, "/runtime/webhooks/EventGrid", "POST").status_code == 401  # no key


def test_a_function_that_wants_a_key_wants_it_besides(azure: LocalAzure) -> None:
    token = azure.tokens.sign_in("ana@contoso.example")

    assert call(azure, "/api/items/x", authorization=f"Bearer {token}").status_code == 401
    status, _, _ = azure.call_app("GET", "/api/items/x", token=token)
    assert status == 201


def test_the_app_is_told_that_it_is_on(azure: LocalAzure, unprotected: LocalAzure) -> None:
    """``WEBSITE_AUTH_ENABLED`` is the platform's word, which an app can check."""
    on = azure.call_app("GET", "/api/setting", token=azure.tokens.sign_in("a"))[2]
    off = unprotected.call_app("GET", "/api/setting")[2]

    assert (on, off) == ({"WEBSITE_AUTH_ENABLED": "True"}, {"WEBSITE_AUTH_ENABLED": None})


def test_where_it_is_off_whatever_a_caller_says_reaches_the_app(unprotected: LocalAzure) -> None:
    forged = forged_principal("eve@contoso.example", "Writer")

    headers = call(unprotected, "/api/headers", **forged).json()

    assert values(principal(headers), "roles") == ["Writer"]
