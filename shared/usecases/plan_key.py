"""Say what a rotation of a key would do, from a fresh read of each resource. Nothing is written."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.catalog import kind_named
from shared.domain.errors import GoneError, PermanentError
from shared.domain.json_paths import Json
from shared.domain.key_views import PlannedAction, PlannedConsumer, PlanView
from shared.domain.keys import Key, KeyVersion, VersionState
from shared.domain.kinds import Kind
from shared.domain.permit import why_held, why_left
from shared.domain.plans import (
    Allowed,
    Manual,
    Outrun,
    Plan,
    Repoint,
    Skip,
    VerifyOnly,
    plan,
    references_to,
)
from shared.domain.policy import Policy
from shared.domain.resources import Reference
from shared.domain.rows import Cause, KeyHead, Known, Owing, Rotation, Search
from shared.domain.targets import Choice, choose_target
from shared.ports import Clock, Policies, Resources, Rows, Vaults
from shared.usecases.ages import ages_of
from shared.usecases.asides import Aside, TellAsides
from shared.usecases.guards import owner_of
from shared.usecases.report import name_of
from shared.usecases.search import Candidate, SearchEstate

MOST_READ = 50
"""Resources in a page: each is a read or two, and whoever asked waits for it."""

MOST_TURNS = 10
"""Pages of the search in a page of the plan: most of an estate may refer to other keys."""

_YET_TO_BE_MADE = "0" * 32


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of a plan begins.

    Attributes:
        skip: How many of the candidates that follow were shown before.
    """

    search: Search
    skip: int = 0


@dataclass(frozen=True, slots=True)
class _Given:
    """What a plan is made under."""

    rotation: Rotation
    head: KeyHead
    target: VersionState
    allowed: Allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanKey:
    """Search the estate, read what refers to the key, and plan as a rotation would."""

    vaults: Vaults
    resources: Resources
    rows: Rows
    clock: Clock
    policies: Policies
    estate: SearchEstate

    def run(
        self, key: Key, *, new_version: bool, place: Place | None = None
    ) -> tuple[PlanView, Place | None]:
        """Return a page of the plan, and where the next one begins; ``None``: it was the last.

        Args:
            key: Whose consumers.
            new_version: Plan for a version that is yet to be made, not for the newest one.
            place: Where to begin; ``None``: at the beginning.

        Raises:
            NotAllowedError: The policy does not let Keyturn manage the key.
            PermanentError: The key cannot be read, or the inventory refuses the query.
        """
        now, policy = self.clock.now(), self.policies.current()
        policy.check_manages(key)
        current = self.vaults.current(key)
        choice = choose_target(self.vaults.versions(key), current, now)
        given = self._given(key, policy, choice, current, is_new=new_version)
        items: list[PlannedConsumer] = []
        at: Place | None = place or Place(Search(rotation="", closing=False, at=now))
        scope = at.search.scope if at else None
        turns = 0
        while at and given and turns < MOST_TURNS and len(items) < MOST_READ:
            at = self._turn(at, key, given, items)
            scope, turns = at.search.scope if at else scope, turns + 1
        at = at if given else None
        if given and at is None:
            asides = self._asides.of_all(given.rotation.rules.subscriptions, given.rotation.target)
            items += map(_beside, asides)
        view = PlanView(
            key=str(key),
            target=str(choice.target.id) if choice.target and not new_version else None,
            mode=policy.rules_for(key).mode,
            problem=None if given else f"nothing to move to: {choice.problem}",
            waits_for=(why_held(given.head, given.rotation, now) or None) if given else None,
            scope=None if at or not given else str(scope),
            searched_whole=None if at or not given or not scope else scope.is_whole,
            items=tuple(items),
            next=None,
        )
        return view, at

    def _given(
        self, key: Key, policy: Policy, choice: Choice, current: VersionState, *, is_new: bool
    ) -> _Given | None:
        """Return what holds; ``None``: there is no version to move to."""
        target, now, rules = choice.target, self.clock.now(), policy.rules_for(key)
        if is_new:
            described = self.vaults.version(current.id)
            made = KeyVersion(key, _YET_TO_BE_MADE)
            target = VersionState(
                id=made,
                created=max(now, current.created + timedelta(seconds=1)),
                enabled=True,
                key_type=described.key_type,
                bits=described.bits,
                operations=described.operations,
            )
        elif target is not None:
            target = self.vaults.version(target.id)
        if target is None:
            return None
        rotation = Rotation(
            id="",
            key=str(key),
            target=str(target.id),
            target_created=target.created,
            key_type=target.key_type or "",
            bits=target.bits,
            expires=target.expires,
            operations=target.operations,
            run=0,
            cause=Cause(trigger="operator", id=""),
            opened_at=now,
            rules=rules,
            current_problem="" if is_new else choice.problem or "",
        )
        fresh = KeyHead(key=str(key))
        kept = self.rows.load(KeyHead, *fresh.address)
        # What holds for the rotation under way says nothing about one to another version.
        is_its = kept is not None and kept.row.active and kept.row.handled == rotation.target
        head = kept.row if kept and is_its else fresh
        nudge = rules.versionless == "nudge" and not rotation.current_problem
        allowed = Allowed(nudge=nudge, recreate=rules.recreate_container_groups)
        return _Given(rotation, head, target, allowed)

    def _turn(
        self, at: Place, key: Key, given: _Given, items: list[PlannedConsumer]
    ) -> Place | None:
        """Plan for some candidates; return where to go on; ``None``: nowhere."""
        declared = given.rotation.rules.subscriptions
        turned = self.estate.turn(at.search, key, declared, patient=True)
        candidates = itertools.islice(turned.found, at.skip, None)
        for number, candidate in enumerate(candidates):
            if number == MOST_READ:
                return Place(at.search, at.skip + number)
            items += self._planned(candidate, given)
        items += map(_beside, self._asides.of_page(turned.bodies, key, declared))
        return Place(turned.search) if turned.search else None

    @property
    def _asides(self) -> TellAsides:
        return TellAsides(self.estate.inventory, self.estate.resources)

    def _planned(self, found: Candidate, given: _Given) -> Iterator[PlannedConsumer]:
        if found.problem:
            yield _shown(found, "unknown", reason=found.problem)
            return
        if found.known is None and self._comes_later(found, given):
            return
        kind = kind_named(found.kind)
        try:
            body = self.resources.read(kind, found.resource).body
            planned = self._plan(kind, body, given)
            is_move = isinstance(planned, Repoint)
            owner = owner_of(self.resources, found.resource, body) if is_move else ""
        except GoneError:
            return
        except PermanentError as error:
            yield _shown(found, "unknown", reason=str(error))
            return
        if not isinstance(planned, Skip):
            in_use = kind.version_in_use(body)
            shown = _decided(found, planned, in_use, owner)
            yield _left(shown, given, body, self.clock.now())

    def _comes_later(self, found: Candidate, given: _Given) -> bool:
        """Whether it is known from earlier: it is shown once, among those."""
        row = Known(key=given.rotation.key, resource=found.resource, kind="", location="")
        known = self.rows.load(Known, *row.address)
        return known is not None and known.row.holds

    def _plan(self, kind: Kind, body: Json, given: _Given) -> Plan:
        references = references_to(kind, body, given.target.id.key)
        named = [*(r.pinned for r in references), kind.version_in_use(body)]
        ages = ages_of(self.vaults, named, given.target)
        return plan(kind, body, given.target, ages, given.allowed)


