"""The app's client: what is sent again, and what is followed nowhere."""

import traceback
from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner

from cli.api import AppClient, check_url
from cli.main import app
from shared.domain import errors
from tests.cli.servers import ACCEPTED, Server


@pytest.fixture
def client(server: Server) -> Iterator[AppClient]:
    waited: list[float] = []
    found = AppClient(server.url, lambda: {"x-functions-key": "k"}, wait=waited.append)
    yield found
    found.close()


def test_a_wish_whose_answer_was_lost_is_sent_again_under_the_same_key(
    server: Server, client: AppClient
) -> None:
    server.answers = [None, (503, {"detail": "not now"}, {"Retry-After": "1"}), ACCEPTED]
    assert client.post("/api/keys/kv/cmk/rotate", {"reason": "r"}, once="one")["id"] == "req-1"
    assert server.once_keys() == ["one", "one", "one"]


def test_a_wish_without_a_key_is_sent_once(server: Server, client: AppClient) -> None:
    server.answers = [None]
    with pytest.raises(errors.UnansweredError, match="took the wish, maybe"):
        client.post("/api/rotations/r/cancel", {"reason": "r"})
    assert len(server.seen) == 1


def test_after_several_tries_it_says_that_the_wish_may_have_been_taken(
    server: Server, client: AppClient
) -> None:
    server.answers = [None] * 4
    with pytest.raises(errors.UnansweredError):
        client.post("/api/keys/kv/cmk/rotate", {"reason": "r"}, once="one")
    assert server.once_keys() == ["one"] * 4


def test_what_has_not_changed_is_not_sent_again(server: Server, client: AppClient) -> None:
    server.answers = [(200, {"state": "moving"}, {"ETag": '"a"'}), (304, None, {})]
    assert client.get("/api/rotations/r") == client.get("/api/rotations/r")
    assert server.seen[1][2]["If-None-Match"] == '"a"'


def test_pages_are_followed_on_the_app_alone(server: Server, client: AppClient) -> None:
    server.answers = [
        (200, {"items": [{"n": 1}], "next": "/api/rotations?after=x"}, {}),
        (200, {"items": [{"n": 2}], "next": "https://evil.example/api"}, {}),
    ]
    found = client.items("/api/rotations")
    assert [next(found), next(found)] == [{"n": 1}, {"n": 2}]
    with pytest.raises(errors.NotAllowedError, match="another host"):
        next(found)


def test_a_redirect_takes_no_token_along(server: Server, client: AppClient) -> None:
    server.answers = [(302, None, {"Location": "https://evil.example/"})]
    with pytest.raises(errors.RejectedError, match="answered with 302"):
        client.get("/api/rotations")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, errors.RejectedError),
        (401, errors.NotSignedInError),
        (403, errors.NotPermittedError),
        (404, errors.NotFoundError),
        (409, errors.NotActiveError),
        (422, errors.AlreadyUsedError),
        (502, errors.RejectedError),
    ],
)
def test_a_problem_is_told_in_the_apps_words(
    server: Server, client: AppClient, status: int, error: type[Exception]
) -> None:
    problem = {"detail": "why not", "errors": [{"pointer": "#/reason", "detail": "too short"}]}
    server.answers = [(status, problem, {})]
    with pytest.raises(error, match="why not: #/reason: too short"):
        client.get("/api/rotations/r")


def test_what_is_no_keyturn_is_said(server: Server, client: AppClient) -> None:
    server.answers = [(200, ["something", "else"], {})]
    with pytest.raises(errors.UnreadableError, match="is no Keyturn"):
        client.get("/api/rotations/r")


@pytest.mark.parametrize(
    ("url", "accepted"),
    [
        ("https://kt.azurewebsites.net/", "https://kt.azurewebsites.net"),
        ("https://kt.azurewebsites.net/api", "https://kt.azurewebsites.net"),
        ("http://localhost:7071", "http://localhost:7071"),
        ("http://kt.azurewebsites.net", None),
        ("https://me:secret@kt.azurewebsites.net", None),
        ("https://kt.azurewebsites.net/?code=secret", None),
        ("kt.azurewebsites.net", None),
        ("https://[", None),
        ("file:///etc/passwd", None),
    ],
)
def test_a_token_goes_to_https_alone(url: str, accepted: str | None) -> None:
    check: Callable[[], str] = lambda: check_url(url)  # noqa: E731 - called below
    if accepted:
        assert check() == accepted
    else:
        with pytest.raises(ValueError, match="is n"):
            check()


@pytest.mark.parametrize(
    "url",
    [
        "https://me:hush@kt.azurewebsites.net",
        "https://kt.azurewebsites.net?code=hush",
        "https://kt.azurewebsites.net/#hush",
        "kt.azurewebsites.net?code=hush",
        "http://kt.azurewebsites.net/hush",
    ],
)
def test_what_may_be_a_secret_in_an_apps_url_is_not_repeated(url: str) -> None:
    ran = CliRunner().invoke(app, ["status", "--app", url])
    assert ran.exit_code == 2
    assert "--app: " in ran.stderr
    assert "hush" not in ran.output


def test_a_function_key_may_end_with_a_newline(server: Server) -> None:
    server.answers = [(200, {"items": []}, {})]
    env = {"KEYTURN_APP": server.url, "KEYTURN_FUNCTION_KEY": "hush\r\n"}
    ran = CliRunner().invoke(app, ["status"], env=env)
    assert ran.exit_code == 0, ran.output
    assert server.seen[0][2]["x-functions-key"] == "hush"


@pytest.mark.parametrize(
    ("key", "args"),
    [
        ("hu\nsh", ()),
        ("hush\x7f", ()),
        ("húsh", ()),
        ("hush\x7f", ("--function-key-stdin",)),
    ],
)
def test_a_function_key_that_can_be_none_is_refused_and_not_repeated(
    key: str, args: tuple[str, ...]
) -> None:
    env = {"KEYTURN_APP": "http://127.0.0.1:9", "KEYTURN_FUNCTION_KEY": key}
    ran = CliRunner().invoke(app, ["status", "--debug", *args], env=env, input=f"{key}\n")
    assert ran.exit_code == 2
    assert "copy it once more" in ran.stderr
    assert key.splitlines()[0] not in ran.output


def test_debug_shows_no_header() -> None:
    found = AppClient(
        "http://127.0.0.1:9", lambda: {"x-functions-key": "hush\n"}, wait=lambda _: None
    )
    with pytest.raises(errors.UnavailableError) as raised:
        found.get("/api/rotations")
    assert "hush" not in "".join(traceback.format_exception(raised.value))
