"""Every error Keyturn raises on purpose.

KeyturnError
├── TransientError            the same attempt may succeed later: the step is queued again
│   ├── ThrottledError
│   ├── BusyError
│   ├── ChangedError
│   ├── UnavailableError
│   ├── UnansweredError
│   ├── RowConflictError
│   ├── PolicyError
│   └── EvidenceError
└── PermanentError            repeating it unchanged cannot succeed: a person is needed
    ├── InvalidKeyUrlError
    ├── InvalidEventError
    ├── InvalidResourceIdError
    ├── NotAllowedError
    ├── AccessDeniedError
    ├── NotSignedInError
    ├── NotPermittedError
    ├── AlreadyUsedError
    ├── NotActiveError
    ├── NotSettledError
    ├── NotFoundError
    ├── GoneError
    ├── RejectedError
    ├── UnreadableError
    └── RefusedWriteError

The branch is chosen once, in the adapter that met the failure; callers choose by class and
never by message text. What is outside this tree is a bug and reaches the host untouched.
"""

from collections.abc import Sequence
from datetime import timedelta


class KeyturnError(Exception):
    """Base of the tree; never raised itself."""


class TransientError(KeyturnError):
    """The same attempt may succeed later.

    Attributes:
        retry_after: What the other side asked us to wait; ``None`` where it said nothing.
    """

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ThrottledError(TransientError):
    """The service answered 429."""


class BusyError(TransientError):
    """Another operation holds the resource (409)."""


class ChangedError(TransientError):
    """Somebody changed the resource since we read it (412): read it again, and plan again."""


class UnavailableError(TransientError):
    """The service could not be reached, or answered 5xx or 408."""


class UnansweredError(TransientError):
    """A write was sent, and no answer came: it may have been done, or may still be."""


class RowConflictError(TransientError):
    """Somebody changed the row since we read it (our table's ETag did not match)."""


class PolicyError(TransientError):
    """The policy cannot be read, or is wrong: nothing new begins before somebody mends it.

    Attributes:
        problems: Every one of them, with where in the policy it is.
    """

    def __init__(
        self, message: str, problems: Sequence[str] = (), *, retry_after: timedelta | None = None
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.problems = tuple(problems)


class EvidenceError(TransientError):
    """The evidence of a rotation cannot be kept: before it is, its key is not let go."""


class PermanentError(KeyturnError):
    """Repeating the attempt unchanged cannot succeed.

    Attributes:
        code: The service's own error code, such as ``KeyVaultAuthenticationFailure``; empty where
            there is none. The catalog says what to do about the known ones.
    """

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class InvalidKeyUrlError(PermanentError, ValueError):
    """The text is not the URL of a key or of one of its versions."""


class InvalidEventError(PermanentError, ValueError):
    """The event lacks what its schema promises."""


class InvalidResourceIdError(PermanentError, ValueError):
    """The text is not an ARM resource id."""


class NotAllowedError(PermanentError):
    """The vault is off the allow-list, or its host is none of this cloud's."""


class AccessDeniedError(PermanentError):
    """Our identity lacks a right (401 or 403)."""


class NotSignedInError(PermanentError):
    """Nobody is signed in on this machine, or the login has run out."""


class NotPermittedError(PermanentError):
    """Whoever asks may not do this: who asked for a rotation may not approve it."""


class AlreadyUsedError(PermanentError):
    """An ``Idempotency-Key`` was used before, for another request."""


class NotActiveError(PermanentError):
    """The rotation does not move its key's consumers any more, so it cannot be steered."""


class NotSettledError(PermanentError):
    """What a person says was done by hand is not what a fresh read shows, or is not theirs to say.

    The message has what was read, and what to do instead.
    """


class NotFoundError(PermanentError):
    """The key, version or row does not exist (404)."""


class GoneError(PermanentError):
    """Azure Resource Manager says that the resource, or its group, does not exist.

    Said only of its own codes for that: another 404 may mean that we lost sight of a resource
    which still needs its key.
    """


class RejectedError(PermanentError):
    """The service refused the request for another reason (any other 4xx)."""


class UnreadableError(PermanentError):
    """The service answered with success, but not with what its API documents."""


class RefusedWriteError(PermanentError):
    """We refuse to send a body that would do more than change the key references."""
