"""How much there is of something that is counted, and not listed."""

from typing import Self

from msgspec import Struct
from msgspec.structs import replace

MOST_NAMED = 10


class Tally(Struct, frozen=True, kw_only=True):
    """How many resources of a type there are.

    Attributes:
        marked: Those of which a flag has a certain text.
        named: Ids of these; the first ten.
    """

    count: int = 0
    marked: int = 0
    named: tuple[str, ...] = ()

    def plus(self, other: Self) -> Self:
        """Return both together."""
        return replace(
            self,
            count=self.count + other.count,
            marked=self.marked + other.marked,
            named=(self.named + other.named)[:MOST_NAMED],
        )
