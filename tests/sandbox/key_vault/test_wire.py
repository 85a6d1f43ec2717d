"""The wire, and faults on it as the SDK meets them."""

from datetime import timedelta

import pytest
import requests
from azure.core.exceptions import (
    HttpResponseError,
    ServiceResponseError,
)
from azure.identity import ManagedIdentityCredential
from azure.keyvault.keys import (
    ApiVersion,
    KeyClient,
)

from sandbox.faults import Fault, server_error_html, throttled
from sandbox.key_vault import Vault
from tests.sandbox.key_vault.rig import (
    EC,
    Local,
    client_of,
)


@pytest.mark.parametrize("version", list(ApiVersion))
def test_every_api_version_that_the_sdk_knows_is_served(vault: Vault, version: ApiVersion) -> None:
    vault.create_key("cmk", EC)

    with (
        ManagedIdentityCredential() as credential,
        client_of(vault, credential, api_version=version) as client,
    ):
        assert client.get_key("cmk").name == "cmk"


def test_an_unknown_api_version_is_refused(vault: Vault) -> None:
    with (
        ManagedIdentityCredential() as credential,
        client_of(vault, credential, api_version="6.0") as client,
        pytest.raises(HttpResponseError, match=r"BadParameter.*specified version \(6\.0\)"),
    ):
        client.get_key("cmk")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        pytest.param("POST", "/keys/cmk/create", b"{", id="not JSON"),
        pytest.param("POST", "/keys/cmk/create", b"[]", id="not an object"),
        pytest.param("POST", "/keys/cmk/create", b"{}", id="no type"),
        pytest.param("POST", "/keys/cmk/create", b'{"kty":"oct"}', id="another type"),
        pytest.param("POST", "/keys/a_b/create", b'{"kty":"EC"}', id="a name that is none"),
        pytest.param("GET", "/keys?maxresults=26", b"", id="more than a page"),
        pytest.param("GET", "/keys?$skiptoken=abc", b"", id="a token that is none"),
        pytest.param("POST", "/keys/restore", b'{"value":"abcd"}', id="a backup that is none"),
    ],
)
def test_a_malformed_request_is_a_bad_parameter(
    local: Local, vault: Vault, method: str, path: str, body: bytes
) -> None:
    token = local.tokens.issue("https://vault.azure.net")
    separator = "&" if "?" in path else "?"

    answer = requests.request(
        method,
        f"{vault.uri}{path}{separator}api-version=7.5",
        data=body,
        headers={"Authorization": f"Bearer {token}"},
        timeout=5,
    )

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "BadParameter"


def test_a_vault_that_does_not_exist_answers_404(local: Local) -> None:
    answer = requests.get("https://kv-nowhere.vault.azure.net/keys", timeout=5)

    assert answer.status_code == 404
    assert "kv-nowhere" in answer.json()["error"]["message"]
    assert local.front_door.traffic()[-1].host == "kv-nowhere.vault.azure.net"


def test_the_sdk_asks_again_after_a_429(local: Local, vault: Vault, client: KeyClient) -> None:
    vault.create_key("cmk", EC)
    local.faults.add(
        Fault(host=f"{vault.name}.*", answer=throttled(timedelta(seconds=1)), method="GET")
    )

    assert client.get_key("cmk").name == "cmk"

    assert [c.status for c in local.calls(vault)] == [429, 401, 200]


def test_the_sdk_reports_html_of_a_gateway_as_an_error(
    local: Local, vault: Vault, client: KeyClient
) -> None:
    vault.create_key("cmk", EC)
    client.get_key("cmk")
    local.faults.add(Fault(host=f"{vault.name}.*", answer=server_error_html(500), times=None))

    with (
        ManagedIdentityCredential() as credential,
        client_of(vault, credential, retry_total=0) as impatient,
        pytest.raises(HttpResponseError) as error,
    ):
        impatient.get_key("cmk")

    assert error.value.status_code == 500


@pytest.mark.parametrize(
    ("fault", "versions"),
    [
        pytest.param(Fault(path="/keys/*/rotate", lose_answer=True), 2, id="after it was done"),
        pytest.param(Fault(path="/keys/*/rotate", lose_request=True), 1, id="before it was done"),
    ],
)
def test_a_caller_cannot_tell_whether_a_rotation_that_was_cut_off_took_place(
    local: Local, vault: Vault, client: KeyClient, fault: Fault, versions: int
) -> None:
    vault.create_key("cmk", EC)
    client.get_key("cmk")
    local.faults.add(fault)

    with pytest.raises(ServiceResponseError):
        client.rotate_key("cmk")

    assert len(vault.versions("cmk")) == versions
