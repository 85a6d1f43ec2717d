"""How an account takes up a key version: as recorded, or in one of the ways that go wrong."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto

from sandbox.arm.operations import Operation
from sandbox.arm.resources import Body
from sandbox.key_vault import KeyVersion

_NEVER = datetime.max.replace(tzinfo=UTC)


class Manner(Enum):
    """What an account does with a write that names another version."""

    PROMPT = auto()
    """Takes it up before it answers, as recorded."""
    SLOW = auto()
    """Accepts it, shows what was written, and takes it up later or never."""
    LYING = auto()
    """Answers as if it had taken it up. Every GET shows the account as it was."""
    LONG_RUNNING = auto()
    """Answers 202, and takes it up when the operation ends."""
    FAILING = auto()
    """Answers 202, and the operation ends in failure."""


@dataclass(frozen=True, slots=True)
class Move:
    """A write that was accepted and has not taken effect yet."""

    when: datetime
    version: KeyVersion
    principal: str
    """Object id of the identity under which the version is taken up."""
    encryption: Body | None = None
    """The settings that show only then; ``None``: they show already."""
    operation: Operation | None = None
    fails: bool = False


@dataclass(slots=True)
class Pace:
    """How fast one account takes up a key version. The default is at once, as recorded."""

    next_poll_at: datetime
    """When the service next looks, on its own, for a newer version; then once a day. Matters
    to an account that names no version."""
    manner: Manner = Manner.PROMPT
    takes: timedelta | None = timedelta(0)
    """How long it is from a later write to its effect; ``None``: for good."""
    pending: Move | None = None

    @property
    def stands_still(self) -> bool:
        """Whether the account takes up no version at all, by polls neither."""
        return self.manner is Manner.SLOW and self.takes is None

    def slow(self, by: timedelta) -> None:
        """Let later writes be accepted at once but take effect, and show, only after ``by``."""
        self.manner, self.takes = Manner.SLOW, by

    def stuck(self) -> None:
        """Accept later writes, and never take up what they name. Nor poll."""
        self.manner, self.takes = Manner.SLOW, None

    def lying(self, until: timedelta | None = None) -> None:
        """Let the answer to later writes show their target in every field, and nothing else do so.

        Every GET, and the truth, stay with the old version and reference: for ``until``, after
        which they are as the answer said, or for good.
        """
        self.manner, self.takes = Manner.LYING, until

    def long_running(self, lasts: timedelta | None, *, fails: bool = False) -> None:
        """Answer later writes 202, and be at work on them for ``lasts``; ``None``: for ever.

        Meanwhile a GET shows the reference as written, the version in use as it was, and a
        ``provisioningState`` that is not final; and every other write is refused with 409. With
        ``fails`` the account ends on its old version with the state ``Failed``.

        Storage accounts change synchronously in every recording and by the REST docs, so this is
        how they would look if they did not. The requested reference shows at once, and stays after
        a failure, as with services that do work that way (recorded: disk encryption sets).
        """
        self.manner = Manner.FAILING if fails else Manner.LONG_RUNNING
        self.takes = lasts

    def prompt(self) -> None:
        """Take up later writes at once again."""
        self.manner, self.takes = Manner.PROMPT, timedelta(0)

    def due(self, now: datetime) -> datetime:
        """Return when a write that is accepted ``now`` takes effect."""
        return _NEVER if self.takes is None else now + self.takes

    def promise(self, move: Move) -> None:
        """Note an accepted move; the same move asked for again happens no later for it."""
        pending = self.pending
        if pending is None or self.takes is None or pending.version.kid != move.version.kid:
            self.pending = move
