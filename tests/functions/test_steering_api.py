"""Pausing, resuming, cancelling and trying again, as an operator asks over HTTP."""

import itertools
from typing import Any

import pytest
from msgspec.structs import replace

from shared.domain.keys import Key, KeyVersion
from shared.domain.records import Act, Request, Settlement
from shared.domain.rows import Cause, KeyHead, Rotation, Row, rotation_id
from shared.domain.steps import Open, Supervise
from shared.domain.verdicts import Outcome, Verdict
from shared.domain.work import Consumer, Stage, Work
from shared.ports import Kept
from tests.domain.values import NOW, TARGET
from tests.functions.api import APPROVER, AUDITOR, BOTH, OPERATOR, Answer, CalledApi, Person
from tests.usecases.memory import MemoryRows

ACTIONS = ["pause", "resume", "cancel", "retry"]
every_action = pytest.mark.parametrize("action", ACTIONS)
_numbers = itertools.count()


class Steered:
    """The API, and an active rotation of a key of its own."""

    def __init__(self, called: CalledApi) -> None:
        self.called, self.rows, self.life = called, called.bench.rows, called.bench.life
        self.life.sent.clear()
        target = KeyVersion(Key("kv-bench.vault.azure.net", f"k{next(_numbers)}"), TARGET.version)
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

    def ask(self, action: str, body: object = None, asked: str = "") -> Answer:
        url = f"/api/rotations/{asked or self.rotation.id}/{action}"
        return self.called.call("POST", url, body or {"reason": " why "}, by=OPERATOR)

    def head(self) -> KeyHead:
        return self.called.bench.row(KeyHead, *KeyHead(key=self.rotation.key).address)

    def change_head(self, **fields: str | None) -> None:
        kept = self.rows.load(KeyHead, *KeyHead(key=self.rotation.key).address)
        assert kept
        self.rows.replace(kept, replace(kept.row, **fields))

    def end(self, outcome: Outcome) -> None:
        kept = self.rows.load(Rotation, *self.rotation.address)
        assert kept
        self.rows.replace(kept, replace(kept.row, outcome=outcome))

    def queued(self) -> list[Any]:
        return [step for step, _ in self.life.sent]


@pytest.fixture(name="steered")
def _steered(empty: CalledApi) -> Steered:
    return Steered(empty)


@every_action
def test_what_is_asked_is_accepted_and_kept_and_says_where_to_see_what_becomes_of_it(
    steered: Steered, action: str
) -> None:
    answer = steered.ask(action)
    rotation = steered.rotation.id
    assert (answer.status, answer.headers["Location"]) == (202, f"/api/rotations/{rotation}")
    assert answer.body == {"id": rotation, "state": f"{action} accepted"}
    assert steered.queued() == [Supervise(rotation=rotation)]
    (act,) = (kept.row for kept in steered.rows.scan(Act, rotation))
    assert (act.action, act.by, act.reason) == (action, OPERATOR.caller, "why")
    (shown,) = steered.called.get(f"/api/rotations/{rotation}", by=OPERATOR)["acts"]
    assert (shown["action"], shown["by"]["name"], shown["until"]) == (
        action,
        "otto@contoso.com",
        None,
    )


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
    steered.ask(action)
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
    early = steered.ask(action, asked=asked)
    assert early.status == 409
    says = "is being served" if action == "cancel" else "has no rotation yet"
    assert says in early.body["detail"]
    assert steered.queued() == []

    steered.rows.replace(kept, replace(request, rotation=steered.rotation.id))

    assert steered.ask(action, asked=asked).status == 202
    assert steered.queued() == [Supervise(rotation=steered.rotation.id)]


@pytest.mark.parametrize("action", [*ACTIONS, "approve"])
@pytest.mark.parametrize(
    "asked", ["0" * 20 + "-1", "none", "it's", "%C3%A4", "x" * 5000], ids=lambda a: a[:10]
)
def test_a_rotation_that_is_not_there_is_not_found(
    empty: CalledApi, action: str, asked: str
) -> None:
    answer = empty.call("POST", f"/api/rotations/{asked}/{action}", {"reason": "x"}, by=BOTH)
    assert answer.status == 404
    assert answer.body["detail"]


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
    answer = steered.ask(action)
    assert answer.status == 409
    assert says in answer.body["detail"]
    assert steered.head() == before
    assert steered.queued() == []


class Meddled(MemoryRows):
    """Rows of which one is changed by somebody else right before each replacement."""

    def replace[T: Row](self, kept: Kept[T], row: T) -> Kept[T]:
        super().replace(kept, kept.row)
        return super().replace(kept, row)


