"""Say how a rotation stands, for people and programs."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from shared.catalog import find_kind
from shared.catalog.beside import BESIDE
from shared.domain.findings import Finding, Severity
from shared.domain.permit import why_held, why_unapproved
from shared.domain.records import Act, Request
from shared.domain.rows import Foresight, KeyHead, Rotation
from shared.domain.verdicts import CONFIRMED, PROVEN, SETTLED, Verdict
from shared.domain.views import ActView, ConsumerView, RequestView, RotationView, State
from shared.domain.work import Consumer, Stage, Work
from shared.ports import Clock, Rows
from shared.usecases.ledger import Ledger

MOST_CONSUMERS = 1000
"""Consumers in one report, those that need somebody first; the counts are always of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRotation:
    """Read the rows of one rotation. Nothing in a report is inferred from what was sent."""

    rows: Rows
    ledger: Ledger
    clock: Clock

    def run(self, asked: str) -> RotationView | RequestView | None:
        """Return the report of a rotation, or of the request for one; ``None`` if unknown."""
        request = self.rows.load(Request, asked, "request")
        if request and not request.row.rotation:
            return request_view(self.rows, request.row)
        rotation = self.rows.load(Rotation, request.row.rotation if request else asked, "rotation")
        if rotation is None:
            return None
        return self._of_rotation(rotation.row, request.row if request else None)

    def _of_rotation(self, rotation: Rotation, request: Request | None) -> RotationView:
        counts, by_hand, consumers = self._consumers(rotation)
        head, findings = self._head(rotation), self._findings(rotation)
        cause = rotation.cause
        return RotationView(
            id=rotation.id,
            request=request.id if request else None,
            state=state_of(rotation, head, self.clock.now()),
            summary=summary(rotation, counts, by_hand) + _blockers(findings),
            key=rotation.key,
            target=rotation.target,
            target_created=rotation.target_created,
            current_version_problem=rotation.current_problem or None,
            preflight=findings,
            trigger=cause.trigger,
            trigger_id=cause.id or None,
            # The vault's event may have opened it first: who asked still finds their words.
            reason=(request.reason if request else cause.reason) or None,
            by=request.by if request else cause.by,
            paused_because=head.paused or None,
            waits_for=self._waits_for(rotation, head),
            approved_until=head.approved_until,
            policy=rotation.policy or None,
            rules=rotation.rules,
            acts=_acts(self.rows, rotation.id),
            opened_at=rotation.opened_at,
            ended_at=rotation.ended_at,
            evidence=rotation.evidence,
            evidence_problem=rotation.evidence_problem or None,
            scope=str(rotation.scope) if rotation.scope else None,
            unreadable_subscriptions=rotation.scope.named if rotation.scope else (),
            problem=rotation.problem or None,
            counts=dict(counts),
            settled_by_hand=by_hand,
            consumers=consumers,
            consumers_omitted=counts.total() - len(consumers),
        )

    def _consumers(self, rotation: Rotation) -> tuple[Counter[str], int, tuple[ConsumerView, ...]]:
        """Return how many there are by verdict, how many are settled by hand, and the first."""
        counts: Counter[str] = Counter()
        by_hand = 0
        unsettled: list[ConsumerView] = []
        settled: list[ConsumerView] = []
        for kept in self.ledger.all(rotation.id):
            for consumer in consumers_of(kept.row):
                counts[consumer.verdict or "open"] += 1
                is_answered = kept.row.settlement is not None
                by_hand += is_answered
                is_settled = is_answered or consumer.verdict in SETTLED
                some = settled if is_settled else unsettled
                if len(some) < MOST_CONSUMERS:
                    some.append(view_of(kept.row, consumer))
        shown = (unsettled + settled)[:MOST_CONSUMERS]
        shown.sort(key=lambda consumer: (consumer.name, consumer.place))
        return counts, by_hand, tuple(shown)

    def _waits_for(self, rotation: Rotation, head: KeyHead) -> str | None:
        if rotation.outcome is not None:
            return None
        return why_held(head, rotation, self.clock.now()) or None

    def _findings(self, rotation: Rotation) -> tuple[Finding, ...] | None:
        """Return what the look ahead found; ``None``: it was not taken (yet)."""
        kept = self.rows.load(Foresight, rotation.id, "preflight")
        return kept.row.findings if kept else None

    def _head(self, rotation: Rotation) -> KeyHead:
        """Return the key's head as far as it is about this rotation."""
        fresh = KeyHead(key=rotation.key)
        kept = self.rows.load(KeyHead, *fresh.address)
        return kept.row if kept and kept.row.active == rotation.id else fresh


def state_of(rotation: Rotation, head: KeyHead, now: datetime) -> State:
    """Return in a word how a rotation stands; ``head``: of its key, as far as it is about it."""
    if rotation.outcome is not None:
        return State(rotation.outcome)
    if head.paused:
        return State.PAUSED
    return State.NEEDS_APPROVAL if why_unapproved(head, rotation, now) else State(rotation.phase)


