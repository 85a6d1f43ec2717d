"""Hypothesis strategies for deployment config files whose versions stand at known positions."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from hypothesis import strategies as st

from shared.domain.keys import Key, KeyVersion

KEYS = (Key("kv1.vault.azure.net", "cmk"), Key("kv1.vault.azure.net", "b"), Key("h.azure.net", "a"))


@dataclass(frozen=True, slots=True, eq=False)
class Hole:
    """A version in a file, and the quotes around it; without any, it is YAML's plain text."""

    version: KeyVersion
    quote: str = ""


Piece = str | Hole


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A file as pieces, so that what it must become is known without reading it."""

    name: str
    pieces: tuple[Piece, ...]

    @property
    def holes(self) -> tuple[Hole, ...]:
        """Its pinned references, in the text's order."""
        return tuple(piece for piece in self.pieces if isinstance(piece, Hole))

    def content(self, target: KeyVersion | None = None, moved: tuple[Hole, ...] = ()) -> bytes:
        """Return its bytes, where the ``moved`` ones name the target; one that did stays."""
        return "".join(self._texts(target, moved)).encode()

    def _texts(self, target: KeyVersion | None, moved: tuple[Hole, ...]) -> Iterator[str]:
        for piece in self.pieces:
            if isinstance(piece, str):
                yield piece
            elif target and piece in moved and piece.version != target:
                quote = piece.quote or ('"' if reads_as_number(target.version) else "")
                yield f"{quote}{target.version}{quote}"
            else:
                yield f"{piece.quote}{piece.version.version}{piece.quote}"


def reads_as_number(text: str) -> bool:
    """Return whether YAML 1.1 or 1.2 takes an unquoted text for a number."""
    return text.replace("e", "", 1).isdigit() or (text[:2] == "0b" and set(text[2:]) <= {"0", "1"})


hexadecimal = st.one_of(
    st.from_regex(r"[0-9a-f]{32}", fullmatch=True),
    st.from_regex(r"[0-9]{32}", fullmatch=True),
    st.from_regex(r"[0-9]{15}e[0-9]{16}", fullmatch=True),
    st.from_regex(r"0b[01]{30}", fullmatch=True),
)
texts = st.text(alphabet="abAB01:#{}[]&*!|>'\"%@`,-? é€😀\\/", max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=4,
)


@st.composite
def _extras(draw: st.DrawFn) -> dict[str, Any]:
    return draw(st.dictionaries(texts.map(lambda text: f"x{text}"), values, max_size=2))


@st.composite
def _referring(draw: st.DrawFn, hole: Hole) -> dict[str, Any]:
    """An object that refers to a key in one of the documented forms, in any order."""
    key = hole.version.key
    vault = draw(st.sampled_from([f"https://{key.vault}", f"https://{key.vault}/"]))
    camel = {"vaultBaseUrl": vault, "keyName": key.name, "keyVersion": hole}
    body: dict[str, Any] = draw(
        st.sampled_from(
            [
                {"cmk_vault_base_url": vault, "cmk_key_name": key.name, "cmk_key_version": hole},
                {"computeType": "ACI", **camel},
                {"type": "containerGroups", "properties": {"encryptionProperties": camel}},
            ]
        )
    )
    return dict(draw(st.permutations([*body.items(), *draw(_extras()).items()])))


@st.composite
def _nested(draw: st.DrawFn, body: dict[str, Any]) -> dict[str, Any]:
    match draw(st.integers(0, 3)):
        case 0:
            return {**draw(_extras()), "outer": body}
        case 1:
            return {"resources": [draw(values), body], **draw(_extras())}
        case 2:
            return {**body, "also": "old: " + "0" * 32}
        case _:
            return body


@st.composite
def _documents(draw: st.DrawFn, quotes: tuple[str, ...]) -> list[dict[str, Any]]:
    versions = draw(st.lists(hexadecimal, min_size=1, max_size=4, unique=True))
    holes = [
        Hole(KeyVersion(draw(st.sampled_from(KEYS)), version), draw(st.sampled_from(quotes)))
        for version in versions
    ]
    return [draw(_nested(draw(_referring(hole)))) for hole in holes]


