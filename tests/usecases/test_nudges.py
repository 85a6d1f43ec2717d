"""What was lost on its way is sent again: late enough, and less and less often."""

from datetime import timedelta

from sandbox.faults import Fault, server_error_html, throttled
from shared.domain.rows import Beat, Phase
from shared.domain.steps import Discover, Repoint, Step, Supervise, Verify
from shared.domain.verdicts import Outcome, Verdict
from tests.usecases.bench import Bench
from tests.usecases.rotations import follow, verdicts, watch


def times(sent: list[tuple[int, Step]], kind: type[Step]) -> list[int]:
    """Return after how many minutes steps of a class were sent."""
    return [after for after, step in sent if type(step) is kind]


def beat_of(bench: Bench, rotation: str) -> Beat:
    """Return when the supervisor of a rotation last looked."""
    now = bench.clock.now()
    return bench.row(Beat, *Beat(rotation=rotation, at=now, since=now).address)


def test_a_step_whose_message_was_lost_is_sent_again_less_and_less_often(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    bench.new_version(key)
    rotation, _ = bench.opened(key)

    sent = watch(bench, rotation, minutes=110)

    # After 15 minutes, then 30, then 60 more.
    assert times(sent, Repoint) == [15, 45, 105]
    for _, step in sent:
        if isinstance(step, Repoint):
            bench.run(step)
    assert bench.writes(account) == 1


def test_a_look_whose_message_was_lost_is_sent_again_too(bench: Bench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    sent = watch(bench, rotation, minutes=20)
    (again,) = [step for _, step in sent if isinstance(step, Verify)]
    bench.run(again)
    assert verdicts(bench, rotation) == {"stone": Verdict.VERIFIED}


def test_what_goes_on_is_nudged_as_if_it_had_never_been_late(bench: Bench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    watch(bench, rotation, minutes=50)
    bench.run(step)
    # It was due after five seconds, and is looked for every five minutes.
    assert times(watch(bench, rotation, minutes=30), Verify) == [20]


def test_a_step_that_was_put_off_is_not_overdue_before_its_new_time(bench: Bench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    wait = throttled(timedelta(minutes=30))
    bench.azure.faults.add(Fault(method="PATCH", path="*/stone", answer=wait))
    bench.run(step)
    assert times(watch(bench, rotation, minutes=55), Repoint) == [45]


def test_after_an_outage_of_a_day_nobody_is_nudged_before_the_backlog_had_its_time(
    bench: Bench,
) -> None:
    key = bench.key()
    for name in ("sta", "stb", "stc"):
        bench.account(name, key, "absent")
    bench.later_version(key)
    rotation = bench.open(key)
    assert len(bench.discover(rotation)) == 3
    bench.pass_time(hours=24)

    sent = watch(bench, rotation, minutes=45)

    # The first look of the new series is five minutes after the start.
    assert times(sent, Repoint) == [20, 20, 20]


def test_a_search_is_not_nudged_before_the_backlog_had_its_time_either(bench: Bench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation = bench.open(key)
    bench.run(Supervise(rotation=rotation))
    bench.pass_time(hours=24)
    sent = watch(bench, rotation, minutes=20)
    assert times(sent, Discover) == [20]


def test_a_silent_search_is_nudged_every_fifteen_minutes_however_often_it_is_looked_at(
    bench: Bench,
) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation = bench.open(key)
    bench.run(Discover(rotation=rotation))
    bench.run(Supervise(rotation=rotation))

    sent = watch(bench, rotation, minutes=50)

    assert times(sent, Discover) == [15, 30, 45]
    for _, step in sent:
        if isinstance(step, Discover):
            follow(bench, step)
    assert bench.rotation(rotation).phase is Phase.MOVING


def test_a_search_that_is_put_back_again_and_again_is_not_silent(bench: Bench) -> None:
    """Each nudge would live on beside it while the inventory does not answer."""
    key = bench.key()
    bench.new_version(key)
    rotation = bench.open(key)
    bench.run(Discover(rotation=rotation))
    bench.azure.faults.add(
        Fault(method="POST", path="*/resources", times=None, answer=server_error_html())
    )
    for _ in range(8):
        step = bench.sent(Discover)[-1]
        bench.forget_sent()
        bench.run(step)
        assert len(bench.sent(Discover)) == 1
        assert times(watch(bench, rotation, minutes=5), Discover) == []


def test_a_rotation_whose_queue_is_emptied_again_and_again_ends_all_the_same(
    bench: Bench,
) -> None:
    """By its supervisor alone."""
    key = bench.key()
    account = bench.account("stone", key)
    bench.new_version(key)
    rotation = bench.open(key)
    for _ in range(12):
        if bench.rotation(rotation).outcome:
            break
        bench.forget_sent()
        for _, step in watch(bench, rotation, minutes=20):
            if not isinstance(step, Supervise):
                bench.run(step)  # and what it sends is lost again
    assert bench.rotation(rotation).outcome is Outcome.COMPLETED
    assert bench.writes(account) == 1


def test_of_two_supervisors_only_one_goes_on_from_every_look(bench: Bench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    bench.opened(key)
    (step,) = bench.sent(Supervise)
    for _ in range(4):
        bench.forget_sent()
        bench.pass_time(seconds=30)
        for _ in range(2):
            bench.run(step)
        (step,) = bench.sent(Supervise)
    bench.pass_time(minutes=14)
    bench.forget_sent()
    for _ in range(2):
        bench.run(step)
    assert len(bench.sent(Repoint)) == 1, "it is nudged by one of them"


def test_the_series_of_looks_is_broken_by_a_gap_and_by_nothing_else(bench: Bench) -> None:
    key = bench.key()
    bench.new_version(key)
    rotation = bench.open(key)
    bench.run(Supervise(rotation=rotation))
    first = beat_of(bench, rotation)
    watch(bench, rotation, minutes=60)
    assert beat_of(bench, rotation).since == first.since
    bench.pass_time(minutes=16)
    bench.run(Supervise(rotation=rotation))
    beat = beat_of(bench, rotation)
    assert beat.since == beat.at > first.since + timedelta(minutes=60)
