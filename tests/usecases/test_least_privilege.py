"""With exactly the documented role a rotation of every kind is completed; without any one action of
it something is missing, and the report says what.
"""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from azure.identity import ManagedIdentityCredential

from sandbox.azure import LocalAzure
from sandbox.identity import APP_PRINCIPAL
from sandbox.key_vault import SUBSCRIPTION
from sandbox.key_vault.access import Permission
from shared.adapters.key_vault.vaults import AzureVaults
from shared.adapters.policies import read_blob
from shared.adapters.storage.containers import connect_as
from shared.catalog import KINDS, role
from shared.catalog.resource_manager import ASSIGN_IDENTITY, GROUP_READ, JOIN_SUBNET
from shared.catalog.role import ROLE, Right, Where
from shared.domain.errors import AccessDeniedError, KeyturnError
from shared.domain.file_sources import BlobName
from shared.domain.keys import KeyVersion
from shared.domain.records import Request
from shared.domain.rows import Cause, Phase
from shared.domain.steps import Pay, Preflight, Repoint, RotateKey, Verify
from tests.usecases.bench import VAULT, Bench, Forward
from tests.usecases.rotations import announced, head, report_of

NOW = datetime(2027, 3, 1, tzinfo=UTC)
FILES = "stfiles"
CANARY = "keyturn-canary"
_GROUP = "Microsoft.ContainerInstance/containerGroups"
_URL = f"https://{FILES}.blob.core.windows.net"
SETTINGS = {
    "KEYTURN_CONFIG_SOURCES": f"{_URL}/configs,{_URL}/tagged?tag=keyturn=yes",
    "KEYTURN_BLOB_CANARY": CANARY,
}
POLICY = {"recreate_container_groups": True, "failure_limit": 1000}
CONFIG = """\
cmk_vault_base_url: https://{vault}.vault.azure.net
cmk_key_name: {key}
cmk_key_version: {version}
"""
PERMISSIONS: dict[str, tuple[Permission, ...]] = {
    role.KEYS_READ: ("get", "list"),
    role.POLICIES_READ: ("getRotationPolicy",),
    role.KEYS_ROTATE: ("rotate",),
    role.KEYS_UPDATE: ("update",),
}
"""What an access policy grants in the place of each action on a key."""
_CONFIGS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("configs", "plain", {}),
    ("configs", "labelled", {"team": "payments"}),
    ("tagged", "tagged", {"keyturn": "yes"}),
)
_CONTAINERS = (
    (Where.CONFIGS, "configs"),
    (Where.CONFIGS, "tagged"),
    (Where.POLICY, "policy"),
)
_SUBNET = "resourceGroups/rg-net/providers/Microsoft.Network/virtualNetworks/net/subnets/groups"
ON_ARM = (Where.SUBSCRIPTIONS, Where.MOVED, Where.GROUPS)


@dataclass(frozen=True)
class Told:
    """What became of a rotation, as its report says it.

    Attributes:
        state: Of the rotation, or ``not opened``.
        verdicts: By the consumer's name, without what makes it unique.
        said: All of the report, as text; of a key without a rotation, the head's problem.
        events: What was announced.
    """

    state: str
    verdicts: Mapping[str, str | None]
    said: str
    events: Sequence[str]


