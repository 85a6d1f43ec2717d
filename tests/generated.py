"""Files that are made from the code: ``python -m tests.generated [--check]``.

``golden/index.json`` is the app as the real runtime indexes it: what the platform will see of it.
``docs/evidence.schema.json`` is the schema of the documents about concluded rotations.
"""

import asyncio
import difflib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer

CHECKOUT = Path(__file__).parents[1]
INDEX = Path(__file__).parent / "golden" / "index.json"
EVIDENCE = CHECKOUT / "docs" / "evidence.schema.json"
SETTINGS = {
    "AzureWebJobsStorage": "UseDevelopmentStorage=true",
    "KEYTURN_VAULTS": "kv-contoso-prod",
    "KEYTURN_SWEEP_SCHEDULE": "0 */15 * * * *",
}


def index() -> str:
    """Return the text that ``golden/index.json`` must have.

    The runtime keeps one app in a process, so it is asked in one of its own.
    """
    child = subprocess.run(
        [sys.executable, "-m", "tests.generated", "--in-this-process"],
        cwd=CHECKOUT,
        env={"PATH": os.environ["PATH"], **SETTINGS},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return child.stdout


def index_in_this_process() -> str:
    """Return the same; this process is good for nothing else afterwards."""
    from sandbox.functions_host.runtime import Runtime  # noqa: PLC0415 - not in the parent

    runtime = asyncio.run(Runtime.start(CHECKOUT))
    functions = [
        {"name": function.name, "bindings": list(function.bindings)}
        for function in sorted(runtime.functions, key=lambda function: function.name)
    ]
    return json.dumps(functions, indent=2, sort_keys=True) + "\n"


def evidence_schema() -> str:
    """Return the text that ``docs/evidence.schema.json`` must have."""
    from shared.domain.evidence import schema  # noqa: PLC0415 - not in the child

    return json.dumps(schema(), indent=2) + "\n"


FILES: Mapping[Path, Callable[[], str]] = {INDEX: index, EVIDENCE: evidence_schema}
"""Each file that is made, and what makes its text."""


def main(
    *,
    check: Annotated[bool, typer.Option(help="Write nothing; fail if a file is stale.")] = False,
    in_this_process: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Write the files that are made from the code, or check them."""
    if in_this_process:
        typer.echo(index_in_this_process(), nl=False)
        return
    stale = False
    for path, make in FILES.items():
        now, kept = make(), path.read_text() if path.is_file() else ""
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(now)
        elif now != kept:
            typer.echo(_difference(path, kept, now))
            stale = True
    if stale:
        typer.echo("stale: run `make generated`, and look at what changes", err=True)
        raise typer.Exit(1)


def _difference(path: Path, kept: str, now: str) -> str:
    lines = kept.splitlines(keepends=True), now.splitlines(keepends=True)
    name = str(path.relative_to(CHECKOUT))
    return "".join(difflib.unified_diff(*lines, name, "the code"))


if __name__ == "__main__":
    typer.run(main)
