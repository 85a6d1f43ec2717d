"""Every path of an entry exists at the version that is sent, and what is computed is not sent."""

from collections.abc import Iterator

import pytest

from shared.catalog import kind_named
from shared.catalog.beside import BESIDE
from shared.catalog.storage import STORAGE_ACCOUNT
from shared.domain.beside import Beside
from shared.domain.kinds import Kind
from shared.domain.proofs import FieldIs, IsEmpty, NamesTarget, NoComplaint
from tests.catalog.entries import (
    every_arm_kind,
    every_kind,
    every_put_kind,
    every_written_kind,
    with_data,
)
from tests.catalog.microsoft_types import (
    flags_at,
    is_read_only,
    is_writable,
    read_only_below,
    types_of,
    versions_of,
)
from tests.catalog.references import paths
from tests.catalog.trials import rules_of

WITHHELD = {
    "properties.ipAddress.ip": "Azure gives the address; a group cannot ask for one",
    "properties.privateEndpointConnections": (
        "resources of their own: terraform's PUT of a namespace leaves them out, and they stay"
    ),
    "properties.parameters.*.type": "recorded in answers, and in no request",
    "properties.associatedWorkspaces": "a cluster's PUT with it is refused: 400 InvalidParameter",
}
"""What is writable and yet never sent, with the reason."""

UNTYPED = {
    "properties.parameters.enableFedRampCertification",
    "properties.privateLinkAssets",
    "identity.userAssignedIdentities.*.principalId",
    "identity.userAssignedIdentities.*.clientId",
}
"""Recorded in answers (of Databricks, and of whatever has identities), and not in every type."""

NOT_OF_THE_BODY = {"etag"}
"""Parts of a PUT that are not sent: an ETag goes into a header."""


def paths_of(kind: Kind) -> set[str]:
    """Return every path that an entry uses."""
    found = {*paths(kind.shape), *_of_the_proof(kind), *kind.write.send, *kind.write.never}
    found |= {kind.write.guard, kind.in_use, kind.in_use_key, kind.in_use_bare}
    found |= {symptom.path for symptom in kind.symptoms}
    found |= {*kind.identities} | ({kind.shown_by.names} if kind.shown_by else set())
    for link in kind.through:
        found |= {link.names, f"{link.parts}.{link.keeps_old.path}" if link.keeps_old else ""}
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


def _of_the_proof(kind: Kind) -> Iterator[str]:
    for rule in rules_of(kind):
        if isinstance(rule, NamesTarget):
            yield from (rule.path, rule.key)
        elif isinstance(rule, FieldIs | NoComplaint | IsEmpty):
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
    assert versions
    assert min(versions) <= kind.api_version <= max(versions)


@with_data
@every_kind
def test_every_way_to_another_resource_exists(kind: Kind) -> None:
    for link in kind.through:
        (root,) = types_of(kind_named(link.kind).resource_type)[-1:]
        assert not link.by or flags_at(root, link.by) is not None


@with_data
@every_arm_kind
def test_every_path_exists(kind: Kind) -> None:
    for root in types_of(kind.resource_type):
        assert {path for path in paths_of(kind) if flags_at(root, path) is None} <= UNTYPED
        assert flags_at(root, "properties.nonsense") is None


@with_data
@every_written_kind
def test_what_the_service_computes_is_never_sent(kind: Kind) -> None:
    for root in types_of(kind.resource_type):
        computed = [path for sent in kind.write.send for path in read_only_below(root, sent)]
        sent = [p for p in computed if not any(covers(never, p) for never in kind.write.never)]
        assert sent == []


@with_data
@every_written_kind
def test_nothing_that_can_be_written_is_left_out_without_a_reason(kind: Kind) -> None:
    for root in types_of(kind.resource_type):
        left_out = {path for path in kind.write.never if not is_read_only(root, path)}
        assert left_out - UNTYPED <= set(WITHHELD)


@with_data
@every_put_kind
def test_a_put_sends_every_part_that_can_be_written(kind: Kind) -> None:
    (root,) = types_of(kind.resource_type)
    parts = {name for name in root.properties() if is_writable(root, name)}
    assert parts - NOT_OF_THE_BODY == {part.lower() for part in kind.write.send}


@with_data
@every_arm_kind
def test_the_version_in_use_is_the_services_own_to_set(kind: Kind) -> None:
    for root in types_of(kind.resource_type):
        is_reference = kind.in_use in set(paths(kind.shape))
        assert not kind.in_use or is_reference or is_read_only(root, kind.in_use)


@with_data
@pytest.mark.parametrize("beside", BESIDE, ids=lambda each: each.id)
def test_the_mark_of_what_is_counted_exists(beside: Beside) -> None:
    roots = types_of(beside.resource_type)
    assert roots
    assert all(flags_at(root, beside.mark[0]) is not None for root in roots)


@with_data
def test_what_is_said_of_the_types_can_be_untrue() -> None:
    root = types_of(STORAGE_ACCOUNT.resource_type)[0]
    assert not is_read_only(root, "properties.encryption.keySource")
    assert read_only_below(root, "properties.encryption")
    assert not covers("a.b.c", "a.b")
    assert not covers("a.*.c", "a.x.d")
    assert covers("a.*", "a.x.d")
