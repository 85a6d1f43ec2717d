"""Tokens: who gets one, and which are refused."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import jwt
import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ManagedIdentityCredential

from sandbox.clock import SandboxClock
from sandbox.faults import Faults
from sandbox.front_door import FrontDoor
from sandbox.identity import APP_PRINCIPAL, Refusal, TokenRefused, TokenService
from sandbox.serving import Serving

VAULT = "https://vault.azure.net"


@pytest.fixture(scope="module")
def tokens() -> TokenService:
    return TokenService()


def test_a_token_says_who_calls(tokens: TokenService) -> None:
    claims = tokens.check(f"Bearer {tokens.issue(VAULT, principal='me')}", VAULT)

    assert (claims.principal, claims.tenant_id) == ("me", tokens.tenant_id)


def test_a_trailing_slash_makes_no_other_audience(tokens: TokenService) -> None:
    token = tokens.issue("https://management.azure.com/")

    assert tokens.check(f"Bearer {token}", "https://management.azure.com").principal


def unsigned() -> str:
    return jwt.encode({"aud": VAULT, "oid": "me", "exp": 4102444800}, key="", algorithm="none")


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        pytest.param(lambda _: None, Refusal.MISSING, id="no header"),
        pytest.param(lambda _: "Basic abc", Refusal.MISSING, id="another scheme"),
        pytest.param(lambda _: "Bearer ", Refusal.MISSING, id="no token"),
        pytest.param(lambda _: "Bearer abc", Refusal.SIGNATURE, id="not a token"),
        pytest.param(
            lambda _: f"Bearer {TokenService().issue(VAULT)}", Refusal.SIGNATURE, id="foreign key"
        ),
        pytest.param(lambda _: f"Bearer {unsigned()}", Refusal.SIGNATURE, id="unsigned"),
        pytest.param(
            lambda t: f"Bearer {t.issue('https://management.azure.com')}",
            Refusal.AUDIENCE,
            id="for another service",
        ),
        pytest.param(
            lambda t: f"Bearer {t.issue(VAULT, lifetime=timedelta(seconds=-1))}",
            Refusal.EXPIRED,
            id="expired",
        ),
    ],
)
def test_a_token_is_refused(
    tokens: TokenService, authorization: Callable[[TokenService], str | None], code: Refusal
) -> None:
    with pytest.raises(TokenRefused) as refused:
        tokens.check(authorization(tokens), VAULT)

    assert refused.value.code is code


@pytest.fixture(scope="module")
def endpoint(tokens: TokenService) -> Iterator[str]:
    clock = SandboxClock.start()
    with Serving(FrontDoor(Faults(clock), clock)) as serving:
        yield f"{serving.serve_plain(tokens.msi_app())}/msi/token"


def test_the_real_credential_gets_a_token_that_the_service_accepts(
    tokens: TokenService, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", endpoint)
    monkeypatch.setenv("IDENTITY_HEADER", tokens.identity_header)

    with ManagedIdentityCredential() as credential:
        token = credential.get_token(f"{VAULT}/.default")

    assert tokens.check(f"Bearer {token.token}", VAULT).principal == APP_PRINCIPAL


def test_the_real_credential_gets_none_without_the_secret_header(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", endpoint)
    monkeypatch.setenv("IDENTITY_HEADER", "guessed")

    with (
        ManagedIdentityCredential(retry_total=0) as credential,
        pytest.raises(ClientAuthenticationError, match="IDENTITY-HEADER"),
    ):
        credential.get_token(f"{VAULT}/.default")


@pytest.mark.parametrize(
    "query",
    [
        pytest.param({"api-version": "2019-08-01"}, id="no resource"),
        pytest.param({"resource": VAULT}, id="no api-version"),
        pytest.param(
            {"resource": VAULT, "api-version": "2019-08-01", "client_id": "x"},
            id="an identity that the app has not",
        ),
    ],
)
def test_a_malformed_request_for_a_token_is_refused(
    tokens: TokenService, endpoint: str, query: dict[str, str]
) -> None:
    header = {"X-IDENTITY-HEADER": tokens.identity_header}

    answer = requests.get(endpoint, params=query, headers=header, timeout=5)

    assert answer.status_code == 400
