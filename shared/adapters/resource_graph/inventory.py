"""The inventory behind ``shared.ports.Inventory``: Azure Resource Graph."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.adapters.arm.client import ArmClient
from shared.catalog import KINDS
from shared.domain.beside import Beside
from shared.domain.errors import NotAllowedError, UnreadableError
from shared.domain.json_paths import Json, look_up, text_at
from shared.domain.kinds import Kind, Plane
from shared.domain.tallies import MOST_NAMED, Tally
from shared.ports import ANY_VAULT, Page

_PATH = "/providers/Microsoft.ResourceGraph/resources"
_VERSION = "2021-03-01"
_ROWS = 500  # half of what Resource Graph gives at most: a page is one invocation
_IDS = " | project id | order by id asc"
_PARENTS = 50  # each costs a call to Resource Manager
_HOST = re.compile(r"[a-z0-9.-]+")
_ID = re.compile(r"[\w/.()-]+")


def query(vault: str) -> str:
    """Return the query for resources of the catalog's types that name a vault, given by its host.

    ``ANY_VAULT`` is for those that name any: in every cloud the hosts of vaults have ``.vault.``,
    and those of managed HSMs ``.managedhsm.``.

    Coarse on purpose: it misses no way of writing a reference; the catalog's paths then decide.

    Raises:
        NotAllowedError: ``vault`` is no host, and would change the query.
    """
    texts = [".vault.", ".managedhsm."] if vault == ANY_VAULT else [vault]
    if vault != ANY_VAULT and not _HOST.fullmatch(vault):
        raise NotAllowedError(f"not the host of a vault: {vault!r}")
    named = " or ".join(f"tostring(properties) contains '{text}'" for text in texts)
    held = [k for k in KINDS if k.plane is Plane.ARM and not k.listed_under]
    types = [name for kind in held for name in (kind.resource_type, kind.graph_type) if name]
    return (
        f"resources | where type in~ ({_quoted(types)})"
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
            f"find what refers to {'any key' if vault == ANY_VAULT else vault}",
            query(vault),
            subscriptions,
            token,
            _ROWS,
        )

    def parents(self, *, types: Sequence[str], subscriptions: Sequence[str], token: str) -> Page:
        """See ``Inventory.parents``."""
        text = (
            f"resources | where type in~ ({_quoted(types)})"
            " | project id, type, location | order by id asc"
        )
        return self._page("find what has children", text, subscriptions, token, _PARENTS)

    def naming(
        self, *, kind: Kind, names: Sequence[str], subscriptions: Sequence[str], token: str
    ) -> Page:
        """See ``Inventory.naming``."""
        if strange := [name for name in names if not _ID.fullmatch(name)]:
            raise NotAllowedError(f"not the id of a resource: {strange[0]!r:.200}")
        named = " or ".join(f"tostring(properties) contains '{name}'" for name in names)
        text = (
            f"resources | where type in~ ({_quoted([kind.resource_type])}) | where {named}"
            " | project id, type, location, tags, properties | order by id asc"
        )
        return self._page(f"find each {kind.title}", text, subscriptions, token, _ROWS)

    def tally(self, beside: Beside, subscriptions: Sequence[str]) -> Tally:
        """See ``Inventory.tally``. ``totalRecords`` counts what the page does not hold, too."""
        path, text = beside.mark
        every = f"resources | where type in~ ({_quoted([beside.resource_type])})"
        marked = f"{every} | where tostring({path}) =~ '{text}'"
        doing = f"count the {beside.counted} of {beside.resource_type}"
        count = _total(self._answer(doing, f"{every}{_IDS}", subscriptions, "", 1))
        answer = self._answer(doing, f"{marked}{_IDS}", subscriptions, "", MOST_NAMED)
        named = tuple(text_at(row, "id") for row in answer.get("data") or ())
        return Tally(count=count, marked=_total(answer), named=named)

    def _page(
        self, doing: str, text: str, subscriptions: Sequence[str], token: str, top: int
    ) -> Page:
        body = self._answer(doing, text, subscriptions, token, top)
        rows, token = body.get("data"), text_at(body, "$skipToken")
        if not isinstance(rows, list):
            raise UnreadableError("Resource Graph's answer holds no rows")
        # Recorded as a string, documented as one. Cut short without a way on, the rest is lost.
        if str(look_up(body, "resultTruncated")).lower() == "true" and not token:
            raise UnreadableError("Resource Graph cut its answer short and gave no way on")
        return Page(rows, token)

    def _answer(
        self, doing: str, text: str, subscriptions: Sequence[str], token: str, top: int
    ) -> Json:
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
        return answer.body


def _total(body: Json) -> int:
    total = body.get("totalRecords")
    if not isinstance(total, int):
        raise UnreadableError("Resource Graph's answer counts nothing")
    return total


def _quoted(types: Iterable[str]) -> str:
    return ", ".join(f"'{each.lower()}'" for each in types)
