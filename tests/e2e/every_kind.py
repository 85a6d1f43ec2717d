"""A resource of every kind on one key, as the end-to-end tests use them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sandbox.arm.resource_ids import ResourceId
from sandbox.container_estate import ContainerGroup
from sandbox.estate import Account
from sandbox.front_door import Call
from sandbox.identity import APP_PRINCIPAL
from sandbox.key_vault import SUBSCRIPTION
from tests.e2e.stage import VAULT, Report, Stage
from tests.rights import TO_READ

FILES = "stdeployments"
"""The account, on platform keys, whose container ``configs`` holds the deployment configs."""
CANARY = "keyturn-canary"

SETTINGS = {
    "KEYTURN_CONFIG_SOURCES": f"https://{FILES}.blob.core.windows.net/configs",
    "KEYTURN_BLOB_CANARY": CANARY,
}
POLICY = {"recreateContainerGroups": True, "versionless": "nudge"}
"""All that the app does to resources, it may."""

_YAML = """\
# What the weekly pipeline deploys.
computeType: ACI
containerResourceRequirements: {{cpu: 0.5,   memoryInGB: 1.0}}
cmk_vault_base_url: https://{vault}.vault.azure.net/   # not the one of the archive
cmk_key_name: '{key}'
cmk_key_version: {version}

location:    westeurope
"""
_JSON = """\
{{"name": "web",   "apiVersion": "2025-09-01",
  "properties": {{"osType": "Linux", "containers": [],
    "encryptionProperties": {{
      "vaultBaseUrl": "https://{vault}.vault.azure.net", "keyName": "{key}",
      "keyVersion":  "{version}"  }} }} }}
"""


@dataclass(frozen=True, slots=True)
class Consumers:
    """What uses a key.

    Attributes:
        key: Its URL.
        first: URL of the version that all of them are on.
        resources: Those of ARM, by the name that a report has for them.
        files: Deployment configs, by the path of their blob, as they were at first.
    """

    key: str
    first: str
    resources: Mapping[str, Account | ContainerGroup]
    files: Mapping[str, bytes]


def prepare(stage: Stage) -> None:
    """Give the app all the rights that it can use, and its files."""
    rights = (*TO_READ, "Microsoft.KeyVault/vaults/read")
    stage.azure.estate.arm.rbac.allow(APP_PRINCIPAL, rights, f"/subscriptions/{SUBSCRIPTION}")
    stage.vault.grant(APP_PRINCIPAL, {"get", "list", "rotate", "getRotationPolicy"})
    files = stage.account(FILES, None)
    with stage.azure.blobs.client(files) as client:
        client.create_container("configs")
    stage.azure.blobs.allow(files, {"read", "write"}, container="configs")


def consumers(stage: Stage, name: str) -> Consumers:
    """Make a key, and one resource of every kind that names its first version, or follows it.

    Args:
        stage: Where, once it is prepared.
        name: What the names of all of them begin with: letters and digits.
    """
    key, estate = stage.key(), stage.azure.estate
    account = stage.account(f"st{name}", key)
    first = stage.in_use(account)
    assert first is not None
    files = {f"{name}/deploy.yaml": _YAML, f"{name}/group.json": _JSON}
    return Consumers(
        key,
        first,
        {
            f"st{name}": account,
            f"st{name}/scope": estate.encryption_scope(account, "scope", key=key),
            f"cosmos-{name}": estate.cosmos_account(
                f"cosmos-{name}", subscription=stage.subscription, key=key
            ),
            f"aci-{name}": container_group(stage, f"aci-{name}", key),
        },
        {path: _keep(stage, path, text, first) for path, text in files.items()},
    )


def container_group(stage: Stage, name: str, key: str) -> ContainerGroup:
    """Make a container group that the app can make again."""
    return stage.azure.estate.container_group(
        name,
        subscription=stage.subscription,
        key=key,
        user_assigned=stage.azure.estate.user_assigned_identity(
            stage.subscription, "rg-identities", f"id-{name}"
        ),
    )


def deployment_config(stage: Stage, path: str, kid: str) -> bytes:
    """Keep a deployment config in YAML that names a version; return its content."""
    return _keep(stage, path, _YAML, kid)


def _keep(stage: Stage, path: str, text: str, kid: str) -> bytes:
    *_, key, version = kid.split("/")
    content = text.format(vault=VAULT, key=key, version=version).encode()
    stage.azure.blobs.put(FILES, "configs", path, content)
    return content


def content(stage: Stage, path: str) -> bytes:
    """Return what a deployment config holds now."""
    return stage.azure.blobs.get(FILES, "configs", path)


def calls(stage: Stage, method: str, name: str, of: Consumers) -> list[Call]:
    """Return the app's requests of a method to exactly one resource, or one file's content."""
    path = of.resources[name].id if name in of.resources else f"/configs/{name}"
    found = [call for call in stage.calls(method) if call.path.lower() == path.lower()]
    return [call for call in found if "comp=" not in call.query]


def follow_once_looked_at(stage: Stage, account: Account | ContainerGroup) -> None:
    """Have a resource follow the vault after the app's first look: it would be there already."""
    pace, clock = account.pace, stage.azure.clock
    pace.next_poll_at = clock.now() + timedelta(hours=20)

    def poll_soon(_: str) -> None:
        pace.next_poll_at = clock.now() + timedelta(minutes=1)

    stage.azure.faults.on("GET", account.id, poll_soon, when="after")


