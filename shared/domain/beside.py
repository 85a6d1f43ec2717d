"""What lies in the searched subscriptions beside consumers, so that nobody wonders about it.

It holds no key of the customer's, or none that Azure Resource Manager shows. It is counted once per
rotation, by type, and not listed one by one.
"""

from dataclasses import dataclass

from shared.domain.kinds import ByHand
from shared.domain.tallies import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """One kind of thing that is told of, and never moved.

    Attributes:
        id: Our short name; it stands in rows and reports.
        title: For people, in the plural: the line's name in a report.
        resource_type: What is counted.
        counted: For people, in the plural: what these are.
        mark: Path and text, in any casing, of the flag.
        marked: For people: what has the flag.
        why: Why no key is moved.
        by_hand: What a person does before a version is retired, and first where any has the flag;
            ``None``: nothing need be done.
        sources: Where this comes from.
    """

    id: str
    title: str
    resource_type: str
    counted: str
    mark: tuple[str, str]
    marked: str
    why: str
    by_hand: ByHand | None
    sources: tuple[str, ...]

    def said(self, tally: Tally) -> str:
        """Return why no key is moved, how much there is of it, and whether it must be looked at."""
        said = f"{self.why} ({tally.count} {self.counted}, {tally.marked} {self.marked})"
        if self.by_hand and tally.marked:
            said += "; they may use this key: look at them before a version of it is retired"
        return said
