"""What Keyturn shows of itself: where it searches, and whether it can do its work."""

from enum import StrEnum
from typing import Literal

from shared.domain.views import View


class SubscriptionView(View, frozen=True, kw_only=True):
    """A subscription that is searched.

    Attributes:
        id: Its id.
        declared: Whether the policy names it.
        readable: Whether every resource of the catalog's kinds may be read in it.
        problem: Why not; null: it is.
    """

    id: str
    declared: bool
    readable: bool
    problem: str | None


class ScopeView(View, frozen=True, kw_only=True):
    """Where consumers are looked for, asked just now.

    Attributes:
        statement: ``3 readable subscriptions; 1 not readable``, of this page.
        vaults: Those that may be managed.
        kinds: Titles of the kinds of resource that are looked for.
        config_sources: Places of deployment configs.
        items: By id.
        next: Path and query of what comes after; null: nothing does.
    """

    statement: str
    vaults: tuple[str, ...]
    kinds: tuple[str, ...]
    config_sources: tuple[str, ...]
    items: tuple[SubscriptionView, ...]
    next: str | None


class Health(StrEnum):
    """How a part of Keyturn is."""

    PASS = "pass"  # noqa: S105 - no password
    WARN = "warn"
    """It works; somebody should look."""
    FAIL = "fail"
    """Rotations cannot go on."""


class CheckView(View, frozen=True, kw_only=True):
    """One part that was looked at.

    Attributes:
        name: Such as ``storage``, ``queue``, ``vault kv1.vault.azure.net``.
        status: ``warn``: somebody should look; ``fail``: rotations cannot go on.
        said: What was seen.
        advice: What to do; null: nothing.
    """

    name: str
    status: Health
    said: str
    advice: str | None


class HealthView(View, frozen=True, kw_only=True):
    """Whether Keyturn can do its work now.

    Attributes:
        status: The worst of the checks.
        version: Of Keyturn.
        checks: What was looked at.
    """

    status: Health
    version: str
    checks: tuple[CheckView, ...]


class Alive(View, frozen=True, kw_only=True):
    """The app runs; what it needs may not.

    Attributes:
        status: Always the same.
    """

    status: Literal["alive"]
