from collections.abc import Iterator
from typing import Any

import pytest
from azure.identity import ManagedIdentityCredential
from azure.keyvault.keys import (
    KeyClient,
)

from sandbox.clock import SandboxClock
from sandbox.faults import Faults
from sandbox.front_door import FrontDoor
from sandbox.identity import APP_PRINCIPAL, TokenService
from sandbox.key_vault import KeyVaults, Vault
from sandbox.serving import Serving
from tests.sandbox.key_vault.rig import (
    ALL,
    Local,
    client_of,
    numbers,
)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Local]:
    clock = SandboxClock.start()
    faults = Faults(clock)
    front_door = FrontDoor(faults, clock)
    tokens = TokenService()
    events: list[tuple[str, dict[str, Any]]] = []
    vaults = KeyVaults(clock, tokens, lambda topic, event: events.append((topic, event)))
    front_door.mount("*.vault.azure.net", vaults.app)
    with Serving(front_door) as serving:
        endpoint = f"{serving.serve_plain(tokens.msi_app())}/msi/token"
        yield Local(clock, faults, front_door, tokens, vaults, serving, endpoint, events)


@pytest.fixture
def local(sandbox: Local, monkeypatch: pytest.MonkeyPatch) -> Local:
    sandbox.faults.clear()
    for name, value in sandbox.serving.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("IDENTITY_ENDPOINT", sandbox.identity_endpoint)
    monkeypatch.setenv("IDENTITY_HEADER", sandbox.tokens.identity_header)
    return sandbox


@pytest.fixture
def vault(local: Local) -> Vault:
    made = local.vaults.create(f"kv-payments-{next(numbers)}")
    made.grant(APP_PRINCIPAL, ALL)
    return made


@pytest.fixture
def client(vault: Vault) -> Iterator[KeyClient]:
    with ManagedIdentityCredential() as credential, client_of(vault, credential) as made:
        yield made
