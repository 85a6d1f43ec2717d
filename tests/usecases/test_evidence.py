"""The document about a concluded rotation: what is in it, and that none is let go without."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from dataclasses import replace as with_row
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from msgspec.structs import replace

from sandbox.identity import APP_PRINCIPAL
from shared.domain.callers import Caller
from shared.domain.errors import AccessDeniedError, EvidenceError, NotFoundError, UnavailableError
from shared.domain.evidence import LEVELS, SCHEMA_ID
from shared.domain.json_paths import Json
from shared.domain.keys import Key
from shared.domain.policy import Mode
from shared.domain.records import Request
from shared.domain.rows import BEATS, Beat, Cause, Evidence, Row
from shared.domain.steps import Open, Revive, Supervise
from shared.domain.tool import NAME, VERSION
from shared.domain.verdicts import Outcome, Verdict
from shared.domain.work import Work
from shared.ports import EvidenceStore, Kept, Rows
from shared.usecases.conclude import AGAIN_AFTER
from shared.usecases.evidence import KeepEvidence, ReadEvidence
from shared.usecases.ledger import Ledger
from tests.generated import CHECKOUT, evidence_schema
from tests.usecases.bench import VAULT, Bench, Died
from tests.usecases.rotations import announced, carry_out, ends, head, report_of, steering

ANNE = Caller(id="t/anne", name="anne@contoso.com")
BERT = Caller(id="t/bert", name="bert@contoso.com")
EVIDENCE = CHECKOUT / "docs" / "evidence.schema.json"
MANY = 50_000


def evidence_of(bench: Bench, rotation: str) -> Json:
    """Return a rotation's document, which is as its row says and as the schema says."""
    evidence = bench.rotation(rotation).evidence
    assert evidence, bench.rotation(rotation).evidence_problem
    content = b"".join(store_of(bench).open(evidence.name))
    assert hashlib.sha256(content).hexdigest() == evidence.sha256
    document: Json = json.loads(content)
    schema = json.loads(EVIDENCE.read_text())
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(document)
    return document


def store_of(bench: Bench) -> EvidenceStore:
    return bench.steps.supervise.conclude.evidence.store


def key_to_move(bench: Bench, *accounts: str) -> tuple[str, str]:
    """Make a key with a version that accounts do not use yet; return both URLs."""
    key = bench.key()
    for name in accounts:
        bench.account(name, key)
    return key, bench.new_version(key)


# -- what is in it -----------------------------------------------------------------------------


def test_a_completed_rotation_has_its_whole_story_in_its_document(bench: Bench) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    before = bench.in_use(account)
    target = bench.new_version(key)
    rotation = bench.open(key, Cause(trigger="event", id="e1"))

    ended = carry_out(bench, rotation)

    found = evidence_of(bench, rotation)
    assert (found["schema"], found["tool"]) == (SCHEMA_ID, {"name": NAME, "version": VERSION})
    assert "re-wraps data-encryption keys" in found["statement"]
    assert "not re-encrypted" in found["statement"]
    assert found["levels"] == dict(LEVELS)
    assert found["cloud"] == "AzureCloud"
    created = datetime.fromtimestamp(bench.azure.estate.vault(VAULT).find("cmk").created, UTC)
    assert found["key"]["vault"] == f"{VAULT}.vault.azure.net"
    assert (found["key"]["target"], found["key"]["type"]) == (target, "RSA")
    assert [v["id"] for v in found["key"]["versions"]] == [before, target]
    made = {str(v["id"]): v["created"] for v in found["key"]["versions"]}
    assert made[target] == f"{created:%Y-%m-%dT%H:%M:%SZ}"
    assert (found["rotation"], found["run"], found["recheck"]) == (rotation, 1, False)
    assert found["trigger"] == {"kind": "event", "id": "e1", "reason": None, "by": None}
    assert (found["outcome"], found["problem"]) == ("completed", None)
    assert found["counts"] == {"verified": 1}
    assert found["scope"]["statement"] == str(ended.scope)
    assert (found["scope"]["readable"], found["scope"]["unreadable"]) == (1, 0)
    assert found["policy"]["rules"]["failureLimit"] == 5
    assert found["openedAt"] < found["discoveredAt"] < found["endedAt"]
    (consumer,) = found["consumers"]
    assert consumer["resource"].lower() == account.id.lower()
    assert (consumer["versionBefore"], consumer["versionAfter"]) == (before, target)
    assert (consumer["referenceBefore"], consumer["referenceAfter"]) == (before, target)
    assert (consumer["form"], consumer["verdict"], consumer["level"]) == (
        "pinned",
        "verified",
        "reported",
    )
    proof = f"currentVersionedKeyIdentifier is {target}; provisioningState is Succeeded"
    assert consumer["reason"] == proof
    assert consumer["confirmed"] is True
    assert consumer["window"]["seconds"] == 3600
    (patch,) = bench.calls("PATCH", account.id)
    write = consumer["write"]
    assert write["clientRequestId"] == patch.request_headers["x-ms-client-request-id"]
    assert write["correlationId"] == patch.response_headers["x-ms-correlation-request-id"]
    assert (write["count"], write["rounds"]) == (bench.writes(account), 0)
    times = [consumer["foundAt"], consumer["readAt"], write["intendedAt"]]
    times += [write["acceptedAt"], consumer["closedAt"]]
    assert times == sorted(times)


