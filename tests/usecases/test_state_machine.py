"""Whatever happens, in whichever order: events, deaths, other writers, faults, people.

Hypothesis makes up what happens; ``Witness`` says what must hold after every step. In the end all
is let run without faults, and everything must come to rest where it belongs.

It makes up other things every day; ``KEYTURN_TEST_SEED`` has those of a day again, and
``KEYTURN_TEST_EXAMPLES=500`` tries more.
"""

import os
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from unittest.mock import patch

from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sandbox.azure import LocalAzure
from sandbox.azurite import Azurite
from sandbox.estate import Account
from sandbox.faults import Fault, server_error_html, throttled
from sandbox.held_requests import HeldRequest
from shared.domain.callers import NOBODY
from shared.domain.errors import KeyturnError
from shared.domain.rows import Cause, KeyHead
from shared.domain.verdicts import Outcome
from tests.seeds import FIRST_SEED
from tests.usecases.bench import Bench, open_step
from tests.usecases.led_clock import Leader, LedClock
from tests.usecases.memory import MemoryQueue, MemoryRows
from tests.usecases.runner import Runner, Standing
from tests.usecases.witness import Witness

EXAMPLES = int(os.environ.get("KEYTURN_TEST_EXAMPLES", "10"))
START = datetime(2026, 11, 2, 9, tzinfo=UTC)
KEYS = ("cmk", "other")
NAMES = ("stpinned", "stsecond", "stother", FOLLOWING := "stfollowing")
MOST_VERSIONS = 6

type Steer = Literal["pause", "resume", "cancel", "retry"]
type Rule = Callable[..., None]

names, keys = st.sampled_from(NAMES), st.sampled_from(KEYS)
spans = st.sampled_from([0.2, 3, 20, 180, 1500])


def happening(**what: st.SearchStrategy[Any]) -> Callable[[Rule], Rule]:
    """Return a decorator: a rule, after which some of what is queued is run."""

    def decorate(function: Rule) -> Rule:
        def happen(self: "Happenings", then: int, **named: object) -> None:
            function(self, **named)
            self.nothing_is_wrong()
            self.run(then)

        happen.__name__ = function.__name__
        make: Any = rule  # its types know of no strategies that are passed on
        decorated: Rule = make(then=st.integers(0, 9), **what)(happen)
        return decorated

    return decorate


