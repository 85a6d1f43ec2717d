"""A key whose end and age are watched, and what its tests ask of it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sandbox.faults import Answer
from shared.domain.callers import Caller
from shared.domain.policy import Reaction
from shared.domain.records import Request, Watched
from shared.domain.resources import digest
from shared.domain.rows import Cause, Known
from shared.domain.steps import RotateKey, Step, Watch
from tests.usecases.bench import VAULT, Bench, Died

HOST = f"{VAULT}.vault.azure.net"
ALARM, ASK, ROTATE = Reaction.ALARM, Reaction.ASK, Reaction.ROTATE
APPROVER = Caller(id="t/approver", name="ann@example.com")
SWEEP = Cause(trigger="sweep", id="s1")
DENIED = Answer(403, {"error": {"code": "Forbidden", "message": "no"}})
STORAGE = "storage_account"
COSMOS = "cosmosdb_account"


def made(bench: Bench, *, days: float | None = None, name: str = "cmk") -> str:
    """Make a key whose one version ends in so many days; return that version."""
    version = bench.azure.estate.vault(VAULT).create_key(name)
    if days is not None:
        # Longer ago than nearExpiryDays: it was made to live longer than that.
        bench.azure.estate.vaults.vault(VAULT).backdate(version, days=31)
        expire(bench, version, days)
    return version


def expire(bench: Bench, version: str, days: float) -> None:
    when = bench.clock.now() + timedelta(days=days)
    bench.azure.estate.vaults.vault(VAULT).set_expiry(version, when)


def end_of(bench: Bench, version: str) -> datetime:
    exp = bench.azure.estate.vaults.vault(VAULT).find(*version.split("/")[-2:]).exp
    assert exp is not None
    return datetime.fromtimestamp(exp, bench.clock.now().tzinfo)


def key_of(version: str) -> str:
    return version.rpartition("/")[0]


def watch(bench: Bench, version: str, event: str = "e1", *, cause: Cause | None = None) -> Watched:
    """Run the step of an event, or of the sweep; return what is then known of the key."""
    cause = cause or Cause(trigger="event", id=event)
    bench.run(Watch(key=key_of(version), cause=cause))
    return watched(bench, version)


def watched(bench: Bench, version: str) -> Watched:
    fresh = Watched(key=key_of(version), at=bench.clock.now())
    return bench.row(Watched, *fresh.address)


def codes(row: Watched) -> list[str]:
    return [finding.code for finding in row.findings]


def told(bench: Bench) -> list[Mapping[str, Any]]:
    """Return what was announced, an announcement sent twice once."""
    events = bench.azure.topics.published(bench.azure.topic.name)
    return list({event["id"]: event for event in events}.values())


def types(bench: Bench) -> list[str]:
    """Return the types of all that was sent, twice what was sent twice."""
    events = bench.azure.topics.published(bench.azure.topic.name)
    return [event["type"].removeprefix("Keyturn.") for event in events]


def request_of(bench: Bench, version: str) -> Request:
    return bench.row(Request, f"exp-{digest(version)}", "request")


def use(bench: Bench, version: str, *names: str, kind: str = STORAGE, holds: bool = True) -> None:
    """Let resources be known to use a version."""
    for name in names:
        row = Known(
            key=key_of(version),
            resource=f"/r/{name}",
            kind=kind,
            location="westeurope",
            versions={"account": (version,)},
            holds=holds,
        )
        bench.rows.insert(row)


def vault_reads(bench: Bench) -> int:
    return sum(call.host == HOST for call in bench.azure.front_door.traffic())


def rotate_step(bench: Bench, version: str) -> RotateKey:
    watch(bench, version)
    step: RotateKey = bench.sent(RotateKey)[-1]
    return step


def live_through(bench: Bench, steps: list[Step], *, effects: int) -> None:
    """Run steps and what they queue, each when it is due; the one that dies comes back last."""
    with bench.dying(effects=effects):
        while steps:
            step, seen = steps.pop(0), len(bench.life.sent)
            try:
                bench.run(step)
            except Died:
                steps.append(step)
                bench.pass_time(minutes=10)
            for queued, when in bench.life.sent[seen:]:
                if isinstance(queued, Watch | RotateKey):
                    bench.pass_until(when)
                    steps.append(queued)
