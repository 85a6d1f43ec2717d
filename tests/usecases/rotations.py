"""What the tests of whole rotations share: how one is carried out, watched and looked at."""

from datetime import timedelta
from typing import Any

import msgspec

from sandbox.estate import Account
from sandbox.faults import Answer
from shared.domain.json_paths import Json
from shared.domain.rows import KeyHead, Rotation, Search
from shared.domain.steps import Discover, Step
from shared.domain.verdicts import Verdict
from shared.domain.work import Stage, Wave
from shared.ports import Rows
from shared.usecases.ask import AskForRotation
from shared.usecases.ledger import Ledger
from shared.usecases.report import ReportRotation
from shared.usecases.steer import SteerRotation
from tests.usecases.bench import Bench

A_LOOK = timedelta(minutes=5)
"""Between two looks of a watched supervisor: a short gap, so that its life is one unbroken series.

Ten times as long as the real one: what takes an hour takes twelve looks.
"""

REFUSED = Answer(403, {"error": {"code": "AuthorizationFailed", "message": "no"}})


def carry_out(bench: Bench, rotation: str) -> Rotation:
    """Carry a rotation out, from discovery to its end."""
    bench.discover(rotation)
    return finish(bench, rotation)


def finish(bench: Bench, rotation: str) -> Rotation:
    """Carry a rotation on to its end, past a look that sends nothing but chooses a canary."""
    ended = bench.finish(rotation)
    return ended if ended.outcome else bench.finish(rotation)


def follow(bench: Bench, step: Discover | None) -> None:
    """Run a page of a search, and all those after it."""
    while step is not None:
        seen = len(bench.sent(Discover))
        bench.run(step)
        step = next(iter(bench.sent(Discover)[seen:]), None)


def watch(bench: Bench, rotation: str, *, minutes: int) -> list[tuple[int, Step]]:
    """Let the supervisor look for so long; return what it sent, and after how many minutes."""
    sent: list[tuple[int, Step]] = []
    for look in range(1, timedelta(minutes=minutes) // A_LOOK + 1):
        bench.pass_until(bench.clock.now() + A_LOOK - timedelta(seconds=30))
        seen = len(bench.life.sent)
        bench.supervise(rotation)
        after = look * A_LOOK // timedelta(minutes=1)
        sent += [(after, step) for step, _ in bench.life.sent[seen:]]
    return sent


def ends(method: str, arguments: tuple[Any, ...]) -> bool:
    """Tell the call that keeps the end of a rotation."""
    row = arguments[-1] if arguments else None
    return method == "replace" and isinstance(row, Rotation) and row.outcome is not None


def found(bench: Bench, rotation: str) -> set[str]:
    """Return the names of the resources that a rotation has found."""
    return set(waves(bench, rotation))


def waves(bench: Bench, rotation: str) -> dict[str, Wave]:
    """Return the wave of each resource of a rotation, by name."""
    works = [kept.row for kept in bench.steps.ledger.all(rotation)]
    return {work.resource.rpartition("/")[2]: work.wave for work in works}


def verdicts(bench: Bench, rotation: str) -> dict[str, Verdict | None]:
    """Return the verdict of each resource of a rotation, by name."""
    works = [kept.row for kept in bench.steps.ledger.all(rotation)]
    return {
        work.resource.rpartition("/")[2]: consumer.verdict
        for work in works
        for consumer in work.consumers
    }


def stages(bench: Bench, rotation: str) -> set[Stage]:
    """Return the stages in which the resources of a rotation are."""
    return {kept.row.stage for kept in bench.steps.ledger.all(rotation)}


def searched(bench: Bench, rotation: str, *, closing: bool = False) -> Search:
    """Return how far a search has come."""
    fresh = Search(rotation=rotation, closing=closing, at=bench.clock.now())
    return bench.row(Search, *fresh.address)


def announced(bench: Bench, rotation: str) -> list[str]:
    """Return what was announced about a rotation, in order."""
    told = bench.azure.topics.published(bench.azure.topic.name)
    return [e["type"].removeprefix("Keyturn.") for e in told if rotation in e["id"]]


def head(bench: Bench, key: str) -> KeyHead:
    """Return the head of a key."""
    return bench.row(KeyHead, *KeyHead(key=key).address)


def naming(version: str) -> Json:
    """Return the encryption settings of an account that is pinned to a version, given by URL."""
    vault, _, named = version.partition("/keys/")
    name, _, number = named.partition("/")
    reference = {"keyvaulturi": f"{vault}/", "keyname": name, "keyversion": number}
    return {"encryption": {"keySource": "Microsoft.Keyvault", "keyvaultproperties": reference}}


def point(bench: Bench, account: Account, version: str) -> None:
    """Pin an account to a version, as somebody else would."""
    bench.patch(account, {"properties": naming(version)})


def page(*resources: Json, after: str = "") -> Answer:
    """Return a page of Resource Graph; ``after`` asks for the next one; empty: it is the last."""
    more: Json = {"$skipToken": after} if after else {}
    count = len(resources)
    body: Json = {"totalRecords": count, "count": count, "data": list(resources)}
    return Answer(200, body | {"resultTruncated": "false"} | more)


def report_of(bench: Bench, asked: str, rows: Rows | None = None) -> Json:
    """Return how a rotation or a request stands, as JSON has it."""
    rows = rows or bench.rows
    ledger = Ledger(rows, bench.steps.queue)
    shown = ReportRotation(rows=rows, ledger=ledger, clock=bench.clock).run(asked)
    found: Json = msgspec.to_builtins(shown)
    return found


def steering(bench: Bench) -> SteerRotation:
    """Return what a person may do to the rotations of a bench."""
    rows, queue, clock = bench.rows, bench.steps.queue, bench.clock
    policies, announce = bench.policies, bench.steps.open.announce
    ask = AskForRotation(rows=rows, queue=queue, clock=clock, policies=policies, announce=announce)
    return SteerRotation(
        rows=rows, queue=queue, clock=clock, ledger=bench.steps.ledger, ask=ask, policies=policies
    )
