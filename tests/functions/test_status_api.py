"""``GET /api/health``, ``/api/health/live`` and ``/api/scope``: each part made to fail once."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace as with_fields

from sandbox.faults import Answer as Fake
from sandbox.faults import Fault
from sandbox.identity import APP_PRINCIPAL
from shared.domain.errors import AccessDeniedError, UnavailableError
from shared.domain.findings import Finding, Severity
from shared.domain.records import Gap, Probe, Pulse, Unheard, Watched
from shared.domain.rows import Beat, Rotation
from shared.ports import Put, QueueState
from shared.usecases import check_readiness
from tests.functions.api import CalledApi
from tests.rights import TO_READ_AND_WRITE
from tests.usecases.bench import VAULT
from tests.usecases.memory import MemoryQueue, MemoryRows

HOST = f"{VAULT}.vault.azure.net"
PARTS = [
    *("storage", "evidence", "queue", "timer", "policy", f"vault {HOST}", "keys", "events"),
    *("subscriptions", "announcements"),
]


@pytest.fixture
def well(keyed: CalledApi) -> CalledApi:
    """An API where nothing is wrong."""
    keyed.bench.key()
    beat(keyed)
    return keyed


def beat(
    called: CalledApi, *, ago: timedelta = timedelta(0), waited: timedelta = timedelta(0)
) -> None:
    """Let the sweep have run."""
    at = called.bench.clock.now() - ago
    pulse = Pulse(at=at, ran_at=at + waited, next_at=at + timedelta(minutes=15))
    called.bench.rows.commit(Put(pulse))


def checks(called: CalledApi) -> dict[str, Any]:
    """Return what health says, by the name of each check."""
    answer = called.call("GET", "/api/health")
    assert called.call("GET", "/api/health/live").status == 200
    failed = answer.body["status"] == "fail"
    assert answer.status == (503 if failed else 200)
    return {check["name"]: check for check in answer.body["checks"]}


def test_where_nothing_is_wrong_every_part_passes(well: CalledApi) -> None:
    found = checks(well)
    assert list(found) == PARTS
    assert {check["status"] for check in found.values()} == {"pass"}
    assert {check["advice"] for check in found.values()} == {None}
    assert found["subscriptions"]["said"] == "1 of 1 that were asked for can be read whole"


class Full(MemoryQueue):
    """A queue with a poison message."""

    def state(self) -> QueueState:
        return QueueState(waiting=7, poisoned=2)


class Away(MemoryQueue):
    """A queue that is away."""

    def state(self) -> QueueState:
        raise UnavailableError("look at the queue of steps: no answer")


class Broken(MemoryQueue):
    """A queue with a bug in its adapter."""

    def state(self) -> QueueState:
        raise ZeroDivisionError


class Standing(MemoryQueue):
    """A queue that nobody takes anything from."""

    def has_due(self) -> bool:
        return True


class ReadOnly(MemoryRows):
    """A table to which nothing can be written."""

    def commit(self, *_: object) -> None:
        raise AccessDeniedError("keep Probe: 403")


class Store:
    """The place of the evidence, as far as anybody looks at it."""

    def __init__(self, problem: str = "") -> None:
        self.problem, self.looks = problem, 0

    def reach(self) -> None:
        self.looks += 1
        if self.problem:
            raise AccessDeniedError(self.problem)


class NoRows(MemoryRows):
    """A table that is away."""

    def scan(self, *_: Any, **__: Any) -> Any:  # noqa: ANN401 - any row's
        raise UnavailableError("scan Beat: no answer")


def use(**ports: object) -> Callable[[CalledApi], None]:
    """Return what puts other ports in the place of the bench's."""

    def change(called: CalledApi) -> None:
        called.bench.instead = {**called.bench.instead, **ports}

    return change


def _denied(called: CalledApi) -> None:
    called.bench.azure.estate.vault(VAULT).revoke(APP_PRINCIPAL)


def _no_arm(called: CalledApi) -> None:
    fault = Fault(host="management.azure.com", times=None, answer=Fake(503, b""))
    called.bench.azure.faults.add(fault)


