"""Commands before an app that answers what a test says."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.api import AppClient
from cli.main import app
from tests.cli.desk import CHECKOUT
from tests.cli.servers import ACCEPTED, Answer, Server

ROTATE = ("rotate", "kv1/cmk", "--reason", "r")
ENDED: dict[str, Any] = {
    "id": "r-1",
    "state": "completed",
    "summary": "1 of 1",
    "endedAt": "2026-11-01T00:00:00Z",
    "problem": None,
    "waitsFor": None,
    "consumers": [],
}


def run(server: Server, *args: str) -> Result:
    """Run a command against the app."""
    env = {"KEYTURN_APP": server.url, "KEYTURN_FUNCTION_KEY": "k"}
    return CliRunner().invoke(app, args, env=env)


def in_process(url: str, *args: str, **env: str) -> "subprocess.Popen[str]":
    """Start a command in a process of its own."""
    return subprocess.Popen(  # noqa: S603 - the command under test
        [sys.executable, "-m", "cli", *args],
        env={
            "PATH": os.environ["PATH"],
            "KEYTURN_APP": url,
            "KEYTURN_FUNCTION_KEY": "k",
            **env,
        },
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# -- rotate --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answers",
    [
        [None] * 4,
        [(503, {"detail": "not now"}, {})] * 4,
        [(502, None, {})] * 4,
        [(504, None, {})] * 4,
        [None, (502, {"detail": "Azure refused"}, {})],
        [(200, ["a page of a front end"], {})],
    ],
    ids=["no answer", "not now", "front end", "timeout", "refused after a try", "no Keyturn"],
)
def test_a_wish_that_may_have_been_taken_says_how_to_ask_for_the_same(
    server: Server, monkeypatch: pytest.MonkeyPatch, answers: list[Answer]
) -> None:
    monkeypatch.setattr("cli.api._WAITS", (0, 0, 0))
    server.answers = list(answers)
    ran = run(server, *ROTATE)
    assert ran.exit_code in (1, 6)
    (once,) = set(server.once_keys())
    assert f"--idempotency-key {once}" in ran.stderr
    assert not server.answers


def test_a_wish_that_the_app_cannot_read_was_not_taken(server: Server) -> None:
    problem = {"detail": "wrong", "errors": [{"pointer": "#/reason", "detail": "too short"}]}
    server.answers = [(400, problem, {})]
    ran = run(server, *ROTATE)
    assert ran.exit_code == 1
    assert ran.stderr == "keyturn: wrong: #/reason: too short\n"


def test_ctrl_c_while_the_wish_waits_says_how_to_ask_for_the_same() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(60)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        child = in_process(url, *ROTATE, "--quiet")
        with listening.accept()[0] as connection:
            sent = connection.recv(65536).decode()
            child.send_signal(signal.SIGINT)
            out, err = child.communicate(timeout=240)
    once = re.search(r"Idempotency-Key: (\S+)", sent)
    assert once is not None
    assert (child.returncode, out) == (130, "")
    assert f"--idempotency-key {once[1]}" in err


def test_json_stays_json_while_a_rotation_is_watched(server: Server) -> None:
    server.answers = [ACCEPTED, (200, ENDED, {})]
    ran = run(server, *ROTATE, "--wait", "-o", "json")
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout)["id"] == "req-1"
    assert "completed\n" in ran.stderr


def test_a_request_that_is_taken_back_is_watched_no_longer(server: Server) -> None:
    view: dict[str, Any] = {"id": "req-1", "state": "cancelled", "summary": "taken back: a typo"}
    view |= {"problem": None, "waitsFor": None}
    server.answers = [ACCEPTED, (200, view, {})]
    ran = run(server, *ROTATE, "--wait")
    assert ran.exit_code not in (0, 3)
    assert "no rotation came of the request: taken back: a typo" in ran.stderr


# -- report and status ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "code"), [("completed", 0), ("cancelled", 3), ("superseded", 3), ("moving", 3)]
)
def test_a_report_of_what_was_not_completed_needs_somebody(
    server: Server, state: str, code: int
) -> None:
    server.answers = [(200, {**ENDED, "state": state}, {}), (200, {"items": []}, {})]
    assert run(server, "report", "r-1", "-o", "json").exit_code == code


@pytest.mark.parametrize("args", [("status",), ("report",), ("watch",), ("pause", "--reason", "r")])
def test_an_id_is_one_part_of_a_path(server: Server, args: tuple[str, ...]) -> None:
    server.answers = [(404, {"detail": "no such rotation"}, {})]
    command, *more = args
    assert run(server, command, "../keys?x=1#y", *more).exit_code == 5
    assert server.seen[0][1].startswith("/api/rotations/..%2Fkeys%3Fx%3D1%23y")


def test_a_terminal_that_lacks_a_character_shows_another(server: Server) -> None:
    row: dict[str, Any] = {"id": "r-\u65e5", "key": "", "target": "", "state": "moving"}
    row |= {"openedAt": None, "endedAt": None, "counts": {}}
    server.answers = [(200, {"items": [row]}, {})]
    child = in_process(server.url, "status", PYTHONIOENCODING="ascii")
    out, err = child.communicate(timeout=240)
    assert (child.returncode, err) == (0, "")
    assert "r-?" in out


# -- who gets to see a token ---------------------------------------------------------------------


def test_neither_netrc_nor_a_proxy_comes_between_us_and_an_app_on_this_machine(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("default login me password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.answers = [(200, {"items": []}, {})]
    client = AppClient(server.url, lambda: {"Authorization": "Bearer mine"})
    client.get("/api/rotations")
    client.close()
    assert server.seen[0][2]["Authorization"] == "Bearer mine"


def test_an_app_elsewhere_is_reached_through_the_proxy(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", server.url)
    monkeypatch.setenv("KEYTURN_FUNCTION_KEY", "k")
    server.answers = [(403, None, {})] * 4
    monkeypatch.setattr("cli.api._WAITS", (0, 0, 0))
    ran = CliRunner().invoke(app, ["status", "--app", "https://kt.example"])
    assert ran.exit_code == 6
    assert server.seen[0][:2] == ("CONNECT", "kt.example:443")


@pytest.mark.parametrize(
    "audience",
    [
        "https://management.azure.com/",
        "https://MANAGEMENT.azure.com:443/.default",
        "management.usgovcloudapi.net",
        "https://management.core.windows.net/",
        "https://vault.azure.net",
        "https://kv1.vault.azure.cn",
        "https://managedhsm.azure.net",
        "https://storage.azure.com/",
        "https://st1.blob.core.windows.net",
        "https://graph.microsoft.com",
    ],
)
def test_no_app_gets_a_token_for_azure(audience: str) -> None:
    args = ["status", "--app", "https://kt.example", "--audience", audience]
    ran = CliRunner().invoke(app, args)
    assert ran.exit_code == 2
    assert "is a service of Azure" in ran.stderr
