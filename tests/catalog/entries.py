"""Every entry of the catalog, and what Microsoft published about each."""

from pathlib import Path

import pytest

from shared.catalog.container_instances import CONTAINER_GROUP
from shared.catalog.cosmosdb import COSMOSDB_ACCOUNT
from shared.catalog.deployment_configs import DEPLOYMENT_CONFIG
from shared.catalog.storage import STORAGE_ACCOUNT, STORAGE_ENCRYPTION_SCOPE
from shared.domain.kinds import Kind

DATA = Path(__file__).parents[3] / "shared" / "data"
with_data = pytest.mark.skipif(not DATA.is_dir(), reason="Microsoft's files are not here")

ENTRIES = (
    STORAGE_ACCOUNT,
    STORAGE_ENCRYPTION_SCOPE,
    COSMOSDB_ACCOUNT,
    CONTAINER_GROUP,
    DEPLOYMENT_CONFIG,
)
ON_ARM = (STORAGE_ACCOUNT, STORAGE_ENCRYPTION_SCOPE, COSMOSDB_ACCOUNT, CONTAINER_GROUP)


def name(kind: Kind) -> str:
    """Return how a test of a kind is called."""
    return kind.id


every_kind = pytest.mark.parametrize("kind", ENTRIES, ids=name)
every_arm_kind = pytest.mark.parametrize("kind", ON_ARM, ids=name)
every_guarded_kind = pytest.mark.parametrize(
    "kind", [kind for kind in ON_ARM if kind.write.guard], ids=name
)
"""Those of which a write could switch the customer-managed key off."""
