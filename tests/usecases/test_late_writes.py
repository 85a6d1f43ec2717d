"""Writes that arrive when their rotation is long over, and writes of somebody else."""

from collections.abc import Callable
from typing import Any

import pytest

from sandbox.arm.resource_ids import ResourceId
from sandbox.estate import Account
from shared.domain.json_paths import Json
from shared.domain.keys import KeyVersion
from shared.domain.rows import Phase, Rotation, rotation_id
from shared.domain.verdicts import Outcome, Verdict
from shared.domain.work import Stage, Work
from tests.usecases.bench import VAULT, Bench
from tests.usecases.rotations import report_of
from tests.usecases.runner import Runner


def names(version: str) -> Json:
    """Return the body that makes an account name a version, or follow a key."""
    vault, _, rest = version.partition("/keys/")
    key, _, text = rest.partition("/")
    reference = {"keyname": key, "keyversion": text, "keyvaulturi": f"{vault}/"}
    encryption = {"keySource": "Microsoft.Keyvault", "keyvaultproperties": reference}
    return {"properties": {"encryption": encryption}}


class Race:
    """An account on v1, and a rotation of its key to v2 that has begun."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.key = bench.key()
        self.account: Account = bench.account("stone", self.key)
        self.v1 = bench.in_use(self.account) or ""
        self.v2 = bench.later_version(self.key)
        self.runner = Runner(bench)
        self.runner.event(self.key, "v2")

    def rotation(self, version: str, run: int = 1) -> Rotation:
        return self.bench.rotation(rotation_id(KeyVersion.parse(version), run))

    def work(self, version: str, run: int = 1) -> Work | None:
        found = [k.row for k in self.bench.steps.ledger.all(self._id(version, run))]
        return found[0] if found else None

    def is_accepted(self, version: str) -> bool:
        work = self.work(version)
        return bool(work and work.accepted_at and work.stage is Stage.OPEN)

    def is_proven(self, version: str) -> bool:
        work = self.work(version)
        return bool(work and work.stage is Stage.CONFIRM)

    def is_phase(self, version: str, phase: Phase) -> bool:
        kept = self.bench.rows.load(Rotation, self._id(version, 1), "rotation")
        return bool(kept and kept.row.phase is phase)

    def verdict(self, version: str, run: int = 1) -> Verdict | None:
        work = self.work(version, run)
        assert work is not None
        return work.consumers[0].verdict

    def report(self, version: str, run: int = 1) -> Json:
        return report_of(self.bench, self._id(version, run))

    def _id(self, version: str, run: int) -> str:
        return rotation_id(KeyVersion.parse(version), run)


type Arrival = Callable[[], object]


def held_by_the_network(race: Race) -> Arrival:
    """Have the network keep v2's write; its sender finds the connection cut."""
    held = race.bench.azure.faults.hold(method="PATCH", path="*/stone")
    race.runner.run(until=held.arrived.is_set)

    def arrive() -> None:
        assert held.release().status == 200

    return arrive


def frozen_before_its_write(race: Race) -> Arrival:
    """Have the instance stand still between v2's intent and its write."""
    bodies: list[Json] = []

    def freezes(method: str, arguments: tuple[Any, ...]) -> bool:
        if method == "write":
            bodies.append(arguments[2])
        return method == "write"

    with race.bench.dying(before=freezes):
        race.runner.run(until=lambda: bodies)
    return lambda: race.bench.patch(race.account, bodies[0])


LATE = pytest.mark.parametrize("late", [held_by_the_network, frozen_before_its_write])


