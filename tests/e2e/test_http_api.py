"""The HTTP API: asking for a rotation, and seeing how one stands."""

from http import HTTPStatus
from typing import Any

import pytest

from sandbox.faults import Fault
from tests.e2e.conftest import LOCKED_VAULT
from tests.e2e.stage import VAULT, Stage, verdicts


def _ask(
    stage: Stage, key: str, body: object, *, vault: str = VAULT, **how: str
) -> tuple[int, str, Any]:
    name = key.rpartition("/")[2]
    status, headers, answer = stage.http("POST", f"/api/keys/{vault}/{name}/rotate", body, **how)
    return status, headers.get("location", ""), answer


def _done(stage: Stage, location: str) -> dict[str, Any]:
    """Wait until what a Location shows has ended; return it."""

    def ended() -> dict[str, Any] | None:
        _, _, found = stage.http("GET", location)
        return found if found.get("endedAt") or found.get("problem") else None

    return stage.until(ended, 40, f"the end of {location}")


def test_a_wish_to_rotate_makes_one_version_and_its_location_tells_the_rest(
    running: Stage,
) -> None:
    key = running.key()
    account = running.account("stasked", key)
    running.azure.event_grid.lose_next()

    status, location, answer = _ask(running, key, {"reason": "quarterly"})
    report = _done(running, location)

    assert (status, answer["state"], report["key"]) == (202, "requested", key)
    assert location == f"/api/rotations/{answer['id']}"
    versions = running.vault.versions(key.rpartition("/")[2])
    assert [version.kid for version in versions][1:] == [report["target"]]
    assert (report["state"], report["reason"], report["trigger"]) == (
        "completed",
        "quarterly",
        "operator",
    )
    assert verdicts(report) == {"stasked": "verified"}
    assert running.in_use(account) == report["target"]


def test_the_event_of_the_version_that_a_wish_made_moves_nothing_twice(running: Stage) -> None:
    key = running.key()
    account = running.account("stonce", key)

    _, location, _ = _ask(running, key, {"reason": "and its event"})
    target = _done(running, location)["target"]
    running.quiet()

    assert running.writes(account) == 1
    assert [r["target"] for r in running.rotations() if r["key"] == key] == [target]


def test_a_vault_whose_answer_to_a_wish_was_lost_is_not_asked_for_another_version(
    running: Stage,
) -> None:
    """And though the version's own event then opens the rotation, who asked finds their words."""
    key = running.key()
    name = key.rpartition("/")[2]
    fault = Fault(method="POST", path=f"/keys/{name}/rotate", lose_answer=True)
    running.azure.faults.add(fault)

    _, location, _ = _ask(running, key, {"reason": "asked once"})
    report = _done(running, location)
    running.quiet()

    assert len(running.calls("POST", f"/keys/{name}/rotate")) == 1
    assert [version.kid for version in running.vault.versions(name)][1:] == [report["target"]]
    assert (report["trigger"], report["reason"]) == ("event", "asked once")


def test_without_a_new_version_stragglers_are_brought_over_in_a_second_run(
    running: Stage,
) -> None:
    key = running.key()
    running.account("stfirst", key)
    first_version = running.vault.versions(key.rpartition("/")[2])[0].kid
    target = running.rotate(key)
    first_run = running.ended(target)
    straggler = running.account("ststraggler", first_version)

    _, location, _ = _ask(running, key, {"reason": "stragglers", "newVersion": False})
    report = _done(running, location)

    assert (first_run["id"][-2:], report["id"][-2:]) == ("-1", "-2")
    assert report["target"] == target
    assert len(running.vault.versions(key.rpartition("/")[2])) == 2
    assert verdicts(report) == {"stfirst": "already", "ststraggler": "verified"}
    assert running.in_use(straggler) == target