def _no_rights(called: CalledApi) -> None:
    called.bench.azure.estate.subscription("Hidden")
    hidden = "0b6f4b0e-0d0a-4f6e-9a55-3b9f3f0c7d11"
    called.bench.policies.set_defaults(subscriptions=(called.bench.subscription, hidden))


def _half_rights(called: CalledApi) -> None:
    half = called.bench.azure.estate.subscription("Half")
    rights = {each for each in TO_READ_AND_WRITE if "databaseAccounts" not in each}
    called.bench.azure.estate.arm.rbac.allow(APP_PRINCIPAL, rights, f"/subscriptions/{half}")


def _none_seen(called: CalledApi) -> None:
    none = Fake(200, {"value": [], "count": {"type": "Total", "value": 0}})
    called.bench.azure.faults.add(Fault(path="/subscriptions", times=None, answer=none))


def _bad_policy(called: CalledApi) -> None:
    called.bench.policies.problem = "the policy keyturn.yaml cannot be used: #/version"


def _late(called: CalledApi) -> None:
    beat(called, ago=timedelta(minutes=31))


def _slow_queue(called: CalledApi) -> None:
    beat(called, ago=timedelta(minutes=20), waited=timedelta(minutes=20))


def _no_sweep(called: CalledApi, minutes: int = 61) -> None:
    now, rows = called.bench.clock.now(), MemoryRows()
    rows.insert(Probe(at=now, since=now - timedelta(minutes=minutes)))
    called.bench.instead = {**called.bench.instead, "rows": rows}


def _standing(called: CalledApi) -> None:
    _late(called)
    use(queue=Standing())(called)


def _standing_from_the_first(called: CalledApi) -> None:
    _no_sweep(called)
    use(queue=Standing())(called)


def _silent(called: CalledApi) -> None:
    at = called.bench.clock.now() - timedelta(minutes=16)
    called.bench.rows.commit(Put(Beat(rotation="r-1", at=at, since=at)))


def _no_evidence(called: CalledApi) -> None:
    bench, now = called.bench, called.bench.clock.now()
    rotation = bench.open(bench.key("cmk-ended"))
    kept = bench.rows.load(Rotation, rotation, "rotation")
    assert kept
    bench.rows.replace(kept, with_fields(kept.row, evidence_problem="403 from the container"))
    bench.rows.commit(Put(Beat(rotation=rotation, at=now, since=now)))


def _expiring(called: CalledApi) -> None:
    now, key = called.bench.clock.now(), f"https://{HOST}/keys/cmk-old"
    called.bench.rows.commit(Put(Watched(key=key, at=now, problem="it expires in 3 days")))


def _gap(called: CalledApi, days: int = 6) -> None:
    now, key = called.bench.clock.now(), f"https://{HOST}/keys/cmk-quiet"
    at = now - timedelta(days=days)
    called.bench.rows.commit(Put(Gap(key=key, version=f"{key}/{'0' * 32}", created=at, at=at)))


def _unheard(called: CalledApi) -> None:
    now = called.bench.clock.now()
    row = Unheard(event="r-1/Keyturn.RotationStarted", at=now, problem="403 from the topic")
    called.bench.rows.commit(Put(row))


