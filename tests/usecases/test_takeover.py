"""A newer version takes over while an older one is still being rolled out."""

import json
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import pytest
from msgspec.structs import replace

from sandbox.faults import Answer, Fault
from shared.domain.callers import Caller
from shared.domain.errors import NotAllowedError
from shared.domain.records import Act
from shared.domain.rows import KeyHead, Rotation
from shared.domain.steps import Discover, Repoint, Supervise, Verify
from shared.domain.verdicts import Outcome, Verdict
from tests.usecases.bench import VAULT, Bench, at, open_step
from tests.usecases.memory import in_memory
from tests.usecases.rotations import carry_out, follow, found, head, report_of
from tests.usecases.runner import Runner

_REFERENCE = {"keyname": "cmk", "keyvaulturi": f"https://{VAULT}.vault.azure.net/"}


class Interrupted:
    """A port of which one call first lets something else happen."""

    def __init__(self, port: object, method: str, meanwhile: Callable[[], None]) -> None:
        self._port = port
        self._method = method
        self._meanwhile: Callable[[], None] | None = meanwhile

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any port's
        if name == self._method and self._meanwhile:
            meanwhile, self._meanwhile = self._meanwhile, None
            meanwhile()
        return getattr(self._port, name)


def interrupt(
    bench: Bench, name: str, part: str, method: str, meanwhile: Callable[[], None]
) -> None:
    """Let the next call of ``method`` by a step's ``part`` first let something else happen."""
    owner = attrgetter(name)(bench.steps)
    port = getattr(owner, part)
    object.__setattr__(owner, part, Interrupted(port, method, meanwhile))


