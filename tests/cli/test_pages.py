"""The output that the docs show is the real one."""

from collections.abc import Callable
from pathlib import Path

from sandbox.azure import LocalAzure
from tests.cli.pages import PAGES, blocks, masked, output, shown_desk


def test_what_the_docs_show_is_what_the_command_prints(
    local_azure: Callable[[float], LocalAzure], tmp_path: Path
) -> None:
    """Stale: run ``python -m tests.cli.pages``, and look at what changes."""
    with local_azure(60) as azure, shown_desk(azure, tmp_path) as (desk, there):
        for page in PAGES:
            shown = list(blocks(page))
            assert shown, f"{page.name} shows no command"
            for command, text in shown:
                assert masked(output(desk, there, command)) == masked(text), command
