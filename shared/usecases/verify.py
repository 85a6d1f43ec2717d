"""Look whether one resource uses the target, and prove it or look again."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.catalog import kind_named
from shared.domain import work as rows_of_work
from shared.domain.errors import BusyError, GoneError, PermanentError
from shared.domain.json_paths import Json, text_at
from shared.domain.keys import Key, KeyVersion
from shared.domain.kinds import Completion, Kind, Window
from shared.domain.plans import (
    Age,
    at_rest,
    references_to,
    symptom_of,
    unseen_of,
)
from shared.domain.proofs import Finding, Level
from shared.domain.resources import Reference
from shared.domain.rows import Rotation
from shared.domain.steps import Verify
from shared.domain.verdicts import Verdict
from shared.domain.work import Wave, Work
from shared.ports import Clock, Kept, Progress, Resources, Rows, Vaults
from shared.usecases.active import head_if_active, why_not_active
from shared.usecases.ages import ages_of, target_of
from shared.usecases.announce import Announce
from shared.usecases.dependants import close_dependant, whole_of
from shared.usecases.health import CheckHealth
from shared.usecases.leases import Leases
from shared.usecases.ledger import Ledger
from shared.usecases.pace import Pace
from shared.usecases.proving import prove

logger = logging.getLogger(__name__)

GONE_ADVICE = (
    "see that it was deleted, and not moved to another group or subscription: if it was moved,"
    " rotate again when Resource Graph shows it there"
)

_MISSING_ADVICE = (
    "see in the activity log who deleted it, and when; make it again from its own template"
)

MOST_ROUNDS = 3
"""How often a resource is moved again after a late write of ours has undone it."""

LOOK_TOLERANCE = timedelta(minutes=5)
"""A look that runs this long after it was due, because the queue was busy, counts as in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyResource:
    """Read a resource and apply its kind's proof rule.

    The rule holds: ``verified`` (or ``already`` if it did before anything was written, or
    ``late``). It does not: another look, until the window closes and the verdict is ``stuck``.
    The reference names something else by now: ``reverted``, unless a late write of ours did it:
    then the resource is moved again. The closing scan's look lets a verdict stand in the same way.
    """

    resources: Resources
    vaults: Vaults
    rows: Rows
    clock: Clock
    ledger: Ledger
    leases: Leases
    pace: Pace
    check_health: CheckHealth
    announce: Announce

    def run(self, step: Verify) -> None:
        """See the class. A resource that cannot be read is ``unknown``, never ``verified``."""
        kept = self.ledger.load(step.rotation, step.resource)
        if kept is None or kept.row.seq != step.seq:
            return
        rotation = self.rows.load(Rotation, step.rotation, "rotation")
        if rotation is None:
            return
        if head_if_active(self.rows, rotation.row) is None:
            if kept.row.next == "confirm":
                self.ledger.change(kept, rows_of_work.confirm(kept.row))
            else:
                self._close(kept, *why_not_active(self.rows, rotation.row))
            return
        self.pace.await_turn(kept.row)
        kind = kind_named(kept.row.kind)
        try:
            if kept.row.through:
                self._judge_dependant(kept, kind)
                return
            body = self.resources.read(kind, kept.row.resource).body
            self.judge(kept, rotation.row, kind, body)
        except GoneError as error:
            self.close_gone(kept, error)
        except PermanentError as error:
            self._close_with_error(kept, kind, Verdict.UNKNOWN, error)

    def close_gone(self, kept: Kept[Work], error: GoneError) -> None:
        """Close as ``gone``, unless we ourselves have deleted it for a moment.

        Raises:
            BusyError: Another rotation has, and is about to make it again.
        """
        if self.ledger.is_missed(kept.row):
            raise BusyError(f"{kept.row.resource} is being made again by another rotation")
        if kept.row.accepted_at and kind_named(kept.row.kind).recreation:
            reason = f"it was made again by us, and is missing since: {error}"
            self._close(kept, Verdict.FAILED, reason, _MISSING_ADVICE)
            return
        self._close(kept, Verdict.GONE, str(error), GONE_ADVICE)

    def judge(self, kept: Kept[Work], rotation: Rotation, kind: Kind, body: Json) -> None:
        """Apply the proof rule to ``body``, a fresh GET, and close or look again.

        Raises:
            UnreadableError: The body refers to a key in a form that is none Azure documents.
            BusyError: Somebody else's change is under way, and what is seen says nothing yet.
        """
        target = KeyVersion.parse(rotation.target)
        references = references_to(kind, body, Key.parse(rotation.key))
        seen = rows_of_work.observe(
            kept.row, references, kind.version_in_use(body), self.clock.now()
        )
        kept = Kept(seen, kept.etag)
        if kept.row.next == "confirm" and _verdicts(kept.row) <= _WITHOUT_REFERENCE:
            self._confirm_absent(kept, references)
            return
        if lost := _lost(kept.row, references, target):
            if _is_unmoved(kept.row, references):
                self._judge_unmoved(kept, rotation, kind, body, lost)
            else:
                self._close_lost(kept, rotation, references, lost)
            return
        finding = prove(self.resources, kind, body, target)
        progress = self._progress(kept.row, kind, body) if _asks(kept.row, kind, finding) else _OVER
        if progress.failure:
            self._close_with_error(kept, kind, Verdict.FAILED, progress.failure)
        elif finding.holds and progress.is_running:
            said = f"the operation of our write has not ended, though {finding.seen}"
            self.look_later(kept, rotation, kind, Finding(holds=False, seen=said))
        elif finding.holds:
            self._prove(kept, rotation, kind, finding)
        elif _is_changed_by_others(kept.row, body):
            raise BusyError(f"{kept.row.resource} is being changed by somebody else")
        elif symptom := symptom_of(kind, body):
            self._close(kept, Verdict.MANUAL, *symptom)
        elif at_rest(body) and (unseen := _unseen_rest(kind, body, references, target)):
            self._close(kept, Verdict.MANUAL, *unseen)
        else:
            self.look_later(kept, rotation, kind, finding)

    def _judge_unmoved(
        self, kept: Kept[Work], rotation: Rotation, kind: Kind, body: Json, lost: str
    ) -> None:
        if error := self._progress(kept.row, kind, body).failure:
            self._close_with_error(kept, kind, Verdict.FAILED, error)
        elif _is_doubtful(kept.row, kind, body):
            doubted = replace(kept.row, doubts=kept.row.doubts + 1)
            self.look_later(
                Kept(doubted, kept.etag), rotation, kind, Finding(holds=False, seen=lost)
            )
        else:
            references = references_to(kind, body, Key.parse(rotation.key))
            self._close_lost(kept, rotation, references, lost)

    def _judge_dependant(self, kept: Kept[Work], kind: Kind) -> None:
        """See whether what depends on the key through another resource still keeps the old version.

        A part has an id of its own, and is read with its whole: our role reads no parts.
        """
        work, now = kept.row, self.clock.now()
        try:
            body = self.resources.read(kind, whole_of(work)).body
        except GoneError as error:
            self._close(kept, Verdict.NOT_APPLICABLE, f"it is not there any more: {error}")
            return
        self.ledger.change(kept, close_dependant(work, body, now))

    def look_later(
        self, kept: Kept[Work], rotation: Rotation, kind: Kind, finding: Finding | None = None
    ) -> None:
        """Schedule the next look, or close as ``stuck`` once the window has closed."""
        now, work = self.clock.now(), kept.row
        if work.next == "confirm":  # proven once, and not any more
            work = replace(rows_of_work.reopen(work), read_at=now)
        start, window = window_of(work, rotation, kind)
        when = window.looks.after(now, start=start, window=window.length)
        if when is None:
            seen = finding.seen if finding else "it was not looked at in time"
            reason = f"not proven within {_spoken(window)}: {seen}"
            self._close(kept, Verdict.STUCK, reason, kind.if_stuck)
            if not work.owes:  # else it is looked at once more when that is paid
                self.announce.stuck(work, rotation.target, reason)
            return
        self.ledger.change(kept, rows_of_work.look_at(work, when))

    def await_owner(self, kept: Kept[Work], rotation: Rotation, kind: Kind, owner: str) -> None:
        """Plan it again at the next look, since its owner may have moved it by then.

        Not as a canary any more: nothing waits for it. Once its window has closed it is left to a
        person.
        """
        start, window = window_of(kept.row, rotation, kind)
        when = window.looks.after(self.clock.now(), start=start, window=window.length)
        if when is None:
            reason = (
                "it lies in a managed resource group, which is never written to, and its owner has"
                f" not moved it within {_spoken(window)}"
            )
            advice = f"change it through what owns it: {owner}; then retry"
            self._close(kept, Verdict.MANUAL, reason, advice)
            return
        logger.info("left to its owner until %s: %s", when, kept.row.resource)
        held = rows_of_work.hold(kept.row)
        self.ledger.change(kept, replace(held, wave=Wave.REST, due_at=when))

    def _progress(self, work: Work, kind: Kind, body: Json) -> Progress:
        """Return how our own long-running write goes; the resource itself shows no more."""
        if not work.operation:
            return _OVER
        if text_at(body, "properties.provisioningState").lower() == "failed":
            return self.resources.progress(work.operation)
        if kind.write.completion is not Completion.OPERATION:
            return _OVER
        progress = self.resources.progress(work.operation)
        # Without a code it is the operation's record that is gone, of which nothing follows.
        is_unknown = progress.failure is not None and not progress.failure.code
        return _OVER if is_unknown else progress

    def _confirm_absent(self, kept: Kept[Work], references: tuple[Reference, ...]) -> None:
        """Let "it holds no such reference" stand, or move what is there by now."""
        if not references:
            self.ledger.change(kept, rows_of_work.confirm(kept.row))
        elif kept.row.rounds < MOST_ROUNDS:
            logger.warning("it refers to the key again: %s", kept.row.resource)
            again = rows_of_work.reopen(kept.row)
            self.ledger.change(kept, replace(again, rounds=again.rounds + 1))
        else:
            reason = "it comes and goes: at one look it refers to the key, at the next it does not"
            self._close(kept, Verdict.UNKNOWN, reason, "find out who changes it, then rotate again")

    def _close_lost(
        self, kept: Kept[Work], rotation: Rotation, references: tuple[Reference, ...], lost: str
    ) -> None:
        """Close as ``reverted``, unless that is no reason to: see the class."""
        named = [r.pinned for r in references]
        ages = ages_of(self.vaults, named, target_of(rotation)).values()
        if ages and all(age is Age.NEWER for age in ages):
            self._close(kept, Verdict.SUPERSEDED, f"{lost}, which is newer")
        elif kept.row.rounds < MOST_ROUNDS and self._undone_by_us(kept.row, references):
            logger.warning("undone by a late write of ours, moved again: %s", kept.row.resource)
            again = rows_of_work.reopen(kept.row)
            self.ledger.change(kept, replace(again, rounds=again.rounds + 1))
        else:
            advice = "find out who changed it, then rotate again"
            self._close(kept, Verdict.REVERTED, lost, advice)

    def _undone_by_us(self, work: Work, references: tuple[Reference, ...]) -> bool:
        """Whether a late write of ours explains what the references name.

        It carries its own target, and, where it was for another key of the resource, this key's
        version as it was then.
        """
        late = {KeyVersion.parse(url) for url in self.leases.may_be_undone_by(work.resource)}
        named = {r.pinned for r in references if r.pinned}
        if any(str(version.key) != work.key for version in late):
            named_before = {str(version) for version in named} & {c.before for c in work.consumers}
            return bool(named & late or named_before)
        return bool(named & late)

    def _prove(self, kept: Kept[Work], rotation: Rotation, kind: Kind, finding: Finding) -> None:
        if kept.row.next == "confirm":
            self.ledger.change(kept, rows_of_work.confirm(kept.row))
            return
        if health := self.check_health.of(kind, kept.row.resource):
            tried = replace(kept.row, healthy=health.ok, health=health.said)
            kept = Kept(tried, kept.etag)
        start, window = window_of(kept.row, rotation, kind)
        in_time = self.clock.now() <= start + window.length + LOOK_TOLERANCE
        verdict = Verdict.VERIFIED if in_time else Verdict.LATE
        if kept.row.intent is None and kept.row.next == "repoint":  # nothing was written by us
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
        self.ledger.change(kept, closed)

    def _close_with_error(
        self, kept: Kept[Work], kind: Kind, verdict: Verdict, error: PermanentError
    ) -> None:
        now = self.clock.now()
        closed = rows_of_work.close_with_error(kept.row, kind, verdict, now, error)
        self.ledger.change(kept, closed)


