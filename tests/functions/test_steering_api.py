"""Pausing, resuming, cancelling and trying again, as an operator asks over HTTP."""

import itertools
import json
from contextlib import suppress
from dataclasses import dataclass
from dataclasses import replace as with_ports
from typing import cast

import azure.functions as func
import pytest
from azure.core.exceptions import ResourceExistsError
from azure.storage.queue import QueueClient, TextBase64DecodePolicy
from msgspec.structs import replace

from functions import steering_api
from sandbox.azurite import Azurite
from shared.domain.keys import Key, KeyVersion
from shared.domain.records import Request
from shared.domain.rows import Cause, KeyHead, Rotation, Row, rotation_id
from shared.domain.steps import Open, Step, Supervise, decode
from shared.domain.verdicts import Outcome
from shared.ports import Kept, Rows
from shared.settings import Settings
from shared.wiring import Wiring
from tests.domain.values import KEY, NOW, TARGET

ACTIONS = ["pause", "resume", "cancel", "retry"]
every_action = pytest.mark.parametrize("action", ACTIONS)
_numbers = itertools.count()


@dataclass
class Steered:
    """The API at a storage account, and an active rotation of a key of its own."""

    storage: str

    def __post_init__(self) -> None:
        settings = Settings.from_env({"KEYTURN_VAULTS": "kv1", "AzureWebJobsStorage": self.storage})
        self.steer = Wiring(settings).steer
        self.rows = self.steer.rows
        target = KeyVersion(Key(KEY.vault, f"cmk-{next(_numbers)}"), TARGET.version)
        self.rotation = Rotation(
            id=rotation_id(target, 1),
            key=str(target.key),
            target=str(target),
            target_created=NOW,
            key_type="RSA",
            run=1,
            cause=Cause(trigger="event", id="e1"),
            opened_at=NOW,
        )
        self.rows.insert(self.rotation)
        self.rows.insert(KeyHead(key=self.rotation.key, active=self.rotation.id))

    def call(
        self, action: str, body: bytes = b'{"reason": " why "}', asked: str = ""
    ) -> func.HttpResponse:
        app = func.FunctionApp()
        app.register_functions(steering_api.blueprint(lambda: self.steer))
        (function,) = app.get_functions()
        route = {"id": asked or self.rotation.id, "action": action}
        request = func.HttpRequest("POST", "/", route_params=route, body=body)
        answer: func.HttpResponse = function.get_user_function()(request)
        return answer

    def head(self) -> KeyHead:
        kept = self.rows.load(KeyHead, *KeyHead(key=self.rotation.key).address)
        assert kept
        return kept.row

    def change_head(self, **fields: str | None) -> None:
        kept = self.rows.load(KeyHead, *KeyHead(key=self.rotation.key).address)
        assert kept
        self.rows.replace(kept, replace(kept.row, **fields))

    def end(self, outcome: Outcome) -> None:
        kept = self.rows.load(Rotation, *self.rotation.address)
        assert kept
        self.rows.replace(kept, replace(kept.row, outcome=outcome))

    def queued(self) -> list[Step]:
        """Return what is queued for this key or rotation."""
        with QueueClient.from_connection_string(
            self.storage, "keyturn-steps", message_decode_policy=TextBase64DecodePolicy()
        ) as queue:
            with suppress(ResourceExistsError):
                queue.create_queue()
            steps = [
                decode(message.content.encode())
                for page in queue.receive_messages(messages_per_page=32).by_page()
                for message in page
            ]
        mine = [s for s in steps if isinstance(s, Supervise) and s.rotation == self.rotation.id]
        return [*mine, *(s for s in steps if isinstance(s, Open) and s.key == self.rotation.key)]


@pytest.fixture(name="steered")
def _steered(azurite: Azurite) -> Steered:
    return Steered(azurite.connection_string(azurite.accounts[-2]))


