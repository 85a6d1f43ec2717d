"""Which version a rotation moves to."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.keys import KeyVersion, VersionState
from shared.domain.targets import choose_target
from tests.domain.values import KEY, NEWER, NOW, OLD, TARGET, state

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
FIRST = state(OLD, created=NOW - 2 * DAY)
SECOND = state(TARGET, created=NOW - DAY)


def third(
    *,
    enabled: bool = True,
    not_before: datetime | None = None,
    expires: datetime | None = None,
    created: datetime = NOW,
) -> VersionState:
    return state(NEWER, created=created, enabled=enabled, not_before=not_before, expires=expires)


@pytest.mark.parametrize(
    ("current", "target", "problem", "again_at"),
    [
        pytest.param(third(), NEWER, None, None, id="the newest is usable"),
        pytest.param(third(enabled=False), TARGET, "is disabled", None, id="the newest: disabled"),
        pytest.param(
            third(not_before=NOW + HOUR), TARGET, "not valid before", NOW + HOUR, id="nbf ahead"
        ),
        pytest.param(third(not_before=NOW), NEWER, None, None, id="nbf is now"),
        pytest.param(
            third(not_before=NOW + HOUR, enabled=False),
            TARGET,
            "is disabled",
            None,
            id="nbf ahead, but disabled: it will not become usable by itself",
        ),
        pytest.param(third(expires=NOW), TARGET, "expired on", None, id="the newest: expired"),
        pytest.param(
            third(created=SECOND.created), NEWER, None, None, id="a tie: the current one wins"
        ),
    ],
)
def test_the_target_is_the_newest_usable_version(
    current: VersionState, target: KeyVersion, problem: str | None, again_at: datetime | None
) -> None:
    for order in ([FIRST, SECOND, current], [current, SECOND, FIRST], [SECOND, current, FIRST]):
        choice = choose_target(order, current, NOW)
        assert choice.target is not None
        assert choice.target.id == target
        assert choice.again_at == again_at
        assert (problem or "") in (choice.problem or "")
        assert (choice.problem is None) == (problem is None)


def test_a_tie_is_broken_by_the_vault_whatever_the_order() -> None:
    one, other = state(OLD, created=NOW), state(TARGET, created=NOW)
    for order in ([one, other], [other, one]):
        assert choose_target(order, one, NOW).target == one
        assert choose_target(order, other, NOW).target == other


def test_without_a_usable_version_there_is_no_target_and_a_reason() -> None:
    gone = state(OLD, created=NOW - DAY, enabled=False)
    ahead = third(not_before=NOW + HOUR)
    choice = choose_target([gone, ahead], ahead, NOW)
    assert choice.target is None
    assert choice.again_at == NOW + HOUR
    assert NEWER.version in (choice.problem or "")


def test_of_several_starts_ahead_the_nearest_counts_and_only_of_newer_versions() -> None:
    late = state(KeyVersion(KEY, "f" * 32), created=NOW, not_before=NOW + 3 * HOUR)
    soon = third(created=NOW - HOUR, not_before=NOW + 2 * HOUR)
    older = state(OLD, created=NOW - 2 * DAY, not_before=NOW + HOUR)
    choice = choose_target([older, SECOND, soon, late], late, NOW)
    assert choice.target == SECOND
    assert choice.again_at == NOW + 2 * HOUR


@st.composite
def some_versions(draw: st.DrawFn) -> list[VersionState]:
    near = st.integers(-3, 3).map(lambda hours: NOW + hours * HOUR)
    return [
        state(
            KeyVersion(KEY, f"{index:032x}"),
            created=draw(near),
            enabled=draw(st.booleans()),
            not_before=draw(st.none() | near),
            expires=draw(st.none() | near),
        )
        for index in range(draw(st.integers(1, 5)))
    ]


@given(some_versions())
def test_no_usable_version_is_newer_than_the_target(versions: list[VersionState]) -> None:
    current = max(versions, key=lambda v: v.created)
    choice = choose_target(versions, current, NOW)
    usable = [v for v in versions if v.why_unusable(NOW) is None]
    assert (choice.target is None) == (not usable)
    assert choice.target is None or choice.target in usable
    assert all(choice.target and v.created <= choice.target.created for v in usable)
    assert choice.again_at is None or choice.again_at > NOW
