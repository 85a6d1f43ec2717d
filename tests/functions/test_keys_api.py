"""``GET /api/keys`` and ``GET /api/keys/{vault}/{key}``."""

import pytest
from msgspec.structs import replace

from sandbox.identity import APP_PRINCIPAL
from shared.domain.policy import Mode
from shared.domain.records import Watched
from shared.domain.rows import Cause, Known
from shared.domain.verdicts import Verdict
from tests.functions.api import AUDITOR, CalledApi
from tests.usecases.bench import VAULT, Bench
from tests.usecases.memory import in_memory
from tests.usecases.rotations import carry_out, point

HOST = f"{VAULT}.vault.azure.net"
URL = f"/api/keys/{VAULT}/cmk"


@pytest.fixture
def several(bench: Bench) -> CalledApi:
    """An API over three vaults, of which one gives us no right."""
    for name in ("kv-alpha", "kv-zulu"):
        vault = bench.azure.estate.vault(name)
        if name != "kv-alpha":
            vault.grant(APP_PRINCIPAL, {"get", "list", "rotate"})
        for key in ("cmk", "other"):
            vault.create_key(key)
    for key in ("one", "two", "three"):
        bench.key(key)
    settings = {"KEYTURN_VAULTS": f"kv-zulu,{VAULT},kv-alpha"}
    return CalledApi(in_memory(bench, settings))


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6])
def test_the_pages_of_keys_are_all_of_them_once_by_vault_and_name(
    several: CalledApi, limit: int
) -> None:
    pages = several.pages(f"/api/keys?limit={limit}")
    found = [(item["vault"].partition(".")[0], item["name"]) for p in pages for item in p["items"]]
    assert found == [
        *((VAULT, name) for name in ("one", "three", "two")),
        *(("kv-zulu", name) for name in ("cmk", "other")),
    ]
    assert all(len(page["items"]) <= limit for page in pages)


def test_a_vault_that_cannot_be_listed_hides_no_other_and_is_named(several: CalledApi) -> None:
    (page,) = several.pages("/api/keys")
    assert len(page["items"]) == 5
    (unlisted,) = page["unlisted"]
    assert unlisted["vault"] == "kv-alpha.vault.azure.net"
    assert "Caller is not authorized" in unlisted["problem"]


def test_one_vault_may_be_asked_for_and_then_its_refusal_is_the_answer(several: CalledApi) -> None:
    assert [k["name"] for k in several.items("/api/keys?vault=kv-zulu&limit=1")] == ["cmk", "other"]
    assert several.items(f"/api/keys?vault={HOST.upper()}") == several.items(
        f"/api/keys?vault={VAULT}"
    )
    refused = several.call("GET", "/api/keys?vault=kv-alpha")
    assert refused.status == 502
    assert "Caller is not authorized" in refused.body["detail"]
    assert several.call("GET", "/api/keys?vault=kv-other").status == 403
    assert several.call("GET", "/api/keys?vault=evil.example").status == 400


def test_keys_that_the_policy_leaves_out_are_not_listed(several: CalledApi) -> None:
    policies = several.bench.policies
    policies.document = replace(policies.document, manage=("kv-zulu/*", f"{VAULT}/t*"))
    assert [k["name"] for k in several.items("/api/keys?limit=1")] == [
        "three",
        "two",
        "cmk",
        "other",
    ]


def test_a_key_in_a_list_shows_its_rotation_and_what_the_last_watch_saw(keyed: CalledApi) -> None:
    bench = keyed.bench
    key = bench.key()
    (listed,) = keyed.items("/api/keys")
    assert (listed["rotation"], listed["handled"], listed["watchedAt"]) == (None, None, None)
    target = bench.new_version(key)
    rotation = bench.open(key)
    now = bench.clock.now()
    bench.rows.insert(
        Watched(key=key, at=now, version=target, created=now, problem="it runs out", done="ask")
    )
    (listed,) = keyed.items("/api/keys")
    assert (listed["key"], listed["rotation"], listed["handled"]) == (key, rotation, target)
    assert (listed["current"], listed["problem"], listed["mode"]) == (target, "it runs out", "auto")


def counts(called: CalledApi) -> dict[str, int]:
    """Return how many consumers are on which version, by number; and elsewhere, and unknown."""
    shown = called.get(URL, by=AUDITOR)
    by_age = list(reversed(shown["versions"]))
    found = {f"v{number}": each["consumers"] for number, each in enumerate(by_age, 1)}
    rest = {"elsewhere": shown["consumersElsewhere"], "unknown": shown["consumersUnknown"]}
    assert sum(found.values()) + sum(rest.values()) == shown["consumers"]
    return {name: count for name, count in {**found, **rest}.items() if count}


