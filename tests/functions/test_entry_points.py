"""The entry points, called without a host: what goes in, what comes out."""

import json
from collections.abc import Callable
from typing import Any

import azure.functions as func
import pytest

from functions import key_events, poison, queued_events, rotation_steps, sweeps
from shared.domain.clouds import AZURE_PUBLIC
from shared.domain.errors import UnreadableError
from shared.domain.rows import Cause
from shared.domain.steps import Open, Refuse, Revive, Step, SweepVault, decode, encode
from tests.domain.values import KEY, NOW, TARGET

VAULTS = frozenset({KEY.vault})
TYPE = "Microsoft.KeyVault.KeyNewVersionCreated"
DATA: dict[str, Any] = {"Id": str(TARGET), "ObjectType": "Key"}


class Output(func.Out[Any]):
    """An output binding."""

    value: Any = None

    def set(self, val: Any) -> None:  # noqa: ANN401 - the host's interface
        self.value = val

    def get(self) -> Any:  # noqa: ANN401 - as above
        return self.value


def function(blueprint: func.Blueprint, name: str) -> Callable[..., Any]:
    """Return the function of a blueprint, as the host calls it."""
    app = func.FunctionApp()
    app.register_functions(blueprint)
    found = {each.get_function_name(): each for each in app.get_functions()}
    user_function: Callable[..., Any] = found[name].get_user_function()
    return user_function


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


def queued(event: func.EventGridEvent | func.CloudEvent) -> Step | None:
    """Return the step that an event queues."""
    bp = key_events.blueprint(queue="q", cloud=AZURE_PUBLIC, vaults=VAULTS, now=lambda: NOW)
    output = Output()
    function(bp, "key_events")(event, output)
    return None if output.value is None else decode(output.value.encode())


@both
def test_an_event_queues_a_look_at_its_key(event: Callable[..., func.CloudEvent]) -> None:
    step = queued(event())
    assert step == Open(key=str(KEY), cause=Cause(trigger="event", id="e1"))


@both
def test_the_type_of_an_event_counts_in_any_casing(
    event: Callable[..., func.CloudEvent],
) -> None:
    assert isinstance(queued(event(kind=TYPE.upper())), Open)


@both
@pytest.mark.parametrize(
    "kind",
    [
        "Microsoft.KeyVault.CertificateNearExpiry",
        "Microsoft.KeyVault.SecretNewVersionCreated",
        "",
    ],
)
def test_an_event_of_another_type_is_let_go(
    event: Callable[..., func.CloudEvent], kind: str
) -> None:
    assert queued(event(kind=kind)) is None


@both
@pytest.mark.parametrize(
    ("data", "says"),
    [
        pytest.param({}, "data.Id is None", id="no id"),
        pytest.param([], "data is list", id="no object"),
        pytest.param({"Id": "http://x"}, "not the URL of a key", id="no key"),
        pytest.param({"Id": "https://kv9.vault.azure.net/keys/k"}, "allow-list", id="not ours"),
    ],
)
def test_an_event_that_cannot_be_used_is_queued_to_be_counted(
    event: Callable[..., func.CloudEvent],
    data: Any,  # noqa: ANN401 - JSON
    says: str,
) -> None:
    step = queued(event(data))
    assert isinstance(step, Refuse)
    assert step.event_id == "e1"
    assert says in step.problem


# -- events that waited in a queue ---------------------------------------------------------------


def taken(*events: object) -> list[Step]:
    """Return the steps that a message of the events' queue queues."""
    bp = queued_events.blueprint(
        queue="q", events="e", cloud=AZURE_PUBLIC, vaults=VAULTS, now=lambda: NOW
    )
    said = events[0] if len(events) == 1 else list(events)
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    output = Output()
    function(bp, "queued_events")(func.QueueMessage(id="m1", body=body), output)
    return [decode(each.encode()) for each in output.value]


def as_grid(data: Any, kind: str = TYPE) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"id": "e1", "eventType": kind, "subject": "cmk", "data": data, "dataVersion": "1"}


def as_cloud(data: Any, kind: str = TYPE) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"id": "e1", "type": kind, "source": "s", "specversion": "1.0", "data": data}


@pytest.mark.parametrize("form", [as_grid, as_cloud])
@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (TYPE, DATA),
        (TYPE.upper(), DATA),
        ("Microsoft.KeyVault.KeyExpired", DATA),
        ("Microsoft.KeyVault.VaultAccessPolicyChanged", {"VaultName": "kv1"}),
        ("Microsoft.KeyVault.SecretNewVersionCreated", DATA),
        (TYPE, {}),
        (TYPE, []),
        (TYPE, {"Id": "https://kv9.vault.azure.net/keys/k"}),
    ],
)
def test_an_event_that_waited_queues_just_what_it_would_have(
    form: Callable[[Any, str], dict[str, Any]],
    kind: str,
    data: Any,  # noqa: ANN401 - JSON
) -> None:
    direct = queued(grid(data, kind))
    assert taken(form(data, kind)) == ([direct] if direct else [])


