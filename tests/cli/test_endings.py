"""What ends the command: a wrong line, or a pipe that nobody reads any more."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cli.command import told
from cli.console import Format, Terminal
from cli.exits import Exit
from cli.main import app
from tests.cli.desk import CHECKOUT
from tests.cli.servers import Server
from tests.cli.test_wishes import in_process


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ("rotat", "no such command 'rotat', did you mean 'rotate'?: `keyturn --help`"),
        ("inventory --nope", "no such option: --nope: `keyturn inventory --help`"),
        ("versions", "missing argument 'KEY': `keyturn versions --help`"),
        ("rotate kv/k", "missing option '--reason': `keyturn rotate --help`"),
        ("policy chek", "no such command 'chek', did you mean 'check'?: `keyturn policy --help`"),
        ("status --state needs-approval", "'needs-approval' is not one of 'discovering', 'moving'"),
        ("inventory -o xml", "'xml' is not one of 'table', 'json', 'yaml', 'csv'"),
        ("watch r --interval soon", "invalid value for '--interval'"),
        ("inventory --vault", "option '--vault' requires an argument"),
        ("inventory one two", "unexpected extra argument"),
        ("inventory \x1b]0;mine\x07", r"\x1b]0;mine\x07"),
    ],
)
def test_what_is_typed_wrongly_is_one_sentence_with_the_next_step(args: str, said: str) -> None:
    ran = CliRunner().invoke(app, args.split(), prog_name="keyturn")
    assert (ran.exit_code, ran.stdout) == (Exit.USAGE, "")
    assert ran.stderr.startswith("keyturn: ")
    assert ran.stderr.endswith(" --help` says what can be typed\n")
    assert len(ran.stderr.splitlines()) == 1
    assert said in ran.stderr


@pytest.mark.parametrize("args", [[], ["policy"]])
def test_no_arguments_are_the_help(args: list[str]) -> None:
    ran = CliRunner().invoke(app, args, prog_name="keyturn")
    assert ran.exit_code == Exit.USAGE
    assert " ".join(["Usage: keyturn", *args]) in ran.output


def rotations(number: int) -> dict[str, Any]:
    row = {"id": "r", "key": "", "target": "", "state": "moving", "openedAt": None}
    return {"items": [row | {"endedAt": None, "counts": {}}] * number}


@pytest.mark.parametrize(("number", "form"), [(1, "json"), (2000, "json"), (2000, "table")])
def test_a_pipe_that_is_closed_ends_the_command_quietly(
    server: Server, number: int, form: str
) -> None:
    server.answers = [(200, rotations(number), {})]
    child = in_process(server.url, "status", "--top", "0", "-o", form)
    assert child.stdout is not None
    child.stdout.close()
    assert child.stderr is not None
    err = child.stderr.read()
    child.stderr.close()
    assert (child.wait(240), err) == (Exit.UNREAD, "")


FULL = "keyturn: the output cannot be written: No space left on device: write it elsewhere\n"
SHUT = "keyturn: stdout is closed: open it, or send it to /dev/null\n"
on_linux = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")


@on_linux
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("typed", "code", "err"),
    [
        ("--version >/dev/full", Exit.ERROR, FULL),
        ("--help >/dev/full", Exit.ERROR, FULL),
        ("policy check -q policy.yaml -o json >/dev/full", Exit.ERROR, FULL),
        ("--version >&-", Exit.ERROR, SHUT),
        ("policy check policy.yaml >&- 2>&-", Exit.ERROR, ""),
        ("policy check policy.yaml 2>&-", Exit.FINE, ""),
        ("policy check policy.yaml >/dev/full 2>&1", Exit.ERROR, ""),
        ("--nope 2>/dev/full", Exit.USAGE, ""),
        ("--nope 2>&-", Exit.USAGE, ""),
    ],
)
def test_output_that_cannot_be_written_is_one_sentence_and_a_code(
    tmp_path: Path, typed: str, code: Exit, err: str, unbuffered: str
) -> None:
    (tmp_path / "policy.yaml").write_text("version: 1\n")
    done = subprocess.run(  # noqa: S603 - the command under test
        ["/bin/sh", "-c", f'"{sys.executable}" -m cli {typed}'],
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered, "PYTHONPATH": str(CHECKOUT)},
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=240,
    )
    assert (done.returncode, done.stderr) == (code, err)


def test_a_help_that_nobody_reads_ends_quietly_too() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    child = subprocess.Popen(
        [sys.executable, "-m", "cli", "--help"], stdout=writing, stderr=subprocess.PIPE
    )
    os.close(writing)
    _, err = child.communicate(timeout=240)
    assert (child.returncode, err) == (Exit.UNREAD, b"")


def test_what_nobody_foresaw_is_a_sentence_too(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> None:
        raise RuntimeError("two\nlines \x1b[2J")

    with pytest.raises(typer.Exit) as ended:
        told(Terminal(Format.TABLE, quiet=True), broken, debug=False)
    assert ended.value.exit_code == Exit.ERROR
    said = capsys.readouterr().err
    assert said.startswith(r"keyturn: RuntimeError: two lines \x1b[2J: that is a bug: ")


def test_ctrl_c_is_the_shells_own_code(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(typer.Exit) as ended:
        told(Terminal(Format.TABLE, quiet=True), interrupted, debug=False)
    assert (ended.value.exit_code, capsys.readouterr().err) == (Exit.INTERRUPTED, "")