def test_a_versionless_account_that_was_nudged_shows_what_it_was_owed(bench: Bench) -> None:
    bench.policies.set_defaults(versionless="nudge")
    key = bench.key()
    account = bench.account("stfree", key, "absent")
    target = bench.new_version(key)
    rotation = bench.open(key)

    carry_out(bench, rotation)

    (consumer,) = evidence_of(bench, rotation)["consumers"]
    assert (consumer["form"], consumer["verdict"]) == ("versionless", "verified")
    assert (consumer["referenceBefore"], consumer["referenceAfter"]) == (key, key)
    assert consumer["versionAfter"] == target
    assert consumer["owed"] == {"what": "restore", "settled": True}
    assert consumer["write"]["count"] == bench.writes(account) == 2


def test_who_asked_and_who_did_what_and_why_is_in_it(bench: Bench) -> None:
    bench.policies.set_defaults(mode=Mode.APPROVE)
    key, _ = key_to_move(bench, "stone")
    ask = steering(bench).ask
    request = ask.run(Key.parse(key), reason="the audit", new_version=False, by=ANNE)
    cause = Cause(trigger="operator", id=request.id, reason="the audit", by=ANNE)
    rotation = bench.open(key, cause, request=request.id)
    bench.steer.pause(rotation, "lunch", ANNE)
    bench.steer.resume(rotation, "back again", ANNE)
    bench.steer.approve(rotation, "seen", BERT)

    carry_out(bench, rotation)

    found = evidence_of(bench, rotation)
    assert found["trigger"]["by"] == {"id": ANNE.id, "name": ANNE.name}
    assert [(a["action"], a["by"]["name"], a["reason"]) for a in found["acts"]] == [
        ("ask", ANNE.name, "the audit"),
        ("pause", ANNE.name, "lunch"),
        ("resume", ANNE.name, "back again"),
        ("approve", BERT.name, "seen"),
    ]
    assert found["acts"][-1]["until"] > found["acts"][-1]["at"]
    assert found["policy"]["rules"]["mode"] == "approve"
    assert found["policy"]["digest"] == bench.policies.document.digest
    (consumer,) = found["consumers"]
    assert consumer["write"]["policy"] == found["policy"]["digest"]


