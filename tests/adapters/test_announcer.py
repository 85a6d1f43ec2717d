"""A topic that hangs, refuses or is not there costs no more than its own time-outs."""

import time
from datetime import timedelta

import pytest
from azure.eventgrid import EventGridPublisherClient

from sandbox.faults import Answer, Fault
from shared.adapters.clock import RealClock
from shared.adapters.event_grid.announcer import TopicAnnouncer
from shared.domain.errors import AccessDeniedError, KeyturnError, RejectedError, UnavailableError
from tests.adapters.conftest import Served

TOPIC = "*.eventgrid.azure.net"


def announce(served: Served) -> None:
    with EventGridPublisherClient(served.azure.topic.endpoint, served.credential) as client:
        announcer = TopicAnnouncer(client, "keyturn", RealClock())
        announcer.announce("Keyturn.EventGap", id="e1", subject="k", facts={"key": "k"})


def sends(served: Served) -> int:
    return sum(fault.host == TOPIC for fault, _ in served.azure.faults.taken)


def test_what_is_announced_is_a_cloud_event(served: Served) -> None:
    announce(served)
    (event,) = served.azure.topics.published(served.azure.topic.name)
    assert {**event, "time": ""} == {
        "specversion": "1.0",
        "id": "e1",
        "source": "keyturn",
        "type": "Keyturn.EventGap",
        "subject": "k",
        "time": "",
        "data": {"key": "k"},
    }


def test_a_topic_that_hangs_is_given_up_after_ten_seconds_and_is_not_asked_again(
    served: Served,
) -> None:
    served.azure.faults.add(Fault(host=TOPIC, times=None, delay=timedelta(seconds=13)))
    begun = time.monotonic()
    with pytest.raises(UnavailableError, match=r"could not announce Keyturn\.EventGap: no answer"):
        announce(served)
    assert time.monotonic() - begun < 13
    assert sends(served) == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(Fault(host=TOPIC, lose_request=True), UnavailableError, id="reset"),
        pytest.param(Fault(host=TOPIC, answer=Answer(503)), UnavailableError, id="503"),
        pytest.param(Fault(host=TOPIC, answer=Answer(403)), AccessDeniedError, id="403"),
        pytest.param(Fault(host=TOPIC, answer=Answer(413)), RejectedError, id="413"),
    ],
)
def test_a_topic_that_does_not_take_it_is_asked_once(
    served: Served, fault: Fault, error: type[KeyturnError]
) -> None:
    served.azure.faults.add(fault)
    with pytest.raises(error, match=r"could not announce Keyturn\.EventGap"):
        announce(served)
    assert sends(served) == 1
    assert served.azure.topics.published(served.azure.topic.name) == []
