"""The entry points, called without a host: what goes in, what comes out."""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import azure.functions as func
import pytest
from azure.storage.queue import QueueClient, TextBase64DecodePolicy

from functions import key_events, poison, rotation_steps, rotations_api, sweeps
from functions.http_answers import problem
from sandbox.azurite import Azurite
from shared.domain.callers import NOBODY
from shared.domain.clouds import AZURE_PUBLIC
from shared.domain.errors import UnreadableError
from shared.domain.rows import Cause
from shared.domain.steps import Open, Refuse, Revive, RotateKey, Step, SweepVault, decode, encode
from shared.settings import Settings
from shared.wiring import Wiring
from tests.domain.values import KEY, TARGET

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
    bp = key_events.blueprint(queue="q", cloud=AZURE_PUBLIC, vaults=VAULTS)
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
        "Microsoft.KeyVault.VaultAccessPolicyChanged",
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
    bp = sweeps.blueprint(queue="q", vaults=frozenset({"b.x", "a.x"}), schedule="0 0 * * * *")
    output = Output()
    function(bp, "sweeps")(func.TimerRequest(past_due=past_due), output)
    steps = [decode(message.encode()) for message in output.value]
    assert steps[0] == Revive()
    assert all(isinstance(step, SweepVault) for step in steps[1:])
    assert [step.vault for step in steps if isinstance(step, SweepVault)] == ["a.x", "b.x"]
    assert len({step.sweep for step in steps if isinstance(step, SweepVault)}) == 1


class Noted:
    """A use case that keeps what it is given."""

    def __init__(self) -> None:
        self.given: list[Any] = []

    def run(self, step: Step) -> None:
        self.given.append(step)

    def run_unreadable(self, message: bytes, why: str) -> None:
        self.given.append((message, why))


@pytest.mark.parametrize("message", [b"hello", b'{"step":"open","key":"\xff"}'])
def test_a_message_that_is_no_step_fails_and_is_kept_once_it_is_poison(message: bytes) -> None:
    noted = Noted()
    steps = function(rotation_steps.blueprint(lambda: noted, queue="q"), "rotation_steps")  # type: ignore[arg-type, return-value]
    with pytest.raises(UnreadableError):
        steps(func.QueueMessage(body=message))
    buried = function(poison.blueprint(lambda: noted, queue="q"), "poison")  # type: ignore[arg-type, return-value]
    buried(func.QueueMessage(body=message))
    ((kept, why),) = noted.given
    assert kept == message
    assert "not a step" in why


def test_a_step_is_given_to_its_use_case() -> None:
    noted = Noted()
    step = SweepVault(vault="v", sweep="s")
    message = func.QueueMessage(body=encode(step))
    function(rotation_steps.blueprint(lambda: noted, queue="q"), "rotation_steps")(message)  # type: ignore[arg-type, return-value]
    function(poison.blueprint(lambda: noted, queue="q"), "poison")(message)  # type: ignore[arg-type, return-value]
    assert noted.given == [step, step]


def test_a_problem_is_as_rfc_9457_has_it() -> None:
    errors = [{"pointer": "#/reason", "detail": "too short"}]
    answer = problem(HTTPStatus.BAD_REQUEST, "no", errors)
    assert answer.status_code == 400
    assert answer.mimetype == "application/problem+json"
    assert json.loads(answer.get_body()) == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "no",
        "errors": errors,
    }
    assert "errors" not in json.loads(problem(HTTPStatus.NOT_FOUND, "x").get_body())


@pytest.fixture(name="storage")
def _storage(azurite: Azurite) -> str:
    return azurite.connection_string(azurite.accounts[-1])


@pytest.fixture(name="api")
def _api(storage: str) -> Callable[..., func.HttpResponse]:
    settings = Settings.from_env({"KEYTURN_VAULTS": "kv1", "AzureWebJobsStorage": storage})
    wiring = Wiring(settings)
    bp = rotations_api.blueprint(
        lambda: wiring.ask, lambda: wiring.report, cloud=settings.cloud, vaults=settings.vaults
    )
    app = func.FunctionApp()
    app.register_functions(bp)
    functions = {f.get_function_name(): f.get_user_function() for f in app.get_functions()}

    def call(name: str, body: bytes = b"", **route: str) -> func.HttpResponse:
        request = func.HttpRequest("POST", "/", route_params=route, body=body)
        answer: func.HttpResponse = functions[name](request)
        return answer

    return call


