"""What a report shows, and in what order."""

from collections.abc import Iterator
from dataclasses import replace as with_row
from typing import Any, cast

from msgspec.structs import replace

from shared.domain.rows import Consumer, Row, Work
from shared.domain.verdicts import Verdict
from shared.domain.work import close
from shared.ports import Kept, Rows
from shared.usecases.report import MOST_CONSUMERS, ReportRotation
from tests.usecases.bench import Bench


class Multiplied:
    """The bench's rows, with one piece of work many times over, the last ones stuck."""

    def __init__(self, rows: Rows, many: int, stuck: int) -> None:
        self._rows = rows
        self._many = many
        self._stuck = stuck

    def load(self, row_type: type[Row], partition: str, key: str) -> Kept[Any] | None:
        return self._rows.load(row_type, partition, key)

    def scan(self, row_type: type[Row], partition: str, *, where: str = "") -> Iterator[Kept[Any]]:
        (one,) = cast("Iterator[Kept[Work]]", self._rows.scan(row_type, partition, where=where))
        consumer = Consumer(place="account", before=one.row.resource, pinned=True)
        for number in range(self._many):
            work = replace(one.row, resource=f"{one.row.resource}{number}", consumers=(consumer,))
            last = number >= self._many - self._stuck
            verdict = Verdict.STUCK if last else Verdict.VERIFIED
            yield with_row(one, row=close(work, verdict, one.row.found_at, reason="-"))


def test_of_very_many_consumers_those_that_need_somebody_are_shown(bench: Bench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation, _ = bench.opened(key)
    rows = cast("Rows", Multiplied(bench.rows, MOST_CONSUMERS + 500, stuck=50))

    report = ReportRotation(rows=rows).run(rotation)

    assert report is not None
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
    report = ReportRotation(rows=bench.rows).run(rotation)

    assert report is not None
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

    report = ReportRotation(rows=bench.rows).run(rotation)

    assert report is not None
    assert [c["form"] for c in report["consumers"]] == [None]