@st.composite
def json_files(draw: st.DrawFn) -> ConfigFile:
    """JSON with any white space, escapes or none, with or without a byte order mark."""
    documents = draw(_documents(('"',)))
    choose = draw(st.randoms(use_true_random=False))
    root: Any = documents if len(documents) > 1 else documents[0]
    pieces = [choose.choice(["", "\ufeff"]), *_json(root, choose), choose.choice(["", "\n"])]
    return ConfigFile(draw(st.sampled_from(["a.json", "a.yaml"])), tuple(pieces))


def _json(node: Any, choose: Random) -> Iterator[Piece]:  # noqa: ANN401 - JSON
    space: Callable[[], str] = lambda: choose.choice(["", " ", "\n  ", "\r\n\t"])  # noqa: E731 - short
    if isinstance(node, Hole):
        yield node
    elif isinstance(node, dict):
        for number, (name, value) in enumerate(node.items()):
            yield ("," if number else "{") + space()
            yield json.dumps(name, ensure_ascii=choose.random() < 0.5) + space() + ":" + space()
            yield from _json(value, choose)
            yield space()
        yield "}" if node else "{}"
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield ("," if number else "[") + space()
            yield from _json(value, choose)
        yield "]" if node else "[]"
    else:
        yield json.dumps(node)


@st.composite
def yaml_files(draw: st.DrawFn) -> ConfigFile:
    """YAML in block and flow style: any quotes, comments, line ends, anchors and aliases."""
    documents = draw(_documents(("", "'", '"')))
    choose = draw(st.randoms(use_true_random=False))
    pieces: list[Piece] = [choose.choice(["", "\ufeff"]), choose.choice(["", "---\n", "# head\n"])]
    for number, document in enumerate(documents):
        pieces += ["---\n"] * bool(number)
        pieces += [choose.choice(["", "ancho: &a {n: [1]}\nalias: *a\nmerge:\n  <<: *a\n"])]
        pieces += _block(document, 0, choose)
    if choose.choice([True, False]):
        pieces = [p.replace("\n", "\r\n") if isinstance(p, str) else p for p in pieces]
    return ConfigFile(draw(st.sampled_from(["a.yaml", "a.yml", "deploy"])), tuple(pieces))


def _block(node: dict[str, Any], indent: int, choose: Random) -> Iterator[Piece]:
    for name, value in node.items():
        yield choose.choice(["", "", "\n", " " * indent + "# keyVersion: " + "0" * 32 + "\n"])
        yield " " * indent + (name if name.isidentifier() else _quoted(name)) + ":"
        yield from _entry(value, indent, choose)


def _entry(value: Any, indent: int, choose: Random) -> Iterator[Piece]:  # noqa: ANN401 - YAML
    comment = choose.choice(["\n", "\n", "  # was " + "0" * 32 + "\n"])
    if isinstance(value, dict) and value and choose.randint(0, 2):
        yield comment
        yield from _block(value, indent + choose.randint(1, 4), choose)
    elif isinstance(value, list) and value and choose.randint(0, 2):
        yield comment
        for item in value:
            yield " " * indent + "-"
            yield from _entry(item, indent + 2, choose)
    else:
        yield " " * choose.randint(1, 3)
        yield from _flow(value)
        yield comment


def _flow(node: Any) -> Iterator[Piece]:  # noqa: ANN401 - YAML
    if isinstance(node, Hole):
        yield node
    elif isinstance(node, dict):
        for number, (name, value) in enumerate(node.items()):
            yield f"{', ' if number else '{'}{_quoted(name)}: "
            yield from _flow(value)
        yield "}" if node else "{}"
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield ", " if number else "["
            yield from _flow(value)
        yield "]" if node else "[]"
    else:
        yield _quoted(node)


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
