"""What a proof rule is tried on, and ways to get it wrong."""

from collections.abc import Callable
from dataclasses import dataclass

from shared.domain.json_paths import Json, text_at
from shared.domain.keys import Key, KeyVersion
from shared.domain.kinds import Kind
from shared.domain.proofs import AllOf, EchoesTarget, Rule, version_at
from tests.domain.values import KEY

Wrong = Callable[[Json], bool]

# With letters, so that casing can matter.
OLD = KeyVersion(KEY, "ab" * 16)
TARGET = KeyVersion(KEY, "cd" * 16)
NEWER = KeyVersion(KEY, "ef" * 16)
ELSEWHERE = KeyVersion(Key("kv2.vault.azure.net", KEY.name), TARGET.version)
OTHER_KEY = KeyVersion(Key(KEY.vault, "other"), TARGET.version)


@dataclass(frozen=True)
class Trial:
    """What a kind's proof rule is tried on.

    Attributes:
        proven, unproven: Bodies, by what is about them.
        wrong: Rules that get one thing wrong, by what it is.
    """

    proven: dict[str, Json]
    unproven: dict[str, Json]
    wrong: dict[str, Wrong]

    def bodies(self) -> dict[str, tuple[Json, bool]]:
        """Return every body, and whether it proves the target."""
        return {
            **{name: (body, True) for name, body in self.proven.items()},
            **{name: (body, False) for name, body in self.unproven.items()},
        }


def rules_of(kind: Kind) -> tuple[Rule, ...]:
    """Return the conditions of a kind's proof; the first is about the version."""
    return kind.proof.rules if isinstance(kind.proof, AllOf) else (kind.proof,)


def holds(rule: Rule) -> Wrong:
    return lambda body: rule.check(body, TARGET).holds


def less(kind: Kind, index: int) -> Wrong:
    """Return a kind's rule without one of its conditions."""
    left = [rule for i, rule in enumerate(rules_of(kind)) if i != index]
    assert len(left) == len(rules_of(kind)) - 1
    return lambda body: all(rule.check(body, TARGET).holds for rule in left)


def one_is_enough(kind: Kind) -> Wrong:
    return lambda body: any(rule.check(body, TARGET).holds for rule in rules_of(kind))


def by_text(kind: Kind, fits: Callable[[str], bool]) -> Wrong:
    """Return a kind's rule with what is reported compared in some other way."""
    rest = less(kind, 0)
    return lambda body: fits(text_at(body, kind.in_use)) and rest(body)


def by_version(kind: Kind, fits: Callable[[KeyVersion], bool]) -> Wrong:
    """Return a kind's rule with less compared than vault, name and version."""
    rest = less(kind, 0)

    def check(body: Json) -> bool:
        version = version_at(body, kind.in_use, kind.in_use_key)
        return version is not None and fits(version) and rest(body)

    return check


def compared_otherwise(kind: Kind) -> dict[str, Wrong]:
    """Return wrong ways to compare the URL that a service reports."""
    return {
        "the written reference instead of the reported one": holds(EchoesTarget(kind.shape)),
        "the end of the URL": by_text(kind, lambda text: text.endswith(TARGET.version)),
        "the beginning of the URL": by_text(kind, lambda text: text.startswith(str(TARGET))),
        "the URL somewhere in the text": by_text(kind, lambda text: str(TARGET) in text),
        "the very same text": by_text(kind, lambda text: text == str(TARGET)),
        "any text at all": by_text(kind, bool),
        "the report ignored": less(kind, 0),
        "vault ignored": by_version(
            kind, lambda v: (v.key.name, v.version) == (KEY.name, TARGET.version)
        ),
        "name ignored": by_version(
            kind, lambda v: (v.key.vault, v.version) == (KEY.vault, TARGET.version)
        ),
        "version ignored": by_version(kind, lambda v: v.key == KEY),
        "any version but the old one": by_version(kind, lambda v: v.key == KEY and v != OLD),
        "one condition is enough": one_is_enough(kind),
    }


def reported_otherwise(reporting: Callable[[str], Json]) -> dict[str, Json]:
    """Return bodies that report something near the target, though the target is written."""
    return {
        "the old version in use": reporting(str(OLD)),
        "a newer version in use": reporting(str(NEWER)),
        "the version in another vault": reporting(str(ELSEWHERE)),
        "the version of another key": reporting(str(OTHER_KEY)),
        "the key without a version": reporting(str(KEY)),
        "a URL that ends so": reporting(f"x{TARGET}"),
        "a URL that begins so": reporting(f"{TARGET}0"),
        "two URLs": reporting(f"{TARGET} {OLD}"),
        "two URLs, the target last": reporting(f"{OLD} {TARGET}"),
        "an empty text": reporting(""),
    }
