"""Show where consumers are looked for, and what of it can be read."""

from collections.abc import Iterator
from dataclasses import dataclass

from shared.catalog import KINDS
from shared.domain.app_views import ScopeView, SubscriptionView
from shared.domain.errors import PermanentError
from shared.domain.kinds import Plane
from shared.domain.rows import Scope
from shared.ports import Policies, Resources

_ARM = [kind for kind in KINDS if kind.plane is Plane.ARM]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowScope:
    """Ask Azure Resource Manager what we see, and what we may read.

    Attributes:
        allowed: Hosts of the vaults that may be managed.
        sources: Places of deployment configs.
    """

    resources: Resources
    policies: Policies
    allowed: frozenset[str]
    sources: tuple[str, ...]

    def run(self, *, after: str = "", limit: int) -> ScopeView:
        """Return a page of subscriptions by id, each asked for our rights in it just now.

        ``next`` is the last one's id where there are more: the caller makes a link of it.
        """
        visible, declared = set(self.resources.subscriptions()), self.policies.current().declared
        left = [each for each in sorted(declared or visible) if each > after]
        items = tuple(self._shown(each, visible, declared) for each in left[:limit])
        unreadable = tuple(item.id for item in items if not item.readable)
        scope = Scope().plus(readable=len(items) - len(unreadable), unreadable=unreadable)
        return ScopeView(
            statement=str(scope),
            vaults=tuple(sorted(self.allowed)),
            kinds=tuple(kind.title for kind in KINDS),
            config_sources=tuple(source.partition("?")[0] for source in self.sources),
            items=items,
            next=items[-1].id if len(left) > limit else None,
        )

    def _shown(
        self, subscription: str, visible: set[str], declared: frozenset[str]
    ) -> SubscriptionView:
        problem = next(self._problems(subscription, visible), None)
        return SubscriptionView(
            id=subscription,
            declared=subscription in declared,
            readable=problem is None,
            problem=problem,
        )

    def _problems(self, subscription: str, visible: set[str]) -> Iterator[str]:
        if subscription not in visible:
            yield "our identity does not see it: give it a role there, or take it off the policy"
            return
        try:
            lacking = self.resources.lacking(subscription, _ARM)
        except PermanentError as error:
            yield str(error)
        else:
            if lacking:
                yield f"our identity lacks {', '.join(lacking)} there"
