"""The JSON Schema of the policy says what the code takes."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
from hypothesis import example, given
from jsonschema import Draft202012Validator

from shared.domain.policy import Policy, Reaction, Rules
from shared.domain.policy_schema import schema
from tests.domain import policies

_VALIDATOR = Draft202012Validator(schema())


def properties(part: Any, place: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:  # noqa: ANN401 - JSON
    """Yield every property that a schema defines, with its place."""
    if isinstance(part, list):
        part = dict(enumerate(part))
    if isinstance(part, dict):
        for name, value in part.items():
            if name == "properties":
                yield from ((f"{place}/{each}", said) for each, said in value.items())
            yield from properties(value, f"{place}/{name}")


def test_it_is_a_schema_of_2020_12_and_says_so() -> None:
    Draft202012Validator.check_schema(schema())
    assert schema()["$schema"] == Draft202012Validator.META_SCHEMA["$id"]


def test_every_property_has_a_description_that_is_a_sentence() -> None:
    found = dict(properties(schema()))
    assert len(found) > 30
    for place, said in found.items():
        assert said.get("description", "").endswith("."), place


def test_nothing_else_may_stand_anywhere() -> None:
    for name, part in schema()["$defs"].items():
        assert part.get("type") != "object" or part["additionalProperties"] is False, name


def _accepts(document: object) -> bool:
    try:
        msgspec.convert(document, Policy)
    except msgspec.ValidationError:
        return False
    return True


@given(policies.documents)
def test_a_good_document_is_good_for_both(document: dict[str, object]) -> None:
    assert [error.message for error in _VALIDATOR.iter_errors(document)] == []
    assert _accepts(document)


@given(policies.spoilt())
@example({"version": True})
@example({"manage": ["kv/cmk\n"]})
@example({"defaults": {"windows": [{"opens": "22:00\n", "closes": policies.ARABIC}]}})
@example({"defaults": {"failureLimit": True}})
@example({"rules": [{"keys": []}]})
@example({"rules": [{"mode": "auto"}]})
def test_the_schema_refuses_what_the_code_refuses_and_nothing_else(
    document: dict[str, object],
) -> None:
    assert _VALIDATOR.is_valid(document) is _accepts(document)


def test_both_take_every_reaction_and_default() -> None:
    for reaction in Reaction:
        assert _VALIDATOR.is_valid({"defaults": {"overage": reaction.value}})
    defaults = json.loads(msgspec.json.encode(Rules()))
    assert _VALIDATOR.is_valid({"defaults": defaults})
