"""A policy that a test sets, in the place of a file."""

from dataclasses import dataclass, field

from msgspec.structs import replace

from shared.domain.errors import PolicyError
from shared.domain.policy import Policy


@dataclass
class SetPolicy:
    """Behind ``shared.ports.Policies``.

    Attributes:
        document: What is in force.
        problem: Why it cannot be used; empty: it can.
        problems: Each thing that is wrong with it.
    """

    document: Policy = field(default_factory=Policy)
    problem: str = ""
    problems: tuple[str, ...] = ()

    def current(self) -> Policy:
        """See ``Policies.current``."""
        if self.problem:
            raise PolicyError(self.problem, self.problems)
        return self.document

    def set_defaults(self, **settings: object) -> None:
        """Let other settings hold for every key."""
        self.document = replace(self.document, defaults=replace(self.document.defaults, **settings))
