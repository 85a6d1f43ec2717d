"""What a report shows, and in what order."""

from collections.abc import Iterator
from dataclasses import replace as with_row
from typing import Any, cast

from msgspec.structs import replace

from shared.domain.records import Request
from shared.domain.rows import KeyHead, Row
from shared.domain.verdicts import Verdict
from shared.domain.work import Consumer, Work, close
from shared.ports import Kept, Rows
from shared.usecases.report import MOST_CONSUMERS
from tests.usecases.bench import Bench
from tests.usecases.rotations import report_of


class Multiplied:
    """The bench's rows, with one piece of work many times over, the last ones stuck."""

    def __init__(self, rows: Rows, many: int, stuck: int) -> None:
        self._rows = rows
        self._many = many
        self._stuck = stuck

    def load(self, row_type: type[Row], partition: str, key: str) -> Kept[Any] | None:
        return self._rows.load(row_type, partition, key)

    def scan(self, row_type: type[Row], partition: str, *, where: str = "") -> Iterator[Kept[Any]]:
        for one in cast("Iterator[Kept[Work]]", self._rows.scan(row_type, partition, where=where)):
            consumer = Consumer(place="account", before=one.row.resource, pinned=True)
            for number in range(self._many):
                resource = f"{one.row.resource}{number}"
                work = replace(one.row, resource=resource, consumers=(consumer,))
                last = number >= self._many - self._stuck
                verdict = Verdict.STUCK if last else Verdict.VERIFIED
                yield with_row(one, row=close(work, verdict, one.row.found_at, reason="-"))


def test_of_very_many_consumers_those_that_need_somebody_are_shown(bench: Bench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation, _ = bench.opened(key)
    rows = cast("Rows", Multiplied(bench.rows, MOST_CONSUMERS + 500, stuck=50))

    report = report_of(bench, rotation, rows)

    assert report["counts"] == {"verified": MOST_CONSUMERS + 450, "stuck": 50}
    assert [c["verdict"] for c in report["consumers"]].count("stuck") == 50
    assert (len(report["consumers"]), report["consumersOmitted"]) == (MOST_CONSUMERS, 500)


def test_a_search_that_was_broken_off_does_not_hide_what_was_moved(bench: Bench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    kept = bench.rows.load(type(bench.rotation(rotation)), rotation, "rotation")
    assert kept is not None
    bench.rows.replace(kept, replace(kept.row, scope=None, problem="the query was refused"))

    bench.finish(rotation)

    report = report_of(bench, rotation)
    assert report["state"] == "failed"
    assert report["summary"] == (
        "1 of 1 consumers proven on the new version,"
        " in a search that was broken off: the query was refused"
    )


def test_a_consumer_that_was_never_read_is_of_no_form(bench: Bench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation, _ = bench.opened(key)

    report = report_of(bench, rotation)

    assert [c["form"] for c in report["consumers"]] == [None]


def test_a_report_says_how_far_its_rotation_has_come_until_it_has_ended(bench: Bench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation = bench.open(key)
    states = [report_of(bench, rotation)["state"]]
    (step,) = bench.discover(rotation)
    states.append(report_of(bench, rotation)["state"])
    bench.run(step)
    bench.settle(rotation)
    (consumer,) = report_of(bench, rotation)["consumers"]
    assert (consumer["verdict"], consumer["confirmed"]) == ("verified", False)

    bench.pass_time(minutes=2)
    bench.supervise(rotation)
    states.append(report_of(bench, rotation)["state"])
    bench.search(rotation, closing=True)
    states.append(report_of(bench, rotation)["state"])
    bench.settle(rotation)
    states.append(report_of(bench, rotation)["state"])

    assert states == ["discovering", "moving", "closing", "confirming", "completed"]
    (consumer,) = report_of(bench, rotation)["consumers"]
    assert (consumer["verdict"], consumer["confirmed"]) == ("verified", True)


def test_a_rotation_that_is_paused_says_so_and_why_until_it_has_ended(bench: Bench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation, _ = bench.opened(key)
    assert report_of(bench, rotation)["pausedBecause"] is None
    kept = bench.rows.load(KeyHead, *KeyHead(key=key).address)
    assert kept
    kept = bench.rows.replace(kept, replace(kept.row, paused="a canary failed"))
    report = report_of(bench, rotation)
    assert (report["state"], report["pausedBecause"]) == ("paused", "a canary failed")

    bench.rows.replace(kept, replace(kept.row, active="another-1"))

    report = report_of(bench, rotation)
    assert (report["state"], report["pausedBecause"]) == ("moving", None)


def test_a_request_shows_its_rotation_as_soon_as_there_is_one(bench: Bench) -> None:
    key = bench.key()
    bench.new_version(key)
    now = bench.clock.now()
    bench.rows.insert(Request(id="req-1", key=key, reason="audit", new_version=False, asked_at=now))
    waiting = report_of(bench, "req-1")
    assert (waiting["id"], waiting["state"]) == ("req-1", "requested")

    rotation = bench.open(key, request="req-1")

    report = report_of(bench, "req-1")
    assert (report["id"], report["request"], report["reason"]) == (rotation, "req-1", "audit")
    assert report_of(bench, rotation)["request"] is None
