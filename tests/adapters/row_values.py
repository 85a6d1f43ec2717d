"""A strategy for every class of row."""

from typing import Any

from hypothesis import strategies as st

from shared.domain.callers import Caller
from shared.domain.findings import Finding, Severity
from shared.domain.proofs import Level
from shared.domain.records import (
    Act,
    Call,
    Gap,
    Opened,
    Pending,
    Probe,
    Pulse,
    Refusal,
    Request,
    SettledByHand,
    Settlement,
    Unheard,
    Watched,
)
from shared.domain.rows import (
    Beat,
    Cause,
    Debt,
    Foresight,
    KeyHead,
    Known,
    Lane,
    Lease,
    Phase,
    Place,
    Rotation,
    Row,
    Scope,
    Search,
)
from shared.domain.steps import Open, RotateKey
from shared.domain.verdicts import Outcome, Verdict
from shared.domain.work import Consumer, Intent, Outstanding, Stage, Wave, Work
from tests.domain.values import ACCOUNT, KEY, NOW, moments

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20)
lists = st.lists(texts, max_size=2).map(tuple)
ids = st.from_regex(r"[0-9a-f]{8}-[0-9]", fullmatch=True)
digests = st.from_regex(r"[0-9a-f]{32}", fullmatch=True)
maybe_text = st.none() | texts
maybe_time = st.none() | moments
counts = st.integers(0, 2**31 - 1)
stages = st.sampled_from(Stage)
waves = st.sampled_from(Wave)
following = st.sampled_from(["repoint", "verify", "confirm", "pay"])
owing = st.sampled_from(["", "restore", "recreate"])
verdicts = st.sampled_from(Verdict)
callers = st.builds(Caller, id=texts, name=texts)
causes = st.builds(
    Cause, trigger=st.sampled_from(["event", "sweep", "operator"]), id=texts, reason=texts
)
scopes = st.builds(
    Scope, readable=counts, unreadable=counts, named=lists, lacking=lists, files=counts
)
consumers = st.builds(
    Consumer,
    place=texts,
    before=texts,
    pinned=st.none() | st.booleans(),
    in_use_before=maybe_text,
    in_use=maybe_text,
    verdict=st.none() | verdicts,
    level=st.none() | st.sampled_from(Level),
    reason=texts,
    advice=texts,
)
settlements = st.builds(Settlement, by=callers, at=moments, reason=texts)
findings = st.builds(
    Finding, severity=st.sampled_from(Severity), code=texts, text=texts, advice=texts
)
ROWS: dict[type[Row], st.SearchStrategy[Any]] = {
    KeyHead: st.builds(
        KeyHead,
        key=texts,
        active=maybe_text,
        handled=maybe_text,
        told=texts,
        run=counts,
        overtaken=texts,
        paused=texts,
        paused_itself=st.booleans(),
        cancelled=texts,
        tolerated=counts,
        recheck_at=maybe_time,
        problem=texts,
        trouble=texts,
    ),
    Foresight: st.builds(
        Foresight, rotation=ids, at=moments, findings=st.lists(findings, max_size=2).map(tuple)
    ),
    Rotation: st.builds(
        Rotation,
        id=ids,
        key=texts,
        target=texts,
        target_created=moments,
        key_type=texts,
        bits=st.none() | counts,
        run=counts,
        cause=causes,
        opened_at=moments,
        overtaken=texts,
        recheck=st.booleans(),
        current_problem=texts,
        phase=st.sampled_from(Phase),
        discovered_at=maybe_time,
        scope=st.none() | scopes,
        problem=texts,
        outcome=st.none() | st.sampled_from(Outcome),
        counts=st.dictionaries(verdicts, counts, max_size=3),
        settled_by_hand=counts,
        ended_at=maybe_time,
        ending_since=maybe_time,
    ),
    Beat: st.builds(Beat, rotation=ids, at=moments, since=moments),
    Search: st.builds(
        Search,
        rotation=ids,
        closing=st.booleans(),
        at=moments,
        page=counts,
        after=texts,
        batch=lists,
        token=texts,
        scope=scopes,
        canaries=lists,
        place=st.sampled_from(Place),
        trouble=texts,
    ),
    Work: st.builds(
        Work,
        rotation=ids,
        key=texts,
        resource=texts,
        kind=texts,
        location=texts,
        found_at=moments,
        through=texts,
        read_at=maybe_time,
        wave=waves,
        twice=st.booleans(),
        seq=counts,
        stage=stages,
        next=following,
        due_at=maybe_time,
        intent=st.none() | st.builds(Intent, request_id=texts, at=moments),
        accepted_at=maybe_time,
        correlation_id=texts,
        operation=texts,
        writes=counts,
        rounds=counts,
        owes=owing,
        payments=counts,
        note=texts,
        healthy=st.none() | st.booleans(),
        health=texts,
        consumers=st.lists(consumers, max_size=2).map(tuple),
        closed_at=maybe_time,
        settlement=st.none() | settlements,
        trouble=texts,
    ),
    Outstanding: st.builds(
        Outstanding,
        rotation=ids,
        resource=digests,
        stage=stages,
        wave=waves,
        lane=texts,
        kind=texts,
        next=following,
        seq=counts,
        due_at=maybe_time,
        nudged_at=maybe_time,
        nudges=counts,
        failed=st.booleans(),
        twice=st.booleans(),
        written=st.booleans(),
        moved=st.booleans(),
    ),
    Lease: st.builds(
        Lease,
        resource=texts,
        holder=texts,
        target=texts,
        until=moments,
        unanswered=st.dictionaries(texts, moments, max_size=2),
    ),
    Debt: st.builds(
        Debt,
        resource=texts,
        rotation=ids,
        owes=owing,
        body=st.dictionaries(texts, texts | counts | st.dictionaries(texts, lists.map(list))),
        since=moments,
    ),
    Known: st.builds(
        Known,
        key=texts,
        resource=texts,
        kind=texts,
        location=texts,
        versions=st.dictionaries(texts, lists, max_size=2),
        places=lists,
        holds=st.booleans(),
        rotation=texts,
    ),
    Lane: st.builds(
        Lane,
        lane=texts,
        reads=st.lists(moments, max_size=3).map(tuple),
        writes=st.lists(moments, max_size=3).map(tuple),
        blocked_until=maybe_time,
    ),
    Act: st.builds(
        Act,
        rotation=ids,
        id=ids,
        at=moments,
        action=st.sampled_from(["ask", "pause", "resume", "cancel", "retry", "approve", "settle"]),
        by=callers,
        reason=texts,
        until=maybe_time,
    ),
    SettledByHand: st.builds(
        SettledByHand,
        target=texts,
        resource=texts,
        rotation=ids,
        answers=st.lists(texts, max_size=2).map(tuple),
        settlement=settlements,
    ),
    Opened: st.builds(Opened, rotation=ids, key=texts, at=moments),
    Call: st.builds(
        Call,
        id=ids,
        at=moments,
        operation=texts,
        method=texts,
        path=texts,
        by=st.none() | callers,
        reason=texts,
        status=counts,
        outcome=texts,
    ),
    Pulse: st.builds(Pulse, at=moments, ran_at=moments, next_at=maybe_time),
    Unheard: st.builds(Unheard, event=texts, at=moments, problem=texts),
    Request: st.builds(
        Request,
        id=ids,
        key=texts,
        reason=texts,
        new_version=st.booleans(),
        asked_at=moments,
        needs_approval=st.booleans(),
        approved_until=maybe_time,
        version_before=texts,
        unexpire=st.dictionaries(texts, moments, max_size=2),
        unexpired_at=maybe_time,
        vault_asked_at=maybe_time,
        rotation=texts,
        problem=texts,
        cancelled=texts,
    ),
    Watched: st.builds(
        Watched,
        key=st.just(str(KEY)),
        at=moments,
        version=texts,
        created=maybe_time,
        expires=maybe_time,
        problem=texts,
        severity=st.none() | st.sampled_from(Severity),
        done=texts,
        request=texts,
        announced=lists,
        findings=st.lists(findings, max_size=2).map(tuple),
    ),
    Probe: st.builds(Probe, at=moments, since=moments, problem=texts),
    Gap: st.builds(Gap, key=texts, version=texts, created=moments, at=moments),
    Pending: st.builds(
        Pending,
        request=ids,
        step=st.builds(Open, key=texts, cause=causes, request=ids)
        | st.builds(RotateKey, key=texts, cause=causes, request=ids, expires=maybe_time),
        at=moments,
    ),
    Refusal: st.builds(Refusal, event_id=texts, problem=texts, at=moments),
}


def work(resource: str = ACCOUNT, **fields: Any) -> Work:  # noqa: ANN401 - fields of a row
    return Work(
        rotation="r1",
        key=str(KEY),
        resource=resource,
        kind="storage_account",
        location="westeurope",
        found_at=NOW,
        **fields,
    )
