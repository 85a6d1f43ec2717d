"""What is sent is the fresh body but for the reference, whatever that body holds."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.catalog.container_instances import CONTAINER_GROUP
from shared.catalog.cosmosdb import COSMOSDB_ACCOUNT
from shared.catalog.deployment_configs import DEPLOYMENT_CONFIG
from shared.catalog.storage import STORAGE_ACCOUNT, STORAGE_ENCRYPTION_SCOPE
from shared.domain.errors import RefusedWriteError, UnreadableError
from shared.domain.json_paths import Json, drop, every
from shared.domain.keys import Key, KeyVersion
from shared.domain.kinds import Kind
from shared.domain.plans import references_to, request_body
from tests.catalog.bodies import config, cosmos, full_account, full_group, scope
from tests.catalog.entries import (
    DATA,
    every_guarded_kind,
    every_put_kind,
    every_written_kind,
    with_data,
)
from tests.catalog.microsoft_types import fullest, problems, types_of
from tests.catalog.references import Leaf, paths, pinned, written
from tests.catalog.samples import SAMPLES
from tests.domain.values import KEY, NEWER, OLD, TARGET, any_casing

SHIPPED = {
    STORAGE_ACCOUNT.id: full_account(),
    STORAGE_ENCRYPTION_SCOPE.id: scope(),
    COSMOSDB_ACCOUNT.id: cosmos(),
    CONTAINER_GROUP.id: full_group(),
    **SAMPLES,
}
"""A body of each kind, tried beside those of Microsoft's types, which are not everywhere."""


@dataclass(frozen=True)
class Case:
    """A body that holds a reference to ``OLD``, and what is sent so that it names ``TARGET``."""

    kind: Kind
    fresh: Json
    sent: Json


def places_of(kind: Kind) -> set[str]:
    """Return the paths of the objects that must be there for a body to hold references."""
    held = [path.partition(".*")[0] for path in paths(kind.shape)]
    return {path.rpartition(".")[0] for path in (*held, kind.write.guard, *kind.write.send)}


