"""``GET /api/keys/{vault}/{key}/plan``: what a rotation would do, and then does."""

import base64
import zlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from functions import cursors
from functions.problems import RequestError
from sandbox.faults import Fault
from shared.domain.policy import Mode
from shared.domain.rows import Place as Where
from shared.domain.rows import Scope, Search
from shared.domain.verdicts import Verdict
from shared.ports import Put
from shared.usecases import plan_key
from shared.usecases.plan_key import Place
from tests.domain.values import NOW
from tests.functions.api import CalledApi
from tests.usecases.bench import Bench
from tests.usecases.memory import MemoryRows
from tests.usecases.rotations import REFUSED, carry_out, head, report_of

URL = "/api/keys/kv-bench/cmk/plan"
DOES: Mapping[str, set[Verdict]] = {
    "repoint": {Verdict.VERIFIED},
    "nudge": {Verdict.VERIFIED},
    "verify": {Verdict.ALREADY, Verdict.VERIFIED, Verdict.LATE, Verdict.STUCK},
    "manual": {Verdict.MANUAL},
    "outrun": {Verdict.SUPERSEDED},
    "unknown": {Verdict.UNKNOWN},
}
"""What may become of what is planned, where every service does as it should."""


def actions(called: CalledApi, query: str = "") -> dict[str, str]:
    """Return the planned action of each resource, by name; none may be there twice."""
    items = called.items(f"{URL}{query}")
    assert len({item["resource"] for item in items}) == len(items)
    return {item["name"]: item["action"] for item in items}


def mixed(bench: Bench) -> str:
    """Make a key that all sorts of accounts are on, and a newer version of it."""
    key, estate = bench.key(), bench.azure.estate
    bench.account("stone", key)
    bench.account("stfree", key, "absent")
    estate.group(bench.subscription, "rg-managed", managed_by="/subscriptions/x/owner")
    for name, more in (
        ("stobserve", {"tags": {"keyturn-mode": "observe"}}),
        ("stapprove", {"tags": {"Keyturn-Mode": "approve"}}),
        ("stmanaged", {"group": "rg-managed"}),
    ):
        estate.storage_account(
            name, subscription=bench.subscription, key=key, version="pinned", **more
        )
    estate.encryption_scope(bench.account("stscoped", key), "scope", key=key)
    bench.account("stthere", bench.new_version(key))
    return key


MIXED = {
    "stone": "repoint",
    "stfree": "nudge",
    "stobserve": "manual",
    "stapprove": "repoint",
    "stmanaged": "manual",
    "stscoped": "repoint",
    "stscoped/scope": "repoint",
    "stthere": "verify",
}


def test_what_is_planned_is_what_a_rotation_then_does(keyed: CalledApi) -> None:
    bench = keyed.bench
    bench.policies.set_defaults(versionless="nudge")
    key = mixed(bench)
    planned = actions(keyed)
    assert planned == MIXED

    rotation = bench.open(key)
    approved = replace(head(bench, key), approved_until=bench.clock.now() + timedelta(days=30))
    bench.rows.commit(Put(approved))
    carry_out(bench, rotation)

    report = report_of(bench, rotation)
    done = {consumer["name"]: consumer["verdict"] for consumer in report["consumers"]}
    assert set(done) == set(planned)
    assert {name: done[name] for name in planned if done[name] not in DOES[planned[name]]} == {}
    reasons = {consumer["name"]: consumer["reason"] for consumer in report["consumers"]}
    told = {item["name"]: item["reason"] for item in keyed.items(URL)}
    assert reasons["stmanaged"].startswith(told["stmanaged"])  # its owner had its time
    assert told["stobserve"] == reasons["stobserve"]


def test_a_plan_writes_nothing_and_leaves_nothing_but_the_pace_of_its_reads(
    keyed: CalledApi,
) -> None:
    bench = keyed.bench
    mixed(bench)
    before = len(bench.azure.front_door.traffic())
    bench.forget_sent()
    actions(keyed)
    actions(keyed, "?newVersion=true")
    asked = bench.azure.front_door.traffic()[before:]
    posted = {call.path for call in asked if call.method != "GET"}
    assert posted == {"/providers/Microsoft.ResourceGraph/resources"}
    assert bench.life.sent == []
    assert isinstance(bench.rows, MemoryRows)
    assert bench.rows.tables() == {"keyturncalls", "keyturnlanes"}


