"""Put the locked Azurite where the sandbox looks for it."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from sandbox.azurite.node import find_node

_LOCKED = Path(__file__).parent
INSTALLATION = Path(sys.prefix) / "azurite"
"""Inside the virtual environment: it goes when the environment goes."""


class AzuriteNotInstalledError(Exception):
    """The locked version of Azurite is not there."""


def install(target: Path = INSTALLATION) -> bool:
    """Install what ``package-lock.json`` names, if it is not there yet.

    Returns:
        Whether anything had to be installed.

    Raises:
        NodeMissingError: There is no usable Node.
        subprocess.CalledProcessError: npm failed; it has printed why.
    """
    if _stamp(target).is_file() and _stamp(target).read_text() == _digest():
        return False
    target.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_LOCKED / name, target / name)
    command = (*find_node().npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    subprocess.run(command, cwd=target, check=True)  # noqa: S603 - no part of it comes from outside
    _stamp(target).write_text(_digest())
    return True


def entry_point(target: Path = INSTALLATION) -> Path:
    """Return the script that Node runs.

    Raises:
        AzuriteNotInstalledError: It is missing, or not the locked version.
    """
    if not _stamp(target).is_file() or _stamp(target).read_text() != _digest():
        raise AzuriteNotInstalledError(
            "the locked version of Azurite is not installed:"
            " run `python -m sandbox.azurite install`"
        )
    return target / "node_modules/azurite/dist/src/azurite.js"


def _stamp(target: Path) -> Path:
    # Written last, so that an interrupted installation does not count as one.
    return target / ".lock-digest"


def _digest() -> str:
    return hashlib.sha256((_LOCKED / "package-lock.json").read_bytes()).hexdigest()
