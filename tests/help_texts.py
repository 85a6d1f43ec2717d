"""The command's help, as a terminal of a hundred columns shows it: ``golden/help.txt``."""

from collections.abc import Iterator

from typer.testing import CliRunner

from cli.main import app

COMMANDS: tuple[tuple[str, ...], ...] = (
    (),
    ("inventory",),
    ("versions",),
    ("plan",),
    ("verify",),
    ("doctor",),
    ("policy",),
    ("policy", "check"),
    ("policy", "init"),
    ("rotate",),
    ("requests",),
    ("status",),
    ("watch",),
    ("approve",),
    ("pause",),
    ("resume",),
    ("cancel",),
    ("retry",),
    ("settle",),
    ("replay",),
    ("report",),
)
"""Every command there is."""


def help_texts() -> str:
    """Return the help of every command, one after the other."""
    return "\n".join(_texts())


def _texts() -> Iterator[str]:
    runner = CliRunner()
    # Typer asks these; GITHUB_ACTIONS and the like would have it draw for a terminal.
    env = {
        "TERMINAL_WIDTH": "100",
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "GITHUB_ACTIONS": None,
        "FORCE_COLOR": None,
        "PY_COLORS": None,
        "_TYPER_FORCE_DISABLE_TERMINAL": "1",
    }
    for command in COMMANDS:
        result = runner.invoke(app, [*command, "--help"], env=env, prog_name="keyturn")
        assert result.exit_code == 0, result.output
        lines = (line.rstrip() for line in result.output.strip().splitlines())
        yield f"$ keyturn {' '.join((*command, '--help'))}\n" + "\n".join(lines) + "\n"
