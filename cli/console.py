"""Where things are printed: results on stdout, all else on stderr."""

import errno
import os
import sys
import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TextIO

from rich.console import Console


class Format(StrEnum):
    """How results are written, named as ``az`` names them."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    CSV = "csv"


def shown(text: str, keep: str = "") -> str:
    """Return a text as it may go to a terminal: it moves no cursor, and hides and turns nothing.

    Names and messages come from elsewhere. What is not printable in them (controls, ESC and the
    C1 controls above all; overrides of the direction; what has no width) stands there as an
    escape of Python's.

    Args:
        text: Any.
        keep: What is wanted all the same: line breaks that are ours.
    """
    if text.isprintable():
        return text
    return "".join(
        char
        if char.isprintable() or char in keep or unicodedata.category(char) == "Zs"
        else char.encode("unicode_escape").decode()
        for char in text
    )


def is_terminal(stream: TextIO) -> bool:
    """Return whether somebody looks at a stream on a terminal that can do more than print."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


_OF_WRITING = {errno.EBADF, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC}


def is_unwritten(error: Exception) -> bool:
    """Return whether an error is of a stream that takes no more: on a full disk, for one.

    What a file is opened with has its name.
    """
    return isinstance(error, OSError) and error.errno in _OF_WRITING and error.filename is None


@dataclass(slots=True)
class Progress:
    """One line on stderr that is written over; nothing where stderr is no terminal."""

    quiet: bool
    _shown: bool = False

    def tell(self, text: str) -> None:
        """Show how far it has come."""
        if self.quiet or not is_terminal(sys.stderr):
            return
        width = Console(stderr=True).width
        sys.stderr.write(f"\r\x1b[2K{shown(text)[: width - 1]}")
        sys.stderr.flush()
        self._shown = True

    def clear(self) -> None:
        """Take the line away, before something else is printed."""
        if self._shown:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
            self._shown = False


@dataclass(slots=True)
class Terminal:
    """What a command prints on.

    Attributes:
        form: How results are written.
        quiet: Whether only results and errors are.
    """

    form: Format
    quiet: bool
    progress: Progress = field(init=False)

    def __post_init__(self) -> None:
        self.progress = Progress(self.quiet)

    def say(self, text: str) -> None:
        """Print something about the result on stderr, unless that is not wanted."""
        self.progress.clear()
        if not self.quiet:
            sys.stderr.write(f"{shown(text, keep='\n')}\n")

    def warn(self, text: str) -> None:
        """Print on stderr what nobody may miss, even if little is wanted."""
        self.progress.clear()
        sys.stderr.write(f"keyturn: {shown(text)}\n")

    def out(self, text: str) -> None:
        """Print a part of the result, as it is."""
        self.progress.clear()
        sys.stdout.write(text)

    def flush(self) -> None:
        """Let whoever reads the result have what there is by now."""
        sys.stdout.flush()

    @property
    def is_interactive(self) -> bool:
        """Whether somebody looks at the result."""
        return is_terminal(sys.stdout)

    @property
    def console(self) -> Console:
        """Stdout, for what is drawn: without colours if ``NO_COLOR`` is set."""
        return Console(file=sys.stdout, highlight=False, soft_wrap=not self.is_interactive)
