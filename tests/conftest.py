"""What every end-to-end test shares: one Azurite, a storage account of its own for each stage."""

import itertools
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings

from sandbox.azure import LocalAzure
from sandbox.azurite import Azurite
from sandbox.clock import SandboxClock

# Other tests run beside: how long an example takes says nothing.
settings.register_profile(
    "beside others", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("beside others")

_ACCOUNTS = [f"stage{number:04}" for number in range(1000)]
_unused = itertools.count()


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    with Azurite.start(_ACCOUNTS) as azurite:
        yield azurite


@pytest.fixture(scope="session")
def local_azure(azurite: Azurite) -> Callable[[float], LocalAzure]:
    """Makes a local Azure whose clock runs at the given rate; to be entered by the test."""

    def make(rate: float) -> LocalAzure:
        return LocalAzure(SandboxClock.start(rate), azurite, _ACCOUNTS[next(_unused)])

    return make