def test_who_approved_the_making_of_the_version_is_in_it(bench: Bench) -> None:
    bench.policies.set_defaults(mode=Mode.APPROVE)
    key = bench.key()
    ask = steering(bench).ask
    request = ask.run(Key.parse(key), reason="the audit", new_version=True, by=ANNE)
    bench.steer.approve(request.id, "do it", BERT)
    bench.new_version(key)
    cause = Cause(trigger="operator", id=request.id, reason="the audit", by=ANNE)
    rotation = bench.open(key, cause, request=request.id)

    carry_out(bench, rotation)

    acts = evidence_of(bench, rotation)["acts"]
    assert [(a["action"], a["by"]["name"]) for a in acts] == [
        ("ask", ANNE.name),
        ("approve", BERT.name),
    ]


def test_who_approved_what_nobody_asked_for_is_in_it_whichever_message_opened_the_rotation(
    bench: Bench,
) -> None:
    bench.policies.set_defaults(mode=Mode.APPROVE)
    key = bench.key()
    account = bench.account("stone", key)
    cause = Cause(trigger="event", id="e1", reason="it expires soon")
    wish = Request(
        id="exp-1",
        key=key,
        reason="it expires soon",
        new_version=True,
        asked_at=bench.clock.now(),
        needs_approval=True,
        version_before=bench.in_use(account) or "",
    )
    bench.rows.insert(wish)
    bench.steer.approve(wish.id, "do it", BERT)
    made = bench.new_version(key)
    kept = bench.rows.load(Request, wish.id, "request")
    assert kept
    bench.rows.replace(kept, replace(kept.row, made=made))
    rotation = bench.open(key)  # the vault's event comes first
    bench.run(Open(key=key, cause=cause, request=wish.id))
    bench.run(Open(key=key, cause=cause, request=wish.id))

    assert [act["by"]["name"] for act in report_of(bench, rotation)["acts"]] == [BERT.name]
    assert carry_out(bench, rotation).request == ""

    (act,) = evidence_of(bench, rotation)["acts"]
    assert (act["action"], act["by"]["name"], act["reason"]) == ("approve", BERT.name, "do it")
    assert act["until"] > act["at"]


def test_a_rotation_that_failed_says_what_could_not_be_moved_and_what_was_hidden(
    bench: Bench,
) -> None:
    key = bench.key()
    account = bench.account("stone", key)
    bench.new_version(key)
    hidden = bench.azure.estate.subscription("Hidden")
    bench.policies.set_defaults(subscriptions=(bench.subscription, hidden))
    bench.azure.estate.vault(VAULT).revoke(account.principal)
    rotation = bench.open(key)

    carry_out(bench, rotation)

    found = evidence_of(bench, rotation)
    assert found["outcome"] == "failed"
    assert found["scope"]["unreadableIds"] == [hidden]
    assert found["scope"]["declared"] == [bench.subscription, hidden]
    (consumer,) = found["consumers"]
    assert (consumer["verdict"], consumer["level"]) == ("failed", None)
    assert "KeyVaultAuthenticationFailure" in consumer["reason"]
    assert consumer["advice"]
    assert consumer["write"]["acceptedAt"] is None
    assert consumer["versionAfter"] == consumer["versionBefore"]


def test_that_nothing_was_found_is_evidence_too(bench: Bench) -> None:
    key, _ = key_to_move(bench)
    rotation = bench.open(key)
    carry_out(bench, rotation)
    found = evidence_of(bench, rotation)
    assert (found["outcome"], found["consumers"], found["counts"]) == ("nothing_found", [], {})


def test_a_rotation_that_was_cancelled_names_who_did_it(bench: Bench) -> None:
    key, _ = key_to_move(bench, "stone")
    rotation, _ = bench.opened(key)
    bench.steer.cancel(rotation, "wrong key", ANNE)
    bench.supervise(rotation)
    found = evidence_of(bench, rotation)
    assert (found["outcome"], found["counts"]) == ("cancelled", {"cancelled": 1})
    assert [(a["action"], a["reason"]) for a in found["acts"]] == [("cancel", "wrong key")]
    (consumer,) = found["consumers"]
    assert (consumer["write"], consumer["referenceAfter"]) == (None, None)