def test_a_vault_that_refuses_us_is_told_to_who_asked(running: Stage) -> None:
    key = running.key(vault=LOCKED_VAULT)

    status, location, _ = _ask(running, key, {"reason": "no rights"}, vault=LOCKED_VAULT)
    report = _done(running, location)

    assert status == HTTPStatus.ACCEPTED
    assert report["state"] == "failed"
    assert "Caller is not authorized" in report["problem"]
    assert len(running.azure.estate.vault(LOCKED_VAULT).versions(key.rpartition("/")[2])) == 1


def test_a_key_that_does_not_exist_is_told_to_who_asked(running: Stage) -> None:
    _, location, _ = _ask(running, "no-such-key", {"reason": "a slip"})

    report = _done(running, location)

    assert report["state"] == "failed"
    assert "KeyNotFound" in report["problem"]


_BODIES: dict[str, tuple[object, list[str]]] = {
    "nothing": (None, ["#"]),
    "no JSON": (b"{reason: mine}", ["#"]),
    "no UTF-8": (b'{"reason": "\xff"}', ["#"]),
    "no object": ([], ["#"]),
    "no reason": ({}, ["#"]),
    "a blank reason": ({"reason": "  "}, ["#/reason"]),
    "a reason that is no text": ({"reason": 7}, ["#/reason"]),
    "a reason too long": ({"reason": "x" * 501}, ["#/reason"]),
    "all at once": (
        {"reason": "", "newVersion": "yes", "force": 1},
        ["#", *["#/reason"] * 2, "#/newVersion"],
    ),
}


@pytest.mark.parametrize("name", _BODIES)
def test_a_bad_body_is_refused_with_every_problem_and_makes_no_version(
    running: Stage, name: str
) -> None:
    body, pointers = _BODIES[name]
    key = running.key()

    status, headers, answer = running.http(
        "POST", f"/api/keys/{VAULT}/{key.rpartition('/')[2]}/rotate", body
    )

    assert status == HTTPStatus.BAD_REQUEST
    assert headers["content-type"].partition(";")[0] == "application/problem+json"
    assert sorted(error["pointer"] for error in answer["errors"]) == sorted(pointers)
    assert all(error["detail"] for error in answer["errors"])
    assert (answer["status"], answer["title"]) == (400, "Bad Request")
    assert len(running.vault.versions(key.rpartition("/")[2])) == 1


@pytest.mark.parametrize(
    ("vault", "key", "status"),
    [
        pytest.param("kv-unknown", "cmk", 403, id="a vault off the allow-list"),
        pytest.param("kv_bad", "cmk", 400, id="a name that no vault can have"),
        pytest.param("kv-stage.vault.azure.net.evil.example", "cmk", 400, id="a foreign host"),
        pytest.param(VAULT, "c_m_k", 400, id="a name that no key can have"),
        pytest.param(VAULT, "k" * 128, 400, id="a name too long for a key"),
    ],
)
def test_what_may_not_be_rotated_is_refused_as_a_problem(
    running: Stage, vault: str, key: str, status: int
) -> None:
    found, headers, answer = running.http(
        "POST", f"/api/keys/{vault}/{key}/rotate", {"reason": "a try"}
    )

    assert (found, answer["status"]) == (status, status)
    assert headers["content-type"].partition(";")[0] == "application/problem+json"
    assert answer["detail"]


def test_an_unknown_rotation_is_not_found(running: Stage) -> None:
    status, headers, answer = running.http("GET", "/api/rotations/no-such-id")

    assert status == HTTPStatus.NOT_FOUND
    assert headers["content-type"].partition(";")[0] == "application/problem+json"
    assert "no-such-id" in answer["detail"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", f"/api/keys/{VAULT}/cmk/rotate"), ("GET", "/api/rotations/some-id")],
)
def test_without_a_function_key_nothing_is_answered(running: Stage, method: str, path: str) -> None:
    status, _, _ = running.http(method, path, {"reason": "no key"}, key="")

    assert status == HTTPStatus.UNAUTHORIZED
