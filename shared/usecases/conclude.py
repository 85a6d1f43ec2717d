"""End a rotation: say how it came out, keep its evidence, and let its key go."""

import logging
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

from msgspec.structs import replace

from shared.catalog import kind_named
from shared.domain.errors import BusyError, EvidenceError, KeyturnError, PermanentError
from shared.domain.keys import KeyVersion
from shared.domain.records import SettledByHand
from shared.domain.resources import digest
from shared.domain.rows import BEATS, Beat, Rotation, Scope
from shared.domain.settling import asked_of, is_left_behind, settle, why_not_settled
from shared.domain.verdicts import Outcome, Verdict, conclude
from shared.domain.work import Stage, Work
from shared.ports import Clock, Drop, Kept, Put, Rows, Vaults
from shared.usecases.announce import Announce
from shared.usecases.evidence import KeepEvidence
from shared.usecases.ledger import Ledger
from shared.usecases.open_rotation import head_of
from shared.usecases.overdue import LEASE, OVERDUE_AFTER

logger = logging.getLogger(__name__)

AGAIN_AFTER = timedelta(minutes=5)
"""How long to wait before evidence that could not be kept is tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcludeRotation:
    """Decide the outcome and keep it; then, and again until it is done, do what is left to do.

    In this order: the evidence is kept, the row names it, the end is announced, the key is let go.
    A crash between two of them repeats what came before, which changes nothing; of two messages
    that come at the same time one does it.
    """

    rows: Rows
    clock: Clock
    ledger: Ledger
    vaults: Vaults
    announce: Announce
    evidence: KeepEvidence

    def run(self, kept: Kept[Rotation], outcome: Outcome | None) -> None:
        """End a rotation of which nothing is open; ``None``: as its consumers say.

        Raises:
            EvidenceError: See ``release``.
        """
        self._settle_again(kept.row)
        rotation = kept.row
        if outcome is None:
            rotation = replace(rotation, problem=self.target_problem(rotation))
        ended = replace(self.counted(rotation, outcome), ended_at=self.clock.now())
        kept = self.rows.replace(kept, ended)
        logger.info("rotation %s ended: %s %s", ended.id, ended.outcome, ended.counts)
        self.release(kept, is_retry=False)

    def counted(self, rotation: Rotation, outcome: Outcome | None = None) -> Rotation:
        """Return the rotation with its outcome; ``None``: as its consumers say."""
        counts, by_hand = Counter[Verdict](), 0
        for work in self.ledger.all(rotation.id):
            verdicts = [c.verdict for c in work.row.consumers if c.verdict]
            counts.update(verdicts)
            by_hand += len(verdicts) if work.row.settlement else 0
        scope = rotation.scope or Scope()
        if outcome is None:
            outcome = conclude(
                counts, by_hand=by_hand, readable=scope.readable, unreadable=scope.unreadable
            )
            outcome = Outcome.FAILED if rotation.problem else outcome
        return replace(rotation, counts=dict(counts), settled_by_hand=by_hand, outcome=outcome)

    def _settle_again(self, rotation: Rotation) -> None:
        """Let what a person has said in an earlier run to the same version hold in this one.

        Only of the very same that they were asked.
        """
        target = KeyVersion.parse(rotation.target)
        for entry in [each.row for each in self.ledger.outstanding(rotation.id, Stage.UNSETTLED)]:
            work = self.ledger.load(rotation.id, entry.resource)
            if work is None or not self._may_hold_again(work.row, target):
                continue
            said = self.rows.load(SettledByHand, digest(rotation.target), entry.resource)
            if said and said.row.answers == asked_of(work.row):
                self.ledger.change(work, settle(work.row, said.row.settlement))

    def _may_hold_again(self, work: Work, target: KeyVersion) -> bool:
        """Return whether nothing that this run has read speaks against it.

        What depends on another resource must have found that one on the target, unwritten. What
        only another resource shows, this run may not have read.
        """
        if why_not_settled(work) or is_left_behind(work, target) or kind_named(work.kind).shown_by:
            return False
        if not work.through:
            return True
        holder = self.ledger.load(work.rotation, digest(work.through))
        verdicts = {consumer.verdict for consumer in holder.row.consumers} if holder else set()
        return verdicts == {Verdict.ALREADY}

    def target_problem(self, rotation: Rotation) -> str:
        """Return why consumers that were moved cannot rely on the target; empty: they can."""
        try:
            state = self.vaults.version(KeyVersion.parse(rotation.target))
        except PermanentError as error:
            return f"the target cannot be read: {error}"
        why = state.why_unusable(self.clock.now())
        return f"the version to move to is {why}" if why else ""

    def release(self, kept: Kept[Rotation], *, is_retry: bool) -> None:
        """Keep the evidence, say how it ended, and let the key go.

        Args:
            kept: The rotation, which has ended.
            is_retry: Whether the message was put back. Where the evidence could not be kept lately,
                one message comes again until it is; whatever else asks meanwhile is left to that.

        Raises:
            EvidenceError: The evidence cannot be kept; nothing of the rest was done.
            BusyError: Another step is doing the rest, or has died over it; look again.
        """
        if kept.row.evidence_problem and not is_retry and self._is_tried_again(kept.row):
            return
        kept = self._with_evidence(kept)
        rotation = kept.row
        if head_of(self.rows, rotation.key).row.active == rotation.id:
            self._begin_end(kept)
            self.announce.ended(rotation)
            self._let_go(rotation)
        elif rotation.replaced and rotation.outcome is not Outcome.FAILED:
            self.announce.ended(rotation)  # it had failed before somebody settled what was left
        if beat := self.rows.load(Beat, BEATS, rotation.id):
            self.rows.commit(Drop(beat.row))

    def _begin_end(self, kept: Kept[Rotation]) -> None:
        """See that no other step ends the rotation now: under the row's ETag, so that one does.

        Raises:
            BusyError: One does, or has died over it: then another may when its time is up.
        """
        now, since = self.clock.now(), kept.row.ending_since
        if since and since + LEASE > now:
            left = since + LEASE - now
            raise BusyError(f"rotation {kept.row.id} is being ended", retry_after=left)
        self.rows.replace(kept, replace(kept.row, ending_since=now))

    def _let_go(self, rotation: Rotation) -> None:
        head = head_of(self.rows, rotation.key)
        if head.row.active != rotation.id:
            return
        recheck_at = None
        if rotation.rules.recheck_hours and rotation.outcome is not Outcome.CANCELLED:
            recheck_at = self.clock.now() + timedelta(hours=rotation.rules.recheck_hours)
        freed = replace(
            head.row,
            active=None,
            paused="",
            paused_itself=False,
            approved_until=None,
            approval_asked_at=None,
            cancelled="",
            recheck_at=recheck_at,
        )
        self.rows.replace(head, freed)

    def _with_evidence(self, kept: Kept[Rotation]) -> Kept[Rotation]:
        rotation = kept.row
        if rotation.evidence:
            return kept
        try:
            evidence = self.evidence.of(rotation)
        except KeyturnError as error:
            self._note(kept, str(error)[:1000])
            raise EvidenceError(
                f"the evidence of rotation {rotation.id} is not kept: {error}",
                retry_after=AGAIN_AFTER,
            ) from error
        logger.info("rotation %s: its evidence is %s", rotation.id, evidence.name)
        named = replace(rotation, evidence=evidence, evidence_problem="")
        return self.rows.replace(kept, named)

    def _is_tried_again(self, rotation: Rotation) -> bool:
        beat = self.rows.load(Beat, BEATS, rotation.id)
        return beat is not None and self.clock.now() < beat.row.at + OVERDUE_AFTER

    def _note(self, kept: Kept[Rotation], problem: str) -> None:
        """Show what is wrong on the rotation; its message is put back, and its beat tells so."""
        logger.error("the evidence of rotation %s is not kept: %s", kept.row.id, problem)
        now = self.clock.now()
        self.rows.commit(Put(Beat(rotation=kept.row.id, at=now, since=now)))
        if kept.row.evidence_problem != problem:
            self.rows.replace(kept, replace(kept.row, evidence_problem=problem))
