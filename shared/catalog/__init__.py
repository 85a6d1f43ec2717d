"""Every kind of resource that Keyturn knows, as data."""

from shared.catalog.container_instances import CONTAINER_GROUP
from shared.catalog.cosmosdb import COSMOSDB_ACCOUNT
from shared.catalog.deployment_configs import DEPLOYMENT_CONFIG
from shared.catalog.storage import STORAGE_ACCOUNT, STORAGE_ENCRYPTION_SCOPE
from shared.domain.errors import UnreadableError
from shared.domain.kinds import Kind

KINDS: tuple[Kind, ...] = (
    STORAGE_ACCOUNT,
    STORAGE_ENCRYPTION_SCOPE,
    COSMOSDB_ACCOUNT,
    CONTAINER_GROUP,
    DEPLOYMENT_CONFIG,
)

_BY_TYPE = {kind.resource_type.lower(): kind for kind in KINDS}
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
