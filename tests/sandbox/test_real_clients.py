"""Microsoft's own clients read and change the emulated kinds.

A client that is not installed is skipped; each is a package of its own.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from azure.identity import ManagedIdentityCredential

from sandbox.arm import emulated_kinds as kinds
from sandbox.arm import further_kinds as further
from sandbox.arm import json_paths
from sandbox.arm.emulated import Emulated
from sandbox.testing import Rig, rig


@dataclass(frozen=True)
class Client:
    """A client of one kind.

    Attributes:
        package, name: Where its class is.
        get, update: Operations: the group's name and the method's. Without ``update`` the client
            is of a version that changes no key.
        arguments: What names the resource, after its group.
    """

    kind: Emulated
    package: str
    name: str
    get: tuple[str, str]
    update: tuple[str, str] | None
    arguments: tuple[str, ...] = ("one",)

    def __str__(self) -> str:
        return self.package


CLIENTS = (
    Client(
        kinds.REGISTRIES,
        "azure.mgmt.containerregistry",
        "ContainerRegistryManagementClient",
        ("registries", "get"),
        ("registries", "begin_update"),
    ),
    Client(
        kinds.DISK_ENCRYPTION_SETS,
        "azure.mgmt.compute",
        "ComputeManagementClient",
        ("disk_encryption_sets", "get"),
        ("disk_encryption_sets", "begin_update"),
    ),
    Client(
        kinds.WORKSPACES,
        "azure.mgmt.machinelearningservices",
        "MachineLearningServicesMgmtClient",
        ("workspaces", "get"),
        None,
    ),
    Client(
        kinds.LOG_ANALYTICS_CLUSTERS,
        "azure.mgmt.loganalytics",
        "LogAnalyticsManagementClient",
        ("clusters", "get"),
        ("clusters", "begin_create_or_update"),
    ),
    Client(
        kinds.COGNITIVE_ACCOUNTS,
        "azure.mgmt.cognitiveservices",
        "CognitiveServicesManagementClient",
        ("accounts", "get"),
        ("accounts", "begin_update"),
    ),
    Client(
        kinds.KUSTO_CLUSTERS,
        "azure.mgmt.kusto",
        "KustoManagementClient",
        ("clusters", "get"),
        ("clusters", "begin_update"),
    ),
    Client(
        kinds.CONFIGURATION_STORES,
        "azure.mgmt.appconfiguration",
        "AppConfigurationManagementClient",
        ("configuration_stores", "get"),
        ("configuration_stores", "begin_update"),
    ),
    Client(
        kinds.AUTOMATION_ACCOUNTS,
        "azure.mgmt.automation",
        "AutomationClient",
        ("automation_account", "get"),
        ("automation_account", "update"),
    ),
    Client(
        kinds.BATCH_ACCOUNTS,
        "azure.mgmt.batch",
        "BatchManagementClient",
        ("batch_account", "get"),
        ("batch_account", "update"),
    ),
    Client(
        kinds.REDIS_ENTERPRISE,
        "azure.mgmt.redisenterprise",
        "RedisEnterpriseManagementClient",
        ("redis_enterprise", "get"),
        ("redis_enterprise", "begin_update"),
    ),
    Client(
        kinds.VOLUME_GROUPS,
        "azure.mgmt.elasticsan",
        "ElasticSanMgmtClient",
        ("volume_groups", "get"),
        ("volume_groups", "begin_update"),
        ("san1", "group1"),
    ),
    Client(
        kinds.RECOVERY_VAULTS,
        "azure.mgmt.recoveryservices",
        "RecoveryServicesClient",
        ("vaults", "get"),
        ("vaults", "begin_update"),
    ),
    Client(
        kinds.BACKUP_VAULTS,
        "azure.mgmt.dataprotection",
        "DataProtectionMgmtClient",
        ("backup_vaults", "get"),
        ("backup_vaults", "begin_create_or_update"),
    ),
    Client(
        kinds.MANAGED_CLUSTERS,
        "azure.mgmt.containerservice",
        "ContainerServiceClient",
        ("managed_clusters", "get"),
        ("managed_clusters", "begin_create_or_update"),
    ),
    Client(
        further.EVENT_HUBS,
        "azure.mgmt.eventhub",
        "EventHubManagementClient",
        ("namespaces", "get"),
        ("namespaces", "begin_create_or_update"),
    ),
    Client(
        further.SERVICE_BUS,
        "azure.mgmt.servicebus",
        "ServiceBusManagementClient",
        ("namespaces", "get"),
        ("namespaces", "begin_create_or_update"),
    ),
    Client(
        further.DATABRICKS,
        "azure.mgmt.databricks",
        "AzureDatabricksManagementClient",
        ("workspaces", "get"),
        ("workspaces", "begin_create_or_update"),
    ),
    Client(
        further.PROTECTORS[0],
        "azure.mgmt.sql",
        "SqlManagementClient",
        ("encryption_protectors", "get"),
        None,  # it names a server key, see test_further_kinds
        ("one", "current"),
    ),
    Client(
        further.POSTGRESQL,
        "azure.mgmt.postgresqlflexibleservers",
        "PostgreSQLManagementClient",
        ("servers", "get"),
        ("servers", "begin_update"),
    ),
    Client(
        further.MYSQL,
        "azure.mgmt.mysqlflexibleservers",
        "MySQLManagementClient",
        ("servers", "get"),
        ("servers", "begin_update"),
    ),
    Client(
        further.FACTORIES,
        "azure.mgmt.datafactory",
        "DataFactoryManagementClient",
        ("factories", "get"),
        ("factories", "create_or_update"),
    ),
)

_numbers = itertools.count()


@pytest.fixture(name="served", scope="module")
def _served() -> Iterator[Rig]:
    with rig(rate=3600) as served:
        yield served


@pytest.mark.parametrize("client", CLIENTS, ids=str)
def test_the_client_reads_the_key_and_moves_it(served: Rig, client: Client) -> None:
    module = pytest.importorskip(client.package, reason="the client is not installed")
    number, kind = next(_numbers), client.kind
    subscription = served.estate.subscription(f"clients-{number}")
    served.allow_all(subscription)
    url = f"https://kv-clients.vault.azure.net/keys/cmk-{number}"
    name = "/".join(client.arguments)
    resource = served.estate.resource(kind.type, name, subscription=subscription, key=url)
    new = served.estate.vaults.vault("kv-clients").rotate(f"cmk-{number}")
    with (
        ManagedIdentityCredential() as credential,
        getattr(module, client.name)(
            credential, subscription, api_version=kind.api_versions[-1], polling_interval=0
        ) as made,
    ):
        place = ("rg-services", *client.arguments)
        shown = as_json(operation(made, client.get)(*place))
        assert shown["id"] == resource.id
        key = kind.key
        assert key
        request = {
            part: shown[part] for part in ("location", "properties", "sku") if shown.get(part)
        }
        for refused, _ in kind.refuses:
            json_paths.drop(request, refused)
        if client.update is None:
            assert json_paths.at(shown, key.url or key.version)
            return
        text = new if key.url else new.rpartition("/")[2]
        json_paths.put(request, key.url or key.version, text)
        answer = operation(made, client.update)(*place, request)
        done = answer.result(timeout=60) if hasattr(answer, "result") else answer
        assert done is None or as_json(done)["id"] == resource.id
        again = as_json(operation(made, client.get)(*place))
    assert json_paths.at(again, key.url or key.version) == text
    assert served.estate.truth.version_in_use(resource.id) == new


def operation(client: Any, path: tuple[str, str]) -> Callable[..., Any]:  # noqa: ANN401 - any client
    group, method = path
    found: Callable[..., Any] = getattr(getattr(client, group), method)
    return found


def as_json(model: Any) -> dict[str, Any]:  # noqa: ANN401 - a model of either generation
    found: dict[str, Any] = (
        model.serialize(keep_readonly=True)
        if hasattr(model, "serialize")
        else model.as_dict(exclude_readonly=False)
    )
    return found


def test_every_package_is_named_once() -> None:
    assert len({client.package for client in CLIENTS}) == len(CLIENTS)
