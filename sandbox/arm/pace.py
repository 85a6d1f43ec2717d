"""How a resource takes up a key version: as recorded, or in one of the ways that go wrong."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto

from sandbox.arm.operations import Operation
from sandbox.arm.resources import Body
from sandbox.key_vault import KeyVersion

_NEVER = datetime.max.replace(tzinfo=UTC)


class Manner(Enum):
    """What a resource does with a write that names another version."""

    PROMPT = auto()
    """Takes it up as recorded: before it answers, where the service works like that."""
    SLOW = auto()
    """Accepts it, shows what was written, and takes it up later or never."""
    LYING = auto()
    """Answers as if it had taken it up. Every GET shows the resource as it was."""
    LONG_RUNNING = auto()
    """Answers that it goes on, and takes it up when the operation ends."""
    FAILING = auto()
    """Answers that it goes on, and the operation ends in failure."""


@dataclass(frozen=True, slots=True)
class Move:
    """A write that was accepted and has not taken effect yet."""

    when: datetime
    version: KeyVersion | None
    """``None``: the write does not touch the key."""
    principal: str
    """Object id of the identity under which the version is taken up."""
    settings: Body | None = None
    """The properties that show only then; ``None``: they show already."""
    operation: Operation | None = None
    fails: bool = False


@dataclass(slots=True)
class Pace:
    """How fast one resource takes up a key version. The default is as recorded."""

    next_poll_at: datetime
    """When the service next looks, on its own, for a newer version; then as often as it does.
    Matters to a resource that names no version."""
    manner: Manner = Manner.PROMPT
    takes: timedelta | None = timedelta(0)
    """How long it is from a later write to its effect; ``None``: for good."""
    pending: Move | None = None
    echoes: bool = False
    """Whether what a long-running write asks for shows at once, of whatever service."""

    @property
    def stands_still(self) -> bool:
        """Whether the resource takes up no version at all, by polls neither."""
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

    def long_running(
        self, lasts: timedelta | None, *, fails: bool = False, echoes: bool = False
    ) -> None:
        """Be at work on later writes for ``lasts`` after the answer; ``None``: for ever.

        Where writes are recorded as synchronous, the answer is 202. Meanwhile a GET shows the
        reference as written, the version in use as it was, and a ``provisioningState`` that is
        not final, if there is one; and every other write is refused. With ``fails`` the resource
        ends on its old version with the state ``Failed``.

        Storage accounts change synchronously in every recording and by the REST docs, so this is
        how they would look if they did not. The requested reference shows at once, and stays after
        a failure, as with services that do work that way (recorded: disk encryption sets). Those
        that show it only at the end do so, too, with ``echoes``.
        """
        self.echoes = echoes
        self.manner = Manner.FAILING if fails else Manner.LONG_RUNNING
        self.takes = lasts

    def prompt(self) -> None:
        """Take up later writes as recorded again."""
        self.manner, self.takes = Manner.PROMPT, timedelta(0)

    def due(self, now: datetime) -> datetime:
        """Return when a write that is accepted ``now`` takes effect."""
        return _NEVER if self.takes is None else now + self.takes

    def promise(self, move: Move) -> None:
        """Note an accepted move; the same move asked for again happens no later for it."""
        old = self.pending and self.pending.version
        new = move.version
        if not old or not new or self.takes is None or old.kid != new.kid:
            self.pending = move
