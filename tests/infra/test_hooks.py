"""The scripts: they are sound, and ask ``az`` for what they should.

``az`` is a script here that writes down what it is asked and answers from a table.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.azure_files import ROLES

ROOT = Path(__file__).parents[2]
SHELL = sorted(ROOT.glob("infra/**/*.sh"))
POWERSHELL = sorted(ROOT.glob("infra/**/*.ps1"))
SUB = "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590"
GROUP = f"{SUB}/resourceGroups/rg-keys/providers"
VAULT = f"{GROUP}/Microsoft.KeyVault/vaults/kv-one"
OURS = f"{SUB}/resourceGroups/rg-keyturn/providers"
APP = f"{OURS}/Microsoft.Web/sites/func-keyturn"
IDENTITY = f"{OURS}/Microsoft.ManagedIdentity/userAssignedIdentities/id-dead"
STORAGE = f"{OURS}/Microsoft.Storage/storageAccounts/stkeyturn"
FOREIGN = f"{GROUP}/Microsoft.EventGrid/systemTopics/theirs"

AZ = """\
import json, os, pathlib, sys
asked = " ".join(sys.argv[1:])
with open(os.environ["ASKED"], "a") as log:
    print(asked, file=log)
for part, answer in json.loads(pathlib.Path(os.environ["ANSWERS"]).read_text()):
    if part in asked:
        if answer is None:
            sys.exit(3)
        print(answer, end="")
        break
"""


@dataclass
class Cli:
    """A folder with an ``az``."""

    folder: Path
    answers: list[tuple[str, str | None]]

    def run(self, script: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        fake = self.folder / "az"
        fake.write_text(f"#!{sys.executable}\n{AZ}")
        fake.chmod(0o755)
        (self.folder / "sleep").write_text("#!/bin/sh\n")
        (self.folder / "sleep").chmod(0o755)
        (self.folder / "answers").write_text(json.dumps(self.answers))
        return subprocess.run(  # noqa: S603 - our own script
            [str(ROOT / "infra" / script), *arguments],
            env={
                "PATH": f"{self.folder}:{os.environ['PATH']}",
                "ASKED": str(self.folder / "asked"),
                "ANSWERS": str(self.folder / "answers"),
                **env,
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def asked(self, start: str) -> list[str]:
        lines = (self.folder / "asked").read_text().splitlines()
        return [line for line in lines if line.startswith(start)]

    def deployed(self, what: str) -> list[str]:
        """Return what was asked of templates of the events, or of the dead letters' alert."""
        asked = self.asked("deployment group create")
        return [line for line in asked if f" --name keyturn-{what}-" in line]


AFTER = {
    "KEYTURN_VAULT_IDS": VAULT,
    "KEYTURN_APP_ID": APP,
    "KEYTURN_STORAGE_ID": STORAGE,
    "KEYTURN_DEAD_LETTER_IDENTITY_ID": IDENTITY,
}


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path, [("--query location", "westeurope\n")])


# -- postdeploy ------------------------------------------------------------------------------------


def test_a_vault_without_a_topic_gets_one_and_a_subscription(cli: Cli) -> None:
    done = cli.run("hooks/postdeploy.sh", **AFTER)
    assert done.returncode == 0, done.stderr
    (deployed,) = cli.deployed("events")
    for part in (
        f"--subscription {SUB.rpartition('/')[2]} --resource-group rg-keys ",
        f"vaultId={VAULT} location=westeurope topicName=evgt-kv-one makeTopic=true ",
        f"appId={APP} storageId={STORAGE} deadLetterIdentityId={IDENTITY}",
    ):
        assert part in deployed


