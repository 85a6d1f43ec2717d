"""The messages of the queue ``keyturn-steps``: one class per step, carrying ids only.

As JSON: ``{"step": "verify", "schema": 1, "attempt": 0, "rotation": "1f…-1", "resource": "9c…",
"seq": 2}``.
"""

from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

from shared.domain.errors import UnreadableError
from shared.domain.rows import Cause


class _Step(Struct, frozen=True, kw_only=True, tag_field="step"):
    """What every message carries.

    Attributes:
        schema: Raised whenever an older Keyturn would misread the new form.
        attempt: How often the step has been put back by a transient error.
    """

    schema: Literal[1] = 1
    attempt: int = 0


class Open(_Step, frozen=True, kw_only=True, tag="open"):
    """Look at a key, and open a rotation if its newest usable version is not handled yet.

    Attributes:
        recheck: Whether a handled version is looked at again, because something about the vault
            has changed.
    """

    key: str
    cause: Cause
    request: str = ""
    recheck: bool = False


class Watch(_Step, frozen=True, kw_only=True, tag="watch"):
    """Look at a key's expiry and age, and at the versions that its consumers use."""

    key: str
    cause: Cause


class RotateKey(_Step, frozen=True, kw_only=True, tag="rotate_key"):
    """Have the vault make a new version, then open.

    Attributes:
        request: Id of the request that it is for.
        expiring: URL of the version that is to be followed by a new one because it nears its
            expiry; empty: an operator asked.
        expires: When that version ends, as the vault's event said.
    """

    key: str
    cause: Cause
    request: str
    expiring: str = ""
    expires: datetime | None = None


class Preflight(_Step, frozen=True, kw_only=True, tag="preflight"):
    """Look at the vault and the target, and say what will break."""

    rotation: str


class Discover(_Step, frozen=True, kw_only=True, tag="discover"):
    """Read one page of consumers; see ``rows.Search`` for what the page is."""

    rotation: str
    closing: bool = False
    page: int = 0


class Repoint(_Step, frozen=True, kw_only=True, tag="repoint"):
    """Make one resource refer to the target. ``resource`` is the row key of its work."""

    rotation: str
    resource: str
    seq: int


class Verify(_Step, frozen=True, kw_only=True, tag="verify"):
    """Look whether one resource uses the target. ``resource`` is the row key of its work."""

    rotation: str
    resource: str
    seq: int


class Pay(_Step, frozen=True, kw_only=True, tag="pay"):
    """Do what one resource is owed, see ``rows.Debt``. ``resource`` is the row key of its work."""

    rotation: str
    resource: str
    seq: int


class Supervise(_Step, frozen=True, kw_only=True, tag="supervise"):
    """See how a rotation stands, and conclude it when nothing is open.

    Attributes:
        after: The look that queued it: if there was a later one, that has queued the next.
            ``None``: somebody wants a look out of turn.
    """

    rotation: str
    after: datetime | None = None


class SweepVault(_Step, frozen=True, kw_only=True, tag="sweep_vault"):
    """Open every key of a vault, given by its host.

    Attributes:
        sweep: Tells one sweep from another.
        recheck: Whether only what is handled is looked at again, see ``Open``; the sweep is then
            named after the event.
    """

    vault: str
    sweep: str
    recheck: bool = False


class Revive(_Step, frozen=True, kw_only=True, tag="revive"):
    """See that every rotation that lives has a living supervisor.

    Attributes:
        at: When the timer queued it.
        next_at: When the timer comes next; ``None``: it did not say.
    """

    at: datetime | None = None
    next_at: datetime | None = None


class Refuse(_Step, frozen=True, kw_only=True, tag="refuse"):
    """Remember an event that was let go."""

    event_id: str
    problem: str
    at: datetime


Step = (
    Open
    | Watch
    | RotateKey
    | Preflight
    | Discover
    | Repoint
    | Verify
    | Pay
    | Supervise
    | SweepVault
    | Revive
    | Refuse
)


_DECODER: msgspec.json.Decoder[Step] = msgspec.json.Decoder(Step)


def encode(step: Step) -> str:
    """Return the message of a step."""
    return msgspec.json.encode(step).decode()


def decode(message: bytes) -> Step:
    """Read a message.

    Raises:
        UnreadableError: It is no step of this or an earlier schema.
    """
    try:
        return _DECODER.decode(message)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnreadableError(f"not a step: {error}: {message[:200]!r}") from error