def test_a_rotation_that_was_superseded_has_evidence_and_so_has_its_successor(
    bench: Bench,
) -> None:
    key, _ = key_to_move(bench, "stone")
    first, _ = bench.opened(key)
    bench.later_version(key)
    second = bench.open(key)
    bench.supervise(first)
    assert evidence_of(bench, first)["outcome"] == "superseded"
    carry_out(bench, second)
    found = evidence_of(bench, second)
    assert (found["outcome"], found["tookOverFrom"]) == ("completed", first)


def test_a_vault_that_does_not_let_us_list_versions_is_said_to(bench: Bench) -> None:
    key, _ = key_to_move(bench, "stone")
    rotation = bench.open(key)
    bench.discover(rotation)
    bench.settle(rotation)
    bench.pass_time(minutes=2)
    bench.supervise(rotation)
    bench.azure.estate.vault(VAULT).revoke(APP_PRINCIPAL)
    bench.search(rotation, closing=True)
    bench.settle(rotation)

    found = evidence_of(bench, rotation)
    assert (found["outcome"], found["key"]["versions"]) == ("failed", None)
    assert "answered 403" in found["key"]["versionsProblem"]
    assert "the target cannot be read" in found["problem"]


def test_no_secret_and_no_body_goes_in(bench: Bench) -> None:
    key, _ = key_to_move(bench, "stone")
    rotation = bench.open(key)
    carry_out(bench, rotation)
    text = json.dumps(evidence_of(bench, rotation)).lower()
    assert not [word for word in ("bearer", "accountkey", "keysource") if word in text]


# -- that it is kept ---------------------------------------------------------------------------


def _ends(method: str, arguments: tuple[Any, ...]) -> bool:
    return ends(method, arguments) and arguments[-1].evidence is None


def _keeps(method: str, _: tuple[Any, ...]) -> bool:
    return method == "keep"


def _names(method: str, arguments: tuple[Any, ...]) -> bool:
    return ends(method, arguments) and arguments[-1].evidence is not None


def _announces(method: str, arguments: tuple[Any, ...]) -> bool:
    return method == "announce" and arguments[0] == "Keyturn.RotationCompleted"


@pytest.mark.parametrize("condition", [_ends, _keeps, _names, _announces])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_anywhere_at_the_end_changes_nothing_about_the_document(
    bench: Bench, condition: Callable[[str, tuple[Any, ...]], bool], when: str
) -> None:
    key, _ = key_to_move(bench, "stone")
    rotation = bench.open(key)
    bench.discover(rotation)
    bench.settle(rotation)
    bench.pass_time(minutes=2)
    bench.supervise(rotation)
    bench.search(rotation, closing=True)
    dying = bench.dying(before=condition) if when == "before" else bench.dying(after=condition)
    with dying, pytest.raises(Died):
        bench.settle(rotation)
    is_told = condition is _announces and when == "after"
    told = ["RotationStarted"] + ["RotationCompleted"] * is_told
    assert announced(bench, rotation) == told
    assert bench.active(key) == rotation

    bench.pass_time(minutes=6)  # whoever was ending it can be no more
    bench.supervise(rotation)
    evidence = bench.rotation(rotation).evidence
    bench.supervise(rotation)

    evidence_of(bench, rotation)
    assert bench.rotation(rotation).evidence == evidence
    assert evidence
    assert evidence.name == f"{VAULT}.vault.azure.net/cmk/{rotation}.json"
    assert bench.active(key) == ""
    assert announced(bench, rotation) == [*told, "RotationCompleted"]


@dataclass
class Failing:
    """A store that cannot be written to until it is mended."""

    real: EvidenceStore | None = None
    problem: Exception = field(default_factory=lambda: AccessDeniedError("answered 403"))
    mended: bool = False

    def keep(self, name: str, write: Callable[[], Iterable[bytes]]) -> Evidence:
        if not self.mended:
            raise self.problem
        assert self.real
        return self.real.keep(name, write)

    def open(self, name: str) -> Iterator[bytes]:
        assert self.real
        return self.real.open(name)


