"""What has no key of the customer's is counted once per rotation, and told of with its verdict."""

import pytest

from shared.catalog.beside import BESIDE
from shared.domain.verdicts import Outcome, Verdict
from shared.domain.work import Work
from tests.usecases.bench import Bench
from tests.usecases.memory import in_memory
from tests.usecases.rotations import carry_out

WORKSPACES = "Microsoft.MachineLearningServices/workspaces"
SEARCH = "Microsoft.Search/searchServices"


@pytest.fixture(name="bench")
def _bench(bench: Bench) -> Bench:
    return in_memory(bench)


def told(bench: Bench, rotation: str) -> dict[str, Work]:
    works = (kept.row for kept in bench.steps.ledger.all(rotation))
    return {work.kind: work for work in works if not work.resource.startswith("/")}


def rotated(bench: Bench) -> tuple[str, Outcome | None]:
    key = bench.key()
    rotation = bench.open(key)
    return rotation, carry_out(bench, rotation).outcome


def make(bench: Bench, kind: str, name: str, **properties: object) -> str:
    made = bench.azure.estate.resource(
        kind, name, subscription=bench.subscription, properties=properties
    )
    return made.id


def test_nothing_is_told_where_there_is_nothing(bench: Bench) -> None:
    rotation, outcome = rotated(bench)
    assert told(bench, rotation) == {}
    assert outcome is Outcome.NOTHING_FOUND


def test_machine_learning_is_told_once_whatever_there_is_of_it(bench: Bench) -> None:
    for number in range(3):
        make(bench, WORKSPACES, f"ws{number}", hbiWorkspace=number == 0)
    rotation, outcome = rotated(bench)
    found = told(bench, rotation)
    assert set(found) == {each.id for each in BESIDE if each.resource_type == WORKSPACES}
    for work in found.values():
        (consumer,) = work.consumers
        assert consumer.verdict is Verdict.NOT_APPLICABLE
        assert "(3 workspaces, 1 with hbi_workspace)" in consumer.reason
    assert outcome is Outcome.NOTHING_FOUND


def test_search_services_that_ask_for_keys_are_named_and_are_no_obstacle(bench: Bench) -> None:
    make(bench, SEARCH, "plain")
    asking = make(bench, SEARCH, "asking", encryptionWithCmk={"enforcement": "Enabled"})
    rotation, outcome = rotated(bench)
    (work,) = told(bench, rotation).values()
    (consumer,) = work.consumers
    assert consumer.verdict is Verdict.NOT_APPLICABLE
    assert "(2 services, 1 that ask for customer-managed keys)" in consumer.reason
    assert "look at them before a version of it is retired" in consumer.reason
    assert f"# Of each of {asking}, the other AI Search services (1): read " in consumer.advice
    assert bench.rotation(rotation).target in consumer.advice
    assert outcome is Outcome.NOTHING_FOUND


def test_search_services_that_ask_for_none_are_told_with_the_steps_and_are_no_obstacle(
    bench: Bench,
) -> None:
    make(bench, SEARCH, "plain")
    rotation, outcome = rotated(bench)
    (work,) = told(bench, rotation).values()
    assert [c.verdict for c in work.consumers] == [Verdict.NOT_APPLICABLE]
    assert "retired" not in work.consumers[0].reason
    assert work.consumers[0].advice.startswith("# Of each of the AI Search services (1): read ")
    assert outcome is Outcome.NOTHING_FOUND
