"""Look whether one resource uses the target, and prove it or look again."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.catalog import kind_named
from shared.domain import work as rows_of_work
from shared.domain.errors import GoneError, PermanentError
from shared.domain.json_paths import Json
from shared.domain.keys import Key, KeyVersion
from shared.domain.kinds import Kind, Window
from shared.domain.plans import Age, references_to
from shared.domain.proofs import Finding, Level
from shared.domain.resources import Reference, ResourceId
from shared.domain.rows import Rotation, Work
from shared.domain.steps import Verify
from shared.domain.verdicts import Verdict
from shared.ports import Clock, Kept, Queue, Resources, Rows, Vaults
from shared.usecases.active import why_not_active
from shared.usecases.ages import ages_of, target_of

logger = logging.getLogger(__name__)

GONE_ADVICE = (
    "see that it was deleted, and not moved to another group or subscription: if it was moved,"
    " rotate again when Resource Graph shows it there"
)
_STUCK_ADVICE = (
    "keep the old version enabled; check that the resource's identity can reach the vault, unwrap"
    " with the old version and wrap with the new; then rotate again"
)

LOOK_TOLERANCE = timedelta(minutes=5)
"""A look that runs this long after it was due, because the queue was busy, counts as in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyResource:
    """Read a resource and apply its kind's proof rule.

    The rule holds: ``verified`` (or ``already`` if it did before anything was written, or
    ``late``). It does not: another look, until the window closes and the verdict is ``stuck``.
    The reference names something else by now: ``reverted``.
    """

    resources: Resources
    vaults: Vaults
    rows: Rows
    queue: Queue
    clock: Clock

    def run(self, step: Verify) -> None:
        """See the class. A resource that cannot be read is ``unknown``, never ``verified``."""
        kept = self.rows.load(Work, step.rotation, step.resource)
        if kept is None or not kept.row.open or kept.row.seq != step.seq:
            return
        rotation = self.rows.load(Rotation, step.rotation, "rotation")
        if rotation is None:
            return
        if why := why_not_active(self.rows, rotation.row):
            self._close(kept, *why)
            return
        kind = kind_named(kept.row.kind)
        try:
            body = self.resources.read(kind, ResourceId.parse(kept.row.resource))
            self.judge(kept, rotation.row, kind, body)
        except GoneError as error:
            self._close(kept, Verdict.GONE, str(error), GONE_ADVICE)
        except PermanentError as error:
            now = self.clock.now()
            closed = rows_of_work.close_with_error(kept.row, kind, Verdict.UNKNOWN, now, error)
            self.rows.replace(kept, closed)

    def judge(self, kept: Kept[Work], rotation: Rotation, kind: Kind, body: Json) -> None:
        """Apply the proof rule to ``body``, a fresh GET, and close or look again.

        Raises:
            UnreadableError: The body refers to a key in a form that is none Azure documents.
        """
        target = KeyVersion.parse(rotation.target)
        references = references_to(kind, body, Key.parse(rotation.key))
        seen = rows_of_work.observe(kept.row, references, kind.version_in_use(body))
        kept = Kept(seen, kept.etag)
        if lost := _lost(kept.row, references, target):
            self._close_lost(kept, rotation, references, lost)
            return
        finding = kind.proof.check(body, target)
        if finding.holds:
            self._prove(kept, rotation, kind, finding)
        else:
            self.look_later(kept, rotation, kind, finding)

    def look_later(
        self, kept: Kept[Work], rotation: Rotation, kind: Kind, finding: Finding | None = None
    ) -> None:
        """Schedule the next look, or close as ``stuck`` once the window has closed."""
        now, (start, window) = self.clock.now(), _window(kept.row, rotation, kind)
        when = window.looks.after(now, start=start, window=window.length)
        if when is None:
            seen = finding.seen if finding else "it was not looked at in time"
            reason = f"not proven within {_spoken(window)}: {seen}"
            self._close(kept, Verdict.STUCK, reason, _STUCK_ADVICE)
            return
        kept = self.rows.replace(kept, rows_of_work.look_at(kept.row, when))
        rotation_id, resource = kept.row.address
        self.queue.send(Verify(rotation=rotation_id, resource=resource, seq=kept.row.seq), at=when)

    def _close_lost(
        self, kept: Kept[Work], rotation: Rotation, references: tuple[Reference, ...], lost: str
    ) -> None:
        """Close as ``reverted``, unless every reference was moved on to a newer version."""
        ages = ages_of(self.vaults, references, target_of(rotation)).values()
        if ages and all(age is Age.NEWER for age in ages):
            self._close(kept, Verdict.SUPERSEDED, f"{lost}, which is newer")
        else:
            advice = "find out who changed it, then rotate again"
            self._close(kept, Verdict.REVERTED, lost, advice)

    def _prove(self, kept: Kept[Work], rotation: Rotation, kind: Kind, finding: Finding) -> None:
        start, window = _window(kept.row, rotation, kind)
        in_time = self.clock.now() <= start + window.length + LOOK_TOLERANCE
        verdict = Verdict.VERIFIED if in_time else Verdict.LATE
        if kept.row.intent is None and kept.row.next == "repoint":  # the first look ever
            verdict = Verdict.ALREADY
        self._close(kept, verdict, finding.seen, level=kind.level)
        logger.info("%s: %s uses %s", verdict, kept.row.resource, rotation.target)

    def _close(
        self,
        kept: Kept[Work],
        verdict: Verdict,
        reason: str,
        advice: str = "",
        level: Level | None = None,
    ) -> None:
        now = self.clock.now()
        closed = rows_of_work.close(
            kept.row, verdict, now, reason=reason, advice=advice, level=level
        )
        self.rows.replace(kept, closed)


def _window(work: Work, rotation: Rotation, kind: Kind) -> tuple[datetime, Window]:
    """Return from when the resource has how long."""
    written = work.accepted_at or (work.intent.at if work.intent else None)
    if written or kind.versionless is None or any(c.pinned for c in work.consumers):
        return written or work.found_at, kind.pinned
    return rotation.target_created, kind.versionless


def _lost(work: Work, references: tuple[Reference, ...], target: KeyVersion) -> str:
    """Return what is no longer as it must be for the target to come into use; empty: all is."""
    held = {r.place: r for r in references}
    for consumer in work.consumers:
        reference = held.get(consumer.place)
        if reference is None:
            return f"{consumer.place} refers to {target.key} no longer"
        if reference.pinned not in (None, target):
            return f"{consumer.place} names {reference.pinned} instead"
    return ""


def _spoken(window: Window) -> str:
    hours = window.length / timedelta(hours=1)
    return f"{hours:g} hour{'' if hours == 1 else 's'}{'' if window.source else ' (assumed)'}"
