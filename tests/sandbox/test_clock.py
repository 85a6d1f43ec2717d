"""The sandbox's clock."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.clock import SandboxClock


def test_a_clock_at_rate_one_tells_real_time() -> None:
    clock = SandboxClock.start()

    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=1)


def test_a_fast_clock_has_gone_its_rate_times_as_far_since_its_anchor() -> None:
    anchor = datetime.now(UTC) - timedelta(seconds=10)

    gone = SandboxClock(anchor, rate=60).now() - anchor

    assert timedelta(seconds=600) <= gone < timedelta(seconds=660)


@pytest.mark.parametrize(("rate", "real"), [(1, 3600), (60, 60), (0.5, 7200)])
def test_an_hour_of_the_sandbox_lasts_an_hour_divided_by_the_rate(rate: float, real: float) -> None:
    assert SandboxClock.start(rate).real_seconds(timedelta(hours=1)) == pytest.approx(real)


def test_the_setting_reads_as_a_moment_and_a_rate() -> None:
    clock = SandboxClock(datetime(2026, 11, 23, 18, tzinfo=UTC), rate=60.0)

    assert clock.setting == "2026-11-23T18:00:00+00:00 x60"


@given(
    st.datetimes(timezones=st.just(UTC)),
    st.floats(min_value=1e-6, max_value=1e9, allow_nan=False),
)
def test_a_clock_survives_being_written_down(anchor: datetime, rate: float) -> None:
    clock = SandboxClock(anchor, rate)

    assert SandboxClock.parse(clock.setting) == clock


@pytest.mark.parametrize(
    "text", ["", "2026-11-23T18:00:00+00:00", "noon x60", "2026-11-23T18:00:00+00:00 xfast"]
)
def test_other_text_is_not_a_clock(text: str) -> None:
    with pytest.raises(ValueError, match=r"clock|Invalid isoformat|could not convert"):
        SandboxClock.parse(text)


@pytest.mark.parametrize(
    ("anchor", "rate"),
    [
        pytest.param(datetime(2026, 11, 23), 1, id="no time zone"),  # noqa: DTZ001 - the point
        pytest.param(
            datetime(2026, 11, 23, tzinfo=timezone(timedelta(hours=1))), 1, id="not in UTC"
        ),
        pytest.param(datetime(2026, 11, 23, tzinfo=UTC), 0, id="standing still"),
        pytest.param(datetime(2026, 11, 23, tzinfo=UTC), -1, id="backwards"),
    ],
)
def test_a_clock_is_in_utc_and_goes_forward(anchor: datetime, rate: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        SandboxClock(anchor, rate)
