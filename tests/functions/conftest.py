from collections.abc import Callable, Iterator

import pytest

from sandbox.azure import LocalAzure
from tests.functions.api import CalledApi
from tests.usecases.bench import Bench
from tests.usecases.conftest import bench, stored_bench
from tests.usecases.memory import in_memory

__all__ = ["bench", "stored_bench"]


@pytest.fixture
def called(bench: Bench) -> CalledApi:
    """The API where App Service authentication is on, at rows in memory."""
    return CalledApi(in_memory(bench), app_service_auth=True)


@pytest.fixture
def keyed(called: CalledApi) -> CalledApi:
    """The same where function keys let callers in."""
    return CalledApi(called.bench)


@pytest.fixture(scope="module")
def empty(local_azure: Callable[[float], LocalAzure]) -> Iterator[CalledApi]:
    """An API at an Azure that a module shares: for what never gets as far as that."""
    with local_azure(1) as azure:
        yield CalledApi(in_memory(Bench(azure)), app_service_auth=True)
