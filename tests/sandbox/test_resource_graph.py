"""Resource Graph: what it finds, what it leaves out, and what it refuses to guess."""

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.identity import APP_PRINCIPAL
from sandbox.kql import KqlError, compile_query
from sandbox.testing import Answer, Rig, rig

DISCOVERY = """
resources
| where type in~ (
    'microsoft.storage/storageaccounts',
    'microsoft.documentdb/databaseaccounts')
| where tostring(properties) contains 'KV-GRAPH.vault.azure.net'      // not case-sensitive
| project id, name, type, kind, location, resourceGroup, subscriptionId, identity, sku, properties
| order by id asc
"""


@pytest.fixture(scope="module", name="served")
def _served() -> Iterator[Rig]:
    """Three accounts on the key, one beside it, one in a subscription that is not readable."""
    with rig() as served:
        key = "https://kv-graph.vault.azure.net/keys/cmk"
        estate = served.estate
        mine, hidden = estate.subscription("mine"), estate.subscription("hidden")
        for name, form in (("stb", "pinned"), ("sta", "absent"), ("stc", "empty")):
            estate.storage_account(name, subscription=mine, key=key, version=form, group="rg-Mine")  # type: ignore[arg-type]  # the three forms
        estate.storage_account("stplain", subscription=mine, key=None)
        estate.storage_account("sthidden", subscription=hidden, key=key)
        served.allow_all(mine)
        yield served


def mine(served: Rig) -> str:
    return served.estate.subscription("mine")


def names(rows: list[dict[str, Any]]) -> list[str]:
    return [str(row["name"]) for row in rows]


def test_discovery_finds_every_readable_account_on_the_vault_and_no_other(served: Rig) -> None:
    answer = served.query(DISCOVERY, subscriptions=[mine(served)])

    assert answer.status == 200
    assert names(answer.body["data"]) == ["sta", "stb", "stc"]
    row = answer.body["data"][0]
    assert row["type"] == "microsoft.storage/storageaccounts"
    assert row["subscriptionId"] == mine(served)
    assert row["resourceGroup"] == "rg-mine"
    assert "/resourceGroups/rg-Mine/" in row["id"]
    assert answer.body["resultTruncated"] == "false"


def test_what_the_caller_may_not_read_is_left_out_without_a_word(served: Rig) -> None:
    hidden = served.estate.subscription("hidden")

    everywhere = served.query("resources | project name")
    both = served.query("resources | project name", subscriptions=[mine(served), hidden])
    alone = served.query("resources | project name", subscriptions=[hidden])

    assert "sthidden" not in names(everywhere.body["data"])
    assert everywhere.body == both.body
    assert alone.status == 400
    assert alone.body["error"]["details"][0]["code"] == "NoValidSubscriptionsInQueryRequest"


def test_rights_on_one_account_show_that_account(served: Rig) -> None:
    subscription = served.estate.subscription("partly readable")
    seen = served.estate.storage_account("stseen", subscription=subscription, key=None)
    served.estate.storage_account("stunseen", subscription=subscription, key=None)
    served.estate.arm.rbac.allow(APP_PRINCIPAL, {"*/read"}, seen.id)

    answer = served.query("resources | project name", subscriptions=[subscription])

    assert names(answer.body["data"]) == ["stseen"]


def test_pages_follow_the_token_and_hold_every_row_once(served: Rig) -> None:
    found: list[str] = []
    options: dict[str, Any] = {"$top": 2, "resultFormat": "objectArray"}
    for _ in range(2):
        answer = served.query(DISCOVERY, subscriptions=[mine(served)], options=options)
        found += names(answer.body["data"])
        assert answer.body["totalRecords"] == 3
        assert answer.body["resultTruncated"] == "false"
        options = {**options, "$skipToken": answer.body.get("$skipToken")}

    assert found == ["sta", "stb", "stc"]
    assert options["$skipToken"] is None


@pytest.mark.parametrize("token", ["nonsense", "WyIwIiwgMl0="])
def test_a_token_that_is_not_of_this_query_is_refused(served: Rig, token: str) -> None:
    answer = served.query("resources | project id", options={"$skipToken": token})

    assert answer.body["error"]["details"][0]["code"] == "InvalidSkipToken"


def test_a_limited_query_that_exceeds_its_page_is_truncated_without_a_token(served: Rig) -> None:
    answer = served.query("resources | limit 3", options={"$top": 2})

    assert (answer.body["count"], answer.body["totalRecords"]) == (2, 3)
    assert answer.body["resultTruncated"] == "true"
    assert "$skipToken" not in answer.body


@pytest.mark.parametrize("top", [0, 1001, "1"])
def test_a_page_holds_between_one_and_a_thousand_rows(served: Rig, top: object) -> None:
    assert served.query("resources", options={"$top": top}).status == 400