@dataclass(frozen=True, slots=True)
class Rotated:
    """What became of one event: a key with a resource of every kind, and more.

    Attributes:
        moved: On the key. Besides one of every kind there are a scope of an account that is on
            platform keys (``stplatform/scope``), an account that works on a write for minutes
            (``stbusy``), a Cosmos account whose URI names a version (``cosmos-named``), and an
            account that names none and is nudged (``stfollows``).
        other: On another key.
    """

    stage: Stage
    moved: Consumers
    other: Consumers
    target: str
    report: Report


def rotate_every_kind(stage: Stage) -> Rotated:
    """Make the estate, start the app, have the vault say that there is a version, and wait."""
    prepare(stage)
    moved, other, estate = consumers(stage, "moved"), consumers(stage, "other"), stage.azure.estate
    platform, busy = stage.account("stplatform", None), stage.account("stbusy", moved.key)
    busy.pace.long_running(timedelta(minutes=1))
    follows = stage.account("stfollows", moved.key, "empty")
    follows.pace.next_poll_at = stage.azure.clock.now() + timedelta(hours=20)
    named = estate.cosmos_account("cosmos-named", subscription=stage.subscription, key=moved.key)
    name_version(stage, named, moved.first)
    follow_once_looked_at(stage, moved.resources["cosmos-moved"])
    more = {
        "stplatform/scope": estate.encryption_scope(platform, "scope", key=moved.key),
        "stbusy": busy,
        "stfollows": follows,
        "cosmos-named": named,
    }
    moved = Consumers(moved.key, moved.first, {**moved.resources, **more}, moved.files)
    account = moved.resources["stmoved"]
    assert isinstance(account, Account)
    with stage.azure.blobs.client(account) as client:
        client.create_container(CANARY)
    stage.azure.blobs.allow(account, {"read", "write", "delete"}, container=CANARY)

    stage.start(SETTINGS, policy=POLICY)
    target = stage.rotate(moved.key)
    return Rotated(stage, moved, other, target, stage.ended(target, within=120))


def name_version(stage: Stage, cosmos: Account, kid: str) -> None:
    """Have a Cosmos account's URI name a version, as somebody once wrote it, and be done."""
    estate, resource_id = stage.azure.estate, ResourceId.parse(cosmos.id)
    with estate.arm.resources.lock:
        resource = estate.arm.resources.get(resource_id)
        estate.cosmos.patch(resource, {"properties": {"keyVaultKeyUri": kid}})
    stage.until(
        lambda: (
            resource.body["properties"]["provisioningState"] == "Succeeded"
            or (estate.truth.version_in_use(cosmos.id) and None)
        ),
        20,
        "the end of the write",
    )
    estate.truth.start_counting(resource_id)
