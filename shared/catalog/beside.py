"""What is told of beside the kinds: it has no customer-managed key, or none that ARM shows."""

from shared.catalog.machine_learning import ML_WORKSPACE
from shared.catalog.resource_manager import ASSUMED, NO_BUDGET, RSA, SIZES, advice
from shared.domain.beside import Beside
from shared.domain.kinds import NO_WRITE, ByHand, Kind
from shared.domain.proofs import Level, Unprovable
from shared.domain.shapes import NoReference

_ENCRYPTION = "https://learn.microsoft.com/azure/machine-learning/concept-data-encryption"
_SEARCH = "https://learn.microsoft.com/azure/search/search-security-manage-encryption-keys"

_BY_HAND = ByHand(
    why="each index, skillset or data source names its key itself, where ARM does not show it",
    steps=(
        "# Of each of {resource}: read encryptionKey of every index, indexer, data source, skillset"
        " and synonym map (GET https://<service>.search.windows.net/indexes …).\n"
        "# Where it names an older version of {target}, send the same definition again with that"
        " keyVaultKeyVersion (PUT). Keep the old version enabled for an hour after the last."
    ),
)

SEARCH_SERVICE = Kind(
    id="search_service",
    title="AI Search service",
    resource_type="Microsoft.Search/searchServices",
    # The newest stable one; only a preview has a key of the service.
    api_version="2025-05-01",
    shape=NoReference(),
    write=NO_WRITE,
    proof=Unprovable("Azure Resource Manager does not show its keys"),
    level=Level.ACCEPTED,
    in_use="",
    pinned=ASSUMED,
    versionless=None,
    key_types=RSA,
    key_bits=SIZES,
    budget=NO_BUDGET,
    actions=("Microsoft.Search/searchServices/read",),
    advice=advice("searchServices/read on the search service"),
    by_hand=_BY_HAND,
    limits=("a billable tier; an object is encrypted when it is made",),
    sources=(_SEARCH, "bicep-types-az: microsoft.search 2025-05-01 and 2026-09-01-preview"),
)

_WORKSPACES = ML_WORKSPACE.resource_type
_HBI = ("properties.hbiWorkspace", "true")


def _of_workspaces(name: str, title: str, why: str) -> Beside:
    return Beside(
        id=name,
        title=title,
        resource_type=_WORKSPACES,
        counted="workspaces",
        mark=_HBI,
        marked="with hbi_workspace",
        why=why,
        by_hand=None,
        sources=(_ENCRYPTION,),
    )


BESIDE: tuple[Beside, ...] = (
    _of_workspaces(
        "ml_compute",
        "Machine Learning compute clusters and instances",
        "their disks are encrypted with Microsoft's keys; with hbi_workspace so is the scratch"
        " disk of a cluster",
    ),
    _of_workspaces(
        "ml_credentials",
        "Machine Learning credentials of attached HDInsight clusters and VMs",
        "they are secrets in the workspace's vault, under Microsoft's keys",
    ),
    _of_workspaces(
        "ml_generated_data",
        "Machine Learning data that Microsoft generates",
        "it lies in Microsoft's own storage, under Microsoft's keys",
    ),
    _of_workspaces(
        "ml_collected_data",
        "Machine Learning data that Microsoft collects",
        "it lies in Microsoft's own storage, under Microsoft's keys; with hbi_workspace less is"
        " collected",
    ),
    Beside(
        id=SEARCH_SERVICE.id,
        title="AI Search services",
        resource_type=SEARCH_SERVICE.resource_type,
        counted="services",
        mark=("properties.encryptionWithCmk.enforcement", "Enabled"),
        marked="that ask for customer-managed keys",
        why=(
            "their indexes name keys where Azure Resource Manager does not show it; a service that"
            " does not ask for such keys may hold some all the same"
        ),
        by_hand=_BY_HAND,
        sources=SEARCH_SERVICE.sources,
    ),
)
