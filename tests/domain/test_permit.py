"""Whether a rotation may begin a write, and whether a resource may be written to."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from shared.domain.permit import is_canary, why_held, why_left, why_unapproved
from shared.domain.policy import Mode, Rules, Window
from shared.domain.rows import Cause, KeyHead, Rotation
from tests.domain.values import KEY, NOW, TARGET

LATER = NOW + timedelta(hours=1)
HEAD = KeyHead(key=str(KEY), active="r1")
APPROVED = replace(HEAD, approved_until=LATER)
CLOSED = Window(opens="01:00", closes="02:00")  # it is 18:00


def rotation(mode: Mode = Mode.AUTO, **fields: Any) -> Rotation:  # noqa: ANN401 - any of its fields
    rules = Rules(mode=mode, windows=fields.pop("windows", ()))
    return Rotation(
        id="r1",
        key=str(KEY),
        target=str(TARGET),
        target_created=NOW,
        key_type="RSA",
        run=1,
        cause=Cause(trigger="event", id="e1"),
        opened_at=NOW,
        rules=rules,
        **fields,
    )


@pytest.mark.parametrize(
    ("head", "of", "now", "why"),
    [
        (HEAD, rotation(), NOW, ""),
        (HEAD, rotation(Mode.OBSERVE), NOW, ""),  # what it may write to is asked per resource
        (replace(HEAD, paused="why"), rotation(), NOW, "why"),
        (HEAD, rotation(policy_problem="no YAML"), NOW, "its policy cannot be used: no YAML"),
        (HEAD, rotation(Mode.APPROVE), NOW, "it waits for an approval"),
        (APPROVED, rotation(Mode.APPROVE), NOW, ""),
        (
            APPROVED,
            rotation(Mode.APPROVE),
            LATER,
            "its approval ran out on 2026-11-23 at 19:00 UTC",
        ),
        (
            HEAD,
            rotation(windows=(CLOSED,)),
            NOW,
            "its change window is closed, and opens on 2026-11-24 at 01:00 UTC",
        ),
        (HEAD, rotation(windows=(CLOSED,)), NOW.replace(hour=1), ""),
        (
            APPROVED,
            rotation(Mode.APPROVE, windows=(CLOSED,)),
            NOW,
            "its change window is closed, and opens on 2026-11-24 at 01:00 UTC",
        ),
    ],
)
def test_a_write_begins_only_where_nothing_holds_it(
    head: KeyHead, of: Rotation, now: datetime, why: str
) -> None:
    assert why_held(head, of, now) == why


def test_only_a_rotation_that_needs_an_approval_waits_for_one() -> None:
    assert why_unapproved(HEAD, rotation(), NOW) == ""
    assert why_unapproved(HEAD, rotation(Mode.APPROVE), NOW)


@pytest.mark.parametrize(
    ("mode", "tags", "reason"),
    [
        (Mode.AUTO, None, ""),
        (Mode.AUTO, {}, ""),
        (Mode.AUTO, {"keyturn-mode": "auto"}, ""),
        (Mode.AUTO, {"keyturn-mode": ""}, ""),
        (Mode.AUTO, {"other": "observe"}, ""),
        (
            Mode.AUTO,
            {"keyturn-mode": "observe"},
            "its tag keyturn-mode=observe lets Keyturn only observe it",
        ),
        (
            Mode.AUTO,
            {"KeyTurn-Mode": " Observe "},
            "its tag keyturn-mode=observe lets Keyturn only observe it",
        ),
        (
            Mode.AUTO,
            {"keyturn-mode": "obsrve"},
            "its tag keyturn-mode=obsrve lets Keyturn only observe it",
        ),
        (
            Mode.AUTO,
            {"keyturn-mode": "approve"},
            "its tag keyturn-mode=approve asks for an approval",
        ),
        (Mode.OBSERVE, {"keyturn-mode": "auto"}, "the policy lets Keyturn only observe it"),
        (Mode.OBSERVE, {}, "the policy lets Keyturn only observe it"),
    ],
)
def test_a_resource_is_left_to_a_person_where_the_policy_or_its_tag_says_so(
    mode: Mode, tags: dict[str, str] | None, reason: str
) -> None:
    body = {} if tags is None else {"tags": tags}
    assert why_left(HEAD, rotation(mode), body, NOW)[0] == reason


def test_a_resource_that_asks_for_an_approval_is_written_to_once_there_is_one() -> None:
    body = {"tags": {"keyturn-mode": "approve"}}
    assert why_left(APPROVED, rotation(), body, NOW) == ("", "")
    assert why_left(APPROVED, rotation(), body, LATER)[0]
    observed = {"tags": {"keyturn-mode": "observe"}}
    assert why_left(APPROVED, rotation(), observed, NOW)[0]


def test_a_tag_makes_a_canary() -> None:
    assert is_canary({"tags": {"Keyturn-Canary": "True"}})
    assert not is_canary({"tags": {"keyturn-canary": "false"}})
    assert not is_canary({})