@pytest.mark.parametrize(
    ("spoil", "name", "status", "said"),
    [
        pytest.param(_denied, f"vault {HOST}", "fail", "not authorized", id="vault denied"),
        pytest.param(_no_arm, "subscriptions", "fail", "503", id="ARM down"),
        pytest.param(_no_rights, "subscriptions", "fail", "1 of 2", id="one is not seen"),
        pytest.param(_half_rights, "subscriptions", "fail", "1 of 2", id="rights missing"),
        pytest.param(_none_seen, "subscriptions", "fail", "sees none", id="no subscription"),
        pytest.param(use(rows=NoRows()), "storage", "fail", "no answer", id="storage"),
        pytest.param(use(rows=ReadOnly()), "storage", "fail", "keep Probe: 403", id="read only"),
        pytest.param(use(store=Store("look: 403")), "evidence", "fail", "look: 403", id="store"),
        pytest.param(use(queue=Away()), "queue", "fail", "no answer", id="queue"),
        pytest.param(use(queue=Broken()), "queue", "fail", "itself failed", id="a bug"),
        pytest.param(
            use(queue=Full()), "poison", "warn", "2 steps or events that failed", id="poison"
        ),
        pytest.param(_bad_policy, "policy", "fail", "#/version", id="policy"),
        pytest.param(_late, "timer", "fail", "was due at", id="sweep late"),
        pytest.param(_no_sweep, "timer", "warn", "has not run yet", id="no sweep yet"),
        pytest.param(_standing, "queue stands", "fail", "steps are due", id="queue stands"),
        pytest.param(
            _standing_from_the_first, "queue stands", "fail", "not run yet", id="never moved"
        ),
        pytest.param(_slow_queue, "queue age", "warn", "20 minutes", id="queue slow"),
        pytest.param(_silent, "rotations", "warn", "1 rotation has", id="a silent rotation"),
        pytest.param(_no_evidence, "evidence", "warn", "403 from the container", id="evidence"),
        pytest.param(_expiring, "keys", "warn", "1 of 1 watched keys", id="a key expires"),
        pytest.param(_gap, "events", "warn", "1 version that no event told of", id="a gap"),
        pytest.param(_unheard, "announcements", "warn", "403 from the topic", id="unheard"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do_and_the_rest_is_still_told(
    well: CalledApi, spoil: Callable[[CalledApi], None], name: str, status: str, said: str
) -> None:
    spoil(well)
    found = checks(well)
    assert found[name]["status"] == status
    assert said in found[name]["said"]
    assert found[name]["advice"]
    assert {part.partition(" ")[0] for part in PARTS} <= {n.partition(" ")[0] for n in found}


def test_what_is_written_to_ask_after_our_health_is_written_once_a_minute(
    well: CalledApi,
) -> None:
    store, bench = Store(), well.bench
    use(store=store)(well)

    def tried_at() -> datetime:
        return bench.row(Probe, *Probe.PLACE).at

    for _ in range(3):
        checks(well)
    first = tried_at()
    assert store.looks == 1
    bench.pass_time(seconds=61)
    for _ in range(3):
        checks(well)
    assert (store.looks, tried_at() > first) == (2, True)
    assert bench.row(Probe, *Probe.PLACE).since == first


def test_a_refusal_by_the_place_of_the_evidence_is_told_of_until_it_is_tried_again(
    well: CalledApi,
) -> None:
    store = Store("look: 403")
    use(store=store)(well)
    assert checks(well)["evidence"]["status"] == "fail"
    store.problem = ""
    assert checks(well)["evidence"]["said"] == "look: 403"
    well.bench.pass_time(seconds=61)
    assert checks(well)["evidence"]["status"] == "pass"


@pytest.mark.parametrize("spoil", [_standing, _standing_from_the_first])
def test_of_a_timer_nothing_is_said_while_the_queue_stands(
    well: CalledApi, spoil: Callable[[CalledApi], None]
) -> None:
    spoil(well)
    timer = checks(well)["timer"]
    assert timer["status"] == "warn"
    assert "shows once the queue moves" in timer["said"]


def test_a_busy_queue_is_fine_as_long_as_the_sweep_comes(well: CalledApi) -> None:
    use(queue=Standing())(well)
    assert {check["status"] for check in checks(well).values()} == {"pass"}


def test_a_timer_that_has_never_run_has_an_hour(well: CalledApi) -> None:
    _no_sweep(well, minutes=59)
    assert checks(well)["timer"]["status"] == "pass"


def watch_row(called: CalledApi, name: str, **found: Any) -> None:  # noqa: ANN401 - fields of a row
    """Let this be known of a key."""
    key = f"https://{HOST}/keys/{name}"
    called.bench.rows.commit(Put(Watched(key=key, at=called.bench.clock.now(), **found)))


def finding(severity: Severity) -> Finding:
    return Finding(severity=severity, code="c", text=f"a {severity}")


def test_the_worst_key_is_named_and_what_is_only_good_to_know_needs_nobody(
    well: CalledApi,
) -> None:
    for number in range(6):
        watch_row(well, f"noted{number}", findings=(finding(Severity.NOTE),))
    assert checks(well)["keys"]["status"] == "pass"
    for number in range(6):
        watch_row(well, f"warned{number}", problem="it is old", severity=Severity.WARNING)
    watch_row(
        well,
        "worst",
        problem="it is old",
        severity=Severity.WARNING,
        findings=(finding(Severity.BLOCKER), finding(Severity.NOTE)),
    )
    found = checks(well)["keys"]
    assert found["status"] == "warn"
    assert found["said"] == (
        f"7 of 13 watched keys need somebody: https://{HOST}/keys/worst: a blocker"
    )


def test_a_key_that_the_policy_leaves_out_by_now_needs_nobody(well: CalledApi) -> None:
    watch_row(well, "ours", problem="it expires", severity=Severity.WARNING)
    watch_row(well, "theirs", problem="it has expired", severity=Severity.BLOCKER)
    bench = well.bench
    bench.policies.document = with_fields(bench.policies.document, manage=(f"{VAULT}/ours",))
    assert checks(well)["keys"]["said"] == (
        f"1 of 1 watched keys need somebody: https://{HOST}/keys/ours: it expires"
    )


def test_a_gap_of_long_ago_is_over(well: CalledApi) -> None:
    _gap(well, days=8)
    assert checks(well)["events"]["status"] == "pass"


def test_no_more_subscriptions_are_asked_than_a_caller_waits_for(
    well: CalledApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        well.bench.readable_subscription(f"More {number}")
    monkeypatch.setattr(check_readiness, "MOST_SUBSCRIPTIONS", 2)
    assert "of 2 that were asked for" in checks(well)["subscriptions"]["said"]


# -- scope --------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
def test_the_pages_of_the_scope_are_every_subscription_once(keyed: CalledApi, limit: int) -> None:
    bench = keyed.bench
    readable = {bench.subscription, bench.readable_subscription("More")}
    hidden = bench.azure.estate.subscription("Hidden")
    rbac = bench.azure.estate.arm.rbac
    rbac.allow(
        APP_PRINCIPAL, {"Microsoft.Resources/subscriptions/read"}, f"/subscriptions/{hidden}"
    )
    pages = keyed.pages(f"/api/scope?limit={limit}")
    items = [item for page in pages for item in page["items"]]
    assert [item["id"] for item in items] == sorted([*readable, hidden])
    assert {item["id"] for item in items if item["readable"]} == readable
    assert {item["declared"] for item in items} == {False}
    (problem,) = (item["problem"] for item in items if item["id"] == hidden)
    assert problem == "our identity lacks Microsoft.Authorization/permissions/read there"
    assert len(pages) == -(-3 // limit)


def test_a_declared_subscription_that_is_not_seen_is_shown_and_counted(keyed: CalledApi) -> None:
    bench = keyed.bench
    unseen = "0b6f4b0e-0d0a-4f6e-9a55-3b9f3f0c7d11"
    bench.readable_subscription("Not declared")
    bench.policies.set_defaults(subscriptions=(bench.subscription, unseen))
    page = keyed.get("/api/scope")
    assert page["statement"] == "1 readable subscription; 1 not readable"
    assert {item["id"]: item["readable"] for item in page["items"]} == {
        bench.subscription: True,
        unseen: False,
    }
    assert {item["declared"] for item in page["items"]} == {True}
    assert page["vaults"] == [HOST]
    assert "storage account" in " ".join(page["kinds"]).lower()


def test_a_place_of_deployment_configs_is_shown_without_its_query(keyed: CalledApi) -> None:
    sources = ("https://a.blob.core.windows.net/c?tag=k=v",)
    scope = keyed.bench.wiring.scope
    shown = replace(scope, sources=sources).run(limit=1)
    assert shown.config_sources == ("https://a.blob.core.windows.net/c",)
