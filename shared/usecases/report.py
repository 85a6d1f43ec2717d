"""Say how a rotation stands, for people and programs."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from shared.catalog import find_kind
from shared.catalog.beside import BESIDE
from shared.domain.findings import Finding, Severity
from shared.domain.json_paths import Json
from shared.domain.records import Request
from shared.domain.rows import Foresight, KeyHead, Rotation
from shared.domain.verdicts import CONFIRMED, PROVEN, SETTLED, Outcome, Verdict
from shared.domain.work import Consumer, Stage, Work
from shared.ports import Rows
from shared.usecases.ledger import Ledger

MOST_CONSUMERS = 1000
"""Consumers in one report, those that need somebody first; the counts are always of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRotation:
    """Read the rows of one rotation. Nothing in a report is inferred from what was sent."""

    rows: Rows
    ledger: Ledger

    def run(self, asked: str) -> Json | None:
        """Return the report of a rotation, or of the request for one; ``None`` if unknown."""
        request = self.rows.load(Request, asked, "request")
        if request and not request.row.rotation:
            return _of_request(request.row)
        rotation = self.rows.load(Rotation, request.row.rotation if request else asked, "rotation")
        if rotation is None:
            return None
        report = self._of_rotation(rotation.row)
        # The vault's event may have opened the rotation first: who asked still finds their words.
        return report | {"request": asked, "reason": request.row.reason} if request else report

    def _of_rotation(self, rotation: Rotation) -> Json:
        counts: Counter[str] = Counter()
        unsettled: list[Json] = []
        settled: list[Json] = []
        for kept in self.ledger.all(rotation.id):
            for consumer in kept.row.consumers or (_unread(kept.row),):
                counts[consumer.verdict or "open"] += 1
                some = settled if consumer.verdict in SETTLED else unsettled
                if len(some) < MOST_CONSUMERS:
                    some.append(_of_consumer(kept.row, consumer))
        head, findings = self._head(rotation), self._findings(rotation)
        consumers = (unsettled + settled)[:MOST_CONSUMERS]
        consumers.sort(key=lambda c: (c["name"], c["place"]))
        return {
            "id": rotation.id,
            "request": None,
            "state": rotation.outcome or ("paused" if head.paused else rotation.phase),
            "summary": summary(rotation, counts) + _blockers(findings),
            "key": rotation.key,
            "target": rotation.target,
            "targetCreated": _time(rotation.target_created),
            "currentVersionProblem": rotation.current_problem or None,
            "preflight": None if findings is None else [_of_finding(each) for each in findings],
            "trigger": rotation.cause.trigger,
            "triggerId": rotation.cause.id or None,
            "reason": rotation.cause.reason or None,
            "pausedBecause": head.paused or None,
            "openedAt": _time(rotation.opened_at),
            "endedAt": _time(rotation.ended_at),
            "scope": str(rotation.scope) if rotation.scope else None,
            "unreadableSubscriptions": list(rotation.scope.named) if rotation.scope else [],
            "problem": rotation.problem or None,
            "counts": dict(counts),
            "consumers": consumers,
            "consumersOmitted": counts.total() - len(consumers),
        }

    def _findings(self, rotation: Rotation) -> tuple[Finding, ...] | None:
        """Return what the look ahead found; ``None``: it was not taken (yet)."""
        kept = self.rows.load(Foresight, rotation.id, "preflight")
        return kept.row.findings if kept else None

    def _head(self, rotation: Rotation) -> KeyHead:
        """Return the key's head as far as it is about this rotation."""
        fresh = KeyHead(key=rotation.key)
        kept = self.rows.load(KeyHead, *fresh.address)
        return kept.row if kept and kept.row.active == rotation.id else fresh


def summary(rotation: Rotation, counts: Counter[str]) -> str:
    """Return one sentence on how a rotation stands or ended."""
    if rotation.scope is None and not rotation.problem and not rotation.outcome:
        return f"looking for consumers; {counts.total()} found so far"
    where = str(rotation.scope or "a search that was broken off")
    if rotation.problem:
        where = f"{where}: {rotation.problem}"
    told = counts[Verdict.NOT_APPLICABLE]
    if counts.total() == told:
        return f"nothing found in {where}"
    proven = sum(counts[verdict] for verdict in PROVEN)
    others = ", ".join(
        f"{count} {verdict}"
        for verdict, count in sorted(counts.items())
        if verdict not in (*PROVEN, Verdict.NOT_APPLICABLE)
    )
    said = f"{proven} of {counts.total() - told} consumers proven on the new version"
    return f"{said}{', ' + others if others else ''}, in {where}"


def _blockers(findings: tuple[Finding, ...] | None) -> str:
    """Return how many blockers were foreseen, to end a summary with; empty: none."""
    count = sum(each.severity is Severity.BLOCKER for each in findings or ())
    if not count:
        return ""
    return f"; {count} {'blocker' if count == 1 else 'blockers'} foreseen"


def _of_finding(finding: Finding) -> Json:
    return {
        "severity": finding.severity,
        "code": finding.code,
        "text": finding.text,
        "advice": finding.advice or None,
    }


def _of_request(request: Request) -> Json:
    return {
        "id": request.id,
        "state": Outcome.FAILED if request.problem else "requested",
        "summary": request.problem or "waiting for the vault to be read",
        "key": request.key,
        "reason": request.reason,
        "newVersion": request.new_version,
        "askedAt": _time(request.asked_at),
        "problem": request.problem or None,
    }


_FORMS = {True: "pinned", False: "versionless", None: None}


def _of_consumer(work: Work, consumer: Consumer) -> Json:
    return {
        "resource": work.resource,
        "name": _name(work.resource),
        "place": consumer.place,
        "kind": work.kind,
        "kindTitle": _title(work.kind),
        "location": work.location,
        "subscription": _subscription(work.resource),
        "form": _FORMS[consumer.pinned],
        "before": consumer.before or None,
        "inUseBefore": consumer.in_use_before,
        "inUse": consumer.in_use,
        "verdict": consumer.verdict,
        "level": consumer.level,
        "reason": consumer.reason or None,
        "advice": consumer.advice or None,
        "foundAt": _time(work.found_at),
        "acceptedAt": _time(work.accepted_at),
        "closedAt": _time(work.closed_at),
        "confirmed": work.stage is Stage.DONE and consumer.verdict in CONFIRMED,
        "nextLookAt": _time(work.due_at),
        "note": work.note or None,
        "owed": work.owes or None,
        "healthy": work.healthy,
        "health": work.health or None,
        "requestId": work.intent.request_id if work.intent else None,
        "correlationId": work.correlation_id or None,
    }


def _title(kind_id: str) -> str:
    if kind := find_kind(kind_id):
        return kind.title
    return next((each.title for each in BESIDE if each.id == kind_id), kind_id)


def _name(resource: str) -> str:
    """Return what people call it: a scope with its account, a file with its folders.

    Read leniently: an id that is none of ARM's is reported too, as ``unknown``.
    """
    parts = resource.split("/")
    names = parts[8::2] if resource.startswith("/") else parts[4:]
    return "/".join(names) or parts[-1]


def _subscription(resource: str) -> str:
    _, _, rest = resource.partition("/subscriptions/")
    return rest.partition("/")[0]


def _unread(work: Work) -> Consumer:
    return Consumer(place="resource", before="", pinned=None, reason=work.trouble)


def _time(moment: datetime | None) -> str | None:
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z" if moment else None
