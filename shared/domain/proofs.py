"""When a resource is proven to use a version.

A proof rule is a predicate over a *fresh* GET of the resource; rules compose with ``AllOf``.
A rule answers with what it saw, so that a refusal can say what was expected and what was got.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from shared.domain.errors import InvalidKeyUrlError
from shared.domain.json_paths import Json, text_at
from shared.domain.keys import KeyVersion, parse_key_url


class Level(StrEnum):
    """How strong a proof is; each is stronger than the one before."""

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


@dataclass(frozen=True, slots=True)
class NamesTarget:
    """The field is the target's URL: the same vault, key and version, not merely its ending."""

    path: str

    def check(self, body: Json, target: KeyVersion) -> Finding:
        """See ``Rule.check``."""
        text = text_at(body, self.path)
        field = self.path.rpartition(".")[2]
        if not text:
            return Finding(holds=False, seen=f"{field} is absent")
        try:
            named = parse_key_url(text)
        except InvalidKeyUrlError:
            return Finding(holds=False, seen=f"{field} is {text[:200]!r}")
        return Finding(holds=named == target, seen=f"{field} is {named}")


@dataclass(frozen=True, slots=True)
class FieldIs:
    """The field has this text, in any casing."""

    path: str
    value: str

    def check(self, body: Json, target: KeyVersion) -> Finding:  # noqa: ARG002 - the rule's shape
        """See ``Rule.check``."""
        text = text_at(body, self.path)
        field = self.path.rpartition(".")[2]
        return Finding(
            holds=text.lower() == self.value.lower(), seen=f"{field} is {text[:200] or 'absent'}"
        )


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
