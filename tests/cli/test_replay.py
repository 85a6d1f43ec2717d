"""What failed for good is listed, and taken up again through the app alone."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from tests.cli.servers import ACCEPTED, Answer, Server
from tests.cli.test_wishes import run

KEY = "https://kv1.vault.azure.net/keys/cmk"
RETRIED: Answer = (202, {"id": "r-2", "state": "retry accepted"}, {})


def event(url: str = f"{KEY}/{'a' * 32}", **more: object) -> dict[str, Any]:
    """Return an event as Event Grid writes it to the dead-letter container."""
    return {
        "id": "e",
        "eventType": "Microsoft.KeyVault.KeyNewVersionCreated",
        "eventTime": "2026-11-01T10:00:00.1234567Z",
        "deadLetterReason": "MaxDeliveryAttemptsExceeded",
        "data": {"Id": url, "ObjectType": "Key"},
        **more,
    }


def health(status: int = 200, **checks: str) -> Answer:
    told = [
        {"name": name, "status": said, "said": f"{name} said", "advice": "do this"}
        for name, said in checks.items()
    ]
    return status, {"status": "warn", "version": "1", "checks": told}, {}


def test_what_failed_of_a_rotation_is_taken_up_through_the_app(server: Server) -> None:
    server.answers = [RETRIED]
    ran = run(server, "replay", "r-1", "--reason", "mended")
    assert (ran.exit_code, ran.stdout) == (0, "r-2\n")
    assert server.seen[0][:2] == ("POST", "/api/rotations/r-1/retry")
    assert server.bodies == [{"reason": "mended"}]


@pytest.mark.parametrize("key", ["kv1/cmk", KEY, f"{KEY}/{'a' * 32}"])
def test_a_key_is_looked_at_again_and_no_version_is_made(server: Server, key: str) -> None:
    server.answers = [ACCEPTED]
    ran = run(server, "replay", key, "--reason", "event lost")
    assert (ran.exit_code, ran.stdout) == (0, "req-1\n")
    assert server.seen[0][:2] == ("POST", "/api/keys/kv1.vault.azure.net/cmk/rotate")
    assert server.bodies == [{"reason": "event lost", "newVersion": False}]
    assert server.once_keys() != [""]


def test_a_look_whose_answer_was_lost_can_be_asked_for_again(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.api._WAITS", (0, 0, 0))
    server.answers = [None] * 4
    ran = run(server, "replay", "kv1/cmk", "--reason", "it was lost")
    assert ran.exit_code == 6
    (once,) = set(server.once_keys())
    again = f"keyturn rotate {KEY} --no-new-version --reason 'it was lost' --idempotency-key {once}"
    assert again in ran.stderr


def test_a_dead_letter_shows_the_keys_that_it_names_and_asks_nothing(
    server: Server, tmp_path: Path
) -> None:
    named = event(), event(eventType="Microsoft.KeyVault.VaultAccessPolicyChanged", data={"Id": ""})
    (tmp_path / "d.json").write_text(json.dumps(named))
    args = ["replay", "--dead-letter", str(tmp_path / "d.json"), "-o", "json"]
    ran = run(server, *args)
    assert [(row["key"], row["request"]) for row in json.loads(ran.stdout)] == [
        (KEY, None),
        (None, None),
    ]
    assert json.loads(ran.stdout)[0]["because"] == "MaxDeliveryAttemptsExceeded"
    assert "2 events, of 1 key.\n1 that name no key are no loss" in ran.stderr
    assert "--reason" in ran.stderr
    assert (ran.exit_code, server.seen) == (3, [])


def test_each_key_of_a_dead_letter_is_looked_at_once(server: Server) -> None:
    other = KEY.replace("cmk", "other")
    cloud_event = {"type": "t", "time": "x", "deadletterreason": "Failed", "data": {"id": other}}
    server.answers = [ACCEPTED, (202, {"id": "req-2", "state": "requested"}, {})]
    env = {"KEYTURN_APP": server.url, "KEYTURN_FUNCTION_KEY": "k"}
    ran = CliRunner().invoke(
        app,
        ["replay", "--dead-letter", "-", "--reason", "app was down"],
        env=env,
        input=json.dumps([event(), event(), cloud_event]),
    )
    assert ran.exit_code == 0, ran.output
    assert [path for _, path, _ in server.seen] == [
        "/api/keys/kv1.vault.azure.net/cmk/rotate",
        "/api/keys/kv1.vault.azure.net/other/rotate",
    ]
    assert {body["newVersion"] for body in server.bodies} == {False}
    assert ran.stdout.count("req-1") == 2
    assert "3 events, of 2 keys; 2 looked at.\n" in ran.stderr


@pytest.mark.parametrize(
    "url",
    ["https://evil.example/keys/cmk", "https://kv1.vault.azure.net/secrets/cmk", "", "https://["],
)
def test_what_names_no_key_of_azure_is_not_asked_for(server: Server, url: str) -> None:
    env = {"KEYTURN_APP": server.url, "KEYTURN_FUNCTION_KEY": "k"}
    args = ["replay", "--dead-letter", "-", "--reason", "r", "-o", "json"]
    ran = CliRunner().invoke(app, args, env=env, input=json.dumps([event(url)]))
    assert (ran.exit_code, server.seen) == (0, [])
    assert json.loads(ran.stdout)[0]["key"] is None


@pytest.mark.parametrize(
    ("args", "stdin", "said"),
    [
        (["r-1"], "", "--reason: say why"),
        (["--reason", "r"], "", "say what is taken up again"),
        (["r-1", "--dead-letter", "-", "--reason", "r"], "[]", "not both"),
        (["--dead-letter", "nowhere.json"], "", "nowhere.json: No such file"),
        (["--dead-letter", "-"], "{", "it is no JSON"),
        (["--dead-letter", "-"], '[{"id": 1}]', "holds no events"),
        (["--dead-letter", "-"], "1", "holds no events"),
        (["kv.evil.example/cmk", "--reason", "r"], "", "is no key"),
    ],
)
def test_what_cannot_be_replayed_is_said(
    server: Server, args: list[str], stdin: str, said: str
) -> None:
    env = {"KEYTURN_APP": server.url, "KEYTURN_FUNCTION_KEY": "k"}
    ran = CliRunner().invoke(app, ["replay", *args], env=env, input=stdin)
    assert (ran.exit_code, ran.stdout, server.seen) == (2, "", [])
    assert said in ran.stderr


def test_an_app_that_is_ill_still_says_what_failed(server: Server) -> None:
    server.answers = [(200, {"items": []}, {}), health(503, timer="fail", events="warn")]
    ran = run(server, "replay")
    assert ran.exit_code == 3
    assert "timer: timer said; do this" in ran.stderr
    assert "keyturn replay VAULT/KEY --reason" in ran.stderr


def test_nothing_that_failed_is_said_and_fine(server: Server) -> None:
    server.answers = [(200, {"items": []}, {}), health(timer="pass", keys="warn")]
    ran = run(server, "replay")
    assert (ran.exit_code, ran.stderr) == (0, "Nothing failed for good.\n")