@LATE
@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(lambda race, v3: race.is_accepted(v3), id="before-the-first-look"),
        pytest.param(
            lambda race, v3: race.is_phase(v3, Phase.MOVING) and race.is_proven(v3),
            id="before-the-closing-scan",
        ),
        pytest.param(
            lambda race, v3: race.is_phase(v3, Phase.CONFIRMING), id="before-the-last-look"
        ),
    ],
)
def test_a_late_write_of_an_overtaken_rotation_is_undone_by_the_one_that_took_over(
    bench: Bench, late: Callable[[Race], Arrival], moment: Callable[[Race, str], bool]
) -> None:
    race = Race(bench)
    arrive = late(race)
    v3 = bench.later_version(race.key)
    race.runner.event(race.key, "v3")
    race.runner.run(until=lambda: moment(race, v3))
    assert bench.in_use(race.account) == v3

    arrive()

    assert bench.in_use(race.account) == race.v2
    race.runner.run()
    assert bench.in_use(race.account) == v3
    assert race.verdict(v3) is Verdict.VERIFIED
    assert race.rotation(v3).outcome is Outcome.COMPLETED
    assert race.verdict(race.v2) is Verdict.SUPERSEDED
    assert race.rotation(race.v2).outcome is Outcome.SUPERSEDED
    (consumer,) = race.report(v3)["consumers"]
    assert (consumer["before"], consumer["inUse"]) == (race.v1, v3)
    assert consumer["confirmed"]


@LATE
def test_a_late_write_that_arrives_after_the_end_is_undone_by_the_recheck(
    bench: Bench, late: Callable[[Race], Arrival]
) -> None:
    race = Race(bench)
    arrive = late(race)
    v3 = bench.later_version(race.key)
    race.runner.event(race.key, "v3")
    race.runner.run()
    assert race.rotation(v3).outcome is Outcome.COMPLETED
    arrive()
    assert bench.in_use(race.account) == race.v2

    bench.pass_time(hours=24)
    race.runner.sweep()
    race.runner.run()

    assert bench.in_use(race.account) == v3
    assert race.rotation(v3, run=2).outcome is Outcome.COMPLETED
    (consumer,) = race.report(v3, run=2)["consumers"]
    assert consumer["verdict"] == Verdict.VERIFIED
    assert (consumer["before"], consumer["inUse"]) == (race.v2, v3)


@LATE
def test_a_late_write_that_arrives_before_the_newer_one_changes_nothing(
    bench: Bench, late: Callable[[Race], Arrival]
) -> None:
    race = Race(bench)
    arrive = late(race)
    v3 = bench.later_version(race.key)
    race.runner.event(race.key, "v3")
    arrive()
    race.runner.run()

    assert bench.in_use(race.account) == v3
    assert race.verdict(v3) is Verdict.VERIFIED
    assert race.verdict(race.v2) is Verdict.SUPERSEDED
    history = bench.azure.estate.truth.history(race.account.id)
    assert [version for _, version in history] == [race.v1, race.v2, v3]


def test_a_late_write_of_its_own_version_is_a_move_and_no_second_one_is_made(bench: Bench) -> None:
    """The service took it although nobody heard: what was before is told all the same."""
    race = Race(bench)
    arrive = held_by_the_network(race)
    arrive()

    race.runner.run()

    assert race.verdict(race.v2) is Verdict.VERIFIED
    (consumer,) = race.report(race.v2)["consumers"]
    assert consumer["before"] == race.v1
    assert bench.writes(race.account) == 1


# -- somebody else's writes --------------------------------------------------------------------


def _between_read_and_write(race: Race, body: Json) -> None:
    """Have somebody change the account when our write is on its way."""

    def change(_path: str) -> None:
        race.bench.patch(race.account, body)

    race.bench.azure.faults.on("PATCH", "*/stone", change)


def _guarded(race: Race) -> list[int]:
    """Return how our writes, which alone are guarded by an ETag, were answered."""
    calls = race.bench.calls("PATCH", "stone")
    return [call.status for call in calls if "if-match" in call.request_headers]