def test_a_wish_is_accepted_kept_and_queued(
    api: Callable[..., func.HttpResponse], storage: str
) -> None:
    answer = api("rotate_key", b'{"reason": " audit "}', vault="KV1", key="CMK")
    assert answer.status_code == 202
    accepted = json.loads(answer.get_body())
    assert accepted == {"id": accepted["id"], "state": "requested", "key": str(KEY)}
    assert answer.headers["Location"] == f"/api/rotations/{accepted['id']}"

    queue = QueueClient.from_connection_string(
        storage, "keyturn-steps", message_decode_policy=TextBase64DecodePolicy()
    )
    steps = [decode(m.content.encode()) for m in queue.receive_messages()]
    cause = Cause(trigger="operator", id=accepted["id"], reason="audit", by=NOBODY)
    assert RotateKey(key=str(KEY), cause=cause, request=accepted["id"]) in steps

    report = json.loads(api("get_rotation", id=accepted["id"]).get_body())
    assert (report["state"], report["newVersion"], report["reason"]) == ("requested", True, "audit")


def test_a_wish_without_a_new_version_opens_only(
    api: Callable[..., func.HttpResponse], storage: str
) -> None:
    answer = api("rotate_key", b'{"reason": "x", "newVersion": false}', vault="kv1", key="cmk")
    wanted = json.loads(answer.get_body())["id"]
    queue = QueueClient.from_connection_string(
        storage, "keyturn-steps", message_decode_policy=TextBase64DecodePolicy()
    )
    steps = [decode(m.content.encode()) for m in queue.receive_messages(max_messages=32)]
    (step,) = [s for s in steps if isinstance(s, Open | RotateKey) and s.request == wanted]
    assert isinstance(step, Open)


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        pytest.param(b"", ["#"], id="nothing"),
        pytest.param(b"{", ["#"], id="no JSON"),
        pytest.param(b"\xff", ["#"], id="no text"),
        pytest.param(b"[]", ["#"], id="a list"),
        pytest.param(b"{}", ["#"], id="no reason"),
        pytest.param(b'{"reason": ""}', ["#/reason", "#/reason"], id="an empty reason"),
        pytest.param(b'{"reason": "  "}', ["#/reason"], id="blanks"),
        pytest.param(
            b'{"reason": 7, "newVersion": "yes"}', ["#/newVersion", "#/reason"], id="both"
        ),
        pytest.param(b'{"reason": "x", "new": true}', ["#"], id="a field too many"),
        pytest.param(json.dumps({"reason": "x" * 501}).encode(), ["#/reason"], id="too long"),
        pytest.param(b"[" * 100_000, ["#"], id="nested without end"),
    ],
)
def test_a_body_that_does_not_fit_is_refused_with_every_problem(
    api: Callable[..., func.HttpResponse], body: bytes, pointers: list[str]
) -> None:
    answer = api("rotate_key", body, vault="kv1", key="cmk")
    assert answer.status_code == 400
    found = json.loads(answer.get_body())
    assert sorted(each["pointer"] for each in found["errors"]) == pointers


@pytest.mark.parametrize(
    ("vault", "key", "status"),
    [
        pytest.param("kv2", "cmk", 403, id="a vault off the list"),
        pytest.param("kv1.vault.azure.cn", "cmk", 400, id="a vault of another cloud"),
        pytest.param("evil.example", "cmk", 400, id="no vault"),
        pytest.param("kv1", "c k", 400, id="no key"),
        pytest.param("kv1", f"cmk/{TARGET.version}", 400, id="a version"),
        pytest.param("kv1", "cmk?x=1", 400, id="a query"),
    ],
)
def test_a_key_that_is_not_ours_is_refused(
    api: Callable[..., func.HttpResponse], vault: str, key: str, status: int
) -> None:
    answer = api("rotate_key", b'{"reason": "x"}', vault=vault, key=key)
    assert answer.status_code == status
    assert json.loads(answer.get_body())["detail"]


@pytest.mark.parametrize("asked", ["none", "it's", "a/b", "a\\b", "a#b", "a?b", "ä", "x" * 5000])
def test_an_id_that_is_unknown_or_odd_is_not_found(
    api: Callable[..., func.HttpResponse], asked: str
) -> None:
    answer = api("get_rotation", id=asked)
    assert answer.status_code == 404
    assert "no rotation" in json.loads(answer.get_body())["detail"]
