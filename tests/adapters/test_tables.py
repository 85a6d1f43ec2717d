"""Rows in Azure Tables: read back as they were kept, and guarded."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from azure.data.tables import TableServiceClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.adapters.storage.tables import TABLES, TableRows, decode, encode
from shared.domain.errors import RowConflictError, UnreadableError
from shared.domain.proofs import Level
from shared.domain.rows import (
    Beat,
    Cause,
    Consumer,
    Intent,
    KeyHead,
    Refusal,
    Request,
    Rotation,
    Row,
    Scope,
    Work,
)
from shared.domain.verdicts import Outcome, Verdict
from tests.domain.values import ACCOUNT, NOW, moments

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20)
ids = st.from_regex(r"[0-9a-f]{8}-[0-9]", fullmatch=True)
maybe_text = st.none() | texts
maybe_time = st.none() | moments
counts = st.integers(0, 2**31 - 1)
causes = st.builds(
    Cause, trigger=st.sampled_from(["event", "sweep", "operator"]), id=texts, reason=texts
)
consumers = st.builds(
    Consumer,
    place=texts,
    before=texts,
    pinned=st.booleans(),
    in_use_before=maybe_text,
    in_use=maybe_text,
    verdict=st.none() | st.sampled_from(Verdict),
    level=st.none() | st.sampled_from(Level),
    reason=texts,
    advice=texts,
)
ROWS: dict[type[Row], st.SearchStrategy[Any]] = {
    KeyHead: st.builds(KeyHead, key=texts, active=maybe_text, handled=maybe_text, problem=texts),
    Rotation: st.builds(
        Rotation,
        id=ids,
        key=texts,
        target=texts,
        target_created=moments,
        key_type=texts,
        bits=st.none() | counts,
        run=counts,
        cause=causes,
        opened_at=moments,
        starts_at=moments,
        current_problem=texts,
        scope=st.none()
        | st.builds(
            Scope,
            readable=counts,
            unreadable=counts,
            named=st.lists(texts, max_size=2).map(tuple),
        ),
        problem=texts,
        outcome=st.none() | st.sampled_from(Outcome),
        counts=st.dictionaries(st.sampled_from(Verdict), counts, max_size=3),
        ended_at=maybe_time,
    ),
    Beat: st.builds(Beat, rotation=ids, at=moments),
    Work: st.builds(
        Work,
        rotation=ids,
        resource=texts,
        kind=texts,
        location=texts,
        found_at=moments,
        seq=counts,
        wave=counts,
        open=st.booleans(),
        next=st.sampled_from(["repoint", "verify"]),
        due_at=maybe_time,
        nudged_at=maybe_time,
        intent=st.none() | st.builds(Intent, request_id=texts, at=moments),
        accepted_at=maybe_time,
        correlation_id=texts,
        consumers=st.lists(consumers, max_size=2).map(tuple),
        closed_at=maybe_time,
        trouble=texts,
    ),
    Request: st.builds(
        Request,
        id=ids,
        key=texts,
        reason=texts,
        new_version=st.booleans(),
        asked_at=moments,
        version_before=texts,
        vault_asked_at=maybe_time,
        rotation=texts,
        problem=texts,
    ),
    Refusal: st.builds(Refusal, event_id=texts, problem=texts, at=moments),
}


def work(resource: str = ACCOUNT, **fields: Any) -> Work:  # noqa: ANN401 - fields of a row
    return Work(
        rotation="r1",
        resource=resource,
        kind="storage_account",
        location="westeurope",
        found_at=NOW,
        **fields,
    )


@pytest.fixture(name="service")
def _service(storage: str) -> TableServiceClient:
    return TableServiceClient.from_connection_string(storage)


@pytest.fixture(name="rows")
def _rows(service: TableServiceClient) -> TableRows:
    return TableRows(service)


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
        work(open=True, due_at=NOW, consumers=(Consumer(place="account", before="x", pinned=True),))
    )
    assert columns["open"] is True
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
    assert rows.insert(work(trouble="first")) is True
    assert rows.insert(work(trouble="second")) is False
    kept = rows.load(Work, *work().address)
    assert kept
    assert kept.row.trouble == "first"


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
    assert rows.load(Work, "r1", "none") is None
    assert list(rows.scan(Work, "r1")) == []
    assert list(service.list_tables()) == []
    rows.insert(work())
    assert [table.name for table in service.list_tables()] == ["keyturnwork"]
    assert rows.load(Work, "r1", "none") is None


def test_a_scan_goes_through_every_page_of_its_partition_alone(
    rows: TableRows, service: TableServiceClient
) -> None:
    rows.insert(work())
    rows.insert(replace(work(), rotation="r2"))
    table = service.get_table_client("keyturnwork")
    more = [work(f"{ACCOUNT}{number}", open=number % 2 == 0) for number in range(1200)]
    for start in range(0, len(more), 100):
        table.submit_transaction([("create", encode(row)) for row in more[start : start + 100]])
    assert sum(1 for _ in rows.scan(Work, "r1")) == 1201
    found = [kept.row for kept in rows.scan(Work, "r1", where="open eq false")]
    assert len(found) == 600
    assert not any(row.open for row in found)


def test_a_scan_reads_no_page_before_it_is_wanted(rows: TableRows) -> None:
    rows.insert(work())
    scan = rows.scan(Work, "r1")
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
        list(rows.scan(Work, "r1"))


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


def test_the_tables_have_one_name_each() -> None:
    assert len(set(TABLES.values())) == len(TABLES)
    assert all(name.isalpha() for name in TABLES.values())
