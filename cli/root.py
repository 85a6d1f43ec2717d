"""How the command ends, whatever ends it: parsed wrongly, interrupted, unread or unwritten."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from typer.core import TyperGroup
from typer.exceptions import TyperException

from cli.console import is_unwritten, shown
from cli.exits import Exit


class Root(TyperGroup):
    """The group of all commands. What is typed wrongly is told in one sentence."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002 - likewise
        windows_expand_args: bool = True,  # noqa: FBT001, FBT002 - likewise
        **extra: Any,  # noqa: ANN401 - likewise
    ) -> Any:  # noqa: ANN401 - likewise
        """Run what was typed, and exit.

        Raises:
            SystemExit: Always.
        """
        del standalone_mode
        _open_streams()
        try:
            code = super().main(
                args,
                prog_name,
                complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                **extra,
            )
            sys.stdout.flush()
        except TyperException as error:
            sys.exit(_mistyped(error))
        except BrokenPipeError:
            sys.exit(_closed())
        except OSError as error:
            if not is_unwritten(error):
                raise
            sys.exit(_unwritten(error))
        except SystemExit as error:
            if isinstance(error.__context__, BrokenPipeError):
                sys.exit(_closed())
            raise
        sys.exit(code or Exit.FINE)


def _mistyped(error: TyperException) -> Exit:
    """Tell what is wrong with the command line; without any arguments, that is its help."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        _tell(error.format_message())
        return Exit.USAGE
    said = " ".join(error.format_message().split()).rstrip(".").replace(". Did you", ", did you")
    path = context.command_path if context else "keyturn"
    told = f"{said[:1].lower()}{said[1:]}"
    _tell(f"keyturn: {shown(told)}: `{path} --help` says what can be typed\n")
    return Exit.USAGE


def _open_streams() -> None:
    """End where results have nowhere to go; without stderr, do without what goes there.

    Python has ``None`` for a stream that was closed before it began (``>&-``).

    Raises:
        SystemExit: Stdout is closed.
    """
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the end
    if sys.stdout is None:
        sys.stderr.write("keyturn: stdout is closed: open it, or send it to /dev/null\n")
        sys.exit(Exit.ERROR)


def _unwritten(error: OSError) -> Exit:
    """Tell that the output could not be written, where even that can be."""
    why = error.strerror or type(error).__name__
    _tell(f"keyturn: the output cannot be written: {why}: write it elsewhere\n")
    _let_go(sys.stdout)
    return Exit.ERROR


def _tell(said: str) -> None:
    """Write on stderr, if it takes anything."""
    with suppress(OSError):
        sys.stderr.write(said)
    _let_go(sys.stderr)


def _closed() -> Exit:
    """Note that whoever read the output has stopped: what is left of it goes nowhere.

    Python would try to write it at its end, and complain.
    """
    for stream in (sys.stdout, sys.stderr):
        _let_go(stream)
    return Exit.UNREAD


def _let_go(stream: TextIO) -> None:
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
