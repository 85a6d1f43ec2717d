"""The command against a deployed app: the real one, on the sandbox's Functions host."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from sandbox.azure import LocalAzure
from sandbox.faults import Answer, Fault
from sandbox.identity import AUDIENCES
from tests.cli.desk import Desk, plain
from tests.e2e.stage import VAULT, Stage

OPERATOR, APPROVER = "Keyturn.Operator", "Keyturn.Approver"


@dataclass(frozen=True, slots=True)
class Deployed:
    stage: Stage
    desk: Desk

    def rotated(self, name: str, *accounts: str) -> str:
        """Make a key with pinned accounts, and return it as the command takes it."""
        key = self.stage.key(name)
        for account in accounts:
            self.stage.account(account, key)
        return f"{VAULT}/{name}"


@pytest.fixture(scope="session")
def _with_key(
    local_azure: Callable[[float], LocalAzure], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    with local_azure(60) as azure:
        stage, desk = Stage(azure), Desk(azure, tmp_path_factory.mktemp("desk"))
        stage.start()
        assert azure.host is not None
        desk.env["KEYTURN_APP"] = azure.host.url
        desk.env["KEYTURN_FUNCTION_KEY"] = azure.host.keys["function"]
        yield Deployed(stage, desk)


@pytest.fixture
def app(_with_key: Deployed) -> Iterator[Deployed]:
    """An app that function keys open."""
    yield _with_key
    _with_key.stage.azure.faults.clear()


@pytest.fixture(scope="session")
def entra(
    local_azure: Callable[[float], LocalAzure], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    """An app behind App Service authentication, in which rotations need an approval."""
    with local_azure(60) as azure:
        stage, desk = Stage(azure), Desk(azure, tmp_path_factory.mktemp("desk"))
        stage.start(
            {"KEYTURN_AUTH": "app_service"}, policy={"mode": "approve"}, app_service_auth=True
        )
        assert azure.host is not None
        desk.env["KEYTURN_APP"], desk.env["KEYTURN_AUDIENCE"] = azure.host.url, AUDIENCES[0]
        yield Deployed(stage, desk)


def lines(text: str) -> list[str]:
    return text.splitlines()


def test_a_rotation_is_asked_for_and_watched_to_its_end(app: Deployed) -> None:
    key = app.rotated("cmk-whole", "stwhole")
    ran = app.desk.run("rotate", key, "--reason", "quarterly", "--wait", "--interval", "0.3")
    assert ran.code == 0, ran.err
    request, *changes = lines(ran.out)
    assert request.startswith("req-")
    assert "verified   stwhole (reported)" in changes
    assert changes[-1] == "completed"
    assert "\x1b" not in ran.out + ran.err
    assert "completed: 1 of 1 consumers proven on the new version" in ran.err

    shown = app.desk.run("status", request, "-o", "json")
    view: dict[str, Any] = json.loads(shown.out)
    assert (view["reason"], view["counts"]) == ("quarterly", {"verified": 1})
    assert app.desk.run("verify", key).code in (0, 4), "as whoever sits here"

    report = app.desk.run("report", view["id"], "-o", "json")
    whole: dict[str, Any] = json.loads(report.out)
    assert report.code == 0
    assert [c["name"] for c in whole["consumers"]] == ["stwhole"]
    assert "starts" not in whole
    table = app.desk.run("report", view["id"])
    assert lines(table.out)[0].startswith("CONSUMER")
    assert "stwhole" in lines(table.out)[1]


def test_a_dry_run_says_what_would_be_done_and_does_nothing(app: Deployed) -> None:
    key = app.rotated("cmk-dry", "stdry")
    ran = app.desk.run("rotate", key, "--reason", "r", "--dry-run", "-o", "json")
    assert [(row["name"], row["action"]) for row in ran.json()] == [("stdry", "repoint")]
    assert ran.code == 0
    assert len(app.stage.vault.versions("cmk-dry")) == 1


def test_no_new_version_brings_laggards_to_the_newest(app: Deployed) -> None:
    key = app.rotated("cmk-lag", "stlag")
    app.stage.azure.event_grid.lose_next()
    newest = app.stage.vault.rotate("cmk-lag")
    args = ("--no-new-version", "--wait", "--interval", "0.3", "-q")
    ran = app.desk.run("rotate", key, "--reason", "r", *args)
    assert (ran.code, ran.err) == (0, "")
    assert len(app.stage.vault.versions("cmk-lag")) == 2
    assert app.stage.ended(newest)["counts"] == {"verified": 1}


def test_an_idempotency_key_makes_two_wishes_one(app: Deployed) -> None:
    key = app.rotated("cmk-once")
    asked = [
        app.desk.run("rotate", key, "--reason", "r", "--idempotency-key", "k1").out
        for _ in range(2)
    ]
    assert asked[0] == asked[1]


def test_bars_are_drawn_and_ctrl_c_only_stops_watching(app: Deployed) -> None:
    key = app.rotated("cmk-bars", "stbars")
    app.stage.azure.faults.add(
        Fault(
            method="PATCH",
            path="*/stbars",
            times=None,  # until somebody has looked, however slow this machine is
            answer=Answer(429, {"error": {"code": "TooMany"}}, {"retry-after": "600"}),
        )
    )
    args = ("rotate", key, "--reason", "r", "--wait", "--interval", "0.3")
    with app.desk.typing(*args) as typed:
        typed.until("storage account")
        typed.until("1 open")
        typed.interrupt()
        ran = typed.ended()
    app.stage.azure.faults.clear()
    shown = plain(ran.out)
    assert ran.code == 130
    assert "━" in shown
    assert "No longer watched; the rotation goes on. Come back by: keyturn watch req-" in shown
    assert "Traceback" not in shown
    rotation = rotation_of(app, shown)
    back = app.desk.run("watch", rotation, "--interval", "0.3")
    assert back.code == 0, back.err
    assert "verified   stbars (reported)" in lines(back.out)


def test_the_end_of_the_time_that_a_kind_has_is_shown(app: Deployed) -> None:
    key = app.rotated("cmk-eta")
    app.stage.account("steta", key_url(app, "cmk-eta"), "absent")
    args = ("rotate", key, "--reason", "r", "--wait", "--interval", "0.3")
    with app.desk.typing(*args, columns=160) as typed:
        # A versionless account has a day from the version's creation: documented, not assumed. An
        # hour of it is a minute of ours, and a slow machine needs more than one.
        typed.until("1 open; at the latest in 2")
        typed.interrupt()
        shown = plain(typed.ended().out)
    assert re.search(r"1 open; at the latest in 2[0-3] h \d\d min, .*UTC", shown)
    assert "(assumed)" not in shown
    rotation = rotation_of(app, shown)

    paused = app.desk.run("pause", rotation, "--reason", "lunch")
    assert (paused.code, paused.out) == (0, f"{rotation}\n")
    status = app.desk.run("status", rotation)
    assert status.code == 3
    assert "It begins no write: lunch" in lines(status.out)
    assert app.desk.run("resume", rotation, "--reason", "fed").code == 0
    assert app.desk.run("cancel", rotation, "--reason", "enough").code == 0
    ended = app.desk.run("watch", rotation, "--interval", "0.3")
    assert ended.code == 3
    assert "keyturn status" in ended.err
    late = app.desk.run("pause", rotation, "--reason", "too late")
    assert late.code == 1
    assert "moves nothing any more" in late.err


def rotation_of(app: Deployed, shown: str) -> str:
    """Return the rotation that serves the request which was shown; the key's first is another."""
    request = re.search(r"req-[0-9a-f-]{36}", shown)
    assert request is not None
    view: dict[str, Any] = json.loads(app.desk.run("status", request[0], "-o", "json").out)
    return str(view["id"])


