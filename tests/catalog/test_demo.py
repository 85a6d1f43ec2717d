"""The demo shows every kind of the catalog: what is new here cannot be missing there."""

from collections.abc import Iterator

import pytest

from sandbox.arm.resource_ids import ResourceId
from sandbox.demo_estate import DemoEstate, demo_estate
from sandbox.demo_kinds import FAMILIES, Family
from sandbox.testing import Rig, rig
from shared.catalog import KINDS
from shared.catalog.beside import BESIDE
from shared.domain.kinds import Kind, Plane
from shared.domain.proofs import Level
from shared.domain.shapes import NoReference
from tests.catalog.entries import every_arm_kind, every_kind


@pytest.fixture(name="served", scope="module")
def _served() -> Iterator[Rig]:
    with rig() as served:
        yield served


@pytest.fixture(name="demo", scope="module")
def _demo(served: Rig) -> DemoEstate:
    return demo_estate(served.estate)


def types_of(demo: DemoEstate) -> dict[str, list[bool]]:
    """Return the types of the demo's resources, and of each resource whether it moves."""
    found: dict[str, list[bool]] = {}
    for member in demo.members:
        if member.id.startswith("/"):
            found.setdefault(ResourceId.parse(member.id).type, []).append(member.fate.moves)
    return found


@every_kind
def test_the_demo_has_a_name_for_each_kind_and_a_place_for_its_reports(kind: Kind) -> None:
    family = FAMILIES[kind.id]
    assert family.type == (kind.resource_type if kind.plane is Plane.ARM else "")


def test_the_demo_has_a_name_for_what_is_told_of_beside_the_kinds(demo: DemoEstate) -> None:
    assert {entry.id for entry in BESIDE} <= set(FAMILIES)
    counted = {each.id for each in demo.members if not each.id.startswith("/")}
    assert counted == {entry.title for entry in BESIDE}


def test_the_demo_names_no_kind_that_there_is_not() -> None:
    assert set(FAMILIES) == {kind.id for kind in KINDS} | {entry.id for entry in BESIDE}


@every_arm_kind
def test_the_demos_estate_has_a_resource_of_each_kind(
    served: Rig, demo: DemoEstate, kind: Kind
) -> None:
    everywhere = (f"/subscriptions/{each}" for each in demo.subscriptions)
    assert any(served.estate.arm.resources.below(scope, kind.resource_type) for scope in everywhere)


@every_arm_kind
def test_each_kind_that_holds_a_key_is_judged_and_one_that_is_written_to_moves(
    demo: DemoEstate, kind: Kind
) -> None:
    moves = types_of(demo).get(kind.resource_type, [])
    if not isinstance(kind.shape, NoReference):
        assert moves
    assert any(moves) == bool(kind.write.verb)


@every_arm_kind
def test_what_a_kind_is_said_to_tell_it_tells(kind: Kind) -> None:
    assert not FAMILIES[kind.id].tells or kind.level is Level.REPORTED


def test_each_kind_that_is_only_reported_has_one_that_says_so(demo: DemoEstate) -> None:
    by_hand = {each.family for each in demo.members if each.fate.is_reported_only}
    assert by_hand == {
        FAMILIES[kind.id]
        for kind in KINDS
        if kind.by_hand and not isinstance(kind.shape, NoReference)
    }


def test_files_are_the_kind_without_resources() -> None:
    assert {kind.id for kind in KINDS if kind.plane is not Plane.ARM} == {Family.FILES.kind}
    assert {family for family in Family if not family.type} == {Family.FILES, Family.ML_REST}
