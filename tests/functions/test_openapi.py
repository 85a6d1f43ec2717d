"""The OpenAPI document as a client's author reads it."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis

from shared.domain.tool import VERSION
from tests.functions.api import CalledApi
from tests.generated import OPENAPI, openapi_document


@pytest.fixture(scope="module", name="document")
def _document(empty: CalledApi) -> Any:  # noqa: ANN401 - JSON
    return CalledApi(empty.bench).get("/api/openapi.json")


def nodes(document: object) -> Iterator[dict[str, Any]]:
    """Yield every object in a document."""
    if isinstance(document, dict):
        yield document
        document = list(document.values())
    if isinstance(document, list):
        for value in document:
            yield from nodes(value)


def operations(document: Any) -> dict[str, tuple[str, str, Any]]:  # noqa: ANN401 - JSON
    """Return method, path and operation by id."""
    return {
        operation["operationId"]: (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_the_document_on_record_is_made_from_the_code() -> None:
    assert openapi_document() == OPENAPI.read_text(), "run `make generated`, and look at it"


def test_the_document_is_openapi_3_1(document: Any) -> None:  # noqa: ANN401 - JSON
    assert document["openapi"] == "3.1.0"
    assert document["info"]["version"] == VERSION
    schemathesis.openapi.from_dict(document).validate()


def test_every_operation_is_in_it_with_its_method_its_route_and_its_role(
    empty: CalledApi,
    document: Any,  # noqa: ANN401 - JSON
) -> None:
    told = {
        name: (method, path, operation.get("x-keyturn-role"))
        for name, (method, path, operation) in operations(document).items()
    }
    assert told == {
        each.name: (each.method, f"/api/{each.route}", each.needs) for each in empty.operations
    }


def test_every_reference_leads_somewhere_and_nothing_is_left_over(document: Any) -> None:  # noqa: ANN401 - JSON
    used = {node["$ref"] for node in nodes(document) if "$ref" in node}
    there = {
        f"#/components/{part}/{name}"
        for part in ("schemas", "responses")
        for name in document["components"][part]
    }
    assert used == there


def test_everything_in_it_is_described(document: Any) -> None:  # noqa: ANN401 - JSON
    for _, _, operation in operations(document).values():
        assert re.fullmatch(r"[A-Z].*\.", operation["summary"])
        for parameter in operation["parameters"]:
            assert parameter["description"], parameter
        for response in operation["responses"].values():
            assert response.get("description") or response["$ref"], response
    undescribed = [
        f"{name}.{field}"
        for name, schema in document["components"]["schemas"].items()
        for field, told in schema.get("properties", {}).items()
        if not told.get("description")
    ]
    assert undescribed == []
    assert all(schema.get("description") for schema in document["components"]["schemas"].values())


def test_no_text_of_it_has_the_marks_of_a_docstring(document: Any) -> None:  # noqa: ANN401 - JSON
    texts = [node["description"] for node in nodes(document) if "description" in node]
    texts = [text for text in texts if isinstance(text, str)]
    assert len(texts) > 150
    assert [t for t in texts if "``" in t or "Attributes:" in t or "  " in t or "\n" in t] == []


def test_who_approves_has_signed_in(document: Any) -> None:  # noqa: ANN401 - JSON
    ways = {name: each[2]["security"] for name, each in operations(document).items()}
    assert ways.pop("get_liveness") == []
    assert ways.pop("approve_rotation") == [{"entra": []}]
    assert all(way == [{"functionKey": []}, {"entra": []}] for way in ways.values())


def test_times_are_marked_as_such(document: Any) -> None:  # noqa: ANN401 - JSON
    schemas = document["components"]["schemas"]
    assert schemas["RotationView"]["properties"]["openedAt"]["format"] == "date-time"
    assert json.dumps(schemas["ConsumerView"]["properties"]["closedAt"]).count("date-time") == 1
