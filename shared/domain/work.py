"""How a row of work moves on: pure steps from one row to the next."""

from collections.abc import Iterable
from datetime import datetime

from msgspec.structs import replace

from shared.domain.errors import PermanentError
from shared.domain.keys import KeyVersion
from shared.domain.kinds import Kind
from shared.domain.proofs import Level
from shared.domain.resources import Reference
from shared.domain.rows import Consumer, Work
from shared.domain.verdicts import Verdict


def observe(work: Work, references: Iterable[Reference], in_use: KeyVersion | None) -> Work:
    """Record what the resource shows now.

    The first time this is the *before* of its consumers, and stays so: after a crash behind a
    write, a second reading must not turn "moved" into "already".
    """
    now_in_use = str(in_use) if in_use else None
    if work.consumers:
        return replace(work, consumers=tuple(replace(c, in_use=now_in_use) for c in work.consumers))
    consumers = tuple(
        Consumer(
            place=r.place,
            before=str(r),
            pinned=r.pinned is not None,
            in_use_before=now_in_use,
            in_use=now_in_use,
        )
        for r in references
    )
    return replace(work, consumers=consumers)


def look_at(work: Work, when: datetime) -> Work:
    """Set the next look, and make every earlier message stale."""
    return replace(work, seq=work.seq + 1, next="verify", due_at=when, nudged_at=None)


def close(  # noqa: PLR0913 - the parts of a verdict
    work: Work,
    verdict: Verdict,
    now: datetime,
    *,
    reason: str,
    advice: str = "",
    level: Level | None = None,
) -> Work:
    """Give every consumer its verdict; a resource that was never read gets one for itself."""
    consumers = work.consumers or (Consumer(place="resource", before="", pinned=None),)
    return replace(
        work,
        consumers=tuple(
            replace(c, verdict=verdict, reason=reason, advice=advice, level=level)
            for c in consumers
        ),
        seq=work.seq + 1,
        open=False,
        due_at=None,
        closed_at=now,
    )


def close_with_error(
    work: Work, kind: Kind, verdict: Verdict, now: datetime, error: PermanentError
) -> Work:
    """Close with an error's text, and with the catalog's advice on its code."""
    advice = kind.advice.get(error.code, "see the message; when it is mended, rotate again")
    return close(work, verdict, now, reason=str(error), advice=advice)