def test_what_collides_with_something_else_is_to_be_asked_again(empty: CalledApi) -> None:
    bench, rows = empty.bench, Meddled()
    steered = Steered(empty)
    rows.insert(steered.rotation)
    rows.insert(steered.head())
    before, bench.instead = bench.instead, {**bench.instead, "rows": rows}
    try:
        answer = steered.ask("pause")
    finally:
        bench.instead = before
    assert (answer.status, answer.headers["Retry-After"]) == (503, "10")
    assert "ask again" in answer.body["detail"]
    assert steered.head().paused == ""


@pytest.mark.parametrize("outcome", Outcome)
def test_trying_again_what_has_ended_is_a_new_wish(steered: Steered, outcome: Outcome) -> None:
    steered.end(outcome)
    answer = steered.ask("retry")
    asked = answer.body["id"]
    assert (answer.status, answer.headers["Location"]) == (202, f"/api/rotations/{asked}")
    request = steered.called.bench.row(Request, asked, "request")
    assert (request.reason, request.new_version, request.by) == ("why", False, OPERATOR.caller)
    cause = Cause(trigger="operator", id=asked, reason="why", by=OPERATOR.caller)
    assert steered.queued() == [Open(key=steered.rotation.key, cause=cause, request=asked)]


def test_trying_again_a_rotation_that_was_superseded_in_mid_run_is_refused(
    steered: Steered,
) -> None:
    steered.change_head(active="another-1")
    assert steered.ask("retry").status == 409


def test_a_body_that_does_not_fit_changes_nothing(steered: Steered) -> None:
    for action in ACTIONS:
        assert steered.ask(action, {"reason": "x", "newVersion": True}).status == 400
    assert steered.head() == KeyHead(key=steered.rotation.key, active=steered.rotation.id)
    assert steered.queued() == []


def settled(steered: Steered, by: Person = OPERATOR, **body: object) -> Answer:
    url = f"/api/rotations/{steered.rotation.id}/settle"
    return steered.called.call("POST", url, {"reason": " why "} | body, by=by)


def test_settling_takes_an_operator_a_resource_and_a_reason(steered: Steered) -> None:
    assert settled(steered, AUDITOR, resource="/x").status == 403
    assert settled(steered, APPROVER, resource="/x").status == 403
    for resource, reason in (("", "why"), ("/x", " "), ("/x\n", "why")):
        assert settled(steered, resource=resource, reason=reason).status == 400
    assert settled(steered).status == 400
    assert settled(steered, resource="/x").status == 404
    assert not list(steered.rows.scan(Act, steered.rotation.id))


def test_what_is_settled_already_is_accepted_and_stays_as_it_was(steered: Steered) -> None:
    said = Settlement(by=BOTH.caller, at=NOW, reason="done")
    group = container_group(steered.rotation, settlement=said)
    steered.rows.insert(group)
    answer = settled(steered, resource=group.resource.upper())
    assert (answer.status, answer.body["state"]) == (202, "settle accepted")
    assert answer.headers["Location"] == f"/api/rotations/{steered.rotation.id}"
    (shown,) = steered.called.items(f"/api/rotations/{steered.rotation.id}/consumers", by=OPERATOR)
    assert (shown["settled"]["by"]["name"], shown["settled"]["reason"]) == (
        "bea@contoso.com",
        "done",
    )


def test_a_function_key_settles_nothing(keyed: CalledApi) -> None:
    answer = keyed.call("POST", "/api/rotations/r-1/settle", {"reason": "x", "resource": "/x"})
    assert answer.status == 403
    assert "names nobody" in answer.body["detail"]


def test_settling_what_waits_for_no_person_is_refused_with_why(steered: Steered) -> None:
    group = container_group(steered.rotation, verdict=Verdict.FAILED)
    steered.rows.insert(group)
    answer = settled(steered, resource=group.resource)
    assert answer.status == 409
    assert "only what is manual can be settled by hand" in answer.body["detail"]


def container_group(
    rotation: Rotation, verdict: Verdict = Verdict.MANUAL, settlement: Settlement | None = None
) -> Work:
    return Work(
        rotation=rotation.id,
        key=rotation.key,
        resource="/subscriptions/s/resourceGroups/rg/providers/Microsoft.ContainerInstance"
        "/containerGroups/cg",
        kind="container_group",
        location="westeurope",
        found_at=NOW,
        stage=Stage.DONE if settlement else Stage.UNSETTLED,
        settlement=settlement,
        consumers=(Consumer(place="group", before="", pinned=False, verdict=verdict),),
    )
