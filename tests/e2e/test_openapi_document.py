"""The OpenAPI document against the running app: what is documented is what is answered."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from sandbox.azure import LocalAzure
from tests.e2e.stage import VAULT, Stage
from tests.generated import OPENAPI

DOCUMENT: dict[str, Any] = json.loads(OPENAPI.read_text())
OPERATIONS = {
    operation["operationId"]: (path, method)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
a_few = settings(
    max_examples=12,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@dataclass
class Served:
    """The app, and what there is to be asked for."""

    stage: Stage
    key: str
    ids: Mapping[str, list[str]]

    @property
    def url(self) -> str:
        assert self.stage.azure.host
        return self.stage.azure.host.url

    @property
    def headers(self) -> dict[str, str]:
        assert self.stage.azure.host
        return {"x-functions-key": self.stage.azure.host.keys["function"]}

    def ask(self, case: schemathesis.Case[Any], *more: Any) -> None:  # noqa: ANN401 - checks
        """Send a request and check its answer."""
        case.call_and_validate(
            base_url=self.url, headers=self.headers, checks=[*CHECKS, *more], timeout=30
        )


@pytest.fixture(scope="module")
def served(local_azure: Callable[[float], LocalAzure]) -> Iterator[Served]:
    """A stage of its own: a rotation that has ended, one that is paused, and a request."""
    with local_azure(60) as azure:
        stage = Stage(azure)
        key, other = stage.key(), stage.key()
        for number in range(3):
            stage.account(f"stdoc{number}", key)
        stage.start(freeze_timers=False)  # or health would say that the sweep is late
        stage.sweep()
        ended = stage.ended(stage.rotate(key))["id"]
        paused = stage.opened(stage.rotate(other))
        stage.steer(paused, "pause")
        name = stage.key().rpartition("/")[2]
        _, _, asked = stage.http("POST", f"/api/keys/{VAULT}/{name}/rotate", {"reason": "to see"})
        yield Served(stage, name, {"id": [ended, paused, asked["id"]]})


every_operation = pytest.mark.parametrize("name", OPERATIONS)


def operation_of(name: str) -> APIOperation[Any, Any, Any, Any]:
    path, method = OPERATIONS[name]
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    schema.validate()
    found: APIOperation[Any, Any, Any, Any] = schema[path][method]
    return found


def test_the_document_that_is_served_is_the_one_on_record(served: Served) -> None:
    status, headers, document = served.stage.http("GET", "/api/openapi.json")
    assert (status, headers["content-type"].partition(";")[0]) == (200, "application/json")
    assert document == DOCUMENT


@every_operation
def test_whatever_fits_the_document_is_answered_as_it_says(served: Served, name: str) -> None:
    operation = operation_of(name)

    @a_few
    @given(case=operation.as_strategy(GenerationMode.POSITIVE))
    def ask(case: schemathesis.Case[Any]) -> None:
        served.ask(case)

    ask()


@pytest.mark.parametrize("name", [n for n in OPERATIONS if n != "get_liveness"])  # anything fits
def test_what_does_not_fit_the_document_is_refused_as_it_says(served: Served, name: str) -> None:
    operation = operation_of(name)

    @a_few
    @given(case=operation.as_strategy(GenerationMode.NEGATIVE))
    def ask(case: schemathesis.Case[Any]) -> None:
        served.ask(case, negative_data_rejection)

    ask()


@every_operation
def test_what_there_is_is_answered_as_the_document_says(served: Served, name: str) -> None:
    operation, (path, _) = operation_of(name), OPERATIONS[name]
    known: list[dict[str, str]] = [{}]
    if "{id}" in path:
        known = [{"id": each} for each in served.ids["id"]]
    elif "{key}" in path:
        known = [{"vault": VAULT, "key": served.key}]

    for parameters in known:

        @settings(a_few, max_examples=3)
        @given(case=operation.as_strategy(GenerationMode.POSITIVE, path_parameters=parameters))
        def ask(case: schemathesis.Case[Any]) -> None:
            served.ask(case)

        ask()
