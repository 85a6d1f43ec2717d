"""Everything that the list of facts knows to hold a customer-managed key is in the catalog."""

import json

import pytest

from shared.catalog import KINDS, find_kind
from shared.catalog.beside import BESIDE, SEARCH_SERVICE
from shared.domain.beside import Beside
from tests.catalog.entries import DATA, every_kind
from tests.catalog.test_replays import CHANGES, ELSEWHERE, UNSHOWN
from tests.generated import CHECKOUT

FACTS = DATA.parent / "facts" / "cmk-catalog.json"
with_facts = pytest.mark.skipif(not FACTS.is_file(), reason="the list of facts is not here")

COVERED = {
    "aks_disk": "aks_cluster",  # reached through its disk encryption set
    "aks_kms": "aks_cluster",
    "databricks_dbfs": "databricks_workspace",
    "databricks_managed_services": "databricks_workspace",
    "databricks_managed_disk": "databricks_workspace",
}
"""Entries that one of ours stands for, of the same resource."""

PREFLIGHT = {"key_vault", "managed_hsm"}
"""What holds the keys, and is looked at before a rotation."""


@with_facts
def test_no_kind_of_the_facts_is_silently_missing() -> None:
    known = json.loads(FACTS.read_text())
    assert len(known) >= 35
    for fact in known:
        if fact["id"] in PREFLIGHT:
            continue
        kind = find_kind(COVERED.get(fact["id"], fact["id"]))
        assert kind, fact["id"]
        assert kind.resource_type.lower() == fact["type"].partition(" ")[0].lower()


@with_facts
def test_what_the_facts_leave_to_a_person_is_not_written() -> None:
    reported = [fact["id"] for fact in json.loads(FACTS.read_text()) if _is_reported(fact)]
    assert reported
    for fact in reported:
        kind = find_kind(COVERED.get(fact, fact))
        assert kind
        assert not kind.write.verb
        assert kind.by_hand


def _is_reported(fact: dict[str, str]) -> bool:
    return fact["strategy"] in {"report_only", "verify_only"}


@every_kind
def test_every_kind_is_replayed_or_says_why_not(kind: object) -> None:
    kind_id = getattr(kind, "id", "")
    shown = {change.kind for change in CHANGES} | set(ELSEWHERE)
    assert (kind_id in shown) != bool(UNSHOWN.get(kind_id))


def test_ids_of_what_is_told_beside_are_its_own_and_its_texts_are_whole() -> None:
    ids = [each.id for each in BESIDE]
    assert len(set(ids)) == len(ids)
    assert {kind.id for kind in KINDS} & set(ids) == {SEARCH_SERVICE.id}


@pytest.mark.parametrize("beside", BESIDE, ids=lambda each: each.id)
def test_what_is_told_beside_says_why_and_where_from(beside: Beside) -> None:
    assert beside.why
    assert not beside.why.endswith(".")
    assert beside.counted
    assert beside.marked
    assert beside.sources
    assert beside.mark[0].startswith("properties.")


RECORDED_AS_PUT = {
    "log_analytics_cluster",
    "eventhub_namespace",
    "servicebus_namespace",
    "backup_vault",
}
"""Of which the facts have a PATCH; ADR 20."""


@with_facts
def test_the_verb_differs_from_the_facts_only_where_that_was_decided() -> None:
    facts = {fact["id"]: fact["update"] for fact in json.loads(FACTS.read_text())}
    patched = {id_ for id_, update in facts.items() if update and update["verb"] == "PATCH"}
    assert {k.id for k in KINDS if k.id in patched and k.write.verb == "PUT"} == RECORDED_AS_PUT


@pytest.mark.parametrize("kind_id", sorted(RECORDED_AS_PUT))
def test_an_entry_whose_verb_was_recorded_and_not_documented_says_so(kind_id: str) -> None:
    kind = find_kind(kind_id)
    assert kind
    assert kind.write.verb == "PUT"
    assert any("recorded traffic" in each and "(PUT" in each for each in kind.sources)
    page = (CHECKOUT / "docs" / "adr" / "0020-recorded-verbs.md").read_text()
    assert f"| {kind.title} | PATCH" in page
