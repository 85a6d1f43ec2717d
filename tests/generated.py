"""Files that are made from the code: ``python -m tests.generated [--check]``.

``FILES`` lists them. ``golden/index.json`` is the app as the real runtime indexes it: what the
platform will see of it.
"""

import asyncio
import difflib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tests import azure_files
from tests.catalog_reference import discovery_query, supported_services
from tests.policy_reference import policy_reference, policy_schema
from tests.troubleshooting_page import troubleshooting

CHECKOUT = Path(__file__).parents[1]
INDEX = Path(__file__).parent / "golden" / "index.json"
HELP = INDEX.with_name("help.txt")
OPENAPI = CHECKOUT / "docs" / "openapi.json"
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


def command_help() -> str:
    """Return the text that ``golden/help.txt`` must have."""
    from tests.help_texts import help_texts  # noqa: PLC0415 - not in the child

    return help_texts()


def openapi_document() -> str:
    """Return the text that ``docs/openapi.json`` must have: the document as the app serves it."""
    child = subprocess.run(
        [sys.executable, "-m", "tests.generated", "--openapi-in-this-process"],
        cwd=CHECKOUT,
        env={"PATH": os.environ["PATH"], **SETTINGS},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return child.stdout


def document_in_this_process() -> str:
    """Return the same; the app checks the settings of its process when it is imported."""
    import function_app  # noqa: PLC0415 - not in the parent

    return json.dumps(json.loads(function_app.status.document()), indent=2) + "\n"


CATALOG: Mapping[Path, Callable[[], str]] = {
    CHECKOUT / "docs" / "supported-services.md": supported_services,
    CHECKOUT / "docs" / "discovery.kql": discovery_query,
    **{
        CHECKOUT / "infra" / "roles" / f"{name}.json": partial(azure_files.role, name)
        for name in azure_files.ROLES
    },
}
"""Those of them that say what the catalog holds."""

FILES: Mapping[Path, Callable[[], str]] = {
    INDEX: index,
    HELP: command_help,
    CHECKOUT / "docs" / "evidence.schema.json": evidence_schema,
    OPENAPI: openapi_document,
    CHECKOUT / "docs" / "policy.md": policy_reference,
    CHECKOUT / "docs" / "keyturn.schema.json": policy_schema,
    **CATALOG,
    CHECKOUT / "docs" / "troubleshooting.md": troubleshooting,
    CHECKOUT / "infra" / "app" / "storage-names.json": azure_files.storage_names,
}
"""Each file with what returns the text that it must have."""


def stale() -> str:
    """Return how the files differ from what they must be; empty: they do not."""
    return "".join(_diff(file, make()) for file, make in FILES.items())


def _diff(file: Path, now: str) -> str:
    kept = file.read_text() if file.is_file() else ""
    lines, new = kept.splitlines(keepends=True), now.splitlines(keepends=True)
    return "".join(difflib.unified_diff(lines, new, str(file.relative_to(CHECKOUT)), "the code"))


def main(
    *,
    check: Annotated[bool, typer.Option(help="Write nothing; fail if a file is stale.")] = False,
    catalog: Annotated[bool, typer.Option(help="Write those of the catalog alone.")] = False,
    in_this_process: Annotated[bool, typer.Option(hidden=True)] = False,
    openapi_in_this_process: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Write the files that are made from the code, or check them."""
    if in_this_process:
        typer.echo(index_in_this_process(), nl=False)
    elif openapi_in_this_process:
        typer.echo(document_in_this_process(), nl=False)
    elif not check:
        for file, make in (CATALOG if catalog else FILES).items():
            file.parent.mkdir(exist_ok=True)
            file.write_text(make())
            if catalog:
                typer.echo(file.relative_to(CHECKOUT))
    elif diff := stale():
        typer.echo(diff)
        typer.echo("stale: run `make generated`, and look at what changes", err=True)
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
