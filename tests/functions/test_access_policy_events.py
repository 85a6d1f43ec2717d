"""Events that what a vault allows has changed: each queues a second look at its keys."""

from collections.abc import Callable
from typing import Any

import azure.functions as func
import pytest

from functions import key_events
from shared.domain.clouds import AZURE_PUBLIC
from shared.domain.steps import Refuse, Step, SweepVault, decode, encode
from tests.domain.values import KEY, NOW
from tests.functions.test_near_expiry_events import Output, cloud, grid

TYPE = "Microsoft.KeyVault.VaultAccessPolicyChanged"
DATA: dict[str, Any] = {
    "Id": "https://kv1.vault.azure.net",
    "VaultName": "kv1",
    "ObjectType": "Vault",
    "ObjectName": "kv1",
    "Version": "",
}

both = pytest.mark.parametrize("event", [grid, cloud])


def queued(event: func.EventGridEvent | func.CloudEvent) -> Step | None:
    """Return the step that an event queues."""
    bp = key_events.blueprint(
        queue="q", cloud=AZURE_PUBLIC, vaults=frozenset({KEY.vault}), now=lambda: NOW
    )
    app = func.FunctionApp()
    app.register_functions(bp)
    (function,) = app.get_functions()
    output = Output()
    function.get_user_function()(event, output)
    return None if output.value is None else decode(output.value.encode())


@both
@pytest.mark.parametrize("kind", [TYPE, TYPE.upper()])
def test_a_vault_that_allows_other_things_is_looked_at_again(
    event: Callable[..., func.CloudEvent], kind: str
) -> None:
    assert queued(event(DATA, kind)) == SweepVault(vault=KEY.vault, sweep="e1", recheck=True)


@both
@pytest.mark.parametrize(
    ("data", "says"),
    [
        pytest.param({}, "which vault", id="no vault"),
        pytest.param([], "data is list", id="no object"),
        pytest.param({**DATA, "VaultName": "kv9"}, "which vault", id="two vaults"),
        pytest.param({"VaultName": "kv9"}, "allow-list", id="not ours"),
    ],
)
def test_one_that_cannot_be_used_is_queued_to_be_counted(
    event: Callable[..., func.CloudEvent],
    data: Any,  # noqa: ANN401 - JSON
    says: str,
) -> None:
    step = queued(event(data, TYPE))
    assert isinstance(step, Refuse)
    assert says in step.problem


@both
def test_its_message_fits_into_the_queue(event: Callable[..., func.CloudEvent]) -> None:
    step = queued(event({**DATA, "Extra": "x" * 100_000}, TYPE, "e" * 100_000))
    assert step
    assert len(encode(step)) < 4000
