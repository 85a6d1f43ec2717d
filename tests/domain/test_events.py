"""What is made of the data of an event."""

from datetime import UTC, datetime

import pytest

from shared.domain.clouds import AZURE_PUBLIC, CLOUDS, Cloud
from shared.domain.errors import (
    InvalidEventError,
    InvalidKeyUrlError,
    NotAllowedError,
    PermanentError,
)
from shared.domain.events import KeyEvent, VaultEvent
from tests.domain.values import KEY, TARGET

VAULTS = frozenset({KEY.vault})
SAMPLE = {  # docs: Azure Key Vault as Event Grid source, with its own "ObjectName "
    "Id": str(TARGET),
    "VaultName": "kv1",
    "ObjectType": "Key",
    "ObjectName ": "cmk",
    "Version": TARGET.version,
    "NBF": None,
    "EXP": None,
}


def read(payload: object, vaults: frozenset[str] = VAULTS) -> KeyEvent:
    return KeyEvent.from_payload("e1", payload, cloud=AZURE_PUBLIC, vaults=vaults)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(SAMPLE, id="Microsoft's sample"),
        pytest.param({"Id": str(TARGET)}, id="Id alone"),
        pytest.param({"id": str(TARGET), "objectType": "key"}, id="camel case"),
        pytest.param({" Id ": f" {TARGET} ", "OBJECTTYPE": " KEY "}, id="blanks and capitals"),
        pytest.param({"Id": str(TARGET).upper()}, id="a URL in capitals"),
        pytest.param({"Id": str(TARGET), "ObjectType": None}, id="no object type"),
        pytest.param({**SAMPLE, "VaultName": "kv2", "Version": "x"}, id="only Id is trusted"),
    ],
)
def test_an_event_names_its_key_and_the_version_it_is_about(payload: object) -> None:
    assert read(payload) == KeyEvent(id="e1", key=KEY, announced=TARGET)


def test_an_event_may_name_no_version() -> None:
    assert read({"Id": str(KEY)}) == KeyEvent(id="e1", key=KEY, announced=None)


@pytest.mark.parametrize(
    ("said", "expires"),
    [
        pytest.param(1795456800, datetime(2026, 11, 23, 18, 0, tzinfo=UTC), id="a Unix time"),
        pytest.param(1795456800.0, datetime(2026, 11, 23, 18, 0, tzinfo=UTC), id="a fraction"),
        pytest.param(None, None, id="null"),
        pytest.param("soon", None, id="a word"),
        pytest.param([1], None, id="a list"),
        pytest.param(1e30, None, id="a time that no calendar holds"),
        pytest.param(-1e30, None, id="nor one before"),
        pytest.param(float("nan"), None, id="no number"),
    ],
)
def test_when_a_version_ends_is_read_or_left_to_the_vault(
    said: object, expires: datetime | None
) -> None:
    assert read({**SAMPLE, "EXP": said}).expires == expires
    assert read({"id": str(TARGET), "exp": said}).expires == expires


@pytest.mark.parametrize(
    ("payload", "error", "says"),
    [
        pytest.param(None, InvalidEventError, "data is NoneType", id="no data"),
        pytest.param("text", InvalidEventError, "data is str", id="data is text"),
        pytest.param([SAMPLE], InvalidEventError, "data is list", id="data is a list"),
        pytest.param({}, InvalidEventError, "data.Id is None", id="no Id"),
        pytest.param({"Id": 7}, InvalidEventError, "data.Id is 7", id="Id is no text"),
        pytest.param(
            {"Id": str(TARGET), "ObjectType": "Secret"}, InvalidEventError, "no key", id="a secret"
        ),
        pytest.param(
            {"Id": "https://kv1.vault.azure.net/secrets/s"},
            InvalidKeyUrlError,
            "not the URL",
            id="the URL of a secret",
        ),
        pytest.param({"Id": "x" * 9000}, InvalidKeyUrlError, "not the URL", id="a long text"),
        pytest.param({"Id": ["x" * 9000]}, InvalidEventError, "data.Id is", id="a long list"),
        pytest.param(
            {"Id": "https://kv9.vault.azure.net/keys/cmk"},
            NotAllowedError,
            "allow-list",
            id="a vault off the list",
        ),
        pytest.param(
            {"Id": "https://kv1.vault.azure.cn/keys/cmk"},
            NotAllowedError,
            "no vault of AzureCloud",
            id="a vault of another cloud",
        ),
        pytest.param(
            {"Id": "https://kv1.vault.azure.net.evil.example/keys/cmk"},
            NotAllowedError,
            "no vault of AzureCloud",
            id="a host that begins like a vault's",
        ),
    ],
)
def test_an_event_that_cannot_be_used_is_refused_with_a_short_reason(
    payload: object, error: type[PermanentError], says: str
) -> None:
    with pytest.raises(error, match=says) as refused:
        read(payload)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("cloud", CLOUDS.values(), ids=CLOUDS)