@dataclass(frozen=True)
class Place:
    """A subscription, a vault and files, and the app that has the documented role there.

    Attributes:
        bench: The app, started anew for each test: it remembers what it was told once.
        rights: All that it has.
        name: Of the key, and part of what consumers are called.
    """

    bench: Bench
    rights: tuple[Right, ...]
    name: str

    @property
    def key(self) -> str:
        return f"https://{VAULT}.vault.azure.net/keys/{self.name}"

    def _at(self, *wheres: Where) -> list[str]:
        return [right.action for right in self.rights if right.where in wheres]

    def give(self) -> None:
        """Give the app its rights, and take all others."""
        azure, estate = self.bench.azure, self.bench.azure.estate
        estate.arm.rbac.revoke(APP_PRINCIPAL, "")
        scope = f"/subscriptions/{self.bench.subscription}"
        estate.arm.rbac.allow(APP_PRINCIPAL, self._at(*ON_ARM), scope)
        estate.arm.rbac.allow(
            APP_PRINCIPAL, self._at(Where.VAULTS), f"/subscriptions/{SUBSCRIPTION}"
        )
        azure.blobs.roles.revoke(APP_PRINCIPAL, "")
        for where, container in _CONTAINERS:
            self._give_container(FILES, container, where)
        vault = estate.vault(VAULT)
        vault.revoke(APP_PRINCIPAL)
        held = {p for action in self._at(Where.KEYS) for p in PERMISSIONS[action]}
        vault.grant(APP_PRINCIPAL, held)
        azure.topics.senders.clear()
        azure.topics.senders.update([APP_PRINCIPAL] if self._at(Where.TOPIC) else [])

    def _give_container(self, account: str, container: str, where: Where) -> None:
        found = self.bench.azure.estate.arm.resources.named(
            "Microsoft.Storage/storageAccounts", account
        )
        scope = f"{found}/blobServices/default/containers/{container}"
        self.bench.azure.blobs.roles.allow(APP_PRINCIPAL, self._at(where), scope)

    def set_out(self, kinds: str) -> None:
        """Make consumers of these kinds that are pinned to the first version, and a newer one."""
        bench, estate = self.bench, self.bench.azure.estate
        bench.key(self.name)
        first = estate.vaults.newest(VAULT, self.name)
        identity = estate.user_assigned_identity(bench.subscription, "rg-ids", f"id-{self.name}")
        subscription, key = bench.subscription, self.key
        if "account" in kinds:
            account = estate.storage_account(
                f"st{self.name}", user_assigned=identity, subscription=subscription, key=key
            )
            with bench.azure.blobs.client(account) as client:
                client.create_container(CANARY)
            self._give_container(f"st{self.name}", CANARY, Where.CANARY)
        if "scope" in kinds:
            plain = estate.storage_account(
                f"sp{self.name}", subscription=bench.subscription, key=None
            )
            estate.encryption_scope(plain, "scope", key=self.key)
        if "cosmos" in kinds:
            estate.cosmos_account(f"cosmos{self.name}", subscription=subscription, key=key)
            self._name_version(f"cosmos{self.name}", first)
        if "group" in kinds:
            group = estate.container_group(
                f"aci{self.name}",
                user_assigned=identity,
                subnet=f"/subscriptions/{bench.subscription}/{_SUBNET}",
                subscription=subscription,
                key=key,
            )
            group.pace.creation = timedelta(0)  # the bench's clock runs ahead of the sandbox's
        if "files" in kinds:
            self._set_out_files(first.rpartition("/")[2])
        bench.new_version(self.key)

    def _set_out_files(self, version: str) -> None:
        content = CONFIG.format(vault=VAULT, key=self.name, version=version).encode()
        for container, file, tags in _CONFIGS:
            path = f"{file}{self.name}.yaml"
            self.bench.azure.blobs.put(FILES, container, path, content)
            with self.bench.azure.blobs.client(FILES) as client:
                client.get_blob_client(container, path).set_blob_tags(tags)

    def _name_version(self, account: str, version: str) -> None:
        """Have a Cosmos account's URI name a version, as somebody once wrote it."""
        resources = self.bench.azure.estate.arm.resources
        found = resources.named("Microsoft.DocumentDB/databaseAccounts", account)
        assert found is not None
        resource = resources.get(found)
        resource.body["properties"]["keyVaultKeyUri"] = version
        resources.notify(resource)

    def rotate(self) -> Told:
        """Have the app bring everything to the newest version, as far as it can."""
        bench = self.bench
        rotation = bench.open(self.key)
        if not rotation:
            return Told("not opened", {}, head(bench, self.key).problem, ())
        bench.run(Preflight(rotation=rotation))
        bench.discover(rotation)
        for _ in range(4):  # a look may do no more than choose a canary
            self._settle(rotation)
            bench.pass_time(minutes=2)
            row = bench.supervise(rotation)
            if row.outcome:
                break
            if row.phase is Phase.CLOSING:
                bench.search(rotation, closing=True)
        report = report_of(bench, rotation)
        found = {c["name"].replace(self.name, ""): c["verdict"] for c in report["consumers"]}
        return Told(report["state"], found, json.dumps(report), announced(bench, rotation))

    def _settle(self, rotation: str) -> None:
        """Run what is queued; a debt that cannot be paid is tried for ever, and here four times."""
        pays = 0
        for _ in range(30):
            steps = [s for s in self.bench.life.sent if isinstance(s[0], Repoint | Verify | Pay)]
            self.bench.forget_sent()
            for step, at in sorted(steps, key=lambda sent: sent[1] or self.bench.clock.now()):
                self.bench.pass_until(at)
                self.bench.run(step)
            self.bench.supervise(rotation)
            queued = [step for step, _ in self.bench.life.sent]
            if not any(isinstance(step, Repoint | Verify | Pay) for step in queued):
                return
            pays += sum(isinstance(step, Pay) for step in queued)
            if pays > 4:
                return


