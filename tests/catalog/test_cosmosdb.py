"""Cosmos DB accounts: what is read, when a PATCH is sent, and what a revoked account needs."""

import json
from datetime import timedelta
from typing import Any

import pytest

from shared.catalog.cosmosdb import COSMOSDB_ACCOUNT
from shared.domain.keys import Key, KeyVersion
from shared.domain.plans import references_to, request_body, symptom_of
from shared.domain.resources import Reference
from tests.catalog.bodies import WELL, cosmos
from tests.catalog.entries import DATA, with_data
from tests.domain.values import KEY, OLD, TARGET

KIND = COSMOSDB_ACCOUNT
RECORDING = DATA / "recordings" / "cosmosdb-accounts" / "cosmosdb_key_vault_key_uri_2021.json"

_BEGIN = "Access to your account is currently revoked"
_MORE = "; for more details about this error and how to restore access to your account please visit"
_GUIDE = "https://learn.microsoft.com/en-us/azure/cosmos-db/cmk-troubleshooting-guide"

# azure-rest-api-specs, cosmos-db 2023-09-15: the values of customerManagedKeyStatus.
DOCUMENTED = {
    4000: (
        "because the Azure Cosmos DB service is unable to obtain the AAD authentication token for"
        " the account's default identity"
    ),
    4002: (
        "because the current default identity no longer has permission to the associated Key Vault"
        " key"
    ),
    4003: "because the correspondent key is not found on the specified Key Vault",
    4005: "because the Azure Cosmos DB service is unable to wrap or unwrap the key",
    4006: (
        "because the Azure Cosmos DB account's key vault key URI does not follow the expected"
        " format"
    ),
    4009: (
        "because the Azure Key Vault DNS name specified by the account's keyvaultkeyuri property"
        " could not be resolved"
    ),
    4015: "because the Azure Cosmos DB account has an undefined default identity",
    4016: (
        "because the access rules are blocking outbound requests to the Azure Key Vault service"
    ),
    4017: "because the correspondent Azure Key Vault was not found",
    # Quoted by users; the guide has a section of it.
    4018: "because the correspondent key is either disabled or expired",
}


def status(code: int) -> str:
    return f"{_BEGIN} {DOCUMENTED[code]}{_MORE} {_GUIDE} ({code})."


def recorded() -> list[dict[str, Any]]:
    exchanges = json.loads(RECORDING.read_text())["exchanges"]
    bodies = [exchange["response"]["body"] for exchange in exchanges]
    return [body for body in bodies if body.get("type") == KIND.resource_type]


@with_data
def test_a_recorded_account_names_a_key_and_proves_nothing() -> None:
    bodies = recorded()
    assert len(bodies) == 2
    for body in bodies:
        key = Key.parse(body["properties"]["keyVaultKeyUri"])
        assert KIND.shape.read(body) == (Reference("account", key, None),)
        # Of 2021: the version in use is shown from 2025-10-15 on.
        assert KIND.version_in_use(body) is None
        assert not KIND.proof.check(body, KeyVersion(key, TARGET.version)).holds


@pytest.mark.parametrize("uri", [None, ""])
def test_an_account_without_a_uri_has_no_key_of_ours(uri: str | None) -> None:
    assert KIND.shape.read(cosmos(uri)) == ()


@pytest.mark.parametrize("in_use", [TARGET.version, str(TARGET), TARGET.version.upper()])
def test_the_version_in_use_is_read_in_either_form(in_use: str) -> None:
    assert KIND.version_in_use(cosmos(in_use=in_use)) == TARGET


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(cosmos(None, in_use=str(TARGET)), id="no URI"),
        pytest.param(cosmos("soon", in_use=TARGET.version), id="a URI of another form"),
        pytest.param(
            cosmos("https://kv2.vault.azure.net/keys/cmk", in_use=str(TARGET)), id="another vault"
        ),
        pytest.param(cosmos(in_use=""), id="nothing"),
        pytest.param(cosmos(in_use="latest"), id="no version"),
        pytest.param(cosmos(in_use=str(KEY)), id="the key as such"),
    ],
)
def test_what_names_no_version_of_the_accounts_key_is_no_version_in_use(
    body: dict[str, Any],
) -> None:
    assert KIND.version_in_use(body) is None


def test_a_uri_with_a_version_is_moved_and_nothing_else_is_sent() -> None:
    body = cosmos(str(OLD))
    sent = request_body(KIND, body, references_to(KIND, body, KEY), TARGET)
    assert sent == {"properties": {"keyVaultKeyUri": str(TARGET)}}


def test_the_old_version_goes_quiet_within_a_day() -> None:
    assert KIND.versionless
    assert KIND.versionless.length == KIND.pinned.length == timedelta(days=1)
    assert not KIND.may_nudge


@pytest.mark.parametrize("code", DOCUMENTED)
def test_every_documented_complaint_has_advice_of_its_own(code: int) -> None:
    shown = symptom_of(KIND, cosmos(status=status(code)))
    assert shown
    reason, advice = shown
    assert DOCUMENTED[code][8:60] in reason
    texts = [status(other) for other in DOCUMENTED if other != code]
    others = [symptom_of(KIND, cosmos(status=text)) for text in (*texts, f"{_BEGIN}{_MORE}")]
    assert advice not in {other[1] for other in others if other}
    assert not KIND.proof.check(cosmos(in_use=TARGET.version, status=status(code)), TARGET).holds


@pytest.mark.parametrize("code", DOCUMENTED)
def test_a_revoked_account_is_mended_before_it_is_rotated_again(code: int) -> None:
    shown = symptom_of(KIND, cosmos(status=status(code)))
    assert shown
    mend, wait, again = shown[1].partition("wait up to an hour")
    assert mend
    assert wait
    assert "only then rotate again" in again


@pytest.mark.parametrize("code", [4002, 4005, 4018])
def test_where_the_key_may_be_disabled_the_old_version_comes_first(code: int) -> None:
    shown = symptom_of(KIND, cosmos(status=status(code)))
    assert shown
    assert "the version that the account used last" in " ".join(shown[1].split())
    assert shown[1].index("enable") < shown[1].index("rotate again")


@pytest.mark.parametrize("text", [f"{_BEGIN}{_MORE} {_GUIDE}", f"{_BEGIN} because of the moon."])
def test_a_revoked_account_for_a_reason_of_its_own_is_a_persons_too(text: str) -> None:
    shown = symptom_of(KIND, cosmos(status=text))
    assert shown
    assert "troubleshooting guide" in shown[1]


@pytest.mark.parametrize("text", [WELL, WELL.upper(), "", None, "Something is odd."])
def test_an_account_that_is_not_revoked_is_left_to_the_proof(text: str | None) -> None:
    assert symptom_of(KIND, cosmos(status=text)) is None
