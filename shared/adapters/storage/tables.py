"""The rows behind ``shared.ports.Rows``: one table per kind of row.

A field is a column; what has parts is a column of JSON, named ``…_json``. So the rows read well in
any table browser, and OData can ask for the plain ones.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from typing import Any

import msgspec
from azure.core import MatchConditions
from azure.core.exceptions import (
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.data.tables import (
    TableClient,
    TableServiceClient,
    TableTransactionError,
    UpdateMode,
)

from shared.adapters.http_errors import translated
from shared.adapters.storage.bodies import Bodies
from shared.domain.errors import RowConflictError, UnreadableError
from shared.domain.records import (
    Act,
    Call,
    Gap,
    Opened,
    Pending,
    Probe,
    Pulse,
    Refusal,
    Request,
    SettledByHand,
    Unheard,
    Watched,
)
from shared.domain.rows import (
    Beat,
    Debt,
    Foresight,
    KeyHead,
    Known,
    Lane,
    Lease,
    Rotation,
    Row,
    Search,
)
from shared.domain.work import Outstanding, Work
from shared.ports import Drop, Insert, Kept, Put, Replace

TABLES: Mapping[type[Row], str] = {
    KeyHead: "keyturnheads",
    Rotation: "keyturnrotations",
    Foresight: "keyturnforesights",
    Beat: "keyturnbeats",
    Search: "keyturnsearches",
    Work: "keyturnwork",
    Outstanding: "keyturnwork",
    Lease: "keyturnleases",
    Debt: "keyturndebts",
    Known: "keyturnknown",
    Lane: "keyturnlanes",
    Request: "keyturnrequests",
    Pending: "keyturnpending",
    Act: "keyturnacts",
    SettledByHand: "keyturnsettled",
    Opened: "keyturnopened",
    Call: "keyturncalls",
    Unheard: "keyturnunheard",
    Pulse: "keyturnpulse",
    Probe: "keyturnprobes",
    Watched: "keyturnwatched",
    Gap: "keyturngaps",
    Refusal: "keyturnrefusals",
}

_RANGES: Mapping[type[Row], str] = {Work: "RowKey lt 'todo-'", Outstanding: "RowKey ge 'todo-'"}
"""Which rows of a table that two classes share are whose: one transaction changes both."""

_JSON = "_json"
_BODY = "_body"
_LONGEST = 60_000
"""Bytes of UTF-16 in a column; the service takes 64 KiB."""

_CONFLICTS = {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED}


class TableRows:
    """Keeps rows under ETags. Tables are made when first missed.

    A column longer than a table takes is kept as a blob, and the row holds the blob's name.
    """

    def __init__(self, service: TableServiceClient, bodies: Bodies) -> None:
        self._client = cache(service.get_table_client)
        self._bodies = bodies

    def load[T: Row](self, row_type: type[T], partition: str, key: str) -> Kept[T] | None:
        """See ``Rows.load``."""
        with translated(f"load {row_type.__name__} {partition}/{key}"):
            try:
                entity = self._table(row_type).get_entity(partition, key)
            except ResourceNotFoundError:
                return None
        return self._kept(row_type, entity)

    def insert[T: Row](self, row: T) -> Kept[T] | None:
        """See ``Rows.insert``."""
        table, entity = self._table(type(row)), self._entity(row)
        with translated(f"keep {type(row).__name__} {'/'.join(row.address)}"):
            try:
                answer = table.create_entity(entity)
            except ResourceExistsError:
                return None
            except ResourceNotFoundError:
                _make(table)
                return self.insert(row)
        return Kept(row, answer["etag"])

    def replace[T: Row](self, kept: Kept[T], row: T) -> Kept[T]:
        """See ``Rows.replace``."""
        name = f"{type(row).__name__} {'/'.join(row.address)}"
        with translated(f"replace {name}"):
            try:
                answer = self._table(type(row)).update_entity(
                    self._entity(row),
                    UpdateMode.REPLACE,
                    etag=kept.etag,
                    match_condition=MatchConditions.IfNotModified,
                )
            except (ResourceModifiedError, ResourceNotFoundError) as error:
                raise RowConflictError(f"{name} was changed by another step") from error
        return Kept(row, answer["etag"])

    def commit(self, *changes: Insert | Replace[Any] | Put | Drop) -> None:
        """See ``Rows.commit``."""
        table = self._table(type(changes[0].row))
        name = "/".join(changes[0].row.address)
        operations = [self._operation(change) for change in changes]
        with translated(f"change {name} and what goes with it"):
            try:
                table.submit_transaction(operations)
            except TableTransactionError as error:
                if "TableNotFound" in str(error):
                    _make(table)
                    self.commit(*changes)
                elif error.status_code in _CONFLICTS:
                    raise RowConflictError(f"{name} was changed by another step") from error
                else:
                    raise

    def _operation(self, change: Insert | Replace[Any] | Put | Drop) -> tuple[Any, ...]:
        match change:
            case Insert(row):
                return ("create", self._entity(row))
            case Replace(kept, row):
                guard = {"etag": kept.etag, "match_condition": MatchConditions.IfNotModified}
                return ("update", self._entity(row), {"mode": UpdateMode.REPLACE, **guard})
            case Put(row):
                return ("upsert", self._entity(row), {"mode": UpdateMode.REPLACE})
            case Drop(row):
                partition, key = row.address
                return ("delete", {"PartitionKey": partition, "RowKey": key})

    def scan[T: Row](
        self, row_type: type[T], partition: str, *, where: str = ""
    ) -> Iterator[Kept[T]]:
        """See ``Rows.scan``."""
        conditions = ["PartitionKey eq @partition", _RANGES.get(row_type, ""), where]
        condition = " and ".join(filter(None, conditions))
        with translated(f"scan {row_type.__name__} {partition}"):
            try:
                for entity in self._table(row_type).query_entities(
                    condition, parameters={"partition": partition}
                ):
                    yield self._kept(row_type, entity)
            except ResourceNotFoundError:
                return

    def _entity(self, row: Row) -> dict[str, Any]:
        entity = encode(row)
        for name, value in list(entity.items()):
            if isinstance(value, str) and len(value.encode("utf-16-le")) > _LONGEST:
                del entity[name]
                entity[name + _BODY] = self._bodies.keep(value)
        return entity

    def _kept[T: Row](self, row_type: type[T], entity: Any) -> Kept[T]:  # noqa: ANN401 - the SDK's
        columns = {
            name.removesuffix(_BODY): self._bodies.load(value) if name.endswith(_BODY) else value
            for name, value in entity.items()
        }
        return Kept(decode(row_type, columns), entity.metadata["etag"])

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
