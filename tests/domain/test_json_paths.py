"""What lies at a path, where ``*`` stands for every name or item."""

import copy
from typing import Any

import pytest

from shared.domain.json_paths import drop, every

BODY: dict[str, Any] = {
    "Groups": [
        {"name": "a", "Items": [{"x": 1}, {"x": None}, 7]},
        {"name": "b", "items": None},
        {"name": "c"},
        "odd",
    ],
    "map": {"one": {"X": 2, "y": 3}, "two": {"x": 4}},
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        pytest.param("groups.*.name", ["a", "b", "c"], id="items of a list"),
        pytest.param("map.*.x", [2, 4], id="names of an object"),
        pytest.param("groups.*.items.*.x", [1], id="a list in a list, null left out"),
        pytest.param("groups.*.items.*", [{"x": 1}, {"x": None}, 7], id="a star at the end"),
        pytest.param("map.one.x", [2], id="no star"),
        pytest.param("map.*.*", [2, 3, 4], id="two stars"),
        pytest.param("nowhere.*.x", [], id="nothing there"),
        pytest.param("map.one.x.*", [], id="a star below a number"),
    ],
)
def test_every_thing_at_a_path_is_found_in_order(path: str, found: list[object]) -> None:
    assert every(BODY, path) == found


def test_the_body_itself_lies_at_an_empty_path() -> None:
    assert every(BODY, "") == [BODY]
    assert every(None, "") == []


def test_a_star_drops_from_every_item_of_a_list() -> None:
    body = copy.deepcopy(BODY)
    drop(body, "groups.*.items.*.x")
    assert body["Groups"][0] == {"name": "a", "Items": [{}, {}, 7]}
    assert body["Groups"][1:] == BODY["Groups"][1:]
    assert body["map"] == BODY["map"]


def test_dropping_below_what_is_no_list_does_nothing() -> None:
    body = copy.deepcopy(BODY)
    drop(body, "groups.*.name.*.x")
    drop(body, "nowhere.*.x")
    assert body == BODY
