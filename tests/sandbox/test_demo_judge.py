"""The demo's judge believes nothing that the report says, and names all that is wrong."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sandbox.arm.resource_ids import ResourceId
from sandbox.azure import LocalAzure
from sandbox.demo_drawing import draw
from sandbox.demo_estate import VAULT, demo_estate
from sandbox.demo_files import CANARY, SOURCE, put_files
from sandbox.demo_judge import Judge, Turn, definitions_of, name_of
from sandbox.demo_kinds import Family
from sandbox.demo_members import ARCHIVE, LEDGER, PAYMENTS, Member
from sandbox.demo_report import print_reports, print_truth
from sandbox.demo_view import WIDE, Report, services_table

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


STAYING = frozenset({"manual", "not_applicable"})


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
    consumers = [
        consumer(turn, member, tried)
        for member in judge.members_of(key)
        for _ in range(member.references)
    ]
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
    is_reported = member.family.tells
    by_hand = "Keyturn does not change it: " if member.fate.is_reported_only else ""
    used = turn.target if member.fate.moves else turn.before
    is_proven = bool(member.fate.verdicts & {"verified", "late"})
    return {
        "resource": member.id,
        "name": name_of(member.id),
        "kind": member.family.kind,
        "kindTitle": member.family.title,
        "form": "versionless" if member.family is Family.COSMOS else "pinned",
        "before": turn.before,
        "inUseBefore": turn.before if is_reported else None,
        "inUse": used if is_reported else None,
        "verdict": min(member.fate.verdicts, key=lambda verdict: verdict != "verified"),
        "level": ("reported" if is_reported else "configured") if is_proven else None,
        "reason": f"{by_hand}[{member.made_to}]",
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
            used = trial.judge.turns[member.key].before
            assert f"{name}: it uses {used}" in trial.given
            proven = f"{min(member.fate.verdicts & {'verified', 'late', 'already'}, default='')}"
            says = f"{name}: {consumer(trial.turn, member, set())['verdict']} is false"
            assert any(each.startswith(says) for each in trial.given) == bool(proven)
        if member.fate.writes:
            assert f"{name}: it was written 0 times" in trial.given
        if member.fate.made_again:
            assert f"{name}: it was deleted 0 times, and made 0 times" in trial.given
    left_alone = [each for each in trial.judge.members if each.fate.verdicts <= STAYING]
    for member in left_alone:
        assert member.fate.moves or not any(
            problem.startswith(f"{name_of(member.id)}: ") for problem in trial.given
        )


def test_a_proof_that_is_false_is_named_though_the_scenario_has_no_word_of_it(trial: Trial) -> None:
    (stuck,) = (each for each in trial.report["consumers"] if each["name"] == "crpartners")
    stuck["verdict"] = "verified"

    assert trial.found() == {
        "crpartners: its verdict is verified",
        "crpartners: verified is false, it uses another version",
    }


def test_a_resource_on_the_key_that_is_lost_is_named(trial: Trial) -> None:
    consumers = trial.report["consumers"]
    (cluster,) = (each for each in consumers if each["name"] == "adxpayments")
    consumers.remove(cluster)

    assert trial.found() == {
        "adxpayments: its verdict is missing",
        "adxpayments: it is on cmk-payments, and the report has lost it",
    }


def test_a_resource_of_which_the_scenario_knows_nothing_is_not_lost_either(trial: Trial) -> None:
    made = trial.azure.estate.cosmos_account(
        "cosmos-forgotten",
        subscription=trial.judge.estate.subscriptions[0],
        key=trial.turn.before.rpartition("/")[0],
    )
    assert trial.found() == {
        f"{name_of(made.id)}: it is on cmk-payments, and the report has lost it"
    }


def test_a_reference_that_the_report_leaves_out_is_named(trial: Trial) -> None:
    consumers = trial.report["consumers"]
    workspaces = [each for each in consumers if each["name"] == "dbw-payments"]
    consumers.remove(workspaces[0])

    assert trial.found() == {"dbw-payments: 2 references of it are in the report"}


def test_a_second_key_of_a_resource_that_is_moved_too_is_named(trial: Trial) -> None:
    vault = trial.azure.estate.vaults.vault(VAULT)
    stays = trial.azure.estate.vaults.newest(VAULT, ARCHIVE)
    vault.rotate(ARCHIVE)

    assert trial.found() == {f"evhns-payments: its reference to {ARCHIVE} uses {stays}"}


def test_a_wrong_verdict_is_named(trial: Trial) -> None:
    trial.report["consumers"][0]["verdict"] = "gone"

    assert trial.found() == {"stcardsweu001: its verdict is gone"}


def test_a_resource_that_the_report_leaves_out_is_named(trial: Trial) -> None:
    left_out = trial.report["consumers"].pop()

    assert trial.found() == {f"{left_out['name']}: its verdict is missing"}


def test_a_resource_that_is_not_on_the_key_is_named(trial: Trial) -> None:
    stranger = trial.judge.estate.others[0]
    trial.report["consumers"].append({"resource": stranger, "verdict": None, "healthy": None})

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


@pytest.mark.parametrize("width", [80, 106, 160])
def test_what_is_shown_fits_and_leaves_nothing_out(trial: Trial, width: int) -> None:
    shown = StringIO()
    console = Console(file=shown, width=width, highlight=False)
    console.print(services_table(trial.reports, NOW, wide=width >= WIDE))
    print_reports(console, trial.reports)
    print_truth(console, trial.judge)

    text = shown.getvalue()
    assert all(len(line) <= width for line in text.splitlines())
    rows = [line.strip() for line in text.splitlines()]
    in_one = " ".join(text.split())
    for each in trial.judge.members:
        said = consumer(trial.turn, each, set())
        if said["verdict"] == "not_applicable":
            assert name_of(each.id) in in_one.partition("not applicable")[2]
            continue
        assert any(row.startswith(each.family.title) and said["verdict"] in row for row in rows)
        if said["verdict"] not in {"verified", "already"}:
            assert f"{name_of(each.id)} ({each.family.title})" in in_one
    assert "… and 1 more lines, in the answer of" in text
    assert "[names no version]" in text
    assert "0 of 19" in text
    assert "0 were changed" in text


def test_the_end_is_drawn_with_nothing_fetched_from_elsewhere(trial: Trial, tmp_path: Path) -> None:
    draw(tmp_path / "demo.svg", trial.judge, trial.reports, ["it went wrong"], NOW)

    text = (tmp_path / "demo.svg").read_text()
    for said in (
        "Machine&#160;Learning&#160;workspaces",
        "Ground&#160;truth",
        "it&#160;went&#160;wrong",
    ):
        assert said in text
    assert set(re.findall(r"https?://[^/\s\"]+", text)) <= {
        "https://www.textualize.io",
        "http://www.w3.org",
    }


def test_the_table_counts_verdicts_by_kind_within_services(trial: Trial) -> None:
    shown = StringIO()
    Console(file=shown, width=120).print(services_table(trial.reports, NOW, wide=True))
    rows = {line[:30].strip(): line[30:] for line in reversed(shown.getvalue().splitlines())}

    assert rows["Storage"].strip() == "14 of 19 proven"
    assert "1 late, 1 stuck, 1 manual" in rows["encryption scopes"]
    assert "reported" in rows["encryption scopes"]
    assert "AI Search services" not in rows


def test_what_is_only_reported_has_its_why_and_its_next_step(trial: Trial) -> None:
    shown = StringIO()
    print_reports(Console(file=shown, width=120, highlight=False), trial.reports)
    _, _, told = shown.getvalue().partition("reported only: ")
    lines = [line.strip() for line in told.splitlines()]

    for each in (m for m in trial.judge.members if m.fate.is_reported_only):
        at = lines.index(f"{name_of(each.id)} ({each.family.title})")
        assert lines[at + 1 : at + 3] == ["why: []", "next: first"]


def test_versions_and_resources_are_named_shortly(trial: Trial) -> None:
    (stuck,) = (each for each in trial.report["consumers"] if each["name"] == "crpartners")
    stuck["reason"] = f"it uses {trial.turn.before}"
    stuck["advice"] = f"look at {stuck['resource']} again"
    shown = StringIO()
    print_reports(Console(file=shown, width=120, highlight=False), trial.reports)

    assert f"seen: it uses cmk-payments/{trial.turn.before[-32:-24]}\n" in shown.getvalue()
    assert "to do: look at …/crpartners again\n" in shown.getvalue()
