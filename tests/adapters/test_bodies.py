"""Texts that are too large for a table are kept as blobs, and nobody notices."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.data.tables import TableServiceClient
from azure.storage.blob import ContainerClient
from msgspec.structs import replace

from shared.adapters.storage.bodies import CONTAINER, Bodies
from shared.adapters.storage.tables import TableRows
from shared.domain.errors import NotFoundError
from shared.domain.rows import KeyHead
from shared.domain.work import Consumer, Outstanding, Work
from shared.ports import Insert, Kept, Put, Replace
from tests.adapters.row_values import work

CHECKOUT = Path(__file__).parents[2]
LARGE = "ä long reason " * 15_000


@pytest.fixture(name="container")
def _container(storage: str) -> Iterator[ContainerClient]:
    with ContainerClient.from_connection_string(storage, CONTAINER) as container:
        yield container


@pytest.fixture(name="service")
def _service(storage: str) -> Iterator[TableServiceClient]:
    with TableServiceClient.from_connection_string(storage) as service:
        yield service


@pytest.fixture(name="rows")
def _rows(service: TableServiceClient, container: ContainerClient) -> TableRows:
    return TableRows(service, Bodies(lambda: container))


def large(reason: str = LARGE) -> Work:
    consumer = Consumer(place="account", before="x", pinned=True, reason=reason)
    return work(consumers=(consumer,), trouble=reason)


def loaded(rows: TableRows) -> Kept[Work]:
    kept = rows.load(Work, *work().address)
    assert kept
    return kept


def test_a_row_of_hundreds_of_kilobytes_reads_back_as_it_was_kept(rows: TableRows) -> None:
    assert len(LARGE.encode()) > 200_000
    rows.insert(large())
    assert loaded(rows).row == large()
    (found,) = rows.scan(Work, work().address[0])
    assert found.row == large()
    (found,) = rows.scan(Work, work().address[0], where="kind eq 'storage_account'")
    assert found.row == large()


def test_a_row_may_grow_and_shrink_by_any_way(rows: TableRows) -> None:
    kept = rows.insert(work())
    assert kept
    kept = rows.replace(kept, large())
    assert loaded(rows).row == large()
    rows.replace(kept, work())
    assert loaded(rows).row == work()
    rows.commit(Replace(loaded(rows), large()), Put(Outstanding.of(large())))
    assert loaded(rows).row == large()
    rows.commit(Replace(loaded(rows), work()), Put(Outstanding.of(work())))
    assert loaded(rows).row == work()


def test_a_new_row_of_a_transaction_may_be_large(rows: TableRows) -> None:
    rows.commit(Insert(large()), Put(Outstanding.of(large())))
    assert loaded(rows).row == large()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("x" * 29_999, id="just below"),
        pytest.param("x" * 30_001, id="just above"),
        pytest.param("\N{KEY}" * 16_000, id="letters of four bytes, just below what a table takes"),
        pytest.param("\N{KEY}" * 29_999, id="letters of four bytes, above"),
    ],
)
def test_at_the_limit_nothing_is_lost(rows: TableRows, text: str) -> None:
    rows.insert(KeyHead(key="k", problem=text))
    kept = rows.load(KeyHead, *KeyHead(key="k").address)
    assert kept
    assert kept.row.problem == text


def test_the_same_text_is_kept_once(rows: TableRows, container: ContainerClient) -> None:
    rows.insert(KeyHead(key="k", problem=LARGE))
    rows.insert(KeyHead(key="l", problem=LARGE))
    assert len(list(container.list_blobs())) == 1
    rows.insert(KeyHead(key="m", problem=f"{LARGE}."))
    assert len(list(container.list_blobs())) == 2


def test_a_row_that_fits_needs_no_blobs(rows: TableRows, container: ContainerClient) -> None:
    kept = rows.insert(work())
    assert kept
    rows.replace(kept, replace(work(), seq=1))
    assert not container.exists()


def test_a_text_that_somebody_deleted_is_an_error_and_no_empty_text(
    rows: TableRows, container: ContainerClient
) -> None:
    rows.insert(KeyHead(key="k", problem=LARGE))
    container.delete_container()
    with pytest.raises(NotFoundError, match="could not load the body"):
        rows.load(KeyHead, *KeyHead(key="k").address)


@pytest.mark.parametrize(
    ("letters", "imported"), [pytest.param(100, False), pytest.param(100_000, True)]
)
def test_the_blob_sdk_is_imported_only_for_a_text_that_is_too_large(
    storage: str,
    letters: int,
    imported: bool,  # noqa: FBT001 - a table
) -> None:
    """It costs 200 ms and 22 MB that a cold start has not got."""
    program = f"""
import sys
from shared.domain.rows import KeyHead
from shared.settings import Settings
from shared.wiring.adapters import Adapters

settings = Settings.from_env({{"KEYTURN_VAULTS": "kv1", "AzureWebJobsStorage": {storage!r}}})
rows = Adapters(settings).rows
head = KeyHead(key="k", problem="x" * {letters})
rows.insert(head)
assert rows.load(KeyHead, *head.address).row == head
print("azure.storage.blob" in sys.modules)
"""
    found = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program],
        cwd=CHECKOUT,
        env={"PYTHONPATH": "."},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == str(imported)
