"""The app as the platform's runtime sees it, and what it costs to load."""

import json
import os
import subprocess
import sys
from typing import Any

from tests import generated

_ASK = """
import asyncio, json, sys
from pathlib import Path
from sandbox.functions_host.messages import json_value
from sandbox.functions_host.runtime import Runtime

async def run():
    runtime = await Runtime.start(Path(sys.argv[1]))
    indexed = sorted(sys.modules)
    (function,) = [f for f in runtime.functions if f.name == "key_events"]
    outcome = await runtime.invoke(function, json_value(json.loads(sys.argv[2])), {})
    steps = outcome.outputs["steps"].content if outcome.outputs else outcome.error
    return {"indexed": indexed, "handled": sorted(sys.modules), "steps": str(steps)}

print(json.dumps(asyncio.run(run())))
"""
_RESOLVE = """
import json, sys, typing
sys.path.insert(0, sys.argv[1])
import function_app

found = {
    function.get_function_name(): sorted(typing.get_type_hints(function.get_user_function()))
    for function in function_app.app.get_functions()
}
print(json.dumps(found))
"""
HEAVY = (
    *("azure.monitor", "opentelemetry"),
    *("azure.core", "azure.data", "azure.eventgrid", "azure.identity", "azure.keyvault"),
    *("azure.mgmt", "azure.storage", "jsonschema", "msal", "requests"),
)


def _child(code: str, *arguments: str) -> Any:  # noqa: ANN401 - the child's JSON
    child = subprocess.run(  # noqa: S603 - the code above
        [sys.executable, "-c", code, str(generated.CHECKOUT), *arguments],
        cwd=generated.CHECKOUT,
        env={"PATH": os.environ["PATH"], **generated.SETTINGS},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(child.stdout.splitlines()[-1])


def test_the_index_is_the_one_on_record() -> None:
    assert generated.index() == generated.INDEX.read_text(), "run `make generated`, and look at it"


def test_an_event_is_accepted_without_an_azure_sdk() -> None:
    """Or a cold start would not fit into Event Grid's thirty seconds: they cost half of one."""
    event = {
        "id": "e1",
        "topic": "/subscriptions/0",
        "subject": "cmk",
        "eventType": "Microsoft.KeyVault.KeyNewVersionCreated",
        "eventTime": "2026-11-23T10:00:00Z",
        "data": {"Id": "https://kv-contoso-prod.vault.azure.net/keys/cmk"},
        "dataVersion": "1",
    }

    found = _child(_ASK, json.dumps(event))

    assert '"step":"open"' in found["steps"]
    assert [m for m in found["indexed"] if m.startswith(HEAVY)] == []
    assert [m for m in found["handled"] if m.startswith(HEAVY)] == []


def test_the_worker_can_resolve_every_annotation() -> None:
    found = _child(_RESOLVE)

    assert sorted(found) == sorted(f["name"] for f in json.loads(generated.INDEX.read_text()))
    assert all("return" in names and len(names) > 1 for names in found.values())