def test_answers_lag_behind_the_providers_as_far_as_the_test_wants(served: Rig) -> None:
    subscription = served.estate.subscription("lagging")
    served.allow_all(subscription)
    account = served.estate.storage_account("stlate", subscription=subscription, key=None)
    text = "resources | where name == 'stlate' | project tags"

    def tags() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = served.query(text, subscriptions=[subscription]).body["data"]
        return rows

    served.estate.resource_graph.lag = lag = timedelta(seconds=45)
    try:
        unborn = tags()
        time.sleep(served.clock.real_seconds(lag))
        served.send("PATCH", account.id, {"tags": {"new": "yes"}})
        stale = tags()
        time.sleep(served.clock.real_seconds(lag))
        fresh = tags()
        served.send("DELETE", account.id)
        undead = tags()
        time.sleep(served.clock.real_seconds(lag))
        gone = tags()
    finally:
        served.estate.resource_graph.lag = timedelta(0)

    assert (unborn, stale, fresh) == ([], [{"tags": {}}], [{"tags": {"new": "yes"}}])
    assert (undead, gone) == ([{"tags": {"new": "yes"}}], [])


def test_what_a_service_does_on_its_own_is_not_told_to_resource_graph(served: Rig) -> None:
    subscription = served.estate.subscription("polled")
    served.allow_all(subscription)
    vault = served.estate.vaults.create("kv-polled")
    key = vault.create_key("cmk").rpartition("/")[0]
    account = served.estate.storage_account(
        "stpolled", subscription=subscription, key=key, version="absent"
    )
    old, new = vault.find("cmk").kid, vault.rotate("cmk")
    account.pace.next_poll_at = served.clock.now() + timedelta(seconds=1)
    time.sleep(served.clock.real_seconds(timedelta(seconds=2)))

    row = served.query(
        "resources | project kid = properties.encryption.keyvaultproperties"
        ".currentVersionedKeyIdentifier",
        subscriptions=[subscription],
    ).body["data"][0]

    assert served.estate.truth.version_in_use(account.id) == new
    assert row == {"kid": old}


def test_times_are_cut_to_milliseconds_as_recorded(served: Rig) -> None:
    row = served.query("resources | where name == 'stplain' | project t = properties.creationTime")

    assert row.body["data"][0]["t"].endswith("0000Z")
    assert len(row.body["data"][0]["t"]) == len("2019-10-08T00:29:01.6580000Z")


ROWS: list[dict[str, Any]] = [
    {"id": "1", "name": "Alpha", "properties": {"deep": {"x": "One"}, "n": 5, "on": True}},
    {"id": "2", "name": "beta", "properties": {"deep": {"x": "two"}}},
    {"id": "3", "name": "it's", "properties": None},
]


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("name == 'Alpha'", "1"),
        ("name == 'alpha'", ""),
        ("name != 'Alpha'", "23"),
        ("name =~ 'ALPHA'", "1"),
        ("name !~ 'ALPHA'", "23"),
        ("name in ('Alpha', 'BETA')", "1"),
        ("name in~ ('alpha', 'BETA')", "12"),
        ("name !in ('Alpha', 'BETA')", "23"),
        ("name !in~ ('alpha', 'BETA')", "3"),
        ("name contains 'ET'", "2"),
        ("name !contains 'et'", "13"),
        ("name startswith 'a'", "1"),
        ("name endswith 'A'", "12"),
        ("name == 'it\\'s'", "3"),
        ('name == "it\'s"', "3"),
        ("properties.deep.x =~ 'one'", "1"),
        ("tolower(properties.deep.x) == 'one'", "1"),
        ('tostring(properties) contains \'"x":"two"\'', "2"),
        ("tostring(properties.on) == 'true'", "1"),
        ("isempty(properties.deep.x)", "3"),
        ("isnotempty(properties.n)", "1"),
        ("name =~ 'alpha' or name =~ 'beta' and id == '9'", "1"),
        ("(name =~ 'alpha' or name =~ 'beta') and id == '2'", "2"),
        ("not(name =~ 'alpha')", "23"),
    ],
)
def test_conditions_mean_what_they_mean_in_kusto(condition: str, found: str) -> None:
    query = compile_query(f"resources | where {condition}", ["id", "name", "properties"])

    assert "".join(row["id"] for row in query.run(ROWS)) == found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("resources | order by name asc | project id", ["1", "2", "3"]),
        ("resources | sort by name | project id", ["3", "2", "1"]),
        ("order by id desc | take 1 | project id", ["3"]),
        ("project id | limit 2", ["1", "2"]),
    ],
)
def test_rows_are_ordered_descending_unless_asked_otherwise_and_limited(
    text: str, expected: list[str]
) -> None:
    rows = compile_query(text, ["id", "name", "properties"]).run(ROWS)

    assert [row["id"] for row in rows] == expected