_OVER = Progress()


def _asks(work: Work, kind: Kind, finding: Finding) -> bool:
    """Whether to ask how our write goes: only its operation may contradict what is shown.

    Not of what is proven already: its operation had ended by then.
    """
    is_ours = work.next != "confirm" and kind.write.completion is Completion.OPERATION
    return is_ours or not finding.holds


_WITHOUT_REFERENCE = {Verdict.SKIPPED, Verdict.GONE}


def _unseen_rest(
    kind: Kind, body: Json, references: tuple[Reference, ...], target: KeyVersion
) -> tuple[str, str] | None:
    """Return what no look can show, once every reference with a version names the target."""
    if any(r.pinned not in (None, target) for r in references):
        return None
    return unseen_of(kind, body, references, target)


def _is_changed_by_others(work: Work, body: Json) -> bool:
    is_ours = work.intent is not None and work.next != "confirm"
    return not is_ours and not at_rest(body)


def _is_unmoved(work: Work, references: tuple[Reference, ...]) -> bool:
    """Whether nothing is seen of an accepted write."""
    before = {consumer.place: consumer.before for consumer in work.consumers}
    is_as_before = all(before.get(r.place) == str(r) for r in references) and bool(references)
    return work.next == "verify" and work.accepted_at is not None and is_as_before


