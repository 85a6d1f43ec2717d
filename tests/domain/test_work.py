"""How a row of work moves on."""

from datetime import timedelta

from msgspec.structs import replace

from shared.catalog.storage import STORAGE_ACCOUNT
from shared.domain import work
from shared.domain.errors import RejectedError
from shared.domain.proofs import Level
from shared.domain.resources import Reference
from shared.domain.rows import KeyHead, Refusal, Scope, Work, rotation_id
from shared.domain.verdicts import Verdict
from tests.domain.values import ACCOUNT, KEY, NEWER, NOW, OLD, TARGET

FRESH = Work(
    rotation="r1",
    resource=ACCOUNT,
    kind="storage_account",
    location="westeurope",
    found_at=NOW,
    due_at=NOW,
)
PINNED = Reference("account", KEY, OLD)


def test_the_first_reading_is_the_before_and_no_later_one_changes_it() -> None:
    first = work.observe(FRESH, [PINNED], OLD)
    (consumer,) = first.consumers
    assert (consumer.before, consumer.pinned) == (str(OLD), True)
    assert (consumer.in_use_before, consumer.in_use) == (str(OLD), str(OLD))

    (again,) = work.observe(first, [Reference("account", KEY, TARGET)], TARGET).consumers
    assert (again.before, again.in_use_before) == (str(OLD), str(OLD))
    assert again.in_use == str(TARGET)


def test_a_versionless_reference_has_its_key_as_before() -> None:
    (consumer,) = work.observe(FRESH, [Reference("account", KEY, None)], None).consumers
    assert (consumer.before, consumer.pinned, consumer.in_use) == (str(KEY), False, None)


def test_the_next_look_makes_every_earlier_message_stale() -> None:
    nudged = replace(FRESH, nudged_at=NOW)
    later = work.look_at(nudged, NOW + timedelta(minutes=5))
    assert (later.seq, later.next) == (FRESH.seq + 1, "verify")
    assert (later.due_at, later.nudged_at) == (NOW + timedelta(minutes=5), None)
    assert later.open


def test_closing_gives_every_consumer_the_verdict_and_makes_messages_stale() -> None:
    two = work.observe(FRESH, [PINNED, Reference("scope", KEY, NEWER)], OLD)
    closed = work.close(
        two, Verdict.VERIFIED, NOW, reason="seen", advice="none", level=Level.REPORTED
    )
    assert [(c.place, c.verdict, c.reason, c.advice, c.level) for c in closed.consumers] == [
        (place, Verdict.VERIFIED, "seen", "none", Level.REPORTED) for place in ("account", "scope")
    ]
    assert (closed.open, closed.due_at, closed.closed_at) == (False, None, NOW)
    assert closed.seq == two.seq + 1


def test_a_resource_that_was_never_read_gets_a_verdict_for_itself() -> None:
    (consumer,) = work.close(FRESH, Verdict.UNKNOWN, NOW, reason="403").consumers
    assert (consumer.place, consumer.verdict, consumer.level) == ("resource", "unknown", None)


def test_an_error_closes_with_the_catalogs_advice_on_its_code() -> None:
    known = RejectedError("refused", code="KeyVaultAuthenticationFailure")
    (consumer,) = work.close_with_error(
        FRESH, STORAGE_ACCOUNT, Verdict.FAILED, NOW, known
    ).consumers
    assert consumer.reason == "refused"
    assert consumer.advice == STORAGE_ACCOUNT.advice["KeyVaultAuthenticationFailure"]

    (other,) = work.close_with_error(
        FRESH, STORAGE_ACCOUNT, Verdict.FAILED, NOW, RejectedError("refused", code="New")
    ).consumers
    assert "see the message" in other.advice


def test_a_key_a_resource_and_an_event_have_one_row_in_whatever_casing() -> None:
    assert KeyHead(key=str(KEY)).address == KeyHead(key=str(KEY).upper()).address
    assert FRESH.address == replace(FRESH, resource=ACCOUNT.upper()).address
    assert Refusal(event_id="e", problem="p", at=NOW).address[0] == "2026-11"


def test_the_same_wish_gives_the_same_rotation_and_another_run_another() -> None:
    assert rotation_id(TARGET, 1) == rotation_id(TARGET, 1)
    assert len({rotation_id(v, run) for v in (OLD, TARGET, NEWER) for run in (1, 2)}) == 6


def test_a_scope_says_what_was_searched_and_what_could_not_be() -> None:
    assert str(Scope(readable=1)) == "1 readable subscription"
    assert str(Scope(readable=1).plus(readable=2, unreadable=("a", "b"))) == (
        "3 readable subscriptions; 2 not readable"
    )
