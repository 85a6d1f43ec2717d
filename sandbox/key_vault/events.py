"""The events that a vault sends about its keys. Docs: Key Vault as an Event Grid source."""

from datetime import datetime
from typing import Any, Literal
from uuid import uuid4

from sandbox.key_vault.keys import KeyVersion

type EventType = Literal["KeyNewVersionCreated", "KeyNearExpiry"]


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
    return {
        "id": str(uuid4()),
        "topic": topic,
        "subject": version.name,
        "eventType": f"Microsoft.KeyVault.{kind}",
        "eventTime": f"{at:%Y-%m-%dT%H:%M:%S.%f}0Z",
        "data": {
            "Id": version.kid,
            "VaultName": vault,
            "ObjectType": "Key",
            "ObjectName": version.name,
            "Version": version.version,
            **{name: time for name, time in times.items() if time is not None},
        },
        "dataVersion": "1",
        "metadataVersion": "1",
    }
