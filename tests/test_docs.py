"""What is written down for operators is what the code reads."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from sandbox.demo import POLICY as DEMO_POLICY
from shared.adapters.policies import parse
from shared.adapters.storage.tables import TABLES
from shared.settings import MOVED, Settings, SettingsError
from tests import generated
from tests.catalog_reference import supported_services
from tests.policy_reference import EXAMPLE

ROOT = Path(__file__).parents[1]
BASE = "AzureWebJobsStorage"
FOR_THE_HOST = {"FUNCTIONS_WORKER_RUNTIME"}
BY_THE_PLATFORM = {"WEBSITE_AUTH_ENABLED"}
"""Set by App Service itself; nobody else has to know of it."""
FOR_THE_SANDBOX = {"KEYTURN_SANDBOX_CLOCK"}


class Noting(Mapping[str, str]):
    """An environment without a setting, that notes which ones were looked for."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def settings_read() -> set[str]:
    """Return the names of the settings that are read; those of storage by their first part."""
    noting = Noting()
    try:
        Settings.from_env(noting)
    except SettingsError:
        return {name.partition("__")[0] for name in noting.names} - set(MOVED) - BY_THE_PLATFORM
    raise AssertionError("an empty environment was accepted")


def settings_documented() -> set[str]:
    table = re.findall(r"^\| `(\w+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    return {name for name in table if name.upper() == name or name == BASE}


def test_the_readme_lists_exactly_the_settings_that_are_read() -> None:
    assert settings_documented() == settings_read()


def test_the_readme_says_what_lies_in_each_table() -> None:
    listed = re.findall(
        r"^\| (`keyturn\w+`[^|]*) \| ", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    assert {name for cell in listed for name in re.findall(r"`(\w+)`", cell)} == {*TABLES.values()}


def test_every_queue_that_is_looked_into_is_counted_among_the_cost() -> None:
    index = json.loads((ROOT / "tests" / "golden" / "index.json").read_text())
    bindings = [binding for function in index for binding in function["bindings"]]
    queues = {each["queueName"] for each in bindings if each["type"] == "queueTrigger"}
    thousands = round(
        len(queues) * 30 * 24 * 60 * 60 / 10 / 1000
    )  # one in ten seconds, for 30 days
    assert f": {thousands:,},000 operations |" in (ROOT / "docs" / "cost.md").read_text()


def test_the_sample_sets_exactly_the_settings_that_an_operator_has() -> None:
    sample = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]
    assert set(sample) - FOR_THE_HOST == settings_read() - FOR_THE_SANDBOX


def test_the_sample_is_accepted_as_it_is() -> None:
    sample = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]
    settings = Settings.from_env(sample)
    readme = (ROOT / "README.md").read_text()
    assert f"`{settings.sweep_schedule}`" in readme
    assert f"`{settings.cloud.name}`" in readme
    assert settings == Settings.from_env(
        {name: sample[name] for name in ("KEYTURN_VAULTS", "AzureWebJobsStorage")}
    )


def test_what_is_made_from_the_code_is_up_to_date() -> None:
    assert generated.stale() == "", "run `make generated`, and look at what changes"


def test_the_policies_that_are_shown_are_good_ones() -> None:
    (shown,) = re.findall(
        r"^```yaml\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    for text in (shown, EXAMPLE, DEMO_POLICY.read_text()):
        policy = parse("an example", text.encode())
        assert policy.manage
        assert policy.rules


def test_the_policys_reference_names_every_setting_once() -> None:
    page = (ROOT / "docs" / "policy.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    properties = json.loads((ROOT / "docs" / "keyturn.schema.json").read_text())["$defs"]
    for name in properties["Settings"]["properties"]:
        assert rows.count(name) == 1, name


@pytest.mark.parametrize(
    ("title", "says"),
    [
        ("AKS cluster", "| with infrastructureEncryption: follows the vault, "),
        ("Databricks workspace", "| managed disks: follows the vault, "),
    ],
)
def test_what_follows_the_vault_in_part_is_said_to_do_so_there_alone(title: str, says: str) -> None:
    (row,) = (line for line in supported_services().splitlines() if line.startswith(f"| [{title}]"))
    assert says in row
    assert row.endswith("; else not promised |")
    assert ("proven by its disk encryption set" in row) != ("left to a person" in row)
