"""Valid values with defaults, and Hypothesis strategies for them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from shared.domain.keys import Key, KeyVersion, VersionState

NOW = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
KEY = Key("kv1.vault.azure.net", "cmk")
OLD = KeyVersion(KEY, "0" * 31 + "1")
TARGET = KeyVersion(KEY, "0" * 31 + "2")
NEWER = KeyVersion(KEY, "0" * 31 + "3")

ACCOUNT = (
    "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/rg1"
    "/providers/Microsoft.Storage/storageAccounts/st1"
)


def state(  # noqa: PLR0913 - the fields of a version, all by name
    version: KeyVersion = TARGET,
    *,
    created: datetime = NOW,
    enabled: bool = True,
    not_before: datetime | None = None,
    expires: datetime | None = None,
    key_type: str | None = "RSA",
    bits: int | None = 2048,
    operations: frozenset[str] | None = None,
) -> VersionState:
    return VersionState(
        id=version,
        created=created,
        enabled=enabled,
        not_before=not_before,
        expires=expires,
        key_type=key_type,
        bits=bits,
        operations=operations,
    )


def account(
    version: str | None = OLD.version,
    *,
    key: Key = KEY,
    in_use: KeyVersion | None = OLD,
    provisioning: str = "Succeeded",
    **encryption: object,
) -> dict[str, Any]:
    """A storage account as ARM shows it (shape recorded: customer_managed_key.json)."""
    reference: dict[str, Any] = {
        "keyvaulturi": f"https://{key.vault}/",
        "keyname": key.name,
        "lastKeyRotationTimestamp": "2026-11-01T00:00:00.0000000Z",
        "currentVersionedKeyExpirationTimestamp": "1970-01-01T00:00:00.0000000Z",
    }
    if version is not None:
        reference["keyversion"] = version
    if in_use is not None:
        reference["currentVersionedKeyIdentifier"] = str(in_use)
    return {
        "id": ACCOUNT,
        "type": "Microsoft.Storage/storageAccounts",
        "location": "westeurope",
        "tags": {"team": "one"},
        "properties": {
            "provisioningState": provisioning,
            "minimumTlsVersion": "TLS1_2",
            "encryption": {
                "keySource": "Microsoft.Keyvault",
                "keyvaultproperties": reference,
                "services": {
                    "blob": {
                        "enabled": True,
                        "keyType": "Account",
                        "lastEnabledTime": "2026-01-01T00:00:00.0000000Z",
                    }
                },
                **encryption,
            },
        },
    }


@st.composite
def any_casing(draw: st.DrawFn, text: str) -> str:
    """The text with each letter in either case."""
    upper = draw(st.lists(st.booleans(), min_size=len(text), max_size=len(text)))
    return "".join(c.upper() if up else c.lower() for c, up in zip(text, upper, strict=True))


names = st.from_regex(r"[a-z0-9-]{1,127}", fullmatch=True)
vaults = st.sampled_from(["kv1.vault.azure.net", "kv-2.vault.azure.cn", "h1.managedhsm.azure.net"])
keys = st.builds(Key, vaults, names)
versions = st.builds(KeyVersion, keys, st.from_regex(r"[0-9a-f]{32}", fullmatch=True))
moments = st.datetimes(
    min_value=datetime(2016, 1, 1),  # noqa: DTZ001 - Hypothesis adds the zone
    max_value=datetime(2099, 1, 1),  # noqa: DTZ001 - as above
    timezones=st.just(UTC),
)
waits = st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=3))
