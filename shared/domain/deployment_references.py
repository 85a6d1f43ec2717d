"""Where a deployment config refers to keys, and which references can be read in one way only.

The forms, however deep they are nested; names count in any casing, as Azure Resource Manager
has it:

- The arguments of Azure ML's ``AciWebservice.deploy_configuration``: ``cmk_vault_base_url``,
  ``cmk_key_name``, ``cmk_key_version`` (docs: azureml.core.webservice.aci).
- What ``az ml model deploy --dc`` reads: ``vaultBaseUrl``, ``keyName``, ``keyVersion`` beside
  ``computeType: ACI`` (azureml-core: ``_model_management/_util.py``, deploy_config_dict_to_obj).
- A container group, for ``az container create --file`` or in a template: the same three names
  under ``encryptionProperties`` (azure-rest-api-specs: ContainerGroupEncryptionProperties.json).
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from shared.domain.errors import InvalidKeyUrlError, UnreadableError
from shared.domain.keys import Key, KeyVersion
from shared.domain.resources import Reference
from shared.domain.source_trees import (
    AliasNode,
    MappingNode,
    Node,
    Path,
    ScalarNode,
    SequenceNode,
    Source,
    Style,
)

_CMK = ("cmk_vault_base_url", "cmk_key_name", "cmk_key_version")
_ACI = ("vaultBaseUrl", "keyName", "keyVersion")
_ENCRYPTION = "encryptionproperties"
_COMPUTE = "computetype"
_TELLING = {_ENCRYPTION, _COMPUTE, *(name.lower() for name in (*_CMK, *_ACI))}

_VERSION = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)
# What is filled in at deployment: ARM's [parameters('v')], ${V}, $(V), {{ v }}, <v>, #{V}#, __V__.
_PLACEHOLDER = re.compile(r"\[.*\]|.*\$[({].*|.*\{\{.*|<.*>|.*#\{.*|__.*__|%.*%", re.DOTALL)
_BARE = re.compile(r"[\w-]+", re.ASCII)

_ADVICE = "write it out by hand, or keep the file out of the registered places"


@dataclass(frozen=True, slots=True)
class Found:
    """A reference, and where its version stands.

    Attributes:
        path: The version's.
        version: ``None``: the reference is versionless.
    """

    reference: Reference
    path: Path
    version: ScalarNode | None


def find(source: Source, roots: tuple[Node, ...]) -> list[Found]:
    """Return the references of a file, in its order.

    Raises:
        UnreadableError: One of them cannot be read, or not in one way only: it is incomplete,
            filled in at deployment, shared through an anchor, an alias, a merge or a tag, or its
            version is spelled so that it cannot be replaced where it stands.
    """
    return list(_Finder(source, roots).all())


class _Finder:
    def __init__(self, source: Source, roots: tuple[Node, ...]) -> None:
        self._source = source
        self._roots = roots
        self._telling: dict[int, bool] = {}

    def all(self) -> Iterator[Found]:
        for number, root in enumerate(self._roots):
            yield from self._below((number,), root)

    def _below(self, path: Path, node: Node) -> Iterator[Found]:
        self._refuse_shared(path, node)
        match node:
            case MappingNode():
                yield from self._held_by(path, node)
                for name, value in node.entries.items():
                    yield from self._below((*path, name), value)
            case SequenceNode():
                for position, item in enumerate(node.items):
                    yield from self._below((*path, position), item)
            case _:
                pass

    def _refuse_shared(self, path: Path, node: Node) -> None:
        """Refuse a part that refers to keys and that YAML uses in more than one way."""
        if isinstance(node, AliasNode):
            how = f"is repeated by the alias *{node.name:.64}"
        elif path[-1] == "<<":
            how = "is merged in from elsewhere (<<)"
        elif not isinstance(node, ScalarNode) and node.tag:
            how = f"carries the tag {node.tag:.64}"
        else:
            return
        if self._tells(node):
            raise self._error(node, path, f"the reference to a key {how}")

    def _tells(self, node: Node) -> bool:
        """Return whether there is a name in or below the node that references are made of."""
        if isinstance(node, AliasNode):
            return self._tells(node.target)
        if id(node) not in self._telling:
            match node:
                case MappingNode():
                    named = any(name.lower() in _TELLING for name in node.entries)
                    tells = named or any(map(self._tells, node.entries.values()))
                case SequenceNode():
                    tells = any(map(self._tells, node.items))
                case ScalarNode():
                    tells = False
            self._telling[id(node)] = tells
        return self._telling[id(node)]

    def _held_by(self, path: Path, mapping: MappingNode) -> Iterator[Found]:
        for name, value in mapping.entries.items():
            if name.lower() == _ENCRYPTION:
                self._refuse_no_mapping((*path, name), value)
        forms = [_CMK]
        compute = self._scalar(path, mapping, _COMPUTE)
        if str(path[-1]).lower() == _ENCRYPTION or (compute and compute.value.lower() == "aci"):
            forms.append(_ACI)
        found = [one for form in forms if (one := self._reference(path, mapping, form))]
        if len(found) > 1:
            raise self._error(mapping, path, "a key is referred to in two forms")
        yield from found

    def _refuse_no_mapping(self, path: Path, node: Node) -> None:
        held = node.target if isinstance(node, AliasNode) else node
        if isinstance(held, SequenceNode) or (isinstance(held, ScalarNode) and not held.blank):
            raise self._error(node, path, "no object: what it refers to cannot be told")

    def _reference(
        self, path: Path, mapping: MappingNode, form: tuple[str, str, str]
    ) -> Found | None:
        vault, name, version = (self._scalar(path, mapping, field) for field in form)
        if vault is None and name is None and version is None:
            return None
        if vault is None or name is None:
            missing = form[0] if vault is None else form[1]
            raise self._error(mapping, path, f"{missing} is missing beside the others")
        key = self._key(path, vault, name)
        if version is not None:
            self._refuse_unwritable(path, version, self._name(mapping, form[2]))
        pinned = KeyVersion(key, version.value.lower()) if version else None
        reference = Reference(self._place(path), key, pinned)
        return Found(reference, (*path, self._name(mapping, form[2])), version)

    def _key(self, path: Path, vault: ScalarNode, name: ScalarNode) -> Key:
        for node in (vault, name):
            if _PLACEHOLDER.fullmatch(node.value):
                raise self._error(node, path, f"{node.value!r:.64} is filled in at deployment")
        try:
            return Key.parse(f"{vault.value.strip(' ').rstrip('/')}/keys/{name.value}")
        except InvalidKeyUrlError:
            text = f"{vault.value!r:.200} and {name.value!r:.64} name no key of a vault"
            raise self._error(vault, path, text) from None

    def _refuse_unwritable(self, path: Path, version: ScalarNode, name: str) -> None:
        text, start, end = self._source.text, version.start, version.end
        written = text[start:end] if version.style is Style.PLAIN else text[start + 1 : end - 1]
        if version.anchor:
            why = f"carries the anchor &{version.anchor:.64}: others may change with it"
        elif _PLACEHOLDER.fullmatch(version.value):
            why = f"is {version.value!r:.64}, filled in at deployment"
        elif not _VERSION.fullmatch(version.value):
            why = f"is {version.value!r:.64}, no version of a key"
        elif written != version.value:
            why = "is written over several lines or with escapes"
        else:
            return
        raise self._error(version, path, f"{name} {why}")

    def _scalar(self, path: Path, mapping: MappingNode, field: str) -> ScalarNode | None:
        """Return the text of a field; ``None`` if it is absent, null or empty."""
        names = [name for name in mapping.entries if name.lower() == field.lower()]
        if not names:
            return None
        node = mapping.entries[names[0]]
        if len(names) > 1:
            raise self._error(node, path, f"{' and '.join(names):.200} differ in casing only")
        if isinstance(node, AliasNode):
            if field in {_CMK[2], _ACI[2]}:
                raise self._error(node, path, f"{names[0]} is the alias *{node.name:.64}")
            node = node.target
        if not isinstance(node, ScalarNode):
            raise self._error(node, path, f"{names[0]} is no text")
        if node.tag:
            raise self._error(node, path, f"{names[0]} carries the tag {node.tag:.64}")
        if node.blank:
            return None
        if node.style is Style.LITERAL:
            raise self._error(node, path, f"{names[0]} is {node.value:.64}, no text")
        return node

    @staticmethod
    def _name(mapping: MappingNode, field: str) -> str:
        return next((name for name in mapping.entries if name.lower() == field.lower()), field)

    def _place(self, path: Path) -> str:
        document = f"document {int(path[0]) + 1}: " if len(self._roots) > 1 else ""
        return document + ("".join(map(_step, path[1:])).removeprefix(".") or "top level")

    def _error(self, node: Node, path: Path, what: str) -> UnreadableError:
        return self._source.error(node.start, f"{self._place(path)}: {what}; {_ADVICE}")


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if _BARE.fullmatch(step) else f"[{json.dumps(step)}]"
