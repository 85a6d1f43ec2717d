"""See whether Keyturn can do its work now, part by part."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from shared.catalog import KINDS
from shared.domain.app_views import CheckView, Health, HealthView
from shared.domain.errors import KeyturnError
from shared.domain.findings import Severity
from shared.domain.keys import Key
from shared.domain.kinds import Plane
from shared.domain.records import GAPS, Gap, Probe, Pulse, Unheard, Watched, watched_partition
from shared.domain.rows import BEATS, Beat, Rotation
from shared.domain.tool import VERSION
from shared.ports import Clock, EvidenceStore, Kept, Policies, Put, Queue, Resources, Rows, Vaults
from shared.usecases.overdue import OVERDUE_AFTER

logger = logging.getLogger(__name__)

LATE = timedelta(minutes=15)
"""A timer or a queue that is so far behind is worth a look."""

PROBE_EVERY = timedelta(minutes=1)
"""How often a write is tried, however often somebody asks."""

FIRST_SWEEP_WITHIN = timedelta(hours=1)
"""Since somebody first asked after our health; the alert `no-timer` waits as long. A timer that
comes less often than that is told of until it has come."""

GAPS_MATTER_FOR = timedelta(days=7)

MOST_SUBSCRIPTIONS = 20
"""Subscriptions whose rights are asked for: whoever asks waits, and ``/api/scope`` has them all."""

_WORST_FIRST = list(Severity)
_SEVERITY = (Health.PASS, Health.WARN, Health.FAIL)
_ARM = [kind for kind in KINDS if kind.plane is Plane.ARM]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReadiness:
    """Try each thing that a rotation needs.

    All but one are reads. That rows can be written, and that the place of the evidence answers, is
    tried once a minute, at most: the row that is written says when.

    Attributes:
        allowed: Hosts of the vaults that may be managed.
    """

    vaults: Vaults
    resources: Resources
    rows: Rows
    queue: Queue
    clock: Clock
    policies: Policies
    store: EvidenceStore
    allowed: frozenset[str]

    def run(self) -> HealthView:
        """See the class. What cannot be looked at is a failure that is shown."""
        looks: list[tuple[str, Callable[[], Iterator[CheckView]]]] = [
            ("storage", self._rotations),
            ("evidence", self._evidence),
            ("queue", self._queue),
            ("timer", self._timer),
            ("policy", self._policy),
            *((f"vault {vault}", self._vault(vault)) for vault in sorted(self.allowed)),
            ("keys", self._keys),
            ("events", self._events),
            ("subscriptions", self._subscriptions),
            ("announcements", self._announcements),
        ]
        checks = tuple(check for name, look in looks for check in _tried(name, look))
        worst = max((check.status for check in checks), key=_SEVERITY.index)
        return HealthView(status=worst, version=VERSION, checks=checks)

    def _rotations(self) -> Iterator[CheckView]:
        beats = self._beats()
        self._probed()
        yield _fine("storage", "its rows can be read and written")
        silent = [b.rotation for b in beats if b.at + OVERDUE_AFTER < self.clock.now()]
        if silent:
            some = "1 rotation has" if len(silent) == 1 else f"{len(silent)} rotations have"
            said = f"{some} been silent for a while, {silent[0]} for one"
            advice = "see whether the app runs and its queue moves; the next sweep revives them"
            yield CheckView(name="rotations", status=Health.WARN, said=said, advice=advice)

    def _evidence(self) -> Iterator[CheckView]:
        advice = "see the container keyturn-evidence, and our right to write to it"
        if why := self._probed().problem:
            yield CheckView(name="evidence", status=Health.FAIL, said=why, advice=advice)
            return
        problems = list(self._unkept())
        for said in problems:
            yield CheckView(name="evidence", status=Health.WARN, said=said, advice=advice)
        if not problems:
            yield _fine("evidence", "its container answers")

    def _unkept(self) -> Iterator[str]:
        """Yield what rotations that have ended could not keep."""
        for beat in self._beats():
            rotation = self.rows.load(Rotation, beat.rotation, "rotation")
            if rotation and (why := rotation.row.evidence_problem):
                yield f"the document about rotation {beat.rotation} cannot be kept: {why}"

    def _beats(self) -> list[Beat]:
        return [kept.row for kept in self.rows.scan(Beat, BEATS)]

    def _probed(self) -> Probe:
        """Return what the last try has shown; one that is a minute old is made again."""
        now = self.clock.now()
        kept: Kept[Probe] | None = self.rows.load(Probe, *Probe.PLACE)
        if kept and now - kept.row.at < PROBE_EVERY:
            return kept.row
        problem = ""
        try:
            self.store.reach()
        except KeyturnError as error:
            problem = str(error)[:1000]
        probe = Probe(at=now, since=kept.row.since if kept else now, problem=problem)
        self.rows.commit(Put(probe))
        return probe

    def _keys(self) -> Iterator[CheckView]:
        policy = self.policies.current()
        watched = [
            kept.row
            for vault in sorted(self.allowed)
            for kept in self.rows.scan(Watched, watched_partition(vault))
            if policy.manages(Key.parse(kept.row.key))
        ]
        troubled = [(trouble, row.key) for row in watched if (trouble := _trouble_of(row))]
        if not troubled:
            yield _fine("keys", f"{len(watched)} are watched, and nothing is wrong with them")
            return
        (_, what), key = min(troubled, key=lambda each: _WORST_FIRST.index(each[0][0]))
        said = f"{len(troubled)} of {len(watched)} watched keys need somebody: {key}: {what}"
        advice = "GET /api/keys/{vault}/{key} has the findings of each"
        yield CheckView(name="keys", status=Health.WARN, said=said, advice=advice)

    def _events(self) -> Iterator[CheckView]:
        lately = self.clock.now() - GAPS_MATTER_FOR
        gaps = [kept.row for kept in self.rows.scan(Gap, GAPS) if kept.row.at > lately]
        if not gaps:
            yield _fine("events", "no version was found that no event told of")
            return
        last = max(gaps, key=lambda gap: gap.at)
        some = "1 version" if len(gaps) == 1 else f"{len(gaps)} versions"
        said = f"the timer found {some} that no event told of, last {last.version}"
        advice = "see the vault's event subscription, and its dead-letter container"
        yield CheckView(name="events", status=Health.WARN, said=said, advice=advice)

    def _queue(self) -> Iterator[CheckView]:
        state = self.queue.state()
        yield _fine("queue", f"about {state.waiting} steps wait, for their time or their turn")
        if state.poisoned:
            said = f"{state.poisoned} steps or events that failed five times wait to be closed"
            advice = "see whether the function `poison` runs; its log has the steps"
            yield CheckView(name="poison", status=Health.WARN, said=said, advice=advice)

    def _timer(self) -> Iterator[CheckView]:
        kept, now = self.rows.load(Pulse, *Pulse.PLACE), self.clock.now()
        advice = "see whether the function `sweeps` runs: lost events are found by it alone"
        if kept is None:
            yield from self._never_swept(advice)
            return
        pulse = kept.row
        said = f"the sweep ran at {pulse.at:%Y-%m-%d %H:%M:%S} UTC"
        is_late = pulse.next_at is not None and pulse.next_at + LATE < now
        if is_late and self.queue.has_due():  # what the timer has queued may be among it
            yield from _blocked(said)
        elif is_late and pulse.next_at:
            said = f"{said}, and was due at {pulse.next_at:%Y-%m-%d %H:%M:%S} UTC"
            yield CheckView(name="timer", status=Health.FAIL, said=said, advice=advice)
        else:
            yield _fine("timer", said)
        if pulse.ran_at - pulse.at > LATE:
            waited = (pulse.ran_at - pulse.at) // timedelta(minutes=1)
            said = f"the last sweep's message waited {waited} minutes for its turn"
            advice = "the queue is long: see how many instances run, and what the steps wait for"
            yield CheckView(name="queue age", status=Health.WARN, said=said, advice=advice)

    def _never_swept(self, advice: str) -> Iterator[CheckView]:
        said = "the sweep has not run yet"
        if self.clock.now() - self._probed().since < FIRST_SWEEP_WITHIN:
            yield _fine("timer", f"{said}, and need not have")
        elif self.queue.has_due():
            yield from _blocked(said)
        else:
            yield CheckView(name="timer", status=Health.WARN, said=said, advice=advice)

    def _policy(self) -> Iterator[CheckView]:
        yield _fine("policy", f"in force: {self.policies.current().digest[:12]}")

    def _vault(self, vault: str) -> Callable[[], Iterator[CheckView]]:
        def look() -> Iterator[CheckView]:
            found = next(self.vaults.keys(vault), None)
            yield _fine(f"vault {vault}", "its keys can be listed" if found else "it has no keys")

        return look

    def _subscriptions(self) -> Iterator[CheckView]:
        visible = self.resources.subscriptions()
        declared = self.policies.current().declared
        asked = sorted(declared or visible)[:MOST_SUBSCRIPTIONS]
        hidden = [s for s in asked if s not in visible or self.resources.lacking(s, _ARM)]
        said = f"{len(asked) - len(hidden)} of {len(asked)} that were asked for can be read whole"
        if asked and not hidden:
            yield _fine("subscriptions", said)
        else:
            named = f"; not {', '.join(hidden)}" if hidden else "; our identity sees none"
            advice = "grant the rights of the README there; /api/scope shows every subscription"
            yield CheckView(
                name="subscriptions", status=Health.FAIL, said=said + named, advice=advice
            )

    def _announcements(self) -> Iterator[CheckView]:
        kept = self.rows.load(Unheard, *Unheard.PLACE)
        if kept is None:
            yield _fine("announcements", "none has failed lately")
            return
        said = f"{kept.row.event} was not taken: {kept.row.problem}"
        advice = "see the topic and our right to send to it (role EventGrid Data Sender)"
        yield CheckView(name="announcements", status=Health.WARN, said=said, advice=advice)


def _blocked(said: str) -> Iterator[CheckView]:
    """Tell that the queue stands, so that nobody knows of the timer: both are seen by its steps."""
    stands = "steps are due, and nobody has taken the sweep's"
    advice = "see whether the function `rotation_steps` runs, and what its log says"
    yield CheckView(
        name="queue stands", status=Health.FAIL, said=f"{stands}; {said}", advice=advice
    )
    yield CheckView(
        name="timer",
        status=Health.WARN,
        said=f"{said}; whether the timer has come since shows once the queue moves",
        advice="see the check `queue stands` first",
    )


def _trouble_of(row: Watched) -> tuple[Severity, str] | None:
    """Return the worst that is known of a key, and how bad it is; a note needs nobody."""
    known = [(row.severity or Severity.WARNING, row.problem)] if row.problem else []
    known += [(each.severity, each.text) for each in row.findings]
    needing = [each for each in known if each[0] is not Severity.NOTE]
    return min(needing, key=lambda each: _WORST_FIRST.index(each[0]), default=None)


def _tried(name: str, look: Callable[[], Iterator[CheckView]]) -> list[CheckView]:
    try:
        return list(look())
    except KeyturnError as error:
        said, advice = str(error), "mend what the message says"
    except Exception:  # whatever it is, the other checks are wanted all the more
        logger.exception("the check %s failed", name)
        said, advice = "the check itself failed", "see the log, and report it: that is a bug"
    return [CheckView(name=name, status=Health.FAIL, said=said, advice=advice)]


def _fine(name: str, said: str) -> CheckView:
    return CheckView(name=name, status=Health.PASS, said=said, advice=None)
