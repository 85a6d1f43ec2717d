"""What the bodies of ``samples`` are put together from."""

from shared.domain.json_paths import Json
from tests.domain.values import KEY

GROUP = "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/rg1"
IDENTITY = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id1"
VAULT = f"https://{KEY.vault}"
USER_ASSIGNED = {
    "type": "UserAssigned",
    "tenantId": "t",
    "principalId": "p",
    "userAssignedIdentities": {IDENTITY: {"clientId": "c", "principalId": "p"}},
}
SYSTEM = {"type": "SystemAssigned", "principalId": "p", "tenantId": "t"}


def resource(resource_type: str, properties: Json, **more: object) -> Json:
    """Return a resource of a type; ``more`` are its other parts."""
    namespace, *words = resource_type.split("/")
    path = "/".join(f"{word}/r{index}" for index, word in enumerate(words, 1))
    return {
        "id": f"{GROUP}/providers/{namespace}/{path}",
        "name": f"r{len(words)}",
        "type": resource_type,
        "location": "westeurope",
        "tags": {"team": "one"},
        "properties": {"provisioningState": "Succeeded", **properties},
        **more,
    }
