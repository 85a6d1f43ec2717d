"""Where a page of a plan begins, as a text that goes to the caller and comes back."""

import base64
import re
import zlib
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from functions.problems import RequestError
from shared.domain import rows
from shared.domain.rows import Scope, Search
from shared.usecases.plan_key import Place

MOST = 20_000
"""Characters: a hundred ids of subscriptions and a token of Resource Graph take some 6,000."""

_GUID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$(?!\n)"
_DIGEST = re.compile(r"[0-9a-f]{0,32}")

type _Ids = Annotated[tuple[Annotated[str, Meta(pattern=_GUID)], ...], Meta(max_length=100)]
type _Count = Annotated[int, Meta(ge=0, le=10_000_000)]


class _Cursor(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Fields of a ``Search``. It comes from outside: whoever has it may read, and no more."""

    version: Literal[1]
    place: rows.Place
    after: Annotated[str, Meta(max_length=2000)]
    batch: _Ids
    token: Annotated[str, Meta(max_length=8000)]
    readable: _Count
    unreadable: _Count
    named: _Ids
    lacking: Annotated[tuple[Annotated[str, Meta(max_length=200)], ...], Meta(max_length=20)]
    files: _Count
    skip: _Count


def encode(place: Place) -> str:
    """Return a place as a text for a URL."""
    search = place.search
    cursor = _Cursor(
        1,
        search.place,
        search.after,
        search.batch,
        search.token,
        search.scope.readable,
        search.scope.unreadable,
        search.scope.named,
        search.scope.lacking,
        search.scope.files,
        place.skip,
    )
    packed = zlib.compress(msgspec.json.encode(cursor), 9)
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def decode(text: str, now: datetime) -> Place:
    """Read such a text.

    Raises:
        RequestError: It is none.
    """
    try:
        packed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        unpacking = zlib.decompressobj()
        found = msgspec.json.decode(unpacking.decompress(packed, 10 * MOST), type=_Cursor)
    except (ValueError, zlib.error, RecursionError):
        raise _no_cursor() from None
    # It stands in a filter of rows there.
    is_odd = found.place is rows.Place.KNOWN and not _DIGEST.fullmatch(found.after)
    if is_odd or not unpacking.eof:
        raise _no_cursor()
    scope = Scope(
        readable=found.readable,
        unreadable=found.unreadable,
        named=found.named,
        lacking=found.lacking,
        files=found.files,
    )
    search = Search(
        rotation="",
        closing=False,
        at=now,
        place=found.place,
        after=found.after,
        batch=found.batch,
        token=found.token,
        scope=scope,
    )
    return Place(search, found.skip)


def _no_cursor() -> RequestError:
    detail = "query/after is not what the page before said: begin again without it"
    return RequestError(HTTPStatus.BAD_REQUEST, detail)
