"""Keep the evidence of a concluded rotation: one document, which nobody changes any more."""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from shared.catalog import find_kind
from shared.domain import records, tool
from shared.domain.callers import Caller
from shared.domain.errors import PermanentError
from shared.domain.evidence import (
    LEVELS,
    SCHEMA_ID,
    STATEMENT,
    Act,
    AllowedTime,
    AppliedPolicy,
    Document,
    Foreseen,
    MovedConsumer,
    OwedBack,
    Replaced,
    RotatedKey,
    SearchedScope,
    SettledBy,
    Tool,
    TriedOut,
    Trigger,
    Version,
    Who,
    Write,
)
from shared.domain.findings import Finding
from shared.domain.keys import Key, VersionState
from shared.domain.records import Settlement
from shared.domain.rows import Evidence, Foresight, Rotation
from shared.domain.verdicts import CONFIRMED
from shared.domain.work import Consumer, Stage, Work
from shared.ports import EvidenceStore, Rows, Vaults
from shared.usecases.ledger import Ledger
from shared.usecases.verify import window_of

_LAST = b"]}"
"""How a document ends: its consumers are its last property."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepEvidence:
    """Write the document about a rotation that has ended.

    It says nothing but what the rows say, and how the vault describes the key's versions now: made
    again it is the same, unless somebody has changed a version since. One consumer at a time is
    held in memory, however many there are.
    """

    rows: Rows
    ledger: Ledger
    vaults: Vaults
    store: EvidenceStore
    cloud: str

    def of(self, rotation: Rotation) -> Evidence:
        """Keep the evidence of a rotation that has ended; return where it is."""
        key, document = Key.parse(rotation.key), self._document(rotation)
        name = f"{key.vault}/{key.name}/{rotation.id}.json"
        return self.store.keep(name, lambda: self._written(rotation, document))

    def _written(self, rotation: Rotation, document: Document) -> Iterator[bytes]:
        yield msgspec.json.encode(document).removesuffix(_LAST)
        before = b"\n"
        for kept in self.ledger.all(rotation.id):
            for consumer in kept.row.consumers or (_unread(kept.row),):
                yield before + msgspec.json.encode(_moved(rotation, kept.row, consumer))
                before = b",\n"
        yield b"\n" + _LAST + b"\n"

    def _document(self, rotation: Rotation) -> Document:
        """Return the document without its consumers."""
        assert rotation.outcome is not None  # noqa: S101 - see `of`
        assert rotation.ended_at is not None  # noqa: S101 - see `of`
        foreseen = self.rows.load(Foresight, rotation.id, "preflight")
        return Document(
            schema=SCHEMA_ID,
            statement=STATEMENT,
            levels=dict(LEVELS),
            tool=Tool(name=tool.NAME, version=tool.VERSION),
            cloud=self.cloud,
            tenant=(foreseen.row.tenant or None) if foreseen else None,
            rotation=rotation.id,
            run=rotation.run,
            recheck=rotation.recheck,
            took_over_from=rotation.overtaken or None,
            outcome=rotation.outcome,
            problem=rotation.problem or None,
            counts=dict(sorted(rotation.counts.items())),
            settled_by_hand=rotation.settled_by_hand,
            replaces=Replaced(**msgspec.structs.asdict(rotation.replaced))
            if rotation.replaced
            else None,
            trigger=Trigger(
                kind=rotation.cause.trigger,
                id=rotation.cause.id,
                reason=rotation.cause.reason or None,
                by=_who(rotation.cause.by) if rotation.cause.by else None,
            ),
            acts=self._acts(rotation),
            key=self._key(rotation),
            opened_at=rotation.opened_at,
            discovered_at=rotation.discovered_at,
            ended_at=rotation.ended_at,
            scope=_scope(rotation),
            preflight=tuple(map(_foreseen, foreseen.row.findings)) if foreseen else None,
            policy=AppliedPolicy(digest=rotation.policy or None, rules=rotation.rules),
            consumers=(),
        )

    def _acts(self, rotation: Rotation) -> tuple[Act, ...]:
        """Return what was done about the rotation, and about the requests that it serves."""
        acts = [kept.row for kept in self.rows.scan(records.Act, rotation.id)]
        requests = {rotation.request} | {act.id for act in acts if act.action == "ask"}
        for request in sorted(requests - {""}):
            acts += [kept.row for kept in self.rows.scan(records.Act, request)]
        once = {(act.at, act.id): act for act in acts}  # an approval is on both records
        return tuple(
            Act(at=act.at, action=act.action, by=_who(act.by), reason=act.reason, until=act.until)
            for _, act in sorted(once.items())
        )

    def _key(self, rotation: Rotation) -> RotatedKey:
        key, problem = Key.parse(rotation.key), None
        versions: tuple[Version, ...] | None = None
        try:
            # Of two versions of one second the target is the newer, as far as anybody can tell.
            found = sorted(
                self.vaults.versions(key),
                key=lambda v: (v.created, str(v.id) == rotation.target, str(v.id)),
            )
            versions = tuple(map(_version, found))
        except PermanentError as error:
            problem = str(error)
        return RotatedKey(
            id=rotation.key,
            vault=key.vault,
            name=key.name,
            type=rotation.key_type or None,
            bits=rotation.bits,
            target=rotation.target,
            target_created=rotation.target_created,
            current_version_problem=rotation.current_problem or None,
            versions=versions,
            versions_problem=problem,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadEvidence:
    """Read the document about a rotation."""

    rows: Rows
    store: EvidenceStore

    def run(self, rotation: str) -> tuple[Evidence, Iterator[bytes]] | None:
        """Return where the document is, and its content piece by piece.

        ``None``: there is no such rotation, or no document (yet). That it is missing although the
        rotation's row names it is a ``NotFoundError``, raised when its first piece is asked for.
        """
        kept = self.rows.load(Rotation, rotation, "rotation")
        if kept is None or kept.row.evidence is None:
            return None
        return kept.row.evidence, self.store.open(kept.row.evidence.name)


def _who(caller: Caller) -> Who:
    return Who(id=caller.id or None, name=caller.name or None)


def _version(state: VersionState) -> Version:
    return Version(
        id=str(state.id),
        created=state.created,
        enabled=state.enabled,
        not_before=state.not_before,
        expires=state.expires,
    )


def _foreseen(finding: Finding) -> Foreseen:
    return Foreseen(
        severity=finding.severity,
        code=finding.code,
        text=finding.text,
        advice=finding.advice or None,
    )


def _scope(rotation: Rotation) -> SearchedScope | None:
    scope = rotation.scope
    if scope is None:
        return None
    return SearchedScope(
        statement=str(scope),
        declared=rotation.rules.subscriptions,
        readable=scope.readable,
        unreadable=scope.unreadable,
        unreadable_ids=scope.named,
        files=scope.files,
    )


def _moved(rotation: Rotation, work: Work, consumer: Consumer) -> MovedConsumer:
    kind = find_kind(work.kind)
    return MovedConsumer(
        resource=work.resource,
        kind=work.kind,
        kind_title=kind.title if kind else work.kind,
        location=work.location or None,
        place=consumer.place,
        form=None if consumer.pinned is None else "pinned" if consumer.pinned else "versionless",
        reference_before=consumer.before or None,
        reference_after=consumer.after or None,
        version_before=consumer.in_use_before,
        version_after=consumer.in_use,
        verdict=consumer.verdict,
        level=consumer.level,
        reason=consumer.reason or None,
        advice=consumer.advice or None,
        settled=_settled(work.settlement) if work.settlement else None,
        confirmed=work.stage is Stage.DONE and consumer.verdict in CONFIRMED,
        window=_allowed_time(rotation, work),
        found_at=work.found_at,
        read_at=work.read_at,
        closed_at=work.closed_at,
        write=_write(work),
        note=work.note or None,
        owed=OwedBack(what=what, settled=not work.owes)
        if (what := work.owes or work.owed)
        else None,
        health=TriedOut(healthy=work.healthy, said=work.health) if work.health else None,
    )


def _settled(said: Settlement) -> SettledBy:
    return SettledBy(by=_who(said.by), at=said.at, reason=said.reason)


def _unread(work: Work) -> Consumer:
    """Return what there is to say of a resource that was never read."""
    return Consumer(place="resource", before="", pinned=None, reason=work.trouble)


def _allowed_time(rotation: Rotation, work: Work) -> AllowedTime | None:
    kind = find_kind(work.kind)
    if kind is None:
        return None
    start, window = window_of(work, rotation, kind)
    return AllowedTime(
        starts_at=start,
        seconds=round(window.length.total_seconds()),
        assumed=not window.source,
        source=window.source or None,
    )


def _write(work: Work) -> Write | None:
    if work.intent is None:
        return None
    return Write(
        intended_at=work.intent.at,
        accepted_at=work.accepted_at,
        client_request_id=work.intent.request_id,
        correlation_id=work.correlation_id or None,
        policy=work.intent.policy or None,
        count=work.sent,
        rounds=work.rounds,
    )
