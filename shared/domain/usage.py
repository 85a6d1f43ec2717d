"""Which versions of a key its consumers use, as far as rotations have seen."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from shared.domain.kinds import Kind
from shared.domain.rows import Known

MOST_NAMED = 10
"""Consumers that are named; of the others it is said how many there are."""


@dataclass(slots=True)
class Users:
    """Some consumers: how many, and a few of them by their resources' ids."""

    total: int = 0
    named: list[str] = field(default_factory=list)

    def add(self, resource: str) -> None:
        """Count a consumer in a resource."""
        self.total += 1
        if len(self.named) < MOST_NAMED:
            self.named.append(resource)

    def __str__(self) -> str:
        noun = "consumer" if self.total == 1 else "consumers"
        left = self.total - len(self.named)
        more = f" and {left} more" if left else ""
        return f"{self.total} {noun} ({', '.join(sorted(self.named))}{more})"


@dataclass(slots=True)
class Usage:
    """What is known of a key's consumers, in memory that does not grow with their number.

    Attributes:
        by_version: Who uses a version, by its URL.
        refusing: Who of these takes no other version while that one is expired.
        untold: Whose version is not known: its service does not say, or nobody has looked.
    """

    by_version: dict[str, Users] = field(default_factory=dict)
    refusing: dict[str, Users] = field(default_factory=dict)
    untold: Users = field(default_factory=Users)

    @property
    def all(self) -> Users:
        """Every consumer."""
        everyone = Users()
        for users in (*self.by_version.values(), self.untold):
            everyone.total += users.total
            everyone.named += users.named[: MOST_NAMED - len(everyone.named)]
        return everyone

    def note(self, known: Known, kind: Kind | None) -> None:
        """Note the consumers of a resource; ``kind`` is ``None`` where the catalog has it not."""
        if not known.holds:
            return
        for version in _in_use(known):
            if version is None:
                self.untold.add(known.resource)
                continue
            self.by_version.setdefault(version, Users()).add(known.resource)
            if kind and kind.refuses_while_expired:
                self.refusing.setdefault(version, Users()).add(known.resource)


def _in_use(known: Known) -> Iterator[str | None]:
    """Yield for each consumer the version that it was last seen on; ``None``: none of this key."""
    if not known.versions:
        yield None
    for seen in known.versions.values():
        last = seen[-1] if seen else ""
        yield last if last.startswith(f"{known.key}/") else None
