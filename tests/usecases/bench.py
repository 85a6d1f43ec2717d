"""The app's steps, run one by one in this process, with a process that may die at any effect.

The ports are the real adapters at a local Azure. Messages go to the real queue; ``sent`` keeps
them too, so that a test can run one before its time or twice. The clock can be put forward.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from azure.identity import ManagedIdentityCredential

from sandbox.azure import LocalAzure
from sandbox.estate import Account, Form
from sandbox.front_door import Call
from sandbox.identity import APP_PRINCIPAL
from shared.adapters.arm.client import ArmClient
from shared.domain.clouds import AZURE_PUBLIC
from shared.domain.json_paths import Json
from shared.domain.rows import Cause, KeyHead, Phase, Rotation, Row
from shared.domain.steps import Discover, Open, Pay, Repoint, Step, Supervise, Verify
from shared.domain.work import Work
from shared.ports import Clock, Rows
from shared.settings import Settings
from shared.usecases.bury import BuryStep
from shared.usecases.run_step import RunStep
from shared.usecases.steer import SteerRotation
from shared.wiring import Wiring
from tests.rights import TO_READ_AND_WRITE
from tests.usecases.policies import SetPolicy

VAULT = "kv-bench"
_PORTS = {
    "rows",
    "queue",
    "vaults",
    "resources",
    "inventory",
    "files",
    "announcer",
    "policies",
    "store",
}
_EFFECTS = {
    *("insert", "replace", "commit", "send", "announce", "keep"),
    *("write", "delete", "rotate", "expire_at"),
}


class Died(BaseException):
    """The process is gone: nothing of ours may catch it."""


@dataclass
class Life:
    """When the process dies: after so many effects, or at a call that a test chooses."""

    effects_left: int | None = None
    before: Callable[[str, tuple[Any, ...]], bool] = lambda _method, _arguments: False
    after: Callable[[str, tuple[Any, ...]], bool] = lambda _method, _arguments: False
    sent: list[tuple[Step, datetime | None]] = field(default_factory=list)


class Mortal:
    """A port: each call reaches the real one, and may be the last."""

    def __init__(self, port: object, life: Life) -> None:
        self._port = port
        self._life = life

    def __getattr__(self, method: str) -> Callable[..., Any]:
        real = getattr(self._port, method)

        def call(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - any port's
            life = self._life
            if life.before(method, arguments):
                raise Died(f"before {method}")
            result = real(*arguments, **named)
            if method == "send":
                life.sent.append((arguments[0], named.get("at")))
            if method in _EFFECTS and life.effects_left is not None:
                life.effects_left -= 1
                if life.effects_left == 0:
                    raise Died(f"after {method}")
            if life.after(method, arguments):
                raise Died(f"after {method}")
            return result

        return call


@dataclass
class Forward:
    """A clock that can be put forward."""

    clock: Clock
    ahead: timedelta = timedelta()

    def now(self) -> datetime:
        return self.clock.now() + self.ahead


@dataclass
class Bench:
    """One subscription, one vault, and the app's steps."""

    azure: LocalAzure
    settings: Mapping[str, str] = field(default_factory=dict)
    policy: Mapping[str, object] = field(default_factory=dict)
    """Settings that hold for every key, by the names of ``Rules``."""
    instead: Mapping[str, object] = field(default_factory=dict)
    """Ports to use in the place of the real ones, by the name of the field that holds them."""

    def __post_init__(self) -> None:
        self.policies = SetPolicy()
        self.policies.set_defaults(**self.policy)
        self.instead = {"policies": self.policies, **self.instead}
        self.life = Life()
        self.subscription = self.readable_subscription("Bench")
        self.azure.estate.vault(VAULT).grant(APP_PRINCIPAL, {"get", "list", "rotate"})
        environment = {
            **self.azure.environment(),
            "KEYTURN_VAULTS": VAULT,
            "KEYTURN_TOPIC_ENDPOINT": self.azure.topic.endpoint,
            **self.settings,
        }
        self.wiring = wiring = Wiring(Settings.from_env(environment))
        plain = wiring.run_step
        self.clock = Forward(plain.clock)
        self.steps: RunStep = self.mortal(plain)
        self.rows: Rows = self.instead.get("rows", plain.rows)  # type: ignore[assignment]
        self.burial: BuryStep = self.mortal(wiring.bury_step)
        self.steer: SteerRotation = self.mortal(wiring.steer)

    def mortal[T](self, part: T) -> T:
        """Return a use case with mortal ports and the clock of this bench, all the way down."""
        changes: dict[str, Any] = {}
        for each in fields(part):  # type: ignore[arg-type]
            value = getattr(part, each.name)
            if each.name in _PORTS:
                changes[each.name] = Mortal(self.instead.get(each.name, value), self.life)
            elif each.name == "clock":
                changes[each.name] = self.clock
            elif is_dataclass(value) and type(value).__module__.startswith("shared.usecases"):
                changes[each.name] = self.mortal(value)
        return replace(part, **changes)  # type: ignore[type-var]

    def readable_subscription(self, name: str) -> str:
        """Make a subscription that the app may read and write."""
        subscription = self.azure.estate.subscription(name)
        self.azure.estate.arm.rbac.allow(
            APP_PRINCIPAL, TO_READ_AND_WRITE, f"/subscriptions/{subscription}"
        )
        return subscription

    def key(self, name: str = "cmk") -> str:
        """Make a key; return its URL."""
        return self.azure.estate.vault(VAULT).create_key(name).rpartition("/")[0]

    def new_version(self, key: str) -> str:
        """Have the vault make a version; return its URL."""
        return self.azure.estate.vaults.vault(VAULT).rotate(key.rpartition("/")[2])

    def later_version(self, key: str) -> str:
        """Make a version whose ``created``, in whole seconds, is later than all others'."""
        vault, name = self.azure.estate.vaults.vault(VAULT), key.rpartition("/")[2]
        last = vault.find(name).created
        while (version := self.new_version(key)) and vault.find(name).created == last:
            self.enable(version, enabled=False)
        return version

    def versions(self, key: str) -> int:
        """Return how many versions a key has (ground truth)."""
        return len(self.azure.estate.vaults.vault(VAULT).versions(key.rpartition("/")[2]))

    def enable(self, version: str, *, enabled: bool) -> None:
        """Enable or disable a version."""
        self.azure.estate.vaults.vault(VAULT).set_enabled(version, enabled)

    def account(self, name: str, key: str, version: Form = "pinned") -> Account:
        """Make a storage account."""
        return self.azure.estate.storage_account(
            name, subscription=self.subscription, key=key, version=version
        )

    def run(self, step: Step) -> None:
        """Run a step to its end."""
        self.steps.run(step)

    def run_and_die(self, step: Step) -> None:
        """Run a step that must die on its way."""
        try:
            self.steps.run(step)
        except Died:
            return
        raise AssertionError(f"{step} did not die")

    @contextmanager
    def dying(
        self,
        *,
        before: Callable[[str, tuple[Any, ...]], bool] | None = None,
        after: Callable[[str, tuple[Any, ...]], bool] | None = None,
        effects: int | None = None,
    ) -> Iterator[None]:
        """Let the process die inside, once the condition is met."""
        self.life.effects_left = effects
        self.life.before = before or Life.before
        self.life.after = after or Life.after
        try:
            yield
        finally:
            self.life.effects_left = None
            self.life.before, self.life.after = Life.before, Life.after

    def sent(self, kind: type[Step]) -> list[Any]:
        """Return the steps of a class that were queued, oldest first."""
        return [step for step, _ in self.life.sent if isinstance(step, kind)]

    def due(self, kind: type[Step]) -> datetime | None:
        """Return when the last queued step of a class is to run; ``None``: at once."""
        return next(at for step, at in reversed(self.life.sent) if isinstance(step, kind))

    def forget_sent(self) -> None:
        """Forget what was queued so far."""
        self.life.sent.clear()

    def open(self, key: str, cause: Cause | None = None, *, request: str = "") -> str:
        """Run an event's step for a key; return the rotation that is then active."""
        self.run(open_step(key, cause, request=request))
        return self.active(key)

    def active(self, key: str) -> str:
        """Return the id of a key's active rotation; empty if there is none."""
        head = self.rows.load(KeyHead, *KeyHead(key=key).address)
        return (head.row.active or "") if head else ""

    def search(self, rotation: str, *, closing: bool = False) -> None:
        """Run discovery, or the closing scan, to its end."""
        step: Discover | None = Discover(rotation=rotation, closing=closing)
        while step is not None:
            seen = len(self.sent(Discover))
            self.run(step)
            step = next(iter(self.sent(Discover)[seen:]), None)

    def supervise(self, rotation: str) -> Rotation:
        """Let the supervisor look, a beat after its last look; return the rotation."""
        self.pass_time(seconds=30)
        self.run(Supervise(rotation=rotation))
        return self.rotation(rotation)

    def discover(self, rotation: str) -> list[Repoint]:
        """Run discovery to its end; return the first wave of work that is then released."""
        self.forget_sent()
        self.search(rotation)
        self.supervise(rotation)
        return self.sent(Repoint)

    def opened(self, key: str) -> tuple[str, Repoint]:
        """Open a rotation of a key that one account uses; return it and its one work's step."""
        rotation = self.open(key)
        (step,) = self.discover(rotation)
        return rotation, step

    def settle(self, rotation: str) -> None:
        """Run every step that is queued, each at its time, until the supervisor sends no more."""
        for _ in range(60):
            steps = [
                (at, step)
                for step, at in self.life.sent
                if isinstance(step, Repoint | Verify | Pay)
            ]
            self.forget_sent()
            for at, step in sorted(steps, key=lambda queued: queued[0] or self.clock.now()):
                self.pass_until(at)
                self.run(step)
            self.supervise(rotation)
            if not self.sent(Repoint) + self.sent(Verify) + self.sent(Pay):
                return
        raise AssertionError(f"rotation {rotation} does not come to rest")

    def finish(self, rotation: str) -> Rotation:
        """Run all that is queued, the closing scan too, until the rotation ends; return it."""
        self.settle(rotation)
        self.pass_time(minutes=2)
        if self.supervise(rotation).phase is Phase.CLOSING:
            self.search(rotation, closing=True)
        self.settle(rotation)
        return self.supervise(rotation)

    def pass_until(self, when: datetime | None) -> None:
        """Put the clock forward to a moment."""
        if when is not None:
            self.clock.ahead += max(when - self.clock.now(), timedelta())

    def pass_time(self, **parts: float) -> None:
        """Put the clock forward."""
        self.clock.ahead += timedelta(**parts)

    def row[T: Row](self, row_type: type[T], partition: str, key: str) -> T:
        """Return a row that must be there."""
        kept = self.rows.load(row_type, partition, key)
        assert kept is not None
        return kept.row

    def rotation(self, rotation: str) -> Rotation:
        """Return a rotation."""
        return self.row(Rotation, rotation, "rotation")

    def work(self, rotation: str) -> Work:
        """Return the only work of a rotation."""
        (kept,) = self.steps.ledger.all(rotation)
        return kept.row

    def in_use(self, account: Account) -> str | None:
        """Return the version that really protects an account (ground truth)."""
        return self.azure.estate.truth.version_in_use(account.id)

    def writes(self, account: Account) -> int:
        """Return how many writes its service accepted (ground truth)."""
        return self.azure.estate.truth.writes(account.id)

    def reads(self, account: Account) -> int:
        """Return how often an account itself was read; its scopes are listed apart."""
        return sum(c.path.lower() == account.id.lower() for c in self.calls("GET", account.id))

    def patch(self, account: Account, body: Json) -> None:
        """Write to an account as somebody else would."""
        arm = ArmClient(AZURE_PUBLIC, ManagedIdentityCredential())
        query = {"api-version": "2024-01-01"}
        arm.send("PATCH", account.id, doing="change it", query=query, body=body)

    def get(self, account: Account) -> None:
        """Read an account as somebody else would."""
        arm = ArmClient(AZURE_PUBLIC, ManagedIdentityCredential())
        arm.send("GET", account.id, doing="read it", query={"api-version": "2024-01-01"})

    def calls(self, method: str, path: str = "") -> list[Call]:
        """Return the requests of a method whose path holds ``path``, in any casing."""
        return [
            call
            for call in self.azure.front_door.traffic()
            if call.method == method and path.lower() in call.path.lower()
        ]


def open_step(key: str, cause: Cause | None = None, *, request: str = "") -> Open:
    """Return the step of an event."""
    return Open(key=key, cause=cause or Cause(trigger="event", id="e1"), request=request)


def at(method: str, row_type: type[object] | None = None, nth: int = 1) -> Callable[..., bool]:
    """Return a condition: the ``nth`` call of ``method``, on a row or step of a class if given."""
    left = nth

    def met(called: str, arguments: tuple[Any, ...]) -> bool:
        nonlocal left
        if called != method or (row_type and not isinstance(arguments[-1], row_type)):
            return False
        left -= 1
        return left == 0

    return met