def _is_doubtful(work: Work, kind: Kind, body: Json) -> bool:
    """Whether an accepted write may not show yet: the first time, or while it is being done.

    Of some kinds the resource does not tell that it is being done.
    """
    never_tells = kind.write.completion is Completion.OPERATION
    return work.doubts == 0 or not at_rest(body) or never_tells


def _verdicts(work: Work) -> set[Verdict]:
    return {c.verdict for c in work.consumers if c.verdict}


def window_of(work: Work, rotation: Rotation, kind: Kind) -> tuple[datetime, Window]:
    """Return from when a resource has how long to show the target."""
    written = work.accepted_at or (work.intent.at if work.intent else None)
    if written or kind.versionless is None or any(c.pinned for c in work.consumers):
        return max(filter(None, (written, work.read_at)), default=work.found_at), kind.pinned
    return rotation.target_created, kind.versionless


def _lost(work: Work, references: tuple[Reference, ...], target: KeyVersion) -> str:
    """Return what is no longer as it must be for the target to come into use; empty: all is."""
    for reference in references:
        if reference.pinned not in (None, target):
            return f"{reference.place} names {reference.pinned} instead"
        is_nudged = work.accepted_at is not None and reference.place in _versionless(work)
        if reference.pinned and is_nudged and not work.owes:
            return f"{reference.place} names {reference.pinned}, and named no version before"
    held = {reference.place for reference in references}
    gone = (consumer.place for consumer in work.consumers if consumer.place not in held)
    return next((f"{place} refers to {target.key} no longer" for place in gone), "")


def _versionless(work: Work) -> set[str]:
    """Return the consumers that named no version when they were first read."""
    return {consumer.place for consumer in work.consumers if consumer.pinned is False}


def _spoken(window: Window) -> str:
    hours = window.length / timedelta(hours=1)
    return f"{hours:g} hour{'' if hours == 1 else 's'}{'' if window.source else ' (assumed)'}"