@pytest.mark.parametrize("problem", [AccessDeniedError("answered 403"), UnavailableError("mute")])
def test_without_its_evidence_a_rotation_is_neither_announced_nor_let_go(
    bench: Bench, problem: Exception
) -> None:
    store = Failing(store_of(bench), problem)
    bench = Bench(bench.azure, instead={"store": store})
    key, _ = key_to_move(bench, "stone")
    rotation = bench.open(key)

    carry_out(bench, rotation)

    kept = bench.rotation(rotation)
    assert (kept.outcome, kept.evidence) == (Outcome.COMPLETED, None)
    assert kept.evidence_problem == str(problem)
    report = report_of(bench, rotation)
    assert (report["evidence"], report["evidenceProblem"]) == (None, str(problem))
    assert bench.active(key) == rotation
    assert announced(bench, rotation) == ["RotationStarted"]
    put_back, again = bench.sent(Supervise)[-1], bench.due(Supervise)
    assert again
    assert put_back.attempt == 1
    assert again - bench.clock.now() > AGAIN_AFTER / 2
    beat = bench.rows.load(Beat, BEATS, rotation)
    assert beat, "should the message be lost, the sweep sends for the supervisor"

    bench.forget_sent()
    for _ in range(3):
        bench.supervise(rotation)  # whoever else asks
    assert bench.sent(Supervise) == [], "the message that was put back is enough"
    store.mended = True
    bench.pass_until(again)
    bench.run(put_back)

    evidence_of(bench, rotation)
    assert bench.rotation(rotation).evidence_problem == ""
    assert bench.active(key) == ""
    assert bench.rows.load(Beat, BEATS, rotation) is None
    assert announced(bench, rotation) == ["RotationStarted", "RotationCompleted"]
    report = report_of(bench, rotation)
    evidence = bench.rotation(rotation).evidence
    assert evidence
    assert report["evidence"] == {"name": evidence.name, "sha256": evidence.sha256}


def test_a_newer_version_need_not_wait_for_the_evidence_of_the_one_before(bench: Bench) -> None:
    store = Failing(store_of(bench))
    bench = Bench(bench.azure, instead={"store": store})
    key, _ = key_to_move(bench, "stone")
    first = bench.open(key)
    carry_out(bench, first)
    bench.later_version(key)

    second = bench.open(key)
    assert second != first
    store.mended = True
    bench.run(Supervise(rotation=first, attempt=1))
    carry_out(bench, second)

    assert evidence_of(bench, first)["outcome"] == "completed"
    assert evidence_of(bench, second)["outcome"] == "completed"
    assert head(bench, key).active is None


def test_should_the_message_be_lost_the_sweep_takes_it_up_again(bench: Bench) -> None:
    store = Failing(store_of(bench))
    bench = Bench(bench.azure, instead={"store": store})
    key, _ = key_to_move(bench)
    rotation = bench.open(key)
    carry_out(bench, rotation)
    store.mended = True
    bench.pass_time(minutes=16)
    bench.forget_sent()
    bench.steps.revive.run(Revive())
    (step,) = bench.sent(Supervise)
    bench.run(step)
    assert evidence_of(bench, rotation)["outcome"] == "nothing_found"
    assert bench.active(key) == ""


def test_evidence_that_cannot_be_kept_is_a_transient_error_with_a_time(bench: Bench) -> None:
    bench = Bench(bench.azure, instead={"store": Failing()})
    key, _ = key_to_move(bench)
    rotation = bench.open(key)
    carry_out(bench, rotation)
    with pytest.raises(EvidenceError, match=r"the evidence of rotation .* is not kept") as caught:
        bench.steps.supervise.run(Supervise(rotation=rotation, attempt=1))
    assert caught.value.retry_after == AGAIN_AFTER


def test_the_document_of_a_rotation_is_read_by_its_id_once_there_is_one(bench: Bench) -> None:
    read = ReadEvidence(rows=bench.rows, store=store_of(bench))
    key, _ = key_to_move(bench)
    rotation = bench.open(key)
    assert read.run("none-1") is None
    assert read.run(rotation) is None
    carry_out(bench, rotation)
    found = read.run(rotation)
    assert found
    evidence, pieces = found
    assert hashlib.sha256(b"".join(pieces)).hexdigest() == evidence.sha256


