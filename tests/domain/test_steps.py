"""The messages of the queue."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import UnreadableError
from shared.domain.rows import Cause
from shared.domain.steps import (
    Discover,
    Open,
    Preflight,
    Refuse,
    Repoint,
    Revive,
    RotateKey,
    Step,
    Supervise,
    SweepVault,
    Verify,
    decode,
    encode,
)
from tests.domain.values import moments

texts = st.text(max_size=20)
counts = st.integers(0, 1000)
causes = st.builds(
    Cause, trigger=st.sampled_from(["event", "sweep", "operator"]), id=texts, reason=texts
)
steps: st.SearchStrategy[Step] = st.one_of(
    st.builds(Open, key=texts, cause=causes, request=texts, attempt=counts),
    st.builds(
        RotateKey,
        key=texts,
        cause=causes,
        request=texts,
        expiring=texts,
        expires=st.none() | moments,
        attempt=counts,
    ),
    st.builds(Preflight, rotation=texts, attempt=counts),
    st.builds(Discover, rotation=texts, closing=st.booleans(), page=counts, attempt=counts),
    st.builds(Repoint, rotation=texts, resource=texts, seq=counts, attempt=counts),
    st.builds(Verify, rotation=texts, resource=texts, seq=counts, attempt=counts),
    st.builds(Supervise, rotation=texts, attempt=counts),
    st.builds(Revive, attempt=counts),
    st.builds(SweepVault, vault=texts, sweep=texts, attempt=counts),
    st.builds(Refuse, event_id=texts, problem=texts, at=moments, attempt=counts),
)


@given(steps)
def test_a_step_reads_back_from_its_message(step: Step) -> None:
    message = encode(step)
    assert decode(message.encode()) == step
    assert json.loads(message)["schema"] == 1


@given(steps)
def test_a_message_of_a_later_schema_is_refused(step: Step) -> None:
    later = json.loads(encode(step)) | {"schema": 2}
    with pytest.raises(UnreadableError, match="not a step"):
        decode(json.dumps(later).encode())


def test_a_message_says_what_it_is_in_words() -> None:
    assert json.loads(encode(Verify(rotation="1f-1", resource="9c", seq=2))) == {
        "step": "verify",
        "schema": 1,
        "attempt": 0,
        "rotation": "1f-1",
        "resource": "9c",
        "seq": 2,
    }


def test_a_field_that_a_later_keyturn_added_is_ignored() -> None:
    message = b'{"step": "supervise", "rotation": "r", "colour": "red"}'
    assert decode(message) == Supervise(rotation="r")


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"hello", id="no JSON"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b'{"rotation": "r"}', id="no step"),
        pytest.param(b'{"step": "delete_everything"}', id="an unknown step"),
        pytest.param(b'{"step": "supervise"}', id="a field is missing"),
        pytest.param(b'{"step": "supervise", "rotation": 1}', id="a field of another type"),
        pytest.param(b"\xff\xfe", id="bytes that are no text"),
        pytest.param(b'{"step": "supervise", "rotation": "\xff"}', id="a text that is no UTF-8"),
    ],
)
def test_what_is_no_step_is_refused(message: bytes) -> None:
    with pytest.raises(UnreadableError, match="not a step"):
        decode(message)


def test_a_refused_message_is_quoted_no_further_than_200_bytes() -> None:
    with pytest.raises(UnreadableError) as refused:
        decode(b"x" * 60_000)
    assert len(str(refused.value)) < 400
