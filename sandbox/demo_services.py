"""The part of the demo's estate that has a resource, or more, of every further service."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from sandbox.arm.pace import Pace
from sandbox.arm.resource_ids import ResourceId
from sandbox.demo_ground import Ground
from sandbox.demo_kinds import Family
from sandbox.demo_members import (
    ARCHIVE,
    BESIDE,
    BY_HAND,
    FOLLOWED,
    KEEPS_OLD,
    MANUAL,
    MOVED,
    REFUSED,
    STUCK,
    UNSEEN,
    Member,
)
from sandbox.keyed_estate import Keyed

MANAGED_GROUP = "rg-payments-dbw-managed"
"""The group that the Databricks workspace keeps for itself. Sorts after the other groups: what lies
in it is not the first of its kind to be found."""
APP, DATA = "rg-payments", "rg-payments-data"
OPERATIONS, ANALYTICS = "rg-operations", "rg-analytics"
_FOLLOWS_AFTER = timedelta(minutes=20)

_MOVED = (
    (Family.SAN_GROUPS, "esan-payments/vg-orders", DATA),
    (Family.DISK_SETS, "des-payments-weu", APP),
    (Family.REGISTRIES, "crcontosopayments", APP),
    (Family.BATCH, "batchpayments", APP),
    (Family.SQL_SERVERS, "sql-payments/current", DATA),
    (Family.SQL_INSTANCES, "sqlmi-clearing/current", DATA),
    (Family.POSTGRESQL, "psql-payments", DATA),
    (Family.MYSQL, "mysql-storefront", DATA),
    (Family.REDIS, "redis-sessions", APP),
    (Family.SERVICE_BUS, "sbns-payments", APP),
    (Family.CONFIGURATION, "appcs-payments", APP),
    (Family.LOGS, "log-contoso", OPERATIONS),
    (Family.RECOVERY, "rsv-contoso-weu", OPERATIONS),
    (Family.BACKUP, "bvault-contoso-weu", OPERATIONS),
    (Family.AUTOMATION, "aa-contoso", OPERATIONS),
    (Family.KUSTO, "adxpayments", ANALYTICS),
    (Family.FACTORIES, "adf-payments", ANALYTICS),
    (Family.ML_WORKSPACES, "mlw-fraud", ANALYTICS),
    (Family.COGNITIVE, "oai-fraud", ANALYTICS),
)
"""What names a version and is moved."""
_BY_HAND = (
    (Family.NETAPP, "anf-contoso", OPERATIONS),
    (Family.PROFILES, "cgp-payments", APP),
    (Family.CLUSTERS, "aks-platform", OPERATIONS),
    (Family.SQL_DATABASES, "sql-payments/sqldb-cards", DATA),
    (Family.MONGO, "mongo-catalog", DATA),
    (Family.SYNAPSE, "syn-payments", ANALYTICS),
)
"""Of kinds that are found and reported, and never written to."""
_BESIDE = (
    (Family.ML_REST, "Machine Learning compute clusters and instances"),
    (Family.ML_REST, "Machine Learning credentials of attached HDInsight clusters and VMs"),
    (Family.ML_REST, "Machine Learning data that Microsoft generates"),
    (Family.ML_REST, "Machine Learning data that Microsoft collects"),
    (Family.SEARCH, "AI Search services"),
)
"""What is counted, and told of in every report, by the names that reports have for it."""


class ServicesBuilder:
    """Makes what is on the payments key beside storage, Cosmos DB, container groups and files.

    Of each kind the first one, by its id, is healthy: it goes ahead of the others, and if it failed
    the rotation would pause for a person.
    """

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._groups = {
            APP: ground.production,
            DATA: ground.production,
            OPERATIONS: ground.shared,
            ANALYTICS: ground.data,
        }

    def members(self) -> Iterator[Member]:
        """Make all of it."""
        for family, name, group in _MOVED:
            yield Member(self._make(family, name, group).id, family, MOVED)
        yield from self._of_several_references()
        yield from self._following()
        yield from self._troubled()
        for family, name, group in _BY_HAND:
            yield Member(self._make(family, name, group).id, family, BY_HAND)
        yield from self._through_others()
        yield from self._beside()

    def _of_several_references(self) -> Iterator[Member]:
        both = self._make(Family.EVENT_HUBS, "evhns-payments", APP, more=[self._ground.archive])
        yield Member(both.id, Family.EVENT_HUBS, MOVED, others=(ARCHIVE,))
        managed = f"/subscriptions/{self._groups[APP]}/resourceGroups/{MANAGED_GROUP}"
        workspace = self._make(
            Family.DATABRICKS,
            "dbw-payments",
            APP,
            more=[self._ground.payments, self._ground.payments],
            properties={"managedResourceGroupId": managed},
        )
        yield Member(workspace.id, Family.DATABRICKS, MOVED, references=3)

    def _following(self) -> Iterator[Member]:
        follow = self._ground.timing.follow
        registry = self._make(Family.REGISTRIES, "crshared", OPERATIONS, version="absent")
        made_to = follow(registry, _FOLLOWS_AFTER)
        yield Member(registry.id, Family.REGISTRIES, FOLLOWED, made_to)
        disks = self._make(Family.DISK_SETS, "des-shared-weu", OPERATIONS, version="follows")
        follow(disks, _FOLLOWS_AFTER)
        made_to = "has the flag that follows the vault, 20 minutes after the rotation"
        yield Member(disks.id, Family.DISK_SETS, FOLLOWED, made_to)
        silent = self._make(Family.SERVICE_BUS, "sbns-alerts", OPERATIONS, version="empty")
        follow(silent, _FOLLOWS_AFTER)
        made_to = "follows the vault, and shows nowhere which version it uses"
        yield Member(silent.id, Family.SERVICE_BUS, UNSEEN, made_to)

    def _troubled(self) -> Iterator[Member]:
        echo = self._make(Family.REGISTRIES, "crpartners", APP)
        _pace(echo).stuck()
        yield Member(echo.id, Family.REGISTRIES, STUCK, "names the new version and uses the old")
        stuck = self._make(Family.DISK_SETS, "des-settlement-old", APP)
        _pace(stuck).stuck()
        yield Member(stuck.id, Family.DISK_SETS, STUCK, "accepts a write and never acts on it")
        refused = self._make(Family.RECOVERY, "rsv-legacy", OPERATIONS)
        _pace(refused).long_running(timedelta(minutes=1), fails=True)
        made_to = "accepts a write, which fails a minute later"
        yield Member(refused.id, Family.RECOVERY, REFUSED, made_to)
        sealed = self._make(Family.ML_WORKSPACES, "mlw-scoring", ANALYTICS)
        self._show(sealed.id, "enableServiceSideCMKEncryption", value=True)
        made_to = "has encryption on the service's side, which is never rotated"
        yield Member(sealed.id, Family.ML_WORKSPACES, MANUAL, made_to)

    def _through_others(self) -> Iterator[Member]:
        """Make what depends on the key through a disk encryption set, or through a workspace."""
        for name, disk, fate, made_to in (
            ("aks-payments", "Managed", BESIDE, "has its disks under a disk encryption set"),
            ("aks-payments-spot", "Ephemeral", KEEPS_OLD, "has nodes that keep the old version"),
        ):
            pools = [{"name": "system"}, {"name": "work", "osDiskType": disk}]
            properties = {
                "diskEncryptionSetID": self._id(Family.DISK_SETS, "des-payments-weu", APP),
                "agentPoolProfiles": pools,
            }
            cluster = self._make(Family.CLUSTERS, name, APP, key=None, properties=properties)
            yield Member(cluster.id, Family.CLUSTERS, fate, made_to)
        workspace = (
            f"/subscriptions/{self._groups[OPERATIONS]}/resourceGroups/{OPERATIONS}"
            "/providers/Microsoft.OperationalInsights/workspaces/log-payments"
        )
        logs = self._id(Family.LOGS, "log-contoso", OPERATIONS)
        linked = [{"workspaceName": "log-payments", "resourceId": workspace}]
        self._show(logs, "associatedWorkspaces", linked)
        properties = {"WorkspaceResourceId": workspace}
        component = self._make(
            Family.COMPONENTS, "appi-payments", APP, key=None, properties=properties
        )
        yield Member(component.id, Family.COMPONENTS, BESIDE, "writes to a workspace of a cluster")

    def _beside(self) -> Iterator[Member]:
        asks = {"encryptionWithCmk": {"enforcement": "Enabled"}}
        self._make(Family.SEARCH, "srch-catalog", ANALYTICS, key=None, properties=asks)
        for family, name in _BESIDE:
            yield Member(name, family, BESIDE, key="")

    def _make(self, family: Family, name: str, group: str, **more: Any) -> Keyed:  # noqa: ANN401
        """Make a resource on the payments key; ``more`` is as for ``KeyedEstate.make``."""
        settings = {"key": self._ground.payments, "subscription": self._groups[group], **more}
        return self._ground.estate.resource(family.type, name, group=group, **settings)

    def _id(self, family: Family, name: str, group: str) -> str:
        return str(ResourceId(self._groups[group], group, family.type, name))

    def _show(self, resource: str, name: str, value: object) -> None:
        """Let a resource show a property that its service would set."""
        resources = self._ground.estate.arm.resources
        held = resources.get(ResourceId.parse(resource))
        held.body["properties"][name] = value
        resources.notify(held)


def _pace(made: Keyed) -> Pace:
    if made.pace is None:
        raise ValueError(f"{made.id} takes up no version")
    return made.pace
