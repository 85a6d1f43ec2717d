"""Every kind of resource that Keyturn knows, as data."""

from shared.catalog.app_configuration import APP_CONFIGURATION
from shared.catalog.backup import BACKUP_VAULT, RECOVERY_SERVICES_VAULT
from shared.catalog.beside import SEARCH_SERVICE
from shared.catalog.cognitive_services import COGNITIVE_ACCOUNT
from shared.catalog.container_group_profiles import CONTAINER_GROUP_PROFILE
from shared.catalog.container_instances import CONTAINER_GROUP
from shared.catalog.container_registry import CONTAINER_REGISTRY
from shared.catalog.cosmosdb import COSMOSDB_ACCOUNT
from shared.catalog.data_explorer import KUSTO_CLUSTER
from shared.catalog.data_integration import DATA_FACTORY, SYNAPSE_WORKSPACE
from shared.catalog.databricks import DATABRICKS_WORKSPACE
from shared.catalog.deployment_configs import DEPLOYMENT_CONFIG
from shared.catalog.disks import DISK_ENCRYPTION_SET
from shared.catalog.elastic_san import ELASTIC_SAN_VOLUME_GROUP
from shared.catalog.flexible_servers import MYSQL_SERVER, POSTGRESQL_SERVER
from shared.catalog.jobs import AUTOMATION_ACCOUNT, BATCH_ACCOUNT
from shared.catalog.kubernetes import AKS_CLUSTER
from shared.catalog.machine_learning import ML_WORKSPACE
from shared.catalog.messaging import EVENT_HUBS_NAMESPACE, SERVICE_BUS_NAMESPACE
from shared.catalog.monitoring import APPLICATION_INSIGHTS, LOG_ANALYTICS_CLUSTER
from shared.catalog.redis import REDIS_ENTERPRISE
from shared.catalog.sql import SQL_DATABASE, SQL_INSTANCE_PROTECTOR, SQL_SERVER_PROTECTOR
from shared.catalog.storage import STORAGE_ACCOUNT, STORAGE_ENCRYPTION_SCOPE
from shared.catalog.versionless_only import MONGO_CLUSTER, NETAPP_ACCOUNT
from shared.domain.errors import UnreadableError
from shared.domain.kinds import Kind

KINDS: tuple[Kind, ...] = (
    STORAGE_ACCOUNT,
    STORAGE_ENCRYPTION_SCOPE,
    ELASTIC_SAN_VOLUME_GROUP,
    DISK_ENCRYPTION_SET,
    COSMOSDB_ACCOUNT,
    CONTAINER_GROUP,
    CONTAINER_GROUP_PROFILE,
    DEPLOYMENT_CONFIG,
    CONTAINER_REGISTRY,
    AKS_CLUSTER,
    ML_WORKSPACE,
    COGNITIVE_ACCOUNT,
    LOG_ANALYTICS_CLUSTER,
    APPLICATION_INSIGHTS,
    KUSTO_CLUSTER,
    REDIS_ENTERPRISE,
    APP_CONFIGURATION,
    AUTOMATION_ACCOUNT,
    BATCH_ACCOUNT,
    RECOVERY_SERVICES_VAULT,
    BACKUP_VAULT,
    EVENT_HUBS_NAMESPACE,
    SERVICE_BUS_NAMESPACE,
    DATABRICKS_WORKSPACE,
    SQL_SERVER_PROTECTOR,
    SQL_INSTANCE_PROTECTOR,
    SQL_DATABASE,
    POSTGRESQL_SERVER,
    MYSQL_SERVER,
    DATA_FACTORY,
    SYNAPSE_WORKSPACE,
    NETAPP_ACCOUNT,
    MONGO_CLUSTER,
    SEARCH_SERVICE,
)

_BY_TYPE = {
    name.lower(): kind for kind in KINDS for name in (kind.resource_type, kind.graph_type) if name
}
_BY_ID = {kind.id: kind for kind in KINDS}


def kind_of(resource_type: str) -> Kind | None:
    """Return the kind of a resource type in any casing; ``None``: it holds no key we know of."""
    return _BY_TYPE.get(resource_type.lower())


def kind_named(kind_id: str) -> Kind:
    """Return the kind whose ``id`` stands in a row.

    Raises:
        UnreadableError: No entry has it: the row was written by a later version of Keyturn.
    """
    if kind := find_kind(kind_id):
        return kind
    raise UnreadableError(f"{kind_id!r:.60} is a kind of resource that this Keyturn does not know")


def find_kind(kind_id: str) -> Kind | None:
    """Return the kind of that ``id``; ``None`` if no entry has it."""
    return _BY_ID.get(kind_id)
