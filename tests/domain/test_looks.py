"""When a resource is looked at again."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.kinds import Looks
from tests.domain.values import NOW, waits

HOUR = timedelta(hours=1)
LOOKS = Looks(first=timedelta(minutes=5))


@pytest.mark.parametrize(
    ("passed", "following"),
    [
        pytest.param(0, 5, id="first"),
        pytest.param(5, 15, id="at the first: the second"),
        pytest.param(6, 15, id="after the first: the second"),
        pytest.param(15, 45, id="at the second: the third"),
        pytest.param(45, 60, id="after the last: when the window closes"),
        pytest.param(59, 60, id="a minute before the end"),
        pytest.param(60, None, id="the window has closed"),
        pytest.param(600, None, id="long after"),
        pytest.param(-5, 5, id="before the start"),
    ],
)
def test_looks_come_ever_later_and_a_last_time_at_the_end(
    passed: int, following: int | None
) -> None:
    found = LOOKS.after(NOW + timedelta(minutes=passed), start=NOW, window=HOUR)
    assert found == (None if following is None else NOW + timedelta(minutes=following))


@given(waits, st.integers(2, 5), waits, st.timedeltas(-timedelta(days=4), timedelta(days=4)))
def test_a_look_is_ahead_and_within_the_window(
    first: timedelta, factor: int, window: timedelta, passed: timedelta
) -> None:
    now = NOW + passed
    found = Looks(first=first, factor=factor).after(now, start=NOW, window=window)
    assert (found is None) == (now >= NOW + window)
    assert found is None or now < found <= NOW + window


@given(waits, st.integers(2, 5), waits)
def test_the_looks_of_a_window_are_few_and_end_with_its_end(
    first: timedelta, factor: int, window: timedelta
) -> None:
    looks, now, seen = Looks(first=first, factor=factor), NOW, list[datetime]()
    while (found := looks.after(now, start=NOW, window=window)) is not None:
        seen.append(found)
        now = found
        assert len(seen) < 20  # log2 of three days in seconds, and the last
    assert seen[-1] == NOW + window