def test_a_key_shows_its_versions_the_newest_first_and_what_is_wrong_with_each(
    keyed: CalledApi,
) -> None:
    bench = keyed.bench
    key = bench.key()
    second = bench.later_version(key)
    third = bench.later_version(key)
    bench.enable(third, enabled=False)
    shown = keyed.get(URL)
    named = {each["version"]: each for each in shown["versions"]}
    assert next(iter(named)) == third
    assert [v["created"] for v in named.values()] == sorted(
        (v["created"] for v in named.values()), reverse=True
    )
    assert [url for url, each in named.items() if each["current"]] == [third]
    assert "disabled" in named[third]["problem"]
    assert named[second]["problem"] is None
    assert (shown["target"], shown["ageDays"]) == (second, 0)
    assert "disabled" in shown["problem"]
    assert shown["policy"] == bench.policies.document.digest


def test_consumers_are_counted_where_a_rotation_saw_them_last(keyed: CalledApi) -> None:
    bench = keyed.bench
    key = bench.key()
    stone = bench.account("stone", key)
    bench.account("sttwo", key)
    first = bench.in_use(stone)
    assert counts(keyed) == {}
    bench.new_version(key)
    assert carry_out(bench, bench.open(key)).counts == {Verdict.VERIFIED: 2}
    assert counts(keyed) == {"v2": 2}

    assert first
    point(bench, stone, first)  # somebody puts it back
    bench.policies.set_defaults(mode=Mode.OBSERVE)
    bench.pass_time(hours=25)
    ended = carry_out(bench, bench.open(key, Cause(trigger="operator", id="o1")))
    assert ended.counts == {Verdict.ALREADY: 1, Verdict.MANUAL: 1}
    assert counts(keyed) == {"v1": 1, "v2": 1}


@pytest.mark.parametrize(
    ("versions", "places", "counted"),
    [
        pytest.param({"a": ["v1"]}, "a", {"v1": 1}, id="on one"),
        pytest.param({"a": ["v1", "v2"]}, "a", {"v2": 1}, id="moved"),
        pytest.param({"a": ["v2", "v1"]}, "a", {"v1": 1}, id="put back"),
        pytest.param({"a": ["v1"], "b": ["v2"], "c": ["v1"]}, "abc", {"v1": 2, "v2": 1}, id="3"),
        pytest.param({"a": []}, "a", {"unknown": 1}, id="a service that does not say"),
        pytest.param({"a": ["v1", "?"]}, "a", {"elsewhere": 1}, id="an unknown version"),
        pytest.param({"a": ["v1"], "b": ["v2"]}, "b", {"v2": 1}, id="one place gone"),
        pytest.param({"a": ["v1"]}, "", {}, id="gone, or on another key"),
    ],
)
def test_a_consumer_counts_where_it_was_seen_last(
    keyed: CalledApi, versions: dict[str, list[str]], places: str, counted: dict[str, int]
) -> None:
    bench = keyed.bench
    key = bench.key()
    bench.later_version(key)
    named = keyed.get(URL)["versions"]
    urls = {"v1": named[-1]["version"], "v2": named[-2]["version"], "?": f"{key}/{'0' * 32}"}
    bench.rows.insert(
        Known(
            key=key,
            resource="/r",
            kind="storage_account",
            location="",
            versions={place: tuple(urls[v] for v in seen) for place, seen in versions.items()},
            places=tuple(places),
            holds=bool(places),
        )
    )
    assert counts(keyed) == counted


def test_what_no_longer_names_the_key_is_not_counted(keyed: CalledApi) -> None:
    bench = keyed.bench
    key = bench.key()
    stays, leaves = bench.account("ststays", key), bench.account("stleaves", key)
    bench.new_version(key)
    carry_out(bench, bench.open(key))
    assert counts(keyed) == {"v2": 2}
    bench.azure.estate.delete(leaves)
    bench.pass_time(hours=25)
    ended = carry_out(bench, bench.open(key, Cause(trigger="operator", id="o1")))
    assert ended.counts == {Verdict.ALREADY: 1, Verdict.GONE: 1}
    assert bench.in_use(stays)
    assert counts(keyed) == {"v2": 1}


def test_a_key_that_there_is_not_is_not_found(keyed: CalledApi) -> None:
    answer = keyed.call("GET", "/api/keys/kv-bench/none")
    assert answer.status == 404
    assert "KeyNotFound" in answer.body["detail"]