# -- its size ----------------------------------------------------------------------------------


class Countless:
    """The bench's rows, with one piece of work very many times over; counts what was read."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.read = 0

    def load(self, row_type: type[Row], partition: str, key: str) -> Kept[Any] | None:
        return self._rows.load(row_type, partition, key)

    def scan(self, row_type: type[Row], partition: str, *, where: str = "") -> Iterator[Kept[Any]]:
        for one in self._rows.scan(row_type, partition, where=where):
            if not isinstance(one.row, Work):
                yield one
                continue
            for number in range(MANY):
                self.read += 1
                resource = f"{one.row.resource}{number}"
                yield with_row(one, row=replace(one.row, resource=resource))


@dataclass
class Counting:
    """A store that notes how far the reading of rows is ahead of the writing of the document."""

    rows: Countless
    pieces: int = 0
    furthest: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    def keep(self, name: str, write: Callable[[], Iterable[bytes]]) -> Evidence:
        for piece in write():
            self.digest.update(piece)
            self.pieces += 1
            self.furthest = max(self.furthest, self.rows.read - self.pieces)
        return Evidence(name=name, sha256=self.digest.hexdigest())

    def reach(self) -> None:
        """See ``EvidenceStore.reach``."""

    def open(self, name: str) -> Iterator[bytes]:
        raise NotFoundError(name)


def test_of_fifty_thousand_consumers_one_at_a_time_is_held(bench: Bench) -> None:
    key, _ = key_to_move(bench, "stone")
    rotation = bench.open(key)
    ended = carry_out(bench, rotation)
    rows = Countless(bench.rows)
    store = Counting(rows)
    keep = KeepEvidence(
        rows=cast("Rows", rows),
        ledger=Ledger(cast("Rows", rows), bench.steps.queue),
        vaults=bench.steps.supervise.conclude.vaults,
        store=store,
        cloud="AzureCloud",
    )

    keep.of(ended)

    assert (rows.read, store.pieces) == (MANY, MANY + 2)
    assert store.furthest <= 0  # a consumer is written before the next one is read


# -- its schema --------------------------------------------------------------------------------


def test_the_schema_that_is_shipped_is_the_codes() -> None:
    assert EVIDENCE.read_text() == evidence_schema(), "run `make generated`, and look at it"
    Draft202012Validator.check_schema(json.loads(EVIDENCE.read_text()))


def _properties(schema: Any, path: str = "#") -> Iterator[tuple[str, Json]]:  # noqa: ANN401 - any JSON
    if isinstance(schema, dict):
        for name, found in schema.get("properties", {}).items():
            yield f"{path}/{name}", found
        for name, found in schema.items():
            yield from _properties(found, f"{path}/{name}")


def test_every_property_is_described_and_no_other_is_allowed() -> None:
    schema = json.loads(evidence_schema())
    found = dict(_properties(schema))
    assert len(found) > 100
    assert [path for path, each in found.items() if not each.get("description")] == []
    parts = schema["$defs"]
    objects = {name: part for name, part in parts.items() if part.get("type") == "object"}
    assert [n for n, part in objects.items() if part["additionalProperties"] is not False] == []
    assert [n for n, p in objects.items() if set(p["required"]) != set(p["properties"])] in (
        [],
        ["Rules", "Window"],  # the policy's own, where everything has a default
    )


def test_the_version_in_the_document_is_the_projects() -> None:
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert f'name = "{NAME}"\nversion = "{VERSION}"' in project


def test_verdicts_are_each_explained_where_they_are_given() -> None:
    described = json.loads(evidence_schema())["$defs"]["MovedConsumer"]["properties"]["verdict"]
    assert [v for v in Verdict if f"`{v}`" not in described["description"]] == []