EVERYTHING = "account scope cosmos group files"
_names = (f"n{number}" for number in itertools.count())
_clocks: list[Forward] = []
"""Of the benches so far: the next one goes on from there, since requests are planned ahead."""


@pytest.fixture(scope="module", name="azure")
def _azure(local_azure: Callable[[float], LocalAzure]) -> Iterator[LocalAzure]:
    with local_azure(1) as azure, pytest.MonkeyPatch.context() as patch:
        for name, value in azure.environment().items():
            patch.setenv(name, value)
        subscription = azure.estate.subscription("Bench")
        azure.estate.storage_account(FILES, subscription=subscription, key=None)
        azure.blobs.put(FILES, "policy", "keyturn.yaml", b"{}")
        for container in dict.fromkeys(container for container, _, _ in _CONFIGS):
            azure.blobs.put(FILES, container, "readme.txt", b"no config")
        # The bench's clock runs ahead of the sandbox's, in which a Cosmos write takes its time.
        azure.estate.cosmos.fields.works_for = timedelta(0)
        yield azure


def place(azure: LocalAzure, *without: tuple[str, Where], kinds: str = EVERYTHING) -> Place:
    """Return a place in which the app has exactly the role, but for some of its rights."""
    rights = tuple(right for right in ROLE if (right.action, right.where) not in without)
    assert len(rights) == len(ROLE) - len(without)
    for container, _, _ in _CONFIGS:  # each test looks at files of its own
        with azure.blobs.client(FILES) as client, client.get_container_client(container) as held:
            for name in held.list_blob_names():
                held.delete_blob(name)
    bench = Bench(azure, SETTINGS, POLICY)
    bench.clock.ahead = _clocks[-1].ahead if _clocks else timedelta()
    _clocks.append(bench.clock)
    made = Place(bench, rights, next(_names))
    made.give()
    made.set_out(kinds)
    return made


def test_with_exactly_the_role_every_kind_is_moved_and_proven(azure: LocalAzure) -> None:
    told = place(azure).rotate()

    assert told.state == "completed"
    assert dict.fromkeys(told.verdicts, "verified") == told.verdicts
    assert len(told.verdicts) == 7
    assert told.events == ["RotationStarted", "RotationCompleted"]
    assert "not looked at: the vault" not in told.said


_READS = {
    "account": "Microsoft.Storage/storageAccounts/read",
    "scope": "Microsoft.Storage/storageAccounts/encryptionScopes/read",
    "cosmos": "Microsoft.DocumentDB/databaseAccounts/read",
    "group": "Microsoft.ContainerInstance/containerGroups/read",
    "account ": role.PERMISSIONS_READ,
    "account  ": role.SUBSCRIPTIONS_READ,
}


@pytest.mark.parametrize(("kinds", "action"), _READS.items(), ids=list(_READS.values()))
def test_without_the_right_to_read_all_the_rotation_fails_and_names_the_right(
    azure: LocalAzure, kinds: str, action: str
) -> None:
    everywhere = [(right.action, right.where) for right in ROLE if right.action == action]
    told = place(azure, *everywhere, kinds=kinds).rotate()

    assert told.state == "failed"
    assert action in json.loads(told.said)["summary"]


_WRITES = {
    GROUP_READ: ("account", "st", "unknown", Where.SUBSCRIPTIONS),
    "Microsoft.Storage/storageAccounts/write": ("account", "st", "failed", Where.MOVED),
    "Microsoft.Storage/storageAccounts/encryptionScopes/write": (
        "scope",
        "sp/scope",
        "failed",
        Where.MOVED,
    ),
    "Microsoft.DocumentDB/databaseAccounts/write": ("cosmos", "cosmos", "failed", Where.MOVED),
}


@pytest.mark.parametrize("action", _WRITES)
def test_without_the_right_to_move_a_kind_it_stays_and_the_report_names_the_right(
    azure: LocalAzure, action: str
) -> None:
    kinds, name, verdict, where = _WRITES[action]

    told = place(azure, (action, where), kinds=kinds).rotate()

    assert told.state in {"paused", "failed"}
    assert told.verdicts == {name: verdict}
    assert f"'{action}'" in told.said