@pytest.mark.parametrize(("read", "turns"), [(1, 10), (2, 1), (3, 2), (50, 1)])
def test_the_pages_of_a_plan_are_all_of_it_once(
    keyed: CalledApi, monkeypatch: pytest.MonkeyPatch, read: int, turns: int
) -> None:
    bench = keyed.bench
    bench.policies.set_defaults(versionless="nudge")
    mixed(bench)
    monkeypatch.setattr(plan_key, "MOST_READ", read)
    monkeypatch.setattr(plan_key, "MOST_TURNS", turns)
    pages = keyed.pages(URL)
    assert len(pages) > 2
    assert [page["scope"] for page in pages[:-1]] == [None] * (len(pages) - 1)
    assert pages[-1]["scope"] == "1 readable subscription"
    assert actions(keyed) == MIXED


def test_what_is_known_from_earlier_is_shown_once_and_what_is_gone_is_not(
    keyed: CalledApi,
) -> None:
    bench = keyed.bench
    key = bench.key()
    for name in ("stone", "sttwo", "stgone"):
        account = bench.account(name, key)
    bench.new_version(key)
    carry_out(bench, bench.open(key))
    bench.account("stnew", key)
    bench.azure.estate.delete(account)
    bench.new_version(key)
    assert actions(keyed) == dict.fromkeys(("stone", "sttwo", "stnew"), "repoint")


def test_what_cannot_be_read_is_shown_with_the_reason(keyed: CalledApi) -> None:
    bench = keyed.bench
    key = bench.key()
    bench.account("stone", key)
    hidden = bench.account("sthidden", key)
    bench.new_version(key)
    bench.azure.faults.add(Fault(method="GET", path=hidden.id, times=None, answer=REFUSED))
    items = {item["name"]: item for item in keyed.items(URL)}
    assert {name: item["action"] for name, item in items.items()} == {
        "stone": "repoint",
        "sthidden": "unknown",
    }
    assert "AuthorizationFailed" in items["sthidden"]["reason"]


def test_a_plan_for_a_version_that_is_yet_to_be_made_moves_what_is_on_the_newest(
    keyed: CalledApi,
) -> None:
    bench = keyed.bench
    key = bench.key()
    bench.account("stone", key)
    assert actions(keyed) == {"stone": "verify"}
    (page,) = keyed.pages(f"{URL}?newVersion=true")
    assert (page["target"], page["items"][0]["action"]) == (None, "repoint")
    assert bench.versions(key) == 1


def test_without_a_usable_version_the_plan_says_so_and_a_new_one_would_help(
    keyed: CalledApi,
) -> None:
    bench = keyed.bench
    key = bench.key()
    account = bench.account("stone", key)
    only = bench.in_use(account)
    assert only
    bench.enable(only, enabled=False)
    (page,) = keyed.pages(URL)
    assert (page["items"], page["target"]) == ([], None)
    assert "nothing to move to" in page["problem"]
    assert "disabled" in page["problem"]
    (page,) = keyed.pages(f"{URL}?newVersion=true")
    assert page["problem"] is None


def test_what_a_version_may_not_be_used_for_the_plan_says_and_the_rotation_does_not_try(
    keyed: CalledApi,
) -> None:
    bench = keyed.bench
    key = bench.key()
    account = bench.account("stone", key)
    _, _, version = bench.new_version(key).rpartition("/")
    vault = bench.azure.estate.vaults.vault("kv-bench")
    vault.update("cmk", version, {"key_ops": ["sign"]})
    for query in ("", "?newVersion=true"):
        (page,) = keyed.pages(f"{URL}{query}")
        (item,) = page["items"]
        assert item["action"] == "manual"
        assert "needs a key that is allowed unwrapkey and wrapkey" in item["reason"]

    rotation = bench.open(key)
    carry_out(bench, rotation)

    (consumer,) = bench.work(rotation).consumers
    assert (consumer.verdict, consumer.reason) == (Verdict.MANUAL, item["reason"])
    assert bench.writes(account) == 0


def test_a_plan_says_why_a_rotation_would_wait(keyed: CalledApi) -> None:
    bench = keyed.bench
    key = bench.key()
    bench.new_version(key)
    bench.policies.set_defaults(mode=Mode.APPROVE)
    assert keyed.get(URL)["waitsFor"] == "it waits for an approval"
    rotation = bench.open(key)
    bench.rows.commit(Put(replace(head(bench, key), paused="a freeze")))
    assert bench.rotation(rotation).outcome is None
    assert keyed.get(URL)["waitsFor"] == "a freeze"
    assert keyed.get(f"{URL}?newVersion=true")["waitsFor"] == "it waits for an approval"


