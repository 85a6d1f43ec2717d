"""``python -m sandbox``: the local Azure as a command."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sandbox import demo as main_job

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def _sandbox() -> None:
    """A local Azure to try Keyturn on."""


@app.command()
def demo(
    keep: Annotated[bool, typer.Option(help="Leave the sandbox running afterwards.")] = False,  # noqa: FBT002 - a flag
    picture: Annotated[
        Path | None, typer.Option(help="Draw the end of it as an SVG in this file.")
    ] = None,
) -> None:
    """Rotate one key and watch exactly its consumers move, each proven."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=120)
    raise typer.Exit(main_job.run(console, keep=keep, picture=picture))


if __name__ == "__main__":
    app()