@pytest.mark.parametrize(
    ("what", "template", "more"),
    [
        ("events", "events/vault.bicep", set()),
        ("dead-letters", "alerts/dead-letters.bicep", {"actionGroupId"}),
        ("queue", "events/queue.bicep", set()),
    ],
)
def test_every_parameter_that_it_gives_is_one_of_the_template(
    cli: Cli, what: str, template: str, more: set[str]
) -> None:
    cli.run("hooks/postdeploy.sh", **AFTER, KEYTURN_EVENTS_QUEUE=str(what == "queue").lower())
    (deployed,) = cli.deployed(what)
    given = set(re.findall(r" (\w+)=", deployed.partition("--parameters")[2]))
    text = (ROOT / "infra" / template).read_text()
    required = set(re.findall(r"^param (\w+) \w+$", text, re.MULTILINE))
    assert given == required | more
    assert more <= set(re.findall(r"^param (\w+) ", text, re.MULTILINE))


@pytest.mark.parametrize("group", ["", f"{OURS}/Microsoft.Insights/actionGroups/ag-keyturn"])
def test_people_hear_of_a_vaults_dead_letters_wherever_its_topic_lies(cli: Cli, group: str) -> None:
    foreign = FOREIGN.replace("rg-keys", "rg-theirs")
    cli.answers = [
        ("system-topic list", f"{VAULT}\t{foreign}\n"),
        ("identity.userAssignedIdentities", json.dumps({IDENTITY: {}})),
        *cli.answers,
    ]
    done = cli.run("hooks/postdeploy.sh", **AFTER, KEYTURN_ALERT_GROUP_ID=group)
    assert done.returncode == 0, done.stderr
    (alert,) = cli.deployed("dead-letters")
    assert f"--subscription {SUB.rpartition('/')[2]} --resource-group rg-keyturn " in alert
    assert f"vaultName=kv-one topicId={foreign} actionGroupId={group}" in alert


def test_a_topic_of_somebody_else_is_left_as_it_is_and_used_where_it_lies(cli: Cli) -> None:
    foreign = FOREIGN.replace("rg-keys", "rg-theirs")
    cli.answers = [
        ("system-topic list", f"{VAULT.upper()}\t{foreign}\n"),
        ("identity.userAssignedIdentities", json.dumps({IDENTITY.upper(): {}})),
        *cli.answers,
    ]
    done = cli.run("hooks/postdeploy.sh", **AFTER)
    assert done.returncode == 0, done.stderr
    (deployed,) = cli.deployed("events")
    assert "--resource-group rg-theirs " in deployed
    assert "topicName=theirs makeTopic=false" in deployed


def test_a_topic_of_somebody_else_without_the_identity_is_told_and_nothing_changed(
    cli: Cli,
) -> None:
    cli.answers = [
        ("system-topic list", f"{VAULT}\t{FOREIGN}\n"),
        ("identity.userAssignedIdentities", "null\n"),
        *cli.answers,
    ]
    done = cli.run("hooks/postdeploy.sh", **AFTER)
    assert done.returncode == 1
    assert f"Add {IDENTITY} to it" in done.stderr
    assert cli.asked("deployment") == []


@pytest.mark.parametrize(("wanted", "times"), [("true", 1), ("false", 0), ("", 0)])
def test_events_go_through_the_queue_only_where_that_is_wanted_and_in_the_topics_group(
    cli: Cli, wanted: str, times: int
) -> None:
    foreign = FOREIGN.replace("rg-keys", "rg-theirs")
    cli.answers = [
        ("system-topic list", f"{VAULT}\t{foreign}\n"),
        ("identity.userAssignedIdentities", json.dumps({IDENTITY: {}})),
        *cli.answers,
    ]
    done = cli.run("hooks/postdeploy.sh", **AFTER, KEYTURN_EVENTS_QUEUE=wanted)
    assert done.returncode == 0, done.stderr
    asked = cli.deployed("queue")
    assert len(asked) == times
    assert len(cli.deployed("events")) == 1 - times, "it is never pointed at both"
    for each in asked:
        assert "--resource-group rg-theirs " in each
        assert "topicName=theirs makeTopic=false " in each
        assert f"storageId={STORAGE} identityId={IDENTITY}" in each


