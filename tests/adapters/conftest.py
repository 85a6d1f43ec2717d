import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from azure.identity import ManagedIdentityCredential

from sandbox.azure import LocalAzure
from sandbox.azurite import Azurite
from sandbox.clock import SandboxClock
from shared.adapters.arm.client import ArmClient
from shared.domain.clouds import AZURE_PUBLIC

_ACCOUNTS = [f"adapter{number:03}" for number in range(100)]
_unused = itertools.count()


@pytest.fixture(scope="module", name="own_azurite")
def _own_azurite() -> Iterator[Azurite]:
    with Azurite.start(_ACCOUNTS) as azurite:
        yield azurite


@pytest.fixture
def storage(own_azurite: Azurite) -> str:
    """The connection string of an empty storage account."""
    return own_azurite.connection_string(_ACCOUNTS[next(_unused) % len(_ACCOUNTS)])


@dataclass(frozen=True)
class Served:
    """A local Azure in real time, and our clients at it."""

    azure: LocalAzure
    credential: ManagedIdentityCredential
    arm: ArmClient

    def seen(self, host: str) -> int:
        """Return how many requests reached a host."""
        return sum(call.host == host for call in self.azure.front_door.traffic())


@pytest.fixture
def served(own_azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    account = _ACCOUNTS[next(_unused) % len(_ACCOUNTS)]
    with LocalAzure(SandboxClock.start(), own_azurite, account) as azure:
        for name, value in azure.environment().items():
            monkeypatch.setenv(name, value)
        with ManagedIdentityCredential() as credential:
            yield Served(azure, credential, ArmClient(AZURE_PUBLIC, credential))
