"""The catalog: every entry is complete, its paths exist, and it fits what was recorded."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.catalog import KINDS, find_kind, kind_named, kind_of
from shared.catalog.storage import STORAGE_ACCOUNT
from shared.domain.errors import UnreadableError
from shared.domain.json_paths import look_up, text_at
from shared.domain.keys import Key, KeyVersion
from shared.domain.kinds import Kind, SplitReference, Window
from shared.domain.plans import references_to, request_body
from shared.domain.proofs import AllOf, FieldIs, Level, NamesTarget
from shared.domain.resources import Reference

DATA = Path(__file__).parents[3] / "shared" / "data"
RECORDING = DATA / "recordings" / "storage-accounts" / "customer_managed_key.json"
TYPES = DATA / "bicep-types" / "microsoft.storage"
with_data = pytest.mark.skipif(not DATA.is_dir(), reason="Microsoft's files are not here")
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.id)


@every_kind
def test_an_entry_has_all_that_a_reader_needs(kind: Kind) -> None:
    assert re.fullmatch(r"[a-z_]+", kind.id)
    assert re.fullmatch(r"Microsoft\.\w+/\w+", kind.resource_type)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d(-preview)?", kind.api_version)
    assert kind.title
    assert len(kind.sources) >= 2
    assert kind.key_types
    assert kind.key_bits
    assert kind.level in {Level.CONFIGURED, Level.REPORTED}
    assert f"{kind.resource_type}/read".lower() in {a.lower() for a in kind.actions}
    assert f"{kind.resource_type}/write".lower() in {a.lower() for a in kind.actions}
    assert all(text.strip() for text in kind.advice.values())
    assert {"AuthorizationFailed", "ScopeLocked"} <= set(kind.advice)


@every_kind
def test_a_kind_is_found_by_its_type_in_any_casing_and_by_its_id(kind: Kind) -> None:
    assert kind_of(kind.resource_type.upper()) is kind
    assert kind_named(kind.id) is kind


def test_what_the_catalog_does_not_know_is_no_kind() -> None:
    assert kind_of("Microsoft.Web/sites") is None
    assert kind_of("") is None
    assert find_kind("moon_base") is None
    with pytest.raises(UnreadableError, match="moon_base"):
        kind_named("moon_base")


@every_kind
def test_a_window_names_its_source_and_is_looked_into_before_it_closes(kind: Kind) -> None:
    windows: list[Window] = [kind.pinned, *([kind.versionless] if kind.versionless else [])]
    for window in windows:
        assert window.source.startswith("https://learn.microsoft.com/")
        assert timedelta() < window.looks.first < window.length
        assert window.looks.factor >= 2


@every_kind
def test_what_a_kind_reports_comes_from_a_field_that_we_never_send(kind: Kind) -> None:
    if kind.level is Level.REPORTED:
        assert isinstance(kind.proof, AllOf)
        named = {rule.path for rule in kind.proof.rules if isinstance(rule, NamesTarget)}
        assert named
        assert named <= set(kind.write.never)
        assert kind.in_use in named


def test_the_figures_for_storage_are_microsofts() -> None:
    assert STORAGE_ACCOUNT.pinned.length == timedelta(hours=1)
    assert STORAGE_ACCOUNT.versionless
    assert STORAGE_ACCOUNT.versionless.length == timedelta(days=1)
    assert STORAGE_ACCOUNT.key_bits == {2048, 3072, 4096}
    assert STORAGE_ACCOUNT.write.verb == "PATCH"


def paths_of(kind: Kind) -> set[str]:
    """Return every path that an entry uses."""
    assert isinstance(kind.shape, SplitReference)
    assert isinstance(kind.proof, AllOf)
    shape = {kind.shape.when[0], kind.shape.vault, kind.shape.name, kind.shape.version}
    proof = {rule.path for rule in kind.proof.rules if isinstance(rule, NamesTarget | FieldIs)}
    return {*shape, *proof, *kind.write.send, *kind.write.never, kind.write.guard, kind.in_use}


def is_property(types: list[Any], path: str) -> bool:
    """Return whether Microsoft's type of the resource has a property at ``path``."""
    place = next(
        t
        for t in types
        if t["$type"] == "ObjectType" and t.get("name") == "Microsoft.Storage/storageAccounts"
    )
    for name in path.split("."):
        known = {key.lower(): value for key, value in place.get("properties", {}).items()}
        found = next(iter(known.values()), None) if name == "*" else known.get(name.lower())
        if found is None:
            return False
        place = types[int(found["type"]["$ref"].removeprefix("#/"))]
    return True


