"""To which version a rotation moves its consumers."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from shared.domain.keys import VersionState


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the vault's versions allow at this moment.

    Attributes:
        target: The newest usable version; ``None``: there is none, and ``problem`` says why.
        problem: Why the vault's *current* version cannot be used; ``None`` if it can. Versionless
            consumers follow the current version even then, and break.
        again_at: When a newer version becomes valid by itself; ``None``: no such version.
    """

    target: VersionState | None
    problem: str | None
    again_at: datetime | None


def choose_target(versions: Iterable[VersionState], current: VersionState, now: datetime) -> Choice:
    """Choose the newest version that is enabled, past its start and not expired.

    Args:
        versions: Every version of the key, in any order.
        current: The version the vault names when none is asked for: its newest, even if disabled.
        now: The moment at which the target must be usable.
    """
    newest_first = sorted(
        versions, key=lambda v: (v.created, v.id == current.id, v.id.version), reverse=True
    )
    target = next((v for v in newest_first if v.why_unusable(now) is None), None)
    newer = newest_first[: newest_first.index(target)] if target else newest_first
    starts = [v.not_before for v in newer if v.enabled and v.not_before and v.not_before > now]
    why = current.why_unusable(now)
    return Choice(
        target=target,
        problem=f"the current version {current.id.version} is {why}" if why else None,
        again_at=min(starts, default=None),
    )
