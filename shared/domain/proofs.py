"""When a resource is proven to use a version.

A proof rule is a predicate over a *fresh* GET of the resource; rules compose with ``AllOf``.
A rule answers with what it saw, so that a refusal can say what was expected and what was got.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from shared.domain.errors import InvalidKeyUrlError, UnreadableError
from shared.domain.json_paths import Json, look_up, text_at
from shared.domain.keys import Key, KeyVersion, parse_key_url
from shared.domain.resources import Shape


class Level(StrEnum):
    """How strong a proof is: accepted < configured < reported < observed."""

    ACCEPTED = "accepted"
    CONFIGURED = "configured"
    REPORTED = "reported"
    OBSERVED = "observed"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule saw.

    Attributes:
        holds: Whether the rule is satisfied.
        seen: For people: ``currentVersionedKeyIdentifier is …/a1b2…``.
    """

    holds: bool
    seen: str


class Rule(Protocol):
    """One condition of a proof."""

    def check(self, body: Json, target: KeyVersion) -> Finding:
        """Return whether ``body``, a fresh GET, shows that ``target`` is in use."""
        ...


def version_at(body: Json, path: str, key: str = "") -> KeyVersion | None:
    """Return the version that a field names; ``None``: it names none.

    Args:
        body: Of the resource.
        path: Of a field with the URL of a version.
        key: Path of a field with the URL of the key, where ``path`` may hold the bare version. The
            version is then one of that key, or none.
    """
    text = text_at(body, path)
    try:
        if not key:
            return KeyVersion.parse(text)
        named = parse_key_url(text_at(body, key))
        owner = named if isinstance(named, Key) else named.key
        found = KeyVersion.parse(text if "/" in text else f"{owner}/{text}")
    except InvalidKeyUrlError:
        return None
    return found if found.key == owner else None


@dataclass(frozen=True, slots=True)
class NamesTarget:
    """The field names the target: the same vault, key and version, not merely its ending.

    Attributes:
        path, key: See ``version_at``.
        bare: Path of a field with the bare version, where ``path`` names the key alone; empty:
            there is none.
    """

    path: str
    key: str = ""
    bare: str = ""

    def check(self, body: Json, target: KeyVersion) -> Finding:
        """See ``Rule.check``."""
        text, version = text_at(body, self.path), version_at(body, self.path, self.key)
        if version is None and self.bare:
            version = version_at(body, self.bare, self.path)
        if version is not None:
            return Finding(holds=version == target, seen=f"{_last(self.path)} is {version}")
        seen = f"{_last(self.path)} is {text[:200]!r}" if text else f"{_last(self.path)} is absent"
        if self.key:
            seen += f", {_last(self.key)} is {text_at(body, self.key)[:200]!r}"
        return Finding(holds=False, seen=seen)


@dataclass(frozen=True, slots=True)
class EchoesTarget:
    """Every reference to the target's key names the target. There must be one.

    The service only echoes what was written: the level is no better than ``configured``.
    """

    shape: Shape

    def check(self, body: Json, target: KeyVersion) -> Finding:
        """See ``Rule.check``."""
        try:
            ours = [r for r in self.shape.read(body) if r.key == target.key]
        except UnreadableError as error:
            return Finding(holds=False, seen=str(error))
        others = [r for r in ours if r.pinned != target]
        seen = "; ".join(f"{r.place} is {r}" for r in others or ours)
        return Finding(holds=bool(ours) and not others, seen=seen or f"none is {target.key}")


@dataclass(frozen=True, slots=True)
class FieldIs:
    """The field has this text, or one of some others as good, in any casing."""

    path: str
    value: str
    others: tuple[str, ...] = ()

    def check(self, body: Json, target: KeyVersion) -> Finding:  # noqa: ARG002 - the rule's shape
        """See ``Rule.check``."""
        text = text_at(body, self.path)
        return Finding(
            holds=text.lower() in {good.lower() for good in (self.value, *self.others)},
            seen=f"{_last(self.path)} is {text[:200] or 'absent'}",
        )


@dataclass(frozen=True, slots=True)
class NoComplaint:
    """The field is absent or empty, or has the text by which the service says that all is well.

    What it says beside that is a complaint, whether we know the text or not.
    """

    path: str
    well: str

    def check(self, body: Json, target: KeyVersion) -> Finding:  # noqa: ARG002 - the rule's shape
        """See ``Rule.check``."""
        found = look_up(body, self.path)
        text = found if isinstance(found, str) else "" if found is None else repr(found)
        return Finding(
            holds=text.strip().lower() in ("", self.well.lower()),
            seen=f"{_last(self.path)} is {text[:200] or 'absent'}",
        )


@dataclass(frozen=True, slots=True)
class IsEmpty:
    """The field is absent, null, or an empty text, list or object."""

    path: str

    def check(self, body: Json, target: KeyVersion) -> Finding:  # noqa: ARG002 - the rule's shape
        """See ``Rule.check``."""
        found = look_up(body, self.path)
        is_empty = found in (None, "", [], {})
        seen = "empty" if is_empty else repr(found)[:200]
        return Finding(holds=is_empty, seen=f"{_last(self.path)} is {seen}")


@dataclass(frozen=True, slots=True)
class Unprovable:
    """Nothing that a GET shows proves the version.

    Attributes:
        why: For people.
    """

    why: str

    def check(self, body: Json, target: KeyVersion) -> Finding:  # noqa: ARG002 - the rule's shape
        """See ``Rule.check``: it never holds."""
        return Finding(holds=False, seen=self.why)


def _last(path: str) -> str:
    return path.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every rule holds. There must be one: nothing is proven by no condition."""

    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        if not self.rules:
            raise ValueError("a proof needs at least one rule")

    def check(self, body: Json, target: KeyVersion) -> Finding:
        """See ``Rule.check``. What was seen names what is missing, or else everything."""
        findings = [rule.check(body, target) for rule in self.rules]
        missing = [finding for finding in findings if not finding.holds]
        return Finding(
            holds=not missing, seen="; ".join(finding.seen for finding in missing or findings)
        )