def key_url(app: Deployed, name: str) -> str:
    return f"{app.stage.vault.uri}/keys/{name}"


def test_rotations_are_listed_once_each_the_newest_first(app: Deployed) -> None:
    for name in ("cmk-one", "cmk-two"):
        key = app.rotated(name)
        app.desk.run("rotate", key, "--reason", "r", "--wait", "--interval", "0.3")
    rows = app.desk.run("status", "-o", "json").json()
    listed = [row["id"] for row in rows]
    assert len(listed) == len(set(listed))
    keys = [str(row["key"]).rpartition("/")[2] for row in rows]
    assert keys.index("cmk-two") < keys.index("cmk-one")
    one = app.desk.run("status", "--key", f"{VAULT}/cmk-one", "-o", "json").json()
    assert [str(row["key"]).rpartition("/")[2] for row in one] == ["cmk-one"]
    assert len(app.desk.run("status", "--top", "1", "-o", "json").json()) == 1


def test_what_failed_for_good_is_shown_and_taken_up_again(app: Deployed) -> None:
    key = app.rotated("cmk-failing", "stfailing")
    denied = Answer(403, {"error": {"code": "AuthorizationFailed", "message": "may not"}})
    app.stage.azure.faults.add(Fault(method="PATCH", path="*/stfailing", answer=denied, times=None))
    app.desk.run("rotate", key, "--reason", "r")
    target = app.stage.until(
        lambda: next((r for r in app.stage.rotations() if r["key"].endswith("/cmk-failing")), None),
        40,
        "the rotation",
    )["id"]
    app.stage.shown(target, lambda view: view["endedAt"])
    status = app.desk.run("status", target)
    assert status.code == 3
    assert "failed  stfailing" in status.out
    app.stage.azure.faults.clear()
    replayed = app.desk.run("replay")
    assert replayed.code == 3
    assert target in replayed.out
    assert "keyturn replay ROTATION" in replayed.err
    again = app.desk.run("replay", target, "--reason", "mended").out.strip()
    watched = app.desk.run("watch", again, "--interval", "0.3")
    assert watched.code == 0, watched.err


