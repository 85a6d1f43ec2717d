"""What a look ahead has found out about a rotation's vault and key."""

from enum import StrEnum

from msgspec import Struct


class Severity(StrEnum):
    """How bad a finding is: a blocker is the worst, then a warning; a note is good to know."""

    BLOCKER = "blocker"
    """As things are, consumers cannot take up the target, or lose what they have."""
    WARNING = "warning"
    """Some consumers may be held up; or it could not be looked at."""
    NOTE = "note"
    """Good to know."""


class Finding(Struct, frozen=True, kw_only=True):
    """One finding. It stops nothing by itself: what a consumer does is proven on the consumer.

    Attributes:
        severity: How bad it is.
        code: What it is, for programs: ``purge_protection_off``.
        text: What was found, for people.
        advice: What to do; empty: nothing.
    """

    severity: Severity
    code: str
    text: str
    advice: str = ""