@pytest.mark.parametrize(
    ("theirs", "verdict", "answers", "ends_on"),
    [
        pytest.param("newer", Verdict.SUPERSEDED, [412], "newer", id="newer-version"),
        pytest.param("other", Verdict.SKIPPED, [412], "other", id="another-key"),
        pytest.param("older", Verdict.VERIFIED, [412, 200], "target", id="older-version"),
        pytest.param("target", Verdict.ALREADY, [412], "target", id="our-own-target"),
    ],
)
def test_a_change_between_our_read_and_our_write_is_planned_on_anew(
    bench: Bench, theirs: str, verdict: Verdict, answers: list[int], ends_on: str
) -> None:
    bench.azure.estate.storage.etags = True
    vault = bench.azure.estate.vault(VAULT)
    older = vault.create_key("cmk")
    race = Race(bench)
    newer = bench.later_version(race.key)
    bench.enable(newer, enabled=False)  # or it would be the target
    versions = {
        "older": older,
        "target": race.v2,
        "newer": newer,
        "other": vault.create_key("other"),
    }

    def change(_path: str) -> None:
        bench.enable(newer, enabled=True)
        bench.patch(race.account, names(versions[theirs]))

    bench.azure.faults.on("PATCH", "*/stone", change)
    race.runner.run()

    assert race.verdict(race.v2) is verdict
    assert bench.in_use(race.account) == versions[ends_on]
    assert _guarded(race) == answers
    (consumer,) = race.report(race.v2)["consumers"]
    assert consumer["before"] == race.v1


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        pytest.param("back", "account names {v1} instead", id="back-to-the-old-version"),
        pytest.param("other", "account refers to {key} no longer", id="to-another-key"),
        pytest.param("off", "account refers to {key} no longer", id="to-the-platforms-own-key"),
    ],
)
def test_a_change_between_our_write_and_the_look_is_reported_and_left_alone(
    bench: Bench, wish: str, reason: str
) -> None:
    race = Race(bench)
    bodies = {
        "back": names(race.v1),
        "other": names(bench.key("other")),
        "off": {"properties": {"encryption": {"keySource": "Microsoft.Storage"}}},
    }
    race.runner.run(until=lambda: race.is_accepted(race.v2))
    bench.patch(race.account, bodies[wish])

    race.runner.run()

    assert race.verdict(race.v2) is Verdict.REVERTED
    (consumer,) = race.report(race.v2)["consumers"]
    assert consumer["reason"] == reason.format(v1=race.v1, key=race.key)
    assert race.rotation(race.v2).outcome is Outcome.FAILED
    assert bench.writes(race.account) == 2  # ours, and theirs


@pytest.mark.parametrize("etags", [True, False])
def test_what_somebody_changed_meanwhile_beside_the_key_is_kept(
    bench: Bench, *, etags: bool
) -> None:
    bench.azure.estate.storage.etags = etags
    race = Race(bench)
    _between_read_and_write(race, {"tags": {"owner": "payments"}})

    race.runner.run()

    assert race.verdict(race.v2) is Verdict.VERIFIED
    body = bench.azure.estate.arm.resources.get(ResourceId.parse(race.account.id)).body
    assert body["tags"] == {"owner": "payments"}


def test_without_etags_a_newer_version_that_we_overwrite_is_put_back_by_its_own_rotation(
    bench: Bench,
) -> None:
    """What no guard can prevent on a service that has no ETags."""
    race = Race(bench)
    newer: list[str] = []

    def change(_path: str) -> None:
        newer.append(bench.later_version(race.key))
        bench.patch(race.account, names(newer[0]))

    bench.azure.faults.on("PATCH", "*/stone", change)
    race.runner.run(until=lambda: newer)
    assert bench.in_use(race.account) == race.v2

    race.runner.event(race.key, "v3")
    race.runner.run()

    assert bench.in_use(race.account) == newer[0]
    assert race.verdict(newer[0]) is Verdict.VERIFIED
    assert race.verdict(race.v2) is Verdict.SUPERSEDED