@with_data
@pytest.mark.parametrize("version", ["2021-09-01", "2026-04-01"])
def test_every_path_exists_in_the_versions_around_the_one_that_is_sent(version: str) -> None:
    types = json.loads((TYPES / version / "storage.types.json").read_text())
    assert {p for p in paths_of(STORAGE_ACCOUNT) if not is_property(types, p)} == set()
    assert not is_property(types, "properties.encryption.keyvaultproperties.nonsense")
    assert "2021-09-01" < STORAGE_ACCOUNT.api_version < "2026-04-01"


def exchanges() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(RECORDING.read_text())["exchanges"]
    return found


def account_bodies() -> list[dict[str, Any]]:
    return [
        e["response"]["body"]
        for e in exchanges()
        if isinstance(e["response"]["body"], dict)
        and e["response"]["body"].get("type") == STORAGE_ACCOUNT.resource_type
    ]


@with_data
def test_a_recorded_account_is_read_as_it_was_recorded() -> None:
    forms = set()
    for body in account_bodies():
        encryption = body["properties"]["encryption"]
        raw = encryption.get("keyvaultproperties")
        if encryption["keySource"] != "Microsoft.Keyvault":
            assert STORAGE_ACCOUNT.shape.read(body) == ()
            forms.add("none")
            continue
        key = Key.parse(f"{raw['keyvaulturi'].rstrip('/')}/keys/{raw['keyname']}")
        written = raw.get("keyversion")
        pinned = KeyVersion(key, written) if written else None
        assert STORAGE_ACCOUNT.shape.read(body) == (Reference("account", key, pinned),)
        in_use = KeyVersion.parse(raw["currentVersionedKeyIdentifier"])
        assert STORAGE_ACCOUNT.version_in_use(body) == in_use
        assert STORAGE_ACCOUNT.proof.check(body, in_use).holds
        other = KeyVersion(in_use.key, "0" * 32)
        assert not STORAGE_ACCOUNT.proof.check(body, other).holds
        forms.add({None: "absent", "": "empty"}.get(written, "pinned"))
    assert forms == {"none", "absent", "empty", "pinned"}


@with_data
def test_our_write_is_the_recorded_one_and_nothing_beside_the_encryption() -> None:
    """The recorded PATCH that pins a version, and the account as it was before it.

    The recorded one repeats sku, tags and network rules too; ours leaves them alone.
    """
    tried = 0
    before: dict[str, Any] = {}
    for exchange in exchanges():
        sent, answer = exchange["request"]["body"], exchange["response"]["body"]
        is_account = (
            isinstance(answer, dict) and answer.get("type") == STORAGE_ACCOUNT.resource_type
        )
        if not is_account:
            continue
        version = text_at(sent, "properties.encryption.keyvaultproperties.keyversion")
        if exchange["request"]["method"] == "PATCH" and version and before:
            (reference,) = STORAGE_ACCOUNT.shape.read(before)
            target = KeyVersion(reference.key, version)
            references = references_to(STORAGE_ACCOUNT, before, reference.key)
            ours = request_body(STORAGE_ACCOUNT, before, references, target)
            assert ours == {"properties": {"encryption": look_up(sent, "properties.encryption")}}
            tried += 1
        before = answer if STORAGE_ACCOUNT.shape.read(answer) else {}
    assert tried >= 1
