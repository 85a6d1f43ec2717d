"""Container group profiles: definitions from which Azure makes container groups, standby pools too.

To change one makes a new revision, and leaves the groups that were made from the last one as they
are. A GET shows no secret of a profile either, so that a PUT of what it shows would lose them.
"""

from shared.catalog.container_instances import CONTAINER_GROUP
from shared.catalog.resource_manager import ASSUMED, GROUP_READ, NO_BUDGET, advice
from shared.domain.kinds import NO_WRITE, ByHand, Kind
from shared.domain.proofs import EchoesTarget, Level
from shared.domain.shapes import SplitReference

_KEY = "properties.encryptionProperties"
_SHAPE = SplitReference(
    place="container group profile",
    when=None,
    vault=f"{_KEY}.vaultBaseUrl",
    name=f"{_KEY}.keyName",
    version=f"{_KEY}.keyVersion",
)

_PROFILES = (
    "https://learn.microsoft.com/azure/container-instances/container-instances-about-standby-pools"
)

CONTAINER_GROUP_PROFILE = Kind(
    id="container_group_profile",
    title="container group profile",
    resource_type="Microsoft.ContainerInstance/containerGroupProfiles",
    # On Resource Graph's list of types it is in the singular.
    graph_type="Microsoft.ContainerInstance/containerGroupProfile",
    api_version="2025-09-01",
    shape=_SHAPE,
    write=NO_WRITE,
    # A profile has no provisioningState.
    proof=EchoesTarget(_SHAPE),
    level=Level.CONFIGURED,
    in_use="",
    pinned=ASSUMED,
    versionless=None,
    key_types=CONTAINER_GROUP.key_types,
    key_bits=CONTAINER_GROUP.key_bits,
    operations=CONTAINER_GROUP.operations,
    budget=NO_BUDGET,
    actions=("Microsoft.ContainerInstance/containerGroupProfiles/read", GROUP_READ),
    advice=advice("containerGroupProfiles/read on the profile"),
    by_hand=ByHand(
        why=(
            "a GET shows no secrets, a PUT without them would lose them, and what becomes of groups"
            " that were made from it is documented nowhere"
        ),
        steps=(
            "# Put the definition that you made the profile from, with its secrets and"
            " encryptionProperties for {target}, as a new revision:\n"
            'az rest --method put --url "{resource}?api-version=2025-09-01" --body @profile.json\n'
            "# Then make the groups and standby pools anew that come from it."
        ),
    ),
    limits=("groups that were made from it keep the version they were made with",),
    sources=(
        _PROFILES,
        "azure-rest-api-specs: ContainerGroupProfileCreateOrUpdate_EncryptionProperties.json",
        "bicep-types-az: microsoft.containerinstance 2025-09-01",
    ),
    if_stuck="see who else changes the profile; then rotate again",
)
