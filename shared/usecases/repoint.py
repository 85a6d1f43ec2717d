"""Make one resource refer to the target."""

import logging
import uuid
from dataclasses import dataclass
from datetime import timedelta

from msgspec.structs import replace

from shared.catalog import kind_named
from shared.domain import work as rows_of_work
from shared.domain.errors import (
    BusyError,
    GoneError,
    PermanentError,
    RefusedWriteError,
    ThrottledError,
)
from shared.domain.json_paths import Json
from shared.domain.kinds import Kind
from shared.domain.plans import Manual, Outrun, Repoint, Skip, VerifyOnly, plan, references_to
from shared.domain.resources import Reference, ResourceId
from shared.domain.rows import Intent, Rotation, Work
from shared.domain.steps import Repoint as RepointStep
from shared.domain.verdicts import Verdict
from shared.ports import Clock, Kept, Queue, Resources, Rows, Vaults
from shared.usecases.active import why_not_active
from shared.usecases.ages import ages_of, target_of
from shared.usecases.overdue import INTENT_SETTLES_AFTER
from shared.usecases.verify import GONE_ADVICE, VerifyResource

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepointResource:
    """Read a resource, plan on what was read, and write if the plan says so.

    (1) Load the work; a message with another ``seq`` is stale. (2) See that the rotation is still
    the key's active one. (3) Read the resource and plan. (4) Save the intent: what the references
    were, and under which request id we are about to write. (5) See once more that no newer version
    has taken over, and write. (6) Save that it was accepted, and schedule the look. A message that
    returns after a crash finds the intent, reads again, and keeps the recorded *before*.
    """

    resources: Resources
    vaults: Vaults
    rows: Rows
    queue: Queue
    clock: Clock
    verify: VerifyResource

    def run(self, step: RepointStep) -> None:
        """See the class. What cannot be done closes the work with a verdict."""
        kept = self.rows.load(Work, step.rotation, step.resource)  # (1)
        if kept is None or not kept.row.open or kept.row.seq != step.seq:
            return
        rotation = self.rows.load(Rotation, step.rotation, "rotation")
        if rotation is None:
            return
        if why := why_not_active(self.rows, rotation.row):  # (2)
            self._close(kept, *why)
            return
        self._await_intent(kept.row)
        kind = kind_named(kept.row.kind)
        try:
            self._move(kept, rotation.row, kind)
        except GoneError as error:
            self._close(kept, Verdict.GONE, str(error), GONE_ADVICE)
        except PermanentError as error:
            refused = isinstance(error, RefusedWriteError)
            self._close_with_error(
                kept, kind, Verdict.FAILED if refused else Verdict.UNKNOWN, error
            )

    def _move(self, kept: Kept[Work], rotation: Rotation, kind: Kind) -> None:
        target = target_of(rotation)
        body = self.resources.read(kind, ResourceId.parse(kept.row.resource))  # (3)
        references = references_to(kind, body, target.id.key)
        ages = ages_of(self.vaults, references, target)
        seen = rows_of_work.observe(kept.row, references, kind.version_in_use(body))
        kept = Kept(seen, kept.etag)
        match plan(kind, body, target, ages):
            case Skip():
                self._close(kept, Verdict.SKIPPED, f"it refers to {target.id.key} no longer")
            case Manual(_, reason, advice):
                self._close(kept, Verdict.MANUAL, reason, advice)
            case Outrun(references, reason):
                self._outrun(kept, references, reason)
            case VerifyOnly():
                self.verify.judge(kept, rotation, kind, body)
            case Repoint(_, request):
                self._write(kept, rotation, kind, request)

    def _write(self, kept: Kept[Work], rotation: Rotation, kind: Kind, request: Json) -> None:
        resource = ResourceId.parse(kept.row.resource)
        earlier = kept.row.intent
        intent = Intent(request_id=str(uuid.uuid4()), at=self.clock.now())
        kept = self.rows.replace(kept, replace(kept.row, intent=intent))  # (4)
        if why := why_not_active(self.rows, rotation):
            self._close(Kept(replace(kept.row, intent=earlier), kept.etag), *why)
            return
        try:
            accepted = self.resources.write(  # (5)
                kind, resource, request, request_id=intent.request_id
            )
        except (ThrottledError, BusyError):  # this one was surely not taken; an earlier may be
            self.rows.replace(kept, replace(kept.row, intent=earlier))
            raise
        except GoneError as error:
            self._close(kept, Verdict.GONE, str(error), GONE_ADVICE)
            return
        except PermanentError as error:
            self._close_with_error(kept, kind, Verdict.FAILED, error)
            return
        logger.info("accepted: %s is asked to use %s", resource, rotation.target)
        moved = replace(
            kept.row, accepted_at=self.clock.now(), correlation_id=accepted.correlation_id
        )
        self.verify.look_later(Kept(moved, kept.etag), rotation, kind)  # (6)

    def _await_intent(self, work: Work) -> None:
        """Give a write that may still be under way the time to end.

        Raises:
            BusyError: It may be; look again when it cannot be any more.
        """
        if work.intent is None:
            return
        left = work.intent.at + INTENT_SETTLES_AFTER - self.clock.now()
        if left > timedelta():
            raise BusyError(f"a write to {work.resource} may be under way", retry_after=left)

    def _outrun(self, kept: Kept[Work], references: tuple[Reference, ...], reason: str) -> None:
        pinned = [r.pinned for r in references if r.pinned]
        states = [self.vaults.version(version) for version in pinned]
        problems = [why for s in states if (why := s.why_unusable(self.clock.now()))]
        if problems:
            advice = "make that version usable again, or point the resource by hand"
            self._close(kept, Verdict.MANUAL, f"{reason}, which is {problems[0]}", advice)
        else:
            self._close(kept, Verdict.SUPERSEDED, reason)

    def _close_with_error(
        self, kept: Kept[Work], kind: Kind, verdict: Verdict, error: PermanentError
    ) -> None:
        now = self.clock.now()
        self.rows.replace(kept, rows_of_work.close_with_error(kept.row, kind, verdict, now, error))

    def _close(self, kept: Kept[Work], verdict: Verdict, reason: str, advice: str = "") -> None:
        now = self.clock.now()
        closed = rows_of_work.close(kept.row, verdict, now, reason=reason, advice=advice)
        self.rows.replace(kept, closed)
