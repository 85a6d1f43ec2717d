"""The inventory behind ``shared.ports.Inventory``: Azure Resource Graph."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.adapters.arm.client import ArmClient
from shared.catalog import KINDS
from shared.domain.errors import NotAllowedError, UnreadableError
from shared.domain.json_paths import look_up, text_at
from shared.domain.kinds import Plane
from shared.ports import Page

_PATH = "/providers/Microsoft.ResourceGraph/resources"
_VERSION = "2021-03-01"
_ROWS = 500  # half of what Resource Graph gives at most: a page is one invocation
_PARENTS = 50  # each costs a call to Resource Manager
_HOST = re.compile(r"[a-z0-9.-]+")


def query(vault: str) -> str:
    """Return the query for resources of the catalog's types that name a vault, given by its host.

    Empty, it is for those that name any: the hosts of vaults have ``.vault.`` in every cloud, those
    of managed HSMs ``.managedhsm.``.

    Coarse on purpose: it misses no way of writing a reference; the catalog's paths then decide.

    Raises:
        NotAllowedError: ``vault`` is no host, and would change the query.
    """
    if vault and not _HOST.fullmatch(vault):
        raise NotAllowedError(f"not the host of a vault: {vault!r}")
    named = " or ".join(
        f"tostring(properties) contains '{text}'"
        for text in ([vault] if vault else [".vault.", ".managedhsm."])
    )
    held = [k for k in KINDS if k.plane is Plane.ARM and not k.listed_under]
    return (
        f"resources | where type in~ ({_quoted(kind.resource_type for kind in held)})"
        f" | where {named}"
        " | project id, type, location, tags, properties | order by id asc"
    )


@dataclass(frozen=True, slots=True)
class GraphInventory:
    """Asks Resource Graph, one page at a time."""

    client: ArmClient

    def page(self, *, vault: str, subscriptions: Sequence[str], token: str) -> Page:
        """See ``Inventory.page``."""
        return self._page(
            f"find what refers to {vault or 'any key'}", query(vault), subscriptions, token, _ROWS
        )

    def parents(self, *, types: Sequence[str], subscriptions: Sequence[str], token: str) -> Page:
        """See ``Inventory.parents``."""
        text = (
            f"resources | where type in~ ({_quoted(types)})"
            " | project id, type, location | order by id asc"
        )
        return self._page("find what has children", text, subscriptions, token, _PARENTS)

    def _page(
        self, doing: str, text: str, subscriptions: Sequence[str], token: str, top: int
    ) -> Page:
        options = {"resultFormat": "objectArray", "$top": top}
        if token:
            options["$skipToken"] = token
        answer = self.client.send(
            "POST",
            _PATH,
            doing=doing,
            query={"api-version": _VERSION},
            body={"subscriptions": list(subscriptions), "query": text, "options": options},
        )
        rows, token = answer.body.get("data"), text_at(answer.body, "$skipToken")
        if not isinstance(rows, list):
            raise UnreadableError("Resource Graph's answer holds no rows")
        # Recorded as a string, documented as one. Cut short without a way on, the rest is lost.
        if str(look_up(answer.body, "resultTruncated")).lower() == "true" and not token:
            raise UnreadableError("Resource Graph cut its answer short and gave no way on")
        return Page(rows, token)


def _quoted(types: Iterable[str]) -> str:
    return ", ".join(f"'{each.lower()}'" for each in types)
