"""How resources take up key versions: by a write, later than it, or by looking for themselves."""

from copy import deepcopy
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from sandbox.arm.errors import ArmError
from sandbox.arm.operations import Operation, Polling, Written
from sandbox.arm.pace import Manner, Move, Pace
from sandbox.arm.resource_ids import ResourceId, within
from sandbox.arm.resources import Body, Resource
from sandbox.clock import SandboxClock
from sandbox.key_vault import KeyUnusable, KeyVersion
from sandbox.truth import Truth


class KeyFields(Protocol):
    """How the resources of one type name a key, and show what they use of it."""

    looks_every: timedelta
    """How often the service looks for a newer version of a key whose version is not named."""
    works_for: timedelta
    """How long a write goes on after its answer; zero: it is over then."""
    accepted: int
    """The status that answers a write which goes on."""
    polling: Polling
    """Where such a write is polled."""
    hands_over: bool
    """Whether another identity can open what the last one has sealed."""
    properties: tuple[str, ...]
    """The ``properties`` that a write of the key sets."""
    shows_late: bool
    """Whether a GET shows what a write asked for only once it is over."""

    def written(self, body: Body) -> Body:
        """Return the reference as its owner wrote it; empty where the platform's keys are used."""

    def follows(self, body: Body) -> bool:
        """Tell whether the reference leaves it to the service to find the newest version."""

    def wanted(self, resource_id: ResourceId, body: Body, when: datetime) -> tuple[KeyVersion, str]:
        """Return the version that the reference means at ``when``, and who uses it (object id).

        Raises:
            ArmError: The service refuses the reference.
            KeyUnusable: There is no such version.
        """

    def show(self, body: Body, version: KeyVersion, when: datetime) -> None:
        """Let the body say that ``version`` is in use since ``when``."""

    def refused(self, unusable: KeyUnusable | None) -> ArmError:
        """Return what the service answers where the key cannot be used; ``None``: for no cause."""

    def begin(self, body: Body) -> None:
        """Let the body say that a write goes on."""

    def end(self, body: Body, *, succeeded: bool) -> None:
        """Let the body say that the last write is over."""

    def looked(self, resource: Resource, refusal: ArmError | KeyUnusable | None) -> None:
        """Take note of what the service met when it last used the key."""


