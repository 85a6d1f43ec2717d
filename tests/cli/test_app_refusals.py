"""Whatever goes wrong between us and an app is one sentence with what to do, never a stack."""

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.rotations import ACTIONS
from tests.cli.desk import Desk
from tests.cli.servers import Server
from tests.cli.test_wishes import run

COMMANDS = (
    ("rotate", "kv1/cmk", "--reason", "r"),
    ("rotate", "kv1/cmk", "--reason", "r", "--wait"),
    ("rotate", "kv1/cmk", "--reason", "r", "--dry-run"),
    ("requests",),
    ("status",),
    ("status", "r-1"),
    ("watch", "r-1"),
    *((action.name, "r-1", "--reason", "r") for action in ACTIONS),
    ("settle", "r-1", "/subscriptions/s", "--reason", "r"),
    ("replay",),
    ("replay", "r-1", "--reason", "r"),
    ("replay", "kv1/cmk", "--reason", "r"),
    ("report", "r-1"),
)
EACH = pytest.mark.parametrize("args", COMMANDS, ids=" ".join)
WITH_KEY = {"KEYTURN_FUNCTION_KEY": "hush"}


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.api._WAITS", (0, 0, 0))


def test_every_command_of_the_app_is_tried() -> None:
    laptop = {"inventory", "versions", "plan", "verify", "doctor"}
    assert {args[0] for args in COMMANDS} | laptop == {c.name for c in app.registered_commands}


def sentence(out: str, err: str) -> str:
    """Return the one line in which the command said why it failed."""
    assert not out
    (line,) = err.splitlines()
    assert line.startswith("keyturn: ")
    assert "hush" not in line
    return line


@EACH
@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (401, 4, "why not"),
        (403, 4, "why not: ask somebody who may, or for that right"),
        (404, 5, "why not: check its name, and that you may see it"),
        (409, 1, "why not"),
    ],
)
def test_a_refusal_is_told_in_the_apps_words(
    server: Server, args: tuple[str, ...], status: int, code: int, said: str
) -> None:
    server.answers = [(status, {"detail": "why not"}, {})]
    ran = run(server, *args)
    assert (ran.exit_code, sentence(ran.stdout, ran.stderr)) == (code, f"keyturn: {said}")
    assert len(server.seen) == 1, "what is refused is not asked for again"


@EACH
def test_a_host_that_refuses_without_a_word_says_how_to_get_in(
    server: Server, args: tuple[str, ...]
) -> None:
    server.answers = [(401, None, {})]
    ran = run(server, *args)
    assert ran.exit_code == 4
    assert "give --audience for Entra ID, or a function key" in sentence(ran.stdout, ran.stderr)


@EACH
@pytest.mark.parametrize(
    ("url", "env"),
    [
        ("http://127.0.0.1:9", {}),
        ("https://kt.example", {"HTTPS_PROXY": "http://127.0.0.1:9"}),
    ],
    ids=["nothing listens", "the proxy is gone"],
)
def test_no_network_says_to_check_it(args: tuple[str, ...], url: str, env: dict[str, str]) -> None:
    ran = CliRunner().invoke(app, args, env=env | WITH_KEY | {"KEYTURN_APP": url})
    assert ran.exit_code == 6
    said = sentence(ran.stdout, ran.stderr)
    assert said.startswith(f"keyturn: {url} ")
    assert said.endswith("check the network, and try again")


@EACH
def test_a_login_that_has_expired_says_to_log_in(desk: Desk, args: tuple[str, ...]) -> None:
    desk.let_login_expire()
    ran = desk.run(*args, "--app", "http://127.0.0.1:9", "--audience", "api://keyturn")
    assert ran.code == 4
    assert sentence(ran.out, ran.err).startswith("keyturn: sign in first: az login")


@EACH
def test_no_way_in_is_a_wrong_command_line(args: tuple[str, ...]) -> None:
    env = {"KEYTURN_FUNCTION_KEY": "", "KEYTURN_AUDIENCE": ""}
    ran = CliRunner().invoke(app, [*args, "--app", "https://kt.example"], env=env)
    assert ran.exit_code == 2
    assert "--audience: say how the app lets you in" in sentence(ran.stdout, ran.stderr)
