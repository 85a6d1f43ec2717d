"""Look for what refers to a key, place by place and page by page; nothing is changed."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from shared.catalog import KINDS, find_kind, kind_named, kind_of
from shared.catalog.beside import BESIDE
from shared.catalog.role import SUBSCRIPTIONS_READ
from shared.domain.errors import (
    BusyError,
    GoneError,
    KeyturnError,
    PermanentError,
    ThrottledError,
    TransientError,
    UnreadableError,
)
from shared.domain.json_paths import Json, text_at
from shared.domain.keys import Key, KeyVersion
from shared.domain.kinds import Kind, Plane
from shared.domain.permit import is_canary
from shared.domain.plans import references_to
from shared.domain.resources import Reference, digest
from shared.domain.rows import Known, Place, Search
from shared.domain.tallies import Tally
from shared.domain.work import lane_of
from shared.ports import ANY_VAULT, ConfigFiles, FilePage, Inventory, Resources, Rows
from shared.usecases.pace import Pace

BATCH = 100
"""Subscriptions in one query: Resource Graph's guidance is to stay below 300."""

KNOWN_PAGE = 500

_CHILDLESS = "FeatureNotSupportedForAccount"
"""Storage accounts that have no such service say so (seen for other services of theirs)."""


@dataclass(frozen=True, slots=True)
class EveryKey:
    """All keys, where one key would be looked for.

    Attributes:
        vault: Host of the vault whose keys they are; empty: of any.
    """

    vault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A resource that refers to the key, or may: only a fresh read of it decides.

    Attributes:
        kind: Its id in the catalog.
        body: It, as it was found: the inventory's, which lags, has no more than a few fields.
            ``None``: it was not looked at.
        pinned: The versions that its references to the key name, as the inventory has them; a
            versionless one names none. ``None``: it was not looked at, or not understood.
        is_canary: Whether a tag makes it go ahead of the others of its kind.
        problem: Why it, or what lies there, cannot be listed or read; empty: it can.
        code: The service's own error code then.
        known: Whether it is only known from earlier.
    """

    resource: str
    kind: str
    location: str = ""
    pinned: tuple[KeyVersion | None, ...] | None = None
    is_canary: bool = False
    problem: str = ""
    code: str = ""
    known: Known | None = None
    body: Json | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Turned:
    """What one page has given.

    Attributes:
        search: How far the search has come with it; ``None``: to its end.
        found: Read while it is iterated, so that one resource is held at a time.
        bodies: The page of the inventory that it is from; empty where it is from elsewhere.
    """

    search: Search | None
    found: Iterable[Candidate] = ()
    bodies: Sequence[Json] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchEstate:
    """Read one page of the estate after the other.

    The inventory is asked for what names the *vault*; which resources refer to the *key* is then
    decided by the catalog's paths. What it does not hold is listed under its parents, and
    deployment configs in their registered sources. Resources known from earlier rotations come
    last, since the inventory lags. One page is held at a time, whatever the estate's size. What is
    listed and read is taken from the budgets of its lanes.

    Attributes:
        sources: Where deployment configs lie, as they are registered.
    """

    inventory: Inventory
    resources: Resources
    files: ConfigFiles
    rows: Rows
    pace: Pace
    sources: tuple[str, ...]

    def turn(
        self, search: Search, key: Key | EveryKey, declared: Sequence[str], *, patient: bool
    ) -> Turned:
        """Read a page.

        Args:
            search: How far it has come.
            key: Which key, or all: what earlier rotations have seen is not looked for then.
            declared: Ids of the subscriptions that must be searched; empty: all that are visible.
            patient: Whether what cannot be had for a while makes the page fail, to be asked for
                again; if not, it is a candidate with a problem.

        Raises:
            PermanentError: The inventory refuses the query.
        """
        match search.place:
            case Place.INVENTORY if not search.batch:
                return Turned(self._next_batch(search, declared))
            case Place.INVENTORY:
                return self._inventory(search, key)
            case Place.PARENTS:
                return self._parents(search, key, patient=patient)
            case Place.FILES:
                return self._files(search, key, patient=patient)
            case Place.KNOWN:
                return self._known(search, key)

    # -- subscriptions ---------------------------------------------------------------------------

    def _next_batch(self, search: Search, declared: Sequence[str]) -> Search:
        """Go on with the next subscriptions: by id, so that one that appears shifts no other.

        One in which we may not read everything is searched too, but counted as unreadable:
        Resource Graph leaves out what we may not read, and does not say so.
        """
        visible = self.resources.subscriptions()
        left = [s for s in sorted(declared) or visible if s > search.after][:BATCH]
        if not left:
            unseen = () if visible else (SUBSCRIPTIONS_READ,)
            scope = search.scope.plus(readable=0, unreadable=(), lacking=unseen)
            place = Place.FILES if self.sources else Place.KNOWN
            return replace(search, place=place, after="", scope=scope)
        arm = [kind for kind in KINDS if kind.plane is Plane.ARM]
        lacking = {
            s: self.resources.lacking(s, arm) if s in visible else [SUBSCRIPTIONS_READ]
            for s in left
        }
        hidden = tuple(s for s in left if lacking[s])
        batch = tuple(s for s in left if s in visible)
        return replace(
            search,
            after=left[-1],
            batch=batch,
            beside=dict(self._tallied(search, batch)),
            scope=search.scope.plus(
                readable=len(left) - len(hidden),
                unreadable=hidden,
                lacking=itertools.chain.from_iterable(lacking.values()),
            ),
        )

    def _tallied(self, search: Search, subscriptions: Sequence[str]) -> Mapping[str, Tally]:
        """Count what lies beside consumers; once in a rotation, which keeps what was counted."""
        if search.closing or not search.rotation or not subscriptions:
            return search.beside
        return tallied(self.inventory, search.beside, subscriptions)

    def _inventory(self, search: Search, key: Key | EveryKey) -> Turned:
        vault = key.vault or ANY_VAULT if isinstance(key, EveryKey) else key.vault
        page = self.inventory.page(vault=vault, subscriptions=search.batch, token=search.token)
        place = search.place if page.token else Place.PARENTS
        turned = replace(search, token=page.token, place=place)
        return Turned(turned, _candidates(page.resources, key), page.resources)

    def _parents(self, search: Search, key: Key | EveryKey, *, patient: bool) -> Turned:
        """Ask some resources for the children that the inventory does not hold."""
        done = replace(search, place=Place.INVENTORY, batch=(), token="")
        types = sorted({kind.listed_under for kind in KINDS if kind.listed_under})
        if not types:
            return Turned(done)
        page = self.inventory.parents(types=types, subscriptions=search.batch, token=search.token)
        self._take(self._lists(page.resources), patient=patient)
        found = (
            candidate
            for parent in page.resources
            for candidate in self._children(parent, key, patient=patient)
        )
        return Turned(replace(search, token=page.token) if page.token else done, found)

    def _lists(self, parents: Iterable[Json]) -> Iterator[tuple[str, Kind]]:
        for parent in parents:
            for kind in _kinds_under(parent):
                yield _lane_of(parent), kind

    def _take(self, reads: Iterable[tuple[str, Kind]], *, patient: bool) -> None:
        """Take what is about to be read from the budgets of its lanes.

        Raises:
            BusyError: One of them rests.
        """
        for (lane, kind), count in Counter(reads).items():
            try:
                self.pace.look_for(lane, kind, count)
            except BusyError as error:
                _raise_if_patient(error, patient=patient)

    def _children(self, parent: Json, key: Key | EveryKey, *, patient: bool) -> Iterator[Candidate]:
        path, location = text_at(parent, "id"), text_at(parent, "location")
        for kind in _kinds_under(parent):
            try:
                for child in self.resources.children(kind, path):
                    yield from _candidates([{**child, "location": location}], key)
            except GoneError:
                continue
            except (PermanentError, TransientError) as error:
                if getattr(error, "code", "") == _CHILDLESS:
                    continue
                self._rest(_lane_of(parent), error)
                _raise_if_patient(error, patient=patient)
                whole = f"{path}/{kind.resource_type.rpartition('/')[2]}"
                yield _unread(whole, kind, error)

    def _rest(self, lane: str, error: PermanentError | TransientError) -> None:
        """Let a lane rest whose service asks for it: moves go through the same one."""
        if isinstance(error, ThrottledError):
            self.pace.throttled(lane, error.retry_after)

    # -- files -----------------------------------------------------------------------------------

    def _files(self, search: Search, key: Key | EveryKey, *, patient: bool) -> Turned:
        """Read some files of a source."""
        sources = sorted(self.sources)
        left = [s for s in sources if s > search.after]
        source = search.after if search.token else left[0] if left else ""
        if not source:
            return Turned(replace(search, place=Place.KNOWN, after=""))
        kind, unread, page = kind_named("deployment_config"), None, FilePage((), "")
        try:
            page = self.files.page(source, search.token)
        except (PermanentError, TransientError) as error:
            _raise_if_patient(error, patient=patient)
            unread = _unread(source.partition("?")[0], kind, error)
        scope = replace(search.scope, files=search.scope.files + len(page.urls))
        turned = replace(search, after=source, token=page.token, scope=scope)
        if not page.token and not any(s > source for s in sources):
            turned = replace(turned, place=Place.KNOWN, after="")
        if unread:
            return Turned(turned, [unread])
        self._take(((lane_of(url, ""), kind) for url in page.urls), patient=patient)
        found = (c for url in page.urls for c in self._file(kind, url, key, patient=patient))
        return Turned(turned, found)

    def _file(
        self, kind: Kind, url: str, key: Key | EveryKey, *, patient: bool
    ) -> Iterator[Candidate]:
        try:
            yield from _candidates([self.resources.read(kind, url).body], key)
        except GoneError:
            return
        except (PermanentError, TransientError) as error:
            self._rest(lane_of(url, ""), error)
            _raise_if_patient(error, patient=patient)
            yield _unread(url, kind, error)

    # -- what is known ---------------------------------------------------------------------------

    def _known(self, search: Search, key: Key | EveryKey) -> Turned:
        """Add what earlier rotations have seen, and the inventory does not show (any more)."""
        if isinstance(key, EveryKey):
            return Turned(None)
        after = f"RowKey gt '{search.after}'"
        known = self.rows.scan(Known, digest(str(key)), where=after)
        page = [kept.row for kept in itertools.islice(known, KNOWN_PAGE)]
        found = [
            Candidate(resource=row.resource, kind=row.kind, location=row.location, known=row)
            for row in page
            if row.holds and (row.resource.startswith("/") or self.files.covers(row.resource))
        ]
        is_last = len(page) < KNOWN_PAGE
        return Turned(None if is_last else replace(search, after=page[-1].address[1]), found)


def tallied(
    inventory: Inventory, before: Mapping[str, Tally], subscriptions: Sequence[str]
) -> Mapping[str, Tally]:
    """Count what lies beside consumers in some more subscriptions; by the id of its entry."""
    counted = {
        mark: inventory.tally(entry, subscriptions)
        for mark, entry in {(each.resource_type, each.mark): each for each in BESIDE}.items()
    }
    return {
        entry.id: before.get(entry.id, Tally()).plus(counted[entry.resource_type, entry.mark])
        for entry in BESIDE
    }


def _unread(resource: str, kind: Kind, error: KeyturnError) -> Candidate:
    code = getattr(error, "code", "")
    return Candidate(resource=resource, kind=kind.id, problem=str(error), code=code)


def _raise_if_patient(error: PermanentError | TransientError, *, patient: bool) -> None:
    if isinstance(error, TransientError) and patient:
        raise error


def _kinds_under(parent: Json) -> Sequence[Kind]:
    """Return the kinds that are listed under a resource, since the inventory has none of them."""
    type_ = text_at(parent, "type").lower()
    return [kind for kind in KINDS if kind.listed_under.lower() == type_]


def _lane_of(parent: Json) -> str:
    return lane_of(text_at(parent, "id"), text_at(parent, "location"))


def _candidates(bodies: Iterable[Json], key: Key | EveryKey) -> Iterator[Candidate]:
    """Yield those of some resources that refer to a key, or do so in a form unknown to us."""
    for body in bodies:
        kind = kind_of(text_at(body, "type"))
        pinned = _pinned(kind, body, key) if kind else ()
        if kind is not None and pinned != ():
            yield Candidate(
                resource=text_at(body, "id"),
                kind=kind.id,
                location=text_at(body, "location"),
                pinned=pinned,
                is_canary=is_canary(body),
                body=body,
            )


def references(kind: Kind, body: Json, key: Key | EveryKey) -> tuple[Reference, ...]:
    """Return the references of ``body`` to a key, or to every key of a vault, or to all.

    Raises:
        UnreadableError: It refers to a key in a form that is none Azure documents.
    """
    if isinstance(key, Key):
        return references_to(kind, body, key)
    return tuple(r for r in kind.shape.read(body) if key.vault in ("", r.key.vault))


def _pinned(kind: Kind, body: Json, key: Key | EveryKey) -> tuple[KeyVersion | None, ...] | None:
    """Return what the references to ``key`` pin; ``None``: they are in a form unknown to us."""
    try:
        return tuple(reference.pinned for reference in references(kind, body, key))
    except UnreadableError:
        return None


def may_nudge(candidate: Candidate) -> bool:
    """Return whether a versionless reference of its kind takes the target up when nudged."""
    kind = find_kind(candidate.kind)
    return kind is not None and kind.may_nudge
