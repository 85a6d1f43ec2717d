"""Have a person answer for what was moved by hand, where nothing that can be read proves it."""

from contextlib import suppress
from dataclasses import dataclass

from msgspec.structs import replace

from shared.catalog import kind_named
from shared.domain.callers import Caller
from shared.domain.errors import (
    GoneError,
    NotActiveError,
    NotFoundError,
    NotPermittedError,
    NotSettledError,
    RowConflictError,
)
from shared.domain.keys import KeyVersion
from shared.domain.kinds import Kind
from shared.domain.proofs import Finding
from shared.domain.records import SettledByHand, Settlement
from shared.domain.resources import digest
from shared.domain.rows import KeyHead, Rotation
from shared.domain.settling import asked_of, settle, why_not_by_hand, why_not_settled
from shared.domain.steps import Supervise
from shared.domain.verdicts import Outcome, Verdict
from shared.domain.work import Stage, Work
from shared.ports import Clock, Put, Queue, Resources, Rows, Vaults
from shared.usecases.acts import keep_act, rotation_asked
from shared.usecases.conclude import ConcludeRotation
from shared.usecases.dependants import close_dependant, whole_of
from shared.usecases.ledger import Ledger
from shared.usecases.proving import prove, why_not_shown


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleByHand:
    """Record who says that a ``manual`` resource was moved, when and in which words.

    Never instead of a proof. The resource is read first: if it is proven by now, or shows that it
    is as before, nothing is recorded. The verdict stays ``manual``: the rotation counts it as
    answered for, and as proven by nobody.
    """

    rows: Rows
    queue: Queue
    clock: Clock
    ledger: Ledger
    resources: Resources
    vaults: Vaults
    conclude: ConcludeRotation

    def run(self, asked: str, resource: str, reason: str, by: Caller) -> str:
        """See the class. Asked once more it changes nothing; return the rotation's id.

        Args:
            asked: Id of the rotation, or of a request.
            resource: Its id as the list of consumers has it.
            reason: What was done.
            by: Who says so.

        Raises:
            NotFoundError: There is no such rotation, or it has no such resource.
            NotPermittedError: Nobody is named.
            NotActiveError: It was cancelled, or another rotation of its key has been opened since.
            NotSettledError: Something else than a person's word decides about the resource.
            PermanentError: The resource, or the version, cannot be read.
            RowConflictError: Somebody changed its work meanwhile; nothing is recorded.
        """
        if not by.id:
            raise NotPermittedError("a settlement needs a name, and a function key names nobody")
        rotation = rotation_asked(self.rows, asked)
        self._check_last(rotation)
        kept = self.ledger.load(rotation.id, digest(resource))
        if kept is None:
            raise NotFoundError(f"rotation {rotation.id} has no resource {resource!r:.300}")
        said = kept.row.settlement
        if said is None:
            self._check(kept.row, KeyVersion.parse(rotation.target))
            said = Settlement(by=by, at=self.clock.now(), reason=reason)
            self.ledger.change(kept, settle(kept.row, said))
        self._keep(rotation, kept.row, said)
        self._count(rotation.id)
        self.queue.send(Supervise(rotation=rotation.id))
        return rotation.id

    def _keep(self, rotation: Rotation, work: Work, said: Settlement) -> None:
        """Keep for later runs what the work says by now; a death before that is made up for."""
        entry = SettledByHand(
            target=rotation.target,
            resource=work.resource,
            rotation=rotation.id,
            answers=asked_of(work),
            settlement=said,
        )
        before = self.rows.load(SettledByHand, *entry.address)
        if before and before.row.settlement == said:
            return
        text = f"{work.resource}: {said.reason}"
        keep_act(self.rows, self.clock, rotation.id, "settle", by=said.by, reason=text)
        self.rows.commit(Put(entry))

    def _check_last(self, rotation: Rotation) -> None:
        """See that the rotation is the last of its key: an older one decides about nothing."""
        kept = self.rows.load(KeyHead, *KeyHead(key=rotation.key).address)
        head = kept.row if kept else KeyHead(key=rotation.key)
        is_active = head.active == rotation.id and not head.cancelled
        is_last = not head.active and (head.handled, head.run) == (rotation.target, rotation.run)
        was_stopped = rotation.outcome in (Outcome.SUPERSEDED, Outcome.CANCELLED)
        if was_stopped or not (is_active or is_last):
            raise NotActiveError(
                f"rotation {rotation.id} decides about nothing any more: it was cancelled, or"
                " another rotation of its key was opened since; settle it there"
            )

    def _check(self, work: Work, target: KeyVersion) -> None:
        """See, on a fresh read, that it is for a person to say.

        Raises:
            NotSettledError: It is not.
        """
        why = why_not_settled(work)
        if not why:
            try:
                why = self._why_not(work, kind_named(work.kind), target)
            except GoneError as error:
                why = f"it is not there any more ({error}): retry the rotation"
        if why:
            raise NotSettledError(f"{work.resource} is not settled: {why}")

    def _why_not(self, work: Work, kind: Kind, target: KeyVersion) -> str:
        if work.through:
            return self._why_not_dependant(work, kind, target)
        body = self.resources.read(kind, work.resource).body
        finding = prove(self.resources, kind, body, target)
        if self.ledger.is_doubted(work):  # nothing that it shows is a proof
            finding = Finding(holds=False, seen=finding.seen)
        if why := why_not_by_hand(kind, body, self.vaults.version(target), finding):
            return why
        shown = why_not_shown(self.resources, kind, body, target)
        return f"{shown}: move it first" if shown else ""

    def _why_not_dependant(self, work: Work, kind: Kind, target: KeyVersion) -> str:
        """Return why nobody may answer for what depends on the key through another resource.

        What was made anew before that one used the target was made with the old version again:
        it comes first, and by its own proof. Which version the nodes themselves were made with,
        Azure does not show.
        """
        body = self.resources.read(kind, whole_of(work)).body
        shown = close_dependant(work, body, self.clock.now()).consumers[0]
        if shown.verdict is not Verdict.MANUAL:
            return "it does not keep the old version by itself any more: retry the rotation"
        holder = self.ledger.load(work.rotation, digest(work.through))
        if holder is None or holder.row.stage is not Stage.DONE:
            return (
                f"{work.through} comes first, and the rotation is not done with it: wait for its"
                " end, or retry it"
            )
        of_holder = kind_named(holder.row.kind)
        found = prove(
            self.resources, of_holder, self.resources.read(of_holder, work.through).body, target
        )
        return "" if found.holds else f"{work.through} comes first: {found.seen}"

    def _count(self, rotation: str) -> None:
        """Let the rotation count anew, or whoever is about to end it; then its evidence follows."""
        while kept := self.rows.load(Rotation, rotation, "rotation"):
            row = kept.row
            if row.outcome is not None:
                if row.outcome is Outcome.FAILED and not row.problem:
                    row = replace(row, problem=self.conclude.target_problem(row))
                row = self.conclude.counted(row)
                if row == kept.row:
                    return
                before = row.evidence or row.replaced
                row = replace(row, replaced=before, evidence=None, evidence_problem="")
            with suppress(RowConflictError):
                self.rows.replace(kept, row)
                return
