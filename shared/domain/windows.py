"""Change windows: when writes may begin."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from shared.domain.policy import WEEK, Window

_AHEAD = 15
"""Days: a window opens each week, but not on a day whose clocks leap over it."""


def is_open(windows: Sequence[Window], now: datetime) -> bool:
    """Return whether one of the windows is open; without windows it always is."""
    return not windows or any(_is_open(window, now) for window in windows)


def opens_at(windows: Sequence[Window], now: datetime) -> datetime | None:
    """Return when a window opens next, in UTC; ``None``: one is open, or none ever opens."""
    if is_open(windows, now):
        return None
    starts = (start for window in windows for start, _ in _spans(window, now) if start > now)
    return min(starts, default=None)


def _is_open(window: Window, now: datetime) -> bool:
    return any(start <= now < end for start, end in _spans(window, now))


def _spans(window: Window, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield when the window is open, from yesterday's on: that one may last until today."""
    zone = ZoneInfo(window.zone)
    today = now.astimezone(zone).date()
    for ahead in range(-1, _AHEAD + 1):
        day = today + timedelta(days=ahead)
        if WEEK[day.weekday()] in window.days:
            lasts_into_next = window.closes <= window.opens
            last = day + timedelta(days=1) if lasts_into_next else day
            start, end = _moment(day, window.opens, zone), _moment(last, window.closes, zone)
            if start < end:
                yield start, end


def _moment(day: date, clock: str, zone: ZoneInfo) -> datetime:
    """Return when a clock shows a time: the first, of an hour that comes twice.

    Of an hour that clocks leap over: as if they had not, so 02:30 becomes 03:30.
    """
    local = datetime.combine(day, time.fromisoformat(clock), zone)
    return local.astimezone(UTC)
