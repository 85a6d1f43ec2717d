"""Several rows at once, in Azure Tables: all of them, or none."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from azure.data.tables import TableServiceClient
from azure.storage.blob import ContainerClient
from msgspec.structs import replace

from shared.adapters.storage.bodies import Bodies
from shared.adapters.storage.tables import TableRows
from shared.domain.errors import RejectedError, RowConflictError
from shared.domain.work import Outstanding, Stage, Work
from shared.ports import Drop, Insert, Kept, Put, Replace
from tests.adapters.row_values import work

type Change = Insert | Replace[Any] | Put | Drop

WORK = work()
ENTRY = Outstanding.of(WORK)
CLOSED = Outstanding.of(replace(WORK, stage=Stage.CONFIRM))


def _no_bodies() -> ContainerClient:
    raise AssertionError("no row here is too large for a table")


@pytest.fixture(name="service")
def _service(storage: str) -> Iterator[TableServiceClient]:
    with TableServiceClient.from_connection_string(storage) as service:
        yield service


@pytest.fixture(name="rows")
def _rows(service: TableServiceClient) -> TableRows:
    return TableRows(service, Bodies(_no_bodies))


def there(rows: TableRows) -> tuple[list[Work], list[Outstanding]]:
    """Return all that is kept."""
    partition = WORK.address[0]
    return (
        [kept.row for kept in rows.scan(Work, partition)],
        [kept.row for kept in rows.scan(Outstanding, partition)],
    )


def kept_work(rows: TableRows) -> Kept[Work]:
    kept = rows.load(Work, *WORK.address)
    assert kept
    return kept


def test_all_changes_are_made(rows: TableRows) -> None:
    rows.commit(Insert(WORK), Put(ENTRY))
    assert there(rows) == ([WORK], [ENTRY])
    moved = replace(WORK, seq=1)
    rows.commit(Replace(kept_work(rows), moved), Drop(ENTRY), Put(CLOSED))
    assert there(rows) == ([moved], [CLOSED])
    rows.commit(Replace(kept_work(rows), replace(moved, seq=2)), Put(replace(CLOSED, nudges=1)))
    assert there(rows) == ([replace(moved, seq=2)], [replace(CLOSED, nudges=1)])


def test_a_put_replaces_all_that_was_there(rows: TableRows) -> None:
    rows.commit(Put(replace(ENTRY, due_at=WORK.found_at, nudged_at=WORK.found_at)))
    rows.commit(Put(ENTRY))
    assert there(rows) == ([], [ENTRY])


def insert_of_what_is_there(_: TableRows) -> Sequence[Change]:
    return [Insert(WORK)]


def replacement_of_what_has_changed(rows: TableRows) -> Sequence[Change]:
    stale = kept_work(rows)
    rows.replace(stale, WORK)
    return [Replace(stale, replace(WORK, trouble="mine"))]


def replacement_of_what_is_gone(rows: TableRows) -> Sequence[Change]:
    other = rows.insert(replace(WORK, resource=f"{WORK.resource}3"))
    assert other
    assert other.row.address[0] == WORK.address[0]
    rows.commit(Drop(other.row))
    return [Replace(other, other.row)]


def removal_of_what_is_not_there(_: TableRows) -> Sequence[Change]:
    return [Drop(CLOSED)]


@pytest.mark.parametrize(
    "conflict",
    [
        insert_of_what_is_there,
        replacement_of_what_has_changed,
        replacement_of_what_is_gone,
        removal_of_what_is_not_there,
    ],
    ids=lambda conflict: conflict.__name__.replace("_", " "),
)
@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
def test_one_conflict_undoes_all_other_changes(
    rows: TableRows,
    conflict: Callable[[TableRows], Sequence[Change]],
    last: bool,  # noqa: FBT001 - a table
) -> None:
    rows.commit(Insert(WORK), Put(ENTRY))
    conflicting = conflict(rows)
    good: list[Change] = [Put(replace(ENTRY, nudges=7))]
    changes = [*good, *conflicting] if last else [*conflicting, *good]
    with pytest.raises(RowConflictError, match="was changed by another step"):
        rows.commit(*changes)
    assert there(rows) == ([WORK], [ENTRY])


def test_of_two_that_change_the_same_one_wins(rows: TableRows) -> None:
    rows.commit(Insert(WORK), Put(ENTRY))
    mine, theirs = kept_work(rows), kept_work(rows)
    rows.commit(Replace(theirs, replace(WORK, trouble="theirs")), Drop(ENTRY), Put(CLOSED))
    with pytest.raises(RowConflictError):
        rows.commit(Replace(mine, replace(WORK, trouble="mine")), Put(ENTRY))
    assert there(rows) == ([replace(WORK, trouble="theirs")], [CLOSED])


def test_the_table_is_made_when_it_is_first_missed(
    rows: TableRows, service: TableServiceClient
) -> None:
    assert list(service.list_tables()) == []
    rows.commit(Insert(WORK), Put(ENTRY))
    assert [table.name for table in service.list_tables()] == ["keyturnwork"]
    assert there(rows) == ([WORK], [ENTRY])


def test_what_is_not_there_cannot_be_removed_from_a_table_that_is_not_there_either(
    rows: TableRows,
) -> None:
    with pytest.raises(RowConflictError):
        rows.commit(Put(ENTRY), Drop(WORK))
    assert there(rows) == ([], [])


def test_what_the_service_does_not_take_is_no_conflict(rows: TableRows) -> None:
    """Two changes of one row: a mistake of ours, which no repetition mends."""
    with pytest.raises(RejectedError, match="could not change"):
        rows.commit(Put(ENTRY), Put(ENTRY))
