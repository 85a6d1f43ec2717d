"""When a change window is open, and when it opens next, wherever clocks are changed."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.domain.policy import Window
from shared.domain.windows import is_open, opens_at
from tests.domain import policies

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_without_windows_it_is_always_open() -> None:
    assert is_open((), utc("2026-11-23T18:00"))
    assert opens_at((), utc("2026-11-23T18:00")) is None


# 2026-11-23 is a Monday.
@pytest.mark.parametrize(
    ("window", "now", "opens"),
    [
        pytest.param(
            Window(opens="18:00", closes="19:00"), "2026-11-23T18:00", None, id="its first moment"
        ),
        pytest.param(
            Window(opens="18:00", closes="19:00"),
            "2026-11-23T19:00",
            "2026-11-24T18:00",
            id="the moment it closes it is closed",
        ),
        pytest.param(
            Window(opens="18:00", closes="19:00"),
            "2026-11-23T17:59:59.999999",
            "2026-11-23T18:00",
            id="just before it opens",
        ),
        pytest.param(
            Window(days=("wed",), opens="18:00", closes="19:00"),
            "2026-11-23T18:30",
            "2026-11-25T18:00",
            id="on another day",
        ),
        pytest.param(
            Window(days=("mon",), opens="18:00", closes="19:00"),
            "2026-11-23T19:30",
            "2026-11-30T18:00",
            id="a week later",
        ),
        pytest.param(
            Window(days=("mon",), opens="22:00", closes="04:00"),
            "2026-11-24T03:59",
            None,
            id="over midnight it is that of the day on which it opened",
        ),
        pytest.param(
            Window(days=("tue",), opens="22:00", closes="04:00"),
            "2026-11-24T03:59",
            "2026-11-24T22:00",
            id="over midnight it is not that of the day before",
        ),
        pytest.param(
            Window(days=("sat", "sun"), opens="00:00", closes="00:00"),
            "2026-11-29T23:59",
            None,
            id="two whole days",
        ),
        pytest.param(
            Window(days=("sat", "sun"), opens="00:00", closes="00:00"),
            "2026-11-30T00:00",
            "2026-12-05T00:00",
            id="and after them",
        ),
        pytest.param(
            Window(days=("mon",), opens="20:00", closes="21:00", zone=BERLIN),
            "2026-11-23T18:00",
            "2026-11-23T19:00",
            id="in another zone",
        ),
        pytest.param(
            Window(days=("tue",), opens="00:00", closes="01:00", zone=BERLIN),
            "2026-11-23T23:30",
            None,
            id="where it is Tuesday already",
        ),
        pytest.param(
            Window(days=("sun",), opens="20:00", closes="21:00", zone=NEW_YORK),
            "2026-11-30T01:30",
            None,
            id="where it is Sunday still",
        ),
    ],
)
def test_when_it_is_open(window: Window, now: str, opens: str | None) -> None:
    moment = utc(now)
    assert is_open([window], moment) is (opens is None)
    assert opens_at([window], moment) == (utc(opens) if opens else None)


# In spring clocks go from 02:00 to 03:00, in autumn from 03:00 (New York: 02:00) an hour back.
@pytest.mark.parametrize(
    ("window", "now", "opens"),
    [
        pytest.param(
            Window(opens="01:00", closes="04:00", zone=BERLIN),
            "2026-03-28T23:59",
            "2026-03-29T00:00",
            id="Berlin, spring: it opens at 01:00 CET",
        ),
        pytest.param(
            Window(opens="01:00", closes="04:00", zone=BERLIN),
            "2026-03-29T02:00",
            "2026-03-29T23:00",
            id="Berlin, spring: it closes at 04:00 CEST, after two hours",
        ),
        pytest.param(
            Window(opens="02:30", closes="04:00", zone=BERLIN),
            "2026-03-29T01:29",
            "2026-03-29T01:30",
            id="Berlin, spring: 02:30 is 03:30",
        ),
        pytest.param(
            Window(opens="01:00", closes="02:30", zone=BERLIN),
            "2026-03-29T01:29",
            None,
            id="Berlin, spring: until 02:30, which is 03:30",
        ),
        pytest.param(
            Window(opens="02:00", closes="03:00", zone=BERLIN),
            "2026-03-29T00:59",
            "2026-03-30T00:00",
            id="Berlin, spring: an hour that is left out",
        ),
        pytest.param(
            Window(days=("sun",), opens="02:00", closes="03:00", zone=BERLIN),
            "2026-03-22T02:00",
            "2026-04-05T00:00",
            id="Berlin, spring: a Sunday that is left out",
        ),
        pytest.param(
            Window(opens="01:00", closes="04:00", zone=BERLIN),
            "2026-10-25T02:59",
            None,
            id="Berlin, autumn: four hours long",
        ),
        pytest.param(
            Window(opens="02:30", closes="04:00", zone=BERLIN),
            "2026-10-25T00:29",
            "2026-10-25T00:30",
            id="Berlin, autumn: at the first 02:30",
        ),
        pytest.param(
            Window(opens="01:00", closes="02:30", zone=BERLIN),
            "2026-10-25T01:00",
            "2026-10-26T00:00",
            id="Berlin, autumn: not until the second 02:30",
        ),
        pytest.param(
            Window(opens="01:00", closes="04:00", zone=NEW_YORK),
            "2026-03-08T08:00",
            "2026-03-09T05:00",
            id="New York, spring: it closes at 04:00 EDT",
        ),
        pytest.param(
            Window(opens="02:15", closes="02:45", zone=NEW_YORK),
            "2026-03-08T06:59",
            "2026-03-08T07:15",
            id="New York, spring: half an hour that is moved",
        ),
        pytest.param(
            Window(days=("sun",), opens="02:30", closes="03:00", zone=NEW_YORK),
            "2026-03-01T08:00",
            "2026-03-15T06:30",
            id="New York, spring: a Sunday that is left out",
        ),
        pytest.param(
            Window(opens="01:30", closes="02:30", zone=NEW_YORK),
            "2026-11-01T06:45",
            None,
            id="New York, autumn: two hours long",
        ),
        pytest.param(
            Window(opens="23:00", closes="01:30", zone=NEW_YORK),
            "2026-11-01T05:30",
            "2026-11-02T04:00",
            id="New York, autumn: over midnight until the first 01:30",
        ),
    ],
)
def test_when_clocks_are_changed(window: Window, now: str, opens: str | None) -> None:
    test_when_it_is_open(window, now, opens)


def test_of_several_the_next_one_counts() -> None:
    both = (
        Window(days=("sat",), opens="10:00", closes="11:00"),
        Window(days=("wed",), opens="10:00", closes="11:00", zone=BERLIN),
    )
    assert opens_at(both, utc("2026-11-23T18:00")) == utc("2026-11-25T09:00")
    assert opens_at(both, utc("2026-11-25T10:00")) == utc("2026-11-28T10:00")
    assert is_open(both, utc("2026-11-28T10:30"))


_moments = st.integers(0, 3 * 366 * 24 * 3600).map(
    lambda seconds: utc("2025-01-01") + timedelta(seconds=seconds)
)


@given(st.lists(policies.windows, min_size=1, max_size=3), _moments, st.floats(0, 1))
@example(
    [{"days": ["sun"], "opens": "02:30", "closes": "03:00", "zone": BERLIN}],
    utc("2026-03-22T18:00"),
    0.5,
)
def test_it_opens_at_the_first_moment_at_which_it_is_open(
    said: list[dict[str, object]], now: datetime, part: float
) -> None:
    windows = msgspec.convert(said, tuple[Window, ...])
    opens = opens_at(windows, now)
    if opens is None:
        assert is_open(windows, now)
        return
    assert opens > now
    assert is_open(windows, opens)
    last = opens - timedelta(microseconds=1)
    for before in (now, now + (last - now) * part, last):
        assert not is_open(windows, before)


@given(policies.windows, _moments)
def test_it_is_open_when_its_clock_says_so_where_no_clock_is_changed(
    said: dict[str, object], now: datetime
) -> None:
    """The same told another way: by the day and the time that the clock of its zone shows."""
    window = msgspec.convert(said, Window)
    zone = ZoneInfo(window.zone)
    here = now.astimezone(zone)
    if here.utcoffset() != (here - timedelta(days=2)).utcoffset():
        return
    if here.utcoffset() != (here + timedelta(days=2)).utcoffset():
        return
    week = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    today, yesterday = week[here.weekday()], week[here.weekday() - 1]
    clock = f"{here:%H:%M}"
    if window.opens < window.closes:
        expected = today in window.days and window.opens <= clock < window.closes
    else:
        expected = (today in window.days and clock >= window.opens) or (
            yesterday in window.days and clock < window.closes
        )
    assert is_open([window], now) is expected
