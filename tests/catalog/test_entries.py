"""The catalog: every entry is complete, and is found by its type and by its id."""

import re
import string
from datetime import timedelta

import pytest

from shared.catalog import KINDS, find_kind, kind_named, kind_of
from shared.catalog.container_instances import CONTAINER_GROUP
from shared.catalog.cosmosdb import COSMOSDB_ACCOUNT
from shared.catalog.deployment_configs import DEPLOYMENT_CONFIG
from shared.catalog.storage import STORAGE_ACCOUNT, STORAGE_ENCRYPTION_SCOPE
from shared.domain.errors import UnreadableError
from shared.domain.kinds import Kind, Plane
from shared.domain.proofs import AllOf, EchoesTarget, Level, NamesTarget
from tests.catalog.entries import ENTRIES, ON_ARM, every_arm_kind, every_kind

every_found_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.id)


@every_kind
def test_an_entry_has_all_that_a_reader_needs(kind: Kind) -> None:
    assert re.fullmatch(r"[a-z_]+", kind.id)
    assert kind.title
    # Messages say "a …".
    assert kind.title[0].lower() not in "aeiou"
    assert len(kind.sources) >= 2
    assert kind.key_types
    assert kind.key_bits
    assert kind.level in {Level.CONFIGURED, Level.REPORTED}
    assert kind.actions
    assert all(text.strip() for text in kind.advice.values())
    assert all(symptom.says.strip() and symptom.advice.strip() for symptom in kind.symptoms)


@every_arm_kind
def test_an_entry_on_arm_names_its_type_version_and_rights(kind: Kind) -> None:
    assert re.fullmatch(r"Microsoft\.\w+(/\w+)+", kind.resource_type)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", kind.api_version)
    assert f"{kind.resource_type}/read".lower() in {a.lower() for a in kind.actions}
    assert f"{kind.resource_type}/write".lower() in {a.lower() for a in kind.actions}
    assert {"AuthorizationFailed", "LinkedAuthorizationFailed", "ScopeLocked"} <= set(kind.advice)


def test_every_entry_is_of_the_plane_that_the_tests_take_it_for() -> None:
    assert {kind for kind in ENTRIES if kind.plane is Plane.ARM} == set(ON_ARM)


def test_ids_and_types_are_given_once() -> None:
    assert len({kind.id for kind in ENTRIES}) == len(ENTRIES)
    assert len({kind.resource_type.lower() for kind in ENTRIES}) == len(ENTRIES)


def test_what_is_listed_under_a_parent_is_a_child_type_of_an_entry() -> None:
    for kind in ENTRIES:
        is_child = kind.resource_type.count("/") > 1
        assert bool(kind.listed_under) == is_child
        if is_child:
            assert kind.resource_type.startswith(f"{kind.listed_under}/")
            assert kind.listed_under in {parent.resource_type for parent in ENTRIES}


@every_found_kind
def test_a_kind_is_found_by_its_type_in_any_casing_and_by_its_id(kind: Kind) -> None:
    assert kind in ENTRIES
    assert kind_of(kind.resource_type.upper()) is kind
    assert kind_named(kind.id) is kind


def test_what_the_catalog_does_not_know_is_no_kind() -> None:
    assert kind_of("Microsoft.Web/sites") is None
    assert kind_of("") is None
    assert find_kind("moon_base") is None
    with pytest.raises(UnreadableError, match="moon_base"):
        kind_named("moon_base")


UNGUARDED = {
    # Null is refused, and the URI is all that is sent.
    "cosmosdb_account",
    # A file's write is guarded by its ETag, and by the file being read again.
    "deployment_config",
}
"""Kinds of which no write can switch the customer-managed key off; read for each. Every other one
has a guard."""


@every_kind
def test_a_kind_of_which_a_write_could_switch_the_key_off_has_a_guard(kind: Kind) -> None:
    assert bool(kind.write.guard) is (kind.id not in UNGUARDED)


@every_kind
def test_a_window_is_looked_into_before_it_closes(kind: Kind) -> None:
    for window in filter(None, (kind.pinned, kind.versionless)):
        assert timedelta() < window.looks.first < window.length
        assert window.looks.factor >= 2


ASSUMED = {"storage_account", "storage_encryption_scope", "container_group"}
"""Kinds for which no page says how long a written version takes; read for each."""


@every_kind
def test_a_window_names_microsofts_page_or_is_the_assumed_hour(kind: Kind) -> None:
    assert bool(kind.pinned.source) is (kind.id not in ASSUMED)
    for window in filter(None, (kind.pinned, kind.versionless)):
        if window.source:
            assert window.source.startswith("https://learn.microsoft.com/")
            assert window.source in kind.sources
        else:
            assert window is kind.pinned
            assert window.length == timedelta(hours=1)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (STORAGE_ACCOUNT, ("identity can reach the vault", "wrap with the new")),
        (STORAGE_ENCRYPTION_SCOPE, ("identity can reach the vault", "wrap with the new")),
        (COSMOSDB_ACCOUNT, ("identity can reach the vault", "wrap with the new")),
        (CONTAINER_GROUP, ("events", "image", "quota", "may get and unwrap")),
        (DEPLOYMENT_CONFIG, ("who else writes the file",)),
    ],
    ids=lambda value: value.id if isinstance(value, Kind) else "",
)
def test_what_to_do_about_a_stuck_resource_fits_its_kind(
    kind: Kind, words: tuple[str, ...]
) -> None:
    assert all(word in kind.if_stuck for word in words)
    assert "then rotate again" in kind.if_stuck
    assert ("vault" in kind.if_stuck) is (kind is not DEPLOYMENT_CONFIG)


@every_kind
def test_what_a_kind_reports_comes_from_a_field_that_we_never_send(kind: Kind) -> None:
    if kind.level is not Level.REPORTED:
        return
    assert isinstance(kind.proof, AllOf)
    (named,) = [rule for rule in kind.proof.rules if isinstance(rule, NamesTarget)]
    assert (kind.in_use, kind.in_use_key) == (named.path, named.key)
    sent = any(f"{named.path}.".startswith(f"{path}.") for path in kind.write.send)
    assert not sent or named.path in kind.write.never


@every_kind
def test_a_kind_that_can_only_echo_is_not_called_reported(kind: Kind) -> None:
    rules = kind.proof.rules if isinstance(kind.proof, AllOf) else (kind.proof,)
    echoes = [rule for rule in rules if isinstance(rule, EchoesTarget)]
    assert bool(echoes) == (kind.level is Level.CONFIGURED) == (not kind.in_use)
    assert all(rule.shape == kind.shape for rule in echoes)


@every_kind
def test_only_a_kind_that_says_what_it_uses_is_nudged(kind: Kind) -> None:
    if kind.may_nudge:
        assert kind.in_use
        assert kind.versionless
        assert kind.recreation is None


def test_the_commands_by_hand_take_exactly_what_they_are_given() -> None:
    recreation = CONTAINER_GROUP.recreation
    assert recreation
    fields = {field for _, field, _, _ in string.Formatter().parse(recreation.commands) if field}
    assert fields == {"subscription", "group", "name", "url", "change"}