def test_an_array_of_events_is_read_too() -> None:
    other = {**as_grid(DATA), "id": "e2"}
    assert [step.cause.id for step in taken(as_grid(DATA), other) if isinstance(step, Open)] == [
        "e1",
        "e2",
    ]


@pytest.mark.parametrize(
    "said", [b"", b"\xff", b"{", 7, None, "text", ["text"], [[]], b"[" * 100_000]
)
def test_a_message_that_is_no_event_is_let_go_and_named(
    said: object, caplog: pytest.LogCaptureFixture
) -> None:
    assert taken(said) == []
    assert "message m1 among the queued events is no event" in caplog.text


@pytest.mark.parametrize("data", [DATA, {"Id": "\ud800"}])
def test_half_a_character_in_an_event_keeps_no_other_from_being_taken(data: object) -> None:
    odd, other = {**as_grid(data), "id": "e\ud800"}, {**as_grid(DATA), "id": "e2"}
    first, second = taken(odd, other)
    assert isinstance(first, Open | Refuse)
    assert (first.cause.id if isinstance(first, Open) else first.event_id) == "e?"
    assert second == Open(key=str(KEY), cause=Cause(trigger="event", id="e2"))


def test_the_type_of_either_schema_counts_where_the_others_is_null() -> None:
    assert taken({**as_cloud(DATA), "eventType": None}) == taken(as_cloud(DATA))


@both
@pytest.mark.parametrize("data", [DATA, {}])
def test_a_message_fits_into_the_queue_whatever_the_event_holds(
    event: Callable[..., func.CloudEvent], data: dict[str, Any]
) -> None:
    step = queued(event({**data, "Extra": "x" * 100_000}, event_id="e" * 100_000))
    assert step
    assert len(encode(step)) < 4000


@pytest.mark.parametrize("past_due", [False, True])
def test_a_sweep_queues_each_vault_once_and_looks_at_what_lives_first(past_due: bool) -> None:  # noqa: FBT001 - a table
    vaults = frozenset({"b.x", "a.x"})
    bp = sweeps.blueprint(queue="q", vaults=vaults, schedule="0 0 * * * *", now=lambda: NOW)
    output = Output()
    function(bp, "sweeps")(func.TimerRequest(past_due=past_due), output)
    steps = [decode(message.encode()) for message in output.value]
    assert steps[0] == Revive(at=NOW)
    assert all(isinstance(step, SweepVault) for step in steps[1:])
    assert [step.vault for step in steps if isinstance(step, SweepVault)] == ["a.x", "b.x"]
    assert len({step.sweep for step in steps if isinstance(step, SweepVault)}) == 1


class Noted:
    """A use case that keeps what it is given."""

    def __init__(self) -> None:
        self.given: list[Any] = []
        self.message = ""

    def run(self, step: Step, *, message: str = "") -> None:
        self.given.append(step)
        self.message = self.message or message

    def run_unreadable(self, message: bytes, why: str) -> None:
        self.given.append((message, why))


@pytest.mark.parametrize("message", [b"hello", b'{"step":"open","key":"\xff"}'])
def test_a_message_that_is_no_step_fails_and_is_kept_once_it_is_poison(message: bytes) -> None:
    noted = Noted()
    steps = function(rotation_steps.blueprint(lambda: noted, queue="q"), "rotation_steps")
    with pytest.raises(UnreadableError):
        steps(func.QueueMessage(body=message))
    buried = function(poison.blueprint(lambda: noted, queue="q", events="e"), "poison")  # type: ignore[arg-type, return-value]
    buried(func.QueueMessage(body=message))
    ((kept, why),) = noted.given
    assert kept == message
    assert "not a step" in why


def test_an_event_that_could_not_be_queued_is_kept_with_what_it_was() -> None:
    noted = Noted()
    bp = poison.blueprint(lambda: noted, queue="q", events="e")  # type: ignore[arg-type, return-value]
    function(bp, "poison_events")(func.QueueMessage(body=b"{}"))
    assert noted.given == [(b"{}", "a queued event failed five times")]


def test_a_step_is_given_to_its_use_case() -> None:
    noted = Noted()
    step = SweepVault(vault="v", sweep="s")
    message = func.QueueMessage(id="m1", body=encode(step))
    function(rotation_steps.blueprint(lambda: noted, queue="q"), "rotation_steps")(message)
    function(poison.blueprint(lambda: noted, queue="q", events="e"), "poison")(message)  # type: ignore[arg-type, return-value]
    assert noted.given == [step, step]
    assert noted.message == "m1"
