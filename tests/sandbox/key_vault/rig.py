"""A Key Vault of the sandbox, and what its tests say to it."""

from dataclasses import dataclass, field
from itertools import count
from typing import Any

from azure.core.credentials import AccessToken
from azure.keyvault.keys import (
    KeyClient,
    KeyVaultKey,
)

from sandbox.clock import SandboxClock
from sandbox.faults import Faults
from sandbox.front_door import Call, FrontDoor
from sandbox.identity import TokenService
from sandbox.key_vault import KeyVaults, NewKey, Permission, Vault
from sandbox.serving import Serving

ALL: frozenset[Permission] = frozenset(
    {
        "get",
        "list",
        "create",
        "update",
        "delete",
        "recover",
        "purge",
        "rotate",
        "getRotationPolicy",
        "setRotationPolicy",
        "backup",
        "restore",
        "wrapKey",
        "unwrapKey",
    }
)
CONSUMER = "c0ffee00-0000-4000-8000-000000000001"
DEK = bytes(range(32))
EC = NewKey(kty="EC")
"""Made at once, where the type does not matter; an RSA key takes a while."""
PAST, FUTURE = 1_600_000_000, 4_000_000_000
# The SDK keeps challenges by host for the whole process, so every test has a vault of its own.
numbers = count(1)


@dataclass
class Local:
    clock: SandboxClock
    faults: Faults
    front_door: FrontDoor
    tokens: TokenService
    vaults: KeyVaults
    serving: Serving
    identity_endpoint: str
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def calls(self, vault: Vault) -> list[Call]:
        return [c for c in self.front_door.traffic() if c.host == f"{vault.name}.vault.azure.net"]


def client_of(vault: Vault, credential: Any, **settings: Any) -> KeyClient:  # noqa: ANN401 - the SDK's own protocol is as wide
    return KeyClient(vault.uri, credential, **settings)


@dataclass
class FixedCredential:
    """A credential that gives one token whatever is asked for, to send wrong ones."""

    token: str

    def get_token(self, *_: str, **__: object) -> AccessToken:
        return AccessToken(self.token, 4102444800)


def version_of(key: KeyVaultKey) -> str:
    assert key.properties.version
    return key.properties.version


def modulus(key: KeyVaultKey) -> bytes:
    found: bytes = key.key.n  # type: ignore[attr-defined]  # JsonWebKey declares no members
    return found
