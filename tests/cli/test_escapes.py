"""What comes from Azure or an app reaches a terminal as text, and as nothing else."""

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from cli.console import Format, Progress, Terminal, shown
from cli.output import Column, in_json, write_one, write_rows
from cli.watching import drawn
from tests.cli.servers import Server
from tests.cli.test_wishes import ENDED, run

HOSTILE = "st\x1b]0;mine\x07\x9b2J\x85\u202eredro\u2066\u200b\x7f"
RAW = ("\x1b", "\x07", "\x9b", "\x85", "\u202e", "\u2066", "\x7f")
COLUMNS = (Column("name", lambda row: row["name"]),)


@pytest.mark.parametrize("form", list(Format))
def test_no_form_has_a_control_or_turns_the_text(
    form: Format, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"name": HOSTILE, "more": [HOSTILE]}
    write_rows(Terminal(form, quiet=False), iter([row]), COLUMNS)
    write_one(Terminal(form, quiet=False), row, [HOSTILE])
    out = capsys.readouterr().out
    assert not [each for each in RAW if each in out]
    assert "redro" in out


def test_tables_and_csv_show_what_was_there(capsys: pytest.CaptureFixture[str]) -> None:
    told = r"st\x1b]0;mine\x07\x9b2J\x85\u202eredro\u2066\u200b\x7f"
    write_rows(Terminal(Format.TABLE, quiet=True), iter([{"name": HOSTILE}]), COLUMNS)
    assert capsys.readouterr().out.splitlines()[1] == told
    write_rows(Terminal(Format.CSV, quiet=True), iter([{"name": HOSTILE}]), COLUMNS)
    assert next(csv.DictReader(io.StringIO(capsys.readouterr().out)))["name"] == told


def test_what_is_said_and_warned_of_is_escaped_too(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(Format.TABLE, quiet=False)
    terminal.say(f"two\nlines of {HOSTILE}")
    terminal.warn(f"a\nname {HOSTILE}")
    err = capsys.readouterr().err
    assert not [each for each in RAW if each in err]
    assert err.startswith("two\nlines of st")
    assert "keyturn: a\\nname" in err


def test_progress_is_escaped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.console.is_terminal", lambda _: True)
    Progress(quiet=False).tell(HOSTILE)
    own, _, told = capsys.readouterr().err.partition("\x1b[2K")
    assert own == "\r"
    assert not [each for each in RAW if each in told]


def test_what_is_drawn_is_escaped() -> None:
    consumer = {"kind": "k", "kindTitle": HOSTILE, "verdict": "verified", "form": "pinned"}
    view: dict[str, Any] = ENDED | {
        "state": "paused",
        "pausedBecause": HOSTILE,
        "key": f"https://kv.vault.azure.net/keys/{HOSTILE}",
        "target": None,
        "counts": {"verified": 1},
        "openedAt": "2026-11-01T00:00:00Z",
        "consumers": [consumer],
        "consumersOmitted": 0,
    }
    out = io.StringIO()
    Console(file=out, width=200).print(drawn(view, datetime(2026, 11, 1, tzinfo=UTC), 200))
    assert "redro" in out.getvalue()
    assert not [each for each in RAW if each in out.getvalue()]


def test_an_app_that_is_watched_moves_no_cursor(server: Server) -> None:
    consumer = {"resource": "r", "place": "p", "name": HOSTILE, "verdict": "failed"}
    view = ENDED | {"consumers": [consumer | {"level": None, "reason": HOSTILE}]}
    server.answers = [(200, view | {"summary": HOSTILE}, {})]
    ran = run(server, "watch", "r-1")
    assert "redro" in ran.stdout
    assert not [each for each in RAW if each in ran.stdout + ran.stderr]


def test_an_error_moves_no_cursor(server: Server) -> None:
    server.answers = [(404, {"detail": HOSTILE}, {})]
    ran = run(server, "status", "r-1")
    assert ran.exit_code == 5
    assert "redro" in ran.stderr
    assert not [each for each in RAW if each in ran.output]


@given(st.text())
def test_any_text_is_printable_when_shown(text: str) -> None:
    assert all(char.isprintable() or char.isspace() for char in shown(text))
    assert not set(shown(text)) & {*map(chr, range(32)), *map(chr, range(0x7F, 0xA0))}


@given(st.text(st.characters(codec="utf-8")))
def test_any_text_comes_back_from_json_and_yaml(text: str) -> None:
    assert json.loads(in_json(text)) == text
    assert msgspec.yaml.decode(f"a: {in_json(text)}\n") == {"a": text}


@pytest.mark.parametrize("text", ["日本", "🔑 küche", "a\u00a0b", "a\u3000b"])
def test_what_is_printable_stays_as_it_is(text: str) -> None:
    assert shown(text) == text