@pytest.mark.parametrize("name", ["evgt-kv-one", "theirs"])
def test_a_vault_that_tells_another_keyturn_is_not_taken_from_it(cli: Cli, name: str) -> None:
    other = f"{APP}-other/functions/key_events"
    topic = FOREIGN.replace("theirs", name)
    cli.answers = [
        ("system-topic list", f"{VAULT}\t{topic}\n"),
        ("/eventSubscriptions?api-version", f"{other}\n"),
        *cli.answers,
    ]
    done = cli.run("hooks/postdeploy.sh", **AFTER)
    assert done.returncode == 1
    assert f"{topic}/eventSubscriptions/keyturn leads to {other}. Delete" in done.stderr
    assert cli.asked("deployment") == []


@pytest.mark.parametrize("leads", ["", f"{APP.upper()}/functions/key_events\n", f"{STORAGE}\n"])
def test_a_subscription_that_leads_here_or_to_our_queue_is_written_again(
    cli: Cli, leads: str
) -> None:
    topic = FOREIGN.replace("theirs", "evgt-kv-one")
    cli.answers = [
        ("system-topic list", f"{VAULT}\t{topic}\n"),
        ("/eventSubscriptions?api-version", leads),
        *cli.answers,
    ]
    assert cli.run("hooks/postdeploy.sh", **AFTER).returncode == 0
    assert len(cli.deployed("events")) == 1


def test_a_topic_of_another_vault_is_not_taken_for_this_ones(cli: Cli) -> None:
    other = VAULT.replace("kv-one", "kv-one-more")
    cli.answers = [("system-topic list", f"{other}\t{FOREIGN}\n"), *cli.answers]
    cli.run("hooks/postdeploy.sh", **AFTER)
    (deployed,) = cli.deployed("events")
    assert "makeTopic=true" in deployed


def test_one_vault_that_fails_keeps_no_other_from_its_events(cli: Cli) -> None:
    second = VAULT.replace("kv-one", "kv-two")
    cli.answers = [
        ("system-topic list", f"{VAULT}\t{FOREIGN}\n"),
        ("identity.userAssignedIdentities", "null\n"),
        *cli.answers,
    ]
    done = cli.run("hooks/postdeploy.sh", **{**AFTER, "KEYTURN_VAULT_IDS": f"{VAULT}, {second}"})
    assert done.returncode == 1
    (deployed,) = cli.deployed("events")
    assert "topicName=evgt-kv-two" in deployed


@pytest.mark.parametrize(("state", "asks"), [("Registered", 0), ("NotRegistered", 1)])
def test_the_provider_is_registered_only_where_it_is_not(cli: Cli, state: str, asks: int) -> None:
    cli.answers = [("registrationState", f"{state}\n"), *cli.answers]
    assert cli.run("hooks/postdeploy.sh", **AFTER).returncode == 0
    assert len(cli.asked("provider register")) == asks


def test_without_the_function_nothing_is_subscribed_and_it_says_where_to_look(cli: Cli) -> None:
    cli.answers = [("functions/key_events", None), *cli.answers]
    done = cli.run("hooks/postdeploy.sh", **AFTER)
    assert done.returncode == 1
    assert "its log lists every problem" in done.stderr
    assert cli.asked("deployment") == []


@pytest.mark.parametrize(
    "step",
    [
        "deployment group create",
        "system-topic list",
        "provider register",
        "query location",
        "/eventSubscriptions?api-version",
    ],
)
def test_a_step_that_fails_fails_the_hook(cli: Cli, step: str) -> None:
    listed = f"{VAULT}\t{FOREIGN.replace('theirs', 'evgt-kv-one')}\n"
    cli.answers = [(step, None), ("system-topic list", listed), *cli.answers]
    done = cli.run("hooks/postdeploy.sh", **AFTER)
    assert done.returncode == 1
    assert "sends its events" not in done.stdout


