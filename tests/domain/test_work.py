"""How a row of work moves on."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.catalog.storage import STORAGE_ACCOUNT
from shared.domain import work
from shared.domain.errors import RejectedError
from shared.domain.keys import Key
from shared.domain.proofs import Level
from shared.domain.records import Refusal
from shared.domain.resources import Reference
from shared.domain.rows import KeyHead, Lease, Scope, rotation_id
from shared.domain.verdicts import CONFIRMED, FAILURES, PROVEN, SETTLED, Verdict
from shared.domain.work import SHARDS, Outstanding, Stage, Wave, Work, outstanding_prefix
from tests.domain.values import ACCOUNT, KEY, NEWER, NOW, OLD, TARGET

FRESH = Work(
    rotation="r1",
    key=str(KEY),
    resource=ACCOUNT,
    kind="storage_account",
    location="westeurope",
    found_at=NOW,
    due_at=NOW,
)
PINNED = Reference("account", KEY, OLD)


def test_the_first_reading_is_the_before_and_no_later_one_changes_it() -> None:
    first = work.observe(FRESH, [PINNED], OLD, NOW)
    (consumer,) = first.consumers
    assert (consumer.before, consumer.pinned) == (str(OLD), True)
    assert (consumer.in_use_before, consumer.in_use) == (str(OLD), str(OLD))

    again = work.observe(
        first, [Reference("account", KEY, TARGET)], TARGET, NOW + timedelta(hours=1)
    )
    assert first.read_at == again.read_at == NOW
    (again_seen,) = again.consumers
    assert (again_seen.before, again_seen.in_use_before) == (str(OLD), str(OLD))
    assert again_seen.in_use == str(TARGET)


def test_a_versionless_reference_has_its_key_as_before() -> None:
    (consumer,) = work.observe(FRESH, [Reference("account", KEY, None)], None, NOW).consumers
    assert (consumer.before, consumer.pinned, consumer.in_use) == (str(KEY), False, None)


def test_the_next_look_makes_every_earlier_message_stale() -> None:
    later = work.look_at(FRESH, NOW + timedelta(minutes=5))
    assert (later.seq, later.next) == (FRESH.seq + 1, "verify")
    assert (later.due_at, later.stage) == (NOW + timedelta(minutes=5), Stage.OPEN)
    assert Outstanding.of(later).nudges == 0


def test_closing_gives_every_consumer_the_verdict_and_makes_messages_stale() -> None:
    two = work.observe(FRESH, [PINNED, Reference("scope", KEY, NEWER)], OLD, NOW)
    closed = work.close(
        two, Verdict.VERIFIED, NOW, reason="seen", advice="none", level=Level.REPORTED
    )
    assert [(c.place, c.verdict, c.reason, c.advice, c.level) for c in closed.consumers] == [
        (place, Verdict.VERIFIED, "seen", "none", Level.REPORTED) for place in ("account", "scope")
    ]
    assert (closed.stage, closed.due_at, closed.closed_at) == (Stage.CONFIRM, None, NOW)
    assert closed.seq == two.seq + 1


def test_a_resource_that_was_never_read_gets_a_verdict_for_itself() -> None:
    (consumer,) = work.close(FRESH, Verdict.UNKNOWN, NOW, reason="403").consumers
    assert (consumer.place, consumer.verdict, consumer.level) == ("resource", "unknown", None)


@pytest.mark.parametrize("verdict", Verdict)
def test_what_is_settled_by_a_reading_is_read_once_more_and_what_is_unsettled_is_kept_in_sight(
    verdict: Verdict,
) -> None:
    closed = work.close(FRESH, verdict, NOW, reason="-")
    if verdict in CONFIRMED:
        assert closed.stage is Stage.CONFIRM
    else:
        assert closed.stage is (Stage.DONE if verdict in SETTLED else Stage.UNSETTLED)
    again = work.close(closed, verdict, NOW, reason="seen by the closing scan")
    assert again.stage is (Stage.DONE if verdict in SETTLED else Stage.UNSETTLED)


def test_a_verdict_that_stands_is_done_and_keeps_what_it_said() -> None:
    closed = work.close(
        work.observe(FRESH, [PINNED], OLD, NOW), Verdict.VERIFIED, NOW, reason="seen"
    )
    stands = work.confirm(closed)
    assert (stands.stage, stands.due_at, stands.seq) == (Stage.DONE, None, closed.seq + 1)
    assert stands.consumers == closed.consumers


def test_work_that_is_set_aside_waits_for_its_release_and_makes_messages_stale() -> None:
    held = work.hold(FRESH)
    assert (held.due_at, held.seq, held.next) == (None, FRESH.seq + 1, "repoint")
    assert held.stage is Stage.OPEN


def test_a_verdict_that_is_taken_back_leaves_the_before_and_nothing_else() -> None:
    closed = work.close(
        work.observe(FRESH, [PINNED], OLD, NOW), Verdict.STUCK, NOW, reason="slow", advice="wait"
    )
    again = work.reopen(replace(closed, trouble="RuntimeError: x"))
    (consumer,) = again.consumers
    assert (consumer.before, consumer.in_use_before) == (str(OLD), str(OLD))
    assert (consumer.verdict, consumer.level, consumer.reason, consumer.advice) == (
        None,
        None,
        "",
        "",
    )
    assert (again.stage, again.next, again.wave) == (Stage.OPEN, "repoint", Wave.REST)
    assert (again.due_at, again.closed_at, again.trouble) == (None, None, "")
    assert again.read_at is None
    assert again.seq == closed.seq + 1


def test_a_resource_that_was_never_read_has_its_before_yet_to_come_when_it_is_taken_up_again() -> (
    None
):
    again = work.reopen(work.close(FRESH, Verdict.UNKNOWN, NOW, reason="403"))
    assert again.consumers == ()
    (consumer,) = work.observe(again, [PINNED], OLD, NOW).consumers
    assert (consumer.place, consumer.before) == ("account", str(OLD))


@pytest.mark.parametrize("verdict", [None, *Verdict])
def test_an_entry_of_the_index_says_what_its_work_says(verdict: Verdict | None) -> None:
    moved = replace(work.observe(FRESH, [PINNED], OLD, NOW), seq=3, wave=Wave.CANARY)
    row = moved if verdict is None else work.close(moved, verdict, NOW, reason="-")
    entry = Outstanding.of(row)
    assert (entry.stage, entry.next, entry.seq) == (row.stage, row.next, row.seq)
    assert (entry.due_at, entry.wave, entry.kind) == (row.due_at, row.wave, row.kind)
    assert entry.failed == (verdict in FAILURES)
    assert not entry.moved
    assert Outstanding.of(replace(row, accepted_at=NOW)).moved == (verdict in PROVEN)
    assert entry.address[0] == row.address[0]
    assert entry.address[1] == f"todo-{row.stage}-1-{row.address[1]}"


@pytest.mark.parametrize(
    ("before", "after"),
    [(Wave.NO_WRITE, Wave.REST), (Wave.CANARY, Wave.CANARY), (Wave.REST, Wave.REST)],
)
def test_what_is_moved_after_all_is_a_canary_only_if_it_was_one(before: Wave, after: Wave) -> None:
    closed = work.close(replace(FRESH, wave=before), Verdict.STUCK, NOW, reason="slow")
    assert work.reopen(closed).wave is after


def test_who_goes_ahead_changes_its_wave_and_nothing_else() -> None:
    assert work.promote(FRESH) == replace(FRESH, wave=Wave.CANARY)


def test_entries_of_one_stage_or_of_one_wave_in_it_stand_together_and_apart_from_the_work() -> None:
    stages = [outstanding_prefix(stage) for stage in Stage]
    for stage, prefix in zip(Stage, stages, strict=True):
        waves = [outstanding_prefix(stage, wave) for wave in Wave]
        assert all(each.startswith(prefix) for each in waves)
        assert not any(a != b and a.startswith(b) for a in waves for b in waves)
        assert waves == sorted(waves)
    prefixes = stages
    assert not any(a != b and a.startswith(b) for a in prefixes for b in prefixes)
    assert all(prefix > "f" * 32 for prefix in prefixes)  # no digest is ordered among them


@given(st.sets(st.text(min_size=1, max_size=30), min_size=200, max_size=200))
def test_the_work_of_a_rotation_is_spread_over_every_shard(resources: set[str]) -> None:
    partitions = {replace(FRESH, resource=resource).address[0] for resource in resources}
    assert partitions == {f"r1-{shard}" for shard in range(SHARDS)}


def test_a_lane_is_a_subscription_a_region_and_a_provider_in_whatever_casing() -> None:
    assert FRESH.lane == "0b1f6471-1bf0-4dda-aec3-cb9272f09590/westeurope/microsoft.storage"
    shouted = replace(FRESH, resource=ACCOUNT.upper(), location="WestEurope")
    assert shouted.lane == FRESH.lane
    assert replace(FRESH, resource="no id of ARM's").lane == ""
    file = replace(FRESH, resource="https://st1.blob.core.windows.net/configs/prod/a.yaml")
    assert file.lane == "st1.blob.core.windows.net"


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
    shouted = Key.parse(str(KEY).upper())
    assert KeyHead(key=str(KEY)).address == KeyHead(key=str(shouted)).address
    assert FRESH.address == replace(FRESH, resource=ACCOUNT.upper()).address
    assert Refusal(event_id="e", problem="p", at=NOW).address[0] == "2026-11"


def test_files_whose_names_differ_in_casing_are_two() -> None:
    one, other = (f"https://st1.blob.core.windows.net/c/{name}" for name in ("a.yaml", "A.yaml"))
    assert replace(FRESH, resource=one).address != replace(FRESH, resource=other).address
    assert Lease(resource=one, until=NOW).address != Lease(resource=other, until=NOW).address


def test_the_same_wish_gives_the_same_rotation_and_another_run_another() -> None:
    assert rotation_id(TARGET, 1) == rotation_id(TARGET, 1)
    assert len({rotation_id(v, run) for v in (OLD, TARGET, NEWER) for run in (1, 2)}) == 6


def test_a_scope_says_what_was_searched_and_what_could_not_be() -> None:
    assert str(Scope(readable=1)) == "1 readable subscription"
    assert str(Scope(readable=1).plus(readable=2, unreadable=("a", "b"))) == (
        "3 readable subscriptions; 2 not readable"
    )