def names_below(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Return the path of every name in ``value``; ``0``, ``1`` … for the items of lists."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield (*path, name)
            yield from names_below(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from names_below(inner, (*path, str(index)))


def perturbed(draw: st.DrawFn, value: object, chosen: dict[tuple[str, ...], str]) -> object:
    """Return ``value`` with chosen names dropped, made null, or written in another casing."""

    def go(value: object, path: tuple[str, ...]) -> object:
        if isinstance(value, list):
            return [go(inner, (*path, str(index))) for index, inner in enumerate(value)]
        if not isinstance(value, dict):
            return value
        found: Json = {}
        for name, inner in value.items():
            match chosen.get((*path, name)):
                case "drop":
                    continue
                case "null":
                    found[name] = None
                case "casing":
                    found[draw(any_casing(name))] = go(inner, (*path, name))
                case _:
                    found[name] = go(inner, (*path, name))
        if chosen.get(path) == "more":
            found["x-unknown"] = draw(st.sampled_from([None, 1, "", {"a": [None]}, []]))
        return found

    return go(value, ())


def typed(kind: Kind) -> list[Json]:
    """Return a body that has all that Microsoft's types allow, for each version that is kept."""
    return [fullest(root) for root in types_of(kind.resource_type)]


def bodies(kind: Kind) -> list[Json]:
    """Return bodies of a kind that lack nothing that matters to it."""
    return [copy.deepcopy(SHIPPED[kind.id]), *(typed(kind) if DATA.is_dir() else ())]


@st.composite
def cases(draw: st.DrawFn, kind: Kind, full: Json) -> Case:
    """Any body, less some of it, and with things unheard of."""
    paths = sorted(names_below(full))
    changes = st.sampled_from(["drop", "null", "casing", "more"])
    chosen = draw(st.dictionaries(st.sampled_from(paths), changes, max_size=12))
    body = perturbed(draw, full, chosen)
    assert isinstance(body, dict)
    for path in places_of(kind):
        ensure_object(body, path)
    pinned(kind, body, OLD)
    fresh = copy.deepcopy(body)
    sent = request_body(kind, body, references_to(kind, body, KEY), TARGET)
    assert body == fresh
    return Case(kind, fresh, sent)


def ensure_object(body: Json, path: str) -> None:
    """Make an object of what was made null on the way to the reference."""
    place = body
    for name in filter(None, path.split(".")):
        actual = next((key for key in place if key.lower() == name.lower()), name)
        if not isinstance(place.get(actual), dict):
            place[actual] = {}
        place = place[actual]


def leaves(value: object, path: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """Return every leaf with its path in lower case; an empty object or list is one."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves(inner, (*path, name.lower()))
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, f"[{index}]"))
    else:
        yield path, repr(value)


def expected(case: Case) -> set[Leaf]:
    """Return the leaves of the fresh body that lie under what is sent, without the reference."""
    fresh = copy.deepcopy(case.fresh)
    for never in case.kind.write.never:
        drop(fresh, never)
    parts = [tuple(path.lower().split(".")) for path in case.kind.write.send]
    return {
        (path, value)
        for path, value in leaves(fresh)
        if any(path[: len(part)] == part for part in parts)
        and path not in {path for path, _ in written(case.kind.shape, TARGET)}
        # A part of the body that is null is not sent.
        and (path not in parts or value != "None")
    }


quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@every_written_kind
@quick
@given(st.data())
def test_everything_but_the_reference_is_sent_as_it_was(kind: Kind, data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(bodies(kind)).flatmap(partial(cases, kind)))
    assert set(leaves(case.sent)) == expected(case) | written(kind.shape, TARGET)


@with_data
@every_written_kind
@quick
@given(st.data())
def test_what_is_sent_fits_microsofts_types_and_holds_nothing_computed(
    kind: Kind, data: st.DataObject
) -> None:
    case = data.draw(st.sampled_from(typed(kind)).flatmap(partial(cases, kind)))
    for root in types_of(kind.resource_type):
        found = problems(root, case.sent, whole=False)
        # What Azure shows beyond its own types is sent back as it was.
        assert [text for text in found if "x-unknown" not in text] == []


@with_data
@every_put_kind
def test_what_a_put_sends_is_whole(kind: Kind) -> None:
    (root,) = types_of(kind.resource_type)
    body = fullest(root)
    pinned(kind, body, OLD)
    sent = request_body(kind, body, references_to(kind, body, KEY), TARGET)
    assert problems(root, sent, whole=True) == []
    assert problems(root, body, whole=True)


@with_data
def test_a_definition_that_lacks_something_is_not_whole() -> None:
    (root,) = types_of(CONTAINER_GROUP.resource_type)
    body = pinned(CONTAINER_GROUP, fullest(root), OLD)
    sent = request_body(CONTAINER_GROUP, body, references_to(CONTAINER_GROUP, body, KEY), TARGET)
    del sent["properties"]["containers"]
    assert problems(root, sent, whole=True) == [".properties.containers is missing"]


@every_written_kind
def test_what_is_shipped_is_tried_in_all_that_is_never_sent(kind: Kind) -> None:
    shipped = SHIPPED[kind.id]
    assert kind.shape.read(shipped)
    assert [path for path in kind.write.never if not every(shipped, path)] == []


@every_guarded_kind
def test_a_body_without_what_marks_the_key_as_customer_managed_is_refused(kind: Kind) -> None:
    for body in bodies(kind):
        pinned(kind, body, OLD)
        assert request_body(kind, body, (), TARGET)
        drop(body, kind.write.guard)
        with pytest.raises((RefusedWriteError, UnreadableError)):
            request_body(kind, body, (), TARGET)


@every_written_kind
def test_a_reference_to_another_key_is_not_moved(kind: Kind) -> None:
    elsewhere = KeyVersion(Key("kv2.vault.azure.net", KEY.name), TARGET.version)
    for body in bodies(kind):
        pinned(kind, body, OLD)
        references = references_to(kind, body, KEY)
        with pytest.raises(RefusedWriteError, match="would not name"):
            request_body(kind, body, references, elsewhere)


def test_of_a_config_file_only_the_versions_change() -> None:
    other = KeyVersion(Key(KEY.vault, "other"), NEWER.version)
    body = config(OLD, other, OLD)
    sent = request_body(
        DEPLOYMENT_CONFIG, body, references_to(DEPLOYMENT_CONFIG, body, KEY), TARGET
    )
    assert sent == {"text": body["text"].replace(OLD.version, TARGET.version)}
