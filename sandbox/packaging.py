"""Make of a checkout what the platform's remote build makes of it.

``python -m sandbox.packaging SOURCE TARGET``.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pathspec
import typer

_PACKAGES = Path(".python_packages/lib/site-packages")


def build_package(source: Path, target: Path) -> None:
    """Lay the app out, see ``lay_out``, and install its requirements beside it.

    The requirements go where the platform's worker looks for them. pip checks hashes if
    ``requirements.txt`` has any.

    Args:
        source: The app's folder.
        target: A folder that does not exist yet.

    Raises:
        FileExistsError: ``target`` exists.
        subprocess.CalledProcessError: pip failed; it has printed why.
    """
    lay_out(source, target)
    if (target / "requirements.txt").is_file():
        _install(target)


def lay_out(source: Path, target: Path) -> None:
    """Copy the app without what ``.funcignore`` names.

    Raises:
        FileExistsError: ``target`` exists.
    """
    ignored = _ignored(source)
    target.mkdir(parents=True)
    for folder, subfolders, files in os.walk(source):
        here = Path(folder)
        # Neither entered: an ignored folder, as in git, nor the package that is being made.
        subfolders[:] = [
            name
            for name in subfolders
            if not ignored.match_file(f"{(here / name).relative_to(source)}/")
            and (here / name).resolve() != target.resolve()
        ]
        for name in files:
            path = (here / name).relative_to(source)
            if not ignored.match_file(path):
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source / path, target / path)


def _ignored(source: Path) -> pathspec.GitIgnoreSpec:
    file = source / ".funcignore"
    return pathspec.GitIgnoreSpec.from_lines(
        file.read_text().splitlines() if file.is_file() else []
    )


def _install(target: Path) -> None:
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--requirement", str(target / "requirements.txt"), "--target", str(target / _PACKAGES)),
    ]
    subprocess.run(command, check=True)  # noqa: S603 - no part of it comes from outside


def main(
    source: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    target: Annotated[Path, typer.Argument(help="Must not exist yet.")],
) -> None:
    """Build the deployable package of the app in SOURCE."""
    try:
        build_package(source, target)
    except (FileExistsError, subprocess.CalledProcessError) as error:
        typer.echo(f"the package could not be built: {error}", err=True)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    typer.run(main)
