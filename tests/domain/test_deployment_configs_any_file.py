"""Rules that hold for any deployment config file, well formed or not."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import YAMLError

from shared.domain.deployment_configs import parse, repointed
from shared.domain.errors import RefusedWriteError, UnreadableError
from shared.domain.json_source import read_json
from shared.domain.keys import KeyVersion
from shared.domain.source_trees import MappingNode, Node, SequenceNode, Source
from tests.domain.config_files import (
    KEYS,
    ConfigFile,
    hexadecimal,
    json_files,
    texts,
    values,
    yaml_files,
)

files = st.one_of(json_files(), yaml_files())


@given(files)
@settings(max_examples=50, deadline=None)
def test_every_reference_is_read_as_it_stands_in_the_text(file: ConfigFile) -> None:
    found = parse(file.content(), file.name).references
    assert sorted(map(str, found)) == sorted(str(hole.version) for hole in file.holes)
    assert len({reference.place for reference in found}) == len(found)


@given(files, hexadecimal, st.data())
@settings(max_examples=50, deadline=None)
def test_a_write_changes_the_chosen_versions_and_no_other_byte(
    file: ConfigFile, version: str, data: st.DataObject
) -> None:
    target = KeyVersion(file.holes[0].version.key, version)
    moved = tuple(
        hole
        for hole in file.holes
        if hole.version.key == target.key and (hole is file.holes[0] or data.draw(st.booleans()))
    )
    before = parse(file.content(), file.name).references
    places = [r.place for r in before if r.pinned in [hole.version for hole in moved]]

    changed = repointed(file.content(), file.name, places, target)

    assert changed == file.content(target, moved)
    after = parse(changed, file.name).references
    assert [r.place for r in after] == [r.place for r in before]
    assert {r.place for r in after if r.pinned == target} >= set(places)
    assert [r for r in after if r.place not in places] == [
        r for r in before if r.place not in places
    ]


@given(yaml_files(), hexadecimal)
@settings(max_examples=50, deadline=None)
def test_programs_of_either_yaml_version_read_the_new_version_as_text(
    file: ConfigFile, version: str
) -> None:
    target = KeyVersion(file.holes[0].version.key, version)
    assume(target != file.holes[0].version)
    place = next(
        r.place
        for r in parse(file.content(), file.name).references
        if r.pinned == file.holes[0].version
    )
    changed = repointed(file.content(), file.name, [place], target)
    for yaml_version in ((1, 1), (1, 2)):
        assert version in list(leaves(load_yaml(changed, yaml_version)))


@given(files, st.data())
@settings(max_examples=100, deadline=None)
def test_a_damaged_file_is_refused_or_changed_in_one_version_only(
    file: ConfigFile, data: st.DataObject
) -> None:
    content = damaged(file.content().decode(), data).encode()
    target = KeyVersion(KEYS[0], data.draw(hexadecimal))
    try:
        found = parse(content, file.name).references
    except UnreadableError:
        return
    for reference in found:
        try:
            changed = repointed(content, file.name, [reference.place], target)
        except RefusedWriteError:
            assert reference.key != target.key or reference.pinned is None
            continue
        assert reference.pinned is not None
        assert_one_version_replaced(content, changed, reference.pinned.version, target.version)
        assert_same_but(file.name, content, changed, target.version)


@given(st.one_of(texts, st.text()), st.sampled_from(["a.json", "a.yaml"]))
@settings(max_examples=50, deadline=None)
def test_any_text_is_read_or_refused(text: str, name: str) -> None:
    with suppress(UnreadableError):
        parse(text.encode(errors="replace"), name)


@given(values, st.sampled_from([None, 1]), st.booleans())
def test_json_is_read_as_the_standard_library_reads_it(
    value: object,
    indent: int | None,
    ascii_only: bool,  # noqa: FBT001 - drawn
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    (root,) = read_json(Source("a.json", text))
    assert plain(root, text) == value


def plain(node: Node, text: str) -> object:
    match node:
        case MappingNode():
            return {name: plain(value, text) for name, value in node.entries.items()}
        case SequenceNode():
            return [plain(item, text) for item in node.items]
        case _:
            return json.loads(text[node.start : getattr(node, "end", None)])


def damaged(text: str, data: st.DataObject) -> str:
    """Cut something out, double something or put something in, once to three times."""
    marks = [
        '"',
        "'",
        ":",
        "\n",
        "\n  ",
        " ",
        "#",
        "- ",
        "&v ",
        "*a",
        "!t ",
        "{",
        "}",
        "[",
        ",",
        "${",
    ]
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 12)))
        put = data.draw(st.sampled_from(["", text[start:end] * 2, *marks]))
        text = text[:start] + put + text[end:]
    return text


def assert_one_version_replaced(before: bytes, after: bytes, old: str, new: str) -> None:
    """Only one stretch differs, and it is the version; quotes may have come around it."""
    start = next(
        (n for n, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), len(before)
    )
    candidates = [
        before[:at] + quote + new.encode() + quote + before[at + len(old) :]
        for at in range(max(0, start - len(old)), start + 1)
        if before[at : at + len(old)].decode(errors="replace").lower() == old
        for quote in (b"", b'"')
    ]
    assert after == before or after in candidates


def assert_same_but(name: str, before: bytes, after: bytes, version: str) -> None:
    """An independent reader sees the same, but for one value at most."""
    try:
        one, other = (list(leaves(load(name, content))) for content in (before, after))
    except (ValueError, YAMLError, DuplicateKeyError):
        return
    changed = [b for a, b in zip(one, other, strict=True) if a != b]
    assert changed in ([], [version])


def load(name: str, content: bytes) -> object:
    if name.endswith(".json"):
        return json.loads(content.decode("utf-8-sig"))
    return load_yaml(content, (1, 2))


def load_yaml(content: bytes, version: tuple[int, int]) -> object:
    yaml = YAML(typ="safe", pure=True)
    yaml.version = version
    return list(yaml.load_all(content.decode("utf-8-sig")))


def leaves(value: Any) -> Iterator[object]:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    else:
        yield value