def test_an_approval_is_somebody_elses(entra: Deployed) -> None:
    key = entra.rotated("cmk-asked", "stasked")
    entra.desk.sign_in("olga@contoso.com", OPERATOR)
    asked = entra.desk.run("rotate", key, "--reason", "quarterly")
    request = asked.out.strip()
    assert "needs approval" in asked.err
    assert f"keyturn approve {request}" in asked.err
    assert entra.desk.run("status", request).code == 3

    refused = entra.desk.run("approve", request, "--reason", "myself")
    assert refused.code == 4
    assert "keyturn: this needs the app role Keyturn.Approver" in refused.err

    entra.desk.sign_in("ann@contoso.com", APPROVER)
    assert entra.desk.run("approve", request, "--reason", "agreed").code == 0
    watched = entra.desk.run("watch", request, "--interval", "0.3", "-q")
    assert watched.code == 0, watched.err
    told = json.loads(entra.desk.run("status", request, "-o", "json").out)
    assert told["counts"] == {"verified": 1}


def test_who_may_not_is_told_so(entra: Deployed) -> None:
    entra.desk.sign_in("eve@contoso.com")
    ran = entra.desk.run("status")
    assert (ran.code, ran.out) == (4, "")
    said = "this needs the app role Keyturn.Auditor: ask somebody who may, or for that right"
    assert ran.err == f"keyturn: {said}\n"
    entra.desk.sign_in()
    unknown = entra.desk.run("status")
    assert unknown.code == 4
    assert "AADSTS500011" in unknown.err


@pytest.mark.parametrize(
    ("env", "code", "said"),
    [
        ({"KEYTURN_FUNCTION_KEY": "wrong"}, 4, "the app does not let us in"),
        ({"KEYTURN_APP": "http://127.0.0.1:9"}, 6, "cannot be reached"),
        ({"KEYTURN_FUNCTION_KEY": ""}, 2, "--audience"),
    ],
)
def test_an_app_that_does_not_let_us_in_is_a_sentence(
    app: Deployed, env: dict[str, str], code: int, said: str
) -> None:
    ran = app.desk.run("watch", "r-1", "--interval", "0.1", env=env)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert "wrong" not in ran.err


def test_a_function_key_is_read_from_stdin(app: Deployed) -> None:
    key, env = app.desk.env["KEYTURN_FUNCTION_KEY"], {"KEYTURN_FUNCTION_KEY": ""}
    ran = app.desk.run("status", "--function-key-stdin", stdin=f"{key}\n", env=env)
    assert ran.code == 0
    assert key not in ran.out + ran.err


def test_an_unknown_rotation_is_not_found(app: Deployed) -> None:
    for command in (["status"], ["watch"], ["report"], ["pause", "--reason", "r"]):
        name, *more = command
        ran = app.desk.run(name, "no-such", *more)
        assert ran.code == 5, ran.err
        assert "no-such" in ran.err
