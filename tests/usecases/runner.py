"""The queue of steps as the Functions host drains it, around a bench.

One message at a time, in an order that a seed shuffles, and with a clock that moves only when the
runner moves it: the same seed gives the same run.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from shared.domain.rows import Cause
from shared.domain.steps import Revive, Step, SweepVault
from tests.usecases.bench import VAULT, Bench, Died, open_step

MOST_DELIVERIES = 5
"""As host.json says: ``maxDequeueCount``."""

_BACK_AFTER_ERROR = timedelta(seconds=30)
"""As host.json says: ``visibilityTimeout``, from a failed delivery to the next."""

_BACK_AFTER_DEATH = (timedelta(seconds=30), timedelta(minutes=3), timedelta(minutes=10))
"""When a dead instance's messages are seen again. The host takes them for ten minutes; sooner is
harsher: the lease that the dead one held has not run out then."""

_LONGEST_DELAY = timedelta(hours=24)
_TAKES = timedelta(milliseconds=200)


@dataclass(slots=True)
class Message:
    """One message of the queue, or of its poison queue."""

    step: Step
    visible_at: datetime
    deliveries: int = 0
    is_poison: bool = False
    again: int = 0
    """How often it is delivered once more although it succeeded."""


@dataclass
class Standing:
    """A clock that stands still: ``Bench.pass_time`` alone moves it."""

    moment: datetime

    def now(self) -> datetime:
        return self.moment


@dataclass
class Runner:
    """Delivers what the steps of a bench send, until nothing is left.

    A message is deleted once its step has succeeded. It comes back after a death and after an
    error; after the fifth delivery it goes to the poison queue, whose trigger is delivered to in
    the same way.

    Attributes:
        duplicates: How often each message is delivered again after it has succeeded.
        deliveries: How often each step was delivered, the poison queue's apart.
        poisoned: Every step that went to the poison queue.
        deaths: How often the process died.
        raised: What steps raised to the host; a death is none of it.
    """

    bench: Bench
    seed: int = 0
    duplicates: int = 0
    messages: list[Message] = field(default_factory=list)
    deliveries: Counter[Step] = field(default_factory=Counter)
    poisoned: list[Step] = field(default_factory=list)
    deaths: int = 0
    raised: list[Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = Random(self.seed)  # noqa: S311 - to be the same again, not to be secret
        self._sweeps = 0
        self.bench.clock.clock = Standing(self.bench.clock.now())
        self.bench.clock.ahead = timedelta()
        self.bench.forget_sent()

    def put(self, step: Step, *, at: datetime | None = None) -> None:
        """Queue a step, as a trigger's output binding does."""
        now = self.bench.clock.now()
        visible_at = now + min(max((at or now) - now, timedelta()), _LONGEST_DELAY)
        self.messages.append(Message(step, visible_at, again=self.duplicates))

    def event(self, key: str, name: str = "e1") -> None:
        """Have Event Grid say that a key has a new version."""
        self.put(open_step(key, Cause(trigger="event", id=name)))

    def sweep(self) -> None:
        """Have the timer fire; it queues what ``functions.sweeps`` does."""
        self._sweeps += 1
        self.put(Revive(at=self.bench.clock.now()))
        self.put(SweepVault(vault=f"{VAULT}.vault.azure.net", sweep=f"sweep-{self._sweeps}"))

    def lose_all(self, which: Callable[[Step], bool] = lambda _step: True) -> None:
        """Empty the queue, or lose all of one kind."""
        for message in self.queued(which):
            self.messages.remove(message)

    def run(
        self,
        until: Callable[[], object] | None = None,
        *,
        which: Callable[[Step], bool] = lambda _step: True,
        most: int = 2000,
    ) -> None:
        """Deliver until ``until`` holds or, without it, until the queue is empty.

        Args:
            until: Asked before each delivery.
            which: The others stay where they are.
            most: Deliveries.

        Raises:
            AssertionError: It takes more than ``most``; or nothing is left to deliver, and
                ``until`` does not hold.
        """
        for _ in range(most):
            if until is not None and until():
                return
            if not self.deliver(which):
                assert until is None, "nothing is left to deliver"
                return
        raise AssertionError(f"no end after {most} deliveries; queued: {self.messages}")

    def deliver(self, which: Callable[[Step], bool] = lambda _step: True) -> bool:
        """Deliver one message, passing the time until one is due; return whether there was one."""
        messages = self.queued(which)
        if not messages:
            return False
        self.bench.pass_until(min(message.visible_at for message in messages))
        now = self.bench.clock.now()
        message = self._random.choice([each for each in messages if each.visible_at <= now])
        self.messages.remove(message)
        self._deliver(message)
        self.bench.clock.ahead += _TAKES
        return True

    def queued(self, which: Callable[[Step], bool] = lambda _step: True) -> list[Message]:
        """Return the messages that are in the queue, due or not."""
        self._collect()
        return [message for message in self.messages if which(message.step)]

    def _collect(self) -> None:
        sent = list(self.bench.life.sent)
        self.bench.forget_sent()
        for step, at in sent:
            self.put(step, at=at)

    def _deliver(self, message: Message) -> None:
        message.deliveries += 1
        if message.deliveries > MOST_DELIVERIES:
            self._poison(message)
            return
        if not message.is_poison:
            self.deliveries[message.step] += 1
        run = self.bench.burial.run if message.is_poison else self.bench.run
        try:
            run(message.step)
        except Died:
            self.deaths += 1
            self._back(message, self._random.choice(_BACK_AFTER_DEATH))
        except Exception as error:  # noqa: BLE001 - as the host does: whatever it is, deliver again
            self.raised.append(error)
            if message.deliveries == MOST_DELIVERIES:
                self._poison(message)
            else:
                self._back(message, _BACK_AFTER_ERROR)
        else:
            if message.again:
                message.again -= 1
                message.deliveries -= 1
                self._back(message, timedelta(seconds=self._random.choice((0, 5, 20, 90))))

    def _back(self, message: Message, delay: timedelta) -> None:
        message.visible_at = self.bench.clock.now() + delay
        self.messages.append(message)

    def _poison(self, message: Message) -> None:
        if message.is_poison:
            return  # the host moves it to a queue that nobody reads
        self.poisoned.append(message.step)
        self.messages.append(Message(message.step, self.bench.clock.now(), is_poison=True))