def test_a_projection_names_its_columns_as_kusto_does() -> None:
    query = compile_query("project properties.deep.x, y = name", ["name", "properties"])

    assert query.columns == ("properties_deep_x", "y")
    assert query.run(ROWS)[0] == {"properties_deep_x": "One", "y": "Alpha"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "where",
        "resources |",
        "resources where name == 'x'",
        "resourcecontainers | project id",
        "resources | summarize count() by type",
        "resources | extend x = name",
        "resources | join kind=inner (resources) on id",
        "resources | where name has 'x'",
        "resources | where name matches regex 'x'",
        "resources | where colour == 'blue'",
        "resources | where name contains_cs 'x'",
        "resources | where name == 'x' nonsense",
        "resources | where name == 'x",
        "resources | where name in ()",
        "resources | project id | where name == 'x'",
        "resources | limit many",
        "resources; resources",
    ],
)
def test_what_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(KqlError):
        compile_query(text, ["id", "name", "properties"])


@pytest.mark.parametrize(
    "more",
    [
        {"facets": [{"expression": "location"}]},
        {"managementGroups": ["root"]},
        {"options": {"resultFormat": "table"}},
    ],
)
def test_what_is_not_emulated_is_refused(served: Rig, more: dict[str, Any]) -> None:
    answer = served.query("resources", **more)

    assert answer.status == 400
    assert answer.body["error"]["details"][0]["code"] == "UnsupportedInSandbox"


def test_an_unknown_api_version_is_refused(served: Rig) -> None:
    assert served.query("resources", version="2015-01-01").code == "InvalidApiVersionParameter"


def test_a_sixteenth_query_in_five_seconds_is_refused_where_limits_are_enforced() -> None:
    with rig(rate=0.001) as slow:
        slow.allow_all(slow.estate.subscription("any"))
        slow.estate.arm.quota.enforced = True

        answers = [slow.query("resources | limit 1") for _ in range(16)]

    assert [answer.status for answer in answers] == [200] * 15 + [429]
    assert [answers[n].headers["x-ms-user-quota-remaining"] for n in (0, 14)] == ["14", "0"]
    assert answers[15].code == "RateLimiting"
    assert answers[15].headers["x-ms-user-quota-resets-after"] == "00:00:05"


def recorded(recordings: Path, name: str) -> dict[str, Any]:
    exchange: dict[str, Any] = json.loads((recordings / "resource-graph" / name).read_text())[
        "exchanges"
    ][-1]
    return exchange


def replay(served: Rig, exchange: dict[str, Any]) -> Answer:
    body = {**exchange["request"]["body"], "subscriptions": [mine(served)]}
    return served.send(
        "POST", "/providers/Microsoft.ResourceGraph/resources", body, version="2021-03-01"
    )


@pytest.mark.parametrize(
    "name", ["py_resources_basic_query.json", "py_resources_basic_query_object_array.json"]
)
def test_a_recorded_query_gets_an_answer_of_the_recorded_shape(
    served: Rig, recordings: Path, name: str
) -> None:
    exchange = recorded(recordings, name)
    answer = replay(served, exchange)

    expected = exchange["response"]
    assert answer.status == expected["status"]
    assert answer.headers.keys() >= expected["headers"].keys()
    for key in expected["body"]:
        assert type(answer.body[key]) is type(expected["body"][key]), key
    assert answer.body.keys() == expected["body"].keys()
    assert answer.body["totalRecords"] == expected["body"]["totalRecords"] == 2
    assert answer.body["resultTruncated"] == expected["body"]["resultTruncated"]
    assert [row.keys() for row in answer.body["data"]] == [
        row.keys() for row in expected["body"]["data"]
    ]


def test_the_recorded_malformed_query_gets_the_recorded_refusal(
    served: Rig, recordings: Path
) -> None:
    exchange = recorded(recordings, "py_resources_malformed_query.json")
    answer = replay(served, exchange)

    expected = exchange["response"]
    got, wanted = answer.body["error"], expected["body"]["error"]
    assert answer.status == expected["status"]
    assert got.keys() == wanted.keys()
    assert got["code"] == wanted["code"]
    assert got["message"].partition(" = ")[0] == wanted["message"].partition(" = ")[0]
    assert got["details"][0] == wanted["details"][0]
    assert got["details"][1].keys() == wanted["details"][1].keys()
    assert got["details"][1]["code"] == "ParserFailure"


def test_rows_have_the_recorded_columns(served: Rig, recordings: Path) -> None:
    columns = recorded(recordings, "c7n_resource_graph_storage.json")["response"]["body"]["data"][
        "columns"
    ]

    row = served.query("resources | where name == 'stplain'").body["data"][0]

    assert list(row) == [column["name"] for column in columns]
