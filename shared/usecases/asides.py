"""Tell of what a search finds beside consumers: it has no reference that could be moved."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import batched

from shared.catalog.beside import BESIDE
from shared.domain.beside import Beside
from shared.domain.json_paths import Json
from shared.domain.keys import Key
from shared.domain.tallies import Tally
from shared.ports import Inventory, Resources
from shared.usecases.dependants import FindDependants
from shared.usecases.search import BATCH, EveryKey, tallied


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """One thing beside consumers.

    Attributes:
        resource: Id of an Azure resource; of what is counted, its title.
        kind, kind_title: What it is, for programs and for people.
        location: Azure region; empty: it has none.
        through: Id of the resource through which it depends on a key; empty: it is only counted.
        reason: Why there is nothing to move.
        advice: What a person does all the same; empty: nothing.
        keeps_old: Whether it keeps the old version by itself until somebody has followed
            ``advice``.
        may_use: Whether it, or something in it, may use a key all the same.
    """

    resource: str
    kind: str
    kind_title: str
    location: str
    through: str
    reason: str
    advice: str
    keeps_old: bool
    may_use: bool


@dataclass(frozen=True, slots=True)
class TellAsides:
    """Tell of what a rotation of a key would tell of, where nothing is kept."""

    inventory: Inventory
    resources: Resources

    def of_page(
        self, bodies: Sequence[Json], key: Key | EveryKey, declared: Sequence[str]
    ) -> Iterator[Aside]:
        """Yield what depends on a key through the resources of a page; see ``FindDependants``."""
        for found in FindDependants(self.inventory, self.resources).run(bodies, key, declared):
            yield Aside(
                resource=found.resource,
                kind=found.kind.id,
                kind_title=found.kind.title,
                location=found.location,
                through=found.through,
                reason=found.reason,
                advice=found.advice,
                keeps_old=bool(found.advice),
                may_use=True,
            )

    def of_all(self, declared: Sequence[str], target: str) -> Iterator[Aside]:
        """Yield what is counted in the searched subscriptions.

        Args:
            declared: Their ids; empty: all that are visible.
            target: Of the advice: the version that all should be on.
        """
        tallies: Mapping[str, Tally] = {}
        searched = [s for s in self.resources.subscriptions() if not declared or s in declared]
        for subscriptions in batched(searched, BATCH, strict=False):
            tallies = tallied(self.inventory, tallies, subscriptions)
        yield from asides_of(tallies, target)


def asides_of(tallies: Mapping[str, Tally], target: str) -> Iterator[Aside]:
    """Yield what was counted, by the id of its entry; nothing of what there is none of."""
    for entry in BESIDE:
        tally = tallies.get(entry.id, Tally())
        if not tally.count:
            continue
        todo = ""
        if entry.by_hand:
            # No obstacle: of most of them the key is another one, which nothing shows.
            todo = entry.by_hand.steps.format(resource=_each_of(entry, tally), target=target)
        yield Aside(
            resource=entry.title,
            kind=entry.id,
            kind_title=entry.title,
            location="",
            through="",
            reason=entry.said(tally),
            advice=todo,
            keeps_old=False,
            may_use=entry.by_hand is not None,
        )


def _each_of(entry: Beside, tally: Tally) -> str:
    """Return what to look at: those that have the flag by their ids, and how many others."""
    left = tally.count - len(tally.named)
    others = f"the {'other ' if tally.named else ''}{entry.title} ({left})"
    return ", ".join([*tally.named, *([others] if left else [])])
