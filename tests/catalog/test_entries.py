"""The catalog: every entry is complete, and is found by its type and by its id."""

import re
import string
from datetime import timedelta

import pytest

from shared.catalog import KINDS, find_kind, kind_named, kind_of
from shared.catalog.beside import BESIDE
from shared.catalog.container_instances import CONTAINER_GROUP
from shared.catalog.cosmosdb import COSMOSDB_ACCOUNT
from shared.catalog.deployment_configs import DEPLOYMENT_CONFIG
from shared.catalog.resource_manager import GROUP_READ
from shared.catalog.storage import STORAGE_ACCOUNT, STORAGE_ENCRYPTION_SCOPE
from shared.domain.errors import UnreadableError
from shared.domain.kinds import NO_WRITE, Kind
from shared.domain.proofs import AllOf, EchoesTarget, IsEmpty, Level, NamesTarget, Unprovable
from shared.domain.shapes import References
from tests.catalog.entries import ENTRIES, REFERRING, WRITTEN, every_arm_kind, every_kind
from tests.catalog.references import parts, paths

every_found_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.id)


@every_kind
def test_an_entry_has_all_that_a_reader_needs(kind: Kind) -> None:
    assert re.fullmatch(r"[a-z_]+", kind.id)
    assert kind.title
    assert len(kind.sources) >= 2
    assert kind.key_types
    assert kind.key_bits
    assert kind.operations
    assert kind.actions
    assert kind.limits
    assert all(text.strip() for text in kind.limits)
    assert all(text.strip() for text in kind.advice.values())
    assert all(symptom.path and symptom.advice.strip() for symptom in kind.symptoms)


@every_kind
def test_an_entry_is_proven_at_a_level_or_says_why_not(kind: Kind) -> None:
    if isinstance(kind.proof, Unprovable):
        assert kind.level is Level.ACCEPTED
        assert kind.proof.why
        assert kind.by_hand or kind.through
    else:
        assert kind.level in {Level.CONFIGURED, Level.REPORTED}


@every_kind
def test_an_entry_is_written_or_left_to_a_person_or_reached_through_another(kind: Kind) -> None:
    assert bool(kind.write.verb) == (kind.by_hand is None and kind in REFERRING)
    # Or it is counted by its type, where nothing that can be searched names a key.
    assert (kind in REFERRING) or kind.through or kind.id in {each.id for each in BESIDE}
    if kind.write.verb:
        assert kind.write.verb in {"PATCH", "PUT"}
        assert kind.write.send
    else:
        assert kind.write is NO_WRITE
        assert not [action for action in kind.actions if not action.endswith("/read")]
        assert kind.recreation is None
        assert not kind.may_nudge


@every_kind
def test_the_steps_by_hand_name_the_resource_and_the_version(kind: Kind) -> None:
    if kind.by_hand:
        fields = {name for _, name, _, _ in string.Formatter().parse(kind.by_hand.steps) if name}
        assert fields in ({"resource", "target"}, {"group", "name", "target"})
        assert kind.by_hand.why
        assert not kind.by_hand.why.endswith(".")


@every_kind
def test_what_is_reached_through_another_kind_is_reached_through_an_entry(kind: Kind) -> None:
    for link in kind.through:
        assert find_kind(link.kind) in WRITTEN
        assert link.names
        assert link.says
        if link.keeps_old:
            assert link.keeps_old.advice
            assert link.parts
            assert link.part_type


@every_kind
def test_a_flag_that_follows_the_vault_goes_with_a_version_in_use_that_shows(kind: Kind) -> None:
    if any(getattr(part, "follows", "") for part in parts(kind.shape)):
        # One of several, or one that is only reported, is left to a person where it follows.
        assert kind.in_use or kind.by_hand or isinstance(kind.shape, References)
        assert kind.versionless
        # The form stays as it is when the version is written: there is nothing to give back.
        assert not kind.may_nudge


@every_arm_kind
def test_an_entry_on_arm_names_its_type_version_and_rights(kind: Kind) -> None:
    assert re.fullmatch(r"Microsoft\.\w+(/\w+)+", kind.resource_type)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", kind.api_version)
    assert f"{kind.resource_type}/read".lower() in {a.lower() for a in kind.actions}
    writes = f"{kind.resource_type}/write".lower() in {a.lower() for a in kind.actions}
    assert writes == bool(kind.write.verb)
    assert not kind.write.verb or GROUP_READ in kind.actions
    assert {"AuthorizationFailed", "LinkedAuthorizationFailed", "ScopeLocked"} <= set(kind.advice)


def test_ids_and_types_are_given_once() -> None:
    assert len({kind.id for kind in ENTRIES}) == len(ENTRIES)
    assert len({kind.resource_type.lower() for kind in ENTRIES}) == len(ENTRIES)


