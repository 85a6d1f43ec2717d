"""How the command ends, whatever ends it: parsed wrongly, interrupted, or no longer read."""

import os
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from typer.core import TyperGroup
from typer.exceptions import TyperException

from cli.console import shown
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
        except SystemExit as error:
            if isinstance(error.__context__, BrokenPipeError):
                sys.exit(_closed())
            raise
        sys.exit(code or Exit.FINE)


def _mistyped(error: TyperException) -> Exit:
    """Tell what is wrong with the command line; without any arguments, that is its help."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(error.format_message())
        return Exit.USAGE
    said = " ".join(error.format_message().split()).rstrip(".").replace(". Did you", ", did you")
    path = context.command_path if context else "keyturn"
    told = f"{said[:1].lower()}{said[1:]}"
    sys.stderr.write(f"keyturn: {shown(told)}: `{path} --help` says what can be typed\n")
    return Exit.USAGE


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
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
