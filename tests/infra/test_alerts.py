"""The alerts' queries, asked of what the app logs while just that happens which they are for."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import azure.functions as func
import pytest

from functions import poison, sweeps
from sandbox.azure import LocalAzure
from sandbox.estate import Account
from sandbox.faults import Answer, Fault
from shared.domain.policy import Reaction
from shared.domain.rows import Cause
from shared.domain.steps import Open, Revive, Watch, encode
from shared.domain.verdicts import Outcome, Verdict
from shared.usecases.bury import BuryStep
from tests.functions.test_entry_points import Output, function
from tests.infra import bicep
from tests.infra.kql import KqlError, Query
from tests.usecases.bench import VAULT, Bench
from tests.usecases.memory import MemoryQueue, MemoryRows
from tests.usecases.rotations import carry_out, head
from tests.usecases.runner import Runner
from tests.usecases.telemetry import TracedBench, lines_of_ours

ROOT = Path(__file__).parents[2]
QUERIES = sorted((ROOT / "infra" / "alerts").glob("*.kql"))
every_query = pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
WORDS = {*Verdict, *Outcome, *Reaction}
SWEEP = Cause(trigger="sweep", id="s1")
DENIED = Answer(403, {"error": {"code": "Forbidden", "message": "no"}})


@dataclass(frozen=True)
class Scene:
    """Where something happens: a key that one account uses, with a version to move it to."""

    bench: Bench
    key: str
    account: Account

    @property
    def name(self) -> str:
        """Of the key."""
        return self.key.rpartition("/")[2]

    def carry(self) -> None:
        """Let the rotation go until it ends or pauses."""
        runner = Runner(self.bench)
        runner.event(self.key)
        runner.deliver()
        runner.run(
            until=lambda: not self.bench.active(self.key) or head(self.bench, self.key).paused
        )


type Deed = Callable[[Scene], None]
"""What happens."""


def all_goes_well(at: Scene) -> None:
    at.bench.run(Watch(key=at.key, cause=SWEEP))
    assert carry_out(at.bench, at.bench.open(at.key)).outcome is Outcome.COMPLETED


def a_consumer_is_stuck(at: Scene) -> None:
    at.account.pace.stuck()
    at.carry()


def a_consumer_cannot_be_moved(at: Scene) -> None:
    path = f"*/{at.account.id.rpartition('/')[2]}*"
    at.bench.azure.faults.add(Fault(method="PATCH", path=path, answer=DENIED))
    at.carry()


def the_failure_limit_is_met(at: Scene) -> None:
    at.bench.policies.set_defaults(failure_limit=1)
    at.bench.account(f"{at.account.id.rpartition('/')[2]}too", at.key)
    at.bench.later_version(at.key)
    a_consumer_cannot_be_moved(at)
    assert head(at.bench, at.key).paused


def the_policy_is_broken(at: Scene) -> None:
    rotation = at.bench.open(at.key)
    at.bench.policies.problem = "it is not YAML"
    at.bench.supervise(rotation)


def nothing_can_be_searched(at: Scene) -> None:
    bad = Answer(400, {"error": {"code": "BadRequest", "message": "no"}})
    at.bench.azure.faults.add(Fault(method="POST", path="*/resources", answer=bad))
    at.bench.search(at.bench.open(at.key))


def no_version_is_usable(at: Scene) -> None:
    for version in at.bench.azure.estate.vaults.vault(VAULT).versions(at.name):
        at.bench.enable(version.kid, enabled=False)
    at.bench.run(Open(key=at.key, cause=SWEEP))


def an_event_is_lost(at: Scene) -> None:
    all_goes_well(at)
    at.bench.later_version(at.key)
    at.bench.pass_time(minutes=11)
    at.bench.run(Open(key=at.key, cause=SWEEP))


def a_key_nears_its_end(at: Scene) -> None:
    expire(at, days=20)


def a_key_has_run_out(at: Scene) -> None:
    at.bench.policies.set_defaults(expired=Reaction.ALARM)
    expire(at, days=-1)


def expire(at: Scene, *, days: float) -> None:
    vault = at.bench.azure.estate.vaults
    version = vault.newest(VAULT, at.name)
    vault.vault(VAULT).backdate(version, days=31)
    vault.vault(VAULT).set_expiry(version, at.bench.clock.now() + timedelta(days=days))
    at.bench.run(Watch(key=at.key, cause=SWEEP))


def a_key_cannot_be_looked_at(at: Scene) -> None:
    path = f"/keys/{at.name}/*"
    at.bench.azure.faults.add(Fault(method="GET", path=path, times=None, answer=DENIED))
    at.bench.run(Watch(key=at.key, cause=SWEEP))


def a_version_in_use_is_disabled(at: Scene) -> None:
    all_goes_well(at)
    newest = at.bench.azure.estate.vaults.newest(VAULT, at.name)
    at.bench.enable(newest, enabled=False)
    look_again(at)


def a_version_in_use_expires(at: Scene) -> None:
    at.bench.policies.set_defaults(expired=Reaction.IGNORE)
    all_goes_well(at)
    vaults = at.bench.azure.estate.vaults
    vaults.vault(VAULT).set_expiry(vaults.newest(VAULT, at.name), at.bench.clock.now())
    look_again(at)


def a_version_in_use_is_gone(at: Scene) -> None:
    all_goes_well(at)
    vault = at.bench.azure.estate.vaults.vault(VAULT)
    vault.delete(at.name)
    vault.purge_protection = False
    vault.purge(at.name)
    vault.purge_protection = True
    at.bench.key(at.name)
    look_again(at)


def look_again(at: Scene) -> None:
    at.bench.pass_time(minutes=24 * 60)
    at.bench.run(Watch(key=at.key, cause=SWEEP))


def a_step_is_given_up(at: Scene) -> None:
    bury(lambda: at.bench.burial, encode(Revive()).encode())


def a_message_is_no_step(at: Scene) -> None:
    bury(lambda: at.bench.burial, b"hello")


def a_queued_event_is_given_up(at: Scene) -> None:
    bury(lambda: at.bench.burial, b"{}", "poison_events")


def what_is_given_up_cannot_be_closed(_at: Scene) -> None:
    def fails() -> BuryStep:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError):
        bury(fails, b"hello")


def bury(burial: Callable[[], BuryStep], body: bytes, by: str = "poison") -> None:
    bp = poison.blueprint(burial, queue="q", events="e")
    function(bp, by)(func.QueueMessage(body=body))


def the_timer_fires(at: Scene) -> None:
    bp = sweeps.blueprint(
        queue="q", vaults=frozenset({"a.x"}), schedule="0 0 * * * *", now=at.bench.clock.now
    )
    function(bp, "sweeps")(func.TimerRequest(past_due=False), Output())


FOUND_BY: Mapping[Deed, set[str]] = {
    all_goes_well: set(),
    a_consumer_is_stuck: {"stuck-consumer", "failed-rotation"},
    a_consumer_cannot_be_moved: {"failed-rotation"},
    the_failure_limit_is_met: {"failed-rotation"},
    the_policy_is_broken: {"failed-rotation"},
    nothing_can_be_searched: {"failed-rotation"},
    no_version_is_usable: {"failed-rotation"},
    an_event_is_lost: {"event-gap"},
    a_key_nears_its_end: {"expiring-key"},
    a_key_has_run_out: {"expiring-key"},
    a_key_cannot_be_looked_at: {"expiring-key"},
    a_version_in_use_is_disabled: {"expiring-key"},
    a_version_in_use_expires: {"expiring-key"},
    a_version_in_use_is_gone: {"expiring-key"},
    a_step_is_given_up: {"poison"},
    a_message_is_no_step: {"poison"},
    a_queued_event_is_given_up: {"poison"},
    what_is_given_up_cannot_be_closed: {"poison"},
    the_timer_fires: {"no-timer"},
}


@pytest.fixture(scope="module", name="logged")
def _logged(local_azure: Callable[[float], LocalAzure]) -> Mapping[Deed, list[str]]:
    """What is logged, by what happens."""
    found: dict[Deed, list[str]] = {}
    with local_azure(1) as azure, pytest.MonkeyPatch.context() as environment:
        for name, value in azure.environment().items():
            environment.setenv(name, value)
        for number, deed in enumerate(FOUND_BY):
            bench = TracedBench(azure, instead={"rows": MemoryRows(), "queue": MemoryQueue()})
            key = bench.key(f"cmk{number}")
            scene = Scene(bench, key, bench.account(f"stone{number}", key))
            bench.later_version(key)
            with lines_of_ours() as lines:
                deed(scene)
            found[deed] = lines
            bench.heard.close()
    return found


def asked(path: Path, lines: list[str]) -> int:
    return Query(path.read_text()).found({"traces": [{"message": line} for line in lines]})


@pytest.mark.parametrize("deed", FOUND_BY, ids=lambda deed: deed.__name__)
def test_what_happens_is_found_by_its_alerts_and_by_no_other(
    logged: Mapping[Deed, list[str]], deed: Deed
) -> None:
    found = {path.stem for path in QUERIES if asked(path, logged[deed])}
    assert found == FOUND_BY[deed], logged[deed]


@every_query
def test_every_word_that_it_looks_for_is_really_logged(
    logged: Mapping[Deed, list[str]], path: Path
) -> None:
    said = "\n".join(line for lines in logged.values() for line in lines)
    code = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("//"))
    for text in re.findall(r'"([^"]*)"', code):
        assert text in said, text


@every_query
def test_it_asks_for_the_text_of_log_lines_alone(path: Path) -> None:
    query = Query(path.read_text())
    query.found({"traces": [{"message": "x"}]})
    parsed = set(
        re.findall(r'" (\w+)', " ".join(re.findall(r"parse message with (.*)", query.text)))
    )
    assert query.columns - parsed == {"message"}


@pytest.mark.parametrize(
    "query",
    [
        'requests\n| where name == "sweeps"\n| summarize Found = count()',
        'traces\n| where severity == "3"\n| summarize Found = count()',
        "traces\n| extend a = message\n| summarize Found = count()",
        'traces\n| where message startswith "a"',
    ],
)
def test_what_is_not_there_cannot_be_asked_for(query: str) -> None:
    """Else a query that finds nothing would look as one that has nothing to find."""
    with pytest.raises(KqlError):
        Query(query).found({"traces": [{"message": "abc"}]})


@every_query
def test_it_counts_what_the_rule_measures(path: Path) -> None:
    rules = (ROOT / "infra" / "alerts" / "alerts.bicep").read_text()
    assert "metricMeasureColumn: 'Found'" in rules
    assert f"loadTextContent('{path.name}')" in rules


@every_query
def test_a_verdict_or_an_outcome_that_it_names_exists(path: Path) -> None:
    for name in re.findall(r'(?:Outcome ==|Counts contains) "(\w+)"', path.read_text()):
        assert name in WORDS


@every_query
def test_it_says_what_it_relies_on_and_people_are_told_what_to_do(path: Path) -> None:
    assert "elies on" in path.read_text()
    page = (ROOT / "docs" / "operations" / "alerts.md").read_text()
    assert f"\n## {path.stem}\n" in page


def test_the_host_speaks_opentelemetry_and_no_line_is_sampled_away() -> None:
    host = json.loads((ROOT / "host.json").read_text())
    assert host["telemetryMode"] == "OpenTelemetry"
    assert "logging" not in host, "what applicationInsights says there is not heeded in that mode"


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