# -- cursors ------------------------------------------------------------------------------------

GUIDS = st.uuids().map(str)
TEXTS = st.text(st.characters(codec="ascii", exclude_categories=["Cs"]), max_size=200)
SEARCHES = st.builds(
    Search,
    rotation=st.just(""),
    closing=st.just(False),  # noqa: FBT003 - a strategy
    at=st.just(NOW),
    place=st.sampled_from([Where.INVENTORY, Where.PARENTS, Where.FILES]),
    after=TEXTS,
    batch=st.lists(GUIDS, max_size=100).map(tuple),
    token=TEXTS,
    scope=st.builds(
        Scope,
        readable=st.integers(0, 9999),
        unreadable=st.integers(0, 9999),
        named=st.lists(GUIDS, max_size=100).map(tuple),
        lacking=st.lists(TEXTS.map(lambda text: text[:200]), max_size=20).map(tuple),
        files=st.integers(0, 9999),
    ),
)


@given(search=SEARCHES, skip=st.integers(0, 1000))
def test_a_place_is_the_same_when_it_comes_back(search: Search, skip: int) -> None:
    place = Place(search, skip)
    text = cursors.encode(place)
    assert cursors.decode(text, NOW) == place
    assert len(text) <= cursors.MOST
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), (
        "it goes into a URL as it is"
    )


def packed(document: object) -> str:
    """Return what would be a cursor, were the document one."""
    content = document if isinstance(document, bytes) else msgspec.json.encode(document)
    return base64.urlsafe_b64encode(zlib.compress(content, 9)).decode().rstrip("=")


GOOD: list[Any] = [1, "known", "", [], "", 0, 0, [], [], 0, 0]


def test_the_hand_made_cursor_of_these_tests_is_one() -> None:
    assert cursors.decode(packed(GOOD), NOW).search.place is Where.KNOWN


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("x", id="junk"),
        pytest.param("AAAA", id="nothing packed"),
        pytest.param(packed(b"{"), id="no JSON"),
        pytest.param(packed(b"[" * 100_000), id="nested without end"),
        pytest.param(packed({}), id="no list"),
        pytest.param(packed(GOOD[:-1]), id="a field too few"),
        pytest.param(packed([*GOOD, 1]), id="a field too many"),
        pytest.param(packed([2, *GOOD[1:]]), id="of a later version"),
        pytest.param(packed([1, "moon", *GOOD[2:]]), id="no place"),
        pytest.param(packed([1, "known", "' or RowKey ne '", *GOOD[3:]]), id="a filter"),
        pytest.param(packed([1, "known", "a\n", *GOOD[3:]]), id="a line's end"),
        pytest.param(packed([*GOOD[:3], ["x' or '"], *GOOD[4:]]), id="no subscription"),
        pytest.param(
            packed([*GOOD[:3], [f"{'0' * 8}-0000-0000-0000-{'0' * 12}\n"], *GOOD[4:]]),
            id="a subscription with a line's end",
        ),
        pytest.param(packed([*GOOD[:-1], -1]), id="before the beginning"),
        pytest.param(packed([*GOOD[:-1], 10**12]), id="a skip without end"),
        pytest.param(packed(b" " * 50_000_000), id="a bomb"),
        pytest.param(packed(GOOD)[:-4], id="cut off"),
    ],
)
def test_a_text_that_is_no_place_is_refused(text: str) -> None:
    assert len(text) < 100_000
    with pytest.raises(RequestError, match="begin again without it"):
        cursors.decode(text, NOW)


@given(st.text(alphabet="ABCabc019-_", max_size=60))
@settings(max_examples=200)
def test_whatever_is_sent_as_a_place_is_a_place_or_refused(text: str) -> None:
    try:
        cursors.decode(text, NOW)
    except RequestError:
        return


def test_a_page_of_a_plan_can_be_asked_for_by_the_link_alone(
    keyed: CalledApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = keyed.bench
    for name in ("stone", "sttwo"):
        bench.account(
            name, "https://kv-bench.vault.azure.net/keys/cmk" if name == "sttwo" else bench.key()
        )
    monkeypatch.setattr(plan_key, "MOST_READ", 1)
    body = {"reason": "to see", "dryRun": True}
    first = keyed.call("POST", "/api/keys/kv-bench/cmk/rotate", body).body
    assert first["next"].startswith(f"{URL}?newVersion=true&after=")
    (one,) = first["items"]
    (two,) = keyed.items(first["next"])
    assert {one["name"], two["name"]} == {"stone", "sttwo"}
    assert two["action"] == "repoint"