class KeyUsers:
    """The paces of all resources, and the moves that their services have promised."""

    def __init__(self, clock: SandboxClock, truth: Truth) -> None:
        self._clock = clock
        self._truth = truth
        self._paces: dict[str, Pace] = {}

    def pace(self, resource_id: ResourceId) -> Pace:
        """Return the pace of a resource, to be changed in place."""
        return self._paces[resource_id.key]

    def admit(self, resource_id: ResourceId, fields: KeyFields) -> None:
        """Give a new resource a pace."""
        self._paces[resource_id.key] = Pace(self._clock.now() + fields.looks_every)

    def forget(self, resource_id: ResourceId) -> None:
        """Drop what is known of a resource that no longer exists, and of its children."""
        for key in self._family(resource_id):
            self._truth.release(ResourceId.parse(key))
            del self._paces[key]

    def rename(self, old: ResourceId, new: ResourceId) -> None:
        """Know a resource and its children by other ids from now on; data keys stay as they are."""
        for key in self._family(old):
            moved = ResourceId.parse(str(new) + key.removeprefix(old.key))
            self._truth.rename(ResourceId.parse(key), moved)
            self._paces[moved.key] = self._paces.pop(key)

    def _family(self, resource_id: ResourceId) -> list[str]:
        return [key for key in self._paces if within(resource_id.key, key)]

    def take_up(self, resource: Resource, body: Body, fields: KeyFields) -> Written:
        """Let ``body`` use the key that it names, or promise to.

        Args:
            resource: As it was.
            body: As the request wants it; it becomes what a GET shows.
            fields: Of the resource's type.

        Raises:
            ArmError: The service refuses the key; nothing has changed.
        """
        now, pace = self._clock.now(), self.pace(resource.id)
        if not fields.written(body):
            self._truth.release(resource.id)
            pace.pending = None
            return self.go_on(resource, body, fields)
        try:
            version, principal = fields.wanted(resource.id, body, now)
            same = self._uses(resource, version) and (
                fields.written(body) == fields.written(resource.body)
            )
            at_once = pace.manner is Manner.PROMPT and not fields.works_for
            move = Move(pace.due(now), version, principal)
            if same or not at_once:
                self._rehearse(resource, move, fields)
            else:
                self._seal(resource, move, fields)
                fields.show(body, version, now)
        except KeyUnusable as unusable:
            raise fields.refused(unusable) from unusable
        while pace.next_poll_at <= now:
            pace.next_poll_at += fields.looks_every
        if not same and not at_once:
            return self._promise(resource, body, move, fields)
        pace.pending = None
        return self.go_on(resource, body, fields)

    def go_on(self, resource: Resource, body: Body, fields: KeyFields) -> Written:
        """Answer a write that moves nothing, or has done so; it goes on if the service's do."""
        if not fields.works_for:
            fields.end(body, succeeded=True)
            return Written()
        operation = Operation(fields.polling)
        fields.begin(body)
        due = self._clock.now() + fields.works_for
        self.pace(resource.id).pending = Move(due, None, "", operation=operation)
        return Written(fields.accepted, operation=operation)

    def settle(self, resource: Resource, fields: KeyFields) -> None:
        """Let happen what is due by now: accepted moves and the service's looks, in their order."""
        now, pace = self._clock.now(), self.pace(resource.id)
        while True:
            looks = fields.follows(resource.body) and pace.next_poll_at <= now
            move = pace.pending
            if move and move.when <= now and (not looks or move.when <= pace.next_poll_at):
                pace.pending = None
                self._arrive(resource, move, fields)
            elif looks:
                when, pace.next_poll_at = pace.next_poll_at, pace.next_poll_at + fields.looks_every
                if not pace.stands_still:
                    self._look(resource, when, fields)
            else:
                return

    def _promise(self, resource: Resource, body: Body, move: Move, fields: KeyFields) -> Written:
        """Note a move that takes effect later, and let ``body`` be what a GET shows until then."""
        pace = self.pace(resource.id)
        over = Operation(fields.polling, ended=True) if fields.works_for else None
        match pace.manner:
            case Manner.LYING:
                shown = deepcopy(body)
                if move.version is not None:
                    fields.show(shown, move.version, self._clock.now())
                pace.promise(replace(move, settings=_put_aside(resource, body, fields)))
                return Written(shown=shown, operation=over)
            case Manner.SLOW:
                if fields.shows_late:
                    move = replace(move, settings=_put_aside(resource, body, fields))
                pace.promise(move)
                return Written(operation=over)
            case _:
                operation = Operation(fields.polling)
                if fields.shows_late and not pace.echoes:
                    move = replace(move, settings=_put_aside(resource, body, fields))
                fields.begin(body)
                fails = pace.manner is Manner.FAILING
                when = max(move.when, self._clock.now() + fields.works_for)
                pace.promise(replace(move, when=when, operation=operation, fails=fails))
                return Written(fields.accepted, operation=operation)

    def _arrive(self, resource: Resource, move: Move, fields: KeyFields) -> None:
        """Let an accepted move take effect, or fail.

        A refusal leaves a resource on its old version (inference: storage accounts on an expired
        key go on working, azure-docs#84096).
        """
        error = fields.refused(None) if move.fails else None
        if move.version is not None and not move.fails:
            try:
                self._move(resource, move, fields)
            except KeyUnusable as unusable:
                error = fields.refused(unusable)
        if move.operation is not None:
            move.operation.end(error)
            fields.end(resource.body, succeeded=error is None)
            resource.tell(move.when)

    def _look(self, resource: Resource, when: datetime, fields: KeyFields) -> None:
        """Take up the version that the vault gives for the key at ``when``, if it can be used."""
        try:
            version, principal = fields.wanted(resource.id, resource.body, when)
            move = Move(when, version, principal)
            if self._uses(resource, version):
                self._rehearse(resource, move, fields)
            else:
                self._move(resource, move, fields)
        except (ArmError, KeyUnusable) as refusal:
            fields.looked(resource, refusal)
        else:
            fields.looked(resource, None)

    def _move(self, resource: Resource, move: Move, fields: KeyFields) -> None:
        if move.version is None:
            raise ValueError("a move without a version moves nothing")
        self._seal(resource, move, fields)
        if move.settings is not None:
            resource.body["properties"].update(move.settings)
        fields.show(resource.body, move.version, move.when)
        fields.looked(resource, None)

    def _uses(self, resource: Resource, version: KeyVersion) -> bool:
        return version.kid == self._truth.sealed_by(resource.id)

    def _seal(self, resource: Resource, move: Move, fields: KeyFields) -> None:
        opener = move.principal if fields.hands_over else ""
        kid = move.version.kid if move.version else ""
        self._truth.seal(resource.id, kid, move.principal, move.when, opener=opener)

    def _rehearse(self, resource: Resource, move: Move, fields: KeyFields) -> None:
        opener = move.principal if fields.hands_over else ""
        kid = move.version.kid if move.version else ""
        self._truth.rehearse(resource.id, kid, move.principal, opener=opener)


def _put_aside(resource: Resource, body: Body, fields: KeyFields) -> Body:
    """Let ``body`` show the settings that the resource had; return those that were asked for."""
    properties, old = body["properties"], resource.body["properties"]
    asked = {name: properties.pop(name, None) for name in fields.properties}
    properties |= {name: deepcopy(old[name]) for name in fields.properties if name in old}
    return asked