class Meddled:
    """Rows of which one is changed by somebody else right before each replacement."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def load[T: Row](self, row_type: type[T], partition: str, key: str) -> Kept[T] | None:
        return self._rows.load(row_type, partition, key)

    def replace[T: Row](self, kept: Kept[T], row: T) -> Kept[T]:
        self._rows.replace(kept, kept.row)
        return self._rows.replace(kept, row)


def detail(answer: func.HttpResponse) -> str:
    assert answer.mimetype == "application/problem+json"
    said: str = json.loads(answer.get_body())["detail"]
    return said


@every_action
def test_what_is_asked_is_accepted_and_says_where_to_see_what_becomes_of_it(
    steered: Steered, action: str
) -> None:
    answer = steered.call(action)
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/api/rotations/{steered.rotation.id}"
    assert json.loads(answer.get_body()) == {
        "id": steered.rotation.id,
        "state": f"{action} accepted",
    }
    assert steered.queued() == [Supervise(rotation=steered.rotation.id)]


@pytest.mark.parametrize(
    ("action", "paused", "cancelled"),
    [
        ("pause", "why", ""),
        ("resume", "", ""),
        ("cancel", "before", "why"),
        ("retry", "before", ""),
    ],
)
def test_what_was_asked_stands_on_the_head_of_the_key_in_the_operators_words(
    steered: Steered, action: str, paused: str, cancelled: str
) -> None:
    steered.change_head(paused="before")
    steered.call(action)
    head = steered.head()
    assert (head.paused, head.cancelled) == (paused, cancelled)
    assert head.active == steered.rotation.id


@every_action
def test_a_rotation_may_be_named_by_the_request_that_it_serves(
    steered: Steered, action: str
) -> None:
    asked = f"req-{steered.rotation.id}"
    request = Request(
        id=asked, key=steered.rotation.key, reason="r", new_version=False, asked_at=NOW
    )
    kept = steered.rows.insert(request)
    assert kept
    assert steered.call(action, asked=asked).status_code == 409  # it has no rotation yet
    assert steered.queued() == []

    steered.rows.replace(kept, replace(request, rotation=steered.rotation.id))

    assert steered.call(action, asked=asked).status_code == 202
    assert steered.queued() == [Supervise(rotation=steered.rotation.id)]


@every_action
@pytest.mark.parametrize(
    "asked", ["0" * 20 + "-1", "none", "it's", "a/b", "ä", "x" * 5000], ids=lambda a: a[:10]
)
def test_a_rotation_that_is_not_there_is_not_found(
    steered: Steered, action: str, asked: str
) -> None:
    answer = steered.call(action, asked=asked)
    assert answer.status_code == 404
    assert detail(answer)


@pytest.mark.parametrize("action", ["", "delete", "PAUSE", "pause ", "x" * 5000], ids=str.strip)
def test_an_action_that_there_is_not_is_not_found_and_those_that_there_are_are_named(
    steered: Steered, action: str
) -> None:
    answer = steered.call(action)
    assert answer.status_code == 404
    assert "pause, resume, cancel, retry" in detail(answer)
    assert steered.queued() == []


@pytest.mark.parametrize("action", ["pause", "resume", "cancel"])
@pytest.mark.parametrize(
    ("outcome", "head", "says"),
    [
        pytest.param(Outcome.COMPLETED, {}, "completed", id="ended"),
        pytest.param(None, {"active": None}, "superseded or cancelled", id="let go"),
        pytest.param(None, {"active": "another-1"}, "superseded or cancelled", id="superseded"),
        pytest.param(None, {"cancelled": "no"}, "superseded or cancelled", id="cancelled"),
    ],
)
def test_what_moves_nothing_any_more_cannot_be_steered(
    steered: Steered,
    action: str,
    outcome: Outcome | None,
    head: dict[str, str | None],
    says: str,
) -> None:
    steered.change_head(**head)
    if outcome:
        steered.end(outcome)
    before = steered.head()
    answer = steered.call(action)
    assert answer.status_code == 409
    assert says in detail(answer)
    assert steered.head() == before
    assert steered.queued() == []


def test_what_collides_with_something_else_is_to_be_asked_again(steered: Steered) -> None:
    meddled = cast("Rows", Meddled(steered.rows))
    steered.steer = with_ports(steered.steer, rows=meddled)
    answer = steered.call("pause")
    assert answer.status_code == 503
    assert "ask again" in detail(answer)
    assert steered.head().paused == ""


@pytest.mark.parametrize("outcome", Outcome)
def test_trying_again_what_has_ended_is_a_new_wish(steered: Steered, outcome: Outcome) -> None:
    steered.end(outcome)
    answer = steered.call("retry")
    assert answer.status_code == 202
    asked = json.loads(answer.get_body())["id"]
    assert answer.headers["Location"] == f"/api/rotations/{asked}"
    request = steered.rows.load(Request, asked, "request")
    assert request
    assert (request.row.reason, request.row.new_version) == ("why", False)
    cause = Cause(trigger="operator", id=asked, reason="why")
    assert steered.queued() == [Open(key=steered.rotation.key, cause=cause, request=asked)]


def test_trying_again_a_rotation_that_was_superseded_in_mid_run_is_refused(
    steered: Steered,
) -> None:
    steered.change_head(active="another-1")
    assert steered.call("retry").status_code == 409


@every_action
@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        pytest.param(b"", ["#"], id="nothing"),
        pytest.param(b"\xff", ["#"], id="no text"),
        pytest.param(b"[]", ["#"], id="a list"),
        pytest.param(b"{}", ["#"], id="no reason"),
        pytest.param(b'{"reason": "  "}', ["#/reason"], id="blanks"),
        pytest.param(b'{"reason": "x", "newVersion": true}', ["#"], id="a field too many"),
    ],
)
def test_a_body_that_does_not_fit_is_refused_and_changes_nothing(
    steered: Steered, action: str, body: bytes, pointers: list[str]
) -> None:
    answer = steered.call(action, body)
    assert answer.status_code == 400
    assert [each["pointer"] for each in json.loads(answer.get_body())["errors"]] == pointers
    assert steered.head() == KeyHead(key=steered.rotation.key, active=steered.rotation.id)
    assert steered.queued() == []
