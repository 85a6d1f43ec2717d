"""The events of a vault, about its keys and itself. Docs: Key Vault as an Event Grid source."""

from datetime import datetime
from typing import Any, Literal
from uuid import uuid4

from sandbox.key_vault.keys import KeyVersion

type EventType = Literal["KeyNewVersionCreated", "KeyNearExpiry", "KeyExpired"]


def key_event(
    kind: EventType, version: KeyVersion, vault: str, topic: str, at: datetime
) -> dict[str, Any]:
    """Return an event in the Event Grid schema.

    Args:
        kind: Last part of its type.
        version: The version that it is about.
        vault: Name of the vault.
        topic: Resource id of the vault.
        at: When it happened, in UTC.
    """
    times = {"NBF": version.nbf, "EXP": version.exp}
    data = {
        "Id": version.kid,
        "VaultName": vault,
        "ObjectType": "Key",
        "ObjectName": version.name,
        "Version": version.version,
        **{name: time for name, time in times.items() if time is not None},
    }
    return _event(kind, version.name, topic, at, data)


def access_policy_event(uri: str, vault: str, topic: str, at: datetime) -> dict[str, Any]:
    """Return the event that the access policies of a vault were changed, or gave way to roles.

    The data has the same fields as that of a key (docs: Event Grid's system events,
    ``KeyVaultAccessPolicyChangedEventData``). What they hold for a vault is shown nowhere: that
    they name the vault itself is inference.

    Args:
        uri: URL of the vault, without a slash at the end.
        vault: Its name.
        topic: Its resource id.
        at: When it happened, in UTC.
    """
    data = {
        "Id": uri,
        "VaultName": vault,
        "ObjectType": "Vault",
        "ObjectName": vault,
        "Version": "",
    }
    return _event("VaultAccessPolicyChanged", vault, topic, at, data)


def _event(
    kind: str, subject: str, topic: str, at: datetime, data: dict[str, Any]
) -> dict[str, Any]:
    return {
        "id": str(uuid4()),
        "topic": topic,
        "subject": subject,
        "eventType": f"Microsoft.KeyVault.{kind}",
        "eventTime": f"{at:%Y-%m-%dT%H:%M:%S.%f}0Z",
        "data": data,
        "dataVersion": "1",
        "metadataVersion": "1",
    }
