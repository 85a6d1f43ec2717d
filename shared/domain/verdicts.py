"""What became of a consumer, and of a rotation."""

from collections.abc import Mapping
from enum import StrEnum


class Verdict(StrEnum):
    """How a consumer ended. Each is kept with a reason and with what to do next."""

    VERIFIED = "verified"
    """Moved, and then proven on a fresh read, within its window."""
    ALREADY = "already"
    """Proven to use the target before anything was written."""
    LATE = "late"
    """Proven, but seen so only after its window had closed."""
    STUCK = "stuck"
    """Its window closed without a proof."""
    FAILED = "failed"
    """It could not be moved."""
    UNKNOWN = "unknown"
    """It could not be read."""
    MANUAL = "manual"
    """A person must act."""
    SKIPPED = "skipped"
    """It no longer refers to the key."""
    SUPERSEDED = "superseded"
    """A newer version of the key took over."""
    CANCELLED = "cancelled"
    """A person stopped the rotation."""
    GONE = "gone"
    """Nothing has its id any more: it was deleted, or moved and still needs its key."""
    REVERTED = "reverted"
    """Somebody changed the reference after it was moved."""
    NOT_APPLICABLE = "not_applicable"
    """It cannot hold a customer-managed key."""


PROVEN = frozenset({Verdict.VERIFIED, Verdict.ALREADY, Verdict.LATE})
"""Verdicts that rest on the kind's proof rule and a fresh read."""

SETTLED = PROVEN | {
    Verdict.SKIPPED,
    Verdict.SUPERSEDED,
    Verdict.CANCELLED,
    Verdict.GONE,
    Verdict.NOT_APPLICABLE,
}
"""Verdicts that ask nothing more of anybody; every other fails the rotation."""

CONFIRMED = PROVEN | {Verdict.SKIPPED, Verdict.GONE}
"""Verdicts that the closing scan looks at again."""

FAILURES = frozenset({Verdict.FAILED, Verdict.STUCK, Verdict.UNKNOWN, Verdict.REVERTED})
"""Verdicts that count against the failure limit."""


class Outcome(StrEnum):
    """How a rotation ended."""

    COMPLETED = "completed"
    """Every consumer found is settled, by a read or by a person's word, and every declared
    subscription could be read."""
    NOTHING_FOUND = "nothing_found"
    """No consumer was found, and every declared subscription could be read."""
    FAILED = "failed"
    """A consumer is not settled, or a declared subscription, or none at all, could be read."""
    SUPERSEDED = "superseded"
    """A newer version of the key took over before the end."""
    CANCELLED = "cancelled"
    """A person stopped it before the end."""


def conclude(
    counts: Mapping[Verdict, int], *, by_hand: int = 0, readable: int, unreadable: int
) -> Outcome:
    """Return how a rotation ended. To have searched nothing is no success.

    Args:
        counts: How many consumers ended with each verdict.
        by_hand: How many of the ``manual`` ones a person answers for.
        readable: How many subscriptions were searched.
        unreadable: How many declared subscriptions could not be read.
    """
    unsettled = sum(count for verdict, count in counts.items() if verdict not in SETTLED)
    unsettled -= min(by_hand, counts.get(Verdict.MANUAL, 0))
    if unsettled or unreadable or not readable:
        return Outcome.FAILED
    found = sum(count for verdict, count in counts.items() if verdict is not Verdict.NOT_APPLICABLE)
    return Outcome.COMPLETED if found else Outcome.NOTHING_FOUND
