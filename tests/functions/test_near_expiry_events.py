"""Events that a key nears its expiry: one wish per version, or none at all."""

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
from shared.domain.steps import Refuse, RotateKey, Step, decode, encode
from tests.domain.values import KEY, NEWER, TARGET

TYPE = "Microsoft.KeyVault.KeyNearExpiry"
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
    near_expiry: bool = True,
    vaults: frozenset[str] = frozenset({KEY.vault}),
) -> Step | None:
    """Return the step that an event queues."""
    bp = key_events.blueprint(queue="q", cloud=AZURE_PUBLIC, vaults=vaults, near_expiry=near_expiry)
    app = func.FunctionApp()
    app.register_functions(bp)
    (function,) = app.get_functions()
    output = Output()
    function.get_user_function()(event, output)
    return None if output.value is None else decode(output.value.encode())


@both
def test_a_version_that_nears_its_expiry_is_to_be_followed(
    event: Callable[..., func.CloudEvent],
) -> None:
    step = queued(event())
    assert isinstance(step, RotateKey)
    assert (step.key, step.expiring, step.expires) == (str(KEY), str(TARGET), EXPIRES)
    assert step.cause == Cause(
        trigger="event", id="e1", reason=f"{TARGET.version} nears its expiry"
    )


@both
def test_however_often_it_is_said_it_is_one_wish_and_of_another_version_another(
    event: Callable[..., func.CloudEvent],
) -> None:
    said = [
        queued(event(event_id=f"e{n}", kind=kind)) for n, kind in enumerate([TYPE, TYPE.upper()])
    ]
    odd = queued(event({**DATA, "Id": str(TARGET).upper(), "EXP": None}))
    other = queued(event({**DATA, "Id": str(NEWER)}))
    steps = [step for step in (*said, odd, other) if isinstance(step, RotateKey)]
    assert len(steps) == 4
    assert len({step.request for step in steps[:3]}) == 1
    assert steps[3].request != steps[0].request


@both
def test_a_wish_of_an_event_cannot_be_taken_for_an_operators(
    event: Callable[..., func.CloudEvent],
) -> None:
    step = queued(event())
    assert isinstance(step, RotateKey)
    assert step.request.startswith("exp-")  # theirs begin with req-


@both
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(DATA, id="of a version"),
        pytest.param({**DATA, "Id": str(KEY)}, id="of none"),
    ],
)
def test_nothing_is_queued_where_it_is_to_be_ignored(
    event: Callable[..., func.CloudEvent], data: dict[str, Any]
) -> None:
    assert queued(event(data), near_expiry=False) is None


@both
def test_an_event_that_names_no_version_says_nothing_to_follow(
    event: Callable[..., func.CloudEvent],
) -> None:
    assert queued(event({**DATA, "Id": str(KEY)})) is None


@both
@pytest.mark.parametrize("near_expiry", [False, True])
def test_a_vault_that_is_not_ours_is_counted_as_refused_either_way(
    event: Callable[..., func.CloudEvent],
    near_expiry: bool,  # noqa: FBT001 - a table
) -> None:
    step = queued(event(), vaults=frozenset({"kv9.vault.azure.net"}), near_expiry=near_expiry)
    assert isinstance(step, Refuse)
    assert "allow-list" in step.problem


@both
@pytest.mark.parametrize("said", [None, "soon", -1, 10**12, [], {}])
def test_whatever_the_event_says_of_when_the_wish_fits_into_the_queue(
    event: Callable[..., func.CloudEvent],
    said: Any,  # noqa: ANN401 - JSON
) -> None:
    step = queued(event({**DATA, "EXP": said, "Extra": "x" * 100_000}, event_id="e" * 100_000))
    assert isinstance(step, RotateKey)
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
assert '"rotate_key"' in out.get()
brought = {".".join(name.split(".")[:3]) for name in sys.modules if name.startswith("azure.")}
print(sorted(brought - {"azure"} - {n for n in brought if n.startswith("azure.functions")}))
"""
    found = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program],
        cwd=CHECKOUT,
        env={
            "PYTHONPATH": ".",
            "KEYTURN_VAULTS": "kv1",
            "KEYTURN_NEAR_EXPIRY": "rotate",
            "AzureWebJobsStorage": "UseDevelopmentStorage=true",
        },
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "[]"
