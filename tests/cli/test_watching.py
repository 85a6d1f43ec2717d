"""A rotation that is watched: what is drawn of it, and what a network may do meanwhile."""

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from cli.console import Format, Terminal
from cli.output import Column, write_rows
from cli.watching import drawn
from tests.cli.servers import Server
from tests.cli.test_wishes import ENDED, run

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
MOVING: dict[str, Any] = ENDED | {"state": "moving", "endedAt": None}
VIEW: dict[str, Any] = MOVING | {
    "key": "https://kv1.vault.azure.net/keys/cmk",
    "target": f"https://kv1.vault.azure.net/keys/cmk/{'a' * 32}",
    "openedAt": "2026-11-01T11:00:00Z",
    "targetCreated": "2026-11-01T11:30:00.1234567Z",
    "counts": {"open": 1, "verified": 2},
    "consumersOmitted": 0,
}


def told(**more: object) -> str:
    out = io.StringIO()
    Console(file=out, width=200).print(drawn(VIEW | more, NOW, 200))
    return out.getvalue()


def consumer(kind: str, **more: object) -> dict[str, Any]:
    own = {"kind": kind, "kindTitle": kind, "verdict": None, "form": "pinned", "acceptedAt": None}
    return own | more


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.api._WAITS", (0, 0, 0))


def test_answers_that_are_lost_end_no_watch(server: Server) -> None:
    lost = [None] * 4
    server.answers = [(200, MOVING, {}), *lost, *lost, (200, ENDED, {})]
    ran = run(server, "watch", "r-1", "--interval", "0.1")
    assert (ran.exit_code, ran.stdout) == (0, "moving\ncompleted\n")


def test_an_app_that_never_answered_is_not_watched(server: Server) -> None:
    server.answers = [None] * 4
    ran = run(server, "watch", "r-1", "--interval", "0.1")
    assert ran.exit_code == 6
    assert ran.stderr.endswith("check the network, and try again\n")


def test_a_request_of_which_no_rotation_came_is_an_error(server: Server) -> None:
    request = {"id": "req-1", "state": "failed", "summary": "s", "problem": "the vault is gone"}
    server.answers = [(200, request, {})]
    ran = run(server, "watch", "req-1")
    assert ran.exit_code == 1
    assert "keyturn: no rotation came of the request: the vault is gone" in ran.stderr


@pytest.mark.parametrize(
    ("view", "said"),
    [
        ({"state": "needs_approval"}, "somebody else runs keyturn approve r-1"),
        ({"state": "paused", "pausedBecause": "lunch"}, "lunch: keyturn resume r-1"),
        ({"waitsFor": "its change window"}, "moving: its change window"),
    ],
)
def test_what_a_rotation_waits_for_is_told(server: Server, view: dict[str, Any], said: str) -> None:
    server.answers = [(200, MOVING | view, {}), (200, ENDED, {})]
    assert said in run(server, "watch", "r-1", "--interval", "0.1").stdout


def test_a_request_is_drawn_by_its_summary() -> None:
    out = io.StringIO()
    request = {"state": "requested", "summary": "a version is made"}
    Console(file=out, width=80).print(drawn(request, NOW, 80))
    assert out.getvalue() == "requested  a version is made\n"


def test_the_whole_and_each_kind_are_drawn() -> None:
    done = consumer("cosmosdb_account", verdict="verified")
    shown = told(consumers=[done, done, consumer("none_of_ours")], consumersOmitted=7)
    assert "moving  kv1/cmk → aaaaaaaa  1 h 00 min" in shown
    assert "2/3  2 verified, 1 open" in shown
    assert "2/2  2 verified" in shown
    assert "(kinds: of the first 3 consumers)" in shown
    assert "at the latest" not in shown, "of a kind that we do not know no window is known"


@pytest.mark.parametrize(
    ("kind", "more", "said"),
    [
        # docs: a storage account follows within a day from the version's creation
        ("storage_account", {"form": "versionless"}, "in 23 h 30 min, Nov 2 11:30 UTC"),
        ("search_service", {"acceptedAt": "2026-11-01T11:20:00Z"}, "in 20 min 00 s, 12:20 UTC"),
        ("search_service", {"acceptedAt": "2026-11-01T10:00:00Z"}, "in a moment, 11:00 UTC"),
    ],
)
def test_the_latest_end_is_drawn(kind: str, more: dict[str, object], said: str) -> None:
    shown = told(consumers=[consumer(kind, **more)])
    assert f"; at the latest {said}" in shown
    assert ("(assumed)" in shown) == (kind == "search_service")


def test_what_a_rotation_needs_is_described(server: Server) -> None:
    blocker = {"severity": "blocker", "text": "the vault is shut", "advice": "open it"}
    opened = {"trigger": "event", "by": None, "reason": None, "scope": None}
    view = VIEW | opened | {"preflight": [blocker], "pausedBecause": None}
    server.answers = [(200, view, {})]
    ran = run(server, "status", "r-1")
    assert ran.exit_code == 0, ran.output
    assert "Foreseen: the vault is shut; open it\n" in ran.stdout
    assert "opened     2026-11-01 11:00, by event\n" in ran.stdout


def test_a_request_that_failed_is_described(server: Server) -> None:
    request = {"id": "req-1", "state": "failed", "key": VIEW["key"], "reason": "r"}
    server.answers = [(200, request | {"summary": "none", "problem": "the vault is gone"}, {})]
    ran = run(server, "status", "req-1")
    assert ran.exit_code == 3
    assert "problem    the vault is gone\n" in ran.stdout


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ({"problem": "nothing to move to: it is disabled"}, "nothing to move to: it is disabled."),
        ({"waitsFor": "its window"}, "A rotation would begin no write now: its window."),
    ],
)
def test_a_plan_says_what_stands_in_its_way(
    server: Server, page: dict[str, object], said: str
) -> None:
    plan: dict[str, object] = {
        "items": [],
        "problem": None,
        "waitsFor": None,
        "target": None,
        "mode": "auto",
    }
    server.answers = [(200, plan | {"scope": "s", "searchedWhole": True} | page, {})]
    ran = run(server, "rotate", "kv1/cmk", "--reason", "r", "--dry-run")
    assert said in ran.stderr
    assert ran.exit_code == (3 if page.get("problem") else 0)


@pytest.mark.parametrize("width", [120, 44, 20])
def test_columns_go_and_prose_is_cut_where_there_is_no_room(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cli.console.is_terminal", lambda _: True)
    monkeypatch.setenv("COLUMNS", str(width))
    columns = (
        Column("name", lambda row: row["name"]),
        Column("where", lambda row: row["where"], rank=1),
        Column("why", lambda row: row["why"], is_prose=True),
    )
    row = {"name": "stledger", "where": "westeurope", "why": "because " * 9}
    write_rows(Terminal(Format.TABLE, quiet=False), iter([row]), columns)
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert all(len(line.replace("\r\x1b[2K", "")) <= width for line in lines)
    assert ("WHERE" in lines[0]) == (width > 20)
    assert ("no room here for where" in shown.err) == (width == 20)
    assert lines[1].endswith("…") == (width < 100)
