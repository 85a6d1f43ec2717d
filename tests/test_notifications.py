"""``docs/notifications.md`` is what the code sends: each type, with an example, field by field."""

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast, get_args

import pytest
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridPublisherClient
from msgspec.structs import replace

from shared.adapters.event_grid.announcer import TopicAnnouncer
from shared.domain.errors import AccessDeniedError, UnavailableError
from shared.domain.json_paths import Json
from shared.domain.keys import KeyVersion
from shared.domain.records import Request, Unheard
from shared.domain.rows import Cause, Evidence, Rotation, Scope
from shared.domain.verdicts import Outcome, Verdict
from shared.domain.work import Work
from shared.usecases.announce import Announce, Event
from tests.usecases.memory import MemoryRows

DOC = Path(__file__).parents[1] / "docs" / "notifications.md"

KEY = "https://kv-contoso.vault.azure.net/keys/cmk-payments"
TARGET = f"{KEY}/6e2b0f7a1c0d4d7f8a54b1e1d0a7c3f2"
NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
ROTATION = Rotation(
    id="3f1c9a7be2d04c55a1b6-1",
    key=KEY,
    target=TARGET,
    target_created=NOW,
    key_type="RSA",
    bits=3072,
    run=1,
    cause=Cause(trigger="event", id="e1"),
    opened_at=NOW,
)
ENDED = replace(
    ROTATION,
    outcome=Outcome.COMPLETED,
    counts={Verdict.VERIFIED: 41, Verdict.ALREADY: 1},
    scope=Scope(readable=7),
    ended_at=NOW,
    evidence=Evidence(
        name="kv-contoso.vault.azure.net/cmk-payments/3f1c9a7be2d04c55a1b6-1.json",
        sha256="b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c",
    ),
)
FAILED = replace(ENDED, outcome=Outcome.FAILED, counts={Verdict.VERIFIED: 41, Verdict.STUCK: 1})
ACCOUNT = (
    "/subscriptions/8f6f4b0e-0d0a-4f6e-9a55-3b9f3f0c7d11/resourceGroups/rg-payments"
    "/providers/Microsoft.Storage/storageAccounts/stpayments"
)


@dataclass
class Wire:
    """What a client sends, or how it fails."""

    sent: list[Json] = field(default_factory=list)
    failure: Exception | None = None

    def send(self, event: Json, **_: object) -> None:
        if self.failure:
            raise self.failure
        self.sent.append(event)


@dataclass
class Frozen:
    moment: datetime = NOW

    def now(self) -> datetime:
        return self.moment


@dataclass
class Told:
    """What is announced over a wire, with rows in memory."""

    wire: Wire = field(default_factory=Wire)
    clock: Frozen = field(default_factory=Frozen)
    rows: MemoryRows = field(default_factory=MemoryRows)

    @property
    def announce(self) -> Announce:
        client = cast("EventGridPublisherClient", self.wire)
        announcer = TopicAnnouncer(client, "keyturn", self.clock)
        return Announce(announcer=announcer, rows=self.rows, clock=self.clock)

    def all(self) -> list[Json]:
        """Announce something of every type, in the doc's order; return what was sent."""
        announce, version = self.announce, KeyVersion.parse(TARGET)
        announce.started(ROTATION)
        announce.needs_approval(ROTATION, "its policy asks for an approval", None)
        announce.request_needs_approval(_request())
        announce.paused(ROTATION, "5 resources failed; the limit is 5")
        announce.stuck(_work(), TARGET, "not proven within 1 hour (assumed): …")
        announce.ended(ENDED)
        announce.ended(FAILED)
        announce.key_expiring(
            version,
            datetime(2026, 12, 24, tzinfo=UTC),
            "it expires in 27 days",
            trouble="near_expiry",
        )
        announce.event_gap(version, NOW)
        return self.wire.sent


def _request() -> Request:
    return Request(
        id="req-4f9d2c1e-6a53-4a0e-9d0f-2f6f1f3c8b7a",
        key=KEY,
        reason="the yearly rotation",
        new_version=True,
        asked_at=NOW,
    )


