"""What lies beside consumers is told of before anything is deployed, as a rotation tells of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from sandbox.azure import LocalAzure
from tests.cli.desk import KEYS, ME, READER, Desk

VAULT = "kv-beside"
KEY = f"{VAULT}/cmk"
READING = pytest.mark.parametrize(
    "args", [("inventory", "--key", KEY), ("verify", KEY), ("plan", KEY)], ids=lambda a: a[0]
)
SAID = {"inventory": "reason", "verify": "seen", "plan": "reason"}


@dataclass(frozen=True, slots=True)
class Around:
    """An estate in which no consumer needs anything, and much lies beside it."""

    desk: Desk
    asking: str
    cluster: str
    ephemeral: str
    disks: str


@pytest.fixture(scope="module")
def around(
    local_azure: Any,  # noqa: ANN401 - the session's
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Around]:
    azure: LocalAzure
    with local_azure(1) as azure:
        yield made(azure, Desk(azure, tmp_path_factory.mktemp("desk")))


def made(azure: LocalAzure, desk: Desk) -> Around:
    estate = azure.estate
    subscription = estate.subscription("Payments")
    estate.arm.rbac.allow(ME, READER, f"/subscriptions/{subscription}")
    vault = estate.vault(VAULT, subscription=subscription)
    vault.grant(ME, KEYS)
    key = vault.create_key("cmk")

    def make(kind: str, name: str, **properties: object) -> str:
        return estate.resource(kind, name, subscription=subscription, properties=properties).id

    disks = estate.resource(
        "Microsoft.Compute/diskEncryptionSets", "des", subscription=subscription, key=key
    ).id
    kubernetes = "Microsoft.ContainerService/managedClusters"
    pools = [{"name": "user", "osDiskType": "Ephemeral"}]
    make("Microsoft.Search/searchServices", "plain")
    return Around(
        desk=desk,
        disks=disks,
        cluster=make(kubernetes, "aks", diskEncryptionSetID=disks, agentPoolProfiles=[]),
        ephemeral=make(kubernetes, "aks-e", diskEncryptionSetID=disks, agentPoolProfiles=pools),
        asking=make(
            "Microsoft.Search/searchServices",
            "asking",
            encryptionWithCmk={"enforcement": "Enabled"},
        ),
    )


@READING
def test_what_names_its_keys_where_no_inventory_shows_it_is_a_line(
    around: Around, args: tuple[str, ...]
) -> None:
    rows = {row["resource"]: row for row in around.desk.run(*args, "-o", "json").json()}
    line = rows["AI Search services"]
    assert "(2 services, 1 that ask for customer-managed keys)" in str(line[SAID[args[0]]])
    assert around.asking in str(line["advice"])
    assert (line.get("state"), line.get("proven"), line.get("action")) in {
        ("not_applicable", None, None),
        (None, None, "not_applicable"),
        (None, None, None),
    }


@READING
def test_what_depends_on_a_key_through_a_consumer_is_a_line(
    around: Around, args: tuple[str, ...]
) -> None:
    rows = {row["resource"]: row for row in around.desk.run(*args, "-o", "json").json()}
    said = str(rows[around.cluster][SAID[args[0]]])
    assert said == f"its disks are encrypted through {around.disks}"
    keeps = rows[around.ephemeral]
    assert "osDiskType is Ephemeral" in str(keeps[SAID[args[0]]])
    assert "upgrade the pool's node image" in str(keeps["advice"])
    needed = (keeps.get("state"), keeps.get("proven"), keeps.get("action"))
    assert needed in {("unknown", None, None), (None, False, None), (None, None, "manual")}


def test_what_lies_beside_consumers_is_counted_apart(around: Around) -> None:
    inventory = around.desk.run("inventory")
    assert "2 consumers in 1 readable subscription: 1 current, 1 unknown; " in (inventory.err)
    assert "beside them 2 not applicable" in inventory.err
    assert "AI Search services" in inventory.out
    verified = around.desk.run("verify", KEY)
    assert "1 proven, 1 not; beside them 2 not applicable" in verified.err
    assert "not applicable" in verified.out


def test_what_a_disabled_version_breaks_beside_consumers_cannot_be_told(around: Around) -> None:
    ran = around.desk.run("inventory", "--if-disabled", "0" * 32, "-o", "json")
    told = {str(row["name"]): row["ifDisabled"] for row in ran.json()}
    assert told["AI Search services"] == told["aks"] == told["aks-e"] == "unknown"


def test_a_key_that_nothing_uses_is_not_in_use_for_what_lies_beside(around: Around) -> None:
    around.desk.azure.estate.vault(VAULT).create_key("cmk-unused")
    ran = around.desk.run("inventory", "--key", f"{VAULT}/cmk-unused", "-o", "json")
    assert [row["name"] for row in ran.json()] == ["AI Search services"]
    assert "No consumer found in 1 readable subscription; beside them 1 not applicable." in ran.err
    assert ran.code == 0


def test_what_lies_beside_is_no_consumer_that_a_policy_misses(around: Around) -> None:
    begun = around.desk.run("policy", "init")
    assert f'"{KEY}"  # 1 consumer\n' in begun.out
    assert "could not be read" not in begun.out + begun.err
    assert "beside them 2 not applicable" in begun.err
    assert begun.code == 0