def test_an_alert_that_cannot_be_made_fails_the_hook_and_keeps_no_vault_from_its_events(
    cli: Cli,
) -> None:
    cli.answers = [("dead-letters.bicep", None), *cli.answers]
    second = VAULT.replace("kv-one", "kv-two")
    done = cli.run("hooks/postdeploy.sh", **{**AFTER, "KEYTURN_VAULT_IDS": f"{VAULT},{second}"})
    assert done.returncode == 1
    assert done.stdout.count("sends its events") == 2


# -- preprovision ----------------------------------------------------------------------------------


@pytest.mark.parametrize("ids", ["", None])
def test_without_a_vault_nothing_is_made(cli: Cli, ids: str | None) -> None:
    done = cli.run("hooks/preprovision.sh", **({} if ids is None else {"KEYTURN_VAULT_IDS": ids}))
    assert done.returncode != 0
    assert "azd env set KEYTURN_VAULT_IDS" in done.stderr


def test_a_vault_that_is_not_there_is_named(cli: Cli) -> None:
    cli.answers = [(VAULT, None)]
    done = cli.run("hooks/preprovision.sh", KEYTURN_VAULT_IDS=VAULT)
    assert done.returncode == 1
    assert VAULT in done.stderr


# -- rights ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ROLES)
def test_a_role_is_granted_under_its_name_where_one_says(cli: Cli, name: str) -> None:
    title = json.loads((ROOT / "infra" / "roles" / f"{name}.json").read_text())["name"]
    cli.answers = [("role definition list", "ROLE\n"), ("account list-locations", "westeurope\n")]
    done = cli.run("roles/grant.sh", name, VAULT, KEYTURN_PRINCIPAL_ID="PRINCIPAL")
    assert done.returncode == 0, done.stderr
    (looked_up,) = cli.asked("role definition list")
    assert f"starts_with(roleName, '{title} (')" in looked_up
    (granted,) = cli.asked("role assignment create")
    assert "--assignee-object-id PRINCIPAL " in granted
    assert f"--role ROLE --scope {VAULT}" in granted


def test_roles_are_made_by_a_deployment_that_bears_its_region_in_its_name(cli: Cli) -> None:
    """One of a subscription keeps its region: another is an InvalidDeploymentLocation."""
    cli.answers = [("role definition list", "ROLE\n"), ("account list-locations", "northeurope\n")]
    cli.run("roles/grant.sh", "reader", SUB, KEYTURN_PRINCIPAL_ID="PRINCIPAL")
    (deployed,) = cli.asked("deployment sub create")
    assert " --name keyturn-grant-northeurope --location northeurope " in deployed


@pytest.mark.parametrize("arguments", [(), ("reader",), ("owner", VAULT)])
def test_what_cannot_be_granted_is_refused_with_how_it_goes(
    cli: Cli, arguments: tuple[str, ...]
) -> None:
    done = cli.run("roles/grant.sh", *arguments, KEYTURN_PRINCIPAL_ID="PRINCIPAL")
    assert done.returncode == 2
    assert "grant.sh key-rotator" in done.stderr
    assert not (cli.folder / "asked").exists()


def test_what_is_granted_is_listed_roles_and_access_policies(cli: Cli) -> None:
    cli.answers = [
        ("account list", "SUB\n"),
        ("role assignment list", f"Keyturn Reader (abc)\t{SUB}\n"),
        ("keyvault list", "kv-one\n"),
        ("keyvault show", "get list getRotationPolicy\n"),
    ]
    done = cli.run("roles/granted.sh", KEYTURN_PRINCIPAL_ID="PRINCIPAL")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"Keyturn Reader (abc)\t{SUB}",
        "access policy: get list getRotationPolicy\tkv-one",
    ]


