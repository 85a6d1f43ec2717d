"""Lists of rotations and of consumers: pages, filters, and links."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.domain.keys import Key, KeyVersion
from shared.domain.records import Opened, Request
from shared.domain.rows import Cause, KeyHead, Phase, Rotation, rotation_id
from shared.domain.verdicts import Outcome, Verdict
from shared.domain.work import Consumer, Work, close
from shared.usecases import history
from tests.domain.values import NOW
from tests.functions.api import AUDITOR, CalledApi
from tests.usecases.bench import Bench
from tests.usecases.memory import MemoryRows

KEYS = [Key("kv-bench.vault.azure.net", name) for name in ("one", "two")]
RID = "f" * 20 + "-1"


def fresh(called: CalledApi) -> CalledApi:
    """Return the API at rows of its own."""
    bench = called.bench
    return CalledApi(
        Bench(bench.azure, bench.settings, {}, {**bench.instead, "rows": MemoryRows()})
    )


def rotation(key: Key, number: int, **fields: Any) -> Rotation:  # noqa: ANN401 - of a row
    target = KeyVersion(key, f"{number:032x}")
    told = {"opened_at": NOW + timedelta(seconds=number // 2), **fields}
    return Rotation(
        id=rotation_id(target, 1),
        key=str(key),
        target=str(target),
        target_created=NOW,
        key_type="RSA",
        run=1,
        cause=Cause(trigger="event", id="e1"),
        **told,
    )


def keep(called: CalledApi, *rotations: Rotation) -> list[str]:
    """Keep rotations; return their ids, the newest first."""
    for each in rotations:
        called.bench.rows.insert(each)
        called.bench.rows.insert(Opened(rotation=each.id, key=each.key, at=each.opened_at))
    return [each.id for each in sorted(rotations, key=lambda r: (-r.opened_at.timestamp(), r.id))]


def ids(items: list[Any]) -> list[str]:
    return [item["id"] for item in items]


@given(count=st.integers(0, 25), limit=st.integers(1, 30), looked_at=st.integers(1, 30))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_pages_of_rotations_are_all_of_them_once_the_newest_first(
    empty: CalledApi, monkeypatch: pytest.MonkeyPatch, count: int, limit: int, looked_at: int
) -> None:
    monkeypatch.setattr(history, "MOST_LOOKED_AT", looked_at)
    called = fresh(empty)
    kept = keep(called, *(rotation(KEYS[n % 2], n) for n in range(count)))
    pages = called.pages(f"/api/rotations?limit={limit}")
    assert all(len(page["items"]) <= limit for page in pages)
    assert [item["id"] for page in pages for item in page["items"]] == kept
    one = called.items(f"/api/rotations?limit={limit}&key={KEYS[0]}")
    assert ids(one) == [r for r in kept if called.bench.rotation(r).key == str(KEYS[0])]


def test_a_list_can_be_filtered_by_the_state_that_each_rotation_shows(empty: CalledApi) -> None:
    called = fresh(empty)
    one, two = KEYS
    ended = rotation(one, 1, outcome=Outcome.FAILED, ended_at=NOW, counts={Verdict.STUCK: 2})
    lost = rotation(one, 2)  # its key went on to another
    paused, moving = rotation(one, 3, phase=Phase.MOVING), rotation(two, 4, phase=Phase.MOVING)
    keep(called, ended, lost, paused, moving)
    called.bench.rows.insert(KeyHead(key=str(one), active=paused.id, paused="a freeze"))
    called.bench.rows.insert(KeyHead(key=str(two), active=moving.id))

    shown = {item["id"]: item for item in called.items("/api/rotations")}
    assert {r.id: shown[r.id]["state"] for r in (ended, lost, paused, moving)} == {
        ended.id: "failed",
        lost.id: "discovering",
        paused.id: "paused",
        moving.id: "moving",
    }
    assert shown[ended.id]["counts"] == {"stuck": 2}
    for state, wanted in (("failed", ended), ("paused", paused), ("moving", moving)):
        assert ids(called.items(f"/api/rotations?state={state}&limit=1")) == [wanted.id]
        assert called.get(f"/api/rotations/{wanted.id}")["state"] == state


def test_a_rotation_that_died_before_it_was_kept_is_left_out(empty: CalledApi) -> None:
    called = fresh(empty)
    called.bench.rows.insert(Opened(rotation=RID, key=str(KEYS[0]), at=NOW))
    assert called.items("/api/rotations") == []


# -- consumers ----------------------------------------------------------------------------------

STORAGE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts"


def works(called: CalledApi, *places: int) -> list[tuple[str, str]]:
    """Keep work with so many consumers each; return resource and place of every consumer."""
    kept = rotation(KEYS[0], 7)
    called.bench.rows.insert(kept)
    wanted = []
    for number, count in enumerate(places):
        consumers = tuple(Consumer(place=f"p{n}", before="k", pinned=True) for n in range(count))
        work = Work(
            rotation=kept.id,
            key=kept.key,
            resource=f"{STORAGE}/st{number}",
            kind="storage_account" if number % 3 else "storage_encryption_scope",
            location="westeurope",
            found_at=NOW,
            consumers=consumers,
        )
        verdict = (Verdict.VERIFIED, Verdict.STUCK)[number % 2]
        called.bench.steps.ledger.add(close(work, verdict, NOW, reason="so"))
        named = [consumer.place for consumer in consumers]
        wanted += [(work.resource, place) for place in named or ["resource"]]
    return sorted(wanted)


def consumers(called: CalledApi, query: str = "") -> list[tuple[str, str]]:
    asked = f"/api/rotations/{rotation(KEYS[0], 7).id}/consumers{query}"
    return sorted((item["resource"], item["place"]) for item in called.items(asked))


@given(
    places=st.lists(st.integers(0, 3), max_size=12),
    limit=st.integers(1, 20),
    looked_at=st.integers(1, 20),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_pages_of_consumers_are_all_of_them_once(
    empty: CalledApi, monkeypatch: pytest.MonkeyPatch, places: list[int], limit: int, looked_at: int
) -> None:
    monkeypatch.setattr(history, "MOST_LOOKED_AT", looked_at)
    called = fresh(empty)
    wanted = works(called, *places)
    assert consumers(called, f"?limit={limit}") == wanted


def test_consumers_can_be_filtered_by_verdict_and_kind(empty: CalledApi) -> None:
    called = fresh(empty)
    works(called, *[1] * 12)

    def numbers(query: str) -> set[int]:
        return {int(resource.rpartition("st")[2]) for resource, _ in consumers(called, query)}

    assert numbers("?verdict=stuck&limit=2") == set(range(1, 12, 2))
    assert numbers("?kind=storage_encryption_scope&limit=1") == set(range(0, 12, 3))
    assert numbers("?verdict=stuck&kind=storage_encryption_scope") == {3, 9}
    assert numbers("?verdict=gone") == set()


def test_the_consumers_of_a_request_are_those_of_its_rotation(empty: CalledApi) -> None:
    called = fresh(empty)
    wanted = works(called, 1)
    waiting = Request(id="req-1", key=str(KEYS[0]), reason="r", new_version=False, asked_at=NOW)
    called.bench.rows.insert(waiting)
    served = replace(waiting, id="req-2", rotation=rotation(KEYS[0], 7).id)
    called.bench.rows.insert(served)
    assert called.items("/api/rotations/req-1/consumers") == []
    found = called.items("/api/rotations/req-2/consumers")
    assert [(item["resource"], item["place"]) for item in found] == wanted
    assert called.call("GET", "/api/rotations/req-3/consumers").status == 404


@pytest.mark.parametrize("asked", ["none", "it's", "a\\b", "a%23b", "a%3Fb", "%C3%A4", "x" * 5000])
def test_an_id_that_is_unknown_or_odd_is_not_found(empty: CalledApi, asked: str) -> None:
    for path in ("", "/consumers"):
        answer = empty.call("GET", f"/api/rotations/{asked}{path}", by=AUDITOR)
        assert answer.status == 404
        assert "no rotation" in answer.body["detail"]
