"""Say who uses which key, and on which version. Nothing is written, and nothing kept."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from shared.catalog import kind_named
from shared.domain.errors import GoneError, KeyturnError, PermanentError, UnreadableError
from shared.domain.estate_views import Impact, InventoryLine, ProvenLine, Standing
from shared.domain.json_paths import Json
from shared.domain.keys import Key, KeyVersion
from shared.domain.resources import Reference
from shared.domain.rows import Search
from shared.domain.targets import choose_target
from shared.ports import Clock, Resources, Vaults
from shared.usecases.asides import Aside, TellAsides
from shared.usecases.proving import prove
from shared.usecases.report import name_of
from shared.usecases.search import Candidate, EveryKey, SearchEstate, references

type Progress = Callable[[Search], None]
"""Is told after every page how far the search has come."""


@dataclass(frozen=True, slots=True)
class _Newest:
    """What a vault says about one key.

    Attributes:
        usable: The newest version that can be used; ``None``: none can, or ``problem`` says why
            that is not known.
        versions: All that it lists.
        current: The version that references without one follow, even if it cannot be used.
    """

    usable: KeyVersion | None = None
    versions: tuple[KeyVersion, ...] = ()
    current: KeyVersion | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeInventory:
    """Search the estate page by page; each line is given away before the next one is made.

    Only what vaults say is kept, once for each key, however many consumers it has.
    """

    estate: SearchEstate
    resources: Resources
    vaults: Vaults
    clock: Clock
    _newest: dict[Key, _Newest] = field(default_factory=dict)

    def run(
        self,
        keys: Key | EveryKey,
        subscriptions: Sequence[str],
        *,
        fresh: bool,
        disabled: str,
        progress: Progress,
    ) -> Iterator[InventoryLine]:
        """Yield every reference to some keys, and what lies beside them.

        Args:
            keys: Which.
            subscriptions: Ids of those that are searched; none: all that are visible.
            fresh: Whether each resource is read, or what the inventory has of it is believed.
            disabled: Id or URL of the version whose disabling is thought of; empty: none is.
            progress: See ``Progress``.

        Raises:
            KeyturnError: The inventory refuses, or cannot be reached.
        """
        for candidate in self._found(keys, subscriptions, "the newest version", progress):
            if isinstance(candidate, Aside):
                yield _beside(candidate, disabled)
                continue
            try:
                body = self._body(candidate, fresh=fresh)
                found = references(kind_named(candidate.kind), body, keys)
            except GoneError:
                continue
            except KeyturnError as error:
                yield _unread(candidate, str(error), disabled)
                continue
            in_use = kind_named(candidate.kind).version_in_use(body)
            for reference in found:
                yield self._line(candidate, reference, in_use, disabled)

    def look_at(self, key: Key) -> None:
        """Look at a key to which nothing refers: it may not exist.

        Raises:
            NotFoundError: It does not.
            KeyturnError: Whether it does cannot be told.
        """
        self.vaults.current(key)
        self._of_vault(key)

    def knows(self, version: str) -> bool:
        """Return whether a key that an inventory looked at has a version, by its id or URL."""
        listed = (each for newest in self._newest.values() for each in newest.versions)
        return any(version in (each.version, str(each)) for each in listed)

    def prove(
        self, key: Key, subscriptions: Sequence[str], *, progress: Progress
    ) -> Iterator[ProvenLine]:
        """Yield for each resource that refers to a key whether it uses the newest version.

        What lies beside them is told of, too.

        Each is read afresh, and judged by the proof rule of its kind.

        Raises:
            PermanentError: The key cannot be read, or it has no version that can be used.
            KeyturnError: As ``run``.
        """
        target = self._target(key)
        for candidate in self._found(key, subscriptions, str(target), progress):
            if isinstance(candidate, Aside):
                yield _unproven(candidate, key, target)
                continue
            kind = kind_named(candidate.kind)
            try:
                body = self._body(candidate, fresh=True)
                if not references(kind, body, key):
                    continue
                finding = prove(self.resources, kind, body, target)
                proven, seen = finding.holds, finding.seen
            except GoneError:
                continue
            except KeyturnError as error:
                proven, seen = False, str(error)
            yield ProvenLine(
                key=str(key),
                target=str(target),
                resource=candidate.resource,
                name=name_of(candidate.resource),
                kind=kind.id,
                kind_title=kind.title,
                subscription=_subscription(candidate.resource),
                location=candidate.location,
                proven=proven,
                level=kind.level if proven else None,
                seen=seen,
            )

    def _found(
        self, keys: Key | EveryKey, subscriptions: Sequence[str], target: str, progress: Progress
    ) -> Iterator[Candidate | Aside]:
        asides = TellAsides(self.estate.inventory, self.estate.resources)
        search: Search | None = Search(rotation="", closing=False, at=self.clock.now())
        while search:
            turned = self.estate.turn(search, keys, subscriptions, patient=False)
            yield from turned.found
            yield from asides.of_page(turned.bodies, keys, subscriptions)
            progress(turned.search or search)
            search = turned.search
        yield from asides.of_all(subscriptions, target)

    def _body(self, candidate: Candidate, *, fresh: bool) -> Json:
        if candidate.problem:
            raise UnreadableError(candidate.problem)
        if candidate.body is None or fresh:
            return self.resources.read(kind_named(candidate.kind), candidate.resource).body
        return candidate.body

    def _target(self, key: Key) -> KeyVersion:
        current = self.vaults.current(key)
        choice = choose_target(self.vaults.versions(key), current, self.clock.now())
        if choice.target is None:
            raise PermanentError(f"{key} has no version that can be used: {choice.problem}")
        return choice.target.id

    def _of_vault(self, key: Key) -> _Newest:
        if key not in self._newest:
            try:
                current = self.vaults.current(key)
                listed = self.vaults.versions(key)
                choice = choose_target(listed, current, self.clock.now())
            except KeyturnError as error:
                self._newest[key] = _Newest(problem=str(error))
            else:
                usable = choice.target.id if choice.target else None
                self._newest[key] = _Newest(
                    usable, tuple(each.id for each in listed), current.id, choice.problem or ""
                )
        return self._newest[key]

    def _line(
        self, found: Candidate, reference: Reference, in_use: KeyVersion | None, disabled: str
    ) -> InventoryLine:
        newest = self._of_vault(reference.key)
        kind = kind_named(found.kind)
        state = _standing(reference, in_use, newest.usable)
        if state is Standing.CURRENT and newest.problem and reference.pinned is None:
            state = Standing.STALE  # it follows a version that cannot be used
        return InventoryLine(
            key=str(reference.key),
            resource=found.resource,
            name=name_of(found.resource),
            place=reference.place,
            kind=kind.id,
            kind_title=kind.title,
            subscription=_subscription(found.resource),
            location=found.location,
            form="pinned" if reference.pinned else "following",
            names=str(reference.pinned) if reference.pinned else None,
            in_use=str(in_use) if in_use else None,
            newest=str(newest.usable) if newest.usable else None,
            state=state,
            if_disabled=_impact(reference, in_use, newest.current, disabled),
            problem=newest.problem or None,
        )


def _standing(
    reference: Reference, in_use: KeyVersion | None, newest: KeyVersion | None
) -> Standing:
    told = [version for version in (reference.pinned, in_use) if version]
    if newest is None or not told:
        return Standing.UNKNOWN
    return Standing.CURRENT if all(version == newest for version in told) else Standing.STALE


def _impact(
    reference: Reference,
    in_use: KeyVersion | None,
    current: KeyVersion | None,
    disabled: str,
) -> Impact | None:
    """Return what becomes of a consumer; what its service does not say is not guessed.

    A reference without a version follows the vault's current one, even while that is disabled.
    """
    if not disabled:
        return None
    told = [version for version in (reference.pinned, in_use) if version]
    follows = current if reference.pinned is None else None
    if any(disabled in (each.version, str(each)) for each in (*told, follows) if each):
        return Impact.BREAKS
    # A name alone says what was configured, not what is in use.
    return Impact.UNAFFECTED if in_use else Impact.UNKNOWN


def _beside(found: Aside, disabled: str) -> InventoryLine:
    impact = Impact.UNKNOWN if found.may_use else Impact.UNAFFECTED
    return InventoryLine(
        key=None,
        resource=found.resource,
        name=name_of(found.resource),
        place=None,
        kind=found.kind,
        kind_title=found.kind_title,
        subscription=_subscription(found.resource),
        location=found.location,
        form=None,
        names=None,
        in_use=None,
        newest=None,
        state=Standing.UNKNOWN if found.keeps_old else Standing.NOT_APPLICABLE,
        if_disabled=impact if disabled else None,
        problem=None,
        reason=found.reason,
        advice=found.advice or None,
    )


def _unproven(found: Aside, key: Key, target: KeyVersion) -> ProvenLine:
    return ProvenLine(
        key=str(key),
        target=str(target),
        resource=found.resource,
        name=name_of(found.resource),
        kind=found.kind,
        kind_title=found.kind_title,
        subscription=_subscription(found.resource),
        location=found.location,
        proven=False if found.keeps_old else None,
        level=None,
        seen=found.reason,
        advice=found.advice or None,
    )


def _unread(found: Candidate, problem: str, disabled: str) -> InventoryLine:
    return InventoryLine(
        key=None,
        resource=found.resource,
        name=name_of(found.resource),
        place=None,
        kind=found.kind,
        kind_title=kind_named(found.kind).title,
        subscription=_subscription(found.resource),
        location=found.location,
        form=None,
        names=None,
        in_use=None,
        newest=None,
        state=Standing.UNKNOWN,
        if_disabled=Impact.UNKNOWN if disabled else None,
        problem=problem,
    )


def _subscription(resource: str) -> str:
    _, _, rest = resource.partition("/subscriptions/")
    return rest.partition("/")[0]
