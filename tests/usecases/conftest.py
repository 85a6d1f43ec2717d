from collections.abc import Callable, Iterator

import pytest

from sandbox.azure import LocalAzure
from tests.usecases.bench import Bench
from tests.usecases.memory import in_memory


@pytest.fixture
def stored_bench(
    local_azure: Callable[[float], LocalAzure], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    """A bench in real time, whose rows and messages are in Azurite."""
    with local_azure(1) as azure:
        for name, value in azure.environment().items():
            monkeypatch.setenv(name, value)
        yield Bench(azure)


@pytest.fixture
def bench(stored_bench: Bench) -> Bench:
    """A bench in real time, whose rows and messages need no server: three times as fast.

    ``test_memory.py`` holds these rows to what the tables do; the end-to-end tests use the tables.
    """
    return in_memory(stored_bench)
