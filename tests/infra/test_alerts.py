"""The alerts' queries ask for what is really logged."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.domain.policy import Reaction
from shared.domain.verdicts import Outcome, Verdict
from tests.infra import bicep

ROOT = Path(__file__).parents[2]
QUERIES = sorted((ROOT / "infra" / "alerts").glob("*.kql"))
every_query = pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
TABLES = {"traces", "requests"}
COLUMNS = {"message", "name", "success"}
"""Of Application Insights: what ``logging`` writes, and what the host records of each run."""
WORDS = {*Verdict, *Outcome, *Reaction}


def code(path: Path) -> str:
    lines = path.read_text().splitlines()
    return "\n".join(line for line in lines if not line.startswith("//"))


def texts_on_messages(query: str) -> list[str]:
    """Return what a query looks for in messages."""
    found = re.findall(r'message (?:startswith|contains|endswith) "([^"]*)"', query)
    for parts in re.findall(r"parse message with (.*)", query):
        found += re.findall(r'"([^"]*)"', parts)
    return found


def logged() -> set[str]:
    """Return what is fixed in the messages of the app: of its logger, and of what is passed on."""
    found: set[str] = set()
    for path in [*(ROOT / "shared").rglob("*.py"), *(ROOT / "functions").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and _is_log(node):
                found |= set(_texts(node.args[0]))
            elif isinstance(node, ast.JoinedStr) and "domain" in path.parts:
                found |= set(_texts(node))
    return found


def _is_log(node: ast.Call) -> bool:
    return (
        isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "logger"
        and bool(node.args)
    )


def _texts(node: ast.expr) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield from re.split(r"%[sdr]", each.value)


@every_query
def test_it_looks_for_what_is_logged(path: Path) -> None:
    there = logged()
    for text in filter(str.strip, texts_on_messages(code(path))):
        assert text in WORDS or any(text in part for part in there), text


@every_query
def test_it_asks_tables_and_columns_that_exist(path: Path) -> None:
    query = code(path)
    assert {
        name for name in re.findall(r"^\s*\(?(\w+)$", query, re.MULTILINE) if name != "union"
    } <= TABLES
    compared = set(re.findall(r"(\w+) (?:startswith|endswith|==|contains)", query))
    parsed = set(re.findall(r'" (\w+)', " ".join(re.findall(r"parse message with (.*)", query))))
    assert compared <= COLUMNS | parsed


@every_query
def test_it_counts_what_the_rule_measures(path: Path) -> None:
    assert code(path).rstrip().endswith("| summarize Found = count()")
    rules = (ROOT / "infra" / "alerts" / "alerts.bicep").read_text()
    assert "metricMeasureColumn: 'Found'" in rules
    assert f"loadTextContent('{path.name}')" in rules


@every_query
def test_a_verdict_or_an_outcome_that_it_names_exists(path: Path) -> None:
    query = code(path)
    for name in re.findall(r'(?:Outcome ==|Counts contains) "(\w+)"', query):
        assert name in WORDS


@every_query
def test_it_says_what_it_relies_on_and_people_are_told_what_to_do(path: Path) -> None:
    assert "elies on" in path.read_text()
    page = (ROOT / "docs" / "operations" / "alerts.md").read_text()
    assert f"\n## {path.stem}\n" in page


def test_the_functions_that_are_counted_exist() -> None:
    index = json.loads((ROOT / "tests" / "golden" / "index.json").read_text())
    names = {function["name"] for function in index}
    for path in QUERIES:
        for name in re.findall(r'name == "(\w+)"', code(path)):
            assert name in names


def test_runs_and_errors_are_kept_whole_and_only_other_lines_sampled() -> None:
    host = json.loads((ROOT / "host.json").read_text())
    sampling = host["logging"]["applicationInsights"]["samplingSettings"]
    assert sampling["excludedTypes"] == "Request;Exception"


def test_dead_letters_are_counted_for_the_subscription_that_is_made() -> None:
    (alert,) = bicep.resources("Microsoft.Insights/metricAlerts")
    found = dict(bicep.walk(alert.body))
    rule = ".properties.criteria.allOf.*"
    assert found[f"{rule}.metricName"] == "DeadLetteredCount"
    assert (found[f"{rule}.operator"], found[f"{rule}.threshold"]) == ("GreaterThan", 0)
    (topic,) = {found.target for found in bicep.resources("Microsoft.EventGrid/systemTopics")}
    assert found[f"{rule}.metricNamespace"] == topic.partition("@")[0]
    assert found[f"{rule}.dimensions.*.name"] == "EventSubscriptionName"
    named = [
        re.findall(r"^param subscriptionName string = '(\w+)'$", file.read_text(), re.MULTILINE)
        for file in (ROOT / "infra/events/vault.bicep", ROOT / "infra/alerts/dead-letters.bicep")
    ]
    assert named == [["keyturn"], ["keyturn"]]


def test_people_are_told_what_to_do_about_dead_letters() -> None:
    page = (ROOT / "docs" / "operations" / "alerts.md").read_text()
    assert "\n## dead-letters\n" in page
    assert "alerts.md#dead-letters'" in (ROOT / "infra/alerts/dead-letters.bicep").read_text()
