"""How the command ends: its exit codes, and errors as one sentence with the next step."""

from enum import IntEnum

from shared.domain import errors
from shared.domain.errors import KeyturnError


class Exit(IntEnum):
    """Exit codes, as ``keyturn --help`` has them."""

    FINE = 0
    ERROR = 1
    USAGE = 2
    ATTENTION = 3
    """Something is stale, unproven, or needs somebody."""
    NOT_ALLOWED = 4
    NOT_FOUND = 5
    NOT_NOW = 6
    INTERRUPTED = 130
    """By Ctrl-C, as shells have it."""
    UNREAD = 141
    """By a pipe that was closed, as shells have it of what SIGPIPE ends."""


MEANINGS = {
    Exit.FINE: "fine: nothing is stale, all is proven",
    Exit.ERROR: "it failed, or its output could not be written",
    Exit.USAGE: "the command line is wrong",
    Exit.ATTENTION: "something is stale, unproven, or needs somebody",
    Exit.NOT_ALLOWED: "not signed in, or not allowed",
    Exit.NOT_FOUND: "there is no such key or rotation",
    Exit.NOT_NOW: "no answer, or not now: try again",
    Exit.INTERRUPTED: "stopped by Ctrl-C",
    Exit.UNREAD: "nobody reads its output any more",
}

_STEPS: tuple[tuple[type[KeyturnError], Exit, str], ...] = (
    (errors.NotSignedInError, Exit.NOT_ALLOWED, ""),
    (errors.AccessDeniedError, Exit.NOT_ALLOWED, "ask for that right; `keyturn doctor` says how"),
    (errors.NotPermittedError, Exit.NOT_ALLOWED, "ask somebody who may, or for that right"),
    (errors.NotAllowedError, Exit.NOT_ALLOWED, ""),
    (errors.InvalidKeyUrlError, Exit.USAGE, "name it VAULT/KEY, or by its URL"),
    (errors.NotFoundError, Exit.NOT_FOUND, "check its name, and that you may see it"),
    (errors.GoneError, Exit.NOT_FOUND, "check its name"),
    (errors.PolicyError, Exit.ERROR, "`keyturn policy check FILE` lists every problem"),
    (errors.TransientError, Exit.NOT_NOW, "check the network, and try again"),
)
"""The first that fits: what is exited with, and what to do next."""

_LONGEST = 700


def code_for(error: KeyturnError) -> Exit:
    """Return what the command exits with after an error."""
    return next((code for kind, code, _ in _STEPS if isinstance(error, kind)), Exit.ERROR)


def sentence(error: KeyturnError) -> str:
    """Return an error as one line that ends with what to do."""
    step = next((step for kind, _, step in _STEPS if isinstance(error, kind)), "")
    said = " ".join(str(error).split()).rstrip(".")
    if len(said) > _LONGEST:
        said = f"{said[:_LONGEST]} …"
    return f"{said}: {step}" if step else said
