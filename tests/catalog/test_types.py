"""Every path of an entry exists at the version that is sent, and what is computed is not sent."""

from collections.abc import Iterator

from shared.catalog.container_instances import CONTAINER_GROUP
from shared.catalog.storage import STORAGE_ACCOUNT
from shared.domain.kinds import Kind
from shared.domain.proofs import AllOf, FieldIs, NamesTarget, NoComplaint
from shared.domain.shapes import SplitReference, UrlReference
from tests.catalog.entries import every_arm_kind, with_data
from tests.catalog.microsoft_types import (
    flags_at,
    is_read_only,
    is_writable,
    read_only_below,
    types_of,
    versions_of,
)

WITHHELD = {"properties.ipAddress.ip": "Azure gives the address; a group cannot ask for one"}
"""What is writable and yet never sent, with the reason."""


def paths_of(kind: Kind) -> set[str]:
    """Return every path that an entry uses."""
    found = {*_of_the_shape(kind), *_of_the_proof(kind), *kind.write.send, *kind.write.never}
    found |= {kind.write.guard, kind.in_use, kind.in_use_key}
    found |= {symptom.path for symptom in kind.symptoms}
    if kind.recreation:
        found |= {kind.recreation.identity, kind.recreation.own_identity}
        found |= {*kind.recreation.made_from}
        for secret in kind.recreation.secrets:
            prefix = f"{secret.each}." if secret.each else ""
            when = [secret.when[0]] if secret.when else []
            found |= {f"{prefix}{path}" for path in (*secret.unless, *secret.fields, *when)} | {
                secret.each
            }
    return found - {""}


def _of_the_shape(kind: Kind) -> Iterator[str]:
    shape = kind.shape
    assert isinstance(shape, SplitReference | UrlReference)
    if shape.when:
        yield shape.when[0]
    if isinstance(shape, UrlReference):
        yield shape.url
    else:
        yield from (shape.vault, shape.name, shape.version)


def _of_the_proof(kind: Kind) -> Iterator[str]:
    assert isinstance(kind.proof, AllOf)
    for rule in kind.proof.rules:
        if isinstance(rule, NamesTarget):
            yield from (rule.path, rule.key)
        elif isinstance(rule, FieldIs | NoComplaint):
            yield rule.path


def covers(never: str, path: str) -> bool:
    """Return whether leaving out ``never`` leaves out ``path``."""
    ours, theirs = never.lower().split("."), path.lower().split(".")
    return len(ours) <= len(theirs) and all(
        one in ("*", other) for one, other in zip(ours, theirs, strict=False)
    )


@with_data
@every_arm_kind
def test_the_types_are_of_the_version_that_is_sent_or_lie_around_it(kind: Kind) -> None:
    versions = versions_of(kind.resource_type)
    assert len(types_of(kind.resource_type)) == len(versions)
    assert min(versions) <= kind.api_version <= max(versions)


@with_data
@every_arm_kind
def test_every_path_exists(kind: Kind) -> None:
    for root in types_of(kind.resource_type):
        assert {path for path in paths_of(kind) if flags_at(root, path) is None} == set()
        assert flags_at(root, f"{kind.write.send[-1]}.nonsense") is None


@with_data
@every_arm_kind
def test_what_the_service_computes_is_never_sent(kind: Kind) -> None:
    for root in types_of(kind.resource_type):
        computed = [path for sent in kind.write.send for path in read_only_below(root, sent)]
        sent = [p for p in computed if not any(covers(never, p) for never in kind.write.never)]
        assert sent == []


@with_data
@every_arm_kind
def test_nothing_that_can_be_written_is_left_out_without_a_reason(kind: Kind) -> None:
    for root in types_of(kind.resource_type):
        left_out = {path for path in kind.write.never if not is_read_only(root, path)}
        assert left_out <= set(WITHHELD)


@with_data
def test_a_put_sends_every_part_that_can_be_written() -> None:
    (root,) = types_of(CONTAINER_GROUP.resource_type)
    parts = {name for name in root.properties() if is_writable(root, name)}
    assert parts == {part.lower() for part in CONTAINER_GROUP.write.send}


@with_data
@every_arm_kind
def test_the_version_in_use_is_the_services_own_to_set(kind: Kind) -> None:
    for root in types_of(kind.resource_type):
        assert not kind.in_use or is_read_only(root, kind.in_use)


@with_data
def test_what_is_said_of_the_types_can_be_untrue() -> None:
    root = types_of(STORAGE_ACCOUNT.resource_type)[0]
    assert not is_read_only(root, "properties.encryption.keySource")
    assert read_only_below(root, "properties.encryption")
    assert not covers("a.b.c", "a.b")
    assert not covers("a.*.c", "a.x.d")
    assert covers("a.*", "a.x.d")