def test_what_cannot_be_read_is_listed_too(cli: Cli) -> None:
    cli.answers = [("account list", "SUB\n"), ("list", None)]
    done = cli.run("roles/granted.sh", KEYTURN_PRINCIPAL_ID="PRINCIPAL")
    assert done.stdout.splitlines() == [
        "could not be read\t/subscriptions/SUB",
        "could not be read\tthe vaults of /subscriptions/SUB",
    ]


def test_subscriptions_that_cannot_be_listed_are_not_taken_for_none(cli: Cli) -> None:
    cli.answers = [("account list", None)]
    done = cli.run("roles/granted.sh", KEYTURN_PRINCIPAL_ID="PRINCIPAL")
    assert (done.returncode, done.stdout) == (3, "")


@pytest.mark.parametrize("what", ["account list", "role assignment list", "keyvault list"])
def test_the_twin_looks_how_each_list_has_ended(what: str) -> None:
    lines = (ROOT / "infra" / "roles" / "granted.ps1").read_text().splitlines()
    (at,) = [number for number, line in enumerate(lines) if f"az {what} -" in line]
    assert "$LASTEXITCODE -ne 0" in "".join(lines[at : at + 3])


# -- soundness -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SHELL, ids=lambda path: path.name)
def test_shellcheck_finds_nothing(path: Path) -> None:
    shellcheck = shutil.which(
        "shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    )
    if shellcheck is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(  # noqa: S603 - our own script
        [shellcheck, str(path)], capture_output=True, text=True, check=False
    )
    assert done.stdout == ""
    assert done.returncode == 0


@pytest.mark.parametrize("path", POWERSHELL, ids=lambda path: path.name)
def test_powershell_parses(path: Path) -> None:
    tree_sitter = pytest.importorskip("tree_sitter", reason="tree-sitter is not installed")
    grammar = pytest.importorskip(
        "tree_sitter_powershell", reason="tree-sitter-powershell is not installed"
    )
    parser = tree_sitter.Parser(tree_sitter.Language(grammar.language()))
    assert not parser.parse(path.read_bytes()).root_node.has_error


@pytest.mark.parametrize("path", SHELL, ids=lambda path: path.name)
def test_every_script_has_its_twin_and_both_use_the_same_templates_and_variables(
    path: Path,
) -> None:
    shell, twin = path.read_text(), path.with_suffix(".ps1").read_text()
    variables = set(re.findall(r"KEYTURN_[A-Z_]+", shell))
    assert set(re.findall(r"KEYTURN_[A-Z_]+", twin)) == variables
    assert set(re.findall(r"[\w-]+\.bicep", twin)) >= set(re.findall(r"/([\w-]+\.bicep)", shell))


def test_azd_finds_its_hooks_its_template_and_its_app() -> None:
    azure = YAML(typ="safe").load((ROOT / "azure.yaml").read_text())
    for hook in azure["hooks"].values():
        for system, shell in (("posix", "sh"), ("windows", "pwsh")):
            script = ROOT / hook[system]["run"]
            assert hook[system]["shell"] == shell
            assert script.is_file()
            assert system == "windows" or os.access(script, os.X_OK)
    assert (ROOT / azure["infra"]["path"] / "main.bicep").is_file()
    (service,) = azure["services"]
    assert azure["services"][service]["host"] == "function"
    template = (ROOT / "infra" / "app" / "function.bicep").read_text()
    assert f"'azd-service-name': '{service}'" in template


def test_what_the_hooks_read_is_what_the_template_puts_out() -> None:
    template = (ROOT / "infra" / "main.bicep").read_text()
    put_out = set(re.findall(r"^output (\w+)", template, re.MULTILINE))
    parameters = (ROOT / "infra" / "main.parameters.json").read_text()
    set_before = set(re.findall(r"\$\{(\w+)", parameters))
    for path in SHELL:
        read = set(re.findall(r"KEYTURN_[A-Z_]+", path.read_text()))
        assert read <= put_out | set_before, path
