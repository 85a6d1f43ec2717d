from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.azure import LocalAzure
from sandbox.event_grid import Schema
from tests.e2e.every_kind import Rotated, rotate_every_kind
from tests.e2e.stage import VAULT, Stage

CLOUD_VAULT = "kv-cloud"
LOCKED_VAULT = "kv-locked"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests that share a stage follow each other.

    While nothing happens the host polls its queue less and less, down to every ten seconds, and
    the next test on the shared stage would begin by waiting for that.
    """
    here = [n for n, item in enumerate(items) if item.path.parent == Path(__file__).parent]
    sharing_first = sorted((items[n] for n in here), key=lambda item: "running" not in _uses(item))
    for number, item in zip(here, sharing_first, strict=True):
        items[number] = item


def _uses(item: pytest.Item) -> list[str]:
    return item.fixturenames if isinstance(item, pytest.Function) else []


@pytest.fixture
def stage(local_azure: Callable[[float], LocalAzure]) -> Iterator[Stage]:
    """A stage whose minutes last a second."""
    with local_azure(60) as azure:
        yield Stage(azure)


@pytest.fixture
def fast_stage(local_azure: Callable[[float], LocalAzure]) -> Iterator[Stage]:
    """A stage whose hours last fifteen seconds: for windows that must run out."""
    with local_azure(240) as azure:
        yield Stage(azure)


@pytest.fixture(scope="session")
def _shared_stage(local_azure: Callable[[float], LocalAzure]) -> Iterator[Stage]:
    with local_azure(60) as azure:
        stage = Stage(azure)
        stage.managed_vault(CLOUD_VAULT)
        stage.azure.estate.vault(LOCKED_VAULT)
        stage.start({"KEYTURN_VAULTS": f"{VAULT},{CLOUD_VAULT},{LOCKED_VAULT}"})
        stage.azure.subscribe(CLOUD_VAULT, Schema.CLOUD_EVENTS)
        yield stage


@pytest.fixture
def running(_shared_stage: Stage) -> Iterator[Stage]:
    """A stage whose app runs since before the test; the test brings keys and accounts of its own.

    Events of ``kv-stage`` come in the Event Grid schema, those of ``kv-cloud`` as CloudEvents.
    The app has no rights in ``kv-locked``, which it may manage.
    """
    yield _shared_stage
    _shared_stage.azure.faults.clear()


@pytest.fixture(scope="session")
def moved(local_azure: Callable[[float], LocalAzure]) -> Iterator[Rotated]:
    """A rotation that has ended, with a resource of every kind. To be looked at only."""
    with local_azure(60) as azure:
        yield rotate_every_kind(Stage(azure))
