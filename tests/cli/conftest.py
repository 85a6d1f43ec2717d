from collections.abc import Callable, Iterator

import pytest

from sandbox.azure import LocalAzure
from tests.cli.desk import Desk
from tests.cli.estates import Small, small
from tests.cli.servers import Server, serving


@pytest.fixture(scope="session")
def _read_only(
    local_azure: Callable[[float], LocalAzure], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Desk, Small]]:
    with local_azure(1) as azure:
        yield Desk(azure, tmp_path_factory.mktemp("desk")), small(azure)


@pytest.fixture
def desk(_read_only: tuple[Desk, Small]) -> Iterator[Desk]:
    """A desk before an estate that the test only looks at."""
    desk, _ = _read_only
    desk.sign_in()
    yield desk
    desk.azure.faults.clear()


@pytest.fixture
def found(_read_only: tuple[Desk, Small]) -> Small:
    """What lies there."""
    return _read_only[1]


@pytest.fixture
def server() -> Iterator[Server]:
    """An app that answers what the test says."""
    with serving() as mine:
        yield mine
