"""The demo's judge believes nothing that the report says, and names all that is wrong."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from sandbox.arm.resource_ids import ResourceId
from sandbox.azure import LocalAzure
from sandbox.demo_estate import VAULT, demo_estate
from sandbox.demo_files import CANARY, SOURCE, put_files
from sandbox.demo_judge import Judge, Turn, definitions_of, name_of
from sandbox.demo_members import ARCHIVE, LEDGER, PAYMENTS, Family, Member
from sandbox.demo_report import print_reports, print_truth
from sandbox.demo_view import FAMILIES, Report, consumers_table, counts_table

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
KINDS = {family: kind for kind, family in FAMILIES.items()}


@dataclass(frozen=True, slots=True)
class Trial:
    """Keys that were rotated, and reports that say all went as it must, though nothing did."""

    judge: Judge
    reports: dict[str, Report]
    given: frozenset[str]
    """What is wrong from the start."""

    @property
    def azure(self) -> LocalAzure:
        return self.judge.azure

    @property
    def report(self) -> Report:
        """The one on the payments key."""
        return self.reports[PAYMENTS]

    @property
    def turn(self) -> Turn:
        """Of the payments key."""
        return self.judge.turns[PAYMENTS]

    def found(self) -> set[str]:
        """Return what is wrong beside that."""
        return set(self.judge.problems(self.reports)) - self.given


@pytest.fixture(name="trial")
def _trial(local_azure: Callable[[float], LocalAzure]) -> Iterator[Trial]:
    with local_azure(60) as azure:
        demo = demo_estate(azure.estate)
        vault = azure.estate.vaults.vault(VAULT)
        before, ledger, archive = (
            azure.estate.vaults.newest(VAULT, key) for key in (PAYMENTS, LEDGER, ARCHIVE)
        )
        files = put_files(azure.blobs, demo, before, archive)
        judge = Judge(
            azure=azure,
            estate=demo,
            files=files,
            turns={
                PAYMENTS: Turn(before, vault.rotate(PAYMENTS)),
                LEDGER: Turn(ledger, vault.rotate(LEDGER)),
            },
            definitions=definitions_of(azure, demo),
        )
        reports = {key: as_told(judge, key) for key in judge.turns}
        yield Trial(judge, reports, frozenset(judge.problems(reports)))


def as_told(judge: Judge, key: str) -> Report:
    tried = {account.id for account in judge.estate.with_canary}
    turn = judge.turns[key]
    consumers = [consumer(turn, member, tried) for member in judge.members_of(key)]
    return {
        "id": "f00d-1",
        "state": "failed",
        "summary": "as told",
        "target": turn.target,
        "preflight": [{"severity": "note", "text": "all is well"}],
        "openedAt": NOW.isoformat(),
        "consumers": consumers,
    }


def consumer(turn: Turn, member: Member, tried: set[str]) -> dict[str, Any]:
    is_reported = member.family not in {Family.GROUPS, Family.FILES}
    used = turn.target if member.fate.moves else turn.before
    is_proven = bool(member.fate.verdicts & {"verified", "late"})
    return {
        "resource": member.id,
        "name": name_of(member.id),
        "kind": KINDS[member.family],
        "kindTitle": member.family,
        "form": "versionless" if member.family is Family.COSMOS else "pinned",
        "before": turn.before,
        "inUseBefore": turn.before if is_reported else None,
        "inUse": used if is_reported else None,
        "verdict": min(member.fate.verdicts, key=lambda verdict: verdict != "verified"),
        "level": ("reported" if is_reported else "configured") if is_proven else None,
        "reason": f"[{member.made_to}]",
        "advice": "first\nsecond",
        "foundAt": NOW.isoformat(),
        "acceptedAt": NOW.isoformat() if member.fate.writes else None,
        "closedAt": NOW.isoformat(),
        "owed": None,
        "note": None,
        "healthy": member.id in tried or None,
        "health": "fine" if member.id in tried else None,
    }


def test_a_report_of_what_never_happened_is_refuted_resource_by_resource(trial: Trial) -> None:
    moving = [member for member in trial.judge.members if member.fate.moves]

    for member in moving:
        name = name_of(member.id)
        if member.family is Family.FILES:
            assert any(problem.startswith(f"{name}: its bytes") for problem in trial.given)
        else:
            assert f"{name}: it uses {trial.judge.turns[member.key].before}" in trial.given
        if member.fate.writes:
            assert f"{name}: it was written 0 times" in trial.given
        if member.fate.made_again:
            assert f"{name}: it was deleted 0 times, and made 0 times" in trial.given
    left_alone = [each for each in trial.judge.members if "manual" in each.fate.verdicts]
    for member in left_alone:
        assert not any(problem.startswith(f"{name_of(member.id)}: ") for problem in trial.given)


def test_a_wrong_verdict_is_named(trial: Trial) -> None:
    trial.report["consumers"][0]["verdict"] = "gone"

    assert trial.found() == {"stcardsweu001: its verdict is gone"}


def test_a_resource_that_the_report_leaves_out_is_named(trial: Trial) -> None:
    left_out = trial.report["consumers"].pop()

    assert trial.found() == {f"{left_out['name']}: its verdict is missing"}


def test_a_resource_that_is_not_on_the_key_is_named(trial: Trial) -> None:
    stranger = trial.judge.estate.others[0]
    trial.report["consumers"].append({"resource": stranger, "healthy": None})

    assert trial.found() == {f"{stranger.lower()}: it is in the report, and not on the key"}


def test_a_write_to_a_resource_on_another_key_is_named(trial: Trial) -> None:
    other = trial.judge.estate.others[0]
    trial.azure.estate.truth.count_write(ResourceId.parse(other))

    assert trial.found() == {f"{name_of(other)}: it does not use the key, and was changed"}
    assert trial.judge.left_alone()[1] == 1


def test_a_write_that_must_not_be_is_named(trial: Trial) -> None:
    (managed,) = (each.id for each in trial.judge.members if each.id.endswith("/dbstoragepay7x2"))
    trial.azure.estate.truth.count_write(ResourceId.parse(managed))

    assert trial.found() == {"dbstoragepay7x2: it was written 1 times"}


def test_a_byte_too_much_in_a_file_is_named(trial: Trial) -> None:
    files = trial.judge.estate.files_account
    for file in trial.judge.files:
        new = file.content.replace(
            trial.turn.before.rpartition("/")[2].encode(),
            trial.turn.target.rpartition("/")[2].encode(),
        )
        trial.azure.blobs.put(files, SOURCE, file.path, new)
    ok = set(trial.judge.problems(trial.reports))
    scoring = trial.judge.files[1]
    content = trial.azure.blobs.get(files, SOURCE, scoring.path)
    trial.azure.blobs.put(files, SOURCE, scoring.path, content.replace(b"    ", b"  ", 1))

    assert not any(problem.startswith(scoring.path) for problem in ok)
    assert any(problem.startswith("payments/unsaved.json: its bytes") for problem in ok)
    (wrong,) = set(trial.judge.problems(trial.reports)) - ok
    assert wrong.startswith("payments/scoring.json: its bytes are not what they must be")


def test_a_container_group_that_lost_a_part_of_its_definition_is_named(trial: Trial) -> None:
    (api,) = (each.id for each in trial.judge.members if each.id.endswith("/aci-payments-api"))
    body = trial.azure.estate.arm.resources.get(ResourceId.parse(api)).body
    body["properties"]["encryptionProperties"]["keyVersion"] = "another"
    assert trial.found() == set()

    del body["properties"]["secretReferences"]

    assert trial.found() == {"aci-payments-api: more of it has changed than the version of its key"}


def test_an_account_whose_blobs_were_not_tried_or_not_deleted_is_named(trial: Trial) -> None:
    first, second = trial.judge.estate.with_canary[:2]
    (said,) = (each for each in trial.report["consumers"] if each["resource"] == first.id)
    said["healthy"] = False
    trial.azure.blobs.put(second, CANARY, "left", b"")

    assert trial.found() == {
        f"{name_of(first.id)}: no blob was written and read in it",
        f"{name_of(second.id)}: 1 blobs were left in it",
    }


def test_a_look_ahead_that_saw_an_obstacle_or_was_not_taken_is_named(trial: Trial) -> None:
    trial.report["preflight"] = [{"severity": "warning", "text": "not looked at"}]
    assert trial.found() == {"the look ahead: warning: not looked at"}

    trial.report["preflight"] = None
    assert trial.found() == {"the look ahead: missing: it did not take place"}


def test_a_rotation_that_claims_to_be_complete_is_named(trial: Trial) -> None:
    trial.report["state"] = "completed"

    assert trial.found() == {
        "cmk-payments: its rotation is completed, although not all could be proven"
    }


def test_a_report_on_another_version_is_named(trial: Trial) -> None:
    trial.reports[LEDGER]["target"] = trial.turn.target

    assert trial.found() == {f"cmk-ledger: the report is about a rotation to {trial.turn.target}"}


def test_a_file_that_cannot_be_read_is_expected_in_each_report(trial: Trial) -> None:
    unsaved = next(m for m in trial.judge.members if m.id.endswith("unsaved.json"))
    for key in trial.judge.turns:
        assert unsaved in trial.judge.members_of(key)
    report = trial.reports[LEDGER]
    report["consumers"] = [c for c in report["consumers"] if c["resource"] != unsaved.id]

    assert trial.found() == {"payments/unsaved.json: its verdict is missing"}


@pytest.mark.parametrize("width", [80, 100, 160])
def test_what_is_shown_fits_and_leaves_nothing_out(trial: Trial, width: int) -> None:
    shown = StringIO()
    console = Console(file=shown, width=width, highlight=False)
    console.print(consumers_table(trial.reports, NOW, wide=width >= 100))
    console.print(counts_table(trial.reports))
    print_reports(console, trial.reports)
    print_truth(console, trial.judge)

    text = shown.getvalue()
    assert all(len(line) <= width for line in text.splitlines())
    for said in (each for report in trial.reports.values() for each in report["consumers"]):
        rows = [line for line in text.splitlines() if line.startswith(f"  {said['name']} ")]
        assert any(said["verdict"] in row for row in rows)
    assert "… and 1 more lines, in the answer of" in text
    assert "[names no version]" in text
    (failed,) = (line for line in text.splitlines() if line.startswith("  aci-payments-gpu "))
    assert f"{trial.turn.before.rpartition('/')[2][:8]} → ?" in failed
    assert "0 of 12" in text
    assert "0 were changed" in text