def summary(rotation: Rotation, counts: Counter[str], by_hand: int = 0) -> str:
    """Return one sentence on how a rotation stands or ended.

    Args:
        rotation: It.
        counts: Its consumers by verdict.
        by_hand: How many of the ``manual`` ones a person answers for.
    """
    if rotation.scope is None and not rotation.problem and not rotation.outcome:
        return f"looking for consumers; {counts.total()} found so far"
    where = str(rotation.scope or "a search that was broken off")
    if rotation.problem:
        where = f"{where}: {rotation.problem}"
    told = counts[Verdict.NOT_APPLICABLE]
    if counts.total() == told:
        return f"nothing found in {where}"
    proven = sum(counts[verdict] for verdict in PROVEN)
    left = counts - Counter({Verdict.MANUAL.value: by_hand})
    said_of = [
        f"{count} {verdict}"
        for verdict, count in sorted(left.items())
        if verdict not in (*PROVEN, Verdict.NOT_APPLICABLE)
    ]
    others = ", ".join([*said_of, *([f"{by_hand} settled by hand, not proven"] if by_hand else [])])
    said = f"{proven} of {counts.total() - told} consumers proven on the new version"
    return f"{said}{', ' + others if others else ''}, in {where}"


def _blockers(findings: tuple[Finding, ...] | None) -> str:
    """Return how many blockers were foreseen, to end a summary with; empty: none."""
    count = sum(each.severity is Severity.BLOCKER for each in findings or ())
    if not count:
        return ""
    return f"; {count} {'blocker' if count == 1 else 'blockers'} foreseen"


def request_view(rows: Rows, request: Request) -> RequestView:
    """Return what is shown of a request that has no rotation."""
    state: Literal["requested", "needs_approval", "failed", "cancelled"] = "requested"
    said = request.waits_for or "waiting for the vault to be read"
    if request.cancelled:
        state, said = "cancelled", f"taken back: {request.cancelled}"
    elif request.needs_approval:  # ahead of a problem: an approval is what mends it
        state, said = "needs_approval", "waiting for an approval of the new version"
    elif request.problem:
        state, said = "failed", request.problem
    return RequestView(
        id=request.id,
        state=state,
        summary=said,
        key=request.key,
        reason=request.reason,
        new_version=request.new_version,
        asked_at=request.asked_at,
        by=request.by,
        needs_approval=request.needs_approval and not request.cancelled,
        waits_for=request.waits_for or None,
        problem=request.problem or None,
        acts=_acts(rows, request.id),
    )


def _acts(rows: Rows, about: str) -> tuple[ActView, ...]:
    return tuple(_of_act(kept.row) for kept in rows.scan(Act, about))


def _of_act(act: Act) -> ActView:
    return ActView(at=act.at, action=act.action, by=act.by, reason=act.reason, until=act.until)


_FORMS: Mapping[bool | None, Literal["pinned", "versionless"] | None] = {
    True: "pinned",
    False: "versionless",
    None: None,
}


def consumers_of(work: Work) -> tuple[Consumer, ...]:
    """Return the consumers of a resource; one in their place, as long as it was never read."""
    unread = Consumer(place="resource", before="", pinned=None, reason=work.trouble)
    return work.consumers or (unread,)


def view_of(work: Work, consumer: Consumer) -> ConsumerView:
    """Return what is shown of one consumer."""
    return ConsumerView(
        resource=work.resource,
        name=name_of(work.resource),
        place=consumer.place,
        kind=work.kind,
        kind_title=_title(work.kind),
        location=work.location,
        subscription=_subscription(work.resource),
        form=_FORMS[consumer.pinned],
        before=consumer.before or None,
        in_use_before=consumer.in_use_before,
        in_use=consumer.in_use,
        verdict=consumer.verdict,
        level=consumer.level,
        reason=consumer.reason or None,
        advice=consumer.advice or None,
        settled=work.settlement,
        found_at=work.found_at,
        accepted_at=work.accepted_at,
        closed_at=work.closed_at,
        confirmed=work.stage is Stage.DONE and consumer.verdict in CONFIRMED,
        next_look_at=work.due_at,
        note=work.note or None,
        owed=work.owes or None,
        healthy=work.healthy,
        health=work.health or None,
        request_id=work.intent.request_id if work.intent else None,
        correlation_id=work.correlation_id or None,
    )


def _title(kind_id: str) -> str:
    if kind := find_kind(kind_id):
        return kind.title
    return next((each.title for each in BESIDE if each.id == kind_id), kind_id)


def name_of(resource: str) -> str:
    """Return what people call it: a scope with its account, a file with its folders.

    Read leniently: an id that is none of ARM's is reported too, as ``unknown``.
    """
    parts = resource.split("/")
    names = parts[8::2] if resource.startswith("/") else parts[4:]
    return "/".join(names) or parts[-1]


def _subscription(resource: str) -> str:
    _, _, rest = resource.partition("/subscriptions/")
    return rest.partition("/")[0]