CHILDREN_IN_GRAPH = {"elastic_san_volume_group"}
"""On Resource Graph's list of types, though they are children: microsoft.elasticsan/elasticsans/
volumegroups (docs: supported tables and resources)."""


PARENTS_WITHOUT_A_KEY = {"Microsoft.Sql/servers", "Microsoft.Sql/managedInstances"}
"""Their children alone are written to."""


def test_what_is_listed_under_a_parent_is_a_child_type_of_an_entry() -> None:
    for kind in ENTRIES:
        is_child = kind.resource_type.count("/") > 1
        assert bool(kind.listed_under) == (is_child and kind.id not in CHILDREN_IN_GRAPH)
        if kind.listed_under:
            assert kind.resource_type.startswith(f"{kind.listed_under}/")
            parents = {parent.resource_type for parent in ENTRIES} | PARENTS_WITHOUT_A_KEY
            assert kind.listed_under in parents


@every_found_kind
def test_a_kind_is_found_by_its_type_in_any_casing_and_by_its_id(kind: Kind) -> None:
    assert kind_of(kind.resource_type.upper()) is kind
    assert not kind.graph_type or kind_of(kind.graph_type.lower()) is kind
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
    # Nothing but the key's own fields is sent, by PATCH: the rest stays as it is.
    "appconfig_store",
    "ml_workspace",
    "recovery_vault",
    # ``encryptionType`` is sent as it was; without it the set keeps its own.
    "disk_encryption_set",
    # The whole body is sent as it was read, each key with its source.
    "databricks_workspace",
}
"""Kinds of which no write can switch the customer-managed key off; read for each. Every other one
has a guard."""


@every_kind
def test_a_kind_of_which_a_write_could_switch_the_key_off_has_a_guard(kind: Kind) -> None:
    is_written = bool(kind.write.verb)
    assert bool(kind.write.guard) is (is_written and kind.id not in UNGUARDED)


@every_kind
def test_a_window_is_looked_into_before_it_closes(kind: Kind) -> None:
    for window in filter(None, (kind.pinned, kind.versionless)):
        assert timedelta() < window.looks.first < window.length
        assert window.looks.factor >= 2


DOCUMENTED = {"cosmosdb_account", "deployment_config", "appconfig_store"}
"""Kinds of which a page says how long a written version takes; read for each."""

FOLLOWING_WITHOUT_A_FIGURE = {
    "log_analytics_cluster",
    "kusto_cluster",
    "servicebus_namespace",
    "databricks_workspace",
}
"""Kinds of which a page says that they follow the vault, and not how soon."""


@every_kind
def test_a_window_names_microsofts_page_or_is_the_assumed_hour(kind: Kind) -> None:
    assert bool(kind.pinned.source) is (kind.id in DOCUMENTED)
    if kind.versionless:
        assert bool(kind.versionless.source) is (kind.id not in FOLLOWING_WITHOUT_A_FIGURE)
    for window in filter(None, (kind.pinned, kind.versionless)):
        if window.source:
            assert window.source.startswith("https://learn.microsoft.com/")
            assert window.source in kind.sources
        else:
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
    assert ("vault" in kind.if_stuck) is (kind is not DEPLOYMENT_CONFIG)


@every_kind
def test_what_to_do_about_a_stuck_resource_ends_with_another_rotation(kind: Kind) -> None:
    assert "then rotate again" in kind.if_stuck


NAMED_BY_THE_REFERENCE = {"disk_encryption_set"}
"""``activeKey`` is "the key … currently used"; that no ``previousKeys`` are left makes it true."""


@every_kind
def test_what_a_kind_reports_comes_from_a_field_that_we_never_send(kind: Kind) -> None:
    if kind.level is not Level.REPORTED:
        return
    assert isinstance(kind.proof, AllOf)
    (named,) = [rule for rule in kind.proof.rules if isinstance(rule, NamesTarget)]
    assert (kind.in_use, kind.in_use_key) == (named.path, named.key)
    if named.path in set(paths(kind.shape)) - set(kind.write.never):
        # What is written is what is reported: something else must show that it is in force.
        assert kind.id in NAMED_BY_THE_REFERENCE
        assert [rule for rule in kind.proof.rules if isinstance(rule, IsEmpty)]
        return
    sent = any(f"{named.path}.".startswith(f"{path}.") for path in kind.write.send)
    assert not sent or named.path in kind.write.never


@every_kind
def test_a_kind_that_can_only_echo_is_not_called_reported(kind: Kind) -> None:
    rules = kind.proof.rules if isinstance(kind.proof, AllOf) else (kind.proof,)
    echoes = [rule for rule in rules if isinstance(rule, EchoesTarget)]
    assert bool(echoes) == (kind.level is Level.CONFIGURED)
    assert bool(kind.in_use) == (kind.level is Level.REPORTED)
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