_ASSIGN = ((ASSIGN_IDENTITY, Where.MOVED), (ASSIGN_IDENTITY, Where.GROUPS))


def test_without_the_right_to_assign_an_identity_an_account_that_uses_one_stays(
    azure: LocalAzure,
) -> None:
    told = place(azure, *_ASSIGN, kinds="account").rotate()

    assert told.verdicts == {"st": "failed"}
    assert f"'{ASSIGN_IDENTITY}'" in told.said


_REMADE = {
    ASSIGN_IDENTITY: _ASSIGN,
    JOIN_SUBNET: ((JOIN_SUBNET, Where.GROUPS),),
    f"{_GROUP}/write": ((f"{_GROUP}/write", Where.GROUPS),),
    f"{_GROUP}/delete": ((f"{_GROUP}/delete", Where.GROUPS),),
}


@pytest.mark.parametrize("action", _REMADE)
def test_without_a_right_to_make_a_group_again_it_is_not_deleted_and_the_report_names_the_right(
    azure: LocalAzure, action: str
) -> None:
    here, estate = place(azure, *_REMADE[action], kinds="group"), azure.estate
    group = str(estate.arm.resources.named(_GROUP, f"aci{here.name}"))
    used = estate.truth.version_in_use(group)

    told = here.rotate()

    (consumer,) = json.loads(told.said)["consumers"]
    assert (told.state, consumer["verdict"], consumer["owed"]) == ("failed", "manual", None)
    assert "it was not deleted" in consumer["reason"]
    assert f"'{action}' on " in consumer["reason"]
    assert "grant that there" in consumer["advice"]
    assert (estate.truth.deletions(group), estate.truth.writes(group)) == (0, 0)
    assert estate.truth.version_in_use(group) == used


# -- the vault -----------------------------------------------------------------------------------


def test_without_the_right_to_read_the_vault_the_preflight_says_so(azure: LocalAzure) -> None:
    told = place(azure, (role.VAULTS_READ, Where.VAULTS), kinds="account").rotate()

    assert told.state == "completed"
    assert role.VAULTS_READ in told.said


def test_without_the_right_to_read_rotation_policies_the_preflight_says_so(
    azure: LocalAzure,
) -> None:
    told = place(azure, (role.POLICIES_READ, Where.KEYS), kinds="account").rotate()

    assert told.state == "completed"
    assert f"'{role.POLICIES_READ}'" in told.said


def test_without_the_right_to_read_keys_no_rotation_is_opened_and_the_head_says_why(
    azure: LocalAzure,
) -> None:
    told = place(azure, (role.KEYS_READ, Where.KEYS), kinds="account").rotate()

    assert told.state == "not opened"
    assert f"'{role.KEYS_READ}'" in told.said


def test_without_the_right_to_rotate_a_wish_for_a_version_says_so(azure: LocalAzure) -> None:
    here = place(azure, (role.KEYS_ROTATE, Where.KEYS), kinds="")
    request = Request(
        id=f"req-{here.name}", key=here.key, reason="r", new_version=True, asked_at=NOW
    )
    here.bench.rows.insert(request)

    cause = Cause(trigger="operator", id=request.id)
    here.bench.run(RotateKey(key=here.key, cause=cause, request=request.id))

    assert here.bench.versions(here.key) == 2
    assert f"'{role.KEYS_ROTATE}'" in here.bench.row(Request, request.id, "request").problem


@pytest.mark.parametrize("lacks", [True, False], ids=["without", "with"])
def test_the_right_to_update_keys_is_what_putting_an_expiry_off_takes(
    azure: LocalAzure, *, lacks: bool
) -> None:
    without = [(role.KEYS_UPDATE, Where.KEYS)] if lacks else []
    here = place(azure, *without, kinds="")
    version = KeyVersion.parse(azure.estate.vaults.newest(VAULT, here.name))
    with ManagedIdentityCredential() as credential:
        vaults = AzureVaults(frozenset({version.key.vault}), credential)
        if lacks:
            with pytest.raises(AccessDeniedError, match=role.KEYS_UPDATE):
                vaults.expire_at(version, NOW)
        else:
            assert vaults.expire_at(version, NOW).expires == NOW


