"""When two configuration files are the same, but for where their values stand."""

import pytest

from shared.domain.json_source import read_json
from shared.domain.source_trees import Path, Source, differences
from shared.domain.yaml_source import read_yaml


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        pytest.param("a: 1 # b", "a:   1", set(), id="comments and blanks"),
        pytest.param("a: 1", "a: 2", {(0, "a")}, id="a value"),
        pytest.param("a: 1", "a: '1'", {(0, "a")}, id="a number that became a text"),
        pytest.param("a: 1", "b: 1", {(0,), (0, "a"), (0, "b")}, id="a name"),
        pytest.param("a: 1", "a: &x 1", {(0, "a")}, id="an anchor"),
        pytest.param("a: 1", "a: !x 1", {(0, "a")}, id="a tag"),
        pytest.param("a: {}", "a: !x {}", {(0, "a")}, id="a mapping's tag"),
        pytest.param("a: []", "a: &x []", {(0, "a")}, id="a list's anchor"),
        pytest.param("[&x 1, &y 1, *x]", "[&x 1, &y 1, *y]", {(0, 2)}, id="another alias"),
        pytest.param("[&x 1, *x]", "[&x 1, 1]", {(0, 1)}, id="an alias that was written out"),
        pytest.param("[1, 2]", "[1]", {(0,), (0, 1)}, id="one item less"),
        pytest.param("{a: 1, b: 2}", "{b: 2, a: 1}", {(0,)}, id="the order of names"),
        pytest.param("a: 1", "a: 1\n---\nb", {(1,)}, id="another document"),
        pytest.param("a: {b: [1]}", "a: {b: [2]}", {(0, "a", "b", 0)}, id="far down"),
    ],
)
def test_files_differ_where_a_program_could_read_something_else(
    one: str, other: str, expected: set[Path]
) -> None:
    before, after = (read_yaml(Source("a", text)) for text in (one, other))
    assert differences(before, after) == expected


def test_a_literal_of_json_is_another_value_than_its_text() -> None:
    before, after = (read_json(Source("a", text)) for text in ("[null, 1]", '["null", "1"]'))
    assert differences(before, after) == {(0, 0), (0, 1)}


def test_an_error_names_line_and_column_from_one() -> None:
    source = Source("a.yaml", "a\r\nbcd")
    assert str(source.error(0, "x")) == "a.yaml, line 1, column 1: x"
    assert str(source.error(5, "x")) == "a.yaml, line 2, column 3: x"
