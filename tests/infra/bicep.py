"""Bicep files, as far as tests look into them: read with tree-sitter, and never compiled."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

tree_sitter = pytest.importorskip("tree_sitter", reason="tree-sitter is not installed")
tree_sitter_bicep = pytest.importorskip(
    "tree_sitter_bicep", reason="tree-sitter-bicep is not installed"
)

INFRA = Path(__file__).parents[2] / "infra"
FILES = sorted(INFRA.rglob("*.bicep"))

type Node = Any
"""Of tree-sitter, which need not be installed."""

type Value = (
    dict[str, "Value"] | list["Value"] | str | int | bool | "Expression" | "Each" | "Choice" | None
)


@dataclass(frozen=True)
class Expression:
    """What is only known when it is deployed, as it is written."""

    text: str


@dataclass(frozen=True)
class Each:
    """``[for x in xs: body]``."""

    body: Value


@dataclass(frozen=True)
class Choice:
    """``condition ? one : other``."""

    options: tuple[Value, Value]


@dataclass(frozen=True)
class Declaration:
    """A param, var, output, resource or module.

    Attributes:
        decorators: What is written after each ``@``, by its name.
        target: Of a resource its type and version, of a module its file; else empty.
        condition: What stands behind ``if``; empty: nothing.
    """

    kind: str
    name: str
    value: Value
    decorators: dict[str, str]
    target: str = ""
    condition: str = ""
    existing: bool = False

    @property
    def body(self) -> dict[str, Value]:
        """The object of a resource or a module, of each if there are many."""
        found = self.value.body if isinstance(self.value, Each) else self.value
        assert isinstance(found, dict), self.name
        return found


@dataclass(frozen=True)
class Document:
    """A file."""

    path: Path
    declarations: tuple[Declaration, ...]
    scope: str
    names: frozenset[str]
    """Every name that its expressions use and do not declare themselves."""

    def of(self, kind: str) -> dict[str, Declaration]:
        """Return the declarations of a kind by name."""
        return {found.name: found for found in self.declarations if found.kind == kind}


def errors(path: Path) -> list[str]:
    """Return where a file is no Bicep."""
    return list(_errors(_tree(path), path))


@functools.cache
def read(path: Path) -> Document:
    """Read a file."""
    root = _tree(path)
    declarations, decorators, scope = [], {}, "resourceGroup"
    for node in root.named_children:
        if node.type == "decorators":
            decorators = dict(_decorator(each) for each in node.named_children)
        elif node.type == "target_scope_assignment":
            scope = _text(node.named_children[-1]).strip("'")
        elif node.type.endswith("_declaration"):
            declarations.append(_declaration(node, decorators))
            decorators = {}
    return Document(path, tuple(declarations), scope, frozenset(_names(root, frozenset())))


def every(kind: str) -> list[tuple[Path, Declaration]]:
    """Return the declarations of a kind in all files."""
    return [(path, found) for path in FILES for found in read(path).of(kind).values()]


def resources(resource_type: str) -> list[Declaration]:
    """Return what is made of a type of resource."""
    return [
        found
        for _, found in every("resource")
        if found.target.partition("@")[0] == resource_type and not found.existing
    ]


def walk(value: Value, path: str = "") -> Iterator[tuple[str, Value]]:
    """Yield everything in a value, with the names on the way to it."""
    yield path, value
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from walk(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner, f"{path}.*")
    elif isinstance(value, Each):
        yield from walk(value.body, f"{path}.*")
    elif isinstance(value, Choice):
        for option in value.options:
            yield from walk(option, path)


# -- the tree --------------------------------------------------------------------------------------


def _tree(path: Path) -> Node:
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_bicep.language()))
    return parser.parse(path.read_bytes()).root_node


def _errors(node: Node, path: Path) -> Iterator[str]:
    if node.type == "ERROR" or node.is_missing:
        yield f"{path.name}:{node.start_point[0] + 1}: {_text(node)[:60]!r}"
    for child in node.children:
        yield from _errors(child, path)


def _text(node: Node) -> str:
    return str(node.text.decode())


def _decorator(node: Node) -> tuple[str, str]:
    name, _, arguments = _text(node).lstrip("@").partition("(")
    return name.strip(), arguments.rstrip(")").strip()


def _declaration(node: Node, decorators: dict[str, str]) -> Declaration:
    kind = node.type.removesuffix("_declaration")
    parts = _parts(node)
    name = _text(parts[0])
    if kind in {"resource", "module"}:
        last, condition = parts[-1], ""
        if last.type == "if_statement":
            test, last = last.named_children
            condition = _text(test)
        existing = any(child.type == "existing" for child in node.children)
        target = _text(parts[1]).strip("'")
        return Declaration(kind, name, _value(last), decorators, target, condition, existing)
    value = _value(parts[-1]) if len(parts) > 1 and parts[-1].type != "type" else None
    return Declaration(kind, name, value, decorators)


def _value(node: Node) -> Value:
    readers: dict[str, Callable[[Node], Value]] = {
        "object": _object,
        "array": _array,
        "for_statement": lambda each: Each(_value(each.child_by_field_name("body"))),
        "string": _string,
        "boolean": lambda word: bool(_text(word) == "true"),
        "number": lambda digits: int(_text(digits)),
        "null": lambda _: None,
        "ternary_expression": lambda choice: Choice(
            (_value(choice.named_children[1]), _value(choice.named_children[2]))
        ),
        "parenthesized_expression": lambda inside: _value(inside.named_children[0]),
    }
    read = readers.get(node.type)
    return read(node) if read else Expression(_text(node))


def _object(node: Node) -> Value:
    pairs = [child for child in node.named_children if child.type == "object_property"]
    return {_text(pair.named_children[0]).strip("'"): _value(_parts(pair)[-1]) for pair in pairs}


def _array(node: Node) -> Value:
    inside = _parts(node)
    if [child.type for child in inside] == ["for_statement"]:
        return _value(inside[0])
    return [_value(child) for child in inside]


def _string(node: Node) -> Value:
    plain = {"string_content", "escape_sequence"}
    is_plain = all(child.type in plain for child in node.named_children)
    return _text(node)[1:-1] if is_plain else Expression(_text(node))


def _parts(node: Node) -> list[Any]:
    return [child for child in node.named_children if child.type != "comment"]


_OF_TYPES = {"type", "primitive_type", "property_identifier", "decorators"}


def _names(node: Node, own: frozenset[str]) -> Iterator[str]:
    """Yield the identifiers that stand for something declared elsewhere."""
    if node.type in _OF_TYPES:
        return
    children = list(node.named_children)
    if node.type.endswith("_declaration") or node.type == "object_property":
        children = children[1:]
        if node.type == "object_property" and node.named_children[0].type == "string":
            yield from _names(node.named_children[0], own)  # '${identity.id}': {}
    elif node.type == "identifier":
        if _text(node) not in own:
            yield _text(node)
        return
    elif node.type == "for_statement":
        head = [child for child in children if child != node.child_by_field_name("body")]
        own |= {_text(child) for child in _identifiers(head[0])}
        children = [*head[1:], node.child_by_field_name("body")]
    elif node.type == "lambda_expression":
        own |= {_text(child) for child in _identifiers(children[0])}
        children = children[1:]
    elif node.type == "call_expression":
        children = [child for child in children if child != node.child_by_field_name("function")]
    for child in children:
        yield from _names(child, own)


def _identifiers(node: Node) -> Iterator[Node]:
    if node.type in {"identifier", "loop_variable", "loop_enumerator"}:
        yield node
    else:
        for child in node.named_children:
            yield from _identifiers(child)
