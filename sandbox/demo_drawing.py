"""The end of the demo as a picture, for the README: what a terminal of 112 columns shows of it."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from io import StringIO
from pathlib import Path

from rich.console import Console

from sandbox.demo_judge import Judge
from sandbox.demo_report import print_not_applicable, print_outcome, print_truth, print_verdict
from sandbox.demo_view import Report, services_table

_COLUMNS = 112
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""Fetched from elsewhere; a picture needs none: any monospaced one will do."""


def draw(
    file: Path, judge: Judge, reports: Mapping[str, Report], problems: Sequence[str], now: datetime
) -> None:
    """Write an SVG of how a demo has ended: its table, outcomes and ground truth.

    Args:
        file: Where to.
        judge: Of the demo, which still runs.
        reports: By the name of the key.
        problems: What was not as the scenario says.
        now: The sandbox's time.
    """
    console = Console(
        file=StringIO(), record=True, width=_COLUMNS, force_terminal=True, highlight=False
    )
    console.print(services_table(reports, now, wide=True))
    for key, report in reports.items():
        print_outcome(console, key, report)
    print_not_applicable(console, reports)
    console.print()
    print_truth(console, judge)
    print_verdict(console, problems)
    drawn = console.export_svg(title="make demo", unique_id="demo")
    file.write_text(_FONTS.sub("", drawn))