@pytest.mark.parametrize(
    ("permission", "state"),
    [("get", "not opened"), ("list", "not opened"), ("getRotationPolicy", "completed")],
)
def test_with_access_policies_each_permission_is_needed_by_its_own_name(
    azure: LocalAzure, permission: Permission, state: str
) -> None:
    here, vault = place(azure, kinds="account"), azure.estate.vault(VAULT)
    needed: set[Permission] = {"get", "list", "getRotationPolicy"}
    vault.rbac = False
    try:
        vault.revoke(APP_PRINCIPAL)
        vault.grant(APP_PRINCIPAL, needed - {permission})
        told = here.rotate()
    finally:
        vault.rbac = True

    assert told.state == state
    assert f"keys {permission} permission" in told.said


# -- blobs ---------------------------------------------------------------------------------------

_FILES = {
    role.BLOBS_READ: ({"configs": "unknown"}, "list"),
    role.BLOBS_WRITE: ({"labelled.yaml": "failed"}, "rewrite"),
    role.TAGS_READ: ({"labelled.yaml": "failed"}, "read the index tags of"),
    role.TAGS_WRITE: ({"labelled.yaml": "failed"}, "rewrite"),
    role.BLOBS_FIND: ({"tagged": "unknown"}, "list"),
}


@pytest.mark.parametrize("action", _FILES)
def test_without_a_right_to_the_files_they_stay_and_the_report_says_what_it_takes(
    azure: LocalAzure, action: str
) -> None:
    """The blob service names no action: what was tried is said, and which role has the right."""
    lost, tried = _FILES[action]

    told = place(azure, (action, Where.CONFIGS), kinds="files").rotate()

    assert told.state in {"paused", "failed"}
    assert lost.items() <= told.verdicts.items()
    assert f"could not {tried} https://{FILES}" in told.said
    assert "data actions it lacks, such as Storage Blob Data" in told.said


@pytest.mark.parametrize("action", [role.BLOBS_READ, role.BLOBS_WRITE, role.BLOBS_DELETE])
def test_without_a_right_to_the_canary_the_report_says_that_it_cannot_tell(
    azure: LocalAzure, action: str
) -> None:
    told = place(azure, (action, Where.CANARY), kinds="account").rotate()

    (account,) = json.loads(told.said)["consumers"]
    assert (told.state, account["verdict"], account["healthy"]) == ("completed", "verified", None)
    assert "data actions it lacks" in account["health"]


def test_without_the_right_to_read_it_the_policy_cannot_be_had(azure: LocalAzure) -> None:
    blob = BlobName.parse(f"https://{FILES}.blob.core.windows.net/policy/keyturn.yaml")
    with ManagedIdentityCredential() as credential:
        read = read_blob(blob, connect_as(credential))
        place(azure, kinds="")
        assert read() == b"{}"
        place(azure, (role.BLOBS_READ, Where.POLICY), kinds="")
        with pytest.raises(KeyturnError, match="AuthorizationPermissionMismatch"):
            read()


# -- announcements -------------------------------------------------------------------------------


def test_without_the_right_to_send_nothing_is_announced_and_the_log_says_so(
    azure: LocalAzure, caplog: pytest.LogCaptureFixture
) -> None:
    told = place(azure, (role.EVENTS_SEND, Where.TOPIC), kinds="account").rotate()

    assert (told.state, told.events) == ("completed", [])
    assert "not announced" in caplog.text
    assert role.EVENTS_SEND in caplog.text


SHOWN_HERE = {
    "storage_account",
    "storage_encryption_scope",
    "cosmosdb_account",
    "container_group",
    "deployment_config",
}
OF_OTHER_KINDS = {
    action
    for kind in KINDS
    if kind.id not in SHOWN_HERE
    for action in (*kind.search_actions, *kind.actions)
    if action not in {GROUP_READ, ASSIGN_IDENTITY, *_READS.values()}
}
"""Taken away kind by kind in ``test_every_service``."""


def test_every_action_of_the_role_is_taken_away_by_a_test_of_its_own() -> None:
    taken = {
        *_READS.values(),
        *_WRITES,
        *_REMADE,
        *PERMISSIONS,
        *_FILES,
        role.VAULTS_READ,
        role.BLOBS_DELETE,
        role.EVENTS_SEND,
    }

    assert taken == {right.action for right in ROLE} - OF_OTHER_KINDS
