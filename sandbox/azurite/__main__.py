"""``python -m sandbox.azurite install``."""

import subprocess

import typer

from sandbox.azurite import installation
from sandbox.azurite.node import NodeMissingError

app = typer.Typer(help="Azurite for the sandbox.", no_args_is_help=True)


@app.callback()
def _main() -> None:
    # With a callback typer keeps `install` a command even while it is the only one.
    pass


@app.command()
def install() -> None:
    """Install the locked version into the virtual environment, if it is not there yet."""
    try:
        new = installation.install()
    except (NodeMissingError, subprocess.CalledProcessError) as error:
        typer.echo(f"Azurite could not be installed: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo("Azurite installed" if new else "Azurite is already installed")


if __name__ == "__main__":
    app()
