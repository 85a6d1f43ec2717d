"""Events that a key nears its expiry, or is past it: each queues a look at the key."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest

from functions import key_events
from shared.domain.clouds import AZURE_PUBLIC
from shared.domain.rows import Cause
from shared.domain.steps import Refuse, Step, Watch, decode, encode
from tests.domain.values import KEY, NOW, TARGET

TYPE = "Microsoft.KeyVault.KeyNearExpiry"
TYPES = [TYPE, "Microsoft.KeyVault.KeyExpired", TYPE.upper()]
EXPIRES = datetime(2026, 12, 23, 18, 0, tzinfo=UTC)
DATA: dict[str, Any] = {  # docs: Azure Key Vault as an Event Grid source
    "Id": str(TARGET),
    "VaultName": "kv1",
    "ObjectType": "Key",
    "ObjectName": "cmk",
    "Version": TARGET.version,
    "EXP": EXPIRES.timestamp(),
}
CHECKOUT = Path(__file__).parents[2]


class Output(func.Out[str]):
    """An output binding."""

    value: str | None = None

    def set(self, val: str) -> None:
        self.value = val

    def get(self) -> str:
        return self.value or ""


def grid(data: Any = None, kind: str = TYPE, event_id: str = "e1") -> func.EventGridEvent:  # noqa: ANN401 - JSON
    return func.EventGridEvent(
        id=event_id,
        data=DATA if data is None else data,
        topic="t",
        subject="cmk",
        event_type=kind,
        event_time=None,
        data_version="1",
    )


def cloud(data: Any = None, kind: str = TYPE, event_id: str = "e1") -> func.CloudEvent:  # noqa: ANN401 - JSON
    return func.CloudEvent(
        id=event_id,
        source="s",
        type=kind,
        specversion="1.0",
        data=DATA if data is None else data,
    )


both = pytest.mark.parametrize("event", [grid, cloud])


def queued(
    event: func.EventGridEvent | func.CloudEvent,
    *,
    vaults: frozenset[str] = frozenset({KEY.vault}),
) -> Step | None:
    """Return the step that an event queues."""
    bp = key_events.blueprint(queue="q", cloud=AZURE_PUBLIC, vaults=vaults, now=lambda: NOW)
    app = func.FunctionApp()
    app.register_functions(bp)
    (function,) = app.get_functions()
    output = Output()
    function.get_user_function()(event, output)
    return None if output.value is None else decode(output.value.encode())


@both
@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(DATA, id="of a version"),
        pytest.param({**DATA, "Id": str(KEY)}, id="of none"),
        pytest.param({**DATA, "Id": str(TARGET).upper(), "EXP": None}, id="in capitals"),
    ],
)
def test_what_the_key_has_coming_is_looked_up_and_not_taken_from_the_event(
    event: Callable[..., func.CloudEvent], kind: str, data: dict[str, Any]
) -> None:
    assert queued(event(data, kind=kind)) == Watch(
        key=str(KEY), cause=Cause(trigger="event", id="e1")
    )


@both
@pytest.mark.parametrize("kind", TYPES)
def test_a_vault_that_is_not_ours_is_counted_as_refused(
    event: Callable[..., func.CloudEvent], kind: str
) -> None:
    step = queued(event(kind=kind), vaults=frozenset({"kv9.vault.azure.net"}))
    assert isinstance(step, Refuse)
    assert "allow-list" in step.problem


@both
@pytest.mark.parametrize("said", [None, "soon", -1, 10**12, [], {}])
def test_whatever_the_event_says_of_when_the_look_fits_into_the_queue(
    event: Callable[..., func.CloudEvent],
    said: Any,  # noqa: ANN401 - JSON
) -> None:
    step = queued(event({**DATA, "EXP": said, "Extra": "x" * 100_000}, event_id="e" * 100_000))
    assert isinstance(step, Watch)
    assert len(encode(step)) < 4000


def test_an_event_is_taken_without_any_azure_sdk() -> None:
    """Event Grid waits 30 seconds, and a cold start pays for every import."""
    program = """
import sys
import azure.functions as func
import function_app
(events,) = [f for f in function_app.app.get_functions() if f.get_function_name() == "key_events"]
from tests.functions.test_near_expiry_events import Output, grid
out = Output()
events.get_user_function()(grid(), out)
assert '"watch"' in out.get()
brought = {".".join(name.split(".")[:3]) for name in sys.modules if name.startswith("azure.")}
print(sorted(brought - {"azure"} - {n for n in brought if n.startswith("azure.functions")}))
"""
    found = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program],
        cwd=CHECKOUT,
        env={
            "PYTHONPATH": ".",
            "KEYTURN_VAULTS": "kv1",
            "AzureWebJobsStorage": "UseDevelopmentStorage=true",
        },
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "[]"