class Happenings(RuleBasedStateMachine):
    """Two keys, four accounts, and everything that may befall them."""

    def __init__(self, azurite: Azurite, account: str) -> None:
        super().__init__()
        self.stack = ExitStack()
        leader = Leader(Standing(START))
        clock = LedClock(START, 1, leader)
        self.azure = self.stack.enter_context(LocalAzure(clock, azurite, account))
        self.stack.enter_context(patch.dict(os.environ, self.azure.environment()))
        self.bench = Bench(self.azure, instead={"rows": MemoryRows(), "queue": MemoryQueue()})
        self.runner = Runner(self.bench)
        self.bench.clock.clock = Standing(START)
        leader.clock = self.bench.clock
        self.estate, self.faults = self.azure.estate, self.azure.faults
        self.keys = {name: self.bench.key(name) for name in KEYS}
        self.witness = Witness(self.bench, tuple(self.keys.values()))
        self.accounts: dict[str, Account] = {}
        self.held: list[tuple[str, HeldRequest]] = []
        self.events = 0

    @initialize(etags=st.booleans(), twice=st.booleans(), held=st.sampled_from(["", *NAMES]))
    def begin(self, *, etags: bool, twice: bool, held: str) -> None:
        self.runner.duplicates = int(twice)
        self.estate.storage.etags = etags
        for name in NAMES:
            key = self.keys["other" if name == "stother" else "cmk"]
            form: Literal["absent", "pinned"] = "absent" if name == FOLLOWING else "pinned"
            self.accounts[name] = self.bench.account(name, key, form)
        self.accounts[FOLLOWING].pace.next_poll_at = START + timedelta(hours=1)
        for name in KEYS:
            self._new_version(name, told=True)
        if held:
            self._hold(held)

    @invariant()
    def nothing_is_wrong(self) -> None:
        for error in self.runner.raised:
            raise error
        self.witness.check()

    # -- the app's own steps ---------------------------------------------------------------------

    @rule(count=st.integers(5, 30))
    def run(self, count: int) -> None:
        for _ in range(count):
            if self.runner.deliver():
                self.nothing_is_wrong()

    @rule()
    def run_for_minutes(self) -> None:
        until = self.bench.clock.now() + timedelta(minutes=6)
        while self.bench.clock.now() < until and self.runner.deliver():
            self.nothing_is_wrong()

    @rule(effects=st.integers(1, 25))
    def die(self, effects: int) -> None:
        """Run, and die once so much is done."""
        deaths = self.runner.deaths
        with self.bench.dying(effects=effects):
            while self.runner.deaths == deaths and self.runner.deliver():
                self.nothing_is_wrong()

    @happening(minutes=spans)
    def stand_still(self, minutes: float) -> None:
        """Let time pass in which nothing of ours runs."""
        self.bench.pass_time(minutes=minutes)

    @happening()
    def sweep(self) -> None:
        self.runner.sweep()

    @happening()
    def lose_the_queue(self) -> None:
        self.runner.lose_all()

    # -- the vault -------------------------------------------------------------------------------

    @happening(name=keys, told=st.booleans())
    def new_version(self, name: str, *, told: bool) -> None:
        self._new_version(name, told=told)

    def _new_version(self, name: str, *, told: bool) -> None:
        if len(self.witness.versions(self.keys[name])) < MOST_VERSIONS:
            self.bench.pass_time(seconds=2)
            self.bench.new_version(self.keys[name])
        if told:
            self._tell(name)

    @happening(name=keys)
    def tell(self, name: str) -> None:
        """Deliver an event late, or a second time."""
        self._tell(name)

    def _tell(self, name: str) -> None:
        self.events += 1
        self.runner.event(self.keys[name], f"e{self.events}")

    @happening(name=keys, which=st.integers(0, MOST_VERSIONS - 1), enabled=st.booleans())
    def enable(self, name: str, which: int, *, enabled: bool) -> None:
        versions = self.witness.versions(self.keys[name])
        self.bench.enable(versions[which % len(versions)], enabled=enabled)

    # -- other writers ---------------------------------------------------------------------------

    @happening(name=names, key=keys, which=st.integers(0, MOST_VERSIONS - 1))
    def point_elsewhere(self, name: str, key: str, which: int) -> None:
        """Somebody lets an account name another version, or another key."""
        versions = self.witness.versions(self.keys[key])
        self.bench.pass_time(seconds=1)
        self._point(name, versions[which % len(versions)])
        self.bench.pass_time(seconds=1)

    @happening(name=names)
    def delete(self, name: str) -> None:
        if len(self.accounts) > 1 and name in self.accounts:
            self.estate.delete(self.accounts.pop(name))

    @happening(name=names)
    def move(self, name: str) -> None:
        if account := self.accounts.get(name):
            group = "rg-moved" if "rg-storage" in account.id else "rg-storage"
            self.accounts[name] = self.estate.move(account, group=group)

    @happening(name=names, how=st.sampled_from(["prompt", "slow", "long running"]))
    def take_time(self, name: str, how: str) -> None:
        if (account := self.accounts.get(name)) and how == "prompt":
            account.pace.prompt()
        elif account and how == "slow":
            account.pace.slow(timedelta(minutes=10))
        elif account:
            account.pace.long_running(timedelta(minutes=3))

    # -- the network -----------------------------------------------------------------------------

    @happening(name=names)
    def hold_the_next_write(self, name: str) -> None:
        self._hold(name)

    def _hold(self, name: str) -> HeldRequest:
        held = self.faults.hold(method="PATCH", path=f"*/{name}")
        self.held.append((name, held))
        return held

    @happening(name=names, after=st.integers(0, 25))
    def let_a_write_come_late(self, name: str, after: int) -> None:
        """Hold the write of a version, let the next one move, and release it some time then."""
        if name not in self.accounts:
            return
        key, held = "other" if name == "stother" else "cmk", self._hold(name)
        self._new_version(key, told=True)
        self._run_until(held.arrived.is_set)
        self._new_version(key, told=True)
        newest = len(self.witness.versions(self.keys[key])) - 1
        self._run_until(lambda: self._pinned(name) == newest)
        self.run(after)
        if held.arrived.is_set():
            self._release(name, held)

    @precondition(lambda self: any(held.arrived.is_set() for _, held in self.held))
    @happening()
    def release_a_write(self) -> None:
        self._release(*next(one for one in self.held if one[1].arrived.is_set()))

    @happening(
        method=st.sampled_from(["GET", "PATCH", "POST"]),
        what=st.sampled_from(["429", "429 in text", "503", "no answer", "no request"]),
    )
    def go_wrong(self, method: str, what: str) -> None:
        wrong: Any = {
            "429": {"answer": throttled(timedelta(seconds=40))},
            "429 in text": {"answer": throttled(timedelta(seconds=40), in_text=True)},
            "503": {"answer": server_error_html()},
            "no answer": {"lose_answer": True},
            "no request": {"lose_request": True},
        }
        path = "*/resources" if method == "POST" else "*/storageAccounts/*"
        self.faults.add(Fault(method=method, path=path, **wrong[what]))

    # -- at the same time ------------------------------------------------------------------------

    @happening(name=names, method=st.sampled_from(["GET", "PATCH"]), count=st.integers(1, 25))
    def meanwhile_run(self, name: str, method: str, count: int) -> None:
        """While a step waits for Azure, let other instances run what is due."""
        self._meanwhile(name, method, lambda: self._run_what_is_due(count))

    @happening(name=names, method=st.sampled_from(["GET", "PATCH"]), key=keys)
    def meanwhile_a_new_version_moves(self, name: str, method: str, key: str) -> None:
        def move_on() -> None:
            self._new_version(key, told=True)
            self._run_what_is_due(25)

        self._meanwhile(name, method, move_on)

    @happening(name=names, how=st.sampled_from(["pause", "cancel"]), key=keys)
    def meanwhile_a_person_acts(self, name: str, how: Steer, key: str) -> None:
        self._meanwhile(name, "GET", lambda: self._act(key, how))

    @precondition(lambda self: self.estate.storage.etags)
    @happening(name=names, which=st.integers(0, MOST_VERSIONS - 1))
    def meanwhile_somebody_writes(self, name: str, which: int) -> None:
        """Without ETags nothing can guard against this."""

        def write() -> None:
            held = self.witness.held(self.accounts[name]) if name in self.accounts else None
            if held:
                versions = self.witness.versions(held.key)
                self._point(name, versions[which % len(versions)])

        self._meanwhile(name, "PATCH", write)

    # -- people ----------------------------------------------------------------------------------

    @happening(name=keys, how=st.sampled_from(["pause", "resume", "cancel", "retry"]))
    def act(self, name: str, how: Steer) -> None:
        self._act(name, how)

    def _act(self, name: str, how: Steer) -> None:
        if rotations := self.witness.rotations(self.keys[name]):
            with suppress(KeyturnError):
                getattr(self.bench.steer, how)(rotations[-1].id, "because", NOBODY)
            if how == "retry":
                self.witness.disturbed.update(NAMES)

    # -- the end ---------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Let everything run without faults: what is under way, and the look a day later."""
        with self.stack:
            if self.accounts and sys.exception() is None:  # it began, and went well so far
                self._come_to_rest()

    def _come_to_rest(self) -> None:
        self.faults.clear()
        self.runner.duplicates = 0
        for account in self.accounts.values():
            account.pace.prompt()
        for name, held in [one for one in self.held if one[1].arrived.is_set()]:
            self._release(name, held)
        for hours in (1, 25):
            self.bench.pass_time(hours=hours)
            self.runner.sweep()
            self._ask_again()
            self._drain()
        assert self.runner.poisoned == []
        for key in self.keys.values():
            rotations = self.witness.rotations(key)
            assert all(rotation.outcome for rotation in rotations)
            assert self.bench.active(key) not in {rotation.id for rotation in rotations}
        for account in self.accounts.values():
            self.witness.check_rest(account)

    def _drain(self) -> None:
        """Run until nothing is queued; what waits for a day need not be watched all day long."""
        for _ in range(30):
            for name, key in self.keys.items():
                head = self.bench.rows.load(KeyHead, *KeyHead(key=key).address)
                if head and head.row.paused:
                    self._act(name, "resume")
            self.run(120)  # longer than what is overdue waits, however many supervisors look
            if not self.runner.queued():
                return
            self.bench.pass_time(hours=4)
        raise AssertionError(f"it does not come to rest: {self.runner.messages}")

    def _ask_again(self) -> None:
        """Have an operator ask for what was cancelled."""
        for key in self.keys.values():
            rotations = self.witness.rotations(key)
            if rotations and rotations[-1].outcome is Outcome.CANCELLED:
                self.runner.put(open_step(key, Cause(trigger="operator", id="again")))

    # -- how -------------------------------------------------------------------------------------

    def _run_until(self, met: Callable[[], bool]) -> None:
        for _ in range(80):
            if not met():
                self.run(1)

    def _pinned(self, name: str) -> int | None:
        held = self.witness.held(self.accounts[name])
        return held.pinned if held else None

    def _run_what_is_due(self, count: int) -> None:
        """Run what other instances would, as long as one request may take."""
        until = self.bench.clock.now() + timedelta(seconds=45)
        for _ in range(count):
            due = {each.step for each in self.runner.queued() if each.visible_at <= until}
            if due:
                self.runner.deliver(due.__contains__)

    def _point(self, name: str, version: str) -> None:
        if name in self.accounts:
            self.witness.point(self.accounts[name], version)

    def _release(self, name: str, held: HeldRequest) -> None:
        self.held.remove((name, held))
        self.bench.pass_time(seconds=1)
        self.witness.late = True
        held.release()
        self.witness.late = False
        self.bench.pass_time(seconds=1)

    def _meanwhile(self, name: str, method: str, happen: Callable[[], None]) -> None:
        def meanwhile(_path: str) -> None:
            if self.bench.life.effects_left is None:  # who is to die is alone
                happen()
                self.witness.is_sent = method == "PATCH"

        self.faults.on(method, f"*/storageAccounts/{name}", meanwhile)


def test_whatever_happens_nothing_goes_wrong(
    azurite: Azurite, local_azure: Callable[[float], LocalAzure]
) -> None:
    with local_azure(1) as azure:
        account = azure.account
    machine: Any = seed(FIRST_SEED)(lambda: Happenings(azurite, account))
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
