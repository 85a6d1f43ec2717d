"""Every kind of resource that the demo's estate has, by the services that people know."""

from enum import Enum, StrEnum


class Service(StrEnum):
    """What the demo groups kinds by."""

    STORAGE = "Storage"
    COMPUTE = "Compute and containers"
    DATABASES = "Databases"
    ANALYTICS = "Analytics"
    AI = "AI"
    INTEGRATION = "Messaging and configuration"
    OPERATIONS = "Monitoring, backup, automation"
    FILES = "Deployment configs"


_IN = Service


class Family(Enum):
    """The resources of one kind.

    Attributes:
        title: What people call them.
        kind: How reports name the kind.
        service: What they belong to.
        type: Their resource type; empty: they are no resources.
    """

    ACCOUNTS = "storage accounts", "storage_account", _IN.STORAGE, "Storage/storageAccounts"
    SCOPES = (
        "encryption scopes",
        "storage_encryption_scope",
        _IN.STORAGE,
        "Storage/storageAccounts/encryptionScopes",
    )
    SAN_GROUPS = (
        "Elastic SAN volume groups",
        "elastic_san_volume_group",
        _IN.STORAGE,
        "ElasticSan/elasticSans/volumeGroups",
    )
    NETAPP = "NetApp accounts", "netapp_account", _IN.STORAGE, "NetApp/netAppAccounts"
    DISK_SETS = (
        "disk encryption sets",
        "disk_encryption_set",
        _IN.COMPUTE,
        "Compute/diskEncryptionSets",
    )
    CLUSTERS = "AKS clusters", "aks_cluster", _IN.COMPUTE, "ContainerService/managedClusters"
    REGISTRIES = (
        "container registries",
        "container_registry",
        _IN.COMPUTE,
        "ContainerRegistry/registries",
    )
    GROUPS = "container groups", "container_group", _IN.COMPUTE, "ContainerInstance/containerGroups"
    PROFILES = (
        "container group profiles",
        "container_group_profile",
        _IN.COMPUTE,
        "ContainerInstance/containerGroupProfiles",
    )
    BATCH = "Batch accounts", "batch_account", _IN.COMPUTE, "Batch/batchAccounts"
    COSMOS = "Cosmos DB accounts", "cosmosdb_account", _IN.DATABASES, "DocumentDB/databaseAccounts"
    MONGO = (
        "MongoDB (vCore) clusters",
        "mongo_vcore",
        _IN.DATABASES,
        "DocumentDB/mongoClusters",
    )
    SQL_SERVERS = (
        "SQL server TDE protectors",
        "sql_server_tde",
        _IN.DATABASES,
        "Sql/servers/encryptionProtector",
    )
    SQL_INSTANCES = (
        "SQL instance TDE protectors",
        "sql_mi_tde",
        _IN.DATABASES,
        "Sql/managedInstances/encryptionProtector",
    )
    SQL_DATABASES = (
        "SQL databases with a key",
        "sql_database",
        _IN.DATABASES,
        "Sql/servers/databases",
    )
    POSTGRESQL = (
        "PostgreSQL servers",
        "postgres_flexible",
        _IN.DATABASES,
        "DBforPostgreSQL/flexibleServers",
    )
    MYSQL = "MySQL servers", "mysql_flexible", _IN.DATABASES, "DBforMySQL/flexibleServers"
    REDIS = "Managed Redis", "redis_enterprise", _IN.DATABASES, "Cache/redisEnterprise"
    DATABRICKS = (
        "Databricks workspaces",
        "databricks_workspace",
        _IN.ANALYTICS,
        "Databricks/workspaces",
    )
    KUSTO = "Data Explorer clusters", "kusto_cluster", _IN.ANALYTICS, "Kusto/clusters"
    FACTORIES = "data factories", "data_factory", _IN.ANALYTICS, "DataFactory/factories"
    SYNAPSE = "Synapse workspaces", "synapse_workspace", _IN.ANALYTICS, "Synapse/workspaces"
    ML_WORKSPACES = (
        "Machine Learning workspaces",
        "ml_workspace",
        _IN.AI,
        "MachineLearningServices/workspaces",
    )
    COGNITIVE = (
        "Azure AI and OpenAI accounts",
        "cognitive_account",
        _IN.AI,
        "CognitiveServices/accounts",
    )
    SEARCH = "AI Search services", "search_service", _IN.AI, "Search/searchServices"
    ML_REST = "what else Machine Learning has", "ml_compute", _IN.AI, ""
    EVENT_HUBS = (
        "Event Hubs namespaces",
        "eventhub_namespace",
        _IN.INTEGRATION,
        "EventHub/namespaces",
    )
    SERVICE_BUS = (
        "Service Bus namespaces",
        "servicebus_namespace",
        _IN.INTEGRATION,
        "ServiceBus/namespaces",
    )
    CONFIGURATION = (
        "App Configuration stores",
        "appconfig_store",
        _IN.INTEGRATION,
        "AppConfiguration/configurationStores",
    )
    LOGS = (
        "Log Analytics clusters",
        "log_analytics_cluster",
        _IN.OPERATIONS,
        "OperationalInsights/clusters",
    )
    COMPONENTS = (
        "Application Insights components",
        "application_insights",
        _IN.OPERATIONS,
        "Insights/components",
    )
    RECOVERY = (
        "Recovery Services vaults",
        "recovery_vault",
        _IN.OPERATIONS,
        "RecoveryServices/vaults",
    )
    BACKUP = "Backup vaults", "backup_vault", _IN.OPERATIONS, "DataProtection/backupVaults"
    AUTOMATION = (
        "Automation accounts",
        "automation_account",
        _IN.OPERATIONS,
        "Automation/automationAccounts",
    )
    FILES = "deployment config files", "deployment_config", _IN.FILES, ""

    def __init__(self, title: str, kind: str, service: Service, of_type: str) -> None:
        self.title = title
        self.kind = kind
        self.service = service
        self.type = f"Microsoft.{of_type}" if of_type else ""

    @property
    def tells(self) -> bool:
        """Whether they show which version they use, and not just the one that they move to."""
        return self in _TELLING


_TELLING = {
    Family.ACCOUNTS,
    Family.SCOPES,
    Family.SAN_GROUPS,
    Family.REGISTRIES,
    Family.COSMOS,
    Family.SQL_SERVERS,
    Family.SQL_INSTANCES,
}

_REST = ("ml_credentials", "ml_generated_data", "ml_collected_data")
FAMILIES = {family.kind: family for family in Family} | dict.fromkeys(_REST, Family.ML_REST)
"""By the report's ``kind``, in the order in which they are shown."""
