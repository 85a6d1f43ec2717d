"""What is drawn of a rotation fits the terminal, whatever the number of kinds."""

from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from cli.watching import drawn
from shared.catalog import KINDS

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
KEY = "https://kv-contoso-prod.vault.azure.net/keys/cmk"


def view(open_kinds: int, done_kinds: int) -> dict[str, Any]:
    """Return a rotation with a consumer of so many kinds, of which the first are open."""
    consumers = [
        {
            "kind": kind.id,
            "kindTitle": f"{number:02} {kind.title}",
            "verdict": None if number < open_kinds else "verified",
            "form": "pinned",
            "acceptedAt": None,
        }
        for number, kind in enumerate(KINDS[: open_kinds + done_kinds])
    ]
    return {
        "state": "moving",
        "key": KEY,
        "target": f"{KEY}/{'a' * 32}",
        "counts": {"open": open_kinds, "verified": done_kinds},
        "openedAt": NOW.isoformat(),
        "endedAt": None,
        "consumers": consumers,
        "consumersOmitted": 0,
        "waitsFor": None,
    }


def lines(shown: dict[str, Any], height: int) -> list[str]:
    out = StringIO()
    Console(file=out, width=120).print(drawn(shown, NOW, 120, height))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_all_kinds_are_drawn_where_there_is_room() -> None:
    assert len(lines(view(2, 6), 12)) == 2 + 8
    assert len(lines(view(2, 6), 0)) == 2 + 8


@pytest.mark.parametrize(
    ("open_kinds", "done_kinds"), [(2, 30), (30, 2), (30, 0), (0, 30), (1, 12)]
)
@pytest.mark.parametrize("height", [10, 14])
def test_where_there_is_none_the_open_ones_go_first_and_none_is_left_out(
    open_kinds: int, done_kinds: int, height: int
) -> None:
    shown = lines(view(open_kinds, done_kinds), height)

    assert len(shown) < height
    counted = sum(int(line.split()[-2]) for line in shown[2:])
    assert counted == open_kinds + done_kinds
    if open_kinds:
        assert shown[2].startswith("00 ")
    if done_kinds > 1:
        assert shown[-1].startswith(f"{done_kinds} kinds, done")


def test_kinds_without_a_key_are_one_line_and_long_titles_leave_room_for_the_numbers() -> None:
    shown = view(2, 4)
    for consumer in shown["consumers"][3:]:
        consumer["verdict"] = "not_applicable"
    shown["consumers"][0]["kindTitle"] = (
        "00 Machine Learning credentials of attached clusters and VMs"
    )
    out = StringIO()
    Console(file=out, width=80).print(drawn(shown, NOW, 80, 40))
    text = out.getvalue().splitlines()

    assert "0/1" in next(line for line in text if line.startswith("00 Machine Learning"))
    assert text[-1].startswith("3 kinds without a key")
    assert "3/3" in text[-1]
    assert len(text) == 2 + 3 + 1
