"""Hypothesis strategies for policies: documents as somebody writes them, good and bad ones."""

import string
from typing import Any

from hypothesis import strategies as st

from shared.domain.policy import WEEK

ARABIC = "22:00".translate(dict(zip(map(ord, string.digits), range(0x660, 0x66A), strict=True)))
"""A time in the digits of another script, which are digits to Python."""

_LETTERS = string.ascii_letters + string.digits + "-*?"
_part = st.text(_LETTERS, min_size=1, max_size=8)
patterns = st.builds(lambda vault, key: f"{vault}/{key}", _part, _part)
clocks = st.builds(lambda h, m: f"{h:02}:{m:02}", st.integers(0, 23), st.integers(0, 59))
zones = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"])
reactions = st.sampled_from(["ignore", "alarm", "ask", "rotate"])

windows = st.fixed_dictionaries(
    {"opens": clocks, "closes": clocks},
    optional={"days": st.lists(st.sampled_from(WEEK), min_size=1, max_size=8), "zone": zones},
).filter(lambda window: window["opens"] != window["closes"])

_SETTINGS: dict[str, st.SearchStrategy[Any]] = {
    "subscriptions": st.lists(st.uuids().map(str), max_size=2),
    "mode": st.sampled_from(["observe", "approve", "auto"]),
    "approvalHours": st.integers(1, 720),
    "windows": st.lists(windows, max_size=2),
    "failureLimit": st.integers(1, 100_000),
    "recheckHours": st.integers(0, 720),
    "versionless": st.sampled_from(["verify", "nudge"]),
    "recreateContainerGroups": st.booleans(),
    "nearExpiryDays": st.integers(1, 365),
    "nearExpiry": reactions,
    "expired": reactions,
    "unexpireDays": st.integers(0, 90),
    "maxAgeDays": st.integers(0, 3650),
    "overage": reactions,
}

settings = st.fixed_dictionaries({}, optional=_SETTINGS)
rules = st.fixed_dictionaries(
    {"keys": st.lists(patterns, min_size=1, max_size=3)}, optional=_SETTINGS
)
documents = st.fixed_dictionaries(
    {},
    optional={
        "version": st.just(1),
        "manage": st.lists(patterns, max_size=3),
        "defaults": settings,
        "rules": st.lists(rules, max_size=3),
    },
)
"""Good ones, as JSON has them."""

_junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 100_001),
    st.sampled_from([0.5, 1e9, "", "auto", "AUTO", "24:00", "22:00\n", ARABIC, "a/b\n", "a/b"]),
    st.lists(st.sampled_from(["mon", "a/b", 1]), max_size=2),
    st.dictionaries(st.sampled_from(["mode", "opens", "x"]), st.just("auto"), max_size=2),
)


@st.composite
def spoilt(draw: st.DrawFn) -> dict[str, Any]:
    """A document in which one value, at whatever depth, may be another, or one name too many."""
    document: dict[str, Any] = draw(documents)
    place: Any = document
    while True:
        names = list(place) if isinstance(place, dict) else list(range(len(place)))
        if isinstance(place, dict):
            names.append(draw(st.sampled_from(["nonsense", "mode", "keys", "manage", "zone"])))
        if not names:
            return document
        name = draw(st.sampled_from(names))
        below = place.get(name) if isinstance(place, dict) else place[name]
        if not isinstance(below, dict | list) or not below or draw(st.booleans()):
            place[name] = draw(_junk)
            return document
        place = below