def test_a_write_that_was_planned_before_the_takeover_is_not_made(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    bench.later_version(key)
    old, step = bench.opened(key)
    newest: list[str] = []

    def take_over() -> None:
        newest.append(bench.later_version(key))
        newest.append(bench.open(key))

    interrupt(bench, "repoint", "vaults", "created", take_over)
    bench.run(step)

    assert bench.writes(account) == 0
    assert bench.work(old).consumers[0].verdict is Verdict.SUPERSEDED
    assert carry_out(bench, newest[1]).outcome is Outcome.COMPLETED
    assert bench.in_use(account) == newest[0]


def test_a_rotation_whose_opening_died_is_concluded_by_the_one_that_takes_over(
    bench: Bench,
) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.later_version(key)
    with bench.dying(after=at("insert", Rotation)):
        bench.run_and_die(open_step(key))
    orphan = bench.active(key)
    bench.later_version(key)
    bench.forget_sent()

    bench.open(key)
    for supervisor in bench.sent(Supervise):
        bench.run(supervisor)

    assert bench.rotation(orphan).outcome is Outcome.SUPERSEDED


def test_a_rotation_that_lost_its_messages_and_those_of_its_end_is_ended_by_the_sweep(
    bench: Bench,
) -> None:
    """It has never been looked at, so nothing but its opening can tell the sweep of it."""
    swift = in_memory(bench)
    key = swift.key()
    swift.account("stone", key)
    swift.later_version(key)
    runner = Runner(swift)
    runner.event(key, "e2")
    runner.run(until=lambda: swift.active(key))
    orphan = swift.active(key)
    runner.lose_all()
    swift.later_version(key)
    runner.event(key, "e3")
    runner.run(until=lambda: swift.active(key) != orphan)
    runner.lose_all(lambda step: isinstance(step, Supervise) and step.rotation == orphan)
    runner.run()
    assert swift.rotation(orphan).outcome is None

    swift.pass_time(minutes=16)
    runner.sweep()
    runner.run()

    assert swift.rotation(orphan).outcome is Outcome.SUPERSEDED


def test_a_step_whose_lease_is_about_to_run_out_writes_nothing(bench: Bench) -> None:
    """A write that it began now could end after another step has taken the lease."""
    key = bench.key()
    account = bench.account("stone", key)
    target = bench.later_version(key)
    rotation, step = bench.opened(key)
    bench.forget_sent()
    interrupt(bench, "repoint", "resources", "managed_by", lambda: bench.pass_time(minutes=4))

    bench.run(step)

    assert (bench.writes(account), bench.calls("PATCH")) == (0, [])
    assert bench.work(rotation).intent is None
    (again,) = bench.sent(Repoint)
    bench.pass_time(minutes=1)
    bench.run(again)
    assert (bench.writes(account), bench.in_use(account)) == (1, target)


def test_a_consumer_that_somebody_moved_on_to_a_newer_version_is_superseded_not_reverted(
    bench: Bench,
) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    bench.later_version(key)
    rotation, step = bench.opened(key)
    bench.run(step)
    (look,) = bench.sent(Verify)
    newer = bench.later_version(key).rpartition("/")[2]
    encryption = {
        "keySource": "Microsoft.Keyvault",
        "keyvaultproperties": _REFERENCE | {"keyversion": newer},
    }
    bench.patch(account, {"properties": {"encryption": encryption}})

    bench.run(look)

    (consumer,) = bench.work(rotation).consumers
    assert consumer.verdict is Verdict.SUPERSEDED
    assert consumer.reason.endswith(f"{newer} instead, which is newer")


def test_busy_with_our_own_earlier_write_is_still_a_move_of_ours(bench: Bench) -> None:
    """503 "a PUT may have taken effect", then 409 for the very write: both are recorded."""
    key = bench.key()
    account = bench.account("stone", key)
    bench.new_version(key)
    rotation, step = bench.opened(key)
    busy = {"error": {"code": "StorageAccountOperationInProgress", "message": "busy"}}
    faults = bench.azure.faults
    faults.add(Fault(method="PATCH", path="*/stone", answer=Answer(503, b"")))
    bench.run(step)
    bench.pass_time(minutes=15)
    faults.add(Fault(method="PATCH", path="*/stone", answer=Answer(409, busy)))
    bench.run(step)
    # Now the service, slow, has done what our first request asked for.
    bench.patch(account, json.loads(bench.calls("PATCH")[0].request_body))
    bench.pass_time(minutes=15)

    bench.run(step)
    bench.finish(rotation)

    assert bench.work(rotation).consumers[0].verdict is Verdict.VERIFIED


def test_a_page_read_after_the_end_opens_no_work(bench: Bench) -> None:
    key = bench.key()
    bench.account("stone", key)
    bench.new_version(key)
    rotation = bench.open(key)
    first = Discover(rotation=rotation)
    bench.run(first)

    def end() -> None:
        follow(bench, replace(first, page=1))
        bench.supervise(rotation)
        assert bench.finish(rotation).counts == {Verdict.VERIFIED: 1}
        bench.account("stlate", key)

    interrupt(bench, "discover.estate", "inventory", "page", end)
    bench.run(replace(first, page=1))

    assert bench.rotation(rotation).outcome is Outcome.COMPLETED
    assert found(bench, rotation) == {"stone"}


@pytest.mark.parametrize("host", ["kv-other.vault.azure.net", "vault.example"])
def test_a_link_to_another_vault_is_not_followed(bench: Bench, host: str) -> None:
    bench.azure.estate.vault("kv-other")
    vaults = bench.steps.open.vaults
    bench.key()
    list(vaults.keys(f"{VAULT}.vault.azure.net"))  # signed in by now
    link = {"value": [], "nextLink": f"https://{host}/keys?api-version=7.5&$skiptoken=x"}
    bench.azure.faults.add(Fault(method="GET", path="/keys", answer=Answer(200, link)))

    with pytest.raises(NotAllowedError, match="named a link of another host"):
        list(vaults.keys(f"{VAULT}.vault.azure.net"))

    assert not [call for call in bench.azure.front_door.traffic() if call.host == host]


# -- what a person has paused --------------------------------------------------------------------

ANNE = Caller(id="t/anne", name="anne@contoso.com")


def test_what_a_person_has_paused_stays_paused_for_a_newer_version_until_they_let_it_go_on(
    bench: Bench,
) -> None:
    swift = in_memory(bench)
    key = swift.key()
    account = swift.account("stone", key)
    swift.later_version(key)
    old = swift.open(key)
    swift.steer.pause(old, "a freeze", ANNE)
    newer = [swift.later_version(key), swift.open(key)]
    last = [swift.later_version(key), swift.open(key)]

    assert len({old, newer[1], last[1]}) == 3
    carry_on = report_of(swift, last[1])
    assert (carry_on["state"], carry_on["pausedBecause"]) == ("paused", "a freeze")
    assert [(a["action"], a["by"]["name"]) for a in carry_on["acts"]] == [("pause", ANNE.name)]
    swift.discover(last[1])
    assert (swift.sent(Repoint), swift.writes(account)) == ([], 0)

    swift.steer.resume(last[1], "over", ANNE)
    assert swift.finish(last[1]).outcome is Outcome.COMPLETED
    assert swift.in_use(account) == last[0]


@pytest.mark.parametrize("why", ["resumed", "cancelled", "paused by itself", "ended"])
def test_a_newer_version_is_not_paused_for_what_holds_no_more(bench: Bench, why: str) -> None:
    swift = in_memory(bench)
    key = swift.key()
    swift.later_version(key)
    old = swift.open(key)
    swift.steer.pause(old, "a freeze", ANNE)
    kept = swift.rows.load(KeyHead, *KeyHead(key=key).address)
    rotation = swift.rows.load(Rotation, old, "rotation")
    assert kept
    assert rotation
    match why:
        case "resumed":
            swift.steer.resume(old, "over", ANNE)
        case "cancelled":
            swift.steer.cancel(old, "no", ANNE)
        case "paused by itself":
            swift.rows.replace(kept, replace(kept.row, paused_itself=True))
        case _:  # and whoever ended it died before the key was let go
            swift.rows.replace(rotation, replace(rotation.row, outcome=Outcome.COMPLETED))
    swift.later_version(key)
    newer = swift.open(key)
    assert newer != old
    assert head(swift, key).paused == ""
    assert list(swift.rows.scan(Act, newer)) == []