def test_a_vault_is_named_by_its_name_or_by_its_host(cloud: Cloud) -> None:
    vault, hsm = cloud.vault_suffixes
    assert cloud.vault_host("KV-1") == f"kv-1.{vault}"
    assert cloud.vault_host(f"Kv1.{vault.upper()}") == f"kv1.{vault}"
    assert cloud.vault_host(f"hsm1.{hsm}") == f"hsm1.{hsm}"


@pytest.mark.parametrize(
    "vault",
    [
        pytest.param("", id="empty"),
        pytest.param("kv", id="two letters"),
        pytest.param("k" * 25, id="25 letters"),
        pytest.param("kv_1", id="an underscore"),
        pytest.param("kvé", id="a letter of another script"),
        pytest.param("---", id="hyphens only"),
        pytest.param("kv1.vault.azure.net.", id="a dot at the end"),
        pytest.param("kv1.evil.example", id="another domain"),
        pytest.param("x.kv1.vault.azure.net", id="a label too many"),
        pytest.param("vault.azure.net", id="the suffix alone"),
        pytest.param("kv1.vault.azure.net/x", id="a path"),
        pytest.param("kv1.vault.azure.net:8443", id="a port"),
        pytest.param("me@kv1.vault.azure.net", id="userinfo"),
        pytest.param("kv1.vault.usgovcloudapi.net", id="another cloud"),
    ],
)
def test_what_is_no_vault_of_the_cloud_is_refused(vault: str) -> None:
    with pytest.raises(NotAllowedError, match="is no vault of AzureCloud"):
        AZURE_PUBLIC.vault_host(vault)


# -- what a vault allows --------------------------------------------------------------------------

VAULT_ID = "/subscriptions/s/resourceGroups/r/providers/Microsoft.KeyVault/vaults"


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param({"Id": "https://kv1.vault.azure.net", "VaultName": "kv1"}, id="both"),
        pytest.param({"Id": "https://kv1.vault.azure.net/"}, id="a URL"),
        pytest.param({"Id": "https://KV1.vault.azure.net:443/keys/cmk/0a"}, id="a URL in it"),
        pytest.param({"Id": f"{VAULT_ID}/kv1"}, id="a resource id"),
        pytest.param({"vaultName ": " KV1 "}, id="a name alone"),
        pytest.param({"id": None, "VaultName": "kv1.vault.azure.net"}, id="a host"),
    ],
)
def test_an_event_about_what_a_vault_allows_names_the_vault(payload: object) -> None:
    said = VaultEvent.from_payload("e1", payload, cloud=AZURE_PUBLIC, vaults=VAULTS)
    assert said == VaultEvent(id="e1", vault=KEY.vault)


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        pytest.param(None, InvalidEventError, id="no data"),
        pytest.param({}, InvalidEventError, id="no vault"),
        pytest.param({"Id": 7, "VaultName": ["kv1"]}, InvalidEventError, id="no text"),
        pytest.param({"Id": f"{VAULT_ID}/kv9", "VaultName": "kv1"}, InvalidEventError, id="two"),
        pytest.param({"VaultName": "kv9"}, NotAllowedError, id="off the list"),
        pytest.param({"Id": "https://kv1.vault.azure.cn"}, NotAllowedError, id="another cloud"),
        pytest.param({"Id": "http://kv1.vault.azure.net"}, NotAllowedError, id="no TLS"),
        pytest.param({"Id": "https://me@kv1.vault.azure.net"}, NotAllowedError, id="userinfo"),
        pytest.param({"Id": "https://kv1.vault.azure.net@evil.example"}, NotAllowedError, id="at"),
        pytest.param({"Id": "https://kv1.vault.azure.net:8443"}, NotAllowedError, id="a port"),
        pytest.param({"Id": "https://kv1.vault.azure.net?x=@evil"}, NotAllowedError, id="a query"),
        pytest.param({"Id": "https://kv1.vault.azure.net."}, NotAllowedError, id="a dot"),
        pytest.param(
            {"Id": "https://kv1.vault.azure.net.evil.example"}, NotAllowedError, id="more"
        ),
        pytest.param({"Id": "https://\u212av1.vault.azure.net"}, NotAllowedError, id="Kelvin"),
        pytest.param({"Id": "x" * 9000}, NotAllowedError, id="a long text"),
        pytest.param(
            {"Id": "https://kv9.evil.example", "VaultName": "kv1"},
            NotAllowedError,
            id="one of ours",
        ),
    ],
)
def test_an_event_about_another_vault_is_refused(
    payload: object, error: type[PermanentError]
) -> None:
    with pytest.raises(error):
        VaultEvent.from_payload("e1", payload, cloud=AZURE_PUBLIC, vaults=VAULTS)
