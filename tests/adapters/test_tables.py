"""Rows in Azure Tables: read back as they were kept, and guarded."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from azure.data.tables import TableServiceClient
from azure.storage.blob import ContainerClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.adapters.storage.bodies import Bodies
from shared.adapters.storage.tables import TABLES, TableRows, decode, encode
from shared.domain.errors import RowConflictError, UnreadableError
from shared.domain.records import Request
from shared.domain.rows import KeyHead, Row
from shared.domain.work import Consumer, Outstanding, Stage, Work
from tests.adapters.row_values import ROWS, work
from tests.domain.values import ACCOUNT, NOW


def _no_bodies() -> ContainerClient:
    raise AssertionError("no row here is too large for a table")


NO_BODIES = Bodies(_no_bodies)
SHARD = work().address[0]


@pytest.fixture(name="service")
def _service(storage: str) -> Iterator[TableServiceClient]:
    with TableServiceClient.from_connection_string(storage) as service:
        yield service


@pytest.fixture(name="rows")
def _rows(service: TableServiceClient) -> TableRows:
    return TableRows(service, NO_BODIES)


def test_every_kind_of_row_is_tried_here() -> None:
    assert set(ROWS) == set(TABLES)


@pytest.mark.parametrize("row_type", ROWS, ids=lambda row_type: row_type.__name__)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(choose=st.data())
def test_a_row_reads_back_as_it_was_kept(
    rows: TableRows, row_type: type[Row], choose: st.DataObject
) -> None:
    row = choose.draw(ROWS[row_type])
    if not rows.insert(row):
        kept = rows.load(row_type, *row.address)
        assert kept
        rows.replace(kept, row)
    kept = rows.load(row_type, *row.address)
    assert kept
    assert kept.row == row


@pytest.mark.parametrize("row_type", ROWS, ids=lambda row_type: row_type.__name__)
@given(choose=st.data())
def test_every_value_of_a_row_survives_its_columns(
    row_type: type[Row], choose: st.DataObject
) -> None:
    row = choose.draw(ROWS[row_type])
    columns = encode(row)
    assert decode(row_type, columns) == row
    assert all(isinstance(v, str | int | bool | datetime) for v in columns.values())


def test_plain_fields_are_columns_that_a_person_can_read() -> None:
    columns = encode(
        work(due_at=NOW, consumers=(Consumer(place="account", before="x", pinned=True),))
    )
    assert (columns["stage"], columns["wave"]) == ("open", 2)
    assert columns["due_at"] == NOW
    assert columns["kind"] == "storage_account"
    assert '"place":"account"' in columns["consumers_json"]
    assert "intent" not in columns


def test_microseconds_are_kept(rows: TableRows) -> None:
    moment = datetime(2026, 11, 23, 18, 0, 0, 123457, tzinfo=UTC)
    rows.insert(work(due_at=moment))
    kept = rows.load(Work, *work().address)
    assert kept
    assert kept.row.due_at == moment


def test_a_row_is_new_once_and_the_first_stays(rows: TableRows) -> None:
    first = rows.insert(work(trouble="first"))
    assert first
    assert rows.insert(work(trouble="second")) is None
    kept = rows.load(Work, *work().address)
    assert kept
    assert kept == first
    rows.replace(first, work(trouble="third"))  # what insert returned guards as well


def test_a_row_that_changed_meanwhile_is_not_replaced(rows: TableRows) -> None:
    rows.insert(work())
    mine = rows.load(Work, *work().address)
    theirs = rows.load(Work, *work().address)
    assert mine
    assert theirs
    rows.replace(theirs, replace(theirs.row, trouble="theirs"))
    with pytest.raises(RowConflictError, match="was changed by another step"):
        rows.replace(mine, replace(mine.row, trouble="mine"))
    kept = rows.load(Work, *work().address)
    assert kept
    assert kept.row.trouble == "theirs"


def test_a_replaced_row_can_be_replaced_again_with_what_replace_returned(
    rows: TableRows,
) -> None:
    rows.insert(work())
    kept = rows.load(Work, *work().address)
    assert kept
    kept = rows.replace(kept, replace(kept.row, seq=1))
    kept = rows.replace(kept, replace(kept.row, seq=2))
    assert kept.row.seq == 2


def test_a_field_that_became_unset_is_unset_in_the_table(rows: TableRows) -> None:
    rows.insert(work(due_at=NOW))
    kept = rows.load(Work, *work().address)
    assert kept
    rows.replace(kept, replace(kept.row, due_at=None))
    kept = rows.load(Work, *work().address)
    assert kept
    assert kept.row.due_at is None


def test_what_is_not_there_is_nothing_even_before_there_are_tables(
    rows: TableRows, service: TableServiceClient
) -> None:
    assert rows.load(Work, SHARD, "none") is None
    assert list(rows.scan(Work, SHARD)) == []
    assert list(service.list_tables()) == []
    rows.insert(work())
    assert [table.name for table in service.list_tables()] == ["keyturnwork"]
    assert rows.load(Work, SHARD, "none") is None


def test_a_scan_goes_through_every_page_of_its_partition_alone(
    rows: TableRows, service: TableServiceClient
) -> None:
    rows.insert(work())
    rows.insert(replace(work(), rotation="r2"))
    table = service.get_table_client("keyturnwork")
    row = encode(work())
    more = [row | {"RowKey": f"{number:032x}", "seq": number % 2} for number in range(1200)]
    for start in range(0, len(more), 100):
        table.submit_transaction([("create", row) for row in more[start : start + 100]])
    assert sum(1 for _ in rows.scan(Work, SHARD)) == 1201
    found = [kept.row for kept in rows.scan(Work, SHARD, where="seq eq 1")]
    assert [row.seq for row in found] == [1] * 600


def test_a_scan_of_one_class_sees_nothing_of_the_one_it_shares_its_table_with(
    rows: TableRows,
) -> None:
    other = work(f"{ACCOUNT}3", stage=Stage.CONFIRM)
    assert other.address[0] == SHARD
    for row in (work(), Outstanding.of(work()), other, Outstanding.of(other)):
        rows.insert(row)
    assert {kept.row.resource for kept in rows.scan(Work, SHARD)} == {ACCOUNT, f"{ACCOUNT}3"}
    stages = {kept.row.stage for kept in rows.scan(Outstanding, SHARD)}
    assert stages == {Stage.OPEN, Stage.CONFIRM}
    one_stage = "RowKey ge 'todo-confirm-' and RowKey lt 'todo-confirm-~'"
    (found,) = rows.scan(Outstanding, SHARD, where=one_stage)
    assert found.row == Outstanding.of(other)


def test_a_scan_reads_no_page_before_it_is_wanted(rows: TableRows) -> None:
    rows.insert(work())
    scan = rows.scan(Work, SHARD)
    kept = rows.load(Work, *work().address)
    assert kept
    rows.replace(kept, replace(kept.row, trouble="later"))
    assert next(scan).row.trouble == "later"


def test_a_partition_key_is_a_value_and_no_part_of_the_query(rows: TableRows) -> None:
    rows.insert(work())
    assert list(rows.scan(Work, "x' or PartitionKey ne '")) == []


@pytest.mark.parametrize(
    "column",
    [
        pytest.param({"schema": 2}, id="a later schema"),
        pytest.param({"next": "dance"}, id="an unknown step"),
        pytest.param({"seq": "many"}, id="another type"),
        pytest.param({"consumers_json": '[{"place": 1}]'}, id="parts of another form"),
    ],
)
def test_a_row_of_another_schema_is_refused(
    rows: TableRows, service: TableServiceClient, column: dict[str, Any]
) -> None:
    rows.insert(work())
    service.get_table_client("keyturnwork").update_entity(encode(work()) | column)
    with pytest.raises(UnreadableError, match="of another schema"):
        rows.load(Work, *work().address)
    with pytest.raises(UnreadableError, match="of another schema"):
        list(rows.scan(Work, SHARD))


def test_a_column_that_a_later_keyturn_added_is_ignored(
    rows: TableRows, service: TableServiceClient
) -> None:
    rows.insert(work())
    service.get_table_client("keyturnwork").update_entity(encode(work()) | {"colour": "red"})
    kept = rows.load(Work, *work().address)
    assert kept
    assert kept.row == work()


def test_a_schema_that_is_not_ours_cannot_even_be_made() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"schema": 2, "key": "k"}, KeyHead)


@pytest.mark.parametrize("odd", ["it's", "a b", "ä", "a%2Fb", "a+b"])
def test_an_odd_id_is_simply_not_found(rows: TableRows, odd: str) -> None:
    rows.insert(Request(id="req-1", key="k", reason="r", new_version=True, asked_at=NOW))
    assert rows.load(Request, odd, "request") is None


def test_each_class_has_a_table_but_work_and_its_index_which_change_together() -> None:
    names = [name for row_type, name in TABLES.items() if row_type is not Outstanding]
    assert len(set(names)) == len(names)
    assert TABLES[Outstanding] == TABLES[Work]
    assert all(name.isalpha() for name in TABLES.values())
