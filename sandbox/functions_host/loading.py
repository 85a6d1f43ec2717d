"""Where the app's modules come from: its own folder and package, as on the platform."""

import os
import sys
from collections.abc import Collection
from pathlib import Path

_PACKAGES = Path(".python_packages/lib/site-packages")


class ForeignModuleError(Exception):
    """The app runs on something that it does not bring along."""


def enter(app_dir: Path) -> None:
    """Make imports find the app's packages first, then the app, and no checkout of this project.

    The order is that of the platform's worker, which also works in the app's folder.
    """
    checkout = Path(__file__).parents[2]
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != checkout]
    packages = app_dir / _PACKAGES
    sys.path[:0] = [str(packages)] * packages.is_dir() + [str(app_dir)]
    os.chdir(app_dir)


def check(app_dir: Path, before: Collection[str]) -> None:
    """Refuse an app of which a module was loaded from somewhere else.

    A packaged app must also bring every package that it imports: what the sandbox's own
    environment holds would hide a line missing in ``requirements.txt``.

    Args:
        app_dir: The app's folder.
        before: The names of the modules that were loaded before the app was.

    Raises:
        ForeignModuleError: Names the modules and where they came from.
    """
    packaged = (app_dir / _PACKAGES).is_dir()
    foreign = {
        name: origin
        for name, origin in _origins(before)
        if not origin.is_relative_to(app_dir)
        and (name == "function_app" or (packaged and "site-packages" in origin.parts))
    }
    if foreign:
        raise ForeignModuleError(
            "the app does not bring what it imports: "
            + ", ".join(f"{name} came from {origin}" for name, origin in sorted(foreign.items()))
        )


def _origins(before: Collection[str]) -> list[tuple[str, Path]]:
    return [
        (name, Path(file).resolve())
        for name, module in list(sys.modules.items())
        if name not in before and (file := getattr(module, "__file__", None))
    ]
