from collections.abc import Callable, Iterator

import pytest

from sandbox.azure import LocalAzure
from tests.usecases.bench import Bench


@pytest.fixture
def bench(
    local_azure: Callable[[float], LocalAzure], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    """A bench in real time."""
    with local_azure(1) as azure:
        for name, value in azure.environment().items():
            monkeypatch.setenv(name, value)
        yield Bench(azure)