def _work() -> Work:
    return Work(
        rotation=ROTATION.id,
        key=KEY,
        resource=ACCOUNT,
        kind="storage_account",
        location="westeurope",
        found_at=NOW,
    )


def _sections() -> dict[str, list[Any]]:
    """Return the examples of each section that is headed by the type of an event."""
    found: dict[str, list[Any]] = {}
    for section in DOC.read_text().split("\n## ")[1:]:
        head, _, text = section.partition("\n")
        if kind := re.fullmatch(r"`(Keyturn\.\w+)`", head):
            blocks = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
            found[kind[1]] = [json.loads(block) for block in blocks]
    return found


def test_the_doc_has_exactly_the_types_that_are_sent() -> None:
    types = {f"Keyturn.{name}" for name in get_args(Event.__value__)}
    assert set(_sections()) == types == {event["type"] for event in Told().all()}


def test_the_examples_are_what_is_sent_letter_for_letter() -> None:
    examples = [example for section in _sections().values() for example in section]
    by_id = {example["id"]: example for example in examples}
    assert by_id == {event["id"]: event for event in Told().all()}


def test_microsofts_sdk_reads_the_examples() -> None:
    for kind, examples in _sections().items():
        for example in examples:
            event: CloudEvent[Any] = CloudEvent.from_dict(example)
            assert (event.type, event.source) == (kind, "keyturn")
            assert isinstance(event.data, dict)


def test_every_field_of_an_event_is_explained() -> None:
    text = DOC.read_text()
    fields = {name for event in Told().all() for name in event["data"]}
    assert {name for name in fields if f"| `{name}` |" not in text} == set()


def test_the_same_fact_has_the_same_id_and_another_fact_another() -> None:
    told = Told()
    ids = [event["id"] for event in told.all()]
    assert len(set(ids)) == len(ids)
    assert [event["id"] for event in Told().all()] == ids

    later = Frozen(NOW.replace(hour=15))
    again = Told(clock=later)
    again.announce.paused(ROTATION, "a canary failed")
    again.announce.needs_approval(ROTATION, "its approval has run out", NOW)
    again.announce.key_expiring(KeyVersion.parse(TARGET), None, "it is too old", trouble="overage")
    assert not {event["id"] for event in again.wire.sent} & set(ids)


@pytest.mark.parametrize("failure", [UnavailableError("no answer"), AccessDeniedError("no")])
def test_what_nobody_took_shows_until_something_is_heard_again(failure: Exception) -> None:
    told = Told(Wire(failure=failure))
    told.announce.started(ROTATION)
    kept = told.rows.load(Unheard, *Unheard.PLACE)
    assert kept
    assert kept.row.event == f"{ROTATION.id}/Keyturn.RotationStarted"
    assert kept.row.problem == str(failure)

    told.wire.failure = None
    told.announce.event_gap(KeyVersion.parse(TARGET), NOW)

    assert told.rows.load(Unheard, *Unheard.PLACE) is None


@pytest.mark.parametrize(
    ("rotation", "heard"),
    [
        pytest.param(ROTATION, [], id="it has not ended"),
        pytest.param(ENDED, ["Keyturn.RotationCompleted"], id="completed"),
        pytest.param(
            replace(ENDED, outcome=Outcome.NOTHING_FOUND),
            ["Keyturn.RotationCompleted"],
            id="nothing found",
        ),
        pytest.param(FAILED, ["Keyturn.RotationFailed"], id="failed"),
        pytest.param(replace(ENDED, recheck=True), [], id="a second look that found all well"),
        pytest.param(
            replace(FAILED, recheck=True), ["Keyturn.RotationFailed"], id="one that did not"
        ),
        pytest.param(replace(ENDED, outcome=Outcome.SUPERSEDED), [], id="superseded"),
        pytest.param(replace(ENDED, outcome=Outcome.CANCELLED), [], id="cancelled"),
    ],
)
def test_an_end_is_announced_if_it_is_news(rotation: Rotation, heard: list[str]) -> None:
    told = Told()
    told.announce.ended(rotation)
    assert [event["type"] for event in told.wire.sent] == heard
