"""What a person answers for, where nothing that can be read proves which version is in use."""

from msgspec.structs import replace

from shared.domain.json_paths import Json
from shared.domain.keys import Key, KeyVersion, VersionState
from shared.domain.kinds import Kind
from shared.domain.plans import obstacle_of, references_to
from shared.domain.proofs import Finding
from shared.domain.records import Settlement
from shared.domain.verdicts import Verdict
from shared.domain.work import Stage, Work


def settle(work: Work, settlement: Settlement) -> Work:
    """Have a person answer for a ``manual``: its verdict stays, and the rotation waits no more."""
    return replace(
        work, seq=work.seq + 1, stage=Stage.DONE, due_at=None, trouble="", settlement=settlement
    )


def why_not_settled(work: Work) -> str:
    """Return why nobody may answer for it, whatever it shows; empty: somebody may."""
    verdicts = {consumer.verdict for consumer in work.consumers}
    if work.stage is Stage.OPEN or None in verdicts:
        return "it is still being moved: wait for its verdict"
    if verdicts != {Verdict.MANUAL}:
        said = ", ".join(sorted(str(verdict) for verdict in verdicts))
        return f"it is {said}, and only what is manual can be settled by hand: retry the rotation"
    return ""


def asked_of(work: Work) -> tuple[str, ...]:
    """Return what a person is asked to answer for: each place, what stands there and the advice."""
    return tuple(sorted(f"{c.place}: {c.reason}: {c.advice}" for c in work.consumers))


def why_not_by_hand(kind: Kind, body: Json, state: VersionState, finding: Finding) -> str:
    """Return why a fresh read leaves nothing for a person to answer for; empty: it does.

    Args:
        kind: Of the resource, which has a reference of its own.
        body: A fresh GET of it.
        state: What it was to be moved to, as the vault's own GET describes it.
        finding: What the proof rule says of ``body``.

    Raises:
        UnreadableError: It refers to the key in a form that is none Azure documents.
    """
    target = state.id
    if finding.holds:
        return f"a read proves it by now ({finding.seen}): retry the rotation"
    references = references_to(kind, body, target.key)
    if not references:
        return f"it refers to {target.key} no longer: retry the rotation"
    named = [
        f"its {r.place} names {r.pinned}" for r in references if r.pinned not in (None, target)
    ]
    used = kind.version_in_use(body)
    if used is not None and used.key == target.key and used != target:
        named.append(f"it says that it uses {used}")
    if named:
        return f"{'; '.join(named)}: move it first"
    if obstacle := obstacle_of(kind, body, state):
        why, advice = obstacle
        return f"it cannot take the new version up, {why}: {advice}"
    return ""


def is_left_behind(work: Work, target: KeyVersion) -> bool:
    """Return whether a consumer was on another version of the key when it was last read."""
    key: Key = target.key
    seen = {url for c in work.consumers for url in (c.after, c.in_use) if url}
    return bool(seen - {str(target), str(key)})