def _beside(found: Aside) -> PlannedConsumer:
    return PlannedConsumer(
        resource=found.resource,
        name=name_of(found.resource),
        kind=found.kind,
        kind_title=found.kind_title,
        location=found.location,
        action="manual" if found.keeps_old else "not_applicable",
        references=(),
        in_use=None,
        reason=found.reason,
        advice=found.advice or None,
        note=None,
    )


_WRITES: Mapping[Owing, PlannedAction] = {
    "": "repoint",
    "recreate": "recreate",
    "restore": "nudge",
}


def _decided(
    found: Candidate, planned: Plan, in_use: KeyVersion | None, owner: str
) -> PlannedConsumer:
    match planned:
        case Manual(references, reason, advice):
            return _shown(found, "manual", references, in_use, reason=reason, advice=advice)
        case Outrun(references, reason):
            return _shown(found, "outrun", references, in_use, reason=reason)
        case Repoint(references) if owner:
            reason = "it lies in a managed resource group, which is never written to"
            advice = f"see that what owns it is moved: {owner}"
            return _shown(found, "manual", references, in_use, reason=reason, advice=advice)
        case Repoint(references, _, owes, note):
            return _shown(found, _WRITES[owes], references, in_use, note=note)
        case VerifyOnly(references):
            return _shown(found, "verify", references, in_use)
    raise AssertionError(planned)


def _left(shown: PlannedConsumer, given: _Given, body: Json, now: datetime) -> PlannedConsumer:
    """Leave to a person what the policy or a tag keeps us from; an approval is taken as given."""
    if shown.action not in _WRITES.values():
        return shown
    head = replace(given.head, approved_until=now + timedelta(hours=1))
    reason, advice = why_left(head, given.rotation, body, now)
    return replace(shown, action="manual", reason=reason, advice=advice) if reason else shown


def _shown(  # noqa: PLR0913 - the parts of what is shown
    found: Candidate,
    action: PlannedAction,
    references: tuple[Reference, ...] = (),
    in_use: KeyVersion | None = None,
    *,
    reason: str = "",
    advice: str = "",
    note: str = "",
) -> PlannedConsumer:
    return PlannedConsumer(
        resource=found.resource,
        name=name_of(found.resource),
        kind=found.kind,
        kind_title=kind_named(found.kind).title,
        location=found.location,
        action=action,
        references=tuple(str(reference) for reference in references),
        in_use=str(in_use) if in_use else None,
        reason=reason or None,
        advice=advice or None,
        note=note or None,
    )
