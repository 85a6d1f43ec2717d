"""The rows behind ``shared.ports.Rows``: one table per kind of row.

A field is a column; what has parts is a column of JSON, named ``…_json``. So the rows read well in
any table browser, and OData can ask for the plain ones.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec
from azure.core import MatchConditions
from azure.core.exceptions import (
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.data.tables import TableClient, TableServiceClient, UpdateMode

from shared.adapters.http_errors import translated
from shared.domain.errors import RowConflictError, UnreadableError
from shared.domain.rows import Beat, KeyHead, Refusal, Request, Rotation, Row, Work
from shared.ports import Kept

TABLES: Mapping[type[Row], str] = {
    KeyHead: "keyturnheads",
    Rotation: "keyturnrotations",
    Beat: "keyturnbeats",
    Work: "keyturnwork",
    Request: "keyturnrequests",
    Refusal: "keyturnrefusals",
}

_JSON = "_json"


class TableRows:
    """Keeps rows under ETags. Tables are made when first missed."""

    def __init__(self, service: TableServiceClient) -> None:
        self._client = cache(service.get_table_client)

    def load[T: Row](self, row_type: type[T], partition: str, key: str) -> Kept[T] | None:
        """See ``Rows.load``."""
        with translated(f"load {row_type.__name__} {partition}/{key}"):
            try:
                entity = self._table(row_type).get_entity(partition, key)
            except ResourceNotFoundError:
                return None
        return _kept(row_type, entity)

    def insert(self, row: Row) -> bool:
        """See ``Rows.insert``."""
        table, entity = self._table(type(row)), encode(row)
        with translated(f"keep {type(row).__name__} {'/'.join(row.address)}"):
            try:
                table.create_entity(entity)
            except ResourceExistsError:
                return False
            except ResourceNotFoundError:
                _make(table)
                return self.insert(row)
        return True

    def replace[T: Row](self, kept: Kept[T], row: T) -> Kept[T]:
        """See ``Rows.replace``."""
        name = f"{type(row).__name__} {'/'.join(row.address)}"
        with translated(f"replace {name}"):
            try:
                answer = self._table(type(row)).update_entity(
                    encode(row),
                    UpdateMode.REPLACE,
                    etag=kept.etag,
                    match_condition=MatchConditions.IfNotModified,
                )
            except ResourceModifiedError as error:
                raise RowConflictError(f"{name} was changed by another step") from error
        return Kept(row, answer["etag"])

    def scan[T: Row](
        self, row_type: type[T], partition: str, *, where: str = ""
    ) -> Iterator[Kept[T]]:
        """See ``Rows.scan``."""
        condition = "PartitionKey eq @partition" + (f" and {where}" if where else "")
        with translated(f"scan {row_type.__name__} {partition}"):
            try:
                for entity in self._table(row_type).query_entities(
                    condition, parameters={"partition": partition}
                ):
                    yield _kept(row_type, entity)
            except ResourceNotFoundError:
                return

    def _table(self, row_type: type[Row]) -> TableClient:
        client: TableClient = self._client(TABLES[row_type])
        return client


def _make(table: TableClient) -> None:
    try:
        table.create_table()
    except ResourceExistsError:
        return  # another step made it meanwhile


def encode(row: Row) -> dict[str, Any]:
    """Return a row as a table entity."""
    partition, key = row.address
    entity: dict[str, Any] = {"PartitionKey": partition, "RowKey": key}
    for name, value in msgspec.to_builtins(row, builtin_types=(datetime,)).items():
        if isinstance(value, dict | list | tuple):
            entity[name + _JSON] = msgspec.json.encode(value).decode()
        elif value is not None:
            entity[name] = value
    return entity


def decode[T: Row](row_type: type[T], entity: Mapping[str, Any]) -> T:
    """Return a table entity as a row.

    Raises:
        UnreadableError: It is not of the schema this Keyturn knows.
    """
    columns: dict[str, Any] = {}
    for name, value in entity.items():
        if name.endswith(_JSON):
            columns[name.removesuffix(_JSON)] = json.loads(value)
        elif isinstance(value, datetime):
            # A plain datetime: the SDK's own class is none that msgspec takes.
            columns[name] = datetime.fromtimestamp(value.timestamp(), UTC)
        else:
            columns[name] = value
    try:
        return msgspec.convert(columns, row_type)
    except msgspec.ValidationError as error:
        raise UnreadableError(
            f"a row of {TABLES[row_type]} is of another schema: {error}"
        ) from error


def _kept[T: Row](row_type: type[T], entity: Any) -> Kept[T]:  # noqa: ANN401 - the SDK's entity
    return Kept(decode(row_type, entity), entity.metadata["etag"])
